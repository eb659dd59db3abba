//! The embedded store: logs in a folder, with no other server.
//!
//! ```text
//!  append ─► log (frames, one fsync for many) ─► memory table ─► scan
//!                 │ the log is cut              │ frozen: full, or old
//!                 │ when parts are listed       ▼
//!              manifest ◄───────────────── parts (Parquet and index) ─► scan
//!                                               │ ▲
//!                                               └─┘ merged in the background, removed by retention
//! ```
//!
//! What is durable when: an append returns after the fsync of its frame ([`frame`], [`log`]), which holds the records and their
//! account together. A part ([`part`]) is written under a temporary name, synced and renamed; only the manifest ([`manifest`]), replaced
//! atomically, makes it count, and the same replacement says up to which frame the log is no longer needed. A start is: read the manifest,
//! remove what it does not list, read the log after its number.
//!
//! A folder holds `manifest.json`, `accounts-<n>`, `log/`, `parts/<tenant>/<day>/`, and `lock`. One process holds it at a time.
//!
//! Bounded: memory by twice [`config::ParquetConfig::memory_table`], then appends wait; what is kept between queries by `index_cache`; a
//! scan by a few granules for each of its threads; a merge by a granule for each of its parts and one row group.
//!
//! It never answers with part of the data: what cannot be read is an error that names the file. Whole parts that are found
//! missing at open are set aside, logged and counted.
//!
//! Reading order: [`config`], [`store`] (open and the four calls), [`append`], [`frame`], [`log`], [`memory`], [`flush`], [`part`],
//! [`manifest`], [`accounts`], [`state`], [`background`], [`merge`], [`maintenance`], [`scan`].

pub mod config;
pub mod formats;
pub mod frame;
pub mod stats;
pub mod store;

mod append;
mod log;
mod memory;

mod accounts;
mod flush;
mod manifest;
mod part;

mod background;
mod maintenance;
mod merge;
mod state;

mod scan;

mod disk;
mod fault;
mod sync;
mod wire;

#[cfg(test)]
mod samples;

pub use config::{Merge, ParquetConfig, Retention};
pub use state::Clock;
pub use stats::Stats;
pub use store::{ParquetStore, Usage};
