//! The store for many machines: logs in ClickHouse (25.3 or later), over HTTP, in Arrow columns both ways.
//!
//! Reading order: [`config`], [`client`] (statements, inserts, streams of record batches), [`scan`] (from a filter to SQL).

pub mod client;
pub mod config;

mod scan;

pub use client::{Batches, Client, Param, Statement};
pub use config::{ClickHouseConfig, Engine, Retention, Secret, TextIndex};
