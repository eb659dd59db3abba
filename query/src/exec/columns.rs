//! Columns made from columns: texts mapped, fields added with their conditions, rows of several batches brought together.
//!
//! The rule throughout: what is known once is computed once. A constant is mapped once, a dictionary once per entry, only free
//! texts row by row. A missing field is an empty one; in a column of texts null and empty are the same to everybody but
//! [`assign`], for which a null in the new values means "no value was found here".

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray, UInt32Array};
use arrow_buffer::BooleanBuffer;
use hashbrown::HashMap;
use rookery_core::filter::FieldName;
use rookery_core::rows::{Column, Rows, dictionary_values};
use rookery_core::{Error, Result};

/// Fields whose name starts so belong to the execution: pipes keep them, no pipe sees them, the answer does not show them.
pub(crate) const HIDDEN: char = '\0';

/// The most bytes of text that a pipe may make in one column of one batch; well below what 32-bit offsets can hold.
const TEXT_LIMIT_BYTES: usize = 512 << 20;

/// Whether a field belongs to the execution.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with(HIDDEN)
}

/// A column of texts under construction, within its limit of bytes.
#[derive(Default)]
pub(crate) struct TextBuilder {
    inner: StringBuilder,
    bytes: usize,
}

impl TextBuilder {
    /// A builder for about so many rows.
    pub(crate) fn new(rows: usize) -> Self {
        Self { inner: StringBuilder::with_capacity(rows, rows * 16), bytes: 0 }
    }

    /// How many rows so far.
    pub(crate) fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder as _;
        self.inner.len()
    }

    /// Adds a row. What no longer fits is not added; [`Self::finish`] reports it.
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes += text.len();
        if self.bytes <= TEXT_LIMIT_BYTES {
            self.inner.append_value(text);
        }
    }

    /// Adds rows without a value until there are `rows`.
    fn fill(&mut self, rows: usize) {
        for _ in self.len()..rows {
            self.inner.append_null();
        }
    }

    /// The texts.
    ///
    /// # Errors
    /// `too_large` when they were more than a column holds.
    pub(crate) fn finish_array(mut self) -> Result<StringArray> {
        if self.bytes > TEXT_LIMIT_BYTES {
            return Err(Error::too_large(format!(
                "a pipe makes more than {} MiB of text out of one batch: filter or shorten the values before it",
                TEXT_LIMIT_BYTES >> 20
            )));
        }
        Ok(self.inner.finish())
    }

    /// The texts as a column.
    ///
    /// # Errors
    /// As [`Self::finish_array`].
    pub(crate) fn finish(self) -> Result<Column> {
        Ok(Column::Text(self.finish_array()?))
    }
}

/// Whether it is cheaper to work on the entries of a dictionary than on its rows.
fn by_entry(column: &DictionaryArray<UInt32Type>) -> bool {
    column.values().len() <= column.len()
}

/// The column whose texts `map` writes for the texts of `column`.
///
/// # Errors
/// When the result has more text than a column holds.
pub(crate) fn map_text(column: &Column, map: &mut dyn FnMut(&str, &mut String)) -> Result<Column> {
    let mut out = String::new();
    match column {
        Column::Const { value, len } => {
            map(value, &mut out);
            Ok(Column::constant(&out, *len))
        }
        Column::Dict(a) if by_entry(a) => {
            let values = dictionary_values(a);
            let mut builder = TextBuilder::new(values.len() + 1);
            for value in values {
                out.clear();
                map(value.unwrap_or(""), &mut out);
                builder.push(&out);
            }
            let mut keys = a.keys().clone();
            if keys.null_count() > 0 {
                // A missing value is mapped like an empty one: it gets an entry of its own.
                out.clear();
                map("", &mut out);
                builder.push(&out);
                let missing = values.len() as u32;
                keys = keys.iter().map(|key| Some(key.unwrap_or(missing))).collect();
            }
            Column::dictionary(keys, builder.finish_array()?)
        }
        _ => {
            let mut builder = TextBuilder::new(column.len());
            let mut scratch = String::new();
            for row in 0..column.len() {
                out.clear();
                map(column.text(row, &mut scratch), &mut out);
                builder.push(&out);
            }
            builder.finish()
        }
    }
}

