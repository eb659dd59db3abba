//! What the store promises, with real processes that are killed, real disks that are full, and another reader.
//!
//! The tests start this program again as a child (`ROOKERY_CHILD` holds the folder), which appends blocks and prints the number of each
//! when it was told that it is safe. After the child was killed, every block that was printed must be there, once, whole, with its account.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rookery_core::batch::{Block, Entry, Fate, Origin, Range};
use rookery_core::filter::Filter;
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::store::{Accounts, Budget, Columns, ScanOrder, ScanRequest, Store, TimeBound};
use rookery_core::units::{Bytes, Span};
use rookery_core::{Kind, Position, Scope, StreamId, Tenant, TimeRange, time};
use rookery_parquet::{ParquetConfig, ParquetStore};
use tokio_util::sync::CancellationToken;

const ROWS: u64 = 400;

fn start() -> i64 {
    time::days_from_civil(2026, 1, 1) * time::DAY
}

fn config(folder: &Path) -> ParquetConfig {
    let mut config = ParquetConfig::in_directory(folder);
    // Small, so that a child flushes and merges many times in its short life.
    config.memory_table = Bytes::mib(1);
    config.fsync_interval = Span::millis(0);
    config.merge.fan_in = 3;
    config.min_free_disk = Bytes(0);
    config
}

fn open(folder: &Path) -> rookery_core::Result<ParquetStore> {
    open_with(config(folder))
}

fn open_with(config: ParquetConfig) -> rookery_core::Result<ParquetStore> {
    ParquetStore::open_with_clock(config, Arc::new(|| start() + time::DAY / 2))
}

fn stream() -> StreamId {
    StreamId::of(&Tenant::default(), &["writer"])
}

/// Block `n`: its records follow those of block `n - 1`.
fn block(n: u64) -> Block {
    let resource = Arc::new(Resource { pod: "writer".into(), ..Resource::default() });
    let mut builder = LogBatchBuilder::default();
    for row in n * ROWS..(n + 1) * ROWS {
        let resource = builder.resource(&resource);
        let noise = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        builder.push_body(&format!("record {row} {noise:x} {:x}", noise.rotate_left(17)));
        builder.field("row", &row.to_string());
        builder.finish_record(Head {
            resource,
            stream: stream(),
            position: Position { generation: 1, offset: row },
            time: start() + row as i64,
            observed: start(),
            severity: 9,
            trace_id: None,
            span_id: None,
        });
    }
    let range = Range {
        stream: stream(),
        generation: 1,
        start: n * ROWS,
        end: (n + 1) * ROWS,
        records: ROWS,
        fate: Fate::Kept,
        after: Position::default(),
    };
    let entry = Entry { range, duplicates: 0, duplicate_bytes: 0, tags: "{}".into() };
    let records = vec![builder.finish().unwrap()];
    Block { tenant: Tenant::default(), origin: Origin::default(), records, entries: vec![entry] }
}

/// How often each record is there; the records are read with their bodies.
fn count(store: &ParquetStore) -> BTreeMap<u64, u32> {
    let request = ScanRequest {
        time: TimeRange::ALL,
        filter: Arc::new(Filter::All),
        columns: Columns::Only(vec!["row".into(), "_msg".into()]),
        order: ScanOrder::Any,
        bound: Arc::new(TimeBound::default()),
        partitions: 1,
        cancel: CancellationToken::new(),
        budget: Arc::new(Budget::new(1 << 30)),
    };
    let mut found = BTreeMap::new();
    let (mut a, mut b) = (String::new(), String::new());
    for partition in store.scan(&Scope::tenant(Tenant::default()), request).unwrap() {
        for rows in partition {
            let rows = rows.unwrap();
            let (row, body) = (rows.column("row").unwrap(), rows.column("_msg").unwrap());
            for r in 0..rows.len {
                let row: u64 = row.text(r, &mut a).parse().unwrap();
                assert!(body.text(r, &mut b).starts_with(&format!("record {row} ")));
                *found.entry(row).or_insert(0) += 1;
            }
        }
    }
    found
}

/// Checks that the store holds exactly the first blocks, at least `safe` of them, and that the account says the same. How many there are.
async fn check(store: &ParquetStore, safe: u64) -> u64 {
    let found = count(store);
    let records = found.len() as u64;
    assert!(found.keys().copied().eq(0..records), "the records are the first ones, without a hole");
    assert!(found.values().all(|&times| times == 1), "none came twice");
    assert_eq!(records % ROWS, 0, "a block is there as a whole");
    assert!(records >= safe * ROWS, "{records} records, {safe} blocks were safe");
    let accounts = store.accounts(Accounts::All).await.unwrap();
    let mark = accounts.first().map_or(0, |account| account.mark.offset);
    assert_eq!(mark, records, "the account says what is stored");
    records / ROWS
}

