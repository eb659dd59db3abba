//! Reading: from a filter to SQL, and from Arrow columns to rows.
//!
//! A filter is compiled into two conditions that hold it between them (`bounds`): what the server decides exactly as the reference
//! does is left to it, for the rest it leaves out what it can, and the records that come are decided here, by the reference itself. So an
//! answer is never wrong, only slower. The tenant and the scope of the caller are part of every statement.
//!
//! A request becomes one or two steps (`steps`), and each step one statement, or several when the caller wants the newest or the oldest
//! (`slices`): then the span is read slice by slice, until the caller's bound says that no earlier one matters. All partitions of a
//! scan take batches from the one answer that is being read, so each record comes once, and what a partition does with a batch (decode,
//! decide, aggregate) runs side by side.
//!
//! An answer is read as it comes: while nobody asks for a batch, the connection fills and the server waits. A scan that is dropped or
//! cancelled closes its connection, and the server is told to end the query.
//!
//! Reading order: `params`, `bounds`, `words` are what conditions are made of; `pattern`, `test`, `number`, `tags`, `field`, `filter` make the condition; `steps`
//! and `slices` the statements; `decode` makes rows; this file runs them.

mod bounds;
mod params;

mod words;

mod number;
mod pattern;
mod tags;
mod test;

mod field;
mod filter;

mod decode;
mod slices;
mod steps;

mod run;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use rookery_core::store::{Partition, ScanRequest};
use rookery_core::{Result, Scope};
use tokio::runtime::Handle;

use crate::client::{Client, Statement};
use crate::config::ClickHouseConfig;
use crate::stats::Stats;

pub use filter::{Pushdown, pushed};
use run::{Job, PartitionRows};
use steps::Query;
use words::WordIndex;

/// Which index of words the table has; on a cluster the table below the distributed one.
const INDEX: &str = "SELECT type FROM system.data_skipping_indices WHERE database = currentDatabase() AND name = 'body_words' \
                     AND table IN ('logs', 'logs_local') LIMIT 1";

/// What a scan needs to reach the server.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    client: Client,
    /// Where the connections live; scans are called from threads that may block.
    runtime: Handle,
    timeout: Duration,
    memory_bytes: u64,
    stats: Arc<Stats>,
    index: WordIndex,
}

impl Reader {
    /// Scans through `client`, whose connections live in the runtime that this is called in.
    ///
    /// # Errors
    /// When the server does not say which indexes the table has.
    pub(crate) async fn new(
        client: &Client,
        config: &ClickHouseConfig,
        stats: &Arc<Stats>,
    ) -> Result<Self> {
        let mut index = WordIndex::None;
        for batch in client.rows(&Statement::new(INDEX)).await? {
            let types = batch.column(0).as_string_opt::<i32>();
            let types = types.into_iter().flatten().flatten();
            index = types.map(WordIndex::of_type).next().unwrap_or(index);
        }
        Ok(Self {
            client: client.clone(),
            runtime: Handle::current(),
            timeout: config.scan_timeout.0,
            memory_bytes: config.scan_memory.0,
            stats: stats.clone(),
            index,
        })
    }

    /// Starts a scan, see [`rookery_core::store::Store::scan`]. Nothing is asked before a partition is.
    ///
    /// # Errors
    /// `internal` when a subquery of the filter was not replaced by its values.
    pub(crate) fn scan(&self, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
        let query = Query::new(scope, &request, self.index)?;
        let counter = match query.pushed {
            Pushdown::Whole => &self.stats.scans_whole,
            Pushdown::Part => &self.stats.scans_part,
            Pushdown::Above => &self.stats.scans_above,
        };
        Stats::add(counter, 1);
        let partitions = request.partitions.max(1);
        let job = Arc::new(Job::new(self.clone(), query, request));
        let partition = |_| -> Partition { Box::new(PartitionRows::new(job.clone())) };
        Ok((0..partitions).map(partition).collect())
    }
}
