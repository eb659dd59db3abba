//! Joins lines into records: the parts of a long line, and lines that belong together. Keeps the stream's order.
//!
//! Of each output (stdout, stderr) at most one record is open: the next line of that output may continue it. Records
//! leave in the order of their first bytes, because a store drops what starts before the last record that it has; so a
//! finished record waits while one that started before it is open. And where the lines of records interleave, they leave
//! together: whoever starts to read where the next one starts must not meet a line of one that is gone. What waits is bounded: in bytes, in records, and in
//! the time that the lines themselves say. At a bound the oldest open record is finished as it is, marked `truncated`
//! when it lacked its end.
//!
//! Whether a line continues a record depends on the lines alone, not on when they were read; the one exception is the
//! quiet time, after which the last record is finished without having seen its successor.
//!
//! A record's text is a range of the chunk that is being decoded as long as it is one line of it; it is copied only when
//! it is joined or outlives the chunk.

pub(super) mod trace;

use std::collections::VecDeque;
use std::ops::Range;

use rookery_core::Position;

use super::config::{DecodeConfig, MultilineConfig};
use super::frame::Output;
use super::stats::DecodeStats;
use super::time::form;
use trace::Trace;

/// The most records that wait for one that started before them.
const WAITING_LIMIT: usize = 1_024;
/// How much later a line may be than an unfinished part of another before that part is given up: the runtime writes
/// the parts of a line at once, so a longer pause means that the rest never came.
const PART_LIMIT_NS: i64 = 5_000_000_000;
/// How many blank lines may stand inside a record.
const BLANKS_LIMIT: u32 = 2;
/// Buffers that are kept for the next record, and the largest that is.
const SPARES: usize = 2;
const SPARE_LIMIT_BYTES: usize = 16 << 10;

/// Where a line is, with its newline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub generation: u64,
    pub start: u64,
    pub end: u64,
}

impl Span {
    fn start(self) -> Position {
        Position { generation: self.generation, offset: self.start }
    }

    fn end(self) -> Position {
        Position { generation: self.generation, offset: self.end }
    }
}

/// A line without its wrapping.
pub(super) struct Line<'a> {
    pub span: Span,
    /// The runtime's time.
    pub time: Option<i64>,
    pub output: Output,
    /// Whether the next line of this output continues it.
    pub partial: bool,
    /// Whether its end was cut off by the reader.
    pub cut: bool,
    pub text: &'a [u8],
    /// Where the text is in the chunk, if it is.
    pub range: Option<Range<usize>>,
    pub observed: i64,
}

/// A record, finished or not.
#[derive(Debug)]
pub(super) struct Record {
    pub start: Position,
    /// Where its last line ends.
    end: Position,
    /// The runtime's time of its first part.
    pub time: Option<i64>,
    pub output: Output,
    pub truncated: bool,
    pub observed: i64,
    pub lines: u32,
    last_time: Option<i64>,
    blanks: u32,
    partial: bool,
    open: bool,
    trace: Trace,
    text: Text,
}

#[derive(Debug)]
enum Text {
    Chunk(Range<usize>),
    Own(Vec<u8>),
}

impl Text {
    fn len(&self) -> usize {
        match self {
            Self::Chunk(range) => range.len(),
            Self::Own(bytes) => bytes.len(),
        }
    }

    fn bytes<'a>(&'a self, chunk: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Chunk(range) => &chunk[range.clone()],
            Self::Own(bytes) => bytes,
        }
    }
}

impl Record {
    /// The record's text; `chunk` is the one that is being decoded.
    pub(super) fn text<'a>(&'a self, chunk: &'a [u8]) -> &'a [u8] {
        self.text.bytes(chunk)
    }
}

/// The records of one stream that are not gone yet.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    queue: VecDeque<Record>,
    /// The number of the queue's front; records are numbered as they come.
    front: u64,
    /// The open record of each output.
    open: [Option<u64>; Output::COUNT],
    /// The bytes of all texts in the queue.
    bytes: usize,
    /// How many records at the front may leave.
    ready: usize,
    /// The open record for which the front was last seen to wait.
    blocked: Option<u64>,
    spare: Vec<Vec<u8>>,
}

impl Joiner {
    /// Where the earliest record that is not gone starts.
    pub(super) fn pending(&self) -> Option<Position> {
        self.queue.front().map(|record| record.start)
    }

