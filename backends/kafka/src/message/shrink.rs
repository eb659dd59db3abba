//! What makes a message smaller: names that no record uses, ranges cut apart, and the end of a record that does not fit alone.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt32Type};
use arrow_array::{Array, ArrayRef, MapArray, RecordBatch, StructArray};
use arrow_schema::DataType;
use arrow_select::dictionary::garbage_collect_dictionary;
use rookery_core::batch::{Batch, Fate, Range};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::{Error, Position, Result, StreamId};

/// The same records with dictionaries of the names in use: a part of a batch shares the dictionaries of the whole.
pub(crate) fn without_unused_names(records: &RecordBatch) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(records.num_columns());
    for column in records.columns() {
        columns.push(match column.data_type() {
            DataType::Dictionary(..) => {
                let names = column.as_dictionary::<UInt32Type>();
                // A dictionary that is not larger than its column is not worth a look.
                if names.values().len() <= names.len().max(16) {
                    column.clone()
                } else {
                    Arc::new(garbage_collect_dictionary(names)?)
                }
            }
            DataType::Map(..) => used_keys(column)?,
            _ => column.clone(),
        });
    }
    Ok(RecordBatch::try_new(records.schema(), columns)?)
}

fn used_keys(column: &ArrayRef) -> Result<ArrayRef> {
    let map = column.as_map();
    let names = map.keys().as_dictionary::<UInt16Type>().values().len();
    let (start, end) = (map.offsets()[0] as usize, map.offsets()[map.len()] as usize);
    if names <= (end - start).max(16) {
        return Ok(column.clone());
    }
    let DataType::Map(entry, sorted) = map.data_type().clone() else {
        return Err(Error::internal("the type of a map is one"));
    };
    let DataType::Struct(parts) = entry.data_type().clone() else {
        return Err(Error::internal("the entries of a map are structs"));
    };
    let keys = map.keys().slice(start, end - start);
    let keys = garbage_collect_dictionary(keys.as_dictionary::<UInt16Type>())?;
    let values = map.values().slice(start, end - start);
    let entries = StructArray::try_new(parts, vec![Arc::new(keys), values], None)?;
    let lengths = (0..map.len()).map(|row| map.value_length(row) as usize);
    let offsets = arrow_buffer::OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(entry, offsets, entries, map.nulls().cloned(), sorted)?))
}

/// The same batch of at most one record as two, each with half of the ranges.
pub(crate) fn by_ranges(batch: Batch) -> Result<[Batch; 2]> {
    let row = match batch.records.num_rows() {
        0 => None,
        _ => Some(place(&batch.records)?),
    };
    let mut ranges = batch.ranges;
    let second = ranges.split_off(ranges.len() / 2);
    let holds = |ranges: &[Range]| {
        let holds = |(stream, at): (StreamId, Position)| {
            ranges.iter().any(|range| {
                range.fate == Fate::Kept
                    && range.stream == stream
                    && range.generation == at.generation
                    && (range.start..range.end).contains(&at.offset)
            })
        };
        row.is_some_and(holds)
    };
    let none = batch.records.slice(0, 0);
    let (records, rest) =
        if holds(&ranges) { (batch.records, none) } else { (none, batch.records) };
    let (tenant, collector) = (batch.tenant, batch.collector);
    let first = Batch { tenant: tenant.clone(), collector: collector.clone(), records, ranges };
    Ok([first, Batch { tenant, collector, records: rest, ranges: second }])
}

fn place(records: &RecordBatch) -> Result<(StreamId, Position)> {
    let wrong = || Error::corrupt("a batch is not one of logs");
    let number = |name| {
        let column = records.column_by_name(name).ok_or_else(wrong)?;
        let column = column.as_primitive_opt::<arrow_array::types::UInt64Type>();
        Ok::<u64, Error>(column.ok_or_else(wrong)?.value(0))
    };
    let stream = records.column_by_name("stream").ok_or_else(wrong)?;
    let stream = stream.as_fixed_size_binary_opt().ok_or_else(wrong)?.value(0);
    let stream = StreamId(stream.try_into().map_err(|_| wrong())?);
    Ok((stream, Position { generation: number("generation")?, offset: number("offset")? }))
}

/// One record without its fields, with at most `keep` bytes of its body, and with the field that says so.
pub(crate) fn truncated(records: &RecordBatch, keep: usize) -> Result<RecordBatch> {
    let body = records.column(body_index(records)?).as_string::<i32>().value(0);
    let mut end = keep.min(body.len());
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let mut builder = LogBatchBuilder::default();
    let resource = builder.resource(&Arc::new(Resource::default()));
    builder.push_body(&body[..end]);
    builder.field("truncated", "true");
    builder.finish_record(Head {
        resource,
        stream: StreamId([0; 16]),
        position: Position::default(),
        time: 0,
        observed: 0,
        severity: 0,
        trace_id: None,
        span_id: None,
    });
    let made = builder.finish()?;
    let schema = records.schema();
    let columns = records.columns().iter().zip(schema.fields()).map(|(column, field)| match field
        .name()
        .as_str()
    {
        "body" | "fields" => made.column_by_name(field.name()).unwrap_or(column).clone(),
        _ => column.clone(),
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect())?)
}

/// How long the body of the only record is.
pub(crate) fn body_bytes(records: &RecordBatch) -> usize {
    body_index(records).map_or(0, |body| records.column(body).as_string::<i32>().value(0).len())
}

fn body_index(records: &RecordBatch) -> Result<usize> {
    Ok(records.schema().index_of("body")?)
}
