//! Builds a batch of logs record by record, without an allocation for any of them.
//!
//! Values are appended to growing buffers; what a whole stream shares is stored once and named by a number, and the
//! dictionary columns are gathered from those numbers when the batch is finished.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::types::{UInt16Type, UInt32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, MapArray, RecordBatch, StringArray, StructArray,
    TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use hashbrown::{HashMap, HashTable};

use super::{RESOURCE_COLUMNS, Resource, map_type, schema};
use crate::{Error, Position, Result, StreamId};

/// The most names of fields that one batch may hold; the key type of the map.
pub const FIELD_NAMES_LIMIT: usize = u16::MAX as usize;

/// Texts in one buffer, with the offset at which each ends.
#[derive(Debug)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: Vec::new(), ends: vec![0] }
    }
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.end();
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len() as i32);
    }

    fn finish(self, nulls: Option<NullBuffer>) -> Result<StringArray> {
        if i32::try_from(self.bytes.len()).is_err() {
            return Err(Error::too_large("a batch column passed 2 GiB: flush batches earlier"));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Ok(StringArray::try_new(offsets, Buffer::from_vec(self.bytes), nulls)?)
    }
}

/// Distinct texts, numbered in the order of their first use.
#[derive(Debug, Default)]
struct Names {
    texts: Texts,
    table: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
}

impl Names {
    fn get(&self, index: u32) -> &[u8] {
        let (start, end) = (self.texts.ends[index as usize], self.texts.ends[index as usize + 1]);
        &self.texts.bytes[start as usize..end as usize]
    }

    fn len(&self) -> usize {
        self.table.len()
    }

    /// The number of a text; `None` when it is a new one and there are `limit` already.
    fn intern(&mut self, name: &str, limit: usize) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        if let Some(&found) = self.table.find(hash, |&i| self.get(i) == name.as_bytes()) {
            return Some(found);
        }
        if self.table.len() >= limit {
            return None;
        }
        let index = self.table.len() as u32;
        self.texts.push(name);
        let Self { texts, table, hasher } = self;
        table.insert_unique(hash, index, |&i| {
            let (start, end) = (texts.ends[i as usize], texts.ends[i as usize + 1]);
            // The names were texts when they came in, and are hashed as texts.
            hasher.hash_one(
                std::str::from_utf8(&texts.bytes[start as usize..end as usize]).unwrap_or(""),
            )
        });
        Some(index)
    }
}

/// A map column under construction.
#[derive(Debug)]
struct Maps {
    names: Names,
    /// The name that came after each name the last time; the first entry is for the start of a map. A program prints
    /// its names in one order, so that most need no hash.
    follows: Vec<u32>,
    /// The entry of the last name.
    last: usize,
    keys: Vec<u16>,
    values: Texts,
    ends: Vec<i32>,
}

impl Default for Maps {
    fn default() -> Self {
        Self {
            names: Names::default(),
            follows: vec![0],
            last: 0,
            keys: Vec::new(),
            values: Texts::default(),
            ends: vec![0],
        }
    }
}

impl Maps {
    fn put(&mut self, name: &str, value: &str) -> bool {
        let guess = self.follows[self.last];
        let key = if (guess as usize) < self.names.len() && self.names.get(guess) == name.as_bytes()
        {
            guess
        } else {
            let Some(key) = self.names.intern(name, FIELD_NAMES_LIMIT) else { return false };
            self.follows.resize(self.names.len() + 1, 0);
            self.follows[self.last] = key;
            key
        };
        self.last = key as usize + 1;
        self.keys.push(key as u16);
        self.values.push(value);
        true
    }

    fn end(&mut self) {
        self.ends.push(self.keys.len() as i32);
        self.last = 0;
    }

    fn finish(self) -> Result<ArrayRef> {
        let DataType::Map(entry, _) = map_type() else {
            return Err(Error::internal("the type of fields is not a map"));
        };
        let DataType::Struct(parts) = entry.data_type().clone() else {
            return Err(Error::internal("the entries of fields are not a struct"));
        };
        let names = self.names.texts.finish(None)?;
        let keys =
            DictionaryArray::<UInt16Type>::try_new(UInt16Array::from(self.keys), Arc::new(names))?;
        let values = self.values.finish(None)?;
        let entries = StructArray::try_new(parts, vec![Arc::new(keys), Arc::new(values)], None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Ok(Arc::new(MapArray::try_new(entry, offsets, entries, None, false)?))
    }
}

/// What one record is, but for its body and fields.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// What [`LogBatchBuilder::resource`] returned for the record's stream.
    pub resource: u32,
    /// The record's stream.
    pub stream: StreamId,
    /// Where the record starts.
    pub position: Position,
    /// When it was printed, in nanoseconds since the epoch.
    pub time: i64,
    /// When it was read, in nanoseconds since the epoch.
    pub observed: i64,
    /// OpenTelemetry severity number.
    pub severity: u8,
    /// The trace's id in hex, if there is one.
    pub trace_id: Option<&'a str>,
    /// The span's id in hex, if there is one.
    pub span_id: Option<&'a str>,
}