/// Fields that are found in texts, each with a column that grows as it is found.
#[derive(Default)]
pub(crate) struct FieldSink {
    names: HashMap<String, usize>,
    columns: Vec<TextBuilder>,
    row: usize,
}

/// The most different fields that one batch may unpack.
const FIELD_LIMIT: usize = 4096;

impl FieldSink {
    /// Adds a field of the present text; the first of a name wins. Fields over the limit of a batch are left out.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        let at = match self.names.get(name) {
            Some(at) => *at,
            None if self.columns.len() >= FIELD_LIMIT => return,
            None => {
                self.columns.push(TextBuilder::default());
                self.names.insert(name.into(), self.columns.len() - 1);
                self.columns.len() - 1
            }
        };
        let column = &mut self.columns[at];
        column.fill(self.row);
        if column.len() == self.row {
            column.push(value);
        }
    }

    fn finish(mut self) -> Result<Vec<(String, StringArray)>> {
        let mut names: Vec<(String, usize)> = self.names.into_iter().collect();
        names.sort_unstable_by_key(|(_, at)| *at);
        let rows = self.row;
        let columns = std::mem::take(&mut self.columns);
        names
            .into_iter()
            .zip(columns)
            .map(|((name, _), mut column)| {
                column.fill(rows);
                Ok((name, column.finish_array()?))
            })
            .collect()
    }
}

/// The fields that `unpack` finds in the texts of `column`; null where a text did not have the field. Rows that are not
/// selected are not looked at where texts are looked at row by row.
///
/// # Errors
/// When a field has more text than a column holds.
pub(crate) fn unpack(
    column: &Column,
    selection: Option<&BooleanBuffer>,
    unpack: &mut dyn FnMut(&str, &mut FieldSink),
) -> Result<Vec<(String, Column)>> {
    let mut sink = FieldSink::default();
    match column {
        Column::Const { value, len } => {
            unpack(value, &mut sink);
            sink.row = 1;
            let fields = sink.finish()?;
            Ok(fields
                .into_iter()
                .map(|(name, found)| (name, Column::constant(found.value(0), *len)))
                .collect())
        }
        Column::Dict(a) if by_entry(a) => {
            for value in dictionary_values(a) {
                unpack(value.unwrap_or(""), &mut sink);
                sink.row += 1;
            }
            let mut keys = a.keys().clone();
            if keys.null_count() > 0 {
                unpack("", &mut sink);
                let missing = sink.row as u32;
                sink.row += 1;
                keys = keys.iter().map(|key| Some(key.unwrap_or(missing))).collect();
            }
            let fields = sink.finish()?.into_iter();
            fields.map(|(name, found)| Ok((name, dictionary(&keys, &found)?))).collect()
        }
        _ => {
            let mut scratch = String::new();
            for row in 0..column.len() {
                if selection.is_none_or(|s| s.value(row)) {
                    unpack(column.text(row, &mut scratch), &mut sink);
                }
                sink.row += 1;
            }
            Ok(sink.finish()?.into_iter().map(|(name, a)| (name, Column::Text(a))).collect())
        }
    }
}

/// A dictionary column in which an entry without a value makes its rows null.
fn dictionary(keys: &UInt32Array, values: &StringArray) -> Result<Column> {
    if values.null_count() == 0 {
        return Column::dictionary(keys.clone(), values.clone());
    }
    let keys: UInt32Array =
        keys.iter().map(|key| key.filter(|key| values.is_valid(*key as usize))).collect();
    Column::dictionary(keys, values.clone())
}

/// On which rows new values replace the old ones of a field.
#[derive(Clone, Copy, Default)]
pub(crate) struct Assign<'a> {
    /// Only on these rows.
    pub selection: Option<&'a BooleanBuffer>,
    /// Only where the old value is empty.
    pub keep_original: bool,
    /// Only where the new value is not empty.
    pub skip_empty: bool,
}

