//! What the embedded store costs and answers, on data that looks like a cluster's logs: prints the cost of an append and of the
//! parts by byte of raw log, the bytes on disk by column, the cost of merging, and the time of each class of query.
//!
//! `cargo run --release -p rookery-parquet --example store_speed [-- MEGABYTES [FOLDER [merge]]]`; an existing folder is read, not filled, and its parts
//! are merged first when that is asked for.
//!
//! `ROOKERY_CLASS` chooses classes by a part of their names, for a profiler.
//!
//! Raw bytes are those of the lines as a container runtime writes them: 40 % JSON applications, 10 % access logs, 10 % logfmt,
//! 40 % system logs; 100 pods; 24 hours.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rookery_core::batch::{Block, Entry, Fate, Origin, Range};
use rookery_core::filter::{Filter, Pattern, Test};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::rows::{Column, Rows};
use rookery_core::store::{Accounts, Budget, Columns, ScanOrder, ScanRequest, Store, TimeBound};
use rookery_core::{Error, Position, Result, Scope, StreamId, Tenant, TimeRange, time};
use rookery_parquet::{ParquetConfig, ParquetStore};
use tokio_util::sync::CancellationToken;

/// The allocator of the binary, so that the figures are those of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PODS: usize = 100;
const BLOCK_ROWS: usize = 20_000;
/// What a container runtime writes before each line: the time, the stream and the tag.
const CRI_BYTES: u64 = 42;

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// Small values often, large ones seldom.
    fn skewed(&mut self, limit: u64) -> u64 {
        let top = self.below(limit) + 1;
        self.below(top)
    }
}

const LEVELS: [&str; 20] = [
    "info", "info", "info", "info", "info", "info", "info", "info", "info", "info", "info", "info",
    "debug", "debug", "debug", "debug", "debug", "warn", "warn", "error",
];
const METHODS: [&str; 5] = ["GET", "GET", "GET", "POST", "PUT"];
const ROUTES: [&str; 8] = [
    "/api/v1/orders",
    "/api/v1/users",
    "/api/v1/cart",
    "/api/v1/items",
    "/healthz",
    "/login",
    "/static/app.js",
    "/api/v2/search",
];
const EVENTS: [&str; 8] = [
    "request completed",
    "cache miss for key",
    "order accepted",
    "payment authorized by provider",
    "retrying upstream call",
    "connection refused by upstream",
    "session refreshed",
    "inventory reserved",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.4 Safari/605.1.15",
    "kube-probe/1.30",
    "curl/8.5.0",
];

fn severity(level: &str) -> u8 {
    match level {
        "debug" => 5,
        "warn" => 13,
        "error" => 17,
        _ => 9,
    }
}

/// Adds a body and the fields that were parsed out of it; the severity.
fn line(builder: &mut LogBatchBuilder, random: &mut Random, kind: usize, n: u64) -> u8 {
    match kind {
        0..4 => json_line(builder, random, n),
        4 => access_line(builder, random),
        5 => logfmt_line(builder, random),
        _ => system_line(builder, random),
    }
}

fn json_line(builder: &mut LogBatchBuilder, random: &mut Random, n: u64) -> u8 {
    let level = random.pick(&LEVELS);
    let (method, route) = (random.pick(&METHODS), random.pick(&ROUTES));
    let status = if level == "error" {
        500 + random.below(4)
    } else {
        [200, 200, 200, 201, 204, 304, 404][random.below(7) as usize]
    };
    let (millis, user) = (random.skewed(900), random.skewed(40_000));
    let trace = format!("{:016x}{:016x}", random.next(), random.next());
    let event = if n == 777_702 { "needle7f3a9 found" } else { random.pick(&EVENTS) };
    let path = format!("{route}/{}", random.skewed(5_000));
    let fields = [
        ("level", level.to_owned()),
        ("msg", event.to_owned()),
        ("method", method.to_owned()),
        ("path", path),
        ("status", status.to_string()),
        ("duration_ms", millis.to_string()),
        ("user_id", format!("u-{user}")),
        ("trace_id", trace),
    ];
    let mut body = String::from("{");
    for (index, (name, value)) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let quote = if matches!(*name, "status" | "duration_ms") { "" } else { "\"" };
        body.push_str(&format!("{comma}\"{name}\":{quote}{value}{quote}"));
        builder.field(name, value);
    }
    body.push('}');
    builder.push_body(&body);
    severity(level)
}

