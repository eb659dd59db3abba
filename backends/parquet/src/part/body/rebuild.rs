//! Bodies out of the columns of a part.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int64Type, TimestampMillisecondType, TimestampNanosecondType, UInt32Type,
};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, MapArray, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use hashbrown::HashMap;
use rookery_core::{Error, Result};

use super::template::{Format, Template, push_number};
use super::{COLUMN, TEMPLATE, TEMPLATES_LIMIT};
use crate::part::granule::REST;
use crate::part::stamp;
use crate::part::words::WordSet;
use crate::sync::Mutex;

/// Before the names of columns of fields.
pub(crate) const FIELDS: &str = "fields.";

/// Rebuilds bodies of one part: it keeps the part's templates, read.
#[derive(Debug, Default)]
pub(crate) struct Rebuilder {
    templates: Mutex<HashMap<Box<str>, Arc<Template>>>,
}

/// Where the columns of the rows are found.
pub(crate) trait Arrays {
    /// A column by its name in the Parquet schema.
    fn array(&self, name: &str) -> Option<&ArrayRef>;
}

impl Arrays for RecordBatch {
    fn array(&self, name: &str) -> Option<&ArrayRef> {
        self.column_by_name(name)
    }
}

impl Arrays for HashMap<String, ArrayRef> {
    fn array(&self, name: &str) -> Option<&ArrayRef> {
        self.get(name)
    }
}

/// The templates of some rows: the key of each row, and the templates that occur, by key.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) keys: ScalarBuffer<u32>,
    pub(crate) templates: Vec<Option<Arc<Template>>>,
}

impl Used {
    /// Each template that occurs, with its key.
    pub(crate) fn templates(&self) -> impl Iterator<Item = (usize, &Arc<Template>)> {
        self.templates.iter().enumerate().filter_map(|(key, t)| Some((key, t.as_ref()?)))
    }

    /// The Parquet columns that the slots name, each once. `has` tells whether the file has a column.
    pub(crate) fn columns(&self, has: impl Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut add = |name: &str| {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        };
        for slot in self.templates().flat_map(|(_, template)| &template.slots) {
            let is_rest = slot.column.starts_with(FIELDS) && !has(&slot.column);
            add(if is_rest { REST } else { &slot.column });
            if slot.format.needs_time() {
                add("time");
            }
        }
        names
    }
}

fn unknown(name: &str) -> Error {
    Error::corrupt(format!(
        "a body needs the column {name}, which a part does not have in that form"
    ))
}

/// The values of a slot's column.
enum Source<'a> {
    Text(&'a StringArray),
    Dictionary(&'a DictionaryArray<UInt32Type>, &'a StringArray),
    Number(&'a Int64Array),
    Time(&'a TimestampMillisecondArray),
    /// In the map of fields without a column.
    Rest {
        map: &'a MapArray,
        keys: &'a StringArray,
        values: &'a StringArray,
        name: &'a str,
    },
}

impl<'a> Source<'a> {
    fn find(arrays: &'a dyn Arrays, name: &'a str) -> Result<Self> {
        let missing = || unknown(name);
        let Some(array) = arrays.array(name) else {
            let field = name.strip_prefix(FIELDS).ok_or_else(missing)?;
            let map = arrays.array(REST).ok_or_else(missing)?;
            let map = map.as_map_opt().ok_or_else(missing)?;
            return Ok(Self::Rest {
                map,
                keys: map.keys().as_string_opt().ok_or_else(missing)?,
                values: map.values().as_string_opt().ok_or_else(missing)?,
                name: field,
            });
        };
        if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
            return Ok(Self::Number(numbers));
        }
        if let Some(texts) = array.as_string_opt::<i32>() {
            return Ok(Self::Text(texts));
        }
        if let Some(times) = array.as_primitive_opt::<TimestampMillisecondType>() {
            return Ok(Self::Time(times));
        }
        let dictionary = array.as_dictionary_opt::<UInt32Type>().ok_or_else(missing)?;
        let values = dictionary.values().as_string_opt().ok_or_else(missing)?;
        Ok(Self::Dictionary(dictionary, values))
    }

    /// Appends the value of a row; false when there is none.
    #[inline]
    fn print(&self, row: usize, format: Format, time: i64, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Text(texts) => {
                out.extend_from_slice(texts.value(row).as_bytes());
                texts.is_valid(row)
            }
            Self::Dictionary(dictionary, values) => {
                let Some(key) = dictionary.key(row) else { return false };
                out.extend_from_slice(values.value(key).as_bytes());
                true
            }
            Self::Number(numbers) => {
                match format {
                    Format::Plain => push_number(out, numbers.value(row)),
                    format => format.print(numbers.value(row), time, out),
                }
                numbers.is_valid(row)
            }
            Self::Time(times) => {
                stamp::write(times.value(row), out);
                times.is_valid(row)
            }
            Self::Rest { map, keys, values, name } => {
                let offsets = map.value_offsets();
                let mut entries = offsets[row] as usize..offsets[row + 1] as usize;
                let Some(entry) = entries.find(|&e| keys.value(e) == *name) else { return false };
                out.extend_from_slice(values.value(entry).as_bytes());
                true
            }
        }
    }
}

