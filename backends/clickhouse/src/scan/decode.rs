//! From the record batches of an answer to rows, under the names of queries.

use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, MapArray, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::{DataType, TimeUnit};
use hashbrown::HashMap;
use rookery_core::filter::FieldName;
use rookery_core::logs::names::{Meaning, label_name, meaning, own_name};
use rookery_core::rows::{Column, Rows};
use rookery_core::{Error, Result};

/// What a column of an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// One field.
    Field(FieldName),
    /// All labels.
    Labels,
    /// All of the records' own fields.
    Fields,
    /// How many records a row stands for.
    Count,
}

/// The rows of a batch whose columns are these.
///
/// # Errors
/// `corrupt` when the server's columns are of other types than were asked for.
pub(crate) fn rows(batch: &RecordBatch, outputs: &[Output]) -> Result<Rows> {
    let mut rows = Rows { len: batch.num_rows(), columns: Vec::new() };
    if batch.num_columns() != outputs.len() {
        return Err(Error::corrupt(format!(
            "ClickHouse answered {} columns, and was asked for {}",
            batch.num_columns(),
            outputs.len()
        )));
    }
    for (array, output) in batch.columns().iter().zip(outputs) {
        match output {
            Output::Field(name) => push(&mut rows, name.clone(), column(array)?),
            Output::Labels => {
                for (label, texts) in entries(array)? {
                    push(&mut rows, label_name(&label), Column::Text(texts));
                }
            }
            Output::Fields => {
                for (own, texts) in entries(array)? {
                    // The record's own level is in the level's column; and a field that is named as another is asked for cannot be
                    // asked for.
                    if let Some(name) = own_name(&own)
                        && meaning(&name) == Meaning::Own(&own)
                    {
                        push(&mut rows, name, Column::Text(texts));
                    }
                }
            }
            Output::Count => {}
        }
    }
    Ok(rows)
}

/// The rows that the groups of a batch stand for: each group has one text for each field, and a count, the last column.
///
/// # Errors
/// As [`rows`].
pub(crate) fn groups(batch: &RecordBatch, outputs: &[Output]) -> Result<Vec<Rows>> {
    let last = batch.columns().last().and_then(|array| array.as_primitive_opt::<UInt64Type>());
    let counts =
        last.ok_or_else(|| Error::corrupt("ClickHouse answered groups without a count"))?;
    let fields = rows(batch, outputs)?;
    let mut scratch = String::new();
    let mut all = Vec::with_capacity(batch.num_rows());
    for (row, count) in counts.values().iter().enumerate() {
        let len = usize::try_from(*count).map_err(|_| Error::internal("too many rows"))?;
        let constant = |(name, column): &(FieldName, Column)| {
            let text = column.text(row, &mut scratch);
            (!text.is_empty()).then(|| (name.clone(), Column::constant(text, len)))
        };
        all.push(Rows { len, columns: fields.columns.iter().filter_map(constant).collect() });
    }
    Ok(all)
}

/// Adds a column that has a text; no name twice.
fn push(rows: &mut Rows, name: FieldName, column: Column) {
    let empty = match &column {
        Column::Text(a) => a.value_offsets().first() == a.value_offsets().last(),
        _ => false,
    };
    if !empty && rows.column(&name).is_none() {
        rows.columns.push((name, column));
    }
}

fn wrong(array: &ArrayRef) -> Error {
    Error::corrupt(format!("ClickHouse answered a column of type {}", array.data_type()))
}

fn column(array: &ArrayRef) -> Result<Column> {
    Ok(match array.data_type() {
        DataType::Utf8 => Column::Text(array.as_string().clone()),
        DataType::Dictionary(_, _) => Column::Dict(dictionary(array)?),
        DataType::UInt64 => Column::UInt(array.as_primitive::<UInt64Type>().clone()),
        DataType::UInt8 => Column::Severity(array.as_primitive::<UInt8Type>().clone()),
        DataType::FixedSizeBinary(_) => Column::Hex(array.as_fixed_size_binary().clone()),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Column::Time(array.as_primitive::<TimestampNanosecondType>().clone())
        }
        _ => return Err(wrong(array)),
    })
}

/// A dictionary of texts with keys of the type that rows have.
fn dictionary(array: &ArrayRef) -> Result<DictionaryArray<UInt32Type>> {
    let any = array.as_any_dictionary_opt().ok_or_else(|| wrong(array))?;
    any.values().as_string_opt::<i32>().ok_or_else(|| wrong(array))?;
    if let Some(ready) = array.as_dictionary_opt::<UInt32Type>() {
        return Ok(ready.clone());
    }
    macro_rules! widened {
        ($($kind:ty),*) => {
            $(if let Some(a) = array.as_dictionary_opt::<$kind>() {
                let keys: UInt32Array = a.keys().iter().map(|key| key.map(|key| key as u32)).collect();
                return Ok(DictionaryArray::try_new(keys, a.values().clone())?);
            })*
        };
    }
    widened!(Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt64Type);
    Err(wrong(array))
}

/// The keys of a map that some record has, each with its values; of a key twice in a record, the first value.
fn entries(array: &ArrayRef) -> Result<Vec<(Arc<str>, StringArray)>> {
    let map: &MapArray = array.as_map_opt().ok_or_else(|| wrong(array))?;
    let values = map.values().as_string_opt::<i32>().ok_or_else(|| wrong(array))?;
    let offsets = map.value_offsets();
    let numbers = Numbered::new(map.keys())?;
    let mut texts: Vec<StringBuilder> = Vec::with_capacity(numbers.names.len());
    texts.resize_with(numbers.names.len(), StringBuilder::new);
    for (row, ends) in offsets.windows(2).enumerate() {
        for entry in ends[0] as usize..ends[1] as usize {
            let builder = &mut texts[numbers.keys[entry] as usize];
            if builder.len() <= row {
                (builder.len()..row).for_each(|_| builder.append_null());
                builder.append_value(values.value(entry));
            }
        }
    }
    let rows = map.len();
    let full = texts.into_iter().map(|mut builder| {
        (builder.len()..rows).for_each(|_| builder.append_null());
        builder.finish()
    });
    Ok(numbers.names.into_iter().zip(full).collect())
}

/// The keys of a map by number.
struct Numbered {
    names: Vec<Arc<str>>,
    keys: Vec<u32>,
}

impl Numbered {
    fn new(keys: &ArrayRef) -> Result<Self> {
        if keys.data_type() == &DataType::Utf8 {
            return Ok(Self::of(keys.as_string::<i32>().iter().map(Option::unwrap_or_default)));
        }
        let dictionary = dictionary(keys)?;
        let values = dictionary.values().as_string::<i32>();
        // The dictionary holds the names of a whole part: only those in use get a number.
        let mut numbers: Vec<u32> = vec![u32::MAX; values.len()];
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut used = Vec::with_capacity(dictionary.len());
        for key in dictionary.keys().values() {
            let number = &mut numbers[*key as usize];
            if *number == u32::MAX {
                *number = names.len() as u32;
                names.push(values.value(*key as usize).into());
            }
            used.push(*number);
        }
        Ok(Self { names, keys: used })
    }

    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut names: Vec<Arc<str>> = Vec::new();
        let keys = texts.map(|text| {
            *numbers.entry(text).or_insert_with(|| {
                names.push(text.into());
                names.len() as u32 - 1
            })
        });
        let keys = keys.collect();
        Self { names, keys }
    }
}
