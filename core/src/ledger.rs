//! The account of every stream: what was stored, shed, lost, and dropped as a duplicate; and the mark.
//!
//! An account moves by [`StreamAccount::admit`], which is what an ingester does to a range of a batch: it cuts off what
//! was covered before, fills a hole with a loss, and says what is new. The result is an [`Entry`]; a store that has written it calls
//! [`StreamAccount::apply`], also when it reads its log again after a crash. So the mark in memory and the mark in the store
//! are the same computation over the same entries.
//!
//! The sums balance by construction of positions, not of counters: the bytes covered, from the first position of each generation to
//! its last, are the bytes stored, shed and lost.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::{Entry, Fate, Range, Reason};
use crate::{Position, StreamId, Tenant};

/// How many of the latest losses and sheddings a stream remembers one by one. Sums are kept for all.
pub const EVENTS_LIMIT: usize = 16;

/// Bytes and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Bytes of the decompressed files.
    pub bytes: u64,
    /// Records; for what was lost, as far as it is known.
    pub records: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.records += other.records;
    }
}

/// Something that was shed or lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The bytes, and why.
    pub range: Range,
    /// When it was recorded, in nanoseconds since the epoch.
    pub at: i64,
}

/// The account of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAccount {
    /// Whose data.
    pub tenant: Tenant,
    /// Which stream.
    pub stream: StreamId,
    /// Its names: `{namespace="…",pod="…"}`.
    pub tags: Arc<str>,
    /// The first byte that is not covered; the high-water mark.
    pub mark: Position,
    /// The partition of the queue that its latest entry came from.
    pub partition: u32,
    /// The bytes between the first and the last position of each generation.
    pub covered_bytes: u64,
    /// What is in the store (or was, before its retention ended).
    pub stored: Tally,
    /// What was given up by a limit or a rule.
    pub shed: Tally,
    /// What could not be had.
    pub lost: Tally,
    /// What came again and was dropped.
    pub duplicates: Tally,
    /// The latest of what was shed or lost, oldest first.
    pub events: VecDeque<Event>,
}

/// The reason of a loss that the ingester found: nothing answered for the bytes between two ranges.
pub const REASON_GAP: Reason = Reason::Borrowed("gap");

/// The same, where files of the chain vanished whole between the two ranges: how many bytes they had is known only of the last.
pub const REASON_GAP_OVER_FILES: Reason = Reason::Borrowed("gap_over_files");

impl StreamAccount {
    /// The account of a stream of which nothing was seen.
    pub fn new(tenant: Tenant, stream: StreamId, tags: Arc<str>) -> Self {
        Self {
            tenant,
            stream,
            tags,
            mark: Position::default(),
            partition: 0,
            covered_bytes: 0,
            stored: Tally::default(),
            shed: Tally::default(),
            lost: Tally::default(),
            duplicates: Tally::default(),
            events: VecDeque::new(),
        }
    }

    /// The bytes that were sent before this range and never came, as far as they are known: up to one range of the file before, and
    /// one of its own.
    ///
    /// Of files that vanished whole only the last can be named; its reason says so.
    pub fn missing_before(&self, range: &Range) -> impl Iterator<Item = Range> + use<> {
        let hole = |generation: u64, start, end, reason: &Reason| Range {
            generation,
            start,
            end,
            records: 0,
            fate: Fate::Lost(reason.clone()),
            after: Position::default(),
            stream: range.stream,
        };
        let (mark, after) = (self.mark, range.after);
        let before = (after > mark && after.generation < range.generation).then(|| {
            if after.generation == mark.generation {
                hole(after.generation, mark.offset, after.offset, &REASON_GAP)
            } else {
                hole(after.generation, 0, after.offset, &REASON_GAP_OVER_FILES)
            }
        });
        let covered = self.covered_of(range.generation);
        let within = (range.start > covered).then(|| {
            let over_files = after.generation == range.generation
                && mark.generation < range.generation
                && mark != Position::default();
            let reason = if over_files { &REASON_GAP_OVER_FILES } else { &REASON_GAP };
            hole(range.generation, covered, range.start, reason)
        });
        before.into_iter().chain(within)
    }

