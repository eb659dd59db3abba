//! Writes the blocks of one partition, one after the other, until the store has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rookery_core::batch::Block;
use rookery_core::queue::DeliveryId;
use rookery_core::store::Store;
use rookery_core::{Error, Kind, Result};
use tokio_util::sync::CancellationToken;

use crate::Stats;
use crate::owned::Writing;
use crate::run::FIRST_RETRY;

/// What became of some blocks.
pub(crate) struct Written {
    pub(crate) partition: u32,
    pub(crate) epoch: u64,
    pub(crate) ids: Vec<DeliveryId>,
    /// `conflict` when the claim is no longer the last one, `cancelled` when it was given up.
    pub(crate) outcome: Result<()>,
}

/// Appends all blocks.
pub(crate) async fn write(
    store: Arc<dyn Store>,
    stats: Arc<Stats>,
    writing: Writing,
    retry_limit: Duration,
    cancel: CancellationToken,
) -> Written {
    let Writing { partition, epoch, blocks, ids } = writing;
    let mut outcome = Ok(());
    for block in blocks {
        outcome = append(store.as_ref(), &stats, block, retry_limit, &cancel).await;
        if outcome.is_err() {
            break;
        }
    }
    Written { partition, epoch, ids, outcome }
}

/// Appends until it succeeds, or can never.
async fn append(
    store: &dyn Store,
    stats: &Stats,
    block: Block,
    retry_limit: Duration,
    cancel: &CancellationToken,
) -> Result<()> {
    let started = Instant::now();
    let records = block.len() as u64;
    let mut wait = FIRST_RETRY;
    // Columns are shared, so keeping the block for another try copies no data.
    while let Err(error) = store.append(block.clone()).await {
        if error.kind() == Kind::Conflict {
            return Err(error);
        }
        Stats::add(&stats.retries, 1);
        tracing::warn!(%error, records, retry_in = ?wait, "the store did not take a block; it is kept and tried again");
        tokio::select! {
            () = cancel.cancelled() => {
                return Err(Error::cancelled("the block is left to the queue"));
            }
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(retry_limit);
    }
    Stats::add(&stats.blocks, 1);
    Stats::add(&stats.records, records);
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Stats::add(&stats.append_micros, micros);
    Ok(())
}
