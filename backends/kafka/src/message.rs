//! A batch as a message of Kafka, and back.
//!
//! | part | what |
//! |---|---|
//! | key | the collector's name |
//! | header `rookery` | `1`: the version of all of this |
//! | header `tenant` | whose data |
//! | header `ranges` | what the batch answers for, see [`ranges`] |
//! | header `hash` | 8 bytes, big-endian: XXH3 of the payload |
//! | payload | one zstd frame, which says its size: an Arrow IPC stream of one record batch in the schema of [`rookery_core::logs::schema`] |
//!
//! The payload is compressed here, and not by the client library for a set of messages: its size is then known before the broker judges it, its
//! compressor is reused, and all columns are in one window. Not column by column as Arrow would, either: a record's fields stand in its body too.
//!
//! A message is as large as the broker takes, so a batch becomes several where it must. One record that is too large even alone loses its
//! fields first, and then the end of its body; it is marked with the field `truncated`, as the collector does with lines over its own limit.
//!
//! Pure: bytes in, bytes out. What comes from outside is checked before it is a batch: sizes before memory is taken, the hash before the decoder runs, then
//! [`Batch::check`].

pub mod ranges;
mod shrink;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamWriter;
use rookery_core::batch::Batch;
use rookery_core::logs;
use rookery_core::{Error, Result, Tenant};
use zstd::zstd_safe::{CParameter, CompressionLevel};

/// The version that this build writes and reads.
pub const VERSION: &[u8] = b"1";

/// Names of headers.
pub const HEADER_VERSION: &str = "rookery";
/// See the module.
pub const HEADER_TENANT: &str = "tenant";
/// See the module.
pub const HEADER_RANGES: &str = "ranges";
/// See the module.
pub const HEADER_HASH: &str = "hash";

/// The most bytes that a payload may have when it is decompressed: many times what a message of a million bytes holds of logs.
pub const DECODED_LIMIT_BYTES: usize = 256 << 20;

/// Of the standard data, level 1 took 0.68 microseconds a line and left 0.412 of the raw bytes; level 3 took 1.64 and left 0.403; level -1 took as long as 1 and left 0.562;
/// LZ4 took 0.60 and left 0.626.
const LEVEL: CompressionLevel = 1;

/// For a record that is too large even alone: its fields stand in its body, a megabyte away.
const LEVEL_OF_LARGE: CompressionLevel = 6;
const WINDOW_LOG_OF_LARGE: u32 = 23;

/// What a message has beside key, headers' values and payload: names and lengths, and the frame that the broker counts.
const FRAME_BYTES: usize = 256;

/// A message that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// The key: the collector's name.
    pub collector: Arc<str>,
    /// Whose data.
    pub tenant: Tenant,
    /// The header `ranges`.
    pub ranges: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
    /// How many records.
    pub records: usize,
}

impl Message {
    /// How many bytes the broker counts.
    pub fn size_bytes(&self) -> usize {
        FRAME_BYTES
            + self.collector.len()
            + self.tenant.as_str().len()
            + self.ranges.len()
            + self.payload.len()
    }

    /// The header `hash`.
    pub fn hash(&self) -> [u8; 8] {
        hash(&self.payload)
    }
}

fn hash(payload: &[u8]) -> [u8; 8] {
    xxhash_rust::xxh3::xxh3_64(payload).to_be_bytes()
}

/// Makes messages; keeps what can be used again.
pub struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    stream: Vec<u8>,
    /// Bytes of message by record, of the last batch: so that the next is cut before it is compressed.
    record_bytes: f64,
    truncated: u64,
}

