//! Turns the bytes of one stream's chain of files into records.
//!
//! A line passes through four steps, each a module of its own and each pure:
//!
//! ```text
//! chunk ─► frame ─► join ─► time ─► body ─► LogBatchBuilder
//!          CRI,     parts,  as      fields,
//!          Docker,  multi-  printed severity,
//!          plain    line            trace ids
//! ```
//!
//! Invariants: records of a stream leave in the order of their first bytes, always (the store's mark drops what comes
//! late). The same bytes give the same records, wherever a chunk was cut and whenever they were read; only the quiet time
//! of [`StreamDecoder::flush`] may cut a record that a slow program is still writing. No line is dropped: what cannot be
//! understood is text. Nothing is allocated for a record that is one line of its chunk.
//!
//! The body is the whole message as printed, without the newline at its end. Fields are parsed out of it, and only three
//! are made here: `stream` (the container's output), `truncated`, and what [`body`] names.

pub mod body;
pub mod config;
mod frame;
mod join;
mod severity;
pub mod stats;
mod time;

use std::sync::Arc;

use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::time::SECOND;
use rookery_core::{Position, StreamId};

use body::{BodyOptions, BodyScratch, decode_body};
pub use config::DecodeConfig;
use config::{Format, TimeSource};
use frame::Output;
use join::{Joiner, Line, Record, Span};
pub use stats::DecodeStats;
pub use time::time_of;
use time::{Clock, Finder};

/// Decodes one stream. It holds the parts of records that are not finished.
pub struct StreamDecoder {
    joiner: Joiner,
    format: Format,
    /// The generation whose format that is.
    generation: Option<u64>,
    unescaped: String,
    finish: Finish,
}

/// The last steps: from the text of a record to its place in the batch.
struct Finish {
    config: Arc<DecodeConfig>,
    resource: Arc<Resource>,
    stream: StreamId,
    clock: Clock,
    finder: Finder,
    scratch: BodyScratch,
    lossy: String,
    /// The time of the record before.
    last_time: Option<i64>,
}

impl StreamDecoder {
    /// A decoder that has seen nothing.
    pub fn new(config: Arc<DecodeConfig>, resource: Arc<Resource>, stream: StreamId) -> Self {
        let clock = Clock::new(config.time.zone.get());
        Self {
            joiner: Joiner::default(),
            format: config.format,
            generation: None,
            unescaped: String::new(),
            finish: Finish {
                config,
                resource,
                stream,
                clock,
                finder: Finder::default(),
                scratch: BodyScratch::default(),
                lossy: String::new(),
                last_time: None,
            },
        }
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
        self.enter(generation, chunk, observed);
        let mut batch = Batch { resource: out.resource(&self.finish.resource), out, stats };
        let mut at = 0;
        while at < chunk.len() {
            let end = memchr::memchr(b'\n', &chunk[at..]).map_or(chunk.len(), |n| at + n);
            let next = (end + 1).min(chunk.len());
            let span = Span { generation, start: offset + at as u64, end: offset + next as u64 };
            self.line(span, chunk, at..end, observed, false, &mut batch);
            at = next;
        }
        self.joiner.leave(chunk);
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
        debug_assert!(length >= head.len() as u64);
        self.enter(generation, head, observed);
        let mut batch = Batch { resource: out.resource(&self.finish.resource), out, stats };
        let end = memchr::memchr(b'\n', head).unwrap_or(head.len());
        let span = Span { generation, start: offset, end: offset.saturating_add(length) };
        self.line(span, head, 0..end, observed, true, &mut batch);
        self.joiner.leave(head);
    }

    /// Where the earliest record that is not finished starts; `None` when nothing is pending. Ranges and checkpoints
    /// stop there.
    pub fn pending(&self) -> Option<Position> {
        self.joiner.pending()
    }

    /// The time of the last record, which a line without a time inherits; kept with a checkpoint, it makes that the same
    /// after a restart.
    pub fn last_time(&self) -> Option<i64> {
        self.finish.last_time
    }

