//! Writing a block: its records, then its account, whose insert commits it.
//!
//! 1. one insert for each day and retention that the block touches ([`crate::pieces`]), each one part, so each is there as a whole or not at
//!    all;
//! 2. what was shed or lost, into `ledger_events`;
//! 3. one insert of all that the block adds to the accounts: the commit.
//!
//! Each is fenced ([`crate::claim`]) and has a name of its own in the server, the same at each try. A try after one that failed first makes
//! sure that nothing of the earlier still runs, then looks what of it is there, and writes only the rest: so it does not matter whether the
//! earlier took place.
//!
//! The server's deduplication by token is for a request that arrives twice, and for nothing else: it remembers a token before the part is
//! in its place, so a try that failed in between would make it pass over the next one. Each try has a token of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt16Type, UInt64Type};
use rookery_core::batch::{Block, Origin};
use rookery_core::logs::RESOURCE_COLUMNS;
use rookery_core::{Error, Kind, Result};

use crate::claim::{Inserts, fence};
use crate::client::{Client, Statement};
use crate::config::Retention;
use crate::ledger;
use crate::owned::block as block_number;
use crate::pieces::{self, Piece};
use crate::schema::LEDGER_SUMS;
use crate::stats::Stats;

/// Beyond the server's own time limit of an insert, how long its answer may take.
const ANSWERING: Duration = Duration::from_secs(5);

/// Tells the tries of this process apart; between processes the epoch does.
static TRIES: AtomicU64 = AtomicU64::new(0);

/// More records than any block has: the server gathers an insert into one part.
const GATHERED_ROWS: u64 = 1 << 31;

/// What a block is written with.
pub(crate) struct Writer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) inserts: &'a Inserts,
    pub(crate) stats: &'a Stats,
    pub(crate) retention: &'a Retention,
}

impl Writer<'_> {
    /// Writes the records that are missing, and the events.
    ///
    /// # Errors
    /// As [`rookery_core::store::Store::append`].
    pub(crate) async fn records(&self, block: &Block, there: &HashMap<Piece, u64>) -> Result<()> {
        let (tenant, records) = (block.tenant.clone(), block.records.clone());
        let retention = self.retention.clone();
        let pieces = off_reactor(move || pieces::cut(&tenant, &records, &retention)).await?;
        let missing = pieces::missing(pieces, there)?;
        Stats::add(&self.stats.found_inserts, there.len() as u64);
        for (piece, batches) in missing {
            self.piece(block, piece, batches).await?;
        }
        Ok(())
    }

    async fn piece(&self, block: &Block, piece: Piece, batches: Vec<RecordBatch>) -> Result<()> {
        let started = Instant::now();
        let what = format!("{}-{}", piece.day, piece.keep_days);
        let statement =
            self.statement(logs_sql(), block, &what).param("keep_days", piece.keep_days);
        let sent = self.insert(&statement, batches).await?;
        Stats::add(&self.stats.inserts, 1);
        Stats::add(&self.stats.insert_bytes, sent);
        Stats::time(&self.stats.insert_micros, started);
        Ok(())
    }

    /// Writes the account, and with it commits the block.
    ///
    /// # Errors
    /// As [`rookery_core::store::Store::append`].
    pub(crate) async fn account(&self, block: &Block, settled: u64, at: i64) -> Result<()> {
        let added = ledger::added(block, at);
        if let Some(events) = ledger::event_rows(&added)? {
            self.insert(&self.statement(events_sql(), block, "events"), vec![events]).await?;
        }
        let commit = self.statement(ledger_sql(), block, "ledger").param("settled", settled);
        self.insert(&commit, vec![ledger::rows(&added)?]).await?;
        Ok(())
    }

    /// What an earlier try of this block left: `None` when it was committed.
    ///
    /// # Errors
    /// `unavailable` when an insert of it still runs.
    pub(crate) async fn left_behind(&self, block: &Block) -> Result<Option<HashMap<Piece, u64>>> {
        let Origin { partition, epoch, sequence } = block.origin;
        Stats::add(&self.stats.recoveries, 1);
        self.inserts.end_block(self.client, (partition, epoch, sequence), self.stats).await?;
        let number = block_number(epoch, sequence);
        if self.is_committed(block, number).await? {
            return Ok(None);
        }
        let sql = "SELECT toInt32(toDate32(time)) AS day, keep_days, count() AS records FROM logs \
                   WHERE queue_partition = {queue_partition:UInt32} AND block = {block:UInt64} GROUP BY day, keep_days";
        let statement =
            Statement::new(sql).param("queue_partition", partition).param("block", number);
        let mut there = HashMap::new();
        for row in &self.client.rows(&statement).await? {
            there.extend(counts(row).ok_or_else(|| {
                Error::corrupt("ClickHouse answered with other columns than were asked for")
            })?);
        }
        Ok(Some(there))
    }

    /// Blocks with a stream in common are written one after the other: so the first stream's latest block says it.
    async fn is_committed(&self, block: &Block, number: u64) -> Result<bool> {
        let Some(entry) = block.entries.first() else { return Ok(false) };
        let sql = "SELECT max(block) AS latest FROM ledger WHERE tenant = {tenant:String} \
                   AND stream = toFixedString(unhex({stream:String}), 16) AND queue_partition = {queue_partition:UInt32}";
        let statement = Statement::new(sql)
            .param("tenant", &block.tenant)
            .param("stream", entry.range.stream)
            .param("queue_partition", block.origin.partition);
        let rows = self.client.rows(&statement).await?;
        let latest = rows.iter().filter_map(|row| row.column(0).as_primitive_opt::<UInt64Type>());
        Ok(latest.flat_map(|column| column.values().iter().copied()).any(|latest| latest >= number))
    }

    /// An insert of this block; `what` tells it apart from the block's others.
    fn statement(&self, sql: String, block: &Block, what: &str) -> Statement {
        let Origin { partition, epoch, sequence } = block.origin;
        let id = self.inserts.id(partition, epoch, sequence, what);
        let token = format!("{id}-{}", TRIES.fetch_add(1, Ordering::Relaxed));
        Statement::new(sql)
            .param("tenant", &block.tenant)
            .param("queue_partition", partition)
            .param("epoch", epoch)
            .param("block", block_number(epoch, sequence))
            .query_id(&id)
            .setting("insert_deduplication_token", &token)
            .setting("async_insert", 0)
            .setting("max_threads", 1)
            .setting("max_insert_threads", 1)
            .setting("min_insert_block_size_rows", GATHERED_ROWS)
            .setting("min_insert_block_size_bytes", 0)
            // A part of an insert is small, and merged in seconds: the merge makes its indexes.
            .setting("materialize_skip_indexes_on_insert", 0)
            .setting("max_execution_time", self.inserts.timeout.as_secs().max(1))
            // On a cluster: acknowledged when the shard has it.
            .setting("insert_distributed_sync", 1)
    }

    async fn insert(&self, statement: &Statement, batches: Vec<RecordBatch>) -> Result<u64> {
        let stream = off_reactor(move || pieces::encode(&batches)).await?;
        let sent = stream.iter().map(|piece| piece.len() as u64).sum();
        let answer = self.client.insert(statement, stream, self.inserts.timeout + ANSWERING).await;
        if answer.as_ref().is_err_and(|error| error.kind() == Kind::Conflict) {
            Stats::add(&self.stats.fenced, 1);
        }
        answer.map(|()| sent).map_err(again)
    }
}

