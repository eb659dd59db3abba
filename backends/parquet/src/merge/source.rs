//! A part that is read from its start to its end into another.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt8Type, UInt64Type};
use arrow_array::{Array, MapArray, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use rookery_core::{Error, Result};

use crate::part::GRANULE_ROWS;
use crate::part::body::cut::{Record, place_of};
use crate::part::granule::{GranuleBuilder, REST};
use crate::part::index::{PartResource, Run};
use crate::part::plan::FieldKind;
use crate::part::read::{Bodies, OpenPart};
use crate::part::stamp;
use crate::part::words::WordSet;
use crate::part::write::PartWriter;

/// How many rows of each part are in memory at a time.
const BATCH_ROWS: usize = GRANULE_ROWS / 2;

/// The columns that are read whatever fields there are, besides those of the body.
const FIXED: [&str; 6] = ["time", "observed", "offset", "severity", "trace_id", "span_id"];

/// Where a field goes.
#[derive(Debug, Clone)]
struct Target {
    /// Its column in the batches that are read.
    column: usize,
    name: Arc<str>,
    kind: FieldKind,
    /// Its column in the new part; none for the rest.
    into: Option<usize>,
}

/// A part that is read from its start to its end.
pub(super) struct Source {
    part: Arc<OpenPart>,
    bodies: Bodies,
    resources: Vec<Arc<PartResource>>,
    reader: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    /// The bytes of text before each row of the batch, and of all at the end.
    sizes: Vec<i32>,
    /// The next row of the batch.
    at: usize,
    fields: Vec<Target>,
    rest: usize,
}

impl Source {
    /// Starts to read a part that goes into the one of `writer`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn new(part: &Arc<OpenPart>, writer: &PartWriter) -> Result<Self> {
        let columns = &part.index.columns;
        let bodies = part.bodies()?;
        let names: Vec<String> = FIXED
            .iter()
            .map(|name| (*name).to_owned())
            .chain(bodies.columns())
            .chain(columns.iter().map(crate::part::plan::FieldColumn::column_name))
            .chain([REST.to_owned()])
            .collect();
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let reader = part.read_through(&wanted, BATCH_ROWS)?;
        let schema = arrow_array::RecordBatchReader::schema(&reader);
        let fields = columns.iter().map(|column| {
            let name = column.name.clone();
            let into = writer.column(&name);
            let column_index = schema.index_of(&column.column_name())?;
            Ok(Target { column: column_index, name, kind: column.kind, into })
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            resources: part.index.resources.iter().cloned().map(Arc::new).collect(),
            rest: schema.index_of(REST)?,
            part: part.clone(),
            bodies,
            reader,
            batch: None,
            sizes: Vec::new(),
            at: 0,
            fields,
        })
    }

    /// Copies the next run, which must be this one.
    ///
    /// # Errors
    /// When the part cannot be read or the other written, and those of `pause`.
    pub(super) fn copy_run(
        &mut self,
        run: usize,
        writer: &mut PartWriter,
        pause: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let run = self.part.index.runs[run];
        let resource = writer.resource(&self.resources[run.resource as usize]);
        let mut left = run.rows as usize;
        while left > 0 {
            let batch = self.batch(pause)?;
            let most = left.min(batch.num_rows() - self.at);
            let rows = writer.room(&self.sizes[self.at..=self.at + most]);
            let bytes = self.sizes[self.at + rows] - self.sizes[self.at];
            let slice = batch.slice(self.at, rows);
            let (granule, words) = writer.rows();
            granule.body.count_bytes(bytes as usize);
            self.copy_rows(&slice, granule, words)?;
            let offsets = column(&slice, "offset")?.as_primitive::<UInt64Type>().values();
            writer.end_run(Run {
                resource,
                generation: run.generation,
                rows: rows as u64,
                first_offset: offsets[0],
                last_offset: offsets[rows - 1],
            })?;
            self.at += rows;
            left -= rows;
        }
        Ok(())
    }

    /// The batch that holds the next row.
    fn batch(&mut self, pause: &dyn Fn() -> Result<()>) -> Result<RecordBatch> {
        if let Some(batch) = &self.batch
            && self.at < batch.num_rows()
        {
            return Ok(batch.clone());
        }
        pause()?;
        let path = self.part.part.data_path();
        let broken = || Error::corrupt(format!("the part {} cannot be read", path.display()));
        let batch = self.reader.next().ok_or_else(broken)?.map_err(|e| broken().because(e))?;
        if batch.num_rows() == 0 {
            return Err(broken());
        }
        self.at = 0;
        self.sizes = sizes(&batch);
        self.batch = Some(batch.clone());
        Ok(batch)
    }

    fn copy_rows(
        &self,
        rows: &RecordBatch,
        granule: &mut GranuleBuilder,
        words: &mut WordSet,
    ) -> Result<()> {
        let first = granule.rows();
        match self.bodies.version {
            1 => self.cut_bodies(rows, granule, words)?,
            _ => granule.body.copy(rows, &self.part.rebuilder, words)?,
        }
        for field in &self.fields {
            let array = rows.column(field.column);
            let Some(into) = field.into else { continue };
            if array.null_count() == array.len() {
                continue;
            }
            match field.kind {
                FieldKind::Int => {
                    let numbers = array.as_primitive::<Int64Type>();
                    granule.put_ints(into, first, numbers);
                    if granule.is_text(into) {
                        numbers.iter().flatten().for_each(|n| words.add(&n.to_string()));
                    }
                }
                FieldKind::Dictionary | FieldKind::Text | FieldKind::Time => {
                    let texts = plain(array)?;
                    texts.iter().flatten().for_each(|text| words.add_value(text));
                    granule.put_texts(into, first, &texts);
                }
            }
        }
        self.copy_rest(rows, first, granule, words)?;
        for name in ["trace_id", "span_id"] {
            let ids = column(rows, name)?.as_string::<i32>();
            ids.iter().flatten().for_each(|id| words.add(id));
            let target =
                if name == "trace_id" { &mut granule.trace_id } else { &mut granule.span_id };
            target.append_array(ids)?;
        }
        let time =
            |name| Ok::<_, Error>(column(rows, name)?.as_primitive::<TimestampNanosecondType>());
        granule.observed.extend_from_slice(time("observed")?.values());
        granule
            .offset
            .extend_from_slice(column(rows, "offset")?.as_primitive::<UInt64Type>().values());
        granule
            .severity
            .extend_from_slice(column(rows, "severity")?.as_primitive::<UInt8Type>().values());
        granule.time.extend_from_slice(time("time")?.values());
        Ok(())
    }

    /// Bodies that are stored whole in this part, and are not in the other.
    fn cut_bodies(
        &self,
        rows: &RecordBatch,
        granule: &mut GranuleBuilder,
        words: &mut WordSet,
    ) -> Result<()> {
        let bodies = self.part.rebuilder.rebuild(rows)?;
        let with_column = self.fields.iter().filter_map(|field| Some((field.into?, field)));
        let values: Vec<(usize, Losing)> = with_column
            .map(|(into, field)| Ok((into, Losing::new(rows.column(field.column))?)))
            .collect::<Result<_>>()?;
        let ids = |name| Ok::<_, Error>(column(rows, name)?.as_string::<i32>());
        let (trace_ids, span_ids) = (ids("trace_id")?, ids("span_id")?);
        let times = column(rows, "time")?.as_primitive::<TimestampNanosecondType>();
        for row in 0..rows.num_rows() {
            let body = bodies.value(row);
            let found = values.iter().filter_map(|(into, values)| {
                let text = values.text(row)?;
                // In which order the fields were parsed is not known any more.
                let place = place_of(body, &text)?;
                Some((place, *into, text))
            });
            let mut found: Vec<(usize, usize, String)> = found.collect();
            found.sort_unstable_by_key(|(place, ..)| *place);
            let fields: Vec<(usize, &str)> =
                found.iter().map(|(_, into, text)| (*into, text.as_str())).collect();
            let id = |ids: &'_ StringArray| ids.is_valid(row).then(|| ids.value(row).to_owned());
            let (trace_id, span_id) = (id(trace_ids), id(span_ids));
            let record = Record {
                time: times.value(row),
                trace_id: trace_id.as_deref(),
                span_id: span_id.as_deref(),
                fields: &fields,
            };
            granule.body.push(body, &record, words);
        }
        Ok(())
    }

    /// Fields that have no column in one of the parts.
    fn copy_rest(
        &self,
        rows: &RecordBatch,
        first: usize,
        granule: &mut GranuleBuilder,
        words: &mut WordSet,
    ) -> Result<()> {
        let map: &MapArray = rows.column(self.rest).as_map();
        let (names, values) = (map.keys().as_string::<i32>(), map.values().as_string::<i32>());
        let offsets = map.value_offsets();
        let losing: Vec<(&Target, Losing)> = self
            .fields
            .iter()
            .filter(|field| field.into.is_none())
            .map(|field| Ok((field, Losing::new(rows.column(field.column))?)))
            .collect::<Result<_>>()?;
        for row in 0..rows.num_rows() {
            for (field, values) in &losing {
                if let Some(value) = values.text(row) {
                    words.add_value(&value);
                    granule.put_rest(&field.name, &value);
                }
            }
            for entry in offsets[row] as usize..offsets[row + 1] as usize {
                let (name, value) = (names.value(entry), values.value(entry));
                words.add_value(value);
                match granule.column(name) {
                    Some(column) => drop(granule.put(column, first + row, value)),
                    None => granule.put_rest(name, value),
                }
            }
            granule.end_rest()?;
        }
        Ok(())
    }
}