fn access_line(builder: &mut LogBatchBuilder, random: &mut Random) -> u8 {
    let client = format!("10.{}.{}.{}", random.below(4), random.below(250), random.below(250));
    let (method, agent) = (random.pick(&METHODS), random.pick(&AGENTS));
    let path = format!("{}?page={}", random.pick(&ROUTES), random.skewed(90));
    let status = [200, 200, 200, 301, 404, 502][random.below(6) as usize];
    let (bytes, took) = (random.skewed(60_000), random.skewed(2_000));
    let second = random.below(60);
    builder.push_body(&format!(
        "{client} - - [21/Nov/2026:10:17:{second:02} +0000] \"{method} {path} HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\" 0.{took:04}"
    ));
    builder.field("remote_addr", &client);
    builder.field("method", method);
    builder.field("path", &path);
    builder.field("status", &status.to_string());
    builder.field("bytes", &bytes.to_string());
    builder.field("user_agent", agent);
    if status >= 500 { 17 } else { 9 }
}

fn logfmt_line(builder: &mut LogBatchBuilder, random: &mut Random) -> u8 {
    let level = random.pick(&LEVELS);
    let (component, event) =
        (random.pick(&["tsdb", "rule", "scrape", "remote"]), random.pick(&EVENTS));
    let took = format!("{}.{:03}ms", random.skewed(300), random.below(1000));
    let block = format!("01J{:016X}", random.next());
    let samples = random.skewed(1_000_000).to_string();
    builder.push_body(&format!(
        "level={level} component={component} msg=\"{event}\" duration={took} block={block} samples={samples} caller=manager.go:{}",
        random.below(400)
    ));
    builder.field("level", level);
    builder.field("component", component);
    builder.field("msg", event);
    builder.field("duration", &took);
    builder.field("block", &block);
    builder.field("samples", &samples);
    severity(level)
}

fn system_line(builder: &mut LogBatchBuilder, random: &mut Random) -> u8 {
    let (pid, port) = (random.below(32_000), 1024 + random.below(60_000));
    let ip = format!("10.{}.{}.{}", random.below(4), random.below(250), random.below(250));
    let block = random.next() >> 2;
    let (body, severity) = match random.below(6) {
        0 => (
            format!(
                "sshd[{pid}]: Failed password for invalid user admin from {ip} port {port} ssh2"
            ),
            13,
        ),
        1 => (
            format!(
                "sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip} user=root"
            ),
            13,
        ),
        2 => (
            format!(
                "INFO dfs.DataNode$PacketResponder: Received block blk_{block} of size {} from /{ip}",
                random.skewed(67_108_864)
            ),
            9,
        ),
        3 => (
            format!(
                "INFO dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: {ip}:50010 is added to blk_{block} size {}",
                random.skewed(67_108_864)
            ),
            9,
        ),
        4 => (
            format!(
                "kernel: [{}.{:06}] eth0: link up, 10000 Mbps, full duplex, queue {} irq {}",
                random.below(900_000),
                random.below(1_000_000),
                random.below(16),
                random.below(256)
            ),
            9,
        ),
        _ => (
            format!(
                "kubelet[{pid}]: I1121 10:{:02}:{:02}.{:06} kubelet.go:2345] \"SyncLoop (PLEG): event for pod\" pod=\"shop/web-{}\" event={{ID:{:x} Type:ContainerStarted}}",
                random.below(60),
                random.below(60),
                random.below(1_000_000),
                random.below(100),
                random.next()
            ),
            9,
        ),
    };
    builder.push_body(&body);
    severity
}

fn pod(number: usize) -> Arc<Resource> {
    let app = ["shop", "web", "auth", "search", "billing"][number % 5];
    Arc::new(Resource {
        source: "container".into(),
        cluster: "main".into(),
        node: format!("node-{}", number % 7),
        namespace: app.into(),
        workload: format!("{app}-deploy"),
        pod: format!("{app}-7d9f8b6c5d-{number:05x}"),
        container: "main".into(),
        path: format!("/var/log/pods/{app}_{number}/main/0.log"),
        labels: vec![
            ("app".into(), app.into()),
            ("pod_uid".into(), format!("{number:032x}")),
            ("tier".into(), "backend".into()),
        ],
        ..Resource::default()
    })
}

