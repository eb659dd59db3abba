//! A part: an immutable Parquet file of one tenant and one UTC day, and its index beside it.
//!
//! `parts/<tenant>/<day>/<id>.parquet` can be opened by any Parquet reader and holds everything; `<id>.index`
//! ([`index`]) is what a query reads first. Another reader finds times, streams, fields and resources as plain columns. Whole bodies it does not
//! find: each is stored once, as a template and what its fields do not hold already, and [`body`] says how to put it together again
//! (`docs/guides/bodies.py` does it with nothing but the file).
//!
//! Rows are sorted by (stream, generation, offset). The Parquet columns, in this order:
//!
//! | column | type | encoding | what |
//! |---|---|---|---|
//! | `time`, `observed` | timestamp(ns, UTC) | delta | as in [`rookery_core::logs`] |
//! | `stream` | fixed binary(16) | dictionary | |
//! | `generation`, `offset` | u64 | dictionary; delta | |
//! | `severity` | u8 | dictionary | |
//! | `body.template`, `body`, `body.<letter><k>` | utf8, int64 | dictionary; delta length; byte stream split | the bodies, see [`body`]; the version is in the file's metadata |
//! | `source` … `stream_tags` | utf8, null = empty | dictionary | the resource |
//! | `labels` | utf8, null = none | dictionary | the resource's labels as a JSON object: one value a stream, so it costs nothing |
//! | `trace_id`, `span_id` | utf8, nullable | delta length | |
//! | `fields.<name>` | int64, timestamp or utf8, nullable | byte stream split or delta; dictionary or delta length | the record's own fields, the [`plan::COLUMNS_LIMIT`] most frequent names |
//! | `fields` | map(utf8, utf8) | | the fields of all other names |
//!
//! A field is int64 when every value in the part prints back identically from a 64-bit number, and a timestamp when every value does from one
//! ([`stamp`]).
//! A **granule** is up to [`GRANULE_ROWS`] rows: the unit of pruning. A row group is up to [`ROW_GROUP_GRANULES`] granules. Data
//! pages end at or inside of granules, and the offset index lets a reader touch only the pages that it needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rookery_core::{Tenant, TimeRange};
use serde::{Deserialize, Serialize};

use crate::disk;

pub(crate) mod body;
pub(crate) mod fuse;
pub(crate) mod index;
pub(crate) mod plan;
pub(crate) mod read;
pub(crate) mod stamp;
pub(crate) mod words;
pub(crate) mod write;

pub(crate) mod granule;

/// The most rows of a granule.
pub(crate) const GRANULE_ROWS: usize = 8192;
/// The most bytes of body and fields of a granule with more than one row; long records make granules of fewer rows.
pub(crate) const GRANULE_BYTES: usize = 8 << 20;
/// The most granules of a row group.
pub(crate) const ROW_GROUP_GRANULES: usize = 16;

/// What the manifest knows of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartInfo {
    /// Its number in the store; never used again.
    pub(crate) id: u64,
    /// Whose data.
    pub(crate) tenant: Tenant,
    /// The UTC day, counted from 1970-01-01.
    pub(crate) day: i64,
    /// How many records.
    pub(crate) rows: u64,
    /// The size of the Parquet file.
    pub(crate) data_bytes: u64,
    /// The size of the index.
    pub(crate) index_bytes: u64,
    /// The earliest time, in nanoseconds since the epoch.
    pub(crate) min_time: i64,
    /// The latest time.
    pub(crate) max_time: i64,
    /// How often its rows were merged.
    pub(crate) level: u32,
}

impl PartInfo {
    /// What it takes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.data_bytes + self.index_bytes
    }

    /// Where the Parquet file lies in a store.
    pub(crate) fn data_path(&self, directory: &Path) -> PathBuf {
        let folder = folder(directory, &self.tenant, self.day);
        folder.join(format!("{:016x}.parquet", self.id))
    }

    /// Where the index lies in a store.
    pub(crate) fn index_path(&self, directory: &Path) -> PathBuf {
        self.data_path(directory).with_extension("index")
    }
}

/// The folder of a tenant's parts of one day.
pub(crate) fn folder(directory: &Path, tenant: &Tenant, day: i64) -> PathBuf {
    let (year, month, date) = rookery_core::time::civil_from_days(day);
    directory.join("parts").join(tenant.as_str()).join(format!("{year:04}-{month:02}-{date:02}"))
}

/// A part that queries may be reading. Its files are removed when it is doomed and the last reader has left.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) info: PartInfo,
    directory: Arc<Path>,
    doomed: AtomicBool,
}

impl Part {
    pub(crate) fn new(info: PartInfo, directory: Arc<Path>) -> Self {
        Self { info, directory, doomed: AtomicBool::new(false) }
    }

    pub(crate) fn data_path(&self) -> PathBuf {
        self.info.data_path(&self.directory)
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.info.index_path(&self.directory)
    }

    /// Has the files removed once nobody reads them. Only for a part that the manifest no longer lists.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    /// Whether the manifest no longer lists it.
    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Relaxed)
    }

    /// Whether a record in the span can be inside.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        range.overlaps(self.info.min_time, self.info.max_time)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Relaxed) {
            disk::remove_quietly(&self.data_path());
            disk::remove_quietly(&self.index_path());
        }
    }
}
