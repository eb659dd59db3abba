//! The ingester: out of the queue, into the store, exactly once.
//!
//! It gathers batches into blocks ([`block`]), drops what the store already has, writes down what is missing, appends a
//! block, and only then tells the queue. It keeps nothing of its own: what it knows of a stream is the store's account of
//! it, read when a partition is claimed. A crash anywhere therefore costs at most a second look at a batch.
//!
//! Each partition of the queue is on its own (`owned`): its claim, its block, its acknowledgements. `run` is the loop over all of
//! them, `write` appends their blocks.
//!
//! It never gives up a block. While the store is away it waits and says so; the queue fills, and the collector slows down.

pub mod block;
mod owned;
mod run;
mod stats;
mod write;

use rookery_core::units::{Bytes, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use run::Ingester;
pub use stats::Stats;

/// How batches are gathered into blocks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IngesterConfig {
    /// A block is written when it has this many records.
    pub block_rows: usize,
    /// A block is written when it has this many bytes.
    pub block_bytes: Bytes,
    /// A block is written at the latest this long after its first batch came. It is part of the time until a line can be
    /// found.
    pub block_interval: Span,
    /// The longest wait between two tries while the store is away.
    pub retry_limit: Span,
    /// How long a batch whose predecessor is missing waits for it, before the hole is written down as a loss. It ends earlier when all
    /// that was in the queue when the batch came is stored.
    pub order_wait: Span,
    /// How long a block that is being written may hold up a change of owners of its partition.
    pub revoke_limit: Span,
}

impl Default for IngesterConfig {
    fn default() -> Self {
        Self {
            block_rows: 100_000,
            block_bytes: Bytes::mib(32),
            block_interval: Span::millis(50),
            retry_limit: Span::seconds(5),
            // Only crossed holes in two partitions ever wait this long.
            order_wait: Span::seconds(60),
            // Kafka's default session timeout is 45 s.
            revoke_limit: Span::seconds(10),
        }
    }
}
