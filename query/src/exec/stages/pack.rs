//! `pack_json`, `pack_logfmt`, `len`, `hash`, `json_array_len`: one field out of others.

use std::sync::Arc;

use rookery_core::Result;
use rookery_core::rows::{Column, Rows};
use xxhash_rust::xxh3::xxh3_64;

use crate::exec::columns::{self, Assign, TextBuilder, is_hidden};
use crate::exec::pipeline::Stage;
use crate::logsql::ast::FieldPattern;
use rookery_core::json::{self, ObjectWriter};

/// The columns that fit the patterns, in the order of the row; all visible ones without a pattern.
pub(crate) fn chosen<'a>(rows: &'a Rows, patterns: &[FieldPattern]) -> Vec<(&'a str, &'a Column)> {
    let fits = |name: &str| patterns.is_empty() || patterns.iter().any(|p| p.matches(name));
    rows.columns
        .iter()
        .filter(|(name, _)| !is_hidden(name) && fits(name))
        .map(|(name, column)| (name.as_ref(), column))
        .collect()
}

/// Appends a row as a JSON object of texts, without its empty fields.
pub(crate) fn push_object(
    out: &mut String,
    columns: &[(&str, &Column)],
    row: usize,
    scratch: &mut String,
) {
    let mut object = ObjectWriter::new(out);
    for (name, column) in columns {
        object.field(name, column.text(row, scratch));
    }
    object.end();
}

/// `pack_json` and `pack_logfmt`.
pub(crate) struct Pack {
    /// Which fields.
    pub fields: Vec<FieldPattern>,
    /// Written.
    pub result: Arc<str>,
    /// Whether as `name=value` pairs.
    pub logfmt: bool,
}

impl Stage for Pack {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let mut builder = TextBuilder::new(rows.len);
        let (mut out, mut scratch) = (String::new(), String::new());
        let columns = chosen(&rows, &self.fields);
        for row in 0..rows.len {
            out.clear();
            if self.logfmt {
                push_logfmt(&mut out, &columns, row, &mut scratch);
            } else {
                push_object(&mut out, &columns, row, &mut scratch);
            }
            builder.push(&out);
        }
        columns::assign(&mut rows, &self.result, builder.finish()?, Assign::default())?;
        Ok(rows)
    }
}

fn push_logfmt(out: &mut String, columns: &[(&str, &Column)], row: usize, scratch: &mut String) {
    for (name, column) in columns {
        let value = column.text(row, scratch);
        if value.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(name);
        out.push('=');
        let quote = |c: char| c <= ' ' || c == '"' || c == '=' || c == '\\' || c == '`';
        if value.contains(quote) {
            json::push_string(out, value);
        } else {
            out.push_str(value);
        }
    }
}

/// A number for each text: `len`, `hash`, `json_array_len`.
pub(crate) struct Measure {
    /// Read.
    pub field: Arc<str>,
    /// Written.
    pub result: Arc<str>,
    /// The number of a text.
    pub of: fn(&str) -> u64,
}

impl Stage for Measure {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let source = columns::column_or_empty(&rows, &self.field);
        let column = match &source {
            Column::Text(a) => columns::uint_column(a.iter().map(|v| (self.of)(v.unwrap_or("")))),
            other => columns::map_text(other, &mut |text, out| {
                use std::fmt::Write as _;
                let _ = write!(out, "{}", (self.of)(text));
            })?,
        };
        columns::assign(&mut rows, &self.result, column, Assign::default())?;
        Ok(rows)
    }
}

/// Bytes.
pub(crate) fn length(text: &str) -> u64 {
    text.len() as u64
}

/// XXH3.
pub(crate) fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Items; 0 for what is no array.
pub(crate) fn array_length(text: &str) -> u64 {
    let mut items = 0;
    json::array_items(text, &mut |_| items += 1).map_or(0, |()| items)
}
