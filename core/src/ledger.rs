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

impl StreamAccount {
    /// The account of a stream of which nothing was seen.
    pub fn new(tenant: Tenant, stream: StreamId, tags: Arc<str>) -> Self {
        Self {
            tenant,
            stream,
            tags,
            mark: Position::default(),
            covered_bytes: 0,
            stored: Tally::default(),
            shed: Tally::default(),
            lost: Tally::default(),
            duplicates: Tally::default(),
            events: VecDeque::new(),
        }
    }

    /// What a range adds at this mark: up to two entries, first a loss for a hole before it, then the part of it that is new.
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
        let covered = match range.generation.cmp(&self.mark.generation) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => self.mark.offset,
            std::cmp::Ordering::Greater => 0,
        };
        let start = range.start.max(covered).min(range.end);
        let kept = if start == range.start { range.records } else { records_from(start) };
        let mut entries = Vec::with_capacity(1);
        if range.start > covered {
            let hole = Range {
                start: covered,
                end: range.start,
                records: 0,
                fate: Fate::Lost(REASON_GAP),
                ..range.clone()
            };
            entries.push(entry(hole, 0, 0));
        }
        let repeated = range.records.saturating_sub(kept);
        entries.push(entry(
            Range { start, records: kept, ..range.clone() },
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
        Range { stream, generation, start, end, records: (end - start) / 10, fate: Fate::Kept }
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
    fn applying_an_entry_twice_changes_no_sum() {
        let mut account = StreamAccount::new(Tenant::default(), StreamId([1; 16]), "{}".into());
        let entries = put(&mut account, &range(5, 0, 100));
        let before = account.clone();
        entries.iter().for_each(|e| account.apply(e, 0));
        assert_eq!(account, before);
    }
}
