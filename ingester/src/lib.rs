//! The ingester: out of the queue, into the store, exactly once.
//!
//! It gathers batches into blocks ([`block`]), drops what the store already has, writes down what is missing, appends a
//! block, and only then tells the queue. It keeps nothing of its own: what it knows of a stream is the store's account of
//! it, read when a partition is assigned. A crash anywhere therefore costs at most a second look at a batch.
//!
//! It never gives up a block. While the store is away it waits and says so; the queue fills, and the collector slows down.

pub mod block;
mod run;
mod stats;

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
}

impl Default for IngesterConfig {
    fn default() -> Self {
        Self {
            block_rows: 100_000,
            block_bytes: Bytes::mib(32),
            block_interval: Span::millis(50),
            retry_limit: Span::seconds(5),
        }
    }
}
