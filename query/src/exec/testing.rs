//! A store made of given rows, and tables of cases over it: rows in, a query, rows out.
//!
//! Every case runs over the same rows in several forms (texts, dictionaries, one row a batch with constants) and on several
//! threads; all must give the same answer.

use std::sync::{Arc, Mutex};

use arrow_array::types::UInt32Type;
use arrow_array::{
    DictionaryArray, FixedSizeBinaryArray, StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow_buffer::BooleanBuffer;
use rookery_core::batch::Block;
use rookery_core::filter::Filter;
use rookery_core::filter::eval::evaluate;
use rookery_core::ledger::StreamAccount;
use rookery_core::logs::fields;
use rookery_core::rows::{Column, Rows};
use rookery_core::store::{Accounts, Columns, Partition, ScanRequest, Store};
use rookery_core::{BoxFuture, Error, Result, Scope, StreamId, Tenant, TimeRange};

use super::columns::{name, text_column};
use super::{Engine, Request, number};
use crate::config::QueryConfig;
use crate::logsql;
use rookery_core::json::{self, ObjectWriter};

/// Given rows as a store.
#[derive(Default)]
pub(super) struct RowStore {
    batches: Vec<Rows>,
    /// What was asked.
    pub requests: Mutex<Vec<ScanRequest>>,
    /// How many batches were brought.
    pub visited: Arc<std::sync::atomic::AtomicUsize>,
    /// Bring the batches over and over.
    pub endless: bool,
}

impl RowStore {
    pub(super) fn new(batches: Vec<Rows>) -> Self {
        Self { batches, ..Self::default() }
    }
}

fn unsupported<T>() -> Result<T> {
    Err(Error::internal("the rows of a test cannot be written"))
}

impl Store for RowStore {
    fn append(&self, _: Block) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { unsupported() })
    }

    fn accounts(&self, _which: Accounts) -> BoxFuture<'_, Result<Vec<StreamAccount>>> {
        Box::pin(async { unsupported() })
    }

    fn scan(&self, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
        self.requests.lock().unwrap().push(request.clone());
        // Most records of tests have no time.
        let span =
            if request.time == TimeRange::ALL { Filter::All } else { Filter::Time(request.time) };
        let filter = Filter::And(vec![span, request.filter.as_ref().clone()]);
        let filter = scope.apply(&Arc::new(filter));
        let mut shares: Vec<Vec<Rows>> = vec![Vec::new(); request.partitions];
        for (at, rows) in self.batches.iter().enumerate() {
            shares[at % request.partitions].push(rows.clone());
        }
        let endless = self.endless;
        let partitions = shares.into_iter().map(|share| {
            let (filter, request, visited) =
                (filter.clone(), request.clone(), self.visited.clone());
            // An empty share over and over would never bring a batch.
            let turns = if endless && !share.is_empty() { usize::MAX } else { 1 };
            let batches = std::iter::repeat_n(share, turns).flatten();
            Box::new(batches.map(move |mut rows| {
                if request.cancel.is_cancelled() {
                    return Err(super::pipeline::cancelled());
                }
                visited.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let selection: BooleanBuffer = evaluate(&filter, &mut rows)?;
                let mut rows = rows.filter(&selection)?;
                rows.columns.retain(|(name, _)| request.columns.wants(name));
                Ok(rows)
            })) as Partition
        });
        Ok(partitions.collect())
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

type Record = Vec<(String, String)>;

/// Records, one JSON object a line.
pub(super) fn records(lines: &str) -> Vec<Record> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut record = Record::new();
            let whole =
                json::flatten(line, &mut |name, value| record.push((name.into(), value.into())));
            assert!(whole, "not JSON: {line}");
            record
        })
        .collect()
}

/// In which form the columns of a batch are.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Texts,
    Dictionaries,
    OneRowEach,
    Pairs,
}

fn batches(records: &[Record], shape: Shape) -> Vec<Rows> {
    let size = match shape {
        Shape::OneRowEach => 1,
        Shape::Pairs => 2,
        _ => records.len().max(1),
    };
    let mut first = 0;
    let batch = |chunk: &[Record]| {
        let rows = rows_of(chunk, first, shape);
        first += chunk.len();
        rows
    };
    records.chunks(size).map(batch).collect()
}

fn rows_of(records: &[Record], first: usize, shape: Shape) -> Rows {
    let value = |record: &Record, field: &str| {
        record.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone())
    };
    let mut names: Vec<&str> = Vec::new();
    for (field, _) in records.iter().flatten() {
        if !names.contains(&field.as_str()) {
            names.push(field);
        }
    }
    let mut columns = Vec::new();
    for field in names {
        let values: Vec<Option<String>> = records.iter().map(|r| value(r, field)).collect();
        columns.push((name(field), column_of(field, &values, shape)));
    }
    let stream = |record| {
        let tags = value(record, fields::STREAM).unwrap_or_default();
        StreamId::of(&Tenant::default(), &[&tags]).0
    };
    let ids = FixedSizeBinaryArray::try_from_iter(records.iter().map(stream)).unwrap();
    columns.push((name(fields::STREAM_ID), Column::Hex(ids)));
    columns.push((name(fields::GENERATION), Column::constant("7", records.len())));
    let offsets = UInt64Array::from_iter_values((first..first + records.len()).map(|o| o as u64));
    columns.push((name(fields::OFFSET), Column::UInt(offsets)));
    Rows { len: records.len(), columns }
}

