//! The store for many machines: logs in ClickHouse (25.3 or later), over HTTP, in Arrow columns both ways.
//!
//! ```text
//!  claim ─► claims ◄──────── fence of every insert: the latest claim of the partition, or the server refuses
//!             │
//!  append ─► logs, one insert a day ─► ledger_events ─► ledger (the commit)
//!
//!  accounts ◄─ ledger           scan ◄─ logs
//! ```
//!
//! What is durable when: an append returns when the records and their account are committed in the server (on its disk, with one server; on
//! a replica, in a cluster). Records without an account, which a crash between the two leaves, are found by the next claim.
//!
//! No text from outside becomes part of a statement: values are bound parameters, names are constants or checked by the configuration.
//!
//! Bounded: statements and inserts in time (`statement_timeout`, `insert_timeout`), answers that are not scans by what the tables hold of
//! streams, retries by the caller.
//!
//! Reading order: [`config`], [`client`] (statements, inserts, streams of record batches), [`schema`] (the tables), [`migrate`],
//! [`store`] (the calls), [`claim`] and [`owned`] (who may write), [`pieces`] and [`append`] (writing), [`ledger`] (accounts),
//! [`scan`] (from a filter to SQL), [`stats`].

pub mod client;
pub mod config;

mod migrate;
mod schema;

pub mod stats;
pub mod store;

mod append;
mod claim;
mod ledger;
mod owned;
mod pieces;

mod scan;

pub use client::{Batches, Client, Param, Statement};
pub use config::{ClickHouseConfig, Engine, Retention, Secret, TextIndex};
pub use migrate::{dry_run, migrate};
pub use scan::{Pushdown, pushed};
pub use stats::Stats;
pub use store::ClickHouseStore;
