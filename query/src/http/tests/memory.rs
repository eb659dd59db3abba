//! Stores for tests: one that keeps what is pushed, and one that never comes to an end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, RecordBatch, StringArray, TimestampNanosecondArray};
use rookery_core::batch::Block;
use rookery_core::filter::eval::evaluate;
use rookery_core::ledger::StreamAccount;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::logs::{RESOURCE_COLUMNS, RESOURCE_FIELDS, Resource, fields, severity_name};
use rookery_core::rows::{Column, Rows};
use rookery_core::store::{Accounts, Partition, ScanRequest, Store};
use rookery_core::{BoxFuture, Position, Result, Scope, StreamId, Tenant, json, severity, time};
use tokio::sync::Notify;

/// Keeps all that it gets.
#[derive(Default)]
pub(super) struct MemoryStore {
    batches: Mutex<Vec<(Tenant, RecordBatch)>>,
}

impl MemoryStore {
    /// Stores JSON lines. The field `app` is the tag of the stream; `_time` and `_msg` are what they are everywhere.
    pub(super) fn keep(&self, tenant: Tenant, lines: &str) {
        let mut batches = self.batches.lock().unwrap();
        let before: usize = batches.iter().map(|(_, batch)| batch.num_rows()).sum();
        let mut builder = LogBatchBuilder::default();
        for line in lines.lines() {
            let mut members: Vec<(String, String)> = Vec::new();
            assert!(
                json::flatten(line, &mut |name, value| members.push((name.into(), value.into())))
            );
            let get = |name: &str| members.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
            let labels = get("app").map(|app| ("app".to_owned(), app.to_owned()));
            let labels: Vec<_> = labels.into_iter().collect();
            let stream = StreamId::of(&tenant, &["push", get("app").unwrap_or("")]);
            let shared = Resource { source: "push".into(), labels, ..Resource::default() };
            let resource = builder.resource(&Arc::new(shared));
            builder.push_body(get("_msg").unwrap_or(line));
            for (name, value) in &members {
                if name != "_time" && name != "_msg" {
                    builder.field(name, value);
                }
            }
            let time =
                get("_time").map_or(time::now(), |text| time::parse_time(text, 0).unwrap().start);
            let position = Position { generation: 1, offset: (before + builder.len()) as u64 };
            let severity = severity::of_value(get("level").unwrap_or("").as_bytes());
            let (trace_id, span_id) = (None, None);
            let observed = time::now();
            builder.finish_record(Head {
                resource,
                stream,
                position,
                time,
                observed,
                severity,
                trace_id,
                span_id,
            });
        }
        batches.push((tenant, builder.finish().unwrap()));
    }
}

impl Store for MemoryStore {
    fn append(&self, block: Block) -> BoxFuture<'_, Result<()>> {
        let mut batches = self.batches.lock().unwrap();
        batches.extend(block.records.into_iter().map(|records| (block.tenant.clone(), records)));
        Box::pin(async { Ok(()) })
    }

    fn accounts(&self, _which: Accounts) -> BoxFuture<'_, Result<Vec<StreamAccount>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn scan(&self, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
        let filter = scope.apply(&request.filter);
        let batches = self.batches.lock().unwrap();
        let own = batches
            .iter()
            .filter(|(tenant, _)| *tenant == scope.tenant)
            .map(|(_, batch)| batch.clone());
        let own: Vec<RecordBatch> = own.collect();
        let answer = move |batch: RecordBatch| {
            let mut rows = rows_of(&batch);
            let inside = |at: i64| request.time.contains(at);
            let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
            let window: arrow_buffer::BooleanBuffer =
                times.values().iter().map(|&at| inside(at)).collect();
            let passed = evaluate(&filter, &mut rows)?;
            let mut found = rows.filter(&(&passed & &window))?;
            found.columns.retain(|(name, _)| request.columns.wants(name));
            Ok(found)
        };
        Ok(vec![Box::new(own.into_iter().map(answer))])
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// The fields of records as queries name them.
fn rows_of(batch: &RecordBatch) -> Rows {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let mut records: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); batch.num_rows()];
    for (row, record) in records.iter_mut().enumerate() {
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                record.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        };
        let number = |name: &str| column(name).as_primitive::<UInt64Type>().value(row).to_string();
        let id = column("stream").as_fixed_size_binary().value(row).try_into().unwrap();
        put(fields::STREAM_ID, &StreamId(id).to_string());
        put(fields::GENERATION, &number("generation"));
        put(fields::OFFSET, &number("offset"));
        put(fields::MESSAGE, column("body").as_string::<i32>().value(row));
        for (name, field) in RESOURCE_COLUMNS.into_iter().zip(RESOURCE_FIELDS) {
            let dictionary = column(name).as_dictionary::<UInt32Type>();
            let value = dictionary.values().as_string::<i32>().value(dictionary.key(row).unwrap());
            put(field, value);
        }
        let own = column("fields").as_map().value(row);
        let names = own.column(0).as_dictionary::<arrow_array::types::UInt16Type>();
        for entry in 0..own.len() {
            let name = names.values().as_string::<i32>().value(names.key(entry).unwrap());
            put(name, own.column(1).as_string::<i32>().value(entry));
        }
        put(
            fields::LEVEL,
            severity_name(column("severity").as_primitive::<UInt8Type>().value(row)),
        );
    }
    let names: std::collections::BTreeSet<&String> =
        records.iter().flat_map(BTreeMap::keys).collect();
    let mut columns = vec![(fields::TIME.into(), Column::Time(times_of(batch)))];
    for name in names {
        let texts: StringArray = records.iter().map(|record| record.get(name)).collect();
        columns.push((name.as_str().into(), Column::Text(texts)));
    }
    Rows { len: batch.num_rows(), columns }
}

fn times_of(batch: &RecordBatch) -> TimestampNanosecondArray {
    let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
    TimestampNanosecondArray::from(times.values().to_vec())
}

/// Brings the same rows over and over, until it is told to stop.
#[derive(Default)]
pub(super) struct EndlessStore {
    /// Told when a scan starts.
    pub(super) started: Arc<Notify>,
    /// Told when a scan is dropped.
    pub(super) ended: Arc<Notify>,
}

struct Endless {
    request: ScanRequest,
    ended: Arc<Notify>,
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.ended.notify_one();
    }
}

impl Iterator for Endless {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Result<Rows>> {
        if self.request.cancel.is_cancelled() {
            return Some(Err(rookery_core::Error::cancelled("the scan was cancelled")));
        }
        let columns = vec![("_msg".into(), Column::constant("endless", 1000))];
        Some(Ok(Rows { len: 1000, columns }))
    }
}

impl Store for EndlessStore {
    fn append(&self, _: Block) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn accounts(&self, _which: Accounts) -> BoxFuture<'_, Result<Vec<StreamAccount>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn scan(&self, _: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
        self.started.notify_one();
        Ok(vec![Box::new(Endless { request, ended: self.ended.clone() })])
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
