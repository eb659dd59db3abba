//! LogsQL: the text of a log search as data.
//!
//! [`parse`] is pure: text and the present time in, a [`Query`] or a [`ParseError`] out. The error points at a byte of the
//! text and says what was expected there. The filter part is [`rookery_core::filter::Filter`], which stores understand; the rest
//! is [`ast`]. A query prints back as text that parses to the same query (`Display`).
//!
//! ```text
//! query   = [options(name=value, …)] filter { "|" pipe }
//! filter  = and { "or" and }          and = not { ["and"] not }          not = ("not" | "!" | "-") not | test
//! test    = "(" filter ")" | "{" selectors "}" | [field ":"] (word | "phrase" | word* | *part* | =exact | ~regexp | >number | f(…))
//! ```
//!
//! What a bare word may hold depends on where it stands (`a-b` is a word in a filter and a difference in `math`), so there is no
//! separate lexer: each rule reads characters. After `field:` a bare word may hold `:`, `=`, `<`, `>`, `~` and `!`, as URLs do.
//!
//! A text has a limit ([`QUERY_LIMIT_BYTES`]), and so has the nesting of parentheses and subqueries ([`DEPTH_LIMIT`]): a parser
//! that calls itself must not be led to the end of its stack.

pub mod ast;

mod filters;
mod math;
mod numbers;
mod pipes;
mod print;
mod scan;
mod stats;
mod templates;
mod times;

#[cfg(test)]
mod tests;

use std::fmt;

use rookery_core::Error;
use rookery_core::filter::Filter;

pub use ast::{Pipe, Query};
pub use print::print_filter;

/// The longest text of a query, in bytes.
pub const QUERY_LIMIT_BYTES: usize = 64 << 10;

/// How deep parentheses, conditions and subqueries may nest.
pub const DEPTH_LIMIT: usize = 64;

/// The most regular expressions of one query, with those of its subqueries: each may take
/// [`rookery_core::filter::PATTERN_LIMIT_BYTES`].
pub const PATTERNS_LIMIT: usize = 64;

/// Reads a query. `now`, in nanoseconds since the epoch, is what `_time:5m` counts from.
///
/// # Errors
/// Where the text is not a query.
pub fn parse(text: &str, now: i64) -> Result<Query, ParseError> {
    let mut parser = scan::Parser::new(text, now)?;
    let query = parser.query()?;
    parser.end()?;
    Ok(query)
}

/// Adds a filter, as text, to a query and to all queries inside it: what a caller may see, or what a panel adds.
///
/// # Errors
/// Where the text is not a filter.
pub fn restrict(query: &mut Query, filter: &str, now: i64) -> Result<(), ParseError> {
    let mut result = Ok(());
    query.visit_mut(&mut |query| {
        if result.is_ok() {
            result = restrict_one(query, filter, now);
        }
    });
    result
}

fn restrict_one(query: &mut Query, text: &str, now: i64) -> Result<(), ParseError> {
    let mut parser = scan::Parser::new(text, now)?;
    // Subqueries of the added filter are numbered after those that are there.
    parser.subqueries = std::mem::take(&mut query.subqueries);
    let filter = parser.filter().and_then(|filter| parser.end().map(|()| filter));
    query.subqueries = std::mem::take(&mut parser.subqueries);
    let before = std::mem::replace(&mut query.filter, Filter::All);
    query.filter = filters::and(vec![filter?, before]);
    Ok(())
}

/// Why a text is not a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// At which byte of the text; its length when the text ends too early. Always at the start of a character.
    pub position: usize,
    /// What could stand there; empty when the problem is not a missing piece.
    pub expected: String,
    /// A sentence for a person.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.message, self.position)
    }
}

impl std::error::Error for ParseError {}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        Self::invalid(format!("the query is not understood: {error}"))
    }
}

impl Query {
    /// Calls `visit` with this query and with all queries inside it, the inner ones first.
    pub fn visit_mut(&mut self, visit: &mut dyn FnMut(&mut Query)) {
        for subquery in &mut self.subqueries {
            subquery.query.visit_mut(visit);
        }
        for pipe in &mut self.pipes {
            match pipe {
                Pipe::Union(query) => query.visit_mut(visit),
                Pipe::Join(join) => join.query.visit_mut(visit),
                _ => {}
            }
        }
        visit(self);
    }
}