/// Makes blocks and gives each to `each`; the raw bytes and the records.
async fn generate(
    target: u64,
    mut each: impl AsyncFnMut(Block) -> Result<()>,
) -> Result<(u64, u64)> {
    let mut random = Random(42);
    let tenant = Tenant::default();
    let resources: Vec<_> = (0..PODS).map(pod).collect();
    let streams: Vec<_> = (0..PODS).map(|p| StreamId::of(&tenant, &[&resources[p].pod])).collect();
    let mut offsets = vec![0u64; PODS];
    let start = time::days_from_civil(2026, 11, 20) * time::DAY;
    let lines = target / 217;
    let (mut raw, mut records) = (0, 0);
    while records < lines {
        let mut builder = LogBatchBuilder::default();
        let mut entries = Vec::new();
        let count = (BLOCK_ROWS as u64).min(lines - records);
        let span = time::DAY as u64 / lines.max(1);
        for pod in 0..PODS {
            let rows = count / PODS as u64 + u64::from((pod as u64) < count % PODS as u64);
            let resource = builder.resource(&resources[pod]);
            let from = offsets[pod];
            for row in 0..rows {
                let n = records + row * PODS as u64 + pod as u64;
                let severity = line(&mut builder, &mut random, pod % 10, n);
                let bytes = builder.body().len() as u64 + CRI_BYTES;
                let printed = start + (n * span + random.below(span)) as i64;
                builder.finish_record(Head {
                    resource,
                    stream: streams[pod],
                    position: Position { generation: 1, offset: offsets[pod] },
                    time: printed,
                    observed: start + (records * span) as i64,
                    severity,
                    trace_id: None,
                    span_id: None,
                });
                offsets[pod] += bytes;
                raw += bytes;
            }
            entries.push(Entry {
                range: Range {
                    stream: streams[pod],
                    generation: 1,
                    start: from,
                    end: offsets[pod],
                    records: rows,
                    fate: Fate::Kept,
                    after: Position::default(),
                },
                duplicates: 0,
                duplicate_bytes: 0,
                tags: resources[pod].stream_tags().into(),
            });
        }
        records += count;
        each(Block {
            tenant: tenant.clone(),
            origin: Origin::default(),
            records: vec![builder.finish()?],
            entries,
        })
        .await?;
    }
    Ok((raw, records))
}

/// The processor time of this process, or of its threads with a name, in seconds. Of ended threads only the process knows.
fn processor_seconds(thread: Option<&str>) -> f64 {
    let files = match thread {
        None => vec![PathBuf::from("/proc/self/stat")],
        Some(_) => {
            let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
            tasks.map(|task| task.path().join("stat")).collect()
        }
    };
    let mut ticks = 0.0;
    for file in files {
        let stat = std::fs::read_to_string(file).unwrap_or_default();
        if thread.is_some_and(|name| !stat.contains(&format!("({name})"))) {
            continue;
        }
        // Fields 14 and 15, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        ticks += [11, 12].iter().filter_map(|&i| fields.get(i)?.parse::<f64>().ok()).sum::<f64>();
    }
    ticks / 100.0
}

fn scan(store: &ParquetStore, request: &ScanRequest) -> Result<Vec<Rows>> {
    let partitions = store.scan(&Scope::tenant(Tenant::default()), request.clone())?;
    std::thread::scope(|threads| {
        let readers: Vec<_> = partitions
            .into_iter()
            .map(|partition| threads.spawn(move || partition.collect::<Result<Vec<_>>>()))
            .collect();
        let mut rows = Vec::new();
        for reader in readers {
            rows.extend(reader.join().map_err(|_| Error::internal("a reader panicked"))??);
        }
        Ok(rows)
    })
}

fn request(filter: Filter, columns: Columns, order: ScanOrder) -> ScanRequest {
    ScanRequest {
        time: TimeRange::ALL,
        filter: Arc::new(filter),
        columns,
        order,
        bound: Arc::new(TimeBound::default()),
        partitions: 2,
        cancel: CancellationToken::new(),
        budget: Arc::new(Budget::new(1 << 30)),
    }
}

/// Reads all fields of the newest hundred records, as a query with a limit does.
fn newest(store: &ParquetStore, filter: Filter) -> Result<usize> {
    let ask = request(filter, Columns::All, ScanOrder::NewestFirst);
    let partitions = store.scan(&Scope::tenant(Tenant::default()), ask.clone())?;
    let kept = std::sync::Mutex::new(Vec::<i64>::new());
    let keep = |rows: &Rows| {
        let Some(Column::Time(times)) = rows.column("_time") else { return };
        let mut kept = kept.lock().expect("no reader panicked");
        kept.extend(times.values());
        kept.sort_unstable_by_key(|t| std::cmp::Reverse(*t));
        kept.truncate(100);
        if kept.len() == 100 {
            ask.bound.raise_min(kept[99]);
        }
    };
    std::thread::scope(|threads| {
        for partition in partitions {
            threads.spawn(|| partition.flatten().for_each(|rows| keep(&rows)));
        }
    });
    Ok(kept.into_inner().map_err(|_| Error::internal("a reader panicked"))?.len())
}

