use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use rookery_core::batch::Block;
use rookery_core::filter::eval::evaluate;
use rookery_core::filter::{Filter, Pattern, TagMatcher, TagOp, Test, Values};
use rookery_core::logs::{self, RESOURCE_COLUMNS, RESOURCE_FIELDS};
use rookery_core::rows::{Column, Rows};
use rookery_core::store::{Accounts, Budget, Columns, ScanOrder, ScanRequest, Store, TimeBound};
use rookery_core::{Scope, Tenant, TimeRange, time};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::samples;

pub(crate) fn request(filter: Filter, columns: Columns) -> ScanRequest {
    ScanRequest {
        time: TimeRange::ALL,
        filter: Arc::new(filter),
        columns,
        order: ScanOrder::Any,
        bound: Arc::new(TimeBound::default()),
        partitions: 2,
        cancel: CancellationToken::new(),
        budget: Arc::new(Budget::new(1 << 30)),
    }
}

/// All rows of a scan; the partitions are read by threads of their own.
pub(crate) fn read(store: &ParquetStore, scope: &Scope, request: ScanRequest) -> Vec<Rows> {
    let partitions = store.scan(scope, request).unwrap();
    std::thread::scope(|threads| {
        let readers: Vec<_> = partitions
            .into_iter()
            .map(|partition| threads.spawn(move || partition.collect::<Result<Vec<_>>>().unwrap()))
            .collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    })
}

fn texts(rows: &Rows, name: &str) -> Vec<String> {
    let mut scratch = String::new();
    match rows.column(name) {
        None => vec![String::new(); rows.len],
        Some(column) => (0..rows.len).map(|r| column.text(r, &mut scratch).to_owned()).collect(),
    }
}

/// A store whose clock stands a day after the records were printed.
pub(crate) fn open(config: &ParquetConfig) -> ParquetStore {
    let now = time::days_from_civil(2026, 1, 3) * time::DAY;
    ParquetStore::open_with_clock(config.clone(), Arc::new(move || now)).unwrap()
}

fn everything() -> Scope {
    Scope::tenant(Tenant::default())
}

/// Where each record that passes lies: stream and offset.
fn found(store: &ParquetStore, filter: &Filter) -> BTreeSet<(String, String)> {
    let names = ["_stream_id", "_offset"].map(Into::into).to_vec();
    let mut found = BTreeSet::new();
    for rows in read(store, &everything(), request(filter.clone(), Columns::Only(names))) {
        for key in texts(&rows, "_stream_id").into_iter().zip(texts(&rows, "_offset")) {
            assert!(found.insert(key), "a record came twice");
        }
    }
    found
}

/// The records as plain texts, made without any code of the store.
fn as_texts(batch: &RecordBatch) -> Rows {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let len = batch.num_rows();
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    let times = column("time").as_primitive::<TimestampNanosecondType>();
    columns.push(("_time".into(), times.values().iter().map(|t| time::rfc3339(*t)).collect()));
    let body = column("body").as_string::<i32>();
    columns.push(("_msg".into(), body.iter().map(|t| t.unwrap().into()).collect()));
    let stream = column("stream").as_fixed_size_binary();
    let hex = |r: usize| stream.value(r).iter().map(|b| format!("{b:02x}")).collect();
    columns.push(("_stream_id".into(), (0..len).map(hex).collect()));
    let offset = column("offset").as_primitive::<UInt64Type>();
    columns.push(("_offset".into(), offset.values().iter().map(u64::to_string).collect()));
    for (name, field) in RESOURCE_COLUMNS.into_iter().zip(RESOURCE_FIELDS) {
        let values = arrow_select::take::take(
            column(name).as_any_dictionary().values(),
            column(name).as_any_dictionary().keys(),
            None,
        );
        let values = values.unwrap();
        let values = values.as_string::<i32>().iter().map(|t| t.unwrap_or("").into()).collect();
        columns.push((field.into(), values));
    }
    let ids = column("trace_id").as_string::<i32>();
    columns.push(("trace_id".into(), ids.iter().map(|t| t.unwrap_or("").into()).collect()));
    let severities = column("severity").as_primitive::<UInt8Type>();
    let mut level: Vec<String> =
        severities.values().iter().map(|s| logs::severity_name(*s).into()).collect();
    for (map, prefix) in [("labels", "labels."), ("fields", "")] {
        let map = column(map).as_map();
        for (row, level) in level.iter_mut().enumerate() {
            let entry = map.value(row);
            let keys = entry.column(0).as_any_dictionary();
            let names = arrow_select::take::take(keys.values(), keys.keys(), None).unwrap();
            let (names, values) = (names.as_string::<i32>(), entry.column(1).as_string::<i32>());
            for index in 0..entry.len() {
                let (name, value) =
                    (format!("{prefix}{}", names.value(index)), values.value(index));
                if name == "level" {
                    *level = value.into();
                    continue;
                }
                let place = columns.iter().position(|(n, _)| *n == name).unwrap_or_else(|| {
                    columns.push((name.clone(), vec![String::new(); len]));
                    columns.len() - 1
                });
                columns[place].1[row] = value.into();
            }
        }
    }
    columns.push(("level".into(), level));
    let column = |(name, texts): (String, Vec<String>)| {
        (name.as_str().into(), Column::Text(texts.iter().map(Some).collect::<StringArray>()))
    };
    Rows { len, columns: columns.into_iter().map(column).collect() }
}