/// The bytes of the texts before each row, and of all at the end; as far as they are stored once a row.
fn sizes(batch: &RecordBatch) -> Vec<i32> {
    let mut sizes = vec![0i32; batch.num_rows() + 1];
    for texts in batch.columns().iter().filter_map(|array| array.as_string_opt::<i32>()) {
        let offsets = texts.value_offsets();
        for (size, offset) in sizes.iter_mut().zip(offsets) {
            *size = size.saturating_add(offset - offsets[0]);
        }
    }
    sizes
}

/// A field that loses its column.
enum Losing {
    Int(arrow_array::Int64Array),
    Text(StringArray),
}

impl Losing {
    fn new(array: &arrow_array::ArrayRef) -> Result<Self> {
        match array.as_primitive_opt::<Int64Type>() {
            Some(numbers) => Ok(Self::Int(numbers.clone())),
            None => plain(array).map(Self::Text),
        }
    }

    fn text(&self, row: usize) -> Option<String> {
        match self {
            Self::Int(numbers) => numbers.is_valid(row).then(|| numbers.value(row).to_string()),
            Self::Text(texts) => texts.is_valid(row).then(|| texts.value(row).to_owned()),
        }
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow_array::ArrayRef> {
    let missing = || Error::corrupt(format!("a part has no column {name}"));
    batch.column_by_name(name).ok_or_else(missing)
}

/// Texts without a dictionary.
fn plain(array: &arrow_array::ArrayRef) -> Result<StringArray> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Ok(texts.clone());
    }
    if let Some(texts) = stamp::texts(array) {
        return Ok(texts);
    }
    let unknown = || Error::corrupt("a field of a part is neither a text nor a number");
    let dictionary = array.as_any_dictionary_opt().ok_or_else(unknown)?;
    let texts = arrow_select::take::take(dictionary.values(), dictionary.keys(), None)?;
    Ok(texts.as_string_opt::<i32>().ok_or_else(unknown)?.clone())
}
