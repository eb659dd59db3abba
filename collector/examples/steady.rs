//! What a collector costs by itself: memory and CPU at a steady rate of lines.
//!
//! `steady [LINES_A_SECOND [SECONDS [PODS]]]` (10,000, 60 and 100) starts itself once more as a process that does nothing but collect, into a queue
//! that confirms each batch at once and drops it; writes the lines of that many containers, and prints what the system says of the other process: resident
//! memory, its anonymous part, CPU, and which threads used it.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rookery_collector::config::PodsConfig;
use rookery_collector::{Collector, CollectorConfig, process};
use rookery_core::batch::Batch;
use rookery_core::queue::{Queue, Receipt, receipt};
use rookery_core::time::{now, rfc3339};
use rookery_core::{BoxFuture, Result};
use tokio_util::sync::CancellationToken;

/// The allocator of the shipped binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often lines are written.
const TICK: Duration = Duration::from_millis(20);
/// Buffers fill up before anything is measured.
const WARM_UP: Duration = Duration::from_secs(10);
/// What `utime` and `stime` count in (proc(5)).
const TICKS_A_SECOND: f64 = 100.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder] = &arguments[..]
        && mode == "collect"
    {
        return collect(Path::new(folder));
    }
    let number = |at: usize, or: u64| {
        arguments.get(at).map_or(or, |text| text.parse().expect("a number: see the documentation"))
    };
    measure(number(0, 10_000), number(1, 60), number(2, 100));
}

/// Confirms every batch at once, and forgets it.
#[derive(Default)]
struct Nowhere {
    records: AtomicU64,
}

impl Queue for Nowhere {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>> {
        self.records.fetch_add(batch.records.num_rows() as u64, Ordering::Relaxed);
        let (acknowledger, receipt) = receipt();
        acknowledger.resolve(Ok(()));
        Box::pin(async { Ok(receipt) })
    }
}

/// The other process: collects until its input ends, and prints how many records came.
fn collect(folder: &Path) {
    process::keep_small();
    let runtime = process::runtime().expect("a runtime can be made");
    let queue = Arc::new(Nowhere::default());
    runtime.block_on(async {
        let config = CollectorConfig {
            state_dir: folder.join("state"),
            pods: Some(PodsConfig { directory: folder.join("pods"), ..PodsConfig::default() }),
            ..CollectorConfig::default()
        };
        let cancel = CancellationToken::new();
        let collector = Collector::start(config, queue.clone(), &cancel).expect("it starts");
        let (end, ended) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = end.send(());
        });
        let _ = ended.await;
        collector.stop(Duration::from_secs(10)).await.expect("it stops in time");
    });
    println!("{}", queue.records.load(Ordering::Relaxed));
}

fn measure(rate: u64, seconds: u64, pods: u64) {
    let folder = tempfile::tempdir().expect("a folder for the logs");
    let mut logs = open(&folder.path().join("pods"), pods);
    let own = std::env::current_exe().expect("the name of this program");
    let mut other = Command::new(own)
        .arg("collect")
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts once more");
    let pid = other.id();
    let start = Instant::now();
    let (mut written, mut seed) = (0u64, 1u64);
    let mut resident = Vec::new();
    let mut begun: Option<(Instant, BTreeMap<String, f64>)> = None;
    while start.elapsed() < WARM_UP + Duration::from_secs(seconds) {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        while written < due {
            write_line(&mut logs[(written % pods) as usize], &mut seed);
            written += 1;
        }
        logs.iter_mut().for_each(|log| log.flush().expect("the disk has room"));
        if start.elapsed() >= WARM_UP {
            begun.get_or_insert_with(|| (Instant::now(), cpu_by_thread(pid)));
            resident.push(memory(pid));
        }
        thread::park_timeout(TICK);
    }
    let (from, before) = begun.expect("the run is longer than the warm-up");
    let (span, after) = (from.elapsed().as_secs_f64(), cpu_by_thread(pid));
    // The last lines are read, too.
    thread::park_timeout(WARM_UP / 5);
    drop(other.stdin.take());
    let output = other.wait_with_output().expect("it ends");
    let counted: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
    assert_eq!(counted, written, "records of lines");

    let of = |field: fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = resident.iter().map(field).collect();
        values.sort_unstable_by(f64::total_cmp);
        (values[values.len() / 2], values[values.len() - 1])
    };
    let ((median, most), (anonymous, most_anonymous)) = (of(|m| m[0]), of(|m| m[1]));
    println!("{rate} lines/s of {pods} containers for {seconds} s");
    println!("resident   median {median:.1} MiB, most {most:.1} MiB");
    println!("anonymous  median {anonymous:.1} MiB, most {most_anonymous:.1} MiB");
    let shares: BTreeMap<&str, f64> = after
        .iter()
        .map(|(name, ticks)| (name.as_str(), ticks - before.get(name).unwrap_or(&0.0)))
        .map(|(name, ticks)| (name, ticks / TICKS_A_SECOND / span * 100.0))
        .collect();
    println!("CPU        {:.2} % of a core", shares.values().sum::<f64>());
    for (name, share) in shares {
        println!("  {name:<12} {share:.2} %");
    }
}

fn open(folder: &Path, pods: u64) -> Vec<BufWriter<File>> {
    let open = |pod: u64| {
        let name = format!("load_app-{pod:03}_00000000-0000-4000-a000-{pod:012}/app");
        fs::create_dir_all(folder.join(&name)).expect("the disk has room");
        let path = folder.join(name).join("0.log");
        BufWriter::new(File::options().create(true).append(true).open(path).expect("a log"))
    };
    (0..pods).map(open).collect()
}

/// A line of about 217 bytes, as an application writes it.
fn write_line(log: &mut impl Write, seed: &mut u64) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    let (time, number) = (rfc3339(now()), *seed);
    writeln!(
        log,
        "{time} stdout F {{\"ts\":\"{time}\",\"level\":\"info\",\"msg\":\"request handled\",\"path\":\"/api/v1/orders/{}\",\"status\":200,\"duration_ms\":{},\"trace_id\":\"{number:032x}\"}}",
        number % 5_000,
        number % 300,
    )
    .expect("the disk has room");
}

/// Resident memory and its anonymous part, in MiB.
fn memory(process: u32) -> [f64; 2] {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    ["VmRSS:", "RssAnon:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.expect("a line of proc(5)") / 1024.0
    })
}

/// Ticks of CPU by the name of the thread; threads of one name together.
fn cpu_by_thread(process: u32) -> BTreeMap<String, f64> {
    let mut threads = BTreeMap::new();
    let folder = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    for thread in folder.flatten() {
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let name = name.split_once('(').map_or("", |(_, name)| name);
        let ticks: f64 =
            rest.split(' ').skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
        *threads.entry(name.to_owned()).or_insert(0.0) += ticks;
    }
    threads
}
