//! Reading from ClickHouse, beside what the conformance suite asks: hostile texts, early ends, limits, cancellation, very many groups. On the
//! real engine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rookery_clickhouse::{ClickHouseConfig, ClickHouseStore, migrate};
use rookery_core::batch::{Block, Entry, Fate, Origin, Range};
use rookery_core::filter::{Filter, Pattern, TagMatcher, TagOp, Test, Values};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::store::{Budget, Columns, Partition, ScanOrder, ScanRequest, Store, TimeBound};
use rookery_core::time::{HOUR, SECOND};
use rookery_core::units::{Bytes, Span};
use rookery_core::{Kind, Position, Scope, StreamId, Tenant, TimeRange};
use rookery_parquet::{ParquetConfig, ParquetStore, Retention};
use rookery_query::config::QueryConfig;
use rookery_query::exec::Engine;
use rookery_tests::conformance::{self, Answer, Asked, Case, ReferenceStore};
use rookery_tests::kit::clickhouse::ClickHouse;
use rookery_tests::kit::wait;
use tokio_util::sync::CancellationToken;

/// 2026-11-21T10:00:00Z.
const START: i64 = 1_795_255_200 * SECOND;

struct Record {
    time: i64,
    body: String,
    field: (String, String),
    label: (String, String),
}

fn record(n: usize, time: i64, body: String) -> Record {
    let field = ("id".to_owned(), n.to_string());
    Record { time, body, field, label: ("app".into(), "web".into()) }
}

/// A block of these, each stream as its label says.
fn block(records: &[Record], origin: Origin) -> Result<Block> {
    let mut builder = LogBatchBuilder::default();
    let mut entries: Vec<Entry> = Vec::new();
    for (n, record) in records.iter().enumerate() {
        let resource = Resource {
            source: "push".into(),
            labels: vec![record.label.clone()],
            ..Resource::default()
        };
        let tags = resource.stream_tags();
        let stream = StreamId::of(&Tenant::default(), &[&tags]);
        let at = n as u64;
        builder.push_body(&record.body);
        builder.field(&record.field.0, &record.field.1);
        let resource = builder.resource(&Arc::new(resource));
        builder.finish_record(Head {
            resource,
            stream,
            position: Position { generation: 1, offset: at },
            time: record.time,
            observed: record.time,
            severity: 9,
            trace_id: None,
            span_id: None,
        });
        match entries.iter_mut().find(|entry| entry.range.stream == stream) {
            Some(entry) => {
                entry.range.end = at + 1;
                entry.range.records += 1;
            }
            None => {
                let (fate, after) = (Fate::Kept, Position::default());
                let (generation, start, end, records) = (1, at, at + 1, 1);
                let range = Range { stream, generation, start, end, records, fate, after };
                entries.push(Entry { range, duplicates: 0, duplicate_bytes: 0, tags: tags.into() });
            }
        }
    }
    Ok(Block { tenant: Tenant::default(), origin, records: vec![builder.finish()?], entries })
}

/// A database of its own, and its configuration after `change`.
async fn store(
    records: &[Record],
    change: impl FnOnce(&mut ClickHouseConfig),
) -> Result<ClickHouseStore> {
    store_in(tokio::task::block_in_place(ClickHouse::shared)?, records, change).await
}

async fn store_in(
    server: &ClickHouse,
    records: &[Record],
    change: impl FnOnce(&mut ClickHouseConfig),
) -> Result<ClickHouseStore> {
    let mut config = ClickHouseConfig {
        url: server.url().to_owned(),
        database: tokio::task::block_in_place(|| server.database("scan"))?,
        ..ClickHouseConfig::default()
    };
    if let Some((user, password)) = server.login() {
        config.user = user.to_owned();
        config.password = password.to_owned().into();
    }
    migrate(&config).await?;
    let writer = ClickHouseStore::connect(config.clone()).await?;
    let epoch = writer.claim(&[0]).await?.epoch;
    for (sequence, part) in (0..).zip(records.chunks(25_000)) {
        writer.append(block(part, Origin { partition: 0, epoch, sequence })?).await?;
    }
    change(&mut config);
    Ok(ClickHouseStore::connect(config).await?)
}

fn request(filter: Filter) -> ScanRequest {
    ScanRequest {
        time: TimeRange::ALL,
        filter: Arc::new(filter),
        columns: Columns::All,
        order: ScanOrder::Any,
        bound: Arc::new(TimeBound::default()),
        partitions: 2,
        cancel: CancellationToken::new(),
        budget: Arc::new(Budget::new(1 << 30)),
    }
}

