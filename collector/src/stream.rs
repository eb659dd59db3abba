//! One stream: its files in the order in which they were written, and how far it was read, shipped, and made safe.
//!
//! ```text
//! files:  [ front, being read ] [ successors, waiting, open ]
//! held:   read to the end, not yet safe; kept open and linked in the spool
//! ```
//!
//! The rules, from which order and completeness follow:
//! - Only the front is read. It ends when it is at its end **and** a successor has a line **and** it is sure that its writer has let go of it:
//!   it is compressed, or two successors have lines, or it was quiet for `rotate_wait`.
//! - A file gets its generation when its turn comes, so that it can be made greater than the one before.
//! - What was read is passed over in [`Coverage`], byte by byte, whatever becomes of it. A batch takes from it up to
//!   the first byte of the earliest unfinished record.
//! - No byte is remembered between turns but 32 that guard against a rewritten file; an unfinished line is read again.

mod hold;
mod merge;
mod read;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rookery_core::Position;
use rookery_core::batch::{Fate, Range};
use rookery_core::ledger::{ReadState, Tally};
use rookery_core::logs::builder::LogBatchBuilder;

use crate::chain::Chain;
use crate::checkpoint::{Entry, Remembered};
use crate::config::StartAt;
use crate::counters::{Counters, DELETED_UNREAD, HOLE, START_AT_END};
use crate::coverage::Coverage;
use crate::decode::{DecodeStats, StreamDecoder};
use crate::file::{ChainFile, First, Identity, identify};
use crate::find::LookAgain;
use crate::source::{FileKey, Guard, Head, START_BYTES, Source, Start};
use hold::{Held, LateShipped};

/// How long a file whose lines say no time is waited for, before its birth is taken for one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How soon a file that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What a stream needs to work: the batch under construction, scratch space, the time.
pub(crate) struct Desk<'a> {
    /// Where records go.
    pub(crate) builder: &'a mut LogBatchBuilder,
    /// What decoding counts.
    pub(crate) decoded: &'a mut DecodeStats,
    /// Scratch for reads; grows to the record limit at most.
    pub(crate) buffer: &'a mut Vec<u8>,
    /// The counters.
    pub(crate) counters: &'a Counters,
    /// For asking the finder.
    pub(crate) again: &'a LookAgain,
    /// The steady clock.
    pub(crate) now: Instant,
    /// The wall clock, in nanoseconds since the epoch.
    pub(crate) observed: i64,
    /// How many bytes a turn may take.
    pub(crate) quantum: usize,
    /// How long a deleted file is still read.
    pub(crate) deleted_wait: Duration,
}

/// What a stream wants after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Another turn.
    More,
    /// A turn when something happens, or at this time at the latest.
    Wait(Option<Instant>),
}

/// See the module's documentation.
pub(crate) struct Stream {
    pub(crate) chain: Arc<Chain>,
    decoder: StreamDecoder,
    /// The restart whose number the decoder's resource says.
    restart: u64,
    files: VecDeque<ChainFile>,
    held: VecDeque<Held>,
    /// Bytes that were written to rotated files after their successor was begun, with the positions where they start.
    late: Vec<ChainFile>,
    /// Late bytes that were shipped: until they are safe, the checkpoint must not say that they are.
    late_shipped: Vec<LateShipped>,
    /// Not yet counted.
    late_bytes: u64,
    coverage: Coverage,
    /// What the chain's files were, as far as it matters: also from before a restart.
    remembered: Vec<Remembered>,
    ignored: HashSet<FileKey>,
    links: HashMap<FileKey, PathBuf>,
    /// The next byte to decode; meaningless until `has_history`.
    read: Position,
    /// Whether anything was ever read of it, by this process or one before.
    has_history: bool,
    /// Whether its present files may be passed over, as `start_at: end` says.
    may_skip: bool,
    was_listed: bool,
    acknowledged: Position,
    in_flight: Tally,
    flush_at: Option<Instant>,
    /// Whether the checkpoint must be told.
    pub(crate) is_dirty: bool,
    /// Whether it stands in the queue for a turn.
    pub(crate) is_queued: bool,
    /// The earliest timer that will wake it.
    pub(crate) wakes_at: Option<Instant>,
    /// Whether the batch under construction has something of it.
    pub(crate) is_in_batch: bool,
}

