//! LogsQL: the text of a log search as data.
//!
//! [`parse`] is pure: text and the present time in, a [`Query`] or a [`ParseError`] out. The error points at a byte of the
//! text and says what was expected there. The filter part is [`rookery_core::filter::Filter`], which stores understand; the rest
//! is [`ast`].
//!
//! A text has a limit ([`QUERY_LIMIT_BYTES`]), and so has the nesting of parentheses and subqueries ([`DEPTH_LIMIT`]): a parser
//! that calls itself must not be led to the end of its stack.

pub mod ast;

pub use ast::{Pipe, Query};

/// The longest text of a query, in bytes.
pub const QUERY_LIMIT_BYTES: usize = 64 << 10;

/// How deep parentheses, negations, conditions and subqueries may nest.
pub const DEPTH_LIMIT: usize = 64;
