//! The collector against real files, real rotations, and a real in-process queue. Each test is named after the promise it keeps.
//!
//! [`store`] stands in for the ingester: it drops duplicates by the stream's mark and keeps the ledger, with the code that the
//! ingester uses, and refuses batches that break the contract. [`bench`] writes files as programs and rotators do.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod bench;
mod store;

mod account;
mod chains;
mod faults;
mod random;