impl Stream {
    /// A stream that goes on after `entry`, if there is one.
    pub(crate) fn new(chain: Arc<Chain>, entry: Option<Entry>) -> Self {
        let position = entry.as_ref().map(|entry| entry.position);
        let start = position.unwrap_or_default();
        let resource = chain.resource_of(0);
        Self {
            decoder: StreamDecoder::new(chain.decode.clone(), resource, chain.id),
            restart: 0,
            files: VecDeque::new(),
            held: VecDeque::new(),
            late: Vec::new(),
            late_shipped: Vec::new(),
            late_bytes: 0,
            coverage: Coverage::new(chain.id, start),
            remembered: entry.map_or_else(Vec::new, |entry| entry.files),
            ignored: HashSet::new(),
            links: HashMap::new(),
            read: start,
            has_history: position.is_some(),
            may_skip: position.is_none() && chain.start_at == StartAt::End,
            was_listed: false,
            acknowledged: start,
            in_flight: Tally::default(),
            flush_at: None,
            is_dirty: false,
            is_queued: false,
            wakes_at: None,
            is_in_batch: false,
            chain,
        }
    }

    /// Reads for one turn.
    pub(crate) fn turn(&mut self, desk: &mut Desk<'_>) -> Outcome {
        desk.counters.late_bytes.add(std::mem::take(&mut self.late_bytes));
        let mut left = desk.quantum;
        let wait = loop {
            let Some(front) = self.files.front() else { break self.without_files(desk) };
            if front.source.is_none() {
                if front.awaits_listing.is_some() {
                    break None;
                }
                self.give_up_truncated(desk);
                continue;
            }
            if front.generation.is_none() {
                match self.begin(desk) {
                    Begin::Done => continue,
                    Begin::Wait(until) => break until,
                }
            }
            match self.read_front(desk, &mut left) {
                read::Outcome::More if left == 0 => return Outcome::More,
                read::Outcome::More => {}
                read::Outcome::End => match self.at_end(desk) {
                    AtEnd::Next => {}
                    AtEnd::Wait(until) => break until,
                },
                read::Outcome::Rewritten => self.rewritten(0, desk),
                read::Outcome::Broken => break Some(desk.now + RETRY),
            }
        };
        let flush = self.flush_when_quiet(desk);
        Outcome::Wait([wait, flush].into_iter().flatten().min())
    }

    /// Finishes a multi-line record that nothing continued for its time. Returns when to come for it.
    fn flush_when_quiet(&mut self, desk: &mut Desk<'_>) -> Option<Instant> {
        let due = self.flush_at?;
        if due > desk.now {
            return Some(due);
        }
        self.flush_at = None;
        self.decode(desk, |stream, desk| {
            stream.decoder.flush(desk.observed, desk.builder, desk.decoded, false);
        });
        None
    }

    /// Finishes all that is pending: nothing more can continue it.
    fn flush_for_good(&mut self, desk: &mut Desk<'_>) {
        self.flush_at = None;
        self.decode(desk, |stream, desk| {
            stream.decoder.flush(desk.observed, desk.builder, desk.decoded, true);
        });
    }