fn expected(batches: &[RecordBatch], filter: &Filter) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for batch in batches {
        let mut rows = as_texts(batch);
        // Time filters need the time as a time.
        let times = batch.column_by_name("time").unwrap().as_primitive().clone();
        rows.columns[0].1 = Column::Time(times);
        let mask = evaluate(filter, &mut rows).unwrap();
        let (ids, offsets) = (texts(&rows, "_stream_id"), texts(&rows, "_offset"));
        found.extend(mask.set_indices().map(|r| (ids[r].clone(), offsets[r].clone())));
    }
    found
}

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

const FIELDS: [&str; 15] = [
    "at",
    "_msg",
    "level",
    "status",
    "user.name",
    "pod",
    "namespace",
    "labels.app",
    "trace_id",
    "missing",
    "_stream",
    "odd",
    "many7",
    "fields.pod",
    "mixed",
];
const WORDS: [&str; 17] = [
    "2026",
    "request",
    "took",
    "500",
    "200",
    "Warning",
    "error",
    "info",
    "a",
    "b",
    "user3",
    "id77x",
    "shop",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "größe",
    "",
    "v7",
];

fn random_test(random: &mut Random) -> Test {
    let word = random.pick(&WORDS).to_owned();
    match random.below(14) {
        0 => Test::Any,
        1 => Test::Empty,
        2 | 3 => Test::Phrase(word),
        4 => Test::Prefix(word.chars().take(2).collect()),
        5 => Test::Substring(word.chars().skip(1).collect()),
        6 => Test::Exact(word),
        7 => Test::Regexp(
            Pattern::new(random.pick(&["id7[0-9]+x", "^request", "took .* ms", ""])).unwrap(),
        ),
        8 => {
            let min = random.below(600) as f64;
            Test::Range { min, max: min + random.below(300) as f64 }
        }
        9 => Test::In(Values::list(vec![word, random.pick(&WORDS).into()])),
        10 => Test::ContainsAll(Values::list(vec![word, "request".into()])),
        11 => Test::ContainsAny(Values::list(vec![word, "user1".into()])),
        12 => Test::LengthRange { min: random.below(5), max: 3 + random.below(30) },
        _ => Test::CasePhrase(word.to_lowercase()),
    }
}

fn random_filter(random: &mut Random, depth: u32) -> Filter {
    let start = time::days_from_civil(2026, 1, 1) * time::DAY;
    match random.below(if depth == 0 { 7 } else { 10 }) {
        0 => {
            let from = start + random.below(60_000) as i64 * time::SECOND;
            Filter::Time(TimeRange {
                start: from,
                end: from + random.below(30_000) as i64 * time::SECOND,
            })
        }
        1 => {
            let value = random.pick(&["a", "b", "x"]).to_owned();
            let op = if random.below(2) == 0 {
                TagOp::In(vec![value])
            } else {
                TagOp::NotIn(vec![value])
            };
            Filter::Stream(vec![vec![TagMatcher { tag: "pod".into(), op }]])
        }
        2 => Filter::StreamIds(vec![samples::stream(random.pick(&["a", "b", "x"]))]),
        3..7 => Filter::field(random.pick(&FIELDS), random_test(random)),
        7 => Filter::Not(Box::new(random_filter(random, depth - 1))),
        8 => Filter::And(
            (0..1 + random.below(3)).map(|_| random_filter(random, depth - 1)).collect(),
        ),
        _ => {
            Filter::Or((0..1 + random.below(3)).map(|_| random_filter(random, depth - 1)).collect())
        }
    }
}

