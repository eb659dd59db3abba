//! `fields`, `delete`, `copy`, `rename`, `drop_empty_fields`: which fields there are, and their names.

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use rookery_core::Result;
use rookery_core::filter::FieldName;
use rookery_core::rows::{Column, Rows};

use crate::exec::columns::{self, is_hidden};
use crate::exec::pipeline::Stage;
use crate::logsql::ast::FieldPattern;

/// `fields` and `delete`.
pub(crate) struct Select {
    /// Which fields.
    pub patterns: Vec<FieldPattern>,
    /// Whether these stay, or go.
    pub keep: bool,
}

impl Stage for Select {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        rows.columns.retain(|(name, _)| {
            is_hidden(name) || self.patterns.iter().any(|p| p.matches(name)) == self.keep
        });
        Ok(rows)
    }
}

/// `copy` and `rename`.
pub(crate) struct Transfer {
    /// From where to where, one after another.
    pub pairs: Vec<(FieldPattern, FieldPattern)>,
    /// Whether the source stays.
    pub keep_source: bool,
}

impl Stage for Transfer {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        for (from, to) in &self.pairs {
            match (from, to) {
                (FieldPattern::Name(from), FieldPattern::Name(to)) => self.one(&mut rows, from, to),
                (FieldPattern::Prefix(from), FieldPattern::Prefix(to)) => {
                    let moves: Vec<(FieldName, FieldName)> = rows
                        .columns
                        .iter()
                        .filter(|(name, _)| !is_hidden(name))
                        .filter_map(|(name, _)| {
                            let rest = name.strip_prefix(from.as_ref())?;
                            Some((name.clone(), format!("{to}{rest}").into()))
                        })
                        .collect();
                    self.many(&mut rows, &moves);
                }
                _ => {}
            }
        }
        Ok(rows)
    }
}

impl Transfer {
    fn one(&self, rows: &mut Rows, from: &FieldName, to: &FieldName) {
        if from == to {
            return;
        }
        let column = columns::column_or_empty(rows, from);
        columns::remove(rows, to);
        match rows.columns.iter_mut().find(|(name, _)| name == from) {
            // A renamed field stays at its place among the fields.
            Some(slot) if !self.keep_source => slot.0 = to.clone(),
            _ => rows.columns.push((to.clone(), column)),
        }
    }

    /// All at once: `rename a* as aa*` must not rename what it has just made.
    fn many(&self, rows: &mut Rows, moves: &[(FieldName, FieldName)]) {
        let moved: Vec<(FieldName, Column)> = moves
            .iter()
            .map(|(from, to)| (to.clone(), columns::column_or_empty(rows, from)))
            .collect();
        if !self.keep_source {
            rows.columns.retain(|(name, _)| !moves.iter().any(|(from, _)| from == name));
        }
        rows.columns.retain(|(name, _)| !moved.iter().any(|(to, _)| to == name));
        let mut seen: Vec<FieldName> = Vec::new();
        for (name, column) in moved {
            if !is_hidden(&name) && !name.is_empty() && !seen.contains(&name) {
                seen.push(name.clone());
                rows.columns.push((name, column));
            }
        }
    }
}

/// `drop_empty_fields`.
pub(crate) struct DropEmpty;

impl Stage for DropEmpty {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        rows.columns.retain(|(name, column)| is_hidden(name) || any_text(column));
        let mut selection = BooleanBuffer::new_unset(rows.len);
        for (name, column) in &rows.columns {
            if is_hidden(name) {
                continue;
            }
            selection = &selection | &non_empty(column);
            if selection.count_set_bits() == rows.len {
                return Ok(rows);
            }
        }
        rows.filter(&selection)
    }
}

fn any_text(column: &Column) -> bool {
    non_empty(column).count_set_bits() > 0
}

/// The rows in which a column's text is not empty.
pub(crate) fn non_empty(column: &Column) -> BooleanBuffer {
    let valid = |array: &dyn Array| match array.nulls() {
        Some(nulls) => nulls.inner().clone(),
        None => BooleanBuffer::new_set(array.len()),
    };
    match column {
        Column::Const { value, len } if value.is_empty() => BooleanBuffer::new_unset(*len),
        Column::Const { len, .. } => BooleanBuffer::new_set(*len),
        Column::Int(a) => valid(a),
        Column::UInt(a) => valid(a),
        Column::Time(a) => valid(a),
        Column::Hex(a) => valid(a),
        Column::Text(a) => {
            let offsets = a.value_offsets();
            let texts = BooleanBuffer::collect_bool(a.len(), |row| offsets[row + 1] > offsets[row]);
            match a.nulls() {
                Some(nulls) => &texts & nulls.inner(),
                None => texts,
            }
        }
        Column::Dict(a) => {
            let values = rookery_core::rows::dictionary_values(a);
            let entries: Vec<bool> =
                values.iter().map(|v| v.is_some_and(|v| !v.is_empty())).collect();
            let mut bits = BooleanBufferBuilder::new(a.len());
            for key in a.keys() {
                bits.append(key.is_some_and(|key| entries[key as usize]));
            }
            bits.finish()
        }
        Column::Severity(a) => BooleanBuffer::collect_bool(a.len(), |row| {
            a.is_valid(row) && !rookery_core::logs::severity_name(a.value(row)).is_empty()
        }),
    }
}
