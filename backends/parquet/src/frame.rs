//! One block as bytes: what the log is made of.
//!
//! ```text
//! 0   4  magic "RKLF"
//! 4   1  version (1)
//! 5   3  zero
//! 8   8  sequence number, little endian; frames of a store are numbered from 1 without a hole
//! 16  8  length of the payload
//! 24  8  xxh3-64 of bytes 4..24 and of the payload
//! 32     payload: time of the append, tenant, entries of the account (see [`crate::wire`]),
//!        then the records as one Arrow IPC stream whose buffers are compressed
//! ```
//!
//! A frame is whole or it is not there: every bit of it but the magic is under the checksum.

use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use rookery_core::batch::{Block, Entry, Fate, Origin, Range};
use rookery_core::{Error, Position, Result, StreamId, Tenant, logs};
use xxhash_rust::xxh3::Xxh3;

use crate::wire::{Reader, put_bytes, put_i64, put_str, put_u64};

/// The bytes before the payload.
pub const HEADER_BYTES: usize = 32;
/// The largest payload that is believed. A block is a few megabytes; this is far above what a builder can make.
pub const PAYLOAD_LIMIT_BYTES: u64 = 8 << 30;

/// How many rows are compressed together.
const SLICE_ROWS: usize = 4096;

const MAGIC: &[u8; 4] = b"RKLF";
const VERSION: u8 = 1;

/// A block as it was appended.
#[derive(Debug)]
pub struct Frame {
    /// Its number.
    pub sequence: u64,
    /// When it was appended, in nanoseconds since the epoch.
    pub at: i64,
    /// What was appended.
    pub block: Block,
}

/// What the front of some bytes is.
#[derive(Debug)]
pub enum Front<'a> {
    /// A frame of this many bytes, whose checksum is right.
    Whole {
        /// Its number.
        sequence: u64,
        /// The part after the header.
        payload: &'a [u8],
    },
    /// Less than a frame: the bytes end first.
    Short,
    /// Not a frame, or one that was changed.
    Broken,
}

/// Appends a frame.
///
/// # Errors
/// When the records cannot be written as Arrow IPC.
pub fn encode(out: &mut Vec<u8>, sequence: u64, at: i64, block: &Block) -> Result<()> {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    put_i64(out, at);
    put_str(out, block.tenant.as_str());
    put_u64(out, block.entries.len() as u64);
    for entry in &block.entries {
        put_entry(out, entry);
    }
    if !block.records.is_empty() {
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(arrow_ipc::CompressionType::LZ4_FRAME))?;
        let mut writer = StreamWriter::try_new_with_options(&mut *out, &logs::schema(), options)?;
        for batch in &block.records {
            // In slices, so that the buffers in which columns are compressed stay small enough to be used again.
            for start in (0..batch.num_rows()).step_by(SLICE_ROWS) {
                writer.write(&batch.slice(start, SLICE_ROWS.min(batch.num_rows() - start)))?;
            }
        }
        writer.finish()?;
    }
    let payload = (out.len() - start - HEADER_BYTES) as u64;
    let header = &mut out[start..start + HEADER_BYTES];
    header[..4].copy_from_slice(MAGIC);
    header[4] = VERSION;
    header[8..16].copy_from_slice(&sequence.to_le_bytes());
    header[16..24].copy_from_slice(&payload.to_le_bytes());
    let checksum = checksum(&out[start..]);
    out[start + 24..start + 32].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

fn checksum(frame: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&frame[4..24]);
    hash.update(&frame[HEADER_BYTES..]);
    hash.digest()
}

/// What `bytes` start with.
pub fn front(bytes: &[u8]) -> Front<'_> {
    if bytes.len() < HEADER_BYTES {
        return Front::Short;
    }
    let number = |at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a header has eight bytes there"))
    };
    let length = number(16);
    if &bytes[..4] != MAGIC || bytes[4] != VERSION || length > PAYLOAD_LIMIT_BYTES {
        return Front::Broken;
    }
    let end = HEADER_BYTES + length as usize;
    if bytes.len() < end {
        return Front::Short;
    }
    if checksum(&bytes[..end]) != number(24) {
        return Front::Broken;
    }
    Front::Whole { sequence: number(8), payload: &bytes[HEADER_BYTES..end] }
}