/// Blocks over two days, of two streams and more fields than a part has columns for.
fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = (0..3).map(|n| samples::block(10_000, n * 10_000)).collect();
    blocks.push(samples::odd_block(3_000, 90_000));
    blocks
}

async fn fill(store: &ParquetStore, blocks: &[Block]) {
    for block in blocks {
        store.append(block.clone()).await.unwrap();
    }
}

#[tokio::test]
async fn every_filter_finds_the_same_records_in_memory_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let config = ParquetConfig::in_directory(folder.path());
    let blocks = blocks();
    let batches: Vec<RecordBatch> = blocks.iter().flat_map(|b| b.records.clone()).collect();
    let mut random = Random(7);
    let mut filters =
        vec![Filter::All, Filter::None, Filter::field("_msg", Test::Phrase("id77x".into()))];
    filters.extend((0..80).map(|_| random_filter(&mut random, 2)));
    let expected: Vec<_> = filters.iter().map(|filter| expected(&batches, filter)).collect();
    assert!(expected.iter().filter(|found| !found.is_empty()).count() > 30);
    assert_eq!(expected[2].len(), 1);

    let store = open(&config);
    fill(&store, &blocks).await;
    for (filter, expected) in filters.iter().zip(&expected) {
        assert!(found(&store, filter) == *expected, "in memory: {filter:?}");
    }
    store.close().await.unwrap();
    drop(store);

    let store = open(&config);
    assert_eq!((store.usage().memory_records, store.usage().part_records), (0, 33_000));
    for (filter, expected) in filters.iter().zip(&expected) {
        let found = found(&store, filter);
        assert!(found == *expected, "in parts: {filter:?}: {} not {}", found.len(), expected.len());
    }
}

/// Each field of each record that passes, as text, sorted: what must not change when parts are merged.
fn everything_of(store: &ParquetStore) -> Vec<Vec<(String, String)>> {
    let mut found: Vec<_> = read(store, &everything(), request(Filter::All, Columns::All))
        .iter()
        .flat_map(records)
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn merged_parts_hold_the_same_records_and_answer_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::in_directory(folder.path());
    config.memory_table = rookery_core::units::Bytes::mib(1);
    config.merge.enabled = false;
    let store = open(&config);
    for n in 0..12 {
        store.append(samples::block(1_500, n * 1_500)).await.unwrap();
        store.append(samples::odd_block(1_500, 20_000 + n * 1_500)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let mut random = Random(11);
    let filters: Vec<Filter> = (0..30).map(|_| random_filter(&mut random, 1)).collect();
    let store = open(&config);
    let parts = store.usage().parts;
    assert!(parts > 3, "{parts} parts");
    let before: Vec<_> = filters.iter().map(|filter| found(&store, filter)).collect();
    let records = everything_of(&store);
    // A scan that started before keeps the old parts.
    let mut started = store
        .scan(&everything(), ScanRequest { partitions: 1, ..request(Filter::All, Columns::All) })
        .unwrap();
    let first = started[0].next().unwrap().unwrap().len;
    store.merge_all().unwrap();
    assert!(store.usage().parts < parts);
    assert_eq!(store.usage().part_records, 36_000);
    let rest: usize = started.remove(0).map(|rows| rows.unwrap().len).sum();
    assert_eq!(first + rest, 36_000);
    assert!(everything_of(&store) == records, "every field of every record");
    for (filter, before) in filters.iter().zip(&before) {
        assert!(found(&store, filter) == *before, "{filter:?}");
    }
    drop(started);
    let files = walk(&folder.path().join("parts"));
    assert_eq!(files, 2 * store.usage().parts, "the files of merged parts are gone");
}

fn walk(path: &Path) -> usize {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| if e.path().is_dir() { walk(&e.path()) } else { 1 }).sum()
}

#[tokio::test]
async fn every_field_comes_back_from_memory_and_from_parts() {
    let folder = tempfile::tempdir().unwrap();
    let config = ParquetConfig::in_directory(folder.path());
    let blocks = [samples::block(500, 0), samples::odd_block(500, 500)];
    let mut expected: Vec<Vec<(String, String)>> = Vec::new();
    for block in &blocks {
        let rows = as_texts(&block.records[0]);
        expected.extend(records(&rows));
    }
    expected.sort();
    for round in ["memory", "parts"] {
        let store = open(&config);
        if round == "memory" {
            fill(&store, &blocks).await;
        }
        let columns = Columns::Except(vec!["_observed".into(), "_generation".into()]);
        let mut found: Vec<_> = read(&store, &everything(), request(Filter::All, columns))
            .iter()
            .flat_map(records)
            .collect();
        found.sort();
        assert_eq!(found.len(), expected.len(), "{round}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{round}");
        }
        store.close().await.unwrap();
    }
}