/// The child: appends until it is killed. Not a test by itself: it does nothing unless it was started as a child.
#[tokio::test]
async fn child() {
    let Ok(folder) = std::env::var("ROOKERY_CHILD") else { return };
    let store = open(Path::new(&folder)).unwrap();
    let first =
        store.accounts(Accounts::All).await.unwrap().first().map_or(0, |a| a.mark.offset) / ROWS;
    for n in first.. {
        store.append(block(n)).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "safe {}", n + 1).unwrap();
        out.flush().unwrap();
    }
}

fn spawn(folder: &Path, fault: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env("ROOKERY_CHILD", folder);
    if let Some(fault) = fault {
        command.env("ROOKERY_FAULT", fault);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Reads how many blocks were safe until the child ends, or until `enough`.
fn safe_blocks(child: &mut Child, enough: u64) -> u64 {
    let mut safe = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The test harness writes before the first one, on the same line.
        if let Some((_, number)) = line.unwrap().rsplit_once("safe ") {
            safe = number.parse().unwrap();
        }
        if safe >= enough {
            break;
        }
    }
    safe
}

#[tokio::test]
async fn a_killed_process_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut safe = 0;
    for round in 1..=12u64 {
        let mut child = spawn(folder.path(), None);
        // Killed at other moments each time: between frames, in flushes, in merges.
        let more = safe_blocks(&mut child, safe + 3 + round * 7 % 19);
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(folder.path()).unwrap();
        safe = check(&store, more.max(safe)).await;
    }
    let store = open(folder.path()).unwrap();
    assert!(store.usage().parts > 0, "the children wrote parts");
}

#[tokio::test]
async fn a_stop_at_every_step_loses_and_doubles_nothing() {
    if !cfg!(debug_assertions) {
        panic!(
            "the places of faults are in builds with debug assertions only: run this test without --release"
        );
    }
    let steps = [
        "before log:9",
        "after log:9",
        "after part:2",
        "after accounts:2",
        "before manifest:2",
        "after manifest:2",
        "before manifest:4",
        "after merge:1",
        "after merge:2",
    ];
    for step in steps {
        let folder = tempfile::tempdir().unwrap();
        let mut child = spawn(folder.path(), Some(step));
        let safe = safe_blocks(&mut child, u64::MAX);
        let status = child.wait().unwrap();
        assert!(!status.success(), "the child stopped at {step}");
        let store = open(folder.path()).unwrap();
        let blocks = check(&store, safe).await;
        store.append(block(blocks)).await.unwrap();
        store.close().await.unwrap();
        check(&store, blocks + 1).await;
        drop(store);
        assert_eq!(strangers(folder.path()), 0, "nothing half-written stays after {step}");
    }
}

/// Temporary files, and parts without an index or the other way round.
fn strangers(folder: &Path) -> usize {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let with = |extension: &str| {
        files.iter().filter(|f| f.extension().is_some_and(|e| e == extension)).count()
    };
    with("tmp") + with("parquet").abs_diff(with("index"))
}

/// A file system of its own, unmounted at the end.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "this test needs to mount a small tmpfs: run it as root, or in a container with the capability SYS_ADMIN"
        );
        Self(folder)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_with_advice_and_takes_them_again_when_there_is_room() {
    let mount = Mount::new(24 << 20);
    let folder = mount.0.path().join("data");
    let ballast = mount.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 12 << 20]).unwrap();
    for min_free in [0, 4 << 20] {
        let mut config = config(&folder);
        config.min_free_disk = Bytes(min_free);
        // Room stays as it is, whatever the parts take.
        config.retention.total = Some(Bytes(u64::MAX));
        let store = open_with(config).unwrap();
        let mut n = check(&store, 0).await;
        let error = loop {
            match store.append(block(n)).await {
                Ok(()) => n += 1,
                Err(error) => break error,
            }
            assert!(n < 5_000, "the disk does not fill up");
        };
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        if min_free > 0 {
            assert!(error.to_string().contains("free some space"), "{error}");
        }
        check(&store, n).await;
        std::fs::remove_file(&ballast).unwrap();
        let mut tries = 0;
        while let Err(error) = store.append(block(n)).await {
            // The flush that failed is tried again within seconds.
            assert!(error.kind() == Kind::Unavailable && tries < 600, "{error}");
            tries += 1;
            // As an ingester does between two tries; the answer does not depend on how long it is.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        store.close().await.unwrap();
        assert_eq!(store.usage().memory_records, 0, "all of it is in parts");
        check(&store, n + 1).await;
        drop(store);
        let store = open(&folder).unwrap();
        check(&store, n + 1).await;
        drop(store);
        assert_eq!(strangers(&folder), 0);
        // The next round starts over on a disk that is filled in another way.
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&ballast, vec![1; 14 << 20]).unwrap();
    }
}

