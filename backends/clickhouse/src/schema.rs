//! The tables, and the statements that make them.
//!
//! | table | what | one row is |
//! |---|---|---|
//! | `logs` | the records, in the columns of [`rookery_core::logs`], with `tenant`, and the block that brought them | a record |
//! | `ledger` | the accounts; the insert into it commits a block | a stream in a partition of the queue; sums and maxima merge |
//! | `ledger_events` | what was shed or lost, one by one | an event |
//! | `claims` | who may write blocks of a partition: who claimed it last | a claim |
//! | `schema_migrations` | which of [`crate::migrate`] took place | a step |
//!
//! `block` is the claim's epoch in the upper 32 bits and the block's sequence in the lower. `keep_days` is the record's retention; it is
//! part of the partition, so that whole parts expire together and nothing is rewritten.
//!
//! Why these orders, codecs and indexes, with what was measured: `docs/decisions/0007-clickhouse-schema.md`.
//!
//! With `engine: replicated`, every table but `claims` is a replicated table `<name>_local` and a distributed one `<name>` over it; all rows
//! of a partition of the queue lie in one shard, so that an insert makes one part there too. `claims` is in Keeper itself, because only
//! there a claim is seen by every host once it is made.

use crate::config::{ClickHouseConfig, Engine, TextIndex};
use rookery_core::logs::{RESOURCE_COLUMNS, fields, severity_name};
use rookery_core::{Error, Result};

/// What the server can do, as far as the tables depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    /// An inverted index on text, without an experimental setting.
    pub(crate) text_index: bool,
    /// Maps whose keys lie in buckets, so that one key is read without the others.
    pub(crate) map_buckets: bool,
    /// Parts of one file for inserts, and of a file for each column once they are merged.
    pub(crate) wide_by_level: bool,
}

/// How tables are made here.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    database: String,
    cluster: Option<String>,
    words: TextIndex,
    map_buckets: bool,
    wide_by_level: bool,
}

/// What an index of words sees of a body: ASCII. The server's tokenizer takes every other byte for a part of a word, so a word beside a
/// dash or a quotation mark of Unicode would not be found; with them as spaces, each run of ASCII letters and digits in a complete word of
/// [`rookery_core::tokens`] is a token.
pub(crate) const INDEXED_BODY: &str =
    r"if(length(body) = lengthUTF8(body), body, replaceRegexpAll(body, '[^\\x00-\\x7F]', ' '))";

/// How many buckets the keys of `fields` lie in: one key is read five times faster, and merges cost 1.7 times as much.
const MAP_BUCKETS: u32 = 8;

/// How long events are listed one by one; their sums stay.
const EVENT_DAYS: u32 = 400;

/// How many blocks the server remembers by their token, for a table that is not replicated; a second line behind the look at what is there.
const DEDUPLICATION_WINDOW: u32 = 1000;

impl Dialect {
    /// # Errors
    /// `invalid` when the configuration wants what the server has not.
    pub(crate) fn new(config: &ClickHouseConfig, features: Features) -> Result<Self> {
        if config.text_index == TextIndex::On && !features.text_index {
            return Err(Error::invalid(
                "clickhouse.text_index is on, but this server has no text index: use 26.2 or later, or text_index: auto",
            ));
        }
        let cluster = match config.engine {
            Engine::MergeTree => None,
            Engine::Replicated => config.cluster.clone(),
        };
        Ok(Self {
            database: config.database.clone(),
            cluster,
            words: config.text_index,
            map_buckets: features.map_buckets,
            wide_by_level: features.wide_by_level,
        })
    }

    fn on_cluster(&self) -> String {
        self.cluster.as_ref().map_or_else(String::new, |name| format!(" ON CLUSTER {name}"))
    }

    /// The name of the table that holds the rows on each host.
    pub(crate) fn local(&self, table: &str) -> String {
        match self.cluster {
            None => format!("{}.{table}", self.database),
            Some(_) => format!("{}.{table}_local", self.database),
        }
    }

    fn engine(&self, family: &str, arguments: &str) -> String {
        match self.cluster {
            None => format!("{family}({arguments})"),
            Some(_) => {
                let comma = if arguments.is_empty() { "" } else { ", " };
                format!(
                    "Replicated{family}('/clickhouse/tables/{{shard}}/{{database}}/{{table}}', '{{replica}}'{comma}{arguments})"
                )
            }
        }
    }