/// The records as lists of names and values that are not empty, sorted.
fn records(rows: &Rows) -> Vec<Vec<(String, String)>> {
    let mut records = vec![Vec::new(); rows.len];
    for (name, _) in &rows.columns {
        for (record, text) in records.iter_mut().zip(texts(rows, name)) {
            if !text.is_empty() {
                // A field that has the name of a built-in one is asked by its long name.
                record.push((name.to_string(), text));
            }
        }
    }
    records.iter_mut().for_each(|record| record.sort());
    records
}

#[tokio::test]
async fn counts_need_no_column_and_a_partition_ends_when_it_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let config = ParquetConfig::in_directory(folder.path());
    let store = open(&config);
    fill(&store, &blocks()).await;
    store.close().await.unwrap();
    drop(store);
    let store = open(&config);
    let ask = request(Filter::All, Columns::Only(Vec::new()));
    let rows = read(&store, &everything(), ask.clone());
    assert_eq!(rows.iter().map(|r| r.len).sum::<usize>(), 33_000);
    assert_eq!(ask.budget.bytes_read(), 0, "nothing was decoded");
    ask.cancel.cancel();
    let mut partitions = store.scan(&everything(), ask).unwrap();
    let error = partitions[0].next().unwrap().unwrap_err();
    assert_eq!(error.kind(), rookery_core::Kind::Cancelled);
    assert!(partitions[0].next().is_none());
}

#[tokio::test]
async fn the_newest_come_first_and_what_cannot_matter_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = ParquetConfig::in_directory(folder.path());
    let store = open(&config);
    fill(&store, &blocks()).await;
    store.close().await.unwrap();
    drop(store);
    let store = open(&config);
    for (order, newest) in [(ScanOrder::NewestFirst, true), (ScanOrder::OldestFirst, false)] {
        let columns = Columns::Only(vec!["_time".into()]);
        let ask = ScanRequest { order, partitions: 1, ..request(Filter::All, columns) };
        let partition = store.scan(&everything(), ask.clone()).unwrap().remove(0);
        let mut kept: Vec<i64> = Vec::new();
        for rows in partition {
            let rows = rows.unwrap();
            let Some(Column::Time(times)) = rows.column("_time") else { panic!("no time") };
            kept.extend(times.values());
            kept.sort_unstable();
            if newest {
                kept.reverse();
            }
            kept.truncate(10);
            match (kept.len(), newest) {
                (10, true) => ask.bound.raise_min(kept[9]),
                (10, false) => ask.bound.lower_max(kept[9]),
                _ => {}
            }
        }
        let start = time::days_from_civil(2026, 1, 1) * time::DAY;
        let expected = |i: i64| start + (if newest { 92_999 - i } else { i }) * time::SECOND;
        assert_eq!(kept, (0..10).map(expected).collect::<Vec<_>>());
        assert!(ask.budget.rows_read() < 20_000, "{} rows were read", ask.budget.rows_read());
    }
}

