//! Claims: who may write blocks of a partition, and how a new owner makes sure that nothing of the former can still land.
//!
//! A claim is a row (partition, epoch). Every insert carries a fence ([`FENCE`]): the server evaluates it when the insert begins, and refuses
//! it unless its epoch is the latest. So after a claim's row is there,
//! 1. an insert of an earlier epoch that begins is refused by the server itself;
//! 2. one that had begun before is in `system.processes` from before its fence was evaluated until its part is committed: it is ended
//!    (`KILL QUERY`), and waited for until it is gone. Whether it took place or not, it is over;
//! 3. then what is stored is read: the accounts, and the records that no account answers for.
//!
//! There is no window between the steps, and no clock is trusted: a server that does not show the inserts as ended within their own time
//! limit makes the claim fail, not go on. See `docs/decisions/0006-exactly-once-into-clickhouse.md`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use rookery_core::{Error, Position, Result, StreamId};

use crate::client::{Client, FENCED, Statement};
use crate::ledger;
use crate::stats::Stats;

/// The condition that every insert of records and accounts carries; its parameters are bound by [`fenced`].
pub(crate) fn fence() -> String {
    format!(
        "throwIf((SELECT max(epoch) FROM claims WHERE partition = {{queue_partition:UInt32}}) != {{epoch:UInt64}}, '{FENCED}') = 0"
    )
}

/// Epochs are the upper half of a block's number.
const EPOCH_LIMIT: u64 = u32::MAX as u64;

/// How often a claim that met another of the same epoch is made again.
const TRIES: u32 = 8;

/// The most records without an account that a claim takes over: more than blocks in flight can hold, so that more is a sign of damage.
const UNACCOUNTED_LIMIT: usize = 10_000_000;

/// How often the server is asked whether inserts have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Beyond its time limit, how long an insert that ends may be seen.
const ENDING: Duration = Duration::from_secs(5);

/// Where inserts are seen, and how they are ended.
#[derive(Debug, Clone)]
pub(crate) struct Inserts {
    pub(crate) database: String,
    pub(crate) cluster: Option<String>,
    pub(crate) timeout: Duration,
}

impl Inserts {
    /// The name of an insert in the server; `what` tells the inserts of one block apart.
    pub(crate) fn id(&self, partition: u32, epoch: u64, sequence: u32, what: &str) -> String {
        format!("{}{epoch}-{sequence}-{what}", self.prefix(partition))
    }

    fn prefix(&self, partition: u32) -> String {
        format!("rookery-insert-{}-{partition}-", self.database)
    }

