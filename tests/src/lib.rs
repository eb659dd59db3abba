//! What tests and benches share, and the fault run.
//!
//! [`kit`] starts the real binary and speaks HTTP to it: nothing here reaches inside of Rookery, so what passes is what a user
//! would see. [`faults`] writes logs that it knows line by line, does to the files and to the process what happens in the wild,
//! and compares the store with what was written. [`conformance`] alone stays inside of one process: queries and their answers, as text, on
//! every store.

pub mod kit;

pub mod faults;

pub mod conformance;
