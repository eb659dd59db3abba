//! Log search: its language, its execution over a store, and its HTTP API.

pub mod config;
pub mod logsql;

pub mod exec;
pub mod http;

pub use config::QueryConfig;
