//! The store: connects, and answers the calls of [`Store`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rookery_core::batch::Block;
use rookery_core::ledger::StreamAccount;
use rookery_core::store::{Accounts, Claim, Partition, ScanRequest, Store};
use rookery_core::{BoxFuture, Error, Kind, Result, Scope, time};

use crate::append::Writer;
use crate::claim::{self, Inserts};
use crate::client::{Client, Statement};
use crate::config::{ClickHouseConfig, Engine};
use crate::ledger::{self, Which};
use crate::migrate;
use crate::owned::Owned;
use crate::scan::Reader;
use crate::stats::Stats;

/// How often a server that is not there yet is asked again.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How often is said that the server is not there yet.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Logs in ClickHouse.
#[derive(Debug)]
pub struct ClickHouseStore {
    client: Client,
    config: ClickHouseConfig,
    reader: Reader,
    inserts: Inserts,
    owned: Mutex<Owned>,
    stats: Arc<Stats>,
}

impl ClickHouseStore {
    /// Connects; waits for a server that is not there yet, and for a schema that is still to be made, and says so. It makes no schema: see
    /// [`crate::migrate()`].
    ///
    /// # Errors
    /// `invalid` for a configuration that cannot work, `conflict` for a schema that is newer than this program, `unavailable` when the
    /// server or the schema is not there after `startup_timeout`, and what the server says of the user's rights.
    pub async fn connect(config: ClickHouseConfig) -> Result<Self> {
        let client = Client::new(&config)?;
        wait_for(&config, "the schema", || async {
            if migrate::fits(migrate::version(&client).await?)? {
                return Ok(());
            }
            Err(Error::unavailable(format!(
                "the database {} has no schema of this version: start the ingester, or run `rookery migrate`",
                config.database
            )))
        })
        .await?;
        let cluster = match config.engine {
            Engine::MergeTree => None,
            Engine::Replicated => config.cluster.clone(),
        };
        let inserts = Inserts {
            database: config.database.clone(),
            cluster,
            timeout: config.insert_timeout.0,
        };
        let owned = Mutex::default();
        let stats = Arc::default();
        let reader = Reader::new(&client, &config, &stats).await?;
        Ok(Self { client, reader, config, inserts, owned, stats })
    }

    /// What it counts.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Whether it can be asked now.
    ///
    /// # Errors
    /// What keeps it: the server is away, or the schema was changed by a newer program.
    pub async fn ready(&self) -> Result<()> {
        if migrate::fits(migrate::version(&self.client).await?)? {
            return Ok(());
        }
        Err(Error::unavailable("the schema in ClickHouse is older than this program"))
    }

    fn owned<T>(&self, act: impl FnOnce(&mut Owned) -> T) -> T {
        act(&mut self.owned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn claim_partitions(&self, partitions: &[u32]) -> Result<Claim> {
        let started = Instant::now();
        let mut distinct = partitions.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.is_empty() {
            return Ok(Claim::default());
        }
        let epoch = claim::make(&self.client, &self.inserts, &distinct, &self.stats).await?;
        self.sync_replicas().await?;
        let accounts = ledger::read(&self.client, &Which::Partitions(&distinct)).await?;
        let mut unaccounted = Vec::new();
        for (partition, settled) in claim::settled(&self.client, &distinct).await? {
            let found = claim::unaccounted(&self.client, partition, settled).await?;
            self.owned(|owned| owned.claim(partition, epoch, settled, &found));
            unaccounted.extend(found);
        }
        Stats::add(&self.stats.claims, 1);
        Stats::add(&self.stats.unaccounted_records, unaccounted.len() as u64);
        Stats::time(&self.stats.claim_micros, started);
        Ok(Claim { epoch, accounts, unaccounted })
    }

    /// On a cluster, the replicas that will be asked must have what another replica acknowledged.
    async fn sync_replicas(&self) -> Result<()> {
        let Some(cluster) = &self.inserts.cluster else { return Ok(()) };
        for table in ["ledger_local", "logs_local"] {
            let database = &self.config.database;
            let sql = format!("SYSTEM SYNC REPLICA ON CLUSTER {cluster} {database}.{table}");
            self.client.execute(&Statement::new(sql)).await?;
        }
        Ok(())
    }

    async fn append_block(&self, block: Block) -> Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        if block.entries.is_empty() {
            return Err(Error::invalid("a block has records and no account of them"));
        }
        let writer = Writer {
            client: &self.client,
            inserts: &self.inserts,
            stats: &self.stats,
            retention: &self.config.retention,
        };
        let there = if self.owned(|owned| owned.begin(block.origin))? {
            writer.left_behind(&block).await?
        } else {
            Some(HashMap::new())
        };
        if let Some(there) = there {
            writer.records(&block, &there).await?;
            let settled = self.owned(|owned| owned.settled_with(block.origin, &block.entries))?;
            writer.account(&block, settled, time::now()).await?;
        }
        self.owned(|owned| owned.committed(block.origin, &block.entries));
        Stats::add(&self.stats.blocks, 1);
        Stats::add(&self.stats.records, block.len() as u64);
        Ok(())
    }
}

impl Store for ClickHouseStore {
    fn claim(&self, partitions: &[u32]) -> BoxFuture<'_, Result<Claim>> {
        let partitions = partitions.to_vec();
        Box::pin(async move { self.claim_partitions(&partitions).await })
    }

    fn append(&self, block: Block) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.append_block(block))
    }

    fn accounts(&self, which: Accounts) -> BoxFuture<'_, Result<Vec<StreamAccount>>> {
        Box::pin(async move { ledger::read(&self.client, &Which::Asked(&which)).await })
    }

    fn scan(&self, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
        self.reader.scan(scope, request)
    }

    /// An append returns when its block is on the disk: there is nothing left to write.
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Tries until it works, as long as what is missing may still come.
pub(crate) async fn wait_for<T, F: Future<Output = Result<T>>>(
    config: &ClickHouseConfig,
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let started = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let error = match attempt().await {
            Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Timeout) => error,
            answer => return answer,
        };
        if started.elapsed() >= config.startup_timeout.0 {
            return Err(error);
        }
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            tracing::warn!(%error, "waiting for {what} in ClickHouse");
            said = Some(Instant::now());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