    /// Runs the decoder, and counts the records that it finished in the ranges in which they start.
    fn decode(&mut self, desk: &mut Desk<'_>, run: impl FnOnce(&mut Self, &mut Desk<'_>)) {
        let before = desk.builder.len();
        run(self, desk);
        let after = desk.builder.len();
        let mut row = before;
        // Only the first few can be of a generation before the present one.
        while row < after {
            let generation = desk.builder.position(row).generation;
            if generation == self.read.generation {
                self.coverage.count(generation, (after - row) as u64);
                break;
            }
            self.coverage.count(generation, 1);
            row += 1;
        }
        desk.counters.records.add((after - before) as u64);
    }

    /// Moves what is final to `out`, for a batch.
    pub(crate) fn take_ranges(&mut self, out: &mut Vec<Range>) {
        let from = out.len();
        self.coverage.take(self.decoder.pending(), out);
        for range in &out[from..] {
            self.in_flight += Tally { bytes: range.bytes(), records: range.records };
        }
    }

    /// Whether there is something for a batch.
    pub(crate) fn has_ranges(&self) -> bool {
        !self.coverage.is_empty(self.decoder.pending())
    }

    /// A range is safe: files that ended before it need not be kept.
    pub(crate) fn safe(&mut self, range: &Range) {
        self.acknowledged = range.end_position();
        self.in_flight.bytes = self.in_flight.bytes.saturating_sub(range.bytes());
        self.in_flight.records = self.in_flight.records.saturating_sub(range.records);
        self.is_dirty = true;
        self.let_go();
    }

    /// No file is there: all that is pending is as finished as it gets.
    fn without_files(&mut self, desk: &mut Desk<'_>) -> Option<Instant> {
        if self.decoder.pending().is_some() {
            self.flush_for_good(desk);
        }
        None
    }

    /// Finds out what the front is, and where its reading starts.
    fn begin(&mut self, desk: &mut Desk<'_>) -> Begin {
        let patience_over = |file: &ChainFile| {
            file.waited_since.is_some_and(|since| desk.now.duration_since(since) >= PATIENCE)
        };
        let has_successor = self.files.len() > 1;
        let front = self.files.front_mut().expect("a front to begin");
        let is_waited_for = patience_over(front);
        let is_final = !front.live || front.gone || is_waited_for;
        let source = front.source.as_mut().expect("a front without a source does not begin");
        if front.first.is_none() {
            match identify(source, &self.chain.decode, is_final) {
                Ok(Identity::Found(first)) => front.first = Some(first),
                Ok(Identity::Zeros) if is_waited_for => return self.drop_binary(desk),
                Ok(Identity::NotYet | Identity::Zeros) => {
                    let since = *front.waited_since.get_or_insert(desk.now);
                    return Begin::Wait(Some((since + PATIENCE).max(desk.now)));
                }
                Ok(Identity::Empty) if has_successor && !front.live => return self.drop_front(),
                Ok(Identity::Empty) if front.gone && front.is_deleted(0) => {
                    return self.drop_front();
                }
                Ok(Identity::Empty) => {
                    // It may still become a gzip file.
                    return Begin::Wait(None);
                }
                Ok(Identity::Binary) => return self.drop_binary(desk),
                Err(error) => return self.cannot_identify(desk, &error),
            }
        }
        self.find_rewritten(desk);
        let front = self.files.front_mut().expect("it was just looked at");
        let (Some(first), Some(_)) = (front.first, &front.source) else { return Begin::Done };
        // It may have been truncated after the listing that brought it: then copies came that are older than what it has now.
        if front.live && !front.is_confirmed && !self.chain.is_pod {
            if front.awaits_listing.is_none() {
                front.awaits_listing = Some(desk.again.at(&self.chain));
            }
            return Begin::Wait(None);
        }
        self.begin_at(first, desk);
        Begin::Done
    }

    fn drop_front(&mut self) -> Begin {
        self.files.pop_front();
        Begin::Done
    }

    fn drop_binary(&mut self, desk: &Desk<'_>) -> Begin {
        desk.counters.files_binary.add(1);
        if let Some(front) = self.files.front() {
            let path = front.path.display();
            tracing::info!(%path, "it is not text, and is not read");
            self.ignored.insert(front.key);
        }
        self.drop_front()
    }

    /// A gzip file that is still written, or damaged, or a disk that does not answer.
    fn cannot_identify(&mut self, desk: &Desk<'_>, error: &std::io::Error) -> Begin {
        let front = self.files.front_mut().expect("it was just looked at");
        let since = *front.waited_since.get_or_insert(desk.now);
        if desk.now.duration_since(since) < desk.deleted_wait {
            return Begin::Wait(Some(desk.now + RETRY));
        }
        desk.counters.unreadable.add(1);
        tracing::warn!(path = %front.path.display(), %error, "it cannot be read, and is passed over");
        self.ignored.insert(front.key);
        self.drop_front()
    }

    /// Gives the front its generation, and goes to its first byte that was not read.
    fn begin_at(&mut self, first: First, desk: &mut Desk<'_>) {
        let generation = self.generation_of_front(&first, desk.counters);
        if self.has_history && generation < self.read.generation {
            desk.counters.files_older.add(1);
            self.files.pop_front();
            return;
        }
        let offset = match self.has_history && generation == self.read.generation {
            true => self.read.offset,
            false => {
                self.give_up_rest_of_last(desk);
                0
            }
        };
        self.enter_restart(desk);
        let front = self.files.front_mut().expect("a front to begin");
        tracing::debug!(path = %front.path.display(), key = ?front.key.inode, generation, offset, "begun");
        front.generation = Some(generation);
        front.offset = offset;
        front.size = front.size.max(offset);
        self.read = Position { generation, offset };
        self.has_history = true;
        self.is_dirty = true;
        let is_late = front.late_of.is_some();
        self.remember(generation, first);
        if !is_late {
            desk.counters.files_begun.add(1);
            self.skip_hole(first.start.hole, desk.counters);
            self.skip_to_end(desk);
        }
    }

    /// The front's number: the one it had before, else the time of its first record, made greater than that of the file before it.
    fn generation_of_front(&mut self, first: &First, counters: &Counters) -> u64 {
        let front = self.files.front_mut().expect("a front to begin");
        if let Some(of) = front.late_of {
            let begun = |known: &&Remembered| {
                known.late_of == Some(of) && known.generation >= self.read.generation
            };
            let begun = self.remembered.iter().find(begun).map(|known| known.generation);
            return begun.unwrap_or(self.read.generation + 1);
        }
        let (key, expected) = (front.key, front.expected);
        let (mut head, mut size) = (Head::default(), u64::MAX);
        if let Some(source) = front.source.as_mut() {
            head = source.head(START_BYTES).unwrap_or_default();
            if let Source::Plain(file) = source {
                size = file.metadata().map_or(0, |metadata| metadata.len());
                front.size = front.size.max(size);
            }
        }
        // What is shorter than what was read of it is another file with the same start.
        let fits =
            |generation: &u64| *generation != self.read.generation || size >= self.read.offset;
        if let Some(known) = self.known_as(&head, first, key).filter(fits) {
            return known;
        }
        let wanted = expected.unwrap_or(first.time).max(first.time);
        let read = self.read.generation;
        if !self.has_history || wanted > read {
            return wanted;
        }
        // Forgotten, because too many came after it: then its place among the others is what it was.
        let is_known = self.remembered.iter().any(|known| known.generation == read);
        if wanted == read && !is_known && fits(&read) {
            return read;
        }
        counters.generations_moved.add(1);
        read + 1
    }

    /// Another start of the container ends what the one before had begun to say.
    fn enter_restart(&mut self, desk: &mut Desk<'_>) {
        let restart = self.files.front().map_or(0, |front| front.restart);
        if restart == self.restart {
            return;
        }
        self.flush_for_good(desk);
        let resource = self.chain.resource_of(restart);
        self.decoder = StreamDecoder::new(self.chain.decode.clone(), resource, self.chain.id);
        self.restart = restart;
    }

    /// The file that was being read when the collector ended is gone: what was still in it is lost, as far as it is known.
    fn give_up_rest_of_last(&mut self, desk: &Desk<'_>) {
        let read = self.read;
        let is_last = |known: &&mut Remembered| known.generation == read.generation;
        let Some(last) = self.remembered.iter_mut().find(is_last) else { return };
        let end = last.end.unwrap_or(last.size).max(read.offset);
        last.end = Some(end);
        if end > read.offset {
            let path = &self.chain.path;
            let bytes = end - read.offset;
            tracing::warn!(%path, bytes, "a file was deleted before it was read to its end");
            self.pass_over(read.offset, end, Fate::Lost(DELETED_UNREAD.into()), desk.counters);
        }
    }

    /// Passes over bytes of the present generation that will not be read.
    fn pass_over(&mut self, start: u64, end: u64, fate: Fate, counters: &Counters) {
        counters.give_up(&fate, end.saturating_sub(start));
        self.coverage.add(self.read.generation, start, end, fate);
        self.read.offset = end;
    }

    /// Passes over the zeros that a file begins with.
    fn skip_hole(&mut self, hole: u64, counters: &Counters) {
        if self.read.offset < hole {
            self.pass_over(self.read.offset, hole, Fate::Shed(HOLE.into()), counters);
            self.files.front_mut().expect("it was just begun").offset = hole;
        }
    }

    /// With `start_at: end`, passes over what is in the file that is written to when it is first seen.
    fn skip_to_end(&mut self, desk: &mut Desk<'_>) {
        if !std::mem::take(&mut self.may_skip) {
            return;
        }
        let front = self.files.front_mut().expect("it was just begun");
        let Some(source) = front.source.as_mut().filter(|source| !source.is_gzip()) else { return };
        // Up to the start of the last line that is not complete.
        let start = front.offset;
        let mut end = front.size.max(start);
        let mut buffer = vec![0; START_BYTES.max(4096)];
        while end > start {
            let from = end.saturating_sub(buffer.len() as u64).max(start);
            let want = (end - from) as usize;
            let Ok(count) = source.read(from, &mut buffer[..want]) else { return };
            if let Some(last) = memchr::memrchr(b'\n', &buffer[..count]) {
                end = from + last as u64 + 1;
                break;
            }
            end = from;
        }
        front.offset = end;
        self.pass_over(start, end, Fate::Shed(START_AT_END.into()), desk.counters);
    }

    /// Decides at the end of the front whether it is over.
    fn at_end(&mut self, desk: &mut Desk<'_>) -> AtEnd {
        let again = self.identify_successors(desk);
        let ready = self.files.iter().skip(1).filter(|file| file.has_line()).count();
        let own_links = self.own_links();
        let front = self.files.front_mut().expect("the file at whose end this is");
        let since = *front.quiet_since.get_or_insert(desk.now);
        let source = front.source.as_ref().expect("it was just read");
        if source.is_gzip() || ready >= 2 {
            return self.finish_front(desk);
        }
        if ready == 1 {
            let written = source.file().metadata().map_or(0, |m| crate::source::modified(&m));
            let quiet = Duration::from_nanos(u64::try_from(desk.observed - written).unwrap_or(0));
            let wait = self.chain.rotate_wait;
            if quiet >= wait || desk.now.duration_since(since) >= wait {
                return self.finish_front(desk);
            }
            return AtEnd::Wait(Some(since + wait));
        }
        if front.gone && front.is_deleted(own_links) {
            if desk.now.duration_since(since) >= desk.deleted_wait {
                return self.finish_front(desk);
            }
            return AtEnd::Wait(Some(since + desk.deleted_wait));
        }
        AtEnd::Wait(again)
    }

    fn own_links(&self) -> u64 {
        self.files.front().map_or(0, |front| u64::from(self.links.contains_key(&front.key)))
    }

    /// Looks whether the next files have lines by now. Returns when to look again, if one of them only lacks a time.
    fn identify_successors(&mut self, desk: &Desk<'_>) -> Option<Instant> {
        let decode = &self.chain.decode;
        let mut again = None;
        for file in self.files.iter_mut().skip(1).filter(|file| file.first.is_none()) {
            let Some(source) = file.source.as_mut() else { continue };
            let due = file.waited_since.map(|since| since + PATIENCE);
            let is_final = !file.live || due.is_some_and(|due| due <= desk.now);
            match identify(source, decode, is_final) {
                Ok(Identity::Found(first)) => file.first = Some(first),
                Ok(Identity::NotYet) => {
                    let due = *file.waited_since.get_or_insert(desk.now) + PATIENCE;
                    again = Some(again.map_or(due, |again: Instant| again.min(due)));
                }
                // It may become a gzip file, or get its first line; a damaged one has its turn.
                Ok(Identity::Empty | Identity::Zeros | Identity::Binary) | Err(_) => {}
            }
        }
        again
    }

    /// The generation of a file that starts with `head`, if it was seen before under any name.
    fn known_as(&self, head: &Head, first: &First, key: FileKey) -> Option<u64> {
        let same = |known: &&Remembered| {
            known.first.is_same(head, first)
                // A birth may be lost by a copy to where births are not kept; the bytes are the same.
                || known.first.start.is_of(head) == Some(true)
                    && (known.first.is_telling() || known.key == key)
        };
        self.remembered.iter().rev().find(same).map(|known| known.generation)
    }

    fn remember(&mut self, generation: u64, first: First) {
        let front = self.files.front().expect("the file to remember");
        let (size, late_of) = (front.size, front.late_of);
        // A file is found by its own entry, not by that of what came late to it.
        let key = if late_of.is_some() { FileKey::default() } else { front.key };
        match self.remembered.iter_mut().find(|known| known.generation == generation) {
            Some(known) => known.key = key,
            None => {
                self.remembered.push(Remembered {
                    generation,
                    first,
                    key,
                    size,
                    end: None,
                    late_of,
                    is_damaged: false,
                });
            }
        }
        const REMEMBERED_LIMIT: usize = 64;
        if self.remembered.len() > REMEMBERED_LIMIT {
            self.remembered.remove(0);
        }
    }

    /// What the checkpoint keeps of it.
    pub(crate) fn entry(&mut self) -> Entry {
        self.grow_start();
        Entry {
            path: self.chain.path.to_string(),
            position: self.acknowledged,
            files: self.remembered.clone(),
            seen: rookery_core::time::now(),
        }
    }

    /// Takes more first bytes into account, once the file has them.
    fn grow_start(&mut self) {
        let Some(front) = self.files.front_mut() else { return };
        let (Some(generation), Some(first)) = (front.generation, front.first.as_mut()) else {
            return;
        };
        let known = self.remembered.iter_mut().find(|known| known.generation == generation);
        let Some(known) = known else { return };
        known.size = known.size.max(front.size);
        let is_short = (first.start.bytes as usize) < START_BYTES;
        let known_to = first.start.hole + u64::from(first.start.bytes);
        if !is_short || front.offset <= known_to || front.base > 0 {
            return;
        }
        let Some(Source::Plain(_)) = &front.source else { return };
        let source = front.source.as_mut().expect("matched above");
        if let Ok(head) = source.head(START_BYTES)
            && first.start.is_of(&head) == Some(true)
        {
            first.start = Start::of(&head);
            known.first.start = first.start;
        }
    }

    /// What the ledger's page shows of it.
    pub(crate) fn read_state(&self) -> ReadState {
        let behind = |file: &ChainFile| file.size.saturating_sub(file.offset);
        ReadState {
            stream: self.chain.id,
            tags: self.chain.tags.clone(),
            path: self
                .files
                .front()
                .map_or_else(|| self.chain.path.clone(), |f| f.path.to_string_lossy().into()),
            read: self.read,
            acknowledged: self.acknowledged,
            in_flight: self.in_flight,
            behind_bytes: self.files.iter().map(behind).sum(),
        }
    }

    /// Whether its files are gone and all of them is safe: then only the checkpoint remembers it.
    pub(crate) fn is_over(&self) -> bool {
        let is_safe = self.acknowledged >= self.read || !self.has_history;
        self.open_files() == 0 && is_safe && !self.is_queued && !self.has_ranges()
    }

    /// How many files it holds open.
    pub(crate) fn open_files(&self) -> usize {
        self.files.len() + self.held.len() + self.late.len()
    }
}

/// Whether the front can be read.
enum Begin {
    Done,
    Wait(Option<Instant>),
}

/// Whether the front is over.
enum AtEnd {
    Next,
    Wait(Option<Instant>),
}

/// After a chunk: what guards the next read. A compressed file is not rewritten in place.
fn guard_after(file: &mut ChainFile, chunk: &[u8]) {
    let is_gzip = file.source.as_ref().is_some_and(Source::is_gzip);
    file.guard = if is_gzip { Guard::default() } else { Guard::after(chunk) };
}
