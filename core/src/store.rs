//! The seam to what keeps the data: the embedded Parquet store, and ClickHouse.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::batch::Block;
use crate::filter::{FieldName, Filter};
use crate::ledger::StreamAccount;
use crate::rows::Rows;
use crate::{BoxFuture, Error, Position, Result, Scope, StreamId, Tenant, TimeRange};

/// What keeps the data.
pub trait Store: Send + Sync {
    /// Takes partitions of a queue over. When it returns, no block of an earlier owner of them can land any more, and the claim holds
    /// all that did.
    ///
    /// A store that one process alone can open has no other owner to keep out; that is what the given body is for.
    ///
    /// # Errors
    /// `unavailable` when the store is away; the same call may be made again.
    fn claim(&self, partitions: &[u32]) -> BoxFuture<'_, Result<Claim>> {
        let _ = partitions;
        Box::pin(async {
            let accounts = self.accounts(Accounts::All).await?;
            Ok(Claim { epoch: 0, accounts, unaccounted: Vec::new() })
        })
    }

    /// Writes a block. When it returns, the records and their account are on disk together and every later scan sees them;
    /// when it fails or is cut off, either all of the block is there or nothing of it.
    ///
    /// # Errors
    /// `unavailable` when the disk is full or the server is away: the same call may be made again, and writes the block once, also
    /// when an earlier call took place without anybody hearing of it. `conflict` when another owner has claimed the partition: nothing
    /// was written, and nothing of this claim will be.
    fn append(&self, block: Block) -> BoxFuture<'_, Result<()>>;

    /// The accounts of streams: the only truth about what was stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn accounts(&self, which: Accounts) -> BoxFuture<'_, Result<Vec<StreamAccount>>>;

    /// Starts to read the records that pass a filter and that the scope may see.
    ///
    /// The partitions are read side by side, each by one thread that may block; together they hold each record once. Within a
    /// partition, and between partitions, order is only roughly what [`ScanRequest::order`] asks for.
    ///
    /// # Errors
    /// When the request cannot be answered; what goes wrong later comes from a partition.
    fn scan(&self, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>>;

    /// Makes all that was appended durable in its final form and ends background work. No call may follow.
    ///
    /// # Errors
    /// When the last write fails; nothing is lost, the log is read again at the next start.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// Whose accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// Of all streams of all tenants.
    All,
    /// Of all streams of one tenant.
    Tenant(Tenant),
    /// Of these streams, as far as they are known.
    Streams(Vec<StreamId>),
}

impl Accounts {
    /// Whether an account is one of these.
    pub fn holds(&self, account: &StreamAccount) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(tenant) => account.tenant == *tenant,
            Self::Streams(streams) => streams.contains(&account.stream),
        }
    }
}

/// The right to write blocks of some partitions, until the next claim of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// Grows from claim to claim.
    pub epoch: u64,
    /// The accounts of the streams whose latest entry came from one of the partitions; a store without partitions gives all.
    pub accounts: Vec<StreamAccount>,
    /// Records that are stored, and for which no account answers because a crash came between. They will be delivered again, and must
    /// not be stored again.
    pub unaccounted: Vec<(StreamId, Position)>,
}

/// A part of the answer of a scan. Dropping it ends its work.
pub type Partition = Box<dyn Iterator<Item = Result<Rows>> + Send>;

/// What to read.
#[derive(Clone)]
pub struct ScanRequest {
    /// Only records printed in this span. It is joined with the filter.
    pub time: TimeRange,
    /// Only records that pass. The rows that come back have all passed: a store that cannot decide a test reads more and evaluates
    /// it with [`crate::filter::eval`].
    pub filter: Arc<Filter>,
    /// Which fields to bring.
    pub columns: Columns,
    /// In which order to visit the data.
    pub order: ScanOrder,
    /// Moves while the caller's answer fills; what lies outside of it is not read.
    pub bound: Arc<TimeBound>,
    /// How many partitions to make, at most.
    pub partitions: usize,
    /// Ends the scan, with an error of kind `cancelled`.
    pub cancel: CancellationToken,
    /// What the query may use.
    pub budget: Arc<Budget>,
}

/// Which fields of a record are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// All, the built-in ones and the record's own, under their names in queries.
    All,
    /// These. A name that does not exist is simply missing. An empty list asks for counts only.
    Only(Vec<FieldName>),
    /// All but these.
    Except(Vec<FieldName>),
}

impl Columns {
    /// Whether a field is wanted.
    pub fn wants(&self, field: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|n| n.as_ref() == field),
            Self::Except(names) => !names.iter().any(|n| n.as_ref() == field),
        }
    }
}

/// In which order a store visits its data: a hint, by which a caller with a limit can stop early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanOrder {
    /// As is cheapest.
    Any,
    /// Latest first.
    NewestFirst,
    /// Earliest first.
    OldestFirst,
}

/// A span of time that only shrinks: how a caller that keeps the N newest tells the store what can no longer matter.
#[derive(Debug)]
pub struct TimeBound {
    min: AtomicI64,
    max: AtomicI64,
}

impl Default for TimeBound {
    fn default() -> Self {
        Self { min: AtomicI64::new(i64::MIN), max: AtomicI64::new(i64::MAX) }
    }
}

impl TimeBound {
    /// From now on, records printed before `time` do not matter.
    pub fn raise_min(&self, time: i64) {
        self.min.fetch_max(time, Ordering::Relaxed);
    }

    /// From now on, records printed after `time` do not matter.
    pub fn lower_max(&self, time: i64) {
        self.max.fetch_min(time, Ordering::Relaxed);
    }

    /// Whether a record printed in `first..=last` may still matter.
    pub fn overlaps(&self, first: i64, last: i64) -> bool {
        last >= self.min.load(Ordering::Relaxed) && first <= self.max.load(Ordering::Relaxed)
    }
}

/// What one query may use, shared by all that works for it.
#[derive(Debug)]
pub struct Budget {
    memory_limit_bytes: u64,
    memory_bytes: AtomicU64,
    rows_read: AtomicU64,
    bytes_read: AtomicU64,
}

impl Budget {
    /// A budget of this much memory for what the query holds at one time.
    pub fn new(memory_limit_bytes: u64) -> Self {
        Self {
            memory_limit_bytes,
            memory_bytes: AtomicU64::new(0),
            rows_read: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
        }
    }

    /// Takes memory; [`Self::release`] gives it back.
    ///
    /// # Errors
    /// `too_large` when the query would hold more than its limit; nothing was taken.
    pub fn reserve(&self, bytes: u64) -> Result<()> {
        let held = self.memory_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held <= self.memory_limit_bytes {
            return Ok(());
        }
        self.release(bytes);
        Err(Error::too_large(format!(
            "the query needs more than its {} MiB of memory: narrow the time or the filter, group by fewer values, or raise \
             query.memory_limit",
            self.memory_limit_bytes >> 20
        )))
    }

    /// Gives memory back.
    pub fn release(&self, bytes: u64) {
        self.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts what a store looked at.
    pub fn count_read(&self, rows: u64, bytes: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many records a store looked at so far.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    /// How many bytes a store decoded so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_only_shrinks_and_a_budget_gives_back_what_it_refused() {
        let bound = TimeBound::default();
        bound.raise_min(10);
        bound.raise_min(5);
        assert!(!bound.overlaps(0, 9) && bound.overlaps(0, 10));
        let budget = Budget::new(10);
        budget.reserve(8).unwrap();
        assert_eq!(budget.reserve(8).unwrap_err().kind(), crate::Kind::TooLarge);
        budget.reserve(2).unwrap();
    }
}