impl Encoder {
    /// An encoder.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL)
            .map_err(|e| Error::io("start the compressor of messages", e))?;
        Ok(Self { compressor, stream: Vec::new(), record_bytes: 0.0, truncated: 0 })
    }

    /// How many records lost fields or the end of their body since this was last asked.
    pub fn take_truncated(&mut self) -> u64 {
        std::mem::take(&mut self.truncated)
    }

    /// The messages of a batch, in order, none larger than `limit_bytes`. Together they are the batch.
    ///
    /// # Errors
    /// `too_large` when names and ranges alone are over the limit; `corrupt` when the batch is not one of logs.
    pub fn encode(&mut self, batch: Batch, limit_bytes: usize) -> Result<Vec<Message>> {
        let rows = batch.records.num_rows();
        let expected = (rows as f64 * self.record_bytes) as usize;
        let mut messages = Vec::new();
        if expected > limit_bytes {
            // A little more than it takes, so that none of them is encoded twice.
            self.cut(batch, expected / limit_bytes + 2, limit_bytes, &mut messages)?;
        } else {
            self.encode_into(batch, limit_bytes, &mut messages)?;
        }
        if rows > 0 {
            let bytes: usize = messages.iter().map(Message::size_bytes).sum();
            self.record_bytes = bytes as f64 / rows as f64;
        }
        Ok(messages)
    }

    fn encode_into(&mut self, batch: Batch, limit: usize, out: &mut Vec<Message>) -> Result<()> {
        let message = self.encode_one(&batch)?;
        let size = message.size_bytes();
        if size <= limit {
            out.push(message);
            return Ok(());
        }
        match batch.records.num_rows() {
            0 | 1 if batch.ranges.len() > 1 => {
                for part in shrink::by_ranges(batch)? {
                    self.encode_into(part, limit, out)?;
                }
                Ok(())
            }
            0 | 1 => {
                out.push(self.encode_large(batch, limit)?);
                Ok(())
            }
            rows => self.cut(batch, (size.div_ceil(limit) + 1).min(rows), limit, out),
        }
    }

    /// Cuts a batch in so many parts of equally many rows.
    fn cut(
        &mut self,
        mut batch: Batch,
        parts: usize,
        limit: usize,
        out: &mut Vec<Message>,
    ) -> Result<()> {
        let rows = batch.records.num_rows().div_ceil(parts);
        while batch.records.num_rows() > rows {
            let (first, rest) = batch.split_at_row(rows)?;
            self.encode_into(first, limit, out)?;
            batch = rest;
        }
        self.encode_into(batch, limit, out)
    }

    /// One record that does not fit: compressed harder, then without its fields, then with ever less of its body.
    fn encode_large(&mut self, mut batch: Batch, limit: usize) -> Result<Message> {
        let mut message = self.encode_harder(&batch)?;
        if message.size_bytes() <= limit {
            return Ok(message);
        }
        if batch.records.num_rows() == 0 {
            return Err(Error::too_large(format!(
                "the ranges of one batch do not fit into a message of {limit} bytes: raise kafka.message_limit and the topic's max.message.bytes"
            )));
        }
        self.truncated += 1;
        let mut keep = usize::MAX;
        loop {
            batch.records = shrink::truncated(&batch.records, keep)?;
            message = self.encode_one(&batch)?;
            if message.size_bytes() <= limit {
                return Ok(message);
            }
            if keep == 0 {
                return Err(Error::too_large(format!(
                    "a record without its body does not fit into a message of {limit} bytes: its labels are larger; raise kafka.message_limit and the topic's \
                     max.message.bytes"
                )));
            }
            keep = shrink::body_bytes(&batch.records) / 2;
        }
    }

    fn encode_harder(&mut self, batch: &Batch) -> Result<Message> {
        let cannot = |e| Error::io("set the compressor of messages", e);
        self.compressor.set_compression_level(LEVEL_OF_LARGE).map_err(cannot)?;
        self.compressor
            .set_parameter(CParameter::WindowLog(WINDOW_LOG_OF_LARGE))
            .map_err(cannot)?;
        let message = self.encode_one(batch);
        // 0 is what the level says.
        self.compressor.set_parameter(CParameter::WindowLog(0)).map_err(cannot)?;
        self.compressor.set_compression_level(LEVEL).map_err(cannot)?;
        message
    }

    fn encode_one(&mut self, batch: &Batch) -> Result<Message> {
        let records = shrink::without_unused_names(&batch.records)?;
        self.stream.clear();
        let mut writer = StreamWriter::try_new(&mut self.stream, &records.schema())?;
        writer.write(&records)?;
        writer.finish()?;
        drop(writer);
        let payload = self
            .compressor
            .compress(&self.stream)
            .map_err(|e| Error::io("compress a message", e))?;
        Ok(Message {
            collector: batch.collector.clone(),
            tenant: batch.tenant.clone(),
            ranges: ranges::encode(&batch.ranges),
            payload,
            records: records.num_rows(),
        })
    }
}

