//! The rows of one granule under construction, as the columns of a part.

use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int64Builder, MapBuilder, MapFieldNames, StringBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt8Array,
    UInt32Array, UInt64Array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use rookery_core::Result;
use rookery_core::logs::{self, RESOURCE_COLUMNS};

use super::body::{self, BodyPlan, columns::BodyBuilder};
use super::index::{PartResource, Run};
use super::plan::{FieldColumn, FieldKind};
use super::stamp;

/// The Parquet column that holds the fields of all names without a column of their own.
pub(crate) const REST: &str = "fields";
/// The column of the resources' labels.
pub(crate) const LABELS: &str = "labels";

/// Fixed columns before those of the body and of the resource, in order.
pub(crate) const FIXED: [&str; 6] =
    ["time", "observed", "stream", "generation", "offset", "severity"];

fn resource_type() -> DataType {
    body::dictionary_type()
}

/// The type of [`REST`].
pub(crate) fn rest_type() -> DataType {
    let entries = DataType::Struct(
        vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]
            .into(),
    );
    DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
}

/// The schema of a part with these columns, as it is written.
pub(crate) fn schema(fields: &[FieldColumn], plan: BodyPlan) -> SchemaRef {
    let batch = logs::schema();
    let mut columns: Vec<Field> = Vec::with_capacity(fields.len() + 24);
    for name in FIXED {
        columns
            .push(batch.field_with_name(name).expect("a fixed column is one of a batch").clone());
    }
    columns.extend(body::fields(plan));
    for name in RESOURCE_COLUMNS.iter().chain(&[LABELS]) {
        columns.push(Field::new(*name, resource_type(), true));
    }
    columns.push(Field::new("trace_id", DataType::Utf8, true));
    columns.push(Field::new("span_id", DataType::Utf8, true));
    columns.extend(fields.iter().map(FieldColumn::field));
    columns.push(Field::new(REST, rest_type(), false));
    Arc::new(Schema::new(columns))
}

/// One own field's values.
#[derive(Debug)]
enum Values {
    Int(Int64Builder),
    /// Milliseconds.
    Time(Int64Builder),
    Text(StringBuilder),
}

impl Values {
    fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder as _;
        match self {
            Self::Int(builder) | Self::Time(builder) => builder.len(),
            Self::Text(builder) => builder.len(),
        }
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows - self.len();
        match self {
            _ if missing == 0 => {}
            Self::Int(builder) | Self::Time(builder) => builder.append_nulls(missing),
            Self::Text(builder) => builder.append_nulls(missing),
        }
    }
}

/// The rows of one granule under construction.
#[derive(Debug)]
pub(crate) struct GranuleBuilder {
    schema: SchemaRef,
    pub(crate) time: Vec<i64>,
    pub(crate) observed: Vec<i64>,
    pub(crate) offset: Vec<u64>,
    pub(crate) severity: Vec<u8>,
    pub(crate) body: BodyBuilder,
    pub(crate) trace_id: StringBuilder,
    pub(crate) span_id: StringBuilder,
    fields: Vec<Values>,
    /// Of the fields, in the same order, which is that of names.
    names: Vec<Arc<str>>,
    rest: MapBuilder<StringBuilder, StringBuilder>,
    print: Vec<u8>,
    runs: Vec<Run>,
}

/// A finished granule: its rows, and what its index entry needs of them.
pub(crate) struct SealedGranule {
    pub(crate) batch: RecordBatch,
    pub(crate) runs: Vec<Run>,
    /// The index of the first field column in the batch.
    pub(crate) first_field: usize,
}

fn rest_builder() -> MapBuilder<StringBuilder, StringBuilder> {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
}

