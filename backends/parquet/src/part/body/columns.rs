//! Bodies of a granule as the columns of a part, while it is written.

use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder as _, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray, UInt32Array};
use hashbrown::HashTable;
use rookery_core::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::cut::{Cutter, Record};
use super::rebuild::Rebuilder;
use super::template::{Format, Template, push_slot};
use super::{
    BodyPlan, COLUMN, Kind, TEMPLATE, TEMPLATE_LIMIT_BYTES, TEMPLATES_LIMIT, TEMPLATES_LIMIT_BYTES,
};
use crate::part::granule::{finish_numbers, finish_texts};
use crate::part::words::WordSet;

/// The templates of the row group that is written.
#[derive(Debug)]
struct Templates {
    table: HashTable<u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
    /// Of each, the granule that last had its words.
    granule_of_words: Vec<u32>,
    /// All of them, until there are more.
    array: Option<Arc<StringArray>>,
}

/// The template of bodies that are stored whole; each row group may use it, however many others it has.
fn whole() -> Arc<str> {
    let mut text = Vec::new();
    push_slot(&mut text, COLUMN.as_bytes(), Format::Plain);
    String::from_utf8(text).expect("a slot is ASCII").into()
}

/// The number of [`whole`].
const WHOLE: u32 = 0;

impl Templates {
    fn new() -> Self {
        let mut templates = Self {
            table: HashTable::new(),
            texts: Vec::new(),
            bytes: 0,
            granule_of_words: Vec::new(),
            array: None,
        };
        let whole = whole();
        templates.add(xxh3_64(whole.as_bytes()), whole);
        templates
    }

    fn add(&mut self, hash: u64, text: Arc<str>) -> u32 {
        let number = self.texts.len() as u32;
        self.bytes += text.len();
        self.texts.push(text);
        self.granule_of_words.push(u32::MAX);
        let texts = &self.texts;
        self.table.insert_unique(hash, number, |&n| xxh3_64(texts[n as usize].as_bytes()));
        self.array = None;
        number
    }

    /// The number of a template, and whether it is new; none when there is no room for it.
    fn number(&mut self, text: &[u8]) -> Option<u32> {
        let hash = xxh3_64(text);
        let same = |&n: &u32| self.texts[n as usize].as_bytes() == text;
        if let Some(&found) = self.table.find(hash, same) {
            return Some(found);
        }
        let fits = text.len() <= TEMPLATE_LIMIT_BYTES
            && self.texts.len() < TEMPLATES_LIMIT
            && self.bytes + text.len() <= TEMPLATES_LIMIT_BYTES;
        let text = if fits { std::str::from_utf8(text).ok()? } else { return None };
        Some(self.add(hash, text.into()))
    }

    /// Adds the words of a template's texts, once for each granule.
    fn add_words(&mut self, number: u32, granule: u32, words: &mut WordSet) {
        let last = &mut self.granule_of_words[number as usize];
        if *last != granule {
            *last = granule;
            if let Ok(template) = Template::read(&self.texts[number as usize]) {
                template.texts.iter().for_each(|text| words.add(text));
            }
        }
    }

    fn array(&mut self) -> Arc<StringArray> {
        let texts = &self.texts;
        let make = || Arc::new(texts.iter().map(|text| Some(text.as_ref())).collect());
        self.array.get_or_insert_with(make).clone()
    }
}

/// Values of one column; rows without one are null.
#[derive(Debug)]
enum Values {
    Number(Int64Builder),
    Text(StringBuilder),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Number(builder) => builder.len(),
            Self::Text(builder) => builder.len(),
        }
    }

    fn pad(&mut self, rows: usize) {
        match (rows - self.len(), self) {
            (0, _) => {}
            (missing, Self::Number(builder)) => builder.append_nulls(missing),
            (missing, Self::Text(builder)) => builder.append_nulls(missing),
        }
    }

    fn put_number(&mut self, row: usize, number: i64) {
        self.pad(row);
        if let Self::Number(builder) = self {
            builder.append_value(number);
        }
    }

    fn put_text(&mut self, row: usize, text: &str) {
        self.pad(row);
        if let Self::Text(builder) = self {
            builder.append_value(text);
        }
    }
}

/// The bodies of a granule under construction.
#[derive(Debug)]
pub(crate) struct BodyBuilder {
    plan: BodyPlan,
    cutter: Cutter,
    templates: Templates,
    /// A template for each row.
    keys: Vec<u32>,
    body: Values,
    /// In the order of [`BodyPlan::columns`].
    values: Vec<Values>,
    granule: u32,
    bytes: usize,
}