/// Gives the field `name` new values. A null among them leaves the old value.
///
/// # Errors
/// When the result has more text than a column holds.
pub(crate) fn assign(rows: &mut Rows, name: &str, new: Column, rule: Assign<'_>) -> Result<()> {
    let old = rows.columns.iter().position(|(n, _)| n.as_ref() == name);
    let Some(at) = old else {
        let column = match rule.selection {
            Some(selection) if selection.count_set_bits() < rows.len => {
                choose(&Column::constant("", rows.len), &new, rule)?
            }
            _ => new,
        };
        rows.columns.push((name.into(), column));
        return Ok(());
    };
    let replaces_all = !rule.keep_original
        && !rule.skip_empty
        && rule.selection.is_none_or(|s| s.count_set_bits() == rows.len)
        && !has_null(&new);
    let column = if replaces_all { new } else { choose(&rows.columns[at].1, &new, rule)? };
    rows.columns[at].1 = column;
    Ok(())
}

fn has_null(column: &Column) -> bool {
    match column {
        Column::Text(a) => a.null_count() > 0,
        Column::Dict(a) => a.null_count() > 0,
        _ => false,
    }
}

fn is_null(column: &Column, row: usize) -> bool {
    match column {
        Column::Text(a) => a.is_null(row),
        Column::Dict(a) => a.is_null(row),
        _ => false,
    }
}

fn choose(old: &Column, new: &Column, rule: Assign<'_>) -> Result<Column> {
    let mut builder = TextBuilder::new(old.len());
    let (mut scratch_old, mut scratch_new) = (String::new(), String::new());
    for row in 0..old.len() {
        let before = old.text(row, &mut scratch_old);
        let selected = rule.selection.is_none_or(|s| s.value(row));
        if !selected || is_null(new, row) || rule.keep_original && !before.is_empty() {
            builder.push(before);
            continue;
        }
        let after = new.text(row, &mut scratch_new);
        builder.push(if rule.skip_empty && after.is_empty() { before } else { after });
    }
    builder.finish()
}

/// Removes a field and gives it back.
pub(crate) fn remove(rows: &mut Rows, name: &str) -> Option<Column> {
    let at = rows.columns.iter().position(|(n, _)| n.as_ref() == name)?;
    Some(rows.columns.remove(at).1)
}

/// The column of a field; empty texts when there is none.
pub(crate) fn column_or_empty(rows: &Rows, name: &str) -> Column {
    rows.column(name).cloned().unwrap_or_else(|| Column::constant("", rows.len))
}

/// Rows of several batches, brought together by where they are.
pub(crate) struct Interleaver<'a> {
    names: Vec<FieldName>,
    /// For each name, the column of each batch.
    sources: Vec<Vec<Option<&'a Column>>>,
}

impl<'a> Interleaver<'a> {
    /// Over these batches, with the fields of all of them.
    pub(crate) fn new(batches: &'a [Rows]) -> Self {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut names: Vec<FieldName> = Vec::new();
        let mut sources: Vec<Vec<Option<&Column>>> = Vec::new();
        for (batch, rows) in batches.iter().enumerate() {
            for (name, column) in &rows.columns {
                let place = *places.entry(name.as_ref()).or_insert_with(|| {
                    names.push(name.clone());
                    sources.push(vec![None; batches.len()]);
                    names.len() - 1
                });
                sources[place][batch] = Some(column);
            }
        }
        Self { names, sources }
    }

    /// The rows that `picks` names as (batch, row), in this order.
    ///
    /// # Errors
    /// When a field has more text than a column holds.
    pub(crate) fn rows(&self, picks: &[(u32, u32)]) -> Result<Rows> {
        let columns = self.names.iter().zip(&self.sources);
        let columns = columns.map(|(n, s)| Ok((n.clone(), interleave_column(s, picks)?)));
        Ok(Rows { len: picks.len(), columns: columns.collect::<Result<_>>()? })
    }
}