/// A batch of logs under construction. See the module's documentation.
///
/// A record is: [`field`](Self::field) and [`push_body`](Self::push_body) as often as wanted, then
/// [`finish_record`](Self::finish_record); or those, then [`cancel_record`](Self::cancel_record).
#[derive(Default)]
pub struct LogBatchBuilder {
    resources: Vec<Arc<Resource>>,
    by_address: HashMap<usize, u32>,
    resource: Vec<u32>,
    time: Vec<i64>,
    observed: Vec<i64>,
    stream: Vec<StreamId>,
    generation: Vec<u64>,
    offset: Vec<u64>,
    severity: Vec<u8>,
    body: Texts,
    fields: Maps,
    trace_id: Texts,
    span_id: Texts,
    trace_valid: Vec<bool>,
    span_valid: Vec<bool>,
    dropped_fields: u64,
}

impl LogBatchBuilder {
    /// Names what a stream shares; the same `Arc` gives the same number. The number holds until [`finish`](Self::finish).
    pub fn resource(&mut self, resource: &Arc<Resource>) -> u32 {
        let address = Arc::as_ptr(resource) as usize;
        if let Some(&index) = self.by_address.get(&address) {
            return index;
        }
        let index = self.resources.len() as u32;
        self.resources.push(resource.clone());
        self.by_address.insert(address, index);
        index
    }

    /// Appends to the body of the record under construction.
    pub fn push_body(&mut self, text: &str) {
        self.body.bytes.extend_from_slice(text.as_bytes());
    }

    /// The body of the record under construction, as far as it was appended.
    pub fn body(&self) -> &str {
        let start = self.body.ends.last().copied().unwrap_or(0) as usize;
        std::str::from_utf8(&self.body.bytes[start..]).unwrap_or("")
    }

    /// Adds a field to the record under construction. A name given twice keeps the first value that a reader finds.
    /// Beyond [`FIELD_NAMES_LIMIT`] names in a batch a field is dropped and counted; the body still has it.
    pub fn field(&mut self, name: &str, value: &str) {
        if !self.fields.put(name, value) {
            self.dropped_fields += 1;
        }
    }

    /// Ends the record.
    pub fn finish_record(&mut self, head: Head<'_>) {
        self.resource.push(head.resource);
        self.time.push(head.time);
        self.observed.push(head.observed);
        self.stream.push(head.stream);
        self.generation.push(head.position.generation);
        self.offset.push(head.position.offset);
        self.severity.push(head.severity);
        self.body.end();
        self.fields.end();
        self.trace_valid.push(head.trace_id.is_some());
        self.trace_id.push(head.trace_id.unwrap_or(""));
        self.span_valid.push(head.span_id.is_some());
        self.span_id.push(head.span_id.unwrap_or(""));
    }

    /// Forgets what was appended since the last finished record.
    pub fn cancel_record(&mut self) {
        self.body.bytes.truncate(self.body.ends.last().copied().unwrap_or(0) as usize);
        let kept = self.fields.ends.last().copied().unwrap_or(0) as usize;
        self.fields.last = 0;
        self.fields.keys.truncate(kept);
        self.fields.values.ends.truncate(kept + 1);
        self.fields.values.bytes.truncate(self.fields.values.ends[kept] as usize);
    }

    /// How many records are finished.
    pub fn len(&self) -> usize {
        self.resource.len()
    }

    /// Where a finished record starts.
    ///
    /// # Panics
    /// When there is no such record.
    pub fn position(&self, row: usize) -> Position {
        Position { generation: self.generation[row], offset: self.offset[row] }
    }

    /// Whether no record is finished.
    pub fn is_empty(&self) -> bool {
        self.resource.is_empty()
    }

    /// About how many bytes the batch takes in memory.
    pub fn size_bytes(&self) -> usize {
        self.body.bytes.len()
            + self.fields.values.bytes.len()
            + self.fields.names.texts.bytes.len()
            + 6 * self.fields.keys.len()
            + 80 * self.len()
    }

    /// How many fields were dropped because of [`FIELD_NAMES_LIMIT`].
    pub fn dropped_fields(&self) -> u64 {
        self.dropped_fields
    }