/// A template's texts, and where the values of its slots are.
struct Plan<'a> {
    template: &'a Template,
    sources: Vec<usize>,
}

impl Rebuilder {
    /// The templates of rows, read.
    ///
    /// # Errors
    /// `corrupt` when they are not what was written.
    pub(crate) fn used(&self, templates: &ArrayRef) -> Result<Used> {
        let array: &DictionaryArray<UInt32Type> =
            templates.as_dictionary_opt().ok_or_else(|| unknown(TEMPLATE))?;
        let texts = array.values().as_string_opt::<i32>().ok_or_else(|| unknown(TEMPLATE))?;
        if array.null_count() > 0 {
            return Err(unknown(TEMPLATE));
        }
        let keys = array.keys().values().clone();
        let mut templates = vec![None; texts.len()];
        let mut last = u32::MAX;
        let mut known = self.templates.lock();
        for &key in &keys {
            if key == last {
                continue;
            }
            last = key;
            let template = templates.get_mut(key as usize).ok_or_else(|| unknown(TEMPLATE))?;
            if template.is_some() {
                continue;
            }
            let text = texts.value(key as usize);
            if let Some(found) = known.get(text) {
                *template = Some(found.clone());
                continue;
            }
            let read = Arc::new(Template::read(text)?);
            if known.len() >= TEMPLATES_LIMIT {
                known.clear();
            }
            known.insert(text.into(), read.clone());
            *template = Some(read);
        }
        Ok(Used { keys, templates })
    }

    /// The bodies of rows, of either version.
    ///
    /// # Errors
    /// `corrupt` when the columns are not what was written.
    pub(crate) fn rebuild(&self, arrays: &dyn Arrays) -> Result<StringArray> {
        match arrays.array(TEMPLATE) {
            Some(templates) => rebuild(&self.used(templates)?, arrays),
            None => {
                let bodies = arrays.array(COLUMN).and_then(|array| array.as_string_opt::<i32>());
                Ok(bodies.ok_or_else(|| unknown(COLUMN))?.clone())
            }
        }
    }