    /// Takes a line: it continues the open record of its output, or starts one.
    pub(super) fn line(
        &mut self,
        line: &Line<'_>,
        chunk: &[u8],
        config: &DecodeConfig,
        stats: &mut DecodeStats,
    ) {
        self.age(line, config, stats);
        let continued = match self.open[line.output.index()] {
            Some(number) => self.proceed(number, line, chunk, config, stats),
            None => false,
        };
        if continued {
            return self.bound(config, stats);
        }
        if line.text.is_empty() && !line.partial {
            stats.blank += 1;
            return;
        }
        self.start(line, config);
        self.bound(config, stats);
    }

    /// The open record with the next line of its output: joined, or finished; false when the line is a record's first.
    fn proceed(
        &mut self,
        number: u64,
        line: &Line<'_>,
        chunk: &[u8],
        config: &DecodeConfig,
        stats: &mut DecodeStats,
    ) -> bool {
        let record = &mut self.queue[(number - self.front) as usize];
        let part = record.partial;
        let blank = line.text.is_empty() && !line.partial;
        if !part && blank && record.blanks < BLANKS_LIMIT {
            record.blanks += 1;
            return true;
        }
        if !part && !continues(record, chunk, line, &config.multiline) {
            self.close(number, stats);
            return false;
        }
        let newlines = if part { 0 } else { record.blanks as usize + 1 };
        let newlines = &[b'\n'; BLANKS_LIMIT as usize + 1][..newlines];
        let before = record.text.len();
        append(record, &mut self.spare, chunk, newlines, line, config.record_limit.as_usize());
        self.bytes += record.text.len() - before;
        record.blanks = 0;
        record.lines += u32::from(!part);
        if record.partial {
            return true;
        }
        let text = record.text.bytes(chunk);
        if record.lines == 1 {
            record.trace = Trace::start(text);
        }
        if record.truncated || record.lines == 1 && !may_continue(text, false, &config.multiline) {
            self.close(number, stats);
        }
        true
    }

    fn start(&mut self, line: &Line<'_>, config: &DecodeConfig) {
        let limit = config.record_limit.as_usize();
        let text = &line.text[..line.text.len().min(limit)];
        let truncated = line.cut || text.len() < line.text.len();
        let open = line.partial || may_continue(text, truncated, &config.multiline);
        if open {
            self.open[line.output.index()] = Some(self.front + self.queue.len() as u64);
        }
        self.bytes += text.len();
        let text = match &line.range {
            Some(range) => Text::Chunk(range.start..range.start + text.len()),
            None => {
                let mut bytes = self.spare.pop().unwrap_or_default();
                bytes.extend_from_slice(text);
                Text::Own(bytes)
            }
        };
        self.queue.push_back(Record {
            start: line.span.start(),
            end: line.span.end(),
            time: line.time,
            output: line.output,
            truncated,
            observed: line.observed,
            lines: 1,
            last_time: line.time,
            blanks: 0,
            partial: line.partial,
            open,
            trace: Trace::start(line.text),
            text,
        });
    }

    /// Finishes an open record.
    fn close(&mut self, number: u64, stats: &mut DecodeStats) {
        let record = &mut self.queue[(number - self.front) as usize];
        record.open = false;
        record.truncated |= record.partial;
        record.partial = false;
        stats.blank += u64::from(record.blanks);
        record.blanks = 0;
        self.open[record.output.index()] = None;
    }

    /// Finishes the open records of the other outputs whose last line is long past, by the time of this one.
    #[inline]
    fn age(&mut self, line: &Line<'_>, config: &DecodeConfig, stats: &mut DecodeStats) {
        let Some(now) = line.time else { return };
        for output in 0..Output::COUNT {
            let Some(number) = self.open[output].filter(|_| output != line.output.index()) else {
                continue;
            };
            let record = &self.queue[(number - self.front) as usize];
            let limit = if record.partial { PART_LIMIT_NS } else { quiet_ns(&config.multiline) };
            if record.last_time.is_none_or(|last| now.saturating_sub(last) > limit) {
                self.close(number, stats);
            }
        }
    }

    /// Finishes the oldest open record where too much waits for it.
    #[inline]
    fn bound(&mut self, config: &DecodeConfig, stats: &mut DecodeStats) {
        let limit = config.record_limit.as_usize();
        while self.queue.len() > 1
            && let Some(oldest) = self.open.iter().flatten().min().copied()
        {
            let record = &self.queue[(oldest - self.front) as usize];
            if self.bytes - record.text.len() <= limit && self.queue.len() <= WAITING_LIMIT {
                return;
            }
            self.close(oldest, stats);
            if self.is_ready() {
                return;
            }
        }
    }

