//! What each test of a filter means, over columns.

use arrow_buffer::BooleanBuffer;

use crate::filter::Filter;
use crate::rows::{Column, Rows};
use crate::{Error, Result};

/// Where a filter finds the columns that it tests: some records, whose fields are brought only when they are asked for.
pub trait FieldSource {
    /// How many records.
    fn rows(&self) -> usize;

    /// The values of a field, one for each record; a field that no record has is [`Column::constant`]`("", rows)`.
    ///
    /// Asked at most a few times for one field in one evaluation; only for fields that the answer depends on.
    ///
    /// # Errors
    /// When the values cannot be read.
    fn column(&mut self, field: &str) -> Result<Column>;
}

impl FieldSource for Rows {
    fn rows(&self) -> usize {
        self.len
    }

    fn column(&mut self, field: &str) -> Result<Column> {
        let column = Rows::column(self, field).cloned();
        Ok(column.unwrap_or_else(|| Column::constant("", self.len)))
    }
}

/// Which records pass: one bit for each.
///
/// # Errors
/// Those of `source`; `internal` when a subquery was not replaced by its values, or a column has the wrong length.
pub fn evaluate(filter: &Filter, source: &mut dyn FieldSource) -> Result<BooleanBuffer> {
    match filter {
        Filter::All => Ok(BooleanBuffer::new_set(source.rows())),
        Filter::None => Ok(BooleanBuffer::new_unset(source.rows())),
        _ => Err(Error::internal("this filter is not evaluated yet")),
    }
}