/// A message as it came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// Header `rookery`.
    pub version: Option<&'a [u8]>,
    /// Header `tenant`.
    pub tenant: Option<&'a [u8]>,
    /// Header `ranges`.
    pub ranges: Option<&'a [u8]>,
    /// Header `hash`.
    pub hash: Option<&'a [u8]>,
    /// The payload.
    pub payload: &'a [u8],
}

/// Reads messages; keeps what can be used again.
pub struct Decoder {
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl Decoder {
    /// A decoder.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Self> {
        let mut decompressor = zstd::bulk::Decompressor::new()
            .map_err(|e| Error::io("start the decompressor of messages", e))?;
        decompressor
            .window_log_max(WINDOW_LOG_OF_LARGE)
            .map_err(|e| Error::io("set the decompressor of messages", e))?;
        Ok(Self { decompressor })
    }

    /// The batch of a message.
    ///
    /// # Errors
    /// `corrupt` when the message is not what an [`Encoder`] makes; the text says in what.
    pub fn decode(&mut self, raw: &Raw<'_>) -> Result<Batch> {
        let text = |what, bytes: Option<&[u8]>| {
            let bytes =
                bytes.ok_or_else(|| Error::corrupt(format!("the message has no {what}")))?;
            std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|e| Error::corrupt(format!("the message's {what} is not text")).because(e))
        };
        match raw.version {
            Some(VERSION) => {}
            Some(other) => {
                let other = String::from_utf8_lossy(&other[..other.len().min(20)]).into_owned();
                return Err(Error::corrupt(format!(
                    "the message is of version {other:?}, this build reads version 1: upgrade the ingesters before the collectors"
                )));
            }
            None => {
                return Err(Error::corrupt(
                    "the message has no header \"rookery\": it is not from a collector",
                ));
            }
        }
        let tenant = Tenant::new(&text("header \"tenant\"", raw.tenant)?)
            .map_err(|e| Error::corrupt("the message's tenant is not one").because(e))?;
        let collector = text("key", raw.key)?.into();
        let ranges =
            raw.ranges.ok_or_else(|| Error::corrupt("the message has no header \"ranges\""))?;
        let ranges = ranges::decode(ranges)?;
        if raw.hash != Some(&hash(raw.payload)) {
            return Err(Error::corrupt(
                "the message's payload is not what its header \"hash\" says",
            ));
        }
        let batch = Batch { tenant, collector, records: self.records(raw.payload)?, ranges };
        batch.check()?;
        Ok(batch)
    }

    fn records(&mut self, payload: &[u8]) -> Result<RecordBatch> {
        let size = zstd::zstd_safe::get_frame_content_size(payload).ok().flatten();
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        if size > DECODED_LIMIT_BYTES {
            return Err(Error::corrupt(
                "the message's payload is no zstd frame that says its size, or is larger than 256 MiB",
            ));
        }
        let stream = self
            .decompressor
            .decompress(payload, size)
            .map_err(|e| Error::corrupt("cannot decompress the message's payload").because(e))?;
        let mut batches = logs::ipc::read(Buffer::from_vec(stream), DECODED_LIMIT_BYTES as u64)
            .map_err(|e| Error::corrupt("the message's columns cannot be read").because(e))?;
        if batches.len() > 1 {
            return Err(Error::corrupt("the message holds more than one record batch"));
        }
        Ok(batches.pop().unwrap_or_else(|| RecordBatch::new_empty(logs::schema())))
    }
}

#[cfg(test)]
mod tests;
