//! The memory table: what was appended and is not in a part yet, as the Arrow batches that came.
//!
//! Batches are never changed, so a query that has them keeps reading them while they are written as parts and after.

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, DictionaryArray, FixedSizeBinaryArray, MapArray, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt8Array, UInt16Array, UInt64Array,
};
use rookery_core::batch::held_bytes;
use rookery_core::logs::{self, RESOURCE_COLUMNS};
use rookery_core::{Error, Result, TimeRange};

use crate::part::body::cut::Record;

/// A batch with its columns at hand.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBatch {
    pub(crate) rows: usize,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) bytes: usize,
    pub(crate) time: TimestampNanosecondArray,
    pub(crate) observed: TimestampNanosecondArray,
    pub(crate) stream: FixedSizeBinaryArray,
    pub(crate) generation: UInt64Array,
    pub(crate) offset: UInt64Array,
    pub(crate) severity: UInt8Array,
    pub(crate) body: StringArray,
    pub(crate) resource: Vec<DictionaryArray<UInt32Type>>,
    pub(crate) labels: Pairs,
    pub(crate) fields: Pairs,
    pub(crate) trace_id: StringArray,
    pub(crate) span_id: StringArray,
}

/// A map column: names as keys into a dictionary, and texts.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    map: MapArray,
    pub(crate) keys: UInt16Array,
    pub(crate) names: StringArray,
    pub(crate) values: StringArray,
}

impl Pairs {
    fn new(map: &MapArray) -> Result<Self> {
        let keys: Option<&DictionaryArray<UInt16Type>> = map.keys().as_dictionary_opt();
        let names = keys.and_then(|k| k.values().as_string_opt::<i32>());
        let values = map.values().as_string_opt::<i32>();
        let (Some(keys), Some(names), Some(values)) = (keys, names, values) else {
            return Err(Error::invalid("a map column of a batch does not hold texts"));
        };
        let (names, values) = (names.clone(), values.clone());
        Ok(Self { map: map.clone(), keys: keys.keys().clone(), names, values })
    }

    /// The entries of a row.
    pub(crate) fn entries(&self, row: usize) -> std::ops::Range<usize> {
        let offsets = self.map.value_offsets();
        offsets[row] as usize..offsets[row + 1] as usize
    }

    /// The number of a name in the dictionary.
    pub(crate) fn key(&self, name: &str) -> Option<u16> {
        (0..self.names.len()).find(|&i| self.names.value(i) == name).map(|i| i as u16)
    }

    /// The first value of a key in a row.
    pub(crate) fn value(&self, row: usize, key: u16) -> Option<&str> {
        let keys = self.keys.values();
        self.entries(row).find(|&e| keys[e] == key).map(|e| self.values.value(e))
    }

    /// The name and value of an entry.
    pub(crate) fn entry(&self, entry: usize) -> (&str, &str) {
        (self.names.value(self.keys.value(entry).into()), self.values.value(entry))
    }
}

impl MemoryBatch {
    /// A batch in the schema of [`logs::schema`].
    ///
    /// # Errors
    /// `invalid` when it is in another one.
    pub(crate) fn new(records: &RecordBatch) -> Result<Self> {
        if records.schema() != logs::schema() {
            return Err(Error::invalid("a batch is not in the schema of logs"));
        }
        let column = |name| records.column_by_name(name).expect("the schema was compared");
        let time = column("time").as_primitive::<TimestampNanosecondType>().clone();
        let (min, max) = (time.values().iter().min().copied(), time.values().iter().max().copied());
        let resource = RESOURCE_COLUMNS.iter().map(|name| column(name).as_dictionary().clone());
        Ok(Self {
            rows: records.num_rows(),
            min_time: min.unwrap_or(0),
            max_time: max.unwrap_or(0),
            bytes: held_bytes(records),
            observed: column("observed").as_primitive::<TimestampNanosecondType>().clone(),
            stream: column("stream").as_fixed_size_binary().clone(),
            generation: column("generation").as_primitive::<UInt64Type>().clone(),
            offset: column("offset").as_primitive::<UInt64Type>().clone(),
            severity: column("severity").as_primitive::<UInt8Type>().clone(),
            body: column("body").as_string::<i32>().clone(),
            resource: resource.collect(),
            labels: Pairs::new(column("labels").as_map())?,
            fields: Pairs::new(column("fields").as_map())?,
            trace_id: column("trace_id").as_string::<i32>().clone(),
            span_id: column("span_id").as_string::<i32>().clone(),
            time,
        })
    }

    /// Whether a record in the span can be inside.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.rows > 0 && range.overlaps(self.min_time, self.max_time)
    }

    /// What the body of a row is cut by; `fields` are the columns and values of its own fields.
    pub(crate) fn record<'a>(&'a self, row: usize, fields: &'a [(usize, &'a str)]) -> Record<'a> {
        let id = |ids: &'a StringArray| ids.is_valid(row).then(|| ids.value(row));
        Record {
            time: self.time.value(row),
            trace_id: id(&self.trace_id),
            span_id: id(&self.span_id),
            fields,
        }
    }

    /// The text of a resource column in a row.
    pub(crate) fn resource_text(&self, column: usize, row: usize) -> &str {
        let column = &self.resource[column];
        column.key(row).map_or("", |key| column.values().as_string::<i32>().value(key))
    }

    /// Whether a row has the resource of the row before it.
    pub(crate) fn same_resource_as_before(&self, row: usize) -> bool {
        let before = row - 1;
        self.resource.iter().all(|c| c.keys().value(row) == c.keys().value(before))
            && self.same_labels(row, before)
    }

    fn same_labels(&self, row: usize, before: usize) -> bool {
        let (ours, theirs) = (self.labels.entries(row), self.labels.entries(before));
        let keys = self.labels.keys.values();
        let values = &self.labels.values;
        ours.len() == theirs.len()
            && ours
                .zip(theirs)
                .all(|(a, b)| keys[a] == keys[b] && values.value(a) == values.value(b))
    }
}