/// The block of a payload.
///
/// # Errors
/// `corrupt` when the payload is not what [`encode`] writes.
pub fn decode(sequence: u64, payload: &[u8]) -> Result<Frame> {
    let mut reader = Reader::new(payload);
    let at = reader.i64()?;
    let tenant = Tenant::new(reader.str()?)
        .map_err(|e| Error::corrupt("a frame of the log names no tenant").because(e))?;
    let count = reader.count()?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(entry(&mut reader)?);
    }
    let records = match reader.rest() {
        [] => Vec::new(),
        stream => logs::ipc::read(Buffer::from(stream), PAYLOAD_LIMIT_BYTES)
            .map_err(|e| Error::corrupt("a frame of the log holds no records").because(e))?,
    };
    Ok(Frame { sequence, at, block: Block { tenant, origin: Origin::default(), records, entries } })
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_range(out, &entry.range);
    put_u64(out, entry.duplicates);
    put_u64(out, entry.duplicate_bytes);
    put_str(out, &entry.tags);
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry> {
    Ok(Entry {
        range: range(reader)?,
        duplicates: reader.u64()?,
        duplicate_bytes: reader.u64()?,
        tags: reader.str()?.into(),
    })
}

/// Appends a range: stream, generation, start, end, records, fate.
pub(crate) fn put_range(out: &mut Vec<u8>, range: &Range) {
    out.extend_from_slice(&range.stream.0);
    put_u64(out, range.generation);
    put_u64(out, range.start);
    put_u64(out, range.end);
    put_u64(out, range.records);
    let (code, reason) = match &range.fate {
        Fate::Kept => (0, ""),
        Fate::Shed(reason) => (1, reason.as_ref()),
        Fate::Lost(reason) => (2, reason.as_ref()),
    };
    out.push(code);
    put_bytes(out, reason.as_bytes());
}

/// Reads what [`put_range`] wrote.
pub(crate) fn range(reader: &mut Reader<'_>) -> Result<Range> {
    let stream = StreamId(reader.array()?);
    let [generation, start, end, records] =
        [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?];
    let code = reader.u8()?;
    let reason = reader.str()?.to_owned().into();
    let fate = match code {
        0 => Fate::Kept,
        1 => Fate::Shed(reason),
        2 => Fate::Lost(reason),
        _ => return Err(Error::corrupt("a range in the store has an unknown fate")),
    };
    // What a range follows matters until it is admitted; an account does not keep it.
    let after = Position::default();
    Ok(Range { stream, generation, start, end, records, fate, after })
}

/// The tags of an account, shared.
pub(crate) fn text(reader: &mut Reader<'_>) -> Result<Arc<str>> {
    Ok(reader.str()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_block_comes_back_and_every_changed_bit_is_seen() {
        let block = samples::block(50, 0);
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, 99, &block).unwrap();
        let Front::Whole { sequence, payload } = front(&bytes) else { panic!("not whole") };
        let frame = decode(sequence, payload).unwrap();
        assert_eq!((frame.sequence, frame.at), (7, 99));
        assert_eq!(frame.block.entries, block.entries);
        assert_eq!(frame.block.records, block.records);
        for at in (0..bytes.len()).step_by(13) {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert!(!matches!(front(&changed), Front::Whole { .. }), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(!matches!(front(&bytes[..len]), Front::Whole { .. }), "cut at {len}");
        }
    }

    #[test]
    fn a_payload_that_is_cut_is_corrupt_and_no_panic() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 1, 0, &samples::block(3, 0)).unwrap();
        let payload = &bytes[HEADER_BYTES..];
        for len in 0..200.min(payload.len()) {
            assert!(decode(1, &payload[..len]).is_err() || len > 100);
        }
    }
}