    /// The table, and on a cluster the distributed one over it.
    fn table(&self, name: &str, columns: &str, engine: &str, rest: &str) -> Vec<String> {
        let local = self.local(name);
        let mut statements = vec![format!(
            "CREATE TABLE IF NOT EXISTS {local}{} (\n{columns}\n) ENGINE = {engine}\n{rest}",
            self.on_cluster()
        )];
        if let Some(cluster) = &self.cluster {
            let database = &self.database;
            statements.push(format!(
                "CREATE TABLE IF NOT EXISTS {database}.{name}{} AS {local} ENGINE = Distributed({cluster}, {database}, {name}_local, \
                 queue_partition)",
                self.on_cluster()
            ));
        }
        statements
    }

    /// A change of a table, and on a cluster of the distributed one over it.
    fn altered(&self, name: &str, change: &str) -> Vec<String> {
        let mut tables = vec![self.local(name)];
        if self.cluster.is_some() {
            tables.push(format!("{}.{name}", self.database));
        }
        let cluster = self.on_cluster();
        tables.iter().map(|table| format!("ALTER TABLE {table}{cluster} {change}")).collect()
    }

    /// Settings by which a part is on the disk before its insert is acknowledged; replicas make that needless.
    fn durable(&self) -> &'static str {
        match self.cluster {
            None => ", fsync_after_insert = 1, fsync_part_directory = 1",
            Some(_) => "",
        }
    }

    fn deduplication(&self) -> String {
        match self.cluster {
            None => format!("non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}"),
            Some(_) => format!("replicated_deduplication_window = {DEDUPLICATION_WINDOW}"),
        }
    }

    /// The statement that makes the database.
    pub(crate) fn database(&self) -> String {
        format!("CREATE DATABASE IF NOT EXISTS {}{}", self.database, self.on_cluster())
    }

    /// The table of the steps that took place.
    pub(crate) fn migrations(&self) -> String {
        // One host's answer must be that of all: on a cluster every host is its replica, in whichever shard.
        let engine = match self.cluster {
            None => "ReplacingMergeTree".into(),
            Some(_) => format!(
                "ReplicatedReplacingMergeTree('/clickhouse/tables/all/{}/schema_migrations', '{{shard}}-{{replica}}')",
                self.database
            ),
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {}.schema_migrations{} (\n    version UInt32,\n    name String,\n    at DateTime64(3, 'UTC'),\n    \
             by String\n) ENGINE = {engine}\nORDER BY version",
            self.database,
            self.on_cluster()
        )
    }

    /// The records.
    pub(crate) fn logs(&self) -> Vec<String> {
        let resources: String = RESOURCE_COLUMNS
            .iter()
            .map(|name| format!("    {name} LowCardinality(String) CODEC(ZSTD(1)),\n"))
            .collect();
        let words = match self.words {
            // The functions of the text index apply the preprocessor to the words that are asked for, too.
            TextIndex::On => format!(
                "    INDEX body_words body TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = {INDEXED_BODY}),\n"
            ),
            TextIndex::Auto => format!(
                "    INDEX body_words {INDEXED_BODY} TYPE tokenbf_v1(16384, 2, 0) GRANULARITY 1,\n"
            ),
            TextIndex::Off => String::new(),
        };
        let columns = format!(
            "    tenant LowCardinality(String) CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    observed DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    stream FixedString(16) CODEC(ZSTD(1)),
    generation UInt64 CODEC(Delta(8), ZSTD(1)),
    offset UInt64 CODEC(Delta(8), ZSTD(1)),
    severity UInt8 CODEC(ZSTD(1)),
    body String CODEC(ZSTD(1)),
{resources}    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    fields Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    queue_partition UInt32 CODEC(ZSTD(1)),
    block UInt64 CODEC(Delta(8), ZSTD(1)),
    keep_days UInt16 CODEC(ZSTD(1)),
{words}    INDEX time_range time TYPE minmax GRANULARITY 1,
    INDEX block_range (queue_partition, block) TYPE minmax GRANULARITY 1,
    INDEX stream_set stream TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX pod_set pod TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX trace_set trace_id TYPE bloom_filter(0.01) GRANULARITY 1"
        );
        let buckets = if self.map_buckets {
            format!(
                ", map_serialization_version = 'with_buckets', map_buckets_strategy = 'constant', max_buckets_in_map = {MAP_BUCKETS}, \
                 map_buckets_min_avg_size = 0"
            )
        } else {
            String::new()
        };
        // One file to sync at an insert, in place of sixty.
        let level = if self.wide_by_level { ", min_level_for_wide_part = 1" } else { "" };
        let rest = format!(
            "PARTITION BY (toDate32(time), keep_days)
ORDER BY (tenant, toStartOfHour(time), namespace, stream, generation, offset)
TTL toDate32(time) + toIntervalDay(keep_days)
SETTINGS ttl_only_drop_parts = 1, {}{}{level}{buckets}",
            self.deduplication(),
            self.durable(),
        );
        self.table("logs", &columns, &self.engine("MergeTree", ""), &rest)
    }

    /// The level of a record as a column: the one that it names itself, else the name of its severity. Records from before have it as well:
    /// the server computes it when they are read, and stores it when they are merged.
    pub(crate) fn level(&self) -> Vec<String> {
        let own = format!("fields['{}']", fields::LEVEL);
        let names: String = [1, 5, 9, 13, 17, 21]
            .map(|first| {
                format!("severity BETWEEN {first} AND {}, '{}', ", first + 3, severity_name(first))
            })
            .concat();
        let column = format!(
            "level LowCardinality(String) MATERIALIZED if({own} != '', {own}, multiIf({names}'')) CODEC(ZSTD(1)) AFTER severity"
        );
        self.altered("logs", &format!("ADD COLUMN IF NOT EXISTS {column}"))
    }

    /// Fields a fifth smaller than at level 1, for no more work that could be measured; parts from before become so when they are merged.
    pub(crate) fn fields_packed(&self) -> Vec<String> {
        let (table, cluster) = (self.local("logs"), self.on_cluster());
        vec![format!("ALTER TABLE {table}{cluster} MODIFY COLUMN fields CODEC(ZSTD(3))")]
    }

    /// The accounts.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let sums: Vec<String> = LEDGER_SUMS
            .iter()
            .map(|name| format!("    {name} SimpleAggregateFunction(sum, UInt64),\n"))
            .collect();
        let columns = format!(
            "    tenant LowCardinality(String),
    stream FixedString(16),
    queue_partition UInt32,
    mark SimpleAggregateFunction(max, Tuple(UInt64, UInt64)),
    tags SimpleAggregateFunction(max, Tuple(UInt64, String)),
{}    block SimpleAggregateFunction(max, UInt64),
    settled SimpleAggregateFunction(max, UInt64)",
            sums.concat()
        );
        let rest = format!(
            "ORDER BY (tenant, stream, queue_partition)\nSETTINGS {}{}",
            self.deduplication(),
            self.durable()
        );
        self.table("ledger", &columns, &self.engine("AggregatingMergeTree", ""), &rest)
    }

    /// What was shed or lost, one by one.
    pub(crate) fn events(&self) -> Vec<String> {
        let columns = "    tenant LowCardinality(String),
    stream FixedString(16),
    generation UInt64,
    start UInt64,
    end UInt64,
    records UInt64,
    fate LowCardinality(String),
    reason LowCardinality(String),
    at DateTime64(9, 'UTC'),
    queue_partition UInt32,
    block UInt64";
        let rest = format!(
            "ORDER BY (tenant, stream, generation, start, end, fate, reason)\nTTL toDateTime(at) + toIntervalDay({EVENT_DAYS})\nSETTINGS \
             {}{}",
            self.deduplication(),
            self.durable()
        );
        self.table("ledger_events", columns, &self.engine("ReplacingMergeTree", ""), &rest)
    }

    /// The claims.
    pub(crate) fn claims(&self) -> Vec<String> {
        let (engine, rest) = match self.cluster {
            None => (
                "MergeTree".to_owned(),
                format!(
                    "ORDER BY (partition, epoch)\nSETTINGS fsync_after_insert = 1{}",
                    ", fsync_part_directory = 1"
                ),
            ),
            // Needs `keeper_map_path_prefix` in the server's configuration.
            Some(_) => (
                format!("KeeperMap('/rookery/{}/claims')", self.database),
                "PRIMARY KEY key".to_owned(),
            ),
        };
        vec![format!(
            "CREATE TABLE IF NOT EXISTS {}.claims{} (
    key String,
    partition UInt32,
    epoch UInt64,
    owner String,
    at DateTime64(3, 'UTC')
) ENGINE = {engine}
{rest}",
            self.database,
            self.on_cluster()
        )]
    }
}

/// The sums of `ledger`, in its order.
pub(crate) const LEDGER_SUMS: [&str; 9] = [
    "covered_bytes",
    "stored_bytes",
    "stored_records",
    "shed_bytes",
    "shed_records",
    "lost_bytes",
    "lost_records",
    "duplicate_bytes",
    "duplicate_records",
];

#[cfg(test)]
mod tests;