    /// Adds the words of the values of rows that stand in no text field and are no ids.
    ///
    /// # Errors
    /// `corrupt` when the columns are not what was written.
    pub(crate) fn add_words(&self, rows: &RecordBatch, words: &mut WordSet) -> Result<()> {
        let used = self.used(rows.array(TEMPLATE).ok_or_else(|| unknown(TEMPLATE))?)?;
        let (plans, sources) = plans(&used, rows)?;
        let times = times(rows);
        let mut print: Vec<u8> = Vec::new();
        for row in 0..rows.num_rows() {
            let plan = &plans[used.keys[row] as usize];
            let Some(plan) = plan else { return Err(unknown(TEMPLATE)) };
            for (slot, &source) in plan.template.slots.iter().zip(&plan.sources) {
                match (&sources[source], slot.format) {
                    (Source::Text(texts), _) if slot.column.starts_with(super::COLUMN) => {
                        words.add(texts.value(row));
                    }
                    (Source::Number(numbers), format) => {
                        print.clear();
                        format.print(numbers.value(row), times.map_or(0, |t| t[row]), &mut print);
                        words.add(std::str::from_utf8(&print).unwrap_or(""));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn times(arrays: &dyn Arrays) -> Option<&[i64]> {
    let times = arrays.array("time")?.as_primitive_opt::<TimestampNanosecondType>()?;
    Some(times.values())
}

/// For each template that occurs, where its slots' values are.
fn plans<'a>(
    used: &'a Used,
    arrays: &'a dyn Arrays,
) -> Result<(Vec<Option<Plan<'a>>>, Vec<Source<'a>>)> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut sources = Vec::new();
    let mut plans: Vec<Option<Plan<'_>>> = Vec::new();
    plans.resize_with(used.templates.len(), || None);
    for (key, template) in used.templates() {
        let mut of_slots = Vec::with_capacity(template.slots.len());
        for slot in &template.slots {
            let number = match numbers.get(slot.column.as_ref()) {
                Some(&number) => number,
                None => {
                    sources.push(Source::find(arrays, &slot.column)?);
                    numbers.insert(&slot.column, sources.len() - 1);
                    sources.len() - 1
                }
            };
            of_slots.push(number);
        }
        plans[key] = Some(Plan { template, sources: of_slots });
    }
    Ok((plans, sources))
}

/// The bodies of rows whose templates are known.
///
/// # Errors
/// `corrupt` when the columns are not what was written.
pub(crate) fn rebuild(used: &Used, arrays: &dyn Arrays) -> Result<StringArray> {
    let (plans, sources) = plans(used, arrays)?;
    let times = times(arrays);
    let rows = used.keys.len();
    let mut out: Vec<u8> = Vec::with_capacity(rows * 128);
    let mut offsets: Vec<i32> = Vec::with_capacity(rows + 1);
    offsets.push(0);
    for row in 0..rows {
        let Some(plan) = &plans[used.keys[row] as usize] else { return Err(unknown(TEMPLATE)) };
        let time = times.map_or(0, |times| times[row]);
        for ((text, slot), &source) in
            plan.template.texts.iter().zip(&plan.template.slots).zip(&plan.sources)
        {
            out.extend_from_slice(text.as_bytes());
            if !sources[source].print(row, slot.format, time, &mut out) {
                return Err(Error::corrupt(format!(
                    "a body of a part needs a value of {}, which its record does not have",
                    slot.column
                )));
            }
        }
        if let Some(last) = plan.template.texts.last() {
            out.extend_from_slice(last.as_bytes());
        }
        let end = i32::try_from(out.len())
            .map_err(|_| Error::too_large("the bodies of a granule take more than 2 GiB"))?;
        offsets.push(end);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(StringArray::try_new(offsets, Buffer::from_vec(out), None)?)
}

/// The numbers of a column as a slot prints them.
///
/// # Errors
/// `corrupt` when the rows have no times.
pub(crate) fn printed(
    numbers: &Int64Array,
    format: Format,
    arrays: &dyn Arrays,
) -> Result<StringArray> {
    let times = times(arrays);
    if format.needs_time() && times.is_none() {
        return Err(unknown("time"));
    }
    let mut texts = StringBuilder::with_capacity(numbers.len(), numbers.len() * 8);
    let mut print = Vec::new();
    for (row, number) in numbers.iter().enumerate() {
        print.clear();
        if let Some(number) = number {
            format.print(number, times.map_or(0, |times| times[row]), &mut print);
        }
        texts.append_value(std::str::from_utf8(&print).unwrap_or(""));
    }
    Ok(texts.finish())
}