/// The median time and the mean processor time of some runs in milliseconds, and how many records came.
fn median(mut run: impl FnMut() -> Result<usize>) -> Result<(f64, f64, usize)> {
    let before = processor_seconds(None);
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..9 {
        let started = Instant::now();
        found = run()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let processor = (processor_seconds(None) - before) * 1e3 / times.len() as f64;
    Ok((times[times.len() / 2], processor, found))
}

fn queries(store: &ParquetStore) -> Result<()> {
    let word = |field: &str, text: &str| Filter::field(field, Test::Phrase(text.into()));
    let regexp =
        |text: &str| Ok::<_, Error>(Filter::field("_msg", Test::Regexp(Pattern::new(text)?)));
    let only = |names: &[&str]| Columns::Only(names.iter().map(|n| (*n).into()).collect());
    let exact = |field: &str, text: &str| Filter::field(field, Test::Exact(text.into()));
    let classes: Vec<(&str, Filter, Columns)> = vec![
        ("count of all", Filter::All, only(&[])),
        ("needle, all fields", word("_msg", "needle7f3a9"), Columns::All),
        ("phrase, count", word("_msg", "connection refused"), only(&[])),
        ("regexp with a literal, count", regexp("refused by up[a-z]+")?, only(&[])),
        ("regexp without, count", regexp("[0-9]{5}/[0-9]")?, only(&[])),
        ("time of all", Filter::All, only(&["_time"])),
        ("time of level:error", word("level", "error"), only(&["_time"])),
        ("a JSON field of all", Filter::All, only(&["user_id"])),
        (
            "status:>=500, count",
            Filter::field("status", Test::Range { min: 500.0, max: f64::INFINITY }),
            only(&[]),
        ),
        ("one pod, count", exact("pod", "web-7d9f8b6c5d-00001"), only(&[])),
        ("facets of level:error", word("level", "error"), Columns::All),
    ];
    let wanted = std::env::var("ROOKERY_CLASS").unwrap_or_default();
    for (name, filter, columns) in classes.into_iter().filter(|(name, ..)| name.contains(&wanted)) {
        let ask = request(filter, columns, ScanOrder::Any);
        let (millis, processor, found) =
            median(|| Ok(scan(store, &ask)?.iter().map(|rows| rows.len).sum()))?;
        println!("{name:32} {millis:9.2} ms  {processor:9.2} ms of processor  {found} rows");
    }
    for (name, filter) in [
        ("last 100 of all", Filter::All),
        ("last 100 of a common word", word("_msg", "completed")),
        ("last 100 of one pod", exact("pod", "web-7d9f8b6c5d-00001")),
    ]
    .into_iter()
    .filter(|(name, _)| name.contains(&wanted))
    {
        let (millis, processor, found) = median(|| newest(store, filter.clone()))?;
        println!("{name:32} {millis:9.2} ms  {processor:9.2} ms of processor  {found} rows");
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(200);
    let folder = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("rookery-store-speed"), PathBuf::from);
    if !folder.join("manifest.json").exists() {
        fill(&folder, megabytes << 20).await?;
    }
    let now = time::days_from_civil(2026, 11, 21) * time::DAY + 2 * time::HOUR;
    let mut config = ParquetConfig::in_directory(&folder);
    config.merge.enabled = false;
    let wants_merge = arguments.next().as_deref() == Some("merge");
    config.merge.enabled = wants_merge;
    // Merged as much as may be: the day is over.
    let now = if wants_merge { now + 10 * time::DAY } else { now };
    let store = ParquetStore::open_with_clock(config, Arc::new(move || now))?;
    if wants_merge {
        let before = processor_seconds(None);
        store.merge_all()?;
        println!("merge: {:.2} s of processor", processor_seconds(None) - before);
    }
    println!("{:?}", store.usage());
    let bytes = (megabytes << 20) as f64;
    for (column, size) in store.bytes_by_column()?.into_iter().filter(|(_, size)| *size > 9_999) {
        println!("  {column:24} {:8.5} of {megabytes} MiB", size as f64 / bytes);
    }
    queries(&store)?;
    many_streams(100_000).await
}

/// What many streams cost: an append that names each, a close that writes their accounts, an open that reads them.
async fn many_streams(count: u64) -> Result<()> {
    let folder = std::env::temp_dir().join("rookery-store-streams");
    let _ = std::fs::remove_dir_all(&folder);
    let tenant = Tenant::default();
    let entry = |n: u64| Entry {
        range: Range {
            stream: StreamId::of(&tenant, &[&n.to_string()]),
            generation: time::now() as u64,
            start: 0,
            end: 1000,
            records: 5,
            fate: Fate::Kept,
            after: Position::default(),
        },
        duplicates: 0,
        duplicate_bytes: 0,
        tags: format!("{{container=\"main\",namespace=\"shop\",pod=\"web-{n}\"}}").into(),
    };
    let block = Block {
        origin: Origin::default(),
        tenant: tenant.clone(),
        records: Vec::new(),
        entries: (0..count).map(entry).collect(),
    };
    let store = ParquetStore::open(ParquetConfig::in_directory(&folder))?;
    let started = Instant::now();
    store.append(block).await?;
    let appended = started.elapsed();
    store.close().await?;
    let closed = started.elapsed() - appended;
    drop(store);
    let started = Instant::now();
    let store = ParquetStore::open(ParquetConfig::in_directory(&folder))?;
    let found = store.accounts(Accounts::All).await?.len();
    println!(
        "{found} streams: append {appended:?}, close {closed:?}, open and list {:?}",
        started.elapsed()
    );
    Ok(())
}

async fn fill(folder: &std::path::Path, target: u64) -> Result<()> {
    let before = processor_seconds(None);
    let (raw, records) = generate(target, async |_| Ok(())).await?;
    let generating = processor_seconds(None) - before;
    println!("{records} records, {:.1} MB raw", raw as f64 / 1e6);
    let now = time::days_from_civil(2026, 11, 21) * time::DAY + 2 * time::HOUR;
    let mut config = ParquetConfig::in_directory(folder);
    config.merge.enabled = false;
    let per_byte = |seconds: f64| seconds * 1e9 / raw as f64;

    // The log alone: nothing is written as parts until the end.
    config.memory_table = rookery_core::units::Bytes(64 << 30);
    let store = ParquetStore::open_with_clock(config.clone(), Arc::new(move || now))?;
    let started = Instant::now();
    generate(target, async |block| store.append(block).await).await?;
    let appending = processor_seconds(Some("store-append"));
    let elapsed = started.elapsed().as_secs_f64();
    let log_bytes = store.stats().log_bytes.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "append: {:.2} ns/B of processor, {elapsed:.1} s with generating; log {:.3} of raw",
        per_byte(appending),
        log_bytes as f64 / raw as f64
    );
    drop(store);
    std::fs::remove_dir_all(folder).map_err(|e| Error::io("remove the folder", e))?;

    config.memory_table = ParquetConfig::default().memory_table;
    let store = ParquetStore::open_with_clock(config.clone(), Arc::new(move || now))?;
    let (started, before) = (Instant::now(), processor_seconds(None));
    generate(target, async |block| store.append(block).await).await?;
    store.close().await?;
    let all = processor_seconds(None) - before - generating;
    println!(
        "append and flush: {:.2} ns/B of processor, {:.1} s with generating",
        per_byte(all),
        started.elapsed().as_secs_f64()
    );
    sizes("flushed", &store, raw);
    drop(store);

    config.merge.enabled = true;
    let (started, before) = (Instant::now(), processor_seconds(None));
    let store = ParquetStore::open_with_clock(config, Arc::new(move || now))?;
    store.merge_all()?;
    println!(
        "merge: {:.2} ns/B of processor, {:.1} s",
        per_byte(processor_seconds(None) - before),
        started.elapsed().as_secs_f64()
    );
    sizes("merged", &store, raw);
    for (column, bytes) in store.bytes_by_column()? {
        println!("  {column:24} {:8.4} of raw", bytes as f64 / raw as f64);
    }
    store.close().await
}

fn sizes(what: &str, store: &ParquetStore, raw: u64) {
    let usage = store.usage();
    println!(
        "{what}: {} parts, {:.4} of raw, of that the index {:.4}",
        usage.parts,
        usage.part_bytes as f64 / raw as f64,
        usage.index_bytes as f64 / raw as f64
    );
}