fn interleave_column(sources: &[Option<&Column>], picks: &[(u32, u32)]) -> Result<Column> {
    if let Some(Some(Column::Const { value, .. })) = sources.first() {
        let same =
            |c: &Option<&Column>| matches!(c, Some(Column::Const { value: v, .. }) if v == value);
        if sources.iter().all(same) {
            return Ok(Column::Const { value: value.clone(), len: picks.len() });
        }
    }
    if let Some(column) = interleave_arrays(sources, picks)? {
        return Ok(column);
    }
    let few =
        |c: &Option<&Column>| matches!(c, None | Some(Column::Const { .. } | Column::Dict(_)));
    if sources.iter().all(few) {
        return interleave_few(sources, picks);
    }
    let mut builder = TextBuilder::new(picks.len());
    let mut scratch = String::new();
    for (batch, row) in picks {
        let text = sources[*batch as usize].map_or("", |c| c.text(*row as usize, &mut scratch));
        builder.push(text);
    }
    builder.finish()
}

/// By Arrow's own operation, when all batches have the column in one form that it copies without loss.
fn interleave_arrays(sources: &[Option<&Column>], picks: &[(u32, u32)]) -> Result<Option<Column>> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt8Type, UInt64Type};
    let Some(Some(first)) = sources.first() else { return Ok(None) };
    let form = std::mem::discriminant(*first);
    let mut arrays: Vec<&dyn Array> = Vec::with_capacity(sources.len());
    for column in sources {
        let Some(column) = column else { return Ok(None) };
        if std::mem::discriminant(*column) != form {
            return Ok(None);
        }
        arrays.push(match column {
            Column::Const { .. } | Column::Dict(_) => return Ok(None),
            Column::Text(a) => a,
            Column::Int(a) => a,
            Column::UInt(a) => a,
            Column::Time(a) => a,
            Column::Severity(a) => a,
            Column::Hex(a) => a,
        });
    }
    let indexes: Vec<(usize, usize)> =
        picks.iter().map(|(batch, row)| (*batch as usize, *row as usize)).collect();
    let out: ArrayRef = arrow_select::interleave::interleave(&arrays, &indexes)?;
    Ok(Some(match first {
        Column::Text(_) => Column::Text(out.as_string().clone()),
        Column::Int(_) => Column::Int(out.as_primitive::<Int64Type>().clone()),
        Column::UInt(_) => Column::UInt(out.as_primitive::<UInt64Type>().clone()),
        Column::Time(_) => Column::Time(out.as_primitive::<TimestampNanosecondType>().clone()),
        Column::Severity(_) => Column::Severity(out.as_primitive::<UInt8Type>().clone()),
        _ => Column::Hex(out.as_fixed_size_binary().clone()),
    }))
}

/// Into one dictionary.
fn interleave_few(sources: &[Option<&Column>], picks: &[(u32, u32)]) -> Result<Column> {
    let mut codes: HashMap<&str, u32> = HashMap::new();
    let mut keys = Vec::with_capacity(picks.len());
    let mut entries: Vec<&str> = Vec::new();
    for (batch, row) in picks {
        let text = match sources[*batch as usize] {
            Some(Column::Const { value, .. }) => value.as_ref(),
            Some(Column::Dict(a)) => {
                a.key(*row as usize).map_or("", |key| dictionary_values(a).value(key))
            }
            _ => "",
        };
        let next = entries.len() as u32;
        let code = *codes.entry(text).or_insert(next);
        if code == next {
            entries.push(text);
        }
        keys.push(code);
    }
    Column::dictionary(UInt32Array::from(keys), StringArray::from(entries))
}

/// About how many bytes the rows hold.
pub(crate) fn size_bytes(rows: &Rows) -> u64 {
    let columns = rows.columns.iter().map(|(name, column)| {
        name.len()
            + 64
            + match column {
                Column::Const { value, .. } => value.len(),
                // Slices of a shared buffer count by their share of it.
                Column::Text(a) => {
                    let offsets = a.value_offsets();
                    let bytes = offsets[offsets.len() - 1] - offsets[0];
                    bytes as usize + a.len() * 4
                }
                // The entries are shared by all batches that came from one part.
                Column::Dict(a) => a.len() * 4,
                Column::Int(a) => a.len() * 8,
                Column::UInt(a) => a.len() * 8,
                Column::Time(a) => a.len() * 8,
                Column::Severity(a) => a.len(),
                Column::Hex(a) => a.len() * 16,
            }
    });
    columns.sum::<usize>() as u64
}