    /// Continues where a decoder stopped whose [`last_time`](Self::last_time) was this.
    pub fn resume(&mut self, last_time: i64) {
        self.finish.last_time = Some(last_time);
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
        self.joiner.flush(observed, force, stats);
        let mut batch = Batch { resource: out.resource(&self.finish.resource), out, stats };
        self.take(&[], &mut batch);
        self.joiner.shrink();
        self.finish.scratch.shrink();
        self.finish.lossy = String::new();
        self.unescaped = String::new();
    }

    /// Into a generation, whose format is told from its first lines, and whose number is the time of its first record.
    fn enter(&mut self, generation: u64, chunk: &[u8], observed: i64) {
        let first = self.generation != Some(generation);
        self.generation = Some(generation);
        let auto = self.finish.config.format == Format::Auto;
        if auto && (first || self.format == Format::Auto) {
            self.format = frame::detect(chunk);
        }
        let time = i64::try_from(generation).ok().filter(|_| first);
        let plausible = time.filter(|t| (EARLIEST..observed.saturating_add(SECOND)).contains(t));
        self.finish.clock.set(observed, plausible);
    }

    fn line(
        &mut self,
        span: Span,
        chunk: &[u8],
        range: std::ops::Range<usize>,
        observed: i64,
        cut: bool,
        batch: &mut Batch<'_>,
    ) {
        batch.stats.lines += 1;
        let raw = &chunk[range.clone()];
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let frame = frame::unwrap(self.format, raw, &mut self.unescaped);
        batch.stats.unframed += u64::from(!frame.framed && !raw.is_empty());
        let mut line = Line {
            span,
            time: frame.time,
            output: frame.output,
            partial: frame.partial,
            cut,
            text: self.unescaped.as_bytes(),
            range: None,
            observed,
        };
        if let frame::Text::Line(text) = frame.text {
            line.text = &raw[text.clone()];
            line.range = Some(range.start + text.start..range.start + text.end);
        }
        // A carriage return ahead of Docker's escaped newline.
        if let Some(text) = line.text.strip_suffix(b"\r").filter(|_| !line.partial) {
            line.text = text;
            line.range = line.range.map(|r| r.start..r.end - 1);
        }
        self.joiner.line(&line, chunk, &self.finish.config, batch.stats);
        self.take(chunk, batch);
    }

    /// Puts what is finished into the batch.
    #[inline]
    fn take(&mut self, chunk: &[u8], batch: &mut Batch<'_>) {
        while let Some(record) = self.joiner.next() {
            self.finish.record(&record, record.text(chunk), batch);
            self.joiner.recycle(record);
        }
    }
}

/// Times before 1990 are no times of a log's first record.
const EARLIEST: i64 = 631_152_000 * SECOND;

/// Where records go.
struct Batch<'a> {
    resource: u32,
    out: &'a mut LogBatchBuilder,
    stats: &'a mut DecodeStats,
}

impl Finish {
    /// Puts one record into the batch.
    fn record(&mut self, record: &Record, text: &[u8], batch: &mut Batch<'_>) {
        let Batch { resource, out, stats } = batch;
        let text = trim_end(text, record.truncated);
        let mut lossy = std::mem::take(&mut self.lossy);
        let body = std::str::from_utf8(text).unwrap_or_else(|_| {
            stats.invalid_utf8 += 1;
            replace_invalid(text, &mut lossy);
            &lossy
        });
        let printed = self.config.time.source == TimeSource::Printed;
        let wants_time = record.time.is_none() || printed;
        let options = BodyOptions {
            parse: &self.config.parse,
            fields_limit: self.config.fields_limit,
            clock: wants_time.then_some(&mut self.clock),
        };
        let facts = decode_body(body, options, &mut self.scratch, out);
        stats.fields_dropped += u64::from(facts.dropped);
        if record.output != Output::None {
            out.field("stream", record.output.name());
        }
        if record.truncated {
            out.field("truncated", "true");
        }
        let mut time = record.time;
        if wants_time {
            let Self { finder, config, clock, .. } = self;
            time = facts.time.or(time);
            if facts.time.is_none() && !facts.keyed {
                let found = finder.find(body.as_bytes(), &config.time, clock);
                time = found.map(|f| f.time).or(time);
            }
        }
        let time = self.settle(time, record.observed, stats);
        stats.records += 1;
        stats.joined += u64::from(record.lines > 1);
        stats.truncated += u64::from(record.truncated);
        out.push_body(body);
        out.finish_record(Head {
            resource: *resource,
            stream: self.stream,
            position: record.start,
            time,
            observed: record.observed,
            severity: facts.severity,
            trace_id: facts.trace_id(),
            span_id: facts.span_id(),
        });
        self.lossy = lossy;
    }