/// An insert that was ended or refused for what may pass is one that can be tried again.
fn again(error: Error) -> Error {
    match error.kind() {
        Kind::Cancelled | Kind::Timeout | Kind::Throttled | Kind::TooLarge => {
            Error::unavailable("ClickHouse did not take an insert").because(error)
        }
        _ => error,
    }
}

fn counts(row: &RecordBatch) -> Option<Vec<(Piece, u64)>> {
    let days = row.column(0).as_primitive_opt::<Int32Type>()?.values();
    let keep = row.column(1).as_primitive_opt::<UInt16Type>()?.values();
    let records = row.column(2).as_primitive_opt::<UInt64Type>()?.values();
    let piece = |(&day, &keep_days)| Piece { day, keep_days };
    Some(days.iter().zip(keep).map(piece).zip(records.iter().copied()).collect())
}

async fn off_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let ended = |error| Error::internal("the work for an insert ended early").because(error);
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

/// The columns of a batch of logs, as the server is to read them.
fn logs_sql() -> String {
    let plain = "time, observed, stream, generation, offset, severity, body";
    let resources = RESOURCE_COLUMNS.join(", ");
    let structure: String =
        RESOURCE_COLUMNS.iter().map(|name| format!(", {name} LowCardinality(String)")).collect();
    format!(
        "INSERT INTO logs (tenant, {plain}, {resources}, labels, fields, trace_id, span_id, queue_partition, block, keep_days) \
         SELECT {{tenant:String}}, {plain}, {resources}, labels, fields, trace_id, span_id, {{queue_partition:UInt32}}, {{block:UInt64}}, \
         {{keep_days:UInt16}} FROM input('time DateTime64(9, \\'UTC\\'), observed DateTime64(9, \\'UTC\\'), stream FixedString(16), \
         generation UInt64, offset UInt64, severity UInt8, body String{structure}, labels Map(LowCardinality(String), String), \
         fields Map(LowCardinality(String), String), trace_id String, span_id String') WHERE {} FORMAT ArrowStream",
        fence()
    )
}

fn ledger_sql() -> String {
    let sums = LEDGER_SUMS.join(", ");
    let structure: String = LEDGER_SUMS.iter().map(|name| format!(", {name} UInt64")).collect();
    format!(
        "INSERT INTO ledger (tenant, stream, queue_partition, mark, tags, {sums}, block, settled) \
         SELECT {{tenant:String}}, stream, {{queue_partition:UInt32}}, (generation, offset), ({{block:UInt64}}, tags), {sums}, \
         {{block:UInt64}}, {{settled:UInt64}} \
         FROM input('stream FixedString(16), generation UInt64, offset UInt64, tags String{structure}') WHERE {} FORMAT ArrowStream",
        fence()
    )
}

fn events_sql() -> String {
    format!(
        "INSERT INTO ledger_events (tenant, stream, generation, start, end, records, fate, reason, at, queue_partition, block) \
         SELECT {{tenant:String}}, stream, generation, start, end, records, fate, reason, at, {{queue_partition:UInt32}}, {{block:UInt64}} \
         FROM input('stream FixedString(16), generation UInt64, start UInt64, end UInt64, records UInt64, fate String, reason String, \
         at DateTime64(9, \\'UTC\\')') WHERE {} FORMAT ArrowStream",
        fence()
    )
}