/// Reads partitions one after the other on a thread that may block: one text a record.
async fn read(partitions: Vec<Partition>) -> Result<Vec<String>, rookery_core::Error> {
    let task = tokio::task::spawn_blocking(move || {
        let mut texts = Vec::new();
        for rows in partitions.into_iter().flatten() {
            let rows = rows?;
            let mut scratch = String::new();
            for row in 0..rows.len {
                let mut named = |name: &str, column: &rookery_core::rows::Column| {
                    let text = column.text(row, &mut scratch);
                    (!text.is_empty()).then(|| format!("{name}={text}"))
                };
                let columns = rows.columns.iter();
                let mut fields: Vec<String> =
                    columns.filter_map(|(name, column)| named(name, column)).collect();
                fields.sort_unstable();
                texts.push(fields.join("\n"));
            }
        }
        texts.sort_unstable();
        Ok(texts)
    });
    task.await.expect("reading does not panic")
}

fn scope() -> Scope {
    Scope::tenant(Tenant::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_texts_are_found_and_do_nothing_else() -> Result<()> {
    let hostile = [
        "'",
        "\\'",
        "\"",
        "\\",
        "\\\\",
        "`",
        "; DROP TABLE logs --",
        "' OR 1=1 --",
        "{p0:String}",
        "/*",
        "a.b",
        "a\\nb",
        "a\nb",
        "a\tb",
        "\u{0}x",
        "%",
        "_",
        "é'",
        "🦀",
        "$1",
        "]",
        "[a]",
        "\\x41",
        "key_x",
        "=\"",
        ",a=\"b",
        "\u{2028}",
        "[\\x00-\u{10FFFF}]",
    ];
    let mut records = Vec::new();
    for (n, text) in hostile.iter().enumerate() {
        let other = hostile[(n + 5) % hostile.len()];
        records.push(Record {
            time: START + n as i64 * SECOND,
            body: format!("before {text} after {other}"),
            field: (format!("f{text}"), other.to_string()),
            label: (format!("l{n}"), text.to_string()),
        });
    }
    let clickhouse = store(&records, |_| {}).await?;
    let reference = ReferenceStore::default();
    reference.append(block(&records, Origin::default())?).await?;
    let mut filters = vec![Filter::All];
    for (n, text) in hostile.iter().enumerate() {
        let quoted = Pattern::new(&format!("e {}", escape(text)))?;
        let name = format!("f{text}");
        let both = Values::list(vec![(*text).to_owned(), "none".into()]);
        filters.extend([
            Filter::field("_msg", Test::Phrase((*text).to_owned())),
            Filter::field("_msg", Test::Substring((*text).to_owned())),
            Filter::field("_msg", Test::CasePhrase(text.to_lowercase())),
            Filter::field("_msg", Test::Regexp(quoted.clone())),
            Filter::field("_msg", Test::Sequence(vec!["before".into(), (*text).to_owned()])),
            Filter::field(&name, Test::Any),
            Filter::field(&name, Test::In(both.clone())),
            Filter::field(&name, Test::EqualsField(format!("labels.l{n}").into())),
            Filter::Not(Box::new(Filter::field(&name, Test::Exact((*text).to_owned())))),
        ]);
        let tag = |op| Filter::Stream(vec![vec![TagMatcher { tag: format!("l{n}"), op }]]);
        filters.push(tag(TagOp::In(vec![(*text).to_owned()])));
        filters.push(tag(TagOp::Matches(Pattern::anchored(&escape(text))?)));
        filters.push(tag(TagOp::NotMatches(Pattern::anchored(&escape(text))?)));
    }
    for filter in filters {
        let want = read(reference.scan(&scope(), request(filter.clone()))?).await?;
        let got = read(clickhouse.scan(&scope(), request(filter.clone()))?).await;
        let got = got.with_context(|| format!("{filter:?}"))?;
        assert_eq!(got, want, "{filter:?}");
        let name = "f'".into();
        let only = ScanRequest { columns: Columns::Only(vec![name]), ..request(filter.clone()) };
        let want = read(reference.scan(&scope(), only.clone())?).await?;
        assert_eq!(read(clickhouse.scan(&scope(), only)?).await?, want, "{filter:?}");
    }
    Ok(())
}

fn escape(text: &str) -> String {
    let special = |c: char| c.is_ascii_punctuation();
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_and_a_tenant_hide_what_is_outside_of_them() -> Result<()> {
    let mut records: Vec<Record> = (0..10).map(|n| record(n, START, format!("line {n}"))).collect();
    records[3].label.1 = "other".into();
    let clickhouse = store(&records, |_| {}).await?;
    let count = async |scope: &Scope| {
        let columns = Columns::Only(Vec::new());
        let partitions = clickhouse.scan(scope, ScanRequest { columns, ..request(Filter::All) })?;
        anyhow::Ok(read(partitions).await?.len())
    };
    assert_eq!(count(&scope()).await?, 10);
    assert_eq!(count(&Scope::tenant(Tenant::new("somebody")?)).await?, 0);
    let op = TagOp::In(vec!["other".into()]);
    let tag = Filter::Stream(vec![vec![TagMatcher { tag: "app".into(), op }]]);
    let restricted = Scope { restriction: Some(Arc::new(tag)), ..scope() };
    assert_eq!(count(&restricted).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_are_found_without_reading_the_rest() -> Result<()> {
    let records: Vec<Record> = (0..100_000)
        .map(|n| record(n, START + n as i64 * (48 * HOUR / 100_000), format!("line {n}")))
        .collect();
    let clickhouse = store(&records, |_| {}).await?;
    for (order, edge) in [(ScanOrder::NewestFirst, 99_999), (ScanOrder::OldestFirst, 0)] {
        let request = ScanRequest { order, ..request(Filter::All) };
        let (bound, budget) = (request.bound.clone(), request.budget.clone());
        let partitions = clickhouse.scan(&scope(), request)?;
        let found = tokio::task::spawn_blocking(move || {
            let mut found = false;
            for rows in partitions.into_iter().flatten() {
                let rows = rows?;
                let ids = rows.column("id").context("every record has an id")?;
                let mut scratch = String::new();
                found |= (0..rows.len).any(|row| ids.text(row, &mut scratch) == edge.to_string());
                // What a caller says that has as many as it wants.
                match order {
                    ScanOrder::NewestFirst => bound.raise_min(START + 47 * HOUR),
                    _ => bound.lower_max(START + HOUR),
                }
            }
            anyhow::Ok(found)
        });
        assert!(found.await??, "{order:?}");
        let read = budget.rows_read();
        ensure!(read < 30_000, "{order:?} read {read} records");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_named_by_the_errors_that_tell_of_them() -> Result<()> {
    let records: Vec<Record> =
        (0..50_000).map(|n| record(n, START + n as i64, format!("line {n}"))).collect();
    let slow = store(&records, |config| config.scan_timeout = Span::millis(1)).await?;
    let pattern = Filter::field("_msg", Test::Regexp(Pattern::new("(.*9){4}")?));
    let error = read(slow.scan(&scope(), request(pattern.clone()))?).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(error.message().contains("clickhouse.scan_timeout"), "{error}");

    let small = store(&records, |config| config.scan_memory = Bytes(100_000)).await?;
    let error = read(small.scan(&scope(), request(pattern))?).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
    assert!(error.message().contains("clickhouse.scan_memory"), "{error}");
    Ok(())
}

/// Bodies that do not compress, so that an answer does not fit into what sockets hold.
fn noise(n: usize) -> String {
    let mut state = n as u64 + 1;
    let mut word = move || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        format!("{:016x}", state ^ state >> 29)
    };
    (0..64).map(|_| word()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_nobody_waits_for_ends_in_the_server() -> Result<()> {
    let records: Vec<Record> = (0..50_000).map(|n| record(n, START + n as i64, noise(n))).collect();
    // Its own server: no other test's queries are seen.
    let server = tokio::task::block_in_place(ClickHouse::start)?;
    let clickhouse = store_in(&server, &records, |_| {}).await?;
    let running =
        "SELECT count() FROM system.processes WHERE startsWith(query_id, 'rookery-scan-')";
    for cancelled in [false, true] {
        let request = request(Filter::All);
        let cancel = request.cancel.clone();
        let mut partitions = clickhouse.scan(&scope(), request)?;
        let mut one = partitions.pop().context("a scan has a partition")?;
        let mut one = tokio::task::spawn_blocking(move || {
            one.next().context("records come")??;
            anyhow::Ok(one)
        })
        .await??;
        ensure!(
            tokio::task::block_in_place(|| server.query(running, &[]))?.trim() != "0",
            "the query runs while it is read"
        );
        if cancelled {
            cancel.cancel();
            let error = tokio::task::spawn_blocking(move || {
                let error = one.find_map(Result::err).context("a cancelled scan fails");
                drop(one);
                error
            });
            assert_eq!(error.await??.kind(), Kind::Cancelled);
        } else {
            drop(one);
        }
        drop(partitions);
        tokio::task::block_in_place(|| {
            wait::until("the query to end", Duration::from_secs(20), || {
                Ok((server.query(running, &[])?.trim() == "0").then_some(()))
            })
        })?;
    }
    Ok(())
}

/// The most groups that a server counts in place of records.
const GROUPS_LIMIT: usize = 20_000;

/// Records with so many values of `id`, more of the first ones. Those of one value follow each other: so of the blocks, and of the threads that count
/// them, none need have more values than the limit when all have. The last value is a number that the server cannot compare.
fn grouped(groups: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for group in 0..groups {
        for _ in 0..2 + 10_usize.saturating_sub(group) {
            let n = records.len();
            let mut record = record(n, START + n as i64, format!("line {n}"));
            record.field.1 = if group + 1 == groups { "1h30m".into() } else { group.to_string() };
            records.push(record);
        }
    }
    records
}

/// Queries whose records a server may count by groups.
const GROUPED: [&str; 5] = [
    "* | stats by (id) count() as n",
    "* | top 5 by (id)",
    "* | uniq by (id) with hits",
    "* | field_values id",
    // `1h30m` is decided above the server: its records come after the groups, or after the records that come in their place.
    "id:>=7 | stats by (id) count() as n",
];

async fn rows(query: &str, engine: &Engine) -> Result<Vec<conformance::Row>> {
    let case = Case {
        line: 0,
        answer_lines: (0, 0),
        asked: Asked::at(START + HOUR),
        query: query.into(),
        answer: Answer::Rows { ordered: false, rows: Vec::new() },
    };
    match conformance::answer(&case, engine).await {
        Answer::Rows { mut rows, .. } => {
            rows.sort_unstable();
            Ok(rows)
        }
        other => anyhow::bail!("{query}: {other}"),
    }
}

/// In how many pieces the values of `id` come: a piece for each group, or a batch of records.
async fn pieces(store: &ClickHouseStore) -> Result<usize> {
    let columns = Columns::Only(vec!["id".into()]);
    let partitions = store.scan(&scope(), ScanRequest { columns, ..request(Filter::All) })?;
    let read = move || {
        let pieces = partitions.into_iter().flatten();
        pieces.map(|rows| rows.map(|_| 1)).sum::<Result<usize, _>>()
    };
    Ok(tokio::task::spawn_blocking(read).await??)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_groups_as_a_server_counts_and_more_have_the_answer_of_the_embedded_store()
-> Result<()> {
    for groups in [GROUPS_LIMIT, GROUPS_LIMIT + 1] {
        let records = grouped(groups);
        let clickhouse = store(&records, |_| {}).await?;
        let pieces = pieces(&clickhouse).await?;
        ensure!((pieces == groups) == (groups <= GROUPS_LIMIT), "{groups} come in {pieces}");

        let folder = tempfile::tempdir()?;
        let embedded = ParquetStore::open(ParquetConfig {
            directory: folder.path().into(),
            retention: Retention { age: Span::seconds(170 * 365 * 24 * 3600), total: None },
            min_free_disk: Bytes::mib(1),
            ..ParquetConfig::default()
        })?;
        embedded.append(block(&records, Origin::default())?).await?;

        let config =
            QueryConfig { threads: 2, timeout: Span::seconds(120), ..QueryConfig::default() };
        let [embedded, clickhouse]: [Arc<dyn Store>; 2] =
            [Arc::new(embedded), Arc::new(clickhouse)];
        let [embedded, clickhouse] =
            [embedded, clickhouse].map(|store| Engine::new(store, config.clone()));
        for query in GROUPED {
            let (want, got) = (rows(query, &embedded).await?, rows(query, &clickhouse).await?);
            ensure!(!want.is_empty(), "{query} finds nothing");
            ensure!(
                got == want,
                "{groups} groups: {query} has {} rows and not {}",
                got.len(),
                want.len()
            );
        }
    }
    Ok(())
}