#[tokio::test]
async fn tenants_and_restrictions_keep_records_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = ParquetConfig::in_directory(folder.path());
    let other = Tenant::new("other").unwrap();
    for round in ["memory", "parts"] {
        let store = open(&config);
        if round == "memory" {
            store.append(samples::block(100, 0)).await.unwrap();
            store.append(samples::block_of(other.clone(), 30, 0)).await.unwrap();
        }
        let count = |scope: Scope| -> usize {
            let ask = request(Filter::All, Columns::Only(Vec::new()));
            read(&store, &scope, ask).iter().map(|rows| rows.len).sum()
        };
        assert_eq!(count(everything()), 100, "{round}");
        assert_eq!(count(Scope::tenant(other.clone())), 30, "{round}");
        assert_eq!(count(Scope::tenant(Tenant::new("nobody").unwrap())), 0, "{round}");
        let restriction = Some(Arc::new(Filter::field("pod", Test::Exact("a".into()))));
        let scope = Scope { restriction, ..everything() };
        assert_eq!(count(scope), 50, "{round}");
        assert_eq!(store.accounts(Accounts::All).await.unwrap().len(), 4);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_stop_without_a_close() {
    let folder = tempfile::tempdir().unwrap();
    let config = ParquetConfig::in_directory(folder.path());
    let store = open(&config);
    fill(&store, &blocks()).await;
    let before = accounts(&store).await;
    drop(store);
    let store = open(&config);
    assert_eq!(store.usage().memory_records, 33_000);
    assert_eq!(accounts(&store).await, before);
    store.close().await.unwrap();
    let error = store.append(samples::block(1, 0)).await.unwrap_err();
    assert_eq!(error.kind(), rookery_core::Kind::Unavailable);
    drop(store);
    let store = open(&config);
    assert_eq!(store.usage().part_records, 33_000);
    assert_eq!(accounts(&store).await, before);
}

async fn accounts(store: &ParquetStore) -> Vec<StreamAccount> {
    let mut accounts = store.accounts(Accounts::All).await.unwrap();
    accounts.sort_by_key(|account| account.stream);
    accounts
}

#[tokio::test]
async fn a_full_memory_table_becomes_parts_while_appends_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::in_directory(folder.path());
    config.memory_table = rookery_core::units::Bytes::mib(1);
    config.merge.enabled = false;
    let store = open(&config);
    for n in 0..20 {
        store.append(samples::block(2_000, n * 2_000)).await.unwrap();
        let ask = request(Filter::All, Columns::Only(Vec::new()));
        let seen: usize = read(&store, &everything(), ask).iter().map(|rows| rows.len).sum();
        assert_eq!(seen, (n as usize + 1) * 2_000, "each record is seen once at any moment");
    }
    store.close().await.unwrap();
    assert!(store.usage().parts > 1);
    assert_eq!(store.usage().part_records, 40_000);
    let left = std::fs::read_dir(folder.path().join("log")).unwrap().count();
    assert_eq!(left, 1, "only the empty segment stays");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A store that release 0.1.0 wrote: two parts with whole bodies, each of 200 [`samples::block`] records.
const VERSION_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/version-1");

#[tokio::test]
async fn parts_with_whole_bodies_are_read_searched_and_merged_with_new_ones() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_folder(std::path::Path::new(VERSION_1), old.path());
    let mut random = Random(19);
    let mut filters: Vec<Filter> = (0..30).map(|_| random_filter(&mut random, 1)).collect();
    filters.push(Filter::field("_msg", Test::Phrase("id77x".into())));
    filters.push(Filter::field("_msg", Test::Regexp(Pattern::new("id7[0-9]+x").unwrap())));

    let mut config = ParquetConfig::in_directory(new.path());
    config.merge.enabled = false;
    let fresh = open(&config);
    fresh.append(samples::block(400, 0)).await.unwrap();
    config.directory = old.path().to_owned();
    let store = open(&config);
    assert_eq!((store.usage().parts, store.usage().part_records), (2, 400));
    assert!(everything_of(&store) == everything_of(&fresh), "before the merge");
    for store in [&fresh, &store] {
        store.append(samples::block(300, 400)).await.unwrap();
        store.append(samples::odd_block(300, 0)).await.unwrap();
        store.close().await.unwrap();
    }
    drop(store);
    let store = open(&config);
    let expected = everything_of(&fresh);
    let before: Vec<_> = filters.iter().map(|filter| found(&fresh, filter)).collect();
    store.merge_all().unwrap();
    assert_eq!(store.usage().parts, 1);
    assert!(everything_of(&store) == expected, "merged");
    for (filter, before) in filters.iter().zip(&before) {
        assert!(found(&store, filter) == *before, "merged: {filter:?}");
    }
}