    /// The batch, in the schema of [`schema`], and a new start.
    ///
    /// # Errors
    /// `too_large` when a column passed 2 GiB.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let this = std::mem::take(self);
        let rows = this.len();
        let mut stream = FixedSizeBinaryBuilder::with_capacity(rows, 16);
        for id in &this.stream {
            stream.append_value(id.0)?;
        }
        let time = |values: Vec<i64>| -> ArrayRef {
            Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC"))
        };
        let mut columns: Vec<ArrayRef> = vec![
            time(this.time),
            time(this.observed),
            Arc::new(stream.finish()),
            Arc::new(UInt64Array::from(this.generation)),
            Arc::new(UInt64Array::from(this.offset)),
            Arc::new(UInt8Array::from(this.severity)),
            Arc::new(this.body.finish(None)?),
        ];
        columns.extend(resource_columns(&this.resources, &this.resource)?);
        columns.push(label_column(&this.resources, &this.resource)?);
        columns.push(this.fields.finish()?);
        columns.push(Arc::new(this.trace_id.finish(Some(NullBuffer::from(this.trace_valid)))?));
        columns.push(Arc::new(this.span_id.finish(Some(NullBuffer::from(this.span_valid)))?));
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

fn resource_columns(resources: &[Arc<Resource>], rows: &[u32]) -> Result<Vec<ArrayRef>> {
    let tags: Vec<String> = resources.iter().map(|r| r.stream_tags()).collect();
    let texts: Vec<[&str; 11]> = resources.iter().map(|r| r.columns()).collect();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(RESOURCE_COLUMNS.len());
    for column in 0..RESOURCE_COLUMNS.len() {
        let mut names = Names::default();
        let keys: Vec<u32> = (0..resources.len())
            .filter_map(|r| {
                names.intern(texts[r].get(column).copied().unwrap_or(&tags[r]), usize::MAX)
            })
            .collect();
        debug_assert!(names.len() <= resources.len());
        let keys: UInt32Array = rows.iter().map(|&r| keys[r as usize]).collect::<Vec<_>>().into();
        let values = Arc::new(names.texts.finish(None)?);
        columns.push(Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, values)?));
    }
    Ok(columns)
}

fn label_column(resources: &[Arc<Resource>], rows: &[u32]) -> Result<ArrayRef> {
    let mut maps = Maps::default();
    for &row in rows {
        for (name, value) in &resources[row as usize].labels {
            maps.put(name, value);
        }
        maps.end();
    }
    maps.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    fn head(resource: u32, offset: u64) -> Head<'static> {
        let position = Position { generation: 1, offset };
        let stream = StreamId([7; 16]);
        Head {
            resource,
            stream,
            position,
            time: 5,
            observed: 6,
            severity: 9,
            trace_id: None,
            span_id: None,
        }
    }

    #[test]
    fn names_beyond_the_limit_are_dropped_and_counted() {
        let mut builder = LogBatchBuilder::default();
        let resource = builder.resource(&Arc::new(Resource::default()));
        for number in 0..FIELD_NAMES_LIMIT + 2 {
            builder.field(&number.to_string(), "x");
        }
        builder.field("5", "again");
        builder.finish_record(head(resource, 0));
        assert_eq!(builder.dropped_fields(), 2);
        let batch = builder.finish().unwrap();
        let fields = batch.column_by_name("fields").unwrap().as_map();
        assert_eq!(fields.value_length(0) as usize, FIELD_NAMES_LIMIT + 1);
        let keys = fields.keys().as_dictionary::<UInt16Type>();
        assert_eq!(keys.values().len(), FIELD_NAMES_LIMIT);
        let values = fields.values().as_string::<i32>();
        assert_eq!(
            (keys.key(FIELD_NAMES_LIMIT), values.value(FIELD_NAMES_LIMIT)),
            (Some(5), "again")
        );
    }

    #[test]
    fn records_come_back_in_columns_and_a_cancelled_one_leaves_nothing() {
        let pod = |name: &str| Arc::new(Resource { pod: name.into(), ..Resource::default() });
        let (a, b) = (pod("a"), pod("b"));
        let mut builder = LogBatchBuilder::default();
        for (offset, resource) in [(0, &a), (10, &b), (20, &a)] {
            let resource = builder.resource(resource);
            builder.push_body("gone");
            builder.field("x", "gone");
            builder.cancel_record();
            builder.push_body("hel");
            builder.push_body("lo");
            builder.field("status", "200");
            builder.finish_record(head(resource, offset));
        }
        let batch = builder.finish().unwrap();
        assert!(builder.is_empty());
        assert_eq!(batch.column_by_name("body").unwrap().as_string::<i32>().value(2), "hello");
        let pods = batch.column_by_name("pod").unwrap().as_dictionary::<UInt32Type>();
        assert_eq!(pods.keys().values().to_vec(), [0, 1, 0]);
        let fields = batch.column_by_name("fields").unwrap().as_map();
        assert_eq!(fields.value_length(1), 1);
        assert_eq!(fields.values().as_string::<i32>().value(1), "200");
        assert_eq!(batch.column_by_name("trace_id").unwrap().null_count(), 3);
    }
}
