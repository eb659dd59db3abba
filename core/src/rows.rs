//! Records as a query sees them: named columns of one length, each value a text.
//!
//! A store answers a scan with [`Rows`]; pipes turn rows into rows. A [`Column`] keeps the form in which the store had
//! the values (dictionary, numbers, times), because a dictionary is tested once per entry and a time is compared as a
//! number; [`Column::text`] gives the one text that each value means.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, DictionaryArray, FixedSizeBinaryArray, Int64Array, StringArray,
    TimestampNanosecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_buffer::BooleanBuffer;

use crate::filter::FieldName;
use crate::{Result, logs, time};

/// Named columns of one length.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// How many records, also when there is no column.
    pub len: usize,
    /// The columns, each with its field's name; no name twice. A field that is not here is empty in every record.
    pub columns: Vec<(FieldName, Column)>,
}

/// The values of one field.
#[derive(Debug, Clone)]
pub enum Column {
    /// One text in all of the rows.
    Const {
        /// The text.
        value: Arc<str>,
        /// How many rows.
        len: usize,
    },
    /// Texts; null is empty.
    Text(StringArray),
    /// Texts with few distinct values: keys into a [`StringArray`]; null is empty.
    Dict(DictionaryArray<UInt32Type>),
    /// Whole numbers, printed in decimal; null is empty.
    Int(Int64Array),
    /// Whole numbers, printed in decimal; null is empty.
    UInt(UInt64Array),
    /// Nanoseconds since the epoch, printed as RFC 3339; null is empty.
    Time(TimestampNanosecondArray),
    /// OpenTelemetry severity numbers, printed as the level's name; 0 is empty.
    Severity(UInt8Array),
    /// Bytes, printed in hex: stream ids; null is empty.
    Hex(FixedSizeBinaryArray),
}

impl Column {
    /// One text in `len` rows.
    pub fn constant(value: &str, len: usize) -> Self {
        Self::Const { value: value.into(), len }
    }

    /// The texts of `dictionary` that the keys name; a null key is empty.
    ///
    /// # Errors
    /// When a key is outside of the dictionary.
    pub fn dictionary(keys: UInt32Array, dictionary: StringArray) -> Result<Self> {
        Ok(Self::Dict(DictionaryArray::try_new(keys, Arc::new(dictionary))?))
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Const { len, .. } => *len,
            Self::Text(a) => a.len(),
            Self::Dict(a) => a.len(),
            Self::Int(a) => a.len(),
            Self::UInt(a) => a.len(),
            Self::Time(a) => a.len(),
            Self::Severity(a) => a.len(),
            Self::Hex(a) => a.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a row; `scratch` is overwritten when the text has to be made.
    ///
    /// # Panics
    /// When `row` is not below [`Self::len`].
    pub fn text<'a>(&'a self, row: usize, scratch: &'a mut String) -> &'a str {
        scratch.clear();
        match self {
            Self::Const { value, .. } => return value,
            Self::Text(a) => return if a.is_null(row) { "" } else { a.value(row) },
            Self::Dict(a) => {
                let Some(key) = a.key(row) else { return "" };
                return dictionary_values(a).value(key);
            }
            Self::Int(a) if a.is_valid(row) => drop(write!(scratch, "{}", a.value(row))),
            Self::UInt(a) if a.is_valid(row) => drop(write!(scratch, "{}", a.value(row))),
            Self::Time(a) if a.is_valid(row) => time::write_rfc3339(scratch, a.value(row)),
            Self::Severity(a) if a.is_valid(row) => return logs::severity_name(a.value(row)),
            Self::Hex(a) if a.is_valid(row) => {
                for byte in a.value(row) {
                    let _ = write!(scratch, "{byte:02x}");
                }
            }
            _ => {}
        }
        scratch
    }

    /// The rows whose bit is set, in order.
    ///
    /// # Errors
    /// When the lengths differ.
    pub fn filter(&self, selection: &BooleanBuffer) -> Result<Self> {
        if let Self::Const { value, .. } = self {
            return Ok(Self::Const { value: value.clone(), len: selection.count_set_bits() });
        }
        let predicate = arrow_array::BooleanArray::new(selection.clone(), None);
        self.map(|array| Ok(arrow_select::filter::filter(array, &predicate)?))
    }

    /// The rows with these indexes, in this order.
    ///
    /// # Errors
    /// When an index is not below [`Self::len`].
    pub fn take(&self, indexes: &UInt32Array) -> Result<Self> {
        if let Self::Const { value, .. } = self {
            return Ok(Self::Const { value: value.clone(), len: indexes.len() });
        }
        self.map(|array| Ok(arrow_select::take::take(array, indexes, None)?))
    }

    /// `len` rows from `offset`, without a copy.
    ///
    /// # Errors
    /// Never in practice; the form is shared with the others.
    pub fn slice(&self, offset: usize, len: usize) -> Result<Self> {
        if let Self::Const { value, .. } = self {
            return Ok(Self::Const { value: value.clone(), len });
        }
        self.map(|array| Ok(array.slice(offset, len)))
    }

    fn map(&self, op: impl FnOnce(&dyn Array) -> Result<arrow_array::ArrayRef>) -> Result<Self> {
        use arrow_array::cast::AsArray;
        use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt8Type, UInt64Type};
        Ok(match self {
            Self::Const { .. } => self.clone(),
            Self::Text(a) => Self::Text(op(a)?.as_string().clone()),
            Self::Dict(a) => Self::Dict(op(a)?.as_dictionary().clone()),
            Self::Int(a) => Self::Int(op(a)?.as_primitive::<Int64Type>().clone()),
            Self::UInt(a) => Self::UInt(op(a)?.as_primitive::<UInt64Type>().clone()),
            Self::Time(a) => Self::Time(op(a)?.as_primitive::<TimestampNanosecondType>().clone()),
            Self::Severity(a) => Self::Severity(op(a)?.as_primitive::<UInt8Type>().clone()),
            Self::Hex(a) => Self::Hex(op(a)?.as_fixed_size_binary().clone()),
        })
    }
}

/// The entries of a dictionary column.
pub fn dictionary_values(column: &DictionaryArray<UInt32Type>) -> &StringArray {
    use arrow_array::cast::AsArray;
    column.values().as_string()
}

impl Rows {
    /// The column of a field.
    pub fn column(&self, field: &str) -> Option<&Column> {
        self.columns.iter().find(|(name, _)| name.as_ref() == field).map(|(_, column)| column)
    }

    /// The rows whose bit is set, in order.
    ///
    /// # Errors
    /// When the lengths differ.
    pub fn filter(&self, selection: &BooleanBuffer) -> Result<Self> {
        let len = selection.count_set_bits();
        self.map(len, |column| column.filter(selection))
    }

    /// The rows with these indexes, in this order.
    ///
    /// # Errors
    /// When an index is not below the length.
    pub fn take(&self, indexes: &UInt32Array) -> Result<Self> {
        self.map(indexes.len(), |column| column.take(indexes))
    }

    /// `len` rows from `offset`.
    ///
    /// # Errors
    /// Never in practice; the form is shared with the others.
    pub fn slice(&self, offset: usize, len: usize) -> Result<Self> {
        self.map(len, |column| column.slice(offset, len))
    }

    fn map(&self, len: usize, op: impl Fn(&Column) -> Result<Column>) -> Result<Self> {
        let columns = self.columns.iter().map(|(name, column)| Ok((name.clone(), op(column)?)));
        Ok(Self { len, columns: columns.collect::<Result<_>>()? })
    }
}
