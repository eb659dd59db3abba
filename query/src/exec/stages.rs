//! The pipes that work on one batch at a time.

pub(crate) mod extract;
pub(crate) mod fields;
pub(crate) mod format;
pub(crate) mod join;
pub(crate) mod math;
pub(crate) mod pack;
pub(crate) mod replace;
pub(crate) mod rows;
pub(crate) mod unpack;
pub(crate) mod unroll;

use arrow_buffer::BooleanBuffer;
use rookery_core::Result;
use rookery_core::filter::Filter;
use rookery_core::filter::eval::{FieldSource, evaluate};
use rookery_core::rows::{Column, Rows};

use super::columns;

/// A batch as a filter looks at it.
struct View<'a>(&'a Rows);

impl FieldSource for View<'_> {
    fn rows(&self) -> usize {
        self.0.len
    }

    fn column(&mut self, field: &str) -> Result<Column> {
        Ok(columns::column_or_empty(self.0, field))
    }
}

/// The rows for which a filter holds.
///
/// # Errors
/// When the filter cannot be evaluated.
pub(crate) fn matching(filter: &Filter, rows: &Rows) -> Result<BooleanBuffer> {
    evaluate(filter, &mut View(rows))
}

/// The rows for which a condition holds; `None` when it holds for all of them without a look.
///
/// # Errors
/// When the condition cannot be evaluated.
pub(crate) fn selection(condition: Option<&Filter>, rows: &Rows) -> Result<Option<BooleanBuffer>> {
    match condition {
        None | Some(Filter::All) => Ok(None),
        Some(filter) => Ok(Some(matching(filter, rows)?)),
    }
}
