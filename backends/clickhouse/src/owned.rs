//! What this process knows of the partitions that it claimed: which blocks are under way, and from which block on something may be
//! unsettled.
//!
//! *Settled* is a promise that goes into the ledger with each commit: every record of the partition in a block below it has its account. It
//! bounds what the next claim has to look through. A block that failed, or records that no account answers for yet, hold it back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rookery_core::batch::{Entry, Origin};
use rookery_core::{Error, Position, Result, StreamId};

/// The number of a block: its epoch, then its sequence.
pub(crate) fn block(epoch: u64, sequence: u32) -> u64 {
    epoch << 32 | u64::from(sequence)
}

/// The claimed partitions.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    partitions: HashMap<u32, Partition>,
}

#[derive(Debug)]
struct Partition {
    epoch: u64,
    /// Before this claim.
    settled: u64,
    /// What this claim found without an account.
    unaccounted: BTreeMap<StreamId, BTreeSet<Position>>,
    /// Blocks that were begun and are not committed.
    under_way: BTreeSet<u32>,
    /// One more than the largest that was begun.
    next: u32,
}

impl Owned {
    /// Takes over what a claim found.
    pub(crate) fn claim(
        &mut self,
        partition: u32,
        epoch: u64,
        settled: u64,
        found: &[(StreamId, Position)],
    ) {
        let mut unaccounted: BTreeMap<StreamId, BTreeSet<Position>> = BTreeMap::new();
        for (stream, position) in found {
            unaccounted.entry(*stream).or_default().insert(*position);
        }
        let claimed =
            Partition { epoch, settled, unaccounted, under_way: BTreeSet::new(), next: 0 };
        self.partitions.insert(partition, claimed);
    }

    /// Begins a block, or begins it again. True when an earlier try may have left something in the server.
    ///
    /// # Errors
    /// `conflict` when the block is of another claim than the latest of this process.
    pub(crate) fn begin(&mut self, origin: Origin) -> Result<bool> {
        let partition = self.get(origin)?;
        let again = origin.sequence < partition.next;
        partition.under_way.insert(origin.sequence);
        partition.next = partition.next.max(origin.sequence.saturating_add(1));
        Ok(again)
    }

    /// What the ledger may say with the commit of this block: below which block everything is settled.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) fn settled_with(&mut self, origin: Origin, entries: &[Entry]) -> Result<u64> {
        let partition = self.get(origin)?;
        let left = partition.unaccounted.iter().any(|(stream, positions)| {
            let end = end_of(entries, *stream);
            positions.last().is_some_and(|last| *last >= end)
        });
        if left {
            return Ok(partition.settled);
        }
        let before = partition.under_way.iter().find(|sequence| **sequence != origin.sequence);
        let first = before.copied().unwrap_or(partition.next).min(partition.next);
        Ok(block(origin.epoch, first))
    }

    /// The block is committed.
    pub(crate) fn committed(&mut self, origin: Origin, entries: &[Entry]) {
        // A claim that was made meanwhile knows of its own what is settled.
        let Ok(partition) = self.get(origin) else { return };
        partition.under_way.remove(&origin.sequence);
        partition.unaccounted.retain(|stream, positions| {
            *positions = positions.split_off(&end_of(entries, *stream));
            !positions.is_empty()
        });
    }

    fn get(&mut self, origin: Origin) -> Result<&mut Partition> {
        match self.partitions.get_mut(&origin.partition) {
            Some(partition) if partition.epoch == origin.epoch => Ok(partition),
            _ => Err(Error::conflict(format!(
                "partition {} is not claimed here under the epoch {}: claim it before writing its blocks",
                origin.partition, origin.epoch
            ))),
        }
    }
}

/// Up to where these entries answer for a stream.
fn end_of(entries: &[Entry], stream: StreamId) -> Position {
    let of_stream = entries.iter().filter(|entry| entry.range.stream == stream);
    of_stream.map(|entry| entry.range.end_position()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
