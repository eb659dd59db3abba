//! One partition that this process owns: what is gathered for its next block, what waits, what may be acknowledged.
//!
//! Pure: it takes batches and accounts and says what is to be done; [`crate::run`] talks to the queue and the store.
//!
//! A batch whose range does not follow the stream's mark may have been **overtaken**: its predecessors may lie in another partition of the
//! queue, because partitions were added while there was a backlog. It is set aside, and with it every later batch of its streams, until
//! the hole is filled, or until nothing that was sent before can still come; only then is a hole a loss. Other streams go on. What lies
//! in the queue behind a batch that was set aside is stored, and acknowledged when that batch is.

use std::collections::{HashSet, VecDeque};

use rookery_core::batch::{Batch, Block, Origin};
use rookery_core::ledger::StreamAccount;
use rookery_core::queue::{Delivery, DeliveryId, Frontier};
use rookery_core::{Result, StreamId};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::block::{Added, Blocks};

/// See the module's documentation.
pub(crate) struct Owned {
    partition: u32,
    epoch: u64,
    next_sequence: u32,
    blocks: Blocks,
    /// What the block under construction holds.
    gathered: Vec<DeliveryId>,
    /// When the block under construction is to be written at the latest.
    due: Option<Instant>,
    /// What is stored and not acknowledged yet.
    stored: Vec<DeliveryId>,
    aside: VecDeque<Aside>,
    aside_bytes: usize,
    /// Ends the tries to write when the partition is given up.
    cancel: DropGuard,
    /// Whether a block is being written.
    pub(crate) is_writing: bool,
    /// Whether the queue was told to hold it.
    pub(crate) is_held: bool,
}

/// A batch that was set aside.
struct Aside {
    delivery: Delivery,
    /// How far the other partitions were filled when it came: `None` until somebody asked.
    ends: Option<Vec<Frontier>>,
    since: Instant,
}

/// What a store is asked to write.
pub(crate) struct Writing {
    pub(crate) partition: u32,
    pub(crate) epoch: u64,
    pub(crate) blocks: Vec<Block>,
    pub(crate) ids: Vec<DeliveryId>,
}