#[tokio::test]
async fn a_close_writes_parts_where_there_is_room_again_although_the_last_try_failed() {
    let mount = Mount::new(8 << 20);
    let ballast = mount.0.path().join("ballast");
    let now = Arc::new(AtomicI64::new(start()));
    let clock = now.clone();
    let store = ParquetStore::open_with_clock(
        config(&mount.0.path().join("data")),
        Arc::new(move || clock.load(Ordering::Relaxed)),
    )
    .unwrap();
    store.append(block(0)).await.unwrap();
    // Until nothing more fits.
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap_err();
    now.fetch_add(time::HOUR, Ordering::Relaxed);
    let failures =
        || store.stats().list().iter().find(|s| s.0 == "flush_failures").map(|s| s.2).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while failures() == 0 {
        assert!(Instant::now() < deadline, "the table is old and was to be written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_file(&ballast).unwrap();
    store.append(block(1)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!((store.usage().memory_records, store.usage().part_records), (0, 2 * ROWS));
}

#[tokio::test]
async fn a_part_that_is_cut_is_set_aside_and_the_rest_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.merge.enabled = false;
    let store = open_with(config.clone()).unwrap();
    for n in 0..40 {
        store.append(block(n)).await.unwrap();
    }
    store.close().await.unwrap();
    let (parts, records) = (store.usage().parts, store.usage().part_records);
    drop(store);
    assert!(parts > 2);
    let day = folder.path().join("parts/default/2026-01-01");
    let mut files: Vec<_> = std::fs::read_dir(&day).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let parquet: Vec<_> = files.iter().filter(|f| f.extension().unwrap() == "parquet").collect();
    std::fs::OpenOptions::new().write(true).open(parquet[0]).unwrap().set_len(1000).unwrap();
    std::fs::remove_file(parquet[1].with_extension("index")).unwrap();
    let store = open_with(config).unwrap();
    assert_eq!(store.usage().parts, parts - 2);
    let quarantined = store.stats().list().iter().find(|s| s.0 == "quarantined_parts").unwrap().2;
    assert_eq!(quarantined, 2);
    let left = count(&store).len() as u64;
    assert!(left < records && left == store.usage().part_records);
    assert_eq!(
        store.accounts(Accounts::All).await.unwrap()[0].mark.offset,
        40 * ROWS,
        "the account stays"
    );
}

#[tokio::test]
async fn a_part_that_was_changed_is_an_error_that_names_it_and_never_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.append(block(0)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let day = folder.path().join("parts/default/2026-01-01");
    let index = std::fs::read_dir(&day).unwrap().map(|e| e.unwrap().path());
    let index = index.into_iter().find(|f| f.extension().unwrap() == "index").unwrap();
    let mut bytes = std::fs::read(&index).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    let store = open(folder.path()).unwrap();
    let request = ScanRequest {
        time: TimeRange::ALL,
        filter: Arc::new(Filter::All),
        columns: Columns::All,
        order: ScanOrder::Any,
        bound: Arc::new(TimeBound::default()),
        partitions: 1,
        cancel: CancellationToken::new(),
        budget: Arc::new(Budget::new(1 << 30)),
    };
    let mut partitions = store.scan(&Scope::tenant(Tenant::default()), request).unwrap();
    let error = partitions[0].next().unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains(".parquet"), "{error}");
}

#[tokio::test]
async fn retention_removes_whole_parts_and_keeps_the_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.append(block(0)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let later = start() + 31 * time::DAY;
    let store =
        ParquetStore::open_with_clock(config(folder.path()), Arc::new(move || later)).unwrap();
    store.apply_retention().unwrap();
    assert_eq!(store.usage().parts, 0);
    assert_eq!(count(&store).len(), 0);
    assert_eq!(store.accounts(Accounts::All).await.unwrap()[0].stored.records, ROWS);
    assert!(!folder.path().join("parts/default").exists(), "the folders are gone");
    assert_eq!(store.append(block(1)).await.map_err(|e| e.to_string()), Ok(()));
}

/// Installs a package into a Python environment under the target folder, once.
fn python_with(package: &str) -> std::path::PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("test-python");
    let python = target.join("bin/python");
    let has = |python: &Path| {
        let import = Command::new(python).args(["-c", &format!("import {package}")]).output();
        import.is_ok_and(|output| output.status.success())
    };
    if !has(&python) {
        let run = |command: &mut Command| {
            let output = command.output().expect("python3 is installed");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{command:?}: {text}");
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&target));
        run(Command::new(target.join("bin/pip")).args(["install", "--quiet", package]));
        assert!(has(&python), "{package} was installed and cannot be imported");
    }
    python
}