impl GranuleBuilder {
    pub(crate) fn new(fields: &[FieldColumn], plan: BodyPlan) -> Self {
        let values = |column: &FieldColumn| match column.kind {
            FieldKind::Int => Values::Int(Int64Builder::new()),
            FieldKind::Time => Values::Time(Int64Builder::new()),
            FieldKind::Dictionary | FieldKind::Text => Values::Text(StringBuilder::new()),
        };
        let is_text = |column: &FieldColumn| column.kind != FieldKind::Int;
        let names = fields.iter().map(|column| (column.name.as_ref(), is_text(column)));
        Self {
            schema: schema(fields, plan),
            time: Vec::new(),
            observed: Vec::new(),
            offset: Vec::new(),
            severity: Vec::new(),
            body: BodyBuilder::new(names, plan),
            trace_id: StringBuilder::new(),
            span_id: StringBuilder::new(),
            fields: fields.iter().map(values).collect(),
            names: fields.iter().map(|column| column.name.clone()).collect(),
            rest: rest_builder(),
            print: Vec::new(),
            runs: Vec::new(),
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many rows have a time; the other columns of the row being added may be behind.
    pub(crate) fn rows(&self) -> usize {
        self.time.len()
    }

    /// About how many bytes the texts take.
    pub(crate) fn bytes(&self) -> usize {
        self.body.bytes()
    }

    /// Says whose the next rows are.
    pub(crate) fn add_run(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last)
                if (last.resource, last.generation) == (run.resource, run.generation)
                    && last.last_offset < run.first_offset =>
            {
                last.rows += run.rows;
                last.last_offset = run.last_offset;
            }
            _ => self.runs.push(run),
        }
    }

    /// Sets a field of a row; false when the row already has it, and then nothing changes. Rows must not go back.
    ///
    /// A value of a column of numbers that is no number cannot be, nor one of times that is no time: the plan has seen all values.
    pub(crate) fn put(&mut self, column: usize, row: usize, value: &str) -> bool {
        let values = &mut self.fields[column];
        if values.len() > row {
            return false;
        }
        values.pad(row);
        match values {
            Values::Int(builder) => builder.append_option(super::plan::canonical_int(value)),
            Values::Time(builder) => {
                builder.append_option(stamp::read(value, &mut self.print));
            }
            Values::Text(builder) => builder.append_value(value),
        }
        true
    }