/// A column of whole numbers.
pub(crate) fn uint_column(values: impl IntoIterator<Item = u64>) -> Column {
    Column::UInt(arrow_array::UInt64Array::from_iter_values(values))
}

/// The column of the texts.
pub(crate) fn text_column<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Column {
    Column::Text(StringArray::from_iter_values(values))
}

/// A shared name.
pub(crate) fn name(text: &str) -> FieldName {
    Arc::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(column: &Column) -> Vec<String> {
        let mut scratch = String::new();
        (0..column.len()).map(|row| column.text(row, &mut scratch).to_string()).collect()
    }

    fn dict(values: &[Option<&str>]) -> Column {
        let array: DictionaryArray<arrow_array::types::UInt32Type> =
            values.iter().copied().collect();
        Column::Dict(array)
    }

    #[test]
    fn a_dictionary_is_mapped_once_per_entry() {
        let column = dict(&[Some("a"), None, Some("b"), Some("a"), Some("a")]);
        let mut calls = 0;
        let mapped = map_text(&column, &mut |text, out| {
            calls += 1;
            out.push_str(text);
            out.push('!');
        })
        .unwrap();
        assert_eq!(texts(&mapped), ["a!", "!", "b!", "a!", "a!"]);
        assert_eq!(calls, 3);
    }

    #[test]
    fn found_fields_are_null_where_they_were_not_found() {
        for column in
            [dict(&[Some("x=1"), Some("y=2"), Some("x=1")]), text_column(["x=1", "y=2", "x=1"])]
        {
            let fields = unpack(&column, None, &mut |text, sink| {
                let (name, value) = text.split_once('=').unwrap();
                sink.field(name, value);
            })
            .unwrap();
            assert_eq!(fields.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["x", "y"]);
            assert_eq!(texts(&fields[0].1), ["1", "", "1"]);
            assert!(is_null(&fields[0].1, 1) && is_null(&fields[1].1, 0));
        }
    }

    #[test]
    fn new_values_replace_old_ones_by_their_rule() {
        let start = || Rows { len: 3, columns: vec![(name("f"), text_column(["a", "", "c"]))] };
        let new = || Column::Text(StringArray::from(vec![Some("1"), Some(""), None]));
        let selection = BooleanBuffer::from(vec![false, true, true]);
        let cases: [(Assign<'_>, [&str; 3]); 4] = [
            (Assign::default(), ["1", "", "c"]),
            (Assign { keep_original: true, ..Assign::default() }, ["a", "", "c"]),
            (Assign { skip_empty: true, ..Assign::default() }, ["1", "", "c"]),
            (Assign { selection: Some(&selection), ..Assign::default() }, ["a", "", "c"]),
        ];
        for (rule, want) in cases {
            let mut rows = start();
            assign(&mut rows, "f", new(), rule).unwrap();
            assert_eq!(texts(rows.column("f").unwrap()), want);
        }
    }

    #[test]
    fn rows_of_different_forms_come_together() {
        let a = Rows {
            len: 2,
            columns: vec![
                (name("n"), uint_column([1, 2])),
                (name("d"), dict(&[Some("x"), None])),
                (name("t"), Column::constant("same", 2)),
            ],
        };
        let b = Rows {
            len: 2,
            columns: vec![
                (name("n"), uint_column([3, 4])),
                (name("d"), Column::constant("x", 2)),
                (name("t"), text_column(["p", "q"])),
            ],
        };
        let batches = [a, b];
        let picks = [(1, 1), (0, 0), (0, 1), (1, 0)];
        let out = Interleaver::new(&batches).rows(&picks).unwrap();
        assert_eq!(texts(out.column("n").unwrap()), ["4", "1", "2", "3"]);
        assert_eq!(texts(out.column("d").unwrap()), ["x", "x", "", "x"]);
        assert_eq!(texts(out.column("t").unwrap()), ["q", "same", "same", "p"]);
        assert!(matches!(out.column("n"), Some(Column::UInt(_))));
        assert!(matches!(out.column("d"), Some(Column::Dict(_))));
    }
}