/// Records of every form: each with its body and the fields that are cut out of it.
fn mixed_block(rows: u64) -> (Block, Vec<String>) {
    let resource = Arc::new(Resource { pod: "mixed".into(), ..Resource::default() });
    let stream = StreamId::of(&Tenant::default(), &["mixed"]);
    let mut builder = LogBatchBuilder::default();
    let mut bodies = Vec::new();
    for n in 0..rows {
        let resource = builder.resource(&resource);
        let at = start() + n as i64 * 1_000_003_001;
        let stamp = time::rfc3339(at / 1_000_000 * 1_000_000);
        let id = format!(
            "{:032x}",
            u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        );
        let path = format!("/api/{}", n % 17);
        let status = (200 + n % 3).to_string();
        let rare = format!("rare{}", n % 300);
        let body = match n % 6 {
            0 => format!(
                r#"{{"ts":"{stamp}","path":"{path}","status":{status},"trace_id":"{id}","{rare}":"v{n}"}}"#
            ),
            1 => format!("ts={stamp} path={path} status={status} {rare}=v{n}"),
            2 => format!("10.0.{}.7 - - [01/Jan/2026:{}] {status}", n % 250, &stamp[11..19]),
            3 => format!("node-{:02} took {}.{:03} s of größe{n}", n % 20, n, n % 1000),
            4 => format!("kept whole: \u{2}{n}\u{3} \u{1f}"),
            _ => (0..40).map(|k| format!("w{k} {k}, ")).collect(),
        };
        builder.push_body(&body);
        if n % 6 < 2 {
            let fields =
                [("ts", &stamp), ("path", &path), ("status", &status), (&rare, &format!("v{n}"))];
            fields.iter().for_each(|(name, value)| builder.field(name, value));
        }
        builder.finish_record(Head {
            resource,
            stream,
            position: Position { generation: 1, offset: n },
            time: at,
            observed: start(),
            severity: 9,
            trace_id: (n % 6 == 0).then_some(id.as_str()),
            span_id: None,
        });
        bodies.push(body);
    }
    let range = Range {
        stream,
        generation: 1,
        start: 0,
        end: rows,
        records: rows,
        fate: Fate::Kept,
        after: Position::default(),
    };
    let entry = Entry { range, duplicates: 0, duplicate_bytes: 0, tags: "{}".into() };
    let records = vec![builder.finish().unwrap()];
    let origin = Origin::default();
    (Block { tenant: Tenant::default(), origin, records, entries: vec![entry] }, bodies)
}

#[tokio::test]
async fn another_reader_of_parquet_opens_a_part_and_finds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 0..30 {
        store.append(block(n)).await.unwrap();
    }
    let (mixed, bodies) = mixed_block(3_000);
    store.append(mixed).await.unwrap();
    store.close().await.unwrap();
    let parts = format!("{}/parts/*/*/*.parquet", folder.path().display());
    let script = format!(
        "import duckdb\n\
         t = \"read_parquet('{parts}', union_by_name=true)\"\n\
         q = f\"\"\"select count(*), count(distinct \"fields.row\"), min(\"offset\"), max(\"offset\"), min(pod), max(pod),\n\
         min(epoch_ns(time)), count(distinct stream), min(generation), count(distinct \"body.template\"), count(\"body.t0\")\n\
         from {{t}} where pod = 'writer'\"\"\"\n\
         print(duckdb.sql(q).fetchall()[0])",
    );
    let python = python_with("duckdb");
    let run = |arguments: &[&str]| {
        let output = Command::new(&python).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let rows = 30 * ROWS;
    let text = run(&["-c", &script]);
    let numbers: Vec<&str> = text.trim_matches(['(', ')', '\n']).split(", ").collect();
    let expected =
        format!("{rows}, {rows}, 0, {}, 'writer', 'writer', {}, 1, 1", rows - 1, start());
    assert_eq!(numbers[..9].join(", "), expected);
    let count = |place: usize| numbers[place].parse::<u64>().unwrap();
    assert!((1..=8).contains(&count(9)) && count(10) > rows / 2, "templates and words: {text}");

    // The documented way back to the bodies, by a program that knows nothing but the file.
    let rebuild = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/bodies.py");
    let stream_of = |body: &str| body.starts_with("record ");
    let mut found = 0;
    for line in run(&[rebuild, &parts]).lines() {
        let (_, _, offset, body): (String, u64, u64, String) = serde_json::from_str(line).unwrap();
        let noise = offset.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let expected = match stream_of(&body) {
            true => format!("record {offset} {noise:x} {:x}", noise.rotate_left(17)),
            false => bodies[offset as usize].clone(),
        };
        assert_eq!(body, expected);
        found += 1;
    }
    assert_eq!(found, rows + 3_000);
}