    /// The record's time: its own, else that of the record before, else that of collection.
    fn settle(&mut self, time: Option<i64>, observed: i64, stats: &mut DecodeStats) -> i64 {
        if let Some(time) = time {
            self.last_time = Some(time);
            self.clock.set(observed, Some(time));
        }
        if self.config.time.source == TimeSource::Observed {
            return observed;
        }
        match (time, self.last_time) {
            (Some(time), _) => time,
            (None, Some(last)) => {
                stats.time_inherited += 1;
                last
            }
            (None, None) => {
                stats.time_fallback += 1;
                observed
            }
        }
    }
}

/// The text with U+FFFD for what is no UTF-8.
fn replace_invalid(text: &[u8], out: &mut String) {
    out.clear();
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        out.push_str(if chunk.invalid().is_empty() { "" } else { "\u{fffd}" });
    }
}

/// Without the end of a line at the end, and, where the text was cut, without a part of a character.
fn trim_end(text: &[u8], truncated: bool) -> &[u8] {
    let kept = text.len() - text.iter().rev().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let text = &text[..kept];
    if !truncated {
        return text;
    }
    match std::str::from_utf8(text) {
        Err(e) if e.error_len().is_none() => &text[..e.valid_up_to()],
        _ => text,
    }
}

/// The time of the first record in the first bytes of a file: of the first line that says one. In nanoseconds since
/// the epoch, and whether it has digits below a second. A last line without its end counts, unless it may be cut inside
/// its time.
///
/// Where the file's times name no year, it is inferred from the machine's clock; [`first_time_near`] is the better
/// choice when the file's time of modification is known.
pub fn first_time(config: &DecodeConfig, head: &[u8]) -> Option<(i64, bool)> {
    first_time_near(config, head, rookery_core::time::now())
}

/// As [`first_time`], where the file was last written at `modified` (nanoseconds since the epoch): a time without a year
/// is the last one that is not after that, so that a file keeps its first time however late it is read.
pub fn first_time_near(config: &DecodeConfig, head: &[u8], modified: i64) -> Option<(i64, bool)> {
    let format = match config.format {
        Format::Auto => frame::detect(head),
        format => format,
    };
    let mut clock = Clock::new(config.time.zone.get());
    clock.set(modified, None);
    let mut unescaped = String::new();
    let mut scratch = BodyScratch::default();
    let mut discarded = LogBatchBuilder::default();
    for line in head.split_inclusive(|&b| b == b'\n') {
        let (line, is_cut) = match line.strip_suffix(b"\n") {
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), false),
            None => (line, true),
        };
        let frame = frame::unwrap(format, line, &mut unescaped);
        if let Some(time) = frame.time {
            return Some((time, time % SECOND != 0));
        }
        if format != Format::Plain || line.is_empty() {
            continue;
        }
        let body = String::from_utf8_lossy(line);
        let mut options = BodyOptions::new(&config.parse, 0);
        options.clock = Some(&mut clock);
        let facts = decode_body(&body, options, &mut scratch, &mut discarded);
        discarded.cancel_record();
        if let Some(time) = facts.time {
            return Some((time, facts.subsecond));
        }
        if facts.keyed {
            continue;
        }
        let found = Finder::default().find(line, &config.time, &mut clock);
        // A line that is cut may end inside its time.
        if let Some(found) = found.filter(|found| !is_cut || found.end < line.len()) {
            return Some((found.time, found.subsecond));
        }
    }
    None
}

#[cfg(test)]
mod tests;
