//! The roles of a fleet, each a process of its own:
//!
//! ```text
//! collector ─┐                         ┌─► ClickHouse ◄─ query ◄─ the page, LogsQL clients
//! receiver ──┴─► Kafka ──► ingester ───┘
//! ```
//!
//! They start in any order: each serves its health at once, waits for what is missing with a message that names it, and is ready when it
//! could do its work.

pub(crate) mod collector;
mod late;

#[cfg(feature = "full")]
pub(crate) mod dead_letter;
#[cfg(feature = "full")]
pub(crate) mod ingester;
#[cfg(feature = "full")]
pub(crate) mod migrate;
#[cfg(feature = "full")]
pub(crate) mod query;
#[cfg(feature = "full")]
pub(crate) mod receiver;

use std::net::SocketAddr;

use anyhow::Result;

use crate::cli::RoleArgs;
use crate::config::Config;

/// The configuration with the flags on top.
fn configure(args: &RoleArgs) -> Result<Config> {
    let mut config = Config::load(args.config.as_deref())?;
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    Ok(config)
}

/// What a role says when it serves.
fn announce(role: &str, address: SocketAddr, lines: &[(&str, String)]) {
    eprintln!("rookery {} {role}", env!("CARGO_PKG_VERSION"));
    for (name, text) in lines {
        eprintln!("  {name:6} {text}");
    }
    let what = if role == "query" { "page" } else { "health" };
    let path = if role == "query" { "/" } else { "/readyz" };
    eprintln!("  {what:6} http://{address}{path}");
}
