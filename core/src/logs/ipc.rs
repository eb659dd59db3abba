//! Batches of logs out of Arrow's IPC stream format, when the bytes come from a disk or a network.
//!
//! Arrow's reader believes lengths: it takes as much memory as a prefix says, and panics where a buffer lies outside of its message. So all lengths
//! are compared with what is there first, and what is left of panics ends here.
//!
//! Source: the Arrow columnar format, "Encapsulated message format" and "Buffer compression".

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{Message, root_as_message};

use crate::{Error, Result};

/// What stands before the length of each message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// What a buffer has before it when it may be compressed: its length without that, or -1 when it is not.
const PREFIX_BYTES: usize = 8;

/// The batches of a stream in the schema of [`super::schema`], which together are not larger than `limit_bytes` when they are decompressed.
///
/// Columns that are not compressed are not copied: they lie in `stream`, and hold it as a whole.
///
/// # Errors
/// `corrupt` when the bytes are not such a stream.
pub fn read(stream: Buffer, limit_bytes: u64) -> Result<Vec<RecordBatch>> {
    check(&stream, limit_bytes)
        .ok_or_else(|| Error::corrupt("the columns have lengths that cannot be"))?;
    catch_unwind(AssertUnwindSafe(|| batches(stream)))
        .unwrap_or_else(|_| Err(Error::corrupt("the columns cannot be read")))
}

fn batches(mut stream: Buffer) -> Result<Vec<RecordBatch>> {
    let wrong = |e| Error::corrupt("the columns cannot be read").because(e);
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    while let Some(batch) = decoder.decode(&mut stream).map_err(wrong)? {
        batches.push(batch);
    }
    decoder.finish().map_err(wrong)?;
    if decoder.schema() != Some(super::schema()) {
        return Err(Error::corrupt("the columns are not those of logs"));
    }
    Ok(batches)
}

/// Nothing when a length cannot be.
fn check(mut stream: &[u8], limit_bytes: u64) -> Option<()> {
    let mut decompressed = 0u64;
    loop {
        if stream.starts_with(&CONTINUATION) {
            stream = &stream[CONTINUATION.len()..];
        }
        // A stream ends with a length of zero, or just ends.
        let Some((length, rest)) = stream.split_first_chunk() else {
            return stream.is_empty().then_some(());
        };
        let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
        if length == 0 {
            return Some(());
        }
        let (message, rest) = rest.split_at_checked(length)?;
        let message = root_as_message(message).ok()?;
        let body = usize::try_from(message.bodyLength()).ok()?;
        let (body, rest) = rest.split_at_checked(body)?;
        decompressed = decompressed.checked_add(body_bytes(message, body)?)?;
        if decompressed > limit_bytes {
            return None;
        }
        stream = rest;
    }
}

/// How many bytes the buffers of a message have when they are decompressed.
fn body_bytes(message: Message<'_>, body: &[u8]) -> Option<u64> {
    let of_dictionary = || message.header_as_dictionary_batch()?.data();
    let Some(batch) = message.header_as_record_batch().or_else(of_dictionary) else {
        return Some(0);
    };
    let is_compressed = batch.compression().is_some();
    let mut bytes = 0u64;
    for buffer in batch.buffers().iter().flatten() {
        let start = usize::try_from(buffer.offset()).ok()?;
        let end = start.checked_add(usize::try_from(buffer.length()).ok()?)?;
        let buffer = body.get(start..end)?;
        let length = match buffer.first_chunk::<PREFIX_BYTES>() {
            Some(prefix) if is_compressed => match i64::from_le_bytes(*prefix) {
                -1 => buffer.len() as u64,
                length => u64::try_from(length).ok()?,
            },
            None if is_compressed && !buffer.is_empty() => return None,
            _ => buffer.len() as u64,
        };
        bytes = bytes.checked_add(length)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};

    use super::*;
    use crate::logs::builder::{Head, LogBatchBuilder};
    use crate::logs::{Resource, schema};
    use crate::{Position, StreamId};

    const LIMIT: u64 = 1 << 20;

    fn batch() -> RecordBatch {
        let mut builder = LogBatchBuilder::default();
        let resource = builder.resource(&Arc::new(Resource::default()));
        for row in 0..3u64 {
            builder.push_body("a line that is long enough to be worth compressing, and more of it");
            builder.field("row", &row.to_string());
            builder.finish_record(Head {
                resource,
                stream: StreamId([1; 16]),
                position: Position { generation: 1, offset: row * 100 },
                time: row as i64,
                observed: 9,
                severity: 9,
                trace_id: None,
                span_id: None,
            });
        }
        builder.finish().unwrap()
    }

    fn stream(compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut bytes = Vec::new();
        let mut writer =
            StreamWriter::try_new_with_options(&mut bytes, &schema(), options).unwrap();
        writer.write(&batch()).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn batches_come_back_up_to_the_limit() {
        for compression in [None, Some(CompressionType::LZ4_FRAME)] {
            let bytes = stream(compression);
            assert_eq!(read(bytes.clone().into(), LIMIT).unwrap(), [batch()]);
            assert!(read(bytes.into(), 100).is_err());
        }
    }

    #[test]
    fn columns_that_are_not_compressed_are_not_copied() {
        let bytes = Buffer::from_vec(stream(None));
        let read = read(bytes.clone(), LIMIT).unwrap();
        let held = crate::batch::held_bytes(&read[0]);
        assert_eq!(held, bytes.capacity(), "each column lies in the stream");
    }

    #[test]
    fn a_length_that_cannot_be_takes_no_memory_and_a_changed_byte_is_no_panic() {
        for compression in [None, Some(CompressionType::LZ4_FRAME)] {
            let bytes = stream(compression);
            for at in (0..bytes.len()).step_by(7) {
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    // Every offset and every text is gone through.
                    let _ = read(changed.into(), LIMIT).map(|batches| format!("{batches:?}"));
                }
                let _ = read(Buffer::from(&bytes[..at]), LIMIT);
            }
        }
        // 2 GiB of metadata, as the fuzzer found.
        assert!(read(Buffer::from(&[0xff, 0xff, 0xff, 0x7f]), LIMIT).is_err());
    }
}
