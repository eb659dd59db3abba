//! A store that is plainly right: all records as texts in memory, each scan over all of them, in no order.
//!
//! It tells whose fault a failure is: a case that fails here too is the engine's or the file's, one that fails only on a real store is the
//! store's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch, StringArray, TimestampNanosecondArray};
use rookery_core::batch::Block;
use rookery_core::filter::Filter;
use rookery_core::filter::eval::evaluate;
use rookery_core::ledger::StreamAccount;
use rookery_core::logs::{RESOURCE_COLUMNS, RESOURCE_FIELDS, fields, severity_name};
use rookery_core::rows::{Column, Rows};
use rookery_core::store::{Accounts, Partition, ScanRequest, Store};
use rookery_core::{BoxFuture, Result, Scope, StreamId, Tenant};

/// See the module.
#[derive(Debug, Default)]
pub struct ReferenceStore {
    rows: Mutex<Vec<(Tenant, Rows)>>,
}

impl Store for ReferenceStore {
    fn append(&self, block: Block) -> BoxFuture<'_, Result<()>> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.extend(block.records.iter().map(|batch| (block.tenant.clone(), read(batch))));
        Box::pin(async { Ok(()) })
    }

    fn accounts(&self, _which: Accounts) -> BoxFuture<'_, Result<Vec<StreamAccount>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn scan(&self, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
        let time = Filter::Time(request.time);
        let filter = Filter::And(vec![time, scope.apply(&request.filter).as_ref().clone()]);
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = rows.iter().filter(|(tenant, _)| *tenant == scope.tenant);
        let answer = |(_, rows): &(Tenant, Rows)| -> Result<Rows> {
            let passed = evaluate(&filter, &mut rows.clone())?;
            let mut rows = rows.filter(&passed)?;
            rows.columns.retain(|(name, _)| request.columns.wants(name));
            Ok(rows)
        };
        let mut partitions = vec![Vec::new(); request.partitions.clamp(1, 4)];
        for (at, rows) in mine.enumerate() {
            let partition = at % partitions.len();
            partitions[partition].push(answer(rows)?);
        }
        let iterate = |rows: Vec<Rows>| -> Partition { Box::new(rows.into_iter().map(Ok)) };
        Ok(partitions.into_iter().map(iterate).collect())
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// A batch as rows of texts, under the names of queries.
fn read(batch: &RecordBatch) -> Rows {
    let column = |name: &str| batch.column_by_name(name).expect("the schema of logs has it");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let mut put = |name: &str, value: &str| {
            let values = texts.entry(name.into()).or_default();
            values.resize(batch.num_rows(), String::new());
            if values[row].is_empty() {
                values[row] = value.into();
            }
        };
        put(fields::MESSAGE, column("body").as_string::<i32>().value(row));
        for (name, field) in RESOURCE_COLUMNS.into_iter().zip(RESOURCE_FIELDS) {
            let dictionary = column(name).as_dictionary::<UInt32Type>();
            let value =
                dictionary.values().as_string::<i32>().value(dictionary.key(row).unwrap_or(0));
            put(field, value);
        }
        let id = column("stream").as_fixed_size_binary().value(row);
        let id = StreamId(id.try_into().expect("a stream's id has 16 bytes"));
        put(fields::STREAM_ID, &id.to_string());
        for (name, of) in [("generation", fields::GENERATION), ("offset", fields::OFFSET)] {
            put(of, &column(name).as_primitive::<UInt64Type>().value(row).to_string());
        }
        for name in [fields::TRACE_ID, fields::SPAN_ID] {
            put(name, column(name).as_string::<i32>().value(row));
        }
        for (map, prefix) in [("labels", fields::LABELS_PREFIX), ("fields", "")] {
            for (name, value) in entries(column(map), row) {
                let taken = map == "fields" && name != fields::LEVEL && is_built_in(&name);
                put(&format!("{}{name}", if taken { fields::OWN_PREFIX } else { prefix }), &value);
            }
        }
        put(
            fields::LEVEL,
            severity_name(column("severity").as_primitive::<UInt8Type>().value(row)),
        );
    }
    let mut columns: Vec<_> = texts
        .into_iter()
        .map(|(name, values)| (name.into(), Column::Text(StringArray::from(values))))
        .collect();
    for (name, of) in [("time", fields::TIME), ("observed", fields::OBSERVED)] {
        let times = column(name).as_primitive::<TimestampNanosecondType>();
        let times = TimestampNanosecondArray::from(times.values().to_vec());
        columns.push((Arc::from(of), Column::Time(times)));
    }
    Rows { len: batch.num_rows(), columns }
}

fn is_built_in(name: &str) -> bool {
    name.starts_with('_')
        || RESOURCE_FIELDS.contains(&name)
        || matches!(name, fields::TRACE_ID | fields::SPAN_ID)
}

/// The names and values of one row of a map column.
fn entries(column: &dyn Array, row: usize) -> Vec<(String, String)> {
    let entries = column.as_map().value(row);
    let names = entries.column(0).as_dictionary::<UInt16Type>();
    let values = entries.column(1).as_string::<i32>();
    let name =
        |at: usize| names.values().as_string::<i32>().value(names.key(at).unwrap_or(0)).into();
    (0..entries.len()).map(|at| (name(at), values.value(at).into())).collect()
}