    /// Ends the inserts whose names start so, and returns when none runs any more.
    ///
    /// # Errors
    /// `unavailable` when they still run after their own time limit; the call may be made again.
    async fn end(&self, client: &Client, prefix: &str, stats: &Stats) -> Result<()> {
        let started = Instant::now();
        let mut told = Vec::new();
        loop {
            let running = self.running(client, prefix).await?;
            if running.is_empty() {
                return Ok(());
            }
            if started.elapsed() > self.timeout + ENDING {
                return Err(Error::unavailable(format!(
                    "{} inserts of a former owner still run in ClickHouse {:?} after they were ended, the first is {:?}: nothing is \
                     taken over before they are gone",
                    running.len(),
                    started.elapsed(),
                    running[0]
                )));
            }
            for id in running.into_iter().filter(|id| !told.contains(id)).collect::<Vec<_>>() {
                // Without the right to end them, they end by themselves at their time limit.
                if let Err(error) = self.kill(client, &id).await {
                    tracing::warn!(%error, id, "an insert of a former owner could not be ended; waiting for its time limit");
                } else {
                    Stats::add(&stats.killed_inserts, 1);
                }
                told.push(id);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends what runs of one block.
    pub(crate) async fn end_block(
        &self,
        client: &Client,
        (partition, epoch, sequence): (u32, u64, u32),
        stats: &Stats,
    ) -> Result<()> {
        self.end(client, &self.id(partition, epoch, sequence, ""), stats).await
    }

    async fn running(&self, client: &Client, prefix: &str) -> Result<Vec<String>> {
        let sql = match &self.cluster {
            None => "SELECT query_id AS id FROM system.processes WHERE startsWith(query_id, {prefix:String})".to_owned(),
            // On a shard, the part of a distributed insert has a name of its own; the first one's is beside it.
            Some(cluster) => format!(
                "SELECT DISTINCT initial_query_id AS id FROM clusterAllReplicas('{cluster}', system.processes) \
                 WHERE startsWith(initial_query_id, {{prefix:String}})"
            ),
        };
        let rows = client.rows(&Statement::new(sql).param("prefix", prefix)).await?;
        let mut ids = Vec::new();
        for row in &rows {
            let texts = row.column(0).as_string_opt::<i32>();
            let texts = texts
                .ok_or_else(|| Error::corrupt("ClickHouse names running queries by no text"))?;
            ids.extend(texts.iter().flatten().map(str::to_owned));
        }
        Ok(ids)
    }

    async fn kill(&self, client: &Client, id: &str) -> Result<()> {
        let sql = match &self.cluster {
            None => "KILL QUERY WHERE query_id = {id:String} SYNC".to_owned(),
            Some(cluster) => {
                format!(
                    "KILL QUERY ON CLUSTER {cluster} WHERE initial_query_id = {{id:String}} SYNC"
                )
            }
        };
        client.execute(&Statement::new(sql).param("id", id)).await
    }
}

/// Makes a claim of these partitions, and ends what earlier owners still write. Gives the epoch.
///
/// # Errors
/// `conflict` when another claim was made meanwhile; `unavailable` when inserts of a former owner do not end.
pub(crate) async fn make(
    client: &Client,
    inserts: &Inserts,
    partitions: &[u32],
    stats: &Stats,
) -> Result<u64> {
    let owner = name_of_a_claim();
    for _ in 0..TRIES {
        let epoch = largest(client).await? + 1 + step(&owner);
        if epoch > EPOCH_LIMIT {
            return Err(Error::conflict(
                "the claims in ClickHouse are used up: move the data to a new clickhouse.database",
            ));
        }
        insert(client, partitions, epoch, &owner).await?;
        match standing(client, partitions, epoch).await? {
            Standing::Ours => {}
            // Neither of two claims with one epoch may write: both go on to a later one.
            Standing::Shared => continue,
            Standing::Passed => {
                return Err(Error::conflict(format!(
                    "another owner claimed some of the partitions {partitions:?} after us"
                )));
            }
        }
        for partition in partitions {
            inserts.end(client, &inserts.prefix(*partition), stats).await?;
        }
        return Ok(epoch);
    }
    Err(Error::unavailable(format!(
        "no claim of its own for the partitions {partitions:?} after {TRIES} tries: too many owners claim at once"
    )))
}

/// What became of a claim.
enum Standing {
    Ours,
    Shared,
    Passed,
}

async fn largest(client: &Client) -> Result<u64> {
    let rows = client.rows(&Statement::new("SELECT max(epoch) AS epoch FROM claims")).await?;
    Ok(numbers(&rows, 0)?.first().copied().unwrap_or(0))
}

async fn insert(client: &Client, partitions: &[u32], epoch: u64, owner: &str) -> Result<()> {
    let sql = "INSERT INTO claims (key, partition, epoch, owner, at) SELECT concat(toString(partition), '-', {epoch:String}, '-', \
               {owner:String}), arrayJoin({partitions:Array(UInt32)}) AS partition, {epoch:UInt64}, {owner:String}, now64(3, 'UTC')"
        .replace("{epoch:String}", "toString({epoch:UInt64})");
    let statement = Statement::new(sql)
        .param("partitions", partitions)
        .param("epoch", epoch)
        .param("owner", owner)
        .setting("async_insert", 0);
    client.execute(&statement).await
}

async fn standing(client: &Client, partitions: &[u32], epoch: u64) -> Result<Standing> {
    let sql = "SELECT max(epoch) AS latest, toUInt64(uniqExactIf(owner, epoch = {epoch:UInt64})) AS owners FROM claims \
               WHERE partition IN {partitions:Array(UInt32)} GROUP BY partition";
    let rows = client
        .rows(&Statement::new(sql).param("partitions", partitions).param("epoch", epoch))
        .await?;
    let (latest, owners) = (numbers(&rows, 0)?, numbers(&rows, 1)?);
    if latest.len() != partitions.len() {
        return Err(Error::internal("a claim that was made is not among the claims"));
    }
    if latest.iter().any(|latest| *latest > epoch) {
        return Ok(Standing::Passed);
    }
    Ok(if owners.iter().any(|owners| *owners > 1) { Standing::Shared } else { Standing::Ours })
}

/// For each partition, the first block that may hold records without an account.
pub(crate) async fn settled(client: &Client, partitions: &[u32]) -> Result<BTreeMap<u32, u64>> {
    let sql = "SELECT queue_partition, max(settled) AS settled FROM ledger WHERE queue_partition IN {partitions:Array(UInt32)} \
               GROUP BY queue_partition";
    let rows = client.rows(&Statement::new(sql).param("partitions", partitions)).await?;
    let mut settled: BTreeMap<u32, u64> = partitions.iter().map(|p| (*p, 0)).collect();
    for row in &rows {
        let keys = row.column(0).as_primitive_opt::<UInt32Type>();
        let keys =
            keys.ok_or_else(|| Error::corrupt("ClickHouse names partitions by no number"))?;
        settled.extend(keys.values().iter().copied().zip(numbers(std::slice::from_ref(row), 1)?));
    }
    Ok(settled)
}

/// The records of a partition that no account answers for: they lie in a block that may be unsettled, at or after their stream's mark.
pub(crate) async fn unaccounted(
    client: &Client,
    partition: u32,
    settled: u64,
) -> Result<Vec<(StreamId, Position)>> {
    let sql = format!(
        "WITH found AS (SELECT stream, generation, offset FROM logs
            WHERE queue_partition = {{partition:UInt32}} AND block >= {{settled:UInt64}})
         SELECT stream, generation, offset FROM found
         LEFT JOIN (SELECT stream, max(mark) AS mark FROM ledger WHERE stream IN (SELECT stream FROM found) GROUP BY stream) AS known
            USING (stream)
         WHERE (generation, offset) >= mark
         ORDER BY stream, generation, offset LIMIT {}",
        UNACCOUNTED_LIMIT + 1
    );
    let statement = Statement::new(sql).param("partition", partition).param("settled", settled);
    let mut found = Vec::new();
    for row in &client.rows(&statement).await? {
        found.extend(ledger::streams(row)?.into_iter().zip(ledger::positions(row)?));
    }
    if found.len() > UNACCOUNTED_LIMIT {
        return Err(Error::corrupt(format!(
            "more than {UNACCOUNTED_LIMIT} records of partition {partition} have no account in ClickHouse's ledger: was the table ledger \
             emptied? Restore it, or empty logs too"
        )));
    }
    Ok(found)
}

fn numbers(rows: &[arrow_array::RecordBatch], column: usize) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    for row in rows {
        let column = row.column(column).as_primitive_opt::<UInt64Type>();
        let column = column.ok_or_else(|| Error::corrupt("ClickHouse answered with no number"))?;
        all.extend(column.values());
    }
    Ok(all)
}

/// A name that no other claim has: 64 bits of chance, and the process.
fn name_of_a_claim() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let chance = || RandomState::new().build_hasher().finish();
    format!("{}-{:016x}", std::process::id(), chance())
}

/// Claims that are made at the same moment seldom take the same step.
fn step(owner: &str) -> u64 {
    owner.bytes().last().map_or(0, |digit| u64::from(digit) % 8)
}