impl Owned {
    /// A partition that was claimed; nothing is gathered yet. `cancel` is its own, and is cancelled when this is dropped.
    pub(crate) fn new(
        partition: u32,
        epoch: u64,
        blocks: Blocks,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            partition,
            epoch,
            next_sequence: 0,
            blocks,
            cancel: cancel.drop_guard(),
            gathered: Vec::new(),
            due: None,
            stored: Vec::new(),
            aside: VecDeque::new(),
            aside_bytes: 0,
            is_writing: false,
            is_held: false,
        }
    }

    /// The claim under which it writes.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Is cancelled when the partition is given up.
    pub(crate) fn cancel(&self) -> CancellationToken {
        self.cancel.token().clone()
    }

    /// The streams of a batch of which the store must be asked first: unknown ones, and those with a hole before the batch.
    pub(crate) fn strangers(&self, batch: &Batch) -> Vec<StreamId> {
        self.blocks.strangers(batch)
    }

    /// Takes over what the store says of some streams.
    pub(crate) fn refresh(&mut self, accounts: Vec<StreamAccount>) {
        accounts.into_iter().for_each(|account| self.blocks.refresh(account));
    }

    /// Whether a batch must wait: a stream of it has a hole before it, or an earlier batch that waits.
    pub(crate) fn must_wait(&self, batch: &Batch) -> bool {
        self.blocks.has_hole(batch) || self.is_behind(batch, self.aside.len())
    }

    /// Whether one of the first `count` batches that were set aside has a stream of this one.
    fn is_behind(&self, batch: &Batch, count: usize) -> bool {
        let shares = |other: &Batch| {
            other.ranges.iter().any(|a| batch.ranges.iter().any(|b| a.stream == b.stream))
        };
        self.aside.iter().take(count).any(|aside| shares(&aside.delivery.batch))
    }

    /// Sets a batch aside.
    pub(crate) fn set_aside(&mut self, delivery: Delivery, now: Instant) {
        self.aside_bytes += delivery.batch.size_bytes();
        self.aside.push_back(Aside { delivery, ends: None, since: now });
    }

    /// Adds a batch to the block under construction, which is to be written at `due` at the latest.
    ///
    /// # Errors
    /// `corrupt` when it is not a batch of logs.
    pub(crate) fn add(&mut self, delivery: Delivery, due: Instant, at: i64) -> Result<Added> {
        let added = self.blocks.add(delivery.batch, at)?;
        self.gathered.push(delivery.id);
        self.due.get_or_insert(due);
        Ok(added)
    }

    /// The streams of what was set aside, of which the store is asked again.
    pub(crate) fn aside_streams(&self) -> Vec<StreamId> {
        let ranges = self.aside.iter().flat_map(|aside| &aside.delivery.batch.ranges);
        let streams: HashSet<StreamId> = ranges.map(|range| range.stream).collect();
        streams.into_iter().collect()
    }

    /// Remembers how far the queue was filled, for what was set aside since the last time.
    pub(crate) fn note_frontiers(&mut self, frontiers: &[Frontier]) {
        for aside in self.aside.iter_mut().filter(|aside| aside.ends.is_none()) {
            aside.ends = Some(frontiers.to_vec());
        }
    }

    /// Takes back the batches that need not wait any longer: their hole is filled, or nothing can fill it, or `patience` is over.
    pub(crate) fn take_back(
        &mut self,
        frontiers: &[Frontier],
        now: Instant,
        patience: std::time::Duration,
    ) -> Option<Delivery> {
        let mut index = 0;
        while let Some(aside) = self.aside.get(index) {
            let batch = &aside.delivery.batch;
            let ready = !self.is_behind(batch, index)
                && (!self.blocks.has_hole(batch)
                    || aside.is_passed(self.partition, frontiers)
                    || now.duration_since(aside.since) >= patience);
            if ready {
                let aside = self.aside.remove(index)?;
                self.aside_bytes -= aside.delivery.batch.size_bytes();
                return Some(aside.delivery);
            }
            index += 1;
        }
        None
    }

    /// Whether batches were set aside.
    pub(crate) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// Whether the queue should hold back: no more fits beside what is being written, or beside what was set aside.
    pub(crate) fn is_full(&self, rows: usize, bytes: usize) -> bool {
        (self.is_writing && self.is_due(None, rows, bytes)) || self.aside_bytes >= bytes
    }

    /// Whether the block under construction is to be written.
    pub(crate) fn is_due(&self, now: Option<Instant>, rows: usize, bytes: usize) -> bool {
        let is_late = self.due.is_some_and(|due| now.is_some_and(|now| due <= now));
        is_late || self.blocks.rows() >= rows || self.blocks.bytes() >= bytes
    }

    /// When the block under construction is to be written at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_writing)
    }

    /// What is to be written now, if there is anything and nothing is being written.
    pub(crate) fn take(&mut self) -> Option<Writing> {
        if self.is_writing || self.gathered.is_empty() {
            return None;
        }
        self.due = None;
        self.is_writing = true;
        let mut blocks = self.blocks.take();
        for block in &mut blocks {
            block.origin = Origin {
                partition: self.partition,
                epoch: self.epoch,
                sequence: self.next_sequence,
            };
            self.next_sequence += 1;
        }
        let ids = std::mem::take(&mut self.gathered);
        Some(Writing { partition: self.partition, epoch: self.epoch, blocks, ids })
    }

    /// Says that the store has these; gives what the queue may be told.
    pub(crate) fn stored(&mut self, ids: Vec<DeliveryId>) -> Vec<DeliveryId> {
        self.is_writing = false;
        self.stored.extend(ids);
        // An acknowledgement is one for all that came before: so it ends before the first that is not stored.
        let waiting = self.aside.iter().map(|aside| aside.delivery.id);
        let first = waiting.chain(self.gathered.iter().copied()).map(|id| id.sequence).min();
        let (told, kept) = std::mem::take(&mut self.stored)
            .into_iter()
            .partition(|id| first.is_none_or(|first| id.sequence < first));
        self.stored = kept;
        told
    }
}

impl Aside {
    /// Whether all that was in other partitions when it came is stored by whoever owns them.
    fn is_passed(&self, own: u32, frontiers: &[Frontier]) -> bool {
        let Some(ends) = &self.ends else { return false };
        ends.iter().filter(|end| end.partition != own).all(|end| {
            let now = frontiers.iter().find(|now| now.partition == end.partition);
            // A partition that is gone brings nothing.
            now.is_none_or(|now| now.acknowledged >= end.end)
        })
    }
}

#[cfg(test)]
mod tests;
