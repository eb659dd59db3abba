//! What can be set on the embedded store, with the reason beside each default.

use std::path::PathBuf;

use rookery_core::units::{Bytes, Span};
use rookery_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of the embedded store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParquetConfig {
    /// The folder that holds everything. It belongs to one process at a time.
    pub directory: PathBuf,
    /// How long and how much is kept.
    pub retention: Retention,
    /// How much is held in memory before it is written as parts. Up to twice as much is held while a write runs; then appends wait.
    pub memory_table: Bytes,
    /// How long records stay in memory at most before they are written as parts.
    pub memory_table_age: Span,
    /// Appends that arrive within this time after an fsync share the next one. An append that arrives later does not wait.
    pub fsync_interval: Span,
    /// Limits of the background merges.
    pub merge: Merge,
    /// Appends are refused while less than this is free on the disk; what is below is kept for writing parts from the log.
    pub min_free_disk: Bytes,
    /// How much memory the indexes of parts may take between queries.
    pub index_cache: Bytes,
}

impl Default for ParquetConfig {
    fn default() -> Self {
        Self {
            directory: "rookery-data".into(),
            retention: Retention::default(),
            // About a second of one core's work to write, and a minute of reading after a crash at worst.
            memory_table: Bytes::mib(64),
            memory_table_age: Span::seconds(300),
            // A fifth of what a person notices; a spinning disk needs about twice this for one fsync anyway.
            fsync_interval: Span::millis(5),
            merge: Merge::default(),
            // Room for twice the largest memory table and one merge of small parts.
            min_free_disk: Bytes::mib(512),
            // The indexes of about a thousand million records.
            index_cache: Bytes::mib(64),
        }
    }
}

/// How long and how much is kept. What passes either limit is removed, the oldest day first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Records printed longer ago than this are removed, a whole part at a time.
    pub age: Span,
    /// The most bytes that parts may take. Without it: 80 % of what the disk had free for the store when it was opened, counting
    /// what the store already takes.
    pub total: Option<Bytes>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Span::seconds(30 * 24 * 3600), total: None }
    }
}

/// Limits of the background merges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {
    /// Whether parts are merged at all.
    pub enabled: bool,
    /// A merge does not make a part larger than this.
    pub part_limit: Bytes,
    /// How many parts are merged into one, at most.
    pub fan_in: usize,
}

impl Default for Merge {
    fn default() -> Self {
        // 1 GiB holds about 30 million records: larger parts prune no better and take longer to replace. With 16, most records are
        // rewritten once, and a day has at most about forty parts at any time.
        Self { enabled: true, part_limit: Bytes::mib(1024), fan_in: 16 }
    }
}

impl ParquetConfig {
    /// The configuration of a store in this folder, with every default.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), ..Self::default() }
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `invalid`, naming the key and the smallest value that works.
    pub fn validate(&self) -> Result<()> {
        if self.memory_table.0 < 1 << 20 {
            return Err(Error::invalid(format!(
                "memory_table is {}: the least that works is 1MiB",
                self.memory_table
            )));
        }
        if !(2..=64).contains(&self.merge.fan_in) {
            return Err(Error::invalid(format!(
                "merge.fan_in is {}: choose 2 to 64",
                self.merge.fan_in
            )));
        }
        Ok(())
    }
}
