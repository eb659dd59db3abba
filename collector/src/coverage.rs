//! The account of one stream between reading and shipping: every byte that was passed over, once, in order.
//!
//! Pure. A batch takes what is final: up to the first byte of the earliest record that the decoder still holds open. So a checkpoint or a
//! range never ends inside a record, and ranges meet without a hole.

use std::collections::VecDeque;

use rookery_core::batch::{Fate, Range};
use rookery_core::{Position, StreamId};

/// Ranges that were read and are not yet in a batch.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    stream: StreamId,
    /// Up to where it was passed over: where the next range follows.
    end: Position,
    open: VecDeque<Range>,
}

impl Coverage {
    /// Of a stream that was passed over up to `end` before; the default where it never was.
    pub(crate) fn new(stream: StreamId, end: Position) -> Self {
        Self { stream, end, open: VecDeque::new() }
    }

    /// Passes over `start..end` of a generation.
    pub(crate) fn add(&mut self, generation: u64, start: u64, end: u64, fate: Fate) {
        if start >= end {
            return;
        }
        let after = std::mem::replace(&mut self.end, Position { generation, offset: end });
        if let Some(last) = self.open.back_mut()
            && last.generation == generation
            && last.end == start
            && last.fate == fate
        {
            last.end = end;
            return;
        }
        self.open.push_back(Range {
            stream: self.stream,
            generation,
            start,
            end,
            records: 0,
            fate,
            after,
        });
    }

    /// Counts finished records of a generation whose bytes were passed over before.
    pub(crate) fn count(&mut self, generation: u64, records: u64) {
        let kept = |r: &&mut Range| r.generation == generation && r.fate == Fate::Kept;
        if let Some(range) = self.open.iter_mut().rev().find(kept) {
            range.records += records;
        }
    }

    /// Whether there is nothing to take before `frontier`.
    pub(crate) fn is_empty(&self, frontier: Option<Position>) -> bool {
        self.open.front().is_none_or(|first| {
            let start = Position { generation: first.generation, offset: first.start };
            frontier.is_some_and(|frontier| start >= frontier)
        })
    }

    /// Moves what lies before `frontier` (all, without one) to `out`. Returns the position after it.
    pub(crate) fn take(
        &mut self,
        frontier: Option<Position>,
        out: &mut Vec<Range>,
    ) -> Option<Position> {
        let mut end = None;
        while !self.is_empty(frontier) {
            let Some(mut range) = self.open.pop_front() else { break };
            if let Some(frontier) = frontier
                && frontier < range.end_position()
            {
                let rest =
                    Range { start: frontier.offset, records: 0, after: frontier, ..range.clone() };
                self.open.push_front(rest);
                range.end = frontier.offset;
            }
            end = Some(range.end_position());
            out.push(range);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(generation: u64, offset: u64) -> Option<Position> {
        Some(Position { generation, offset })
    }

    #[test]
    fn a_record_over_two_files_holds_back_the_end_of_the_first() {
        let mut coverage = Coverage::new(StreamId::default(), Position::default());
        coverage.add(1, 0, 100, Fate::Kept);
        coverage.add(1, 100, 150, Fate::Kept);
        coverage.count(1, 7);
        coverage.add(2, 0, 30, Fate::Kept);
        let mut out = Vec::new();
        assert_eq!(coverage.take(at(1, 120), &mut out), at(1, 120));
        assert_eq!((out.len(), out[0].end, out[0].records), (1, 120, 7));
        assert!(coverage.is_empty(at(1, 120)));
        coverage.count(1, 1);
        coverage.count(2, 2);
        out.clear();
        assert_eq!(coverage.take(None, &mut out), at(2, 30));
        let seen: Vec<_> = out.iter().map(|r| (r.generation, r.start, r.end, r.records)).collect();
        assert_eq!(seen, [(1, 120, 150, 1), (2, 0, 30, 2)]);
        let follows: Vec<_> = out.iter().map(|r| Some(r.after)).collect();
        assert_eq!(follows, [at(1, 120), at(1, 150)]);
        assert_eq!(coverage.take(None, &mut out), None);
    }

    #[test]
    fn what_was_given_up_stands_apart_and_meets_its_neighbours() {
        let mut coverage = Coverage::new(StreamId::default(), Position::default());
        coverage.add(1, 0, 10, Fate::Kept);
        coverage.add(1, 10, 50, Fate::Shed("spool_budget".into()));
        coverage.add(2, 0, 5, Fate::Kept);
        let mut out = Vec::new();
        coverage.take(None, &mut out);
        assert_eq!(out.len(), 3);
        assert_eq!(out[1].start, out[0].end);
    }
}
