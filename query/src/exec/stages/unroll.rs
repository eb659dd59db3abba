//! `unroll`: one row for each item of JSON arrays, side by side.

use std::sync::Arc;

use arrow_array::UInt32Array;
use rookery_core::filter::Filter;
use rookery_core::rows::Rows;
use rookery_core::{Error, Result};

use super::selection;
use crate::exec::columns::{self, TextBuilder};
use crate::exec::pipeline::Stage;
use rookery_core::json;

/// The most rows that one batch may become.
const BATCH_LIMIT_ROWS: usize = 1 << 20;

/// `unroll`.
pub(crate) struct Unroll {
    /// Which fields.
    pub by: Vec<Arc<str>>,
    /// Only for these rows.
    pub condition: Option<Filter>,
}

impl Stage for Unroll {
    fn apply(&self, rows: Rows) -> Result<Rows> {
        let selection = selection(self.condition.as_ref(), &rows)?;
        let sources: Vec<_> = self.by.iter().map(|f| columns::column_or_empty(&rows, f)).collect();
        let mut origin: Vec<u32> = Vec::with_capacity(rows.len);
        let mut builders: Vec<TextBuilder> =
            sources.iter().map(|_| TextBuilder::new(rows.len)).collect();
        let mut scratch = String::new();
        let mut items: Vec<Vec<String>> = vec![Vec::new(); sources.len()];
        for row in 0..rows.len {
            if selection.as_ref().is_some_and(|s| !s.value(row)) {
                origin.push(row as u32);
                for (builder, source) in builders.iter_mut().zip(&sources) {
                    builder.push(source.text(row, &mut scratch));
                }
                continue;
            }
            for (items, source) in items.iter_mut().zip(&sources) {
                items.clear();
                let text = source.text(row, &mut scratch);
                if json::array_items(text, &mut |item| items.push(item.into_owned())).is_none() {
                    items.clear();
                }
            }
            if origin.len() > BATCH_LIMIT_ROWS {
                return Err(Error::too_large(format!(
                    "unroll makes more than {BATCH_LIMIT_ROWS} records out of {}: filter the long arrays out before it",
                    rows.len
                )));
            }
            let longest = items.iter().map(Vec::len).max().unwrap_or(0).max(1);
            for at in 0..longest {
                origin.push(row as u32);
                for (builder, items) in builders.iter_mut().zip(&items) {
                    builder.push(items.get(at).map_or("", String::as_str));
                }
            }
        }
        let mut out = rows.take(&UInt32Array::from(origin))?;
        for (field, builder) in self.by.iter().zip(builders) {
            let column = builder.finish()?;
            columns::assign(&mut out, field, column, columns::Assign::default())?;
        }
        Ok(out)
    }
}
