//! The collector: finds log files, reads them in order, decodes them into columns, and ships batches that name every byte they cover.
//!
//! Reading order: [`config`] says what can be asked for; `names`, `glob`, `walk`, `find`, `watch` find files; `source`, `file`, `coverage`,
//! `stream` read them; [`decode`] makes records; `tail`, `ship`, `inbox` move them; `checkpoint`, `spool` remember; [`collector`] starts and stops; [`process`] is for a process of its own.
//!
//! Invariants:
//! - A record's position is the same whoever reads it, however often: see `docs/decisions/0003-position-is-identity.md`.
//! - Ranges of a stream meet without a hole. What is not kept has a named reason.
//! - The checkpoint moves only after the queue's receipt, in order.
//! - No thread waits for the queue but the shipper; finding and holding files go on while it is away.

pub mod collector;
pub mod config;
pub mod counters;
pub mod decode;
pub mod process;

mod chain;
mod checkpoint;
mod coverage;
mod file;
mod find;
mod glob;
mod inbox;
mod names;
mod ship;
mod source;
mod spool;
mod stream;
mod tail;
mod walk;
mod watch;

pub use checkpoint::check_checkpoint;
pub use collector::{Collector, CollectorView};
pub use config::CollectorConfig;
pub use counters::Counters;
