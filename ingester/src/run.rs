//! The loop: gather, append, acknowledge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rookery_core::batch::Block;
use rookery_core::queue::{DeliveryId, Event, Subscription};
use rookery_core::store::{Accounts, Store};
use rookery_core::{Result, time};
use tokio_util::sync::CancellationToken;

use crate::block::Blocks;
use crate::{IngesterConfig, Stats};

/// The first wait after a failed append; it doubles up to [`IngesterConfig::retry_limit`].
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// Moves batches from one subscription into one store.
pub struct Ingester {
    store: Arc<dyn Store>,
    config: IngesterConfig,
    stats: Arc<Stats>,
    blocks: Blocks,
    unacknowledged: Vec<DeliveryId>,
}

impl Ingester {
    /// An ingester that has read nothing yet.
    pub fn new(store: Arc<dyn Store>, config: IngesterConfig, stats: Arc<Stats>) -> Self {
        Self { store, config, stats, blocks: Blocks::default(), unacknowledged: Vec::new() }
    }

    /// Runs until the queue is closed and all of it is stored, or until `cancel`, which leaves the rest in the queue.
    ///
    /// # Errors
    /// When the store's accounts cannot be read. A block that cannot be written is tried until it can.
    pub async fn run(
        mut self,
        mut subscription: Box<dyn Subscription>,
        cancel: CancellationToken,
    ) -> Result<()> {
        let mut due: Option<tokio::time::Instant> = None;
        loop {
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                () = sleep_until(due) => None,
                event = subscription.next() => Some(event?),
            };
            match event {
                None => {}
                Some(None) => {
                    self.flush(subscription.as_mut(), &cancel).await?;
                    return Ok(());
                }
                Some(Some(Event::Assigned(_))) => {
                    self.blocks = Blocks::new(self.store.accounts(Accounts::All).await?);
                    continue;
                }
                Some(Some(Event::Revoked(_) | Event::Lost(_))) => {
                    // What was gathered may belong to the next owner now; it will be delivered there.
                    self.blocks = Blocks::default();
                    self.unacknowledged.clear();
                    due = None;
                    continue;
                }
                Some(Some(Event::Delivered(delivery))) => {
                    Stats::add(&self.stats.batches, 1);
                    let added = self.blocks.add(delivery.batch, time::now())?;
                    self.unacknowledged.push(delivery.id);
                    Stats::add(&self.stats.duplicates, added.duplicates);
                    Stats::add(&self.stats.gap_bytes, added.gap_bytes);
                    due.get_or_insert_with(|| {
                        tokio::time::Instant::now() + self.config.block_interval.0
                    });
                    if self.blocks.rows() < self.config.block_rows
                        && self.blocks.bytes() < self.config.block_bytes.as_usize()
                    {
                        continue;
                    }
                }
            }
            self.flush(subscription.as_mut(), &cancel).await?;
            due = None;
        }
    }

    async fn flush(
        &mut self,
        subscription: &mut dyn Subscription,
        cancel: &CancellationToken,
    ) -> Result<()> {
        for block in self.blocks.take() {
            if !self.append(block, cancel).await {
                return Ok(());
            }
        }
        self.blocks.stored();
        subscription.acknowledge(&self.unacknowledged).await?;
        self.unacknowledged.clear();
        Ok(())
    }

    /// Appends until it succeeds; false when cancelled before.
    async fn append(&self, block: Block, cancel: &CancellationToken) -> bool {
        let started = Instant::now();
        let records = block.len() as u64;
        let mut wait = FIRST_RETRY;
        // Columns are shared, so keeping the block for another try copies no data.
        while let Err(error) = self.store.append(block.clone()).await {
            Stats::add(&self.stats.retries, 1);
            tracing::warn!(%error, records, retry_in = ?wait, "the store did not take a block; it is kept and tried again");
            tokio::select! {
                () = cancel.cancelled() => return false,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(self.config.retry_limit.0);
        }
        Stats::add(&self.stats.blocks, 1);
        Stats::add(&self.stats.records, records);
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Stats::add(&self.stats.append_micros, micros);
        true
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