impl BodyBuilder {
    /// For a part with these columns of fields, of which some are texts.
    pub(crate) fn new<'a>(fields: impl Iterator<Item = (&'a str, bool)>, plan: BodyPlan) -> Self {
        let values = |(kind, _): (Kind, String)| match kind {
            Kind::Text => Values::Text(StringBuilder::new()),
            Kind::Number | Kind::Time | Kind::Address => Values::Number(Int64Builder::new()),
        };
        Self {
            plan,
            cutter: Cutter::new(fields, plan),
            templates: Templates::new(),
            keys: Vec::new(),
            body: Values::Text(StringBuilder::new()),
            values: plan.columns().map(values).collect(),
            granule: 0,
            bytes: 0,
        }
    }

    /// About how many bytes the bodies of the granule have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a body, and adds its words; but for those of the values of text fields and ids, which the caller adds.
    pub(crate) fn push(&mut self, body: &str, record: &Record<'_>, words: &mut WordSet) {
        self.bytes += body.len();
        let number = match self.cutter.cut(body, record) {
            true => self.templates.number(&self.cutter.pieces.template),
            false => None,
        };
        let Some(number) = number else {
            words.add(body);
            self.push_whole(body);
            return;
        };
        let row = self.keys.len();
        self.keys.push(number);
        self.templates.add_words(number, self.granule, words);
        let pieces = &self.cutter.pieces;
        pieces.words.iter().for_each(|range| words.add(&body[range.clone()]));
        let mut first = 0;
        for (kind, columns) in Kind::ALL.into_iter().zip(self.plan.0) {
            let columns = usize::from(columns);
            let values = &mut self.values[first..first + columns];
            first += columns;
            let mut numbers = |numbers: &[i64]| {
                values.iter_mut().zip(numbers).for_each(|(v, &number)| v.put_number(row, number));
            };
            match kind {
                Kind::Number => numbers(&pieces.numbers),
                Kind::Time => numbers(&pieces.times),
                Kind::Address => numbers(&pieces.addresses),
                Kind::Text => values
                    .iter_mut()
                    .zip(&pieces.texts)
                    .for_each(|(v, range)| v.put_text(row, &body[range.clone()])),
            }
        }
        if let Some(rest) = pieces.rest {
            self.body.put_text(row, &body[rest..]);
        }
    }

    fn push_whole(&mut self, body: &str) {
        self.body.put_text(self.keys.len(), body);
        self.keys.push(WHOLE);
    }

    /// Appends the bodies of rows of another part, and adds their words; but for those of the values of text fields and ids.
    /// `rebuilder` is that of the part.
    ///
    /// # Errors
    /// `corrupt` when the rows are not what was written.
    pub(crate) fn copy(
        &mut self,
        rows: &RecordBatch,
        rebuilder: &Rebuilder,
        words: &mut WordSet,
    ) -> Result<()> {
        let unknown = || Error::corrupt("the templates of a part are not texts");
        let templates = rows.column_by_name(TEMPLATE).ok_or_else(unknown)?;
        let templates: &DictionaryArray<UInt32Type> =
            templates.as_dictionary_opt().ok_or_else(unknown)?;
        let texts = templates.values().as_string_opt::<i32>().ok_or_else(unknown)?;
        let mut numbers: Vec<Option<Option<u32>>> = vec![None; texts.len()];
        let start = self.keys.len();
        let mut all_fit = true;
        for row in 0..rows.num_rows() {
            let key = templates.key(row).ok_or_else(unknown)?;
            let known = numbers.get_mut(key).ok_or_else(unknown)?;
            let make = || self.templates.number(texts.value(key).as_bytes());
            let number = *known.get_or_insert_with(make);
            all_fit &= number.is_some();
            self.keys.push(number.unwrap_or(WHOLE));
            if let Some(number) = number {
                self.templates.add_words(number, self.granule, words);
            }
        }
        rebuilder.add_words(rows, words)?;
        if all_fit {
            return self.copy_columns(rows, start);
        }
        self.keys.truncate(start);
        let bodies = rebuilder.rebuild(rows)?;
        for row in 0..rows.num_rows() {
            let number = templates.key(row).and_then(|key| numbers[key].flatten());
            match number {
                Some(number) => {
                    self.keys.push(number);
                    self.copy_columns(&rows.slice(row, 1), self.keys.len() - 1)?;
                }
                None => {
                    words.add(bodies.value(row));
                    self.push_whole(bodies.value(row));
                }
            }
        }
        Ok(())
    }

    /// Appends the values of rows, the first of which is row `start` here.
    fn copy_columns(&mut self, rows: &RecordBatch, start: usize) -> Result<()> {
        let copy = |name: &str, values: &mut Values| -> Result<()> {
            let Some(array) = rows.column_by_name(name) else { return Ok(()) };
            if array.null_count() == array.len() {
                return Ok(());
            }
            let unknown =
                || Error::corrupt(format!("the column {name} of a part has another type"));
            values.pad(start);
            match values {
                Values::Number(builder) => {
                    builder
                        .append_array(array.as_primitive_opt::<Int64Type>().ok_or_else(unknown)?);
                    Ok(())
                }
                Values::Text(builder) => {
                    let array = array.as_string_opt::<i32>().ok_or_else(unknown)?;
                    Ok(builder.append_array(array)?)
                }
            }
        };
        copy(COLUMN, &mut self.body)?;
        for ((_, name), values) in self.plan.columns().zip(&mut self.values) {
            copy(&name, values)?;
        }
        Ok(())
    }

    /// Counts bytes that rows take elsewhere, so that a granule ends in time.
    pub(crate) fn count_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The columns of the granule, in the order of [`super::fields`], and a new start.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        let rows = self.keys.len();
        let keys = UInt32Array::from(std::mem::take(&mut self.keys));
        let templates = DictionaryArray::try_new(keys, self.templates.array() as ArrayRef)?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(templates)];
        for values in std::iter::once(&mut self.body).chain(&mut self.values) {
            values.pad(rows);
            columns.push(match values {
                Values::Number(builder) => finish_numbers(builder),
                Values::Text(builder) => finish_texts(builder),
            });
        }
        self.granule += 1;
        self.bytes = 0;
        Ok(columns)
    }

    /// Says that the row group ends.
    pub(crate) fn end_row_group(&mut self) {
        self.templates = Templates::new();
    }
}