    /// Whether a record may leave: it is finished, and so is every one whose lines interleave with its own.
    fn is_ready(&mut self) -> bool {
        if self.ready > 0 {
            return true;
        }
        let is_open = |number: u64| self.open.contains(&Some(number));
        if self.queue.is_empty() || self.blocked.is_some_and(is_open) {
            return false;
        }
        let mut end = Position::default();
        for (index, record) in self.queue.iter().enumerate() {
            if index > 0 && record.start >= end {
                break;
            }
            if record.open {
                self.blocked = Some(self.front + index as u64);
                self.ready = 0;
                return false;
            }
            end = end.max(record.end);
            self.ready = index + 1;
        }
        true
    }

    /// The next record that may leave.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Record> {
        if !self.is_ready() {
            return None;
        }
        let record = self.queue.pop_front()?;
        self.ready -= 1;
        self.front += 1;
        self.bytes -= record.text.len();
        Some(record)
    }

    /// Gives a record's buffer back.
    pub(super) fn recycle(&mut self, record: Record) {
        if let Text::Own(mut bytes) = record.text
            && self.spare.len() < SPARES
            && bytes.capacity() <= SPARE_LIMIT_BYTES
        {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// The chunk is about to go: what is left of it is copied.
    pub(super) fn leave(&mut self, chunk: &[u8]) {
        for record in &mut self.queue {
            own(&mut record.text, &mut self.spare, chunk);
        }
    }

    /// Finishes what may be finished after a quiet time; with `force`, everything.
    pub(super) fn flush(&mut self, observed: i64, force: bool, stats: &mut DecodeStats) {
        for index in 0..self.queue.len() {
            let record = &self.queue[index];
            let waits = index + 1 < self.queue.len();
            let given_up = waits && observed - record.observed > PART_LIMIT_NS;
            if record.open && (!record.partial || force || given_up) {
                self.close(self.front + index as u64, stats);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.queue.capacity() * size_of::<Record>()
            + self.spare.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Gives back the memory of an idle stream.
    pub(super) fn shrink(&mut self) {
        if self.queue.is_empty() {
            self.spare = Vec::new();
            self.queue.shrink_to(0);
        }
    }
}

/// Whether a record that starts with this line may be continued by the next.
fn may_continue(text: &[u8], truncated: bool, config: &MultilineConfig) -> bool {
    if truncated {
        return false;
    }
    // An object of JSON on one line is whole.
    let whole = || text.first() == Some(&b'{') && text.last() == Some(&b'}');
    config.start_pattern.is_some() || config.auto && !whole()
}

/// How much later than an open record's last line the next may be and continue it, by the times of the lines: the
/// same as the quiet time, so that reading late and reading at once join the same.
fn quiet_ns(config: &MultilineConfig) -> i64 {
    i64::try_from(config.timeout.0.as_nanos()).unwrap_or(i64::MAX)
}

fn continues(record: &mut Record, chunk: &[u8], line: &Line<'_>, config: &MultilineConfig) -> bool {
    let length = record.text.len() + line.text.len() + 1 + record.blanks as usize;
    if record.lines >= config.max_lines || length > config.max_bytes.as_usize() {
        return false;
    }
    let age = line.time.zip(record.last_time).map_or(0, |(now, last)| now.saturating_sub(last));
    if age > quiet_ns(config) {
        return false;
    }
    if let Some(pattern) = &config.start_pattern {
        return !pattern.is_match(line.text);
    }
    let text = match &record.text {
        Text::Chunk(range) => &chunk[range.clone()],
        Text::Own(bytes) => bytes,
    };
    record.trace.continues(text, record.lines, record.blanks, line.text)
}

fn append(
    record: &mut Record,
    spare: &mut Vec<Vec<u8>>,
    chunk: &[u8],
    newlines: &[u8],
    line: &Line<'_>,
    limit: usize,
) {
    own(&mut record.text, spare, chunk);
    let Text::Own(text) = &mut record.text else { return };
    let room = limit.saturating_sub(text.len());
    record.truncated |= line.cut || room < line.text.len() + newlines.len();
    if room >= newlines.len() {
        text.extend_from_slice(newlines);
        let kept = line.text.len().min(room - newlines.len());
        text.extend_from_slice(&line.text[..kept]);
    }
    record.partial = line.partial;
    record.end = line.span.end();
    record.last_time = line.time.or(record.last_time);
}

fn own(text: &mut Text, spare: &mut Vec<Vec<u8>>, chunk: &[u8]) {
    if let Text::Chunk(range) = text {
        let mut bytes = spare.pop().unwrap_or_default();
        bytes.extend_from_slice(&chunk[range.clone()]);
        *text = Text::Own(bytes);
    }
}

/// Whether a line that is indented is a record of its own nevertheless: it starts with a time.
fn starts_with_time(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
        && form::read_any(text).is_some_and(|stamp| stamp.is_full())
}

#[cfg(test)]
mod tests;