    /// The column of a field.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|known| known.as_ref().cmp(name)).ok()
    }

    /// Whether a column holds texts, or times, which are texts to a query.
    pub(crate) fn is_text(&self, column: usize) -> bool {
        !matches!(self.fields[column], Values::Int(_))
    }

    /// Appends texts to a text column, from `row` on.
    pub(crate) fn put_texts(&mut self, column: usize, row: usize, texts: &StringArray) {
        let values = &mut self.fields[column];
        values.pad(row);
        if let Values::Text(builder) = values {
            if texts.null_count() == texts.len() {
                builder.append_nulls(texts.len());
            } else {
                texts.iter().for_each(|text| builder.append_option(text));
            }
        } else if let Values::Time(builder) = values {
            for text in texts {
                builder.append_option(text.and_then(|text| stamp::read(text, &mut self.print)));
            }
        }
    }

    /// Appends numbers to a column of either kind, from `row` on.
    pub(crate) fn put_ints(&mut self, column: usize, row: usize, numbers: &Int64Array) {
        let values = &mut self.fields[column];
        values.pad(row);
        match values {
            Values::Int(builder) => builder.append_array(numbers),
            Values::Time(builder) => builder.append_nulls(numbers.len()),
            Values::Text(builder) => {
                for number in numbers {
                    builder.append_option(number.map(|n| n.to_string()));
                }
            }
        }
    }

    /// Adds a field without a column to the row being built.
    pub(crate) fn put_rest(&mut self, name: &str, value: &str) {
        self.rest.keys().append_value(name);
        self.rest.values().append_value(value);
    }

    /// Ends the row's fields without a column. Called once for each row.
    pub(crate) fn end_rest(&mut self) -> Result<()> {
        Ok(self.rest.append(true)?)
    }

    /// The granule, and a new start.
    pub(crate) fn finish(&mut self, resources: &[PartResource]) -> Result<SealedGranule> {
        let rows = self.rows();
        let runs = std::mem::take(&mut self.runs);
        let time = |values: &mut Vec<i64>| -> ArrayRef {
            let values = std::mem::take(values);
            Arc::new(arrow_array::TimestampNanosecondArray::from(values).with_timezone("UTC"))
        };
        let mut columns: Vec<ArrayRef> = vec![time(&mut self.time), time(&mut self.observed)];
        let mut stream = FixedSizeBinaryBuilder::with_capacity(rows, 16);
        let mut generation = Vec::with_capacity(rows);
        for run in &runs {
            for _ in 0..run.rows {
                stream.append_value(resources[run.resource as usize].stream.0)?;
                generation.push(run.generation);
            }
        }
        columns.push(Arc::new(stream.finish()));
        columns.push(Arc::new(UInt64Array::from(generation)));
        columns.push(Arc::new(UInt64Array::from(std::mem::take(&mut self.offset))));
        columns.push(Arc::new(UInt8Array::from(std::mem::take(&mut self.severity))));
        columns.extend(self.body.finish()?);
        columns.extend(resource_columns(&runs, resources, rows)?);
        columns.push(Arc::new(self.trace_id.finish()));
        columns.push(Arc::new(self.span_id.finish()));
        let first_field = columns.len();
        for values in &mut self.fields {
            values.pad(rows);
            columns.push(match values {
                Values::Int(builder) => finish_numbers(builder),
                Values::Time(builder) => {
                    stamp::column(finish_numbers(builder).as_primitive::<Int64Type>())
                }
                Values::Text(builder) => finish_texts(builder),
            });
        }
        columns.push(Arc::new(self.rest.finish()));
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        Ok(SealedGranule { batch, runs, first_field })
    }
}

/// The numbers, and room for as many; none where there was none.
pub(crate) fn finish_numbers(builder: &mut Int64Builder) -> ArrayRef {
    let numbers = builder.finish();
    if numbers.null_count() < numbers.len() {
        *builder = Int64Builder::with_capacity(numbers.len());
    }
    Arc::new(numbers)
}

/// The texts, and room for as many; none where there was none.
pub(crate) fn finish_texts(builder: &mut StringBuilder) -> ArrayRef {
    let texts = builder.finish();
    let bytes = texts.value_data().len();
    if bytes > 0 && bytes < super::GRANULE_BYTES {
        *builder = StringBuilder::with_capacity(texts.len(), bytes + bytes / 8);
    }
    Arc::new(texts)
}

/// The resource columns and the labels: one key array for all of them, since all follow the resource.
fn resource_columns(
    runs: &[Run],
    resources: &[PartResource],
    rows: usize,
) -> Result<Vec<ArrayRef>> {
    let mut used: Vec<u32> = runs.iter().map(|run| run.resource).collect();
    used.sort_unstable();
    used.dedup();
    let mut keys = Vec::with_capacity(rows);
    for run in runs {
        let key = used.binary_search(&run.resource).expect("every run's resource is used") as u32;
        keys.extend(std::iter::repeat_n(key, run.rows as usize));
    }
    let keys = UInt32Array::from(keys);
    let mut columns = Vec::with_capacity(RESOURCE_COLUMNS.len() + 1);
    for column in 0..=RESOURCE_COLUMNS.len() {
        let text = |&r: &u32| resources[r as usize].text(column);
        if used.iter().all(|r| text(r).is_empty()) {
            columns.push(new_null_array(&resource_type(), rows));
            continue;
        }
        let texts: StringArray = used.iter().map(|r| Some(text(r))).collect();
        let column = DictionaryArray::<UInt32Type>::try_new(keys.clone(), Arc::new(texts))?;
        columns.push(Arc::new(column) as ArrayRef);
    }
    Ok(columns)
}
