//! `join`: fields from the records of another answer that have the same values.

use arrow_array::{Array, StringArray, UInt32Array};
use hashbrown::HashMap;
use rookery_core::filter::FieldName;
use rookery_core::rows::{Column, Rows};
use rookery_core::{Error, Result};

use crate::exec::columns::{self, Assign, Interleaver, TextBuilder, is_hidden};
use crate::exec::pipeline::{Reservation, Stage};

/// The most rows that one batch may become.
const BATCH_LIMIT_ROWS: usize = 1 << 20;

/// `join`, with the other answer in memory.
pub(crate) struct Join {
    by: Vec<FieldName>,
    inner: bool,
    partners: HashMap<String, Vec<u32>>,
    fields: Vec<(FieldName, StringArray)>,
    _memory: Reservation,
}

impl Join {
    /// Joins by `by` with the rows of `other`, whose fields get `prefix`.
    ///
    /// # Errors
    /// When a field has more text than a column holds.
    pub(crate) fn new(
        by: Vec<FieldName>,
        inner: bool,
        prefix: &str,
        other: &[Rows],
        memory: Reservation,
    ) -> Result<Self> {
        let picks: Vec<(u32, u32)> = other
            .iter()
            .enumerate()
            .flat_map(|(batch, rows)| (0..rows.len as u32).map(move |row| (batch as u32, row)))
            .collect();
        let rows = Interleaver::new(other).rows(&picks)?;
        let mut partners: HashMap<String, Vec<u32>> = HashMap::new();
        let keys = Keys::new(&rows, &by);
        let (mut key, mut scratch) = (String::new(), String::new());
        for row in 0..rows.len {
            keys.write(row, &mut key, &mut scratch);
            partners.entry_ref(key.as_str()).or_default().push(row as u32);
        }
        let mut fields = Vec::new();
        for (name, column) in &rows.columns {
            if !by.contains(name) && !is_hidden(name) {
                let mut builder = TextBuilder::new(rows.len);
                for row in 0..rows.len {
                    builder.push(column.text(row, &mut scratch));
                }
                fields.push((format!("{prefix}{name}").into(), builder.finish_array()?));
            }
        }
        Ok(Self { by, inner, partners, fields, _memory: memory })
    }
}

/// The values that are compared, of each row as one text: each with its length before it.
struct Keys {
    columns: Vec<Column>,
}

impl Keys {
    fn new(rows: &Rows, by: &[FieldName]) -> Self {
        Self { columns: by.iter().map(|field| columns::column_or_empty(rows, field)).collect() }
    }

    fn write(&self, row: usize, out: &mut String, scratch: &mut String) {
        use std::fmt::Write as _;
        out.clear();
        for column in &self.columns {
            let text = column.text(row, scratch);
            let _ = write!(out, "{}:{text}", text.len());
        }
    }
}

impl Stage for Join {
    fn apply(&self, rows: Rows) -> Result<Rows> {
        let keys = Keys::new(&rows, &self.by);
        let (mut key, mut scratch) = (String::new(), String::new());
        let (mut origin, mut partner) = (Vec::new(), Vec::new());
        for row in 0..rows.len {
            keys.write(row, &mut key, &mut scratch);
            match self.partners.get(key.as_str()) {
                Some(found) => {
                    origin.extend(std::iter::repeat_n(row as u32, found.len()));
                    partner.extend(found.iter().map(|row| Some(*row)));
                }
                None if self.inner => {}
                None => {
                    origin.push(row as u32);
                    partner.push(None);
                }
            }
        }
        if origin.len() > BATCH_LIMIT_ROWS {
            return Err(Error::too_large(format!(
                "the join makes more than {BATCH_LIMIT_ROWS} records out of {}: join by more fields, or aggregate the other query first",
                rows.len
            )));
        }
        let mut out = rows.take(&UInt32Array::from(origin))?;
        let partner = UInt32Array::from(partner);
        for (name, texts) in &self.fields {
            let taken = arrow_select::take::take(texts as &dyn Array, &partner, None)?;
            let taken: StringArray = arrow_array::cast::AsArray::as_string::<i32>(&taken).clone();
            columns::assign(&mut out, name, Column::Text(taken), Assign::default())?;
        }
        Ok(out)
    }
}
