//! The vocabulary and the seams of Rookery: what every part agrees on, and nothing that any part does.
//!
//! Reading order: [`error`], [`ids`], [`time`], [`units`], [`zone`] are the words; [`logs`] and [`batch`] are what
//! travels ([`json`] and [`syslog`]: how texts in these forms become fields); [`queue`] and [`store`] are the two seams behind which an outside system stands; [`ledger`]
//! is how what travelled is accounted for; [`filter`], [`rows`] and [`scope`] are what a query says to a
//! store and what comes back.
//!
//! Invariants: no socket, no disk and no engine below this line. Everything here is either plain data or
//! a pure function, but for the in-process queue, which is a bounded channel.

pub mod error;
pub mod ids;
pub mod time;
pub mod units;
pub mod zone;

pub mod batch;
pub mod json;
pub mod logs;
pub mod severity;
pub mod syslog;

pub mod ledger;
pub mod queue;
pub mod store;

pub mod filter;
pub mod rows;
pub mod scope;
pub mod tokens;

pub use error::{Error, Kind, Result};
pub use ids::{Position, StreamId, Tenant};
pub use scope::Scope;
pub use time::TimeRange;

/// A boxed future, for object-safe asynchronous seams.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
