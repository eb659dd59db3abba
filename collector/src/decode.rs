//! Turns the bytes of one stream's chain of files into records.

pub mod config;
pub mod stats;

use std::sync::Arc;

use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::{Position, StreamId};

pub use config::DecodeConfig;
pub use stats::DecodeStats;

/// Decodes one stream. It holds the parts of records that are not finished.
pub struct StreamDecoder {
    #[expect(dead_code, reason = "used as soon as formats are told apart")]
    config: Arc<DecodeConfig>,
    resource: Arc<Resource>,
    stream: StreamId,
}

impl StreamDecoder {
    /// A decoder that has seen nothing.
    pub fn new(config: Arc<DecodeConfig>, resource: Arc<Resource>, stream: StreamId) -> Self {
        Self { config, resource, stream }
    }

    /// Decodes `chunk`, complete lines that start at `offset` of `generation` (the last line of a finished file may
    /// lack its newline), and appends the records that are finished to `out`, in the order of their first bytes.
    /// `observed` is when it was read, in nanoseconds since the epoch.
    pub fn push(
        &mut self,
        generation: u64,
        offset: u64,
        chunk: &[u8],
        observed: i64,
        out: &mut LogBatchBuilder,
        stats: &mut DecodeStats,
    ) {
        let mut at = offset;
        for line in chunk.split_inclusive(|&b| b == b'\n') {
            let position = Position { generation, offset: at };
            at += line.len() as u64;
            out.push_body(String::from_utf8_lossy(line).trim_end());
            let resource = out.resource(&self.resource);
            out.finish_record(Head {
                resource,
                stream: self.stream,
                position,
                time: observed,
                observed,
                severity: 0,
                trace_id: None,
                span_id: None,
            });
            stats.records += 1;
        }
    }

    /// Decodes a line over the limit, cut by the reader: `head` is its start, `length` its true length with the
    /// newline.
    #[expect(clippy::too_many_arguments, reason = "the same as `push`, and the length")]
    pub fn push_truncated(
        &mut self,
        generation: u64,
        offset: u64,
        head: &[u8],
        length: u64,
        observed: i64,
        out: &mut LogBatchBuilder,
        stats: &mut DecodeStats,
    ) {
        let _ = length;
        self.push(generation, offset, head, observed, out, stats);
    }

    /// Where the earliest record that is not finished starts; `None` when nothing is pending. Ranges and checkpoints
    /// stop there.
    pub fn pending(&self) -> Option<Position> {
        None
    }

    /// Finishes what is pending: records that could be continued, after the stream was quiet for
    /// [`config::MultilineConfig::timeout`]; with `force`, at the end of the chain, also parts whose rest never came.
    pub fn flush(
        &mut self,
        observed: i64,
        out: &mut LogBatchBuilder,
        stats: &mut DecodeStats,
        force: bool,
    ) {
        let _ = (observed, out, stats, force);
    }
}

/// The time of the first record in the first bytes of a file: of the first line that says one. In nanoseconds since
/// the epoch, and whether it has digits below a second.
pub fn first_time(config: &DecodeConfig, head: &[u8]) -> Option<(i64, bool)> {
    let _ = (config, head);
    None
}