fn column_of(field: &str, values: &[Option<String>], shape: Shape) -> Column {
    let texts = || values.iter().map(|v| v.as_deref());
    if field == fields::TIME {
        let times = texts().map(|v| v.and_then(number::rfc3339_nanos));
        return Column::Time(TimestampNanosecondArray::from_iter(times));
    }
    match shape {
        Shape::OneRowEach if values.len() == 1 => {
            Column::constant(values[0].as_deref().unwrap_or(""), 1)
        }
        Shape::Dictionaries => Column::Dict(texts().collect::<DictionaryArray<UInt32Type>>()),
        Shape::Pairs if texts().flatten().all(canonical) => {
            let numbers = texts().map(|v| v.and_then(|v| v.parse::<i64>().ok()));
            Column::Int(numbers.collect())
        }
        _ => Column::Text(texts().collect::<StringArray>()),
    }
}

fn canonical(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
}

/// The rows as lines of JSON, fields by name, without the stream's id where nobody gave one.
pub(super) fn lines(batches: &[Rows]) -> Vec<String> {
    let mut out = Vec::new();
    let mut scratch = String::new();
    for rows in batches {
        let mut columns: Vec<_> = rows.columns.iter().collect();
        columns.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (name, column) in &columns {
            assert_eq!(column.len(), rows.len, "{name} has another length");
        }
        for row in 0..rows.len {
            let mut line = String::new();
            let mut object = ObjectWriter::new(&mut line);
            for (name, column) in &columns {
                if name.as_ref() != fields::STREAM_ID {
                    object.field(name, column.text(row, &mut scratch));
                }
            }
            object.end();
            out.push(line);
        }
    }
    out
}

/// The time at which queries of tests run.
pub(super) const NOW: i64 = 1_800_000_000_000_000_000;

/// An engine over a store, with these limits.
pub(super) fn engine(store: Arc<RowStore>, config: QueryConfig) -> Engine {
    Engine::new(store, config)
}

pub(super) fn request(query: &str) -> Request {
    let query = logsql::parse(query, NOW).unwrap_or_else(|e| panic!("{query}: {e}"));
    let mut request = Request::new(query, Scope::tenant(Tenant::default()));
    request.now = NOW;
    request
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    runtime.unwrap().block_on(future)
}

/// The answer of a request over records, in every form; all forms must agree (in any order unless `ordered`).
pub(super) fn answer(request: &Request, data: &str, ordered: bool) -> Result<Vec<String>> {
    let records = records(data);
    let mut first: Option<Vec<String>> = None;
    for shape in [Shape::Texts, Shape::Dictionaries, Shape::OneRowEach, Shape::Pairs] {
        let store = Arc::new(RowStore::new(batches(&records, shape)));
        let engine = engine(store, QueryConfig { threads: 3, ..QueryConfig::default() });
        let run = async { engine.run(request.clone()).await?.collect().await };
        let mut got = lines(&block_on(run)?);
        if !ordered {
            got.sort_unstable();
        }
        match &first {
            None => first = Some(got),
            Some(first) => assert_eq!(first, &got, "{shape:?} gives another answer"),
        }
    }
    Ok(first.unwrap())
}

fn sorted_fields(lines_of: &str) -> Vec<String> {
    let rows: Vec<Rows> = records(lines_of).iter().map(rows_without_place).collect();
    lines(&rows)
}

fn rows_without_place(record: &Record) -> Rows {
    let columns = record.iter().map(|(field, value)| (name(field), text_column([value])));
    Rows { len: 1, columns: columns.collect() }
}

/// Checks the answer of `* | <pipes>`, in any order.
#[track_caller]
pub(super) fn check(pipes: &str, data: &str, want: &str) {
    let got = answer(&request(&format!("* | {pipes}")), data, false);
    let mut want = sorted_fields(want);
    want.sort_unstable();
    assert_eq!(got.unwrap(), want, "{pipes}");
}

/// Checks the answer of `* | <pipes>`, in its order.
#[track_caller]
pub(super) fn check_ordered(pipes: &str, data: &str, want: &str) {
    let got = answer(&request(&format!("* | {pipes}")), data, true);
    assert_eq!(got.unwrap(), sorted_fields(want), "{pipes}");
}

/// Which fields the first scan of a query asks for.
pub(super) fn asked_columns(query: &str) -> Columns {
    let store = Arc::new(RowStore::new(batches(&records(r#"{"a":"1"}"#), Shape::Texts)));
    let engine = engine(store.clone(), QueryConfig::default());
    block_on(async { engine.run(request(query)).await.unwrap().collect().await }).unwrap();
    let requests = store.requests.lock().unwrap();
    match &requests[0].columns {
        Columns::Only(names) => {
            let mut names = names.clone();
            names.sort_unstable();
            Columns::Only(names)
        }
        other => other.clone(),
    }
}

/// A store of these records, in batches of one row.
pub(super) fn store_of(data: &str) -> RowStore {
    RowStore::new(batches(&records(data), Shape::OneRowEach))
}