    /// Up to which byte of a generation nothing is new.
    fn covered_of(&self, generation: u64) -> u64 {
        match generation.cmp(&self.mark.generation) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => self.mark.offset,
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// What a range adds at this mark: first the losses of [`Self::missing_before`], then the part of it that is new.
    ///
    /// `records_from` gives how many of the range's records start at or after an offset. The account does not move; see
    /// [`Self::apply`].
    pub fn admit(&self, range: &Range, records_from: impl FnOnce(u64) -> u64) -> Vec<Entry> {
        let entry = |range, duplicates, duplicate_bytes| Entry {
            range,
            duplicates,
            duplicate_bytes,
            tags: self.tags.clone(),
        };
        let covered = self.covered_of(range.generation);
        let start = range.start.max(covered).min(range.end);
        let kept = if start == range.start { range.records } else { records_from(start) };
        let mut entries: Vec<Entry> =
            self.missing_before(range).map(|hole| entry(hole, 0, 0)).collect();
        let repeated = range.records.saturating_sub(kept);
        entries.push(entry(
            Range { start, records: kept, after: Position::default(), ..range.clone() },
            repeated,
            start - range.start,
        ));
        entries
    }

    /// Moves the account by an entry that was stored. An entry at or below the mark changes nothing but the count of duplicates.
    pub fn apply(&mut self, entry: &Entry, at: i64) {
        let range = &entry.range;
        self.duplicates += Tally { bytes: entry.duplicate_bytes, records: entry.duplicates };
        if range.end_position() <= self.mark {
            return;
        }
        self.tags = entry.tags.clone();
        let tally = Tally { bytes: range.bytes(), records: range.records };
        self.covered_bytes += tally.bytes;
        match &range.fate {
            Fate::Kept => self.stored += tally,
            Fate::Shed(_) => self.shed += tally,
            Fate::Lost(_) => self.lost += tally,
        }
        if range.fate != Fate::Kept {
            if self.events.len() == EVENTS_LIMIT {
                self.events.pop_front();
            }
            self.events.push_back(Event { range: range.clone(), at });
        }
        self.mark = range.end_position();
    }

    /// Whether every covered byte is stored, shed or lost.
    pub fn is_balanced(&self) -> bool {
        self.covered_bytes == self.stored.bytes + self.shed.bytes + self.lost.bytes
    }
}

/// What a collector knows of one stream that a store cannot: how far it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadState {
    /// Which stream.
    pub stream: StreamId,
    /// Its tags.
    pub tags: Arc<str>,
    /// The path that is being read.
    pub path: Arc<str>,
    /// The first byte that was not read.
    pub read: Position,
    /// The first byte that is not known to be stored.
    pub acknowledged: Position,
    /// What was read and is not known to be stored.
    pub in_flight: Tally,
    /// Bytes that are in the files and not yet read.
    pub behind_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(generation: u64, start: u64, end: u64) -> Range {
        let stream = StreamId([1; 16]);
        let after = Position { generation, offset: start };
        Range {
            stream,
            generation,
            start,
            end,
            records: (end - start) / 10,
            fate: Fate::Kept,
            after,
        }
    }

    fn put(account: &mut StreamAccount, range: &Range) -> Vec<Entry> {
        let entries = account.admit(range, |from| (range.end - from) / 10);
        entries.iter().for_each(|e| account.apply(e, 0));
        entries
    }

    #[test]
    fn what_was_covered_is_cut_off_and_a_hole_is_a_loss() {
        let mut account = StreamAccount::new(Tenant::default(), StreamId([1; 16]), "{}".into());
        put(&mut account, &range(5, 0, 100));
        put(&mut account, &range(5, 50, 150));
        assert_eq!((account.stored.records, account.duplicates.records), (15, 5));
        let entries = put(&mut account, &range(5, 170, 200));
        assert_eq!(entries[0].range.fate, Fate::Lost(REASON_GAP));
        assert_eq!((account.lost.bytes, account.stored.bytes), (20, 180));
        put(&mut account, &range(4, 0, 1000));
        assert_eq!(account.mark, Position { generation: 5, offset: 200 });
        assert_eq!(account.duplicates.records, 105);
        put(&mut account, &range(9, 0, 10));
        assert_eq!(account.covered_bytes, 210);
        assert!(account.is_balanced());
    }

    #[test]
    fn files_that_vanished_whole_are_a_loss_too() {
        let mut account = StreamAccount::new(Tenant::default(), StreamId([1; 16]), "{}".into());
        put(&mut account, &Range { after: Position::default(), ..range(5, 0, 100) });
        let next = |generation, after| Range { after, ..range(generation, 0, 50) };
        let at = |generation, offset| Position { generation, offset };
        assert_eq!(put(&mut account, &next(6, at(5, 100))).len(), 1, "it follows without a hole");
        let entries = put(&mut account, &next(8, at(6, 70)));
        assert_eq!((entries.len(), entries[0].range.start, entries[0].range.end), (2, 50, 70));
        let entries = put(&mut account, &next(11, at(10, 90)));
        assert_eq!(entries[0].range.fate, Fate::Lost(REASON_GAP_OVER_FILES));
        assert_eq!((entries[0].range.generation, entries[0].range.bytes()), (10, 90));
        assert!(account.is_balanced());
        assert_eq!(account.lost.bytes, 110);
    }

    #[test]
    fn applying_an_entry_twice_changes_no_sum() {
        let mut account = StreamAccount::new(Tenant::default(), StreamId([1; 16]), "{}".into());
        let entries = put(&mut account, &range(5, 0, 100));
        let before = account.clone();
        entries.iter().for_each(|e| account.apply(e, 0));
        assert_eq!(account, before);
    }
}
