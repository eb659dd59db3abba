//! How fast lines become columns, on one core.
//!
//! `decode_speed` makes lines of the container runtime in memory (40 % JSON of applications, 10 % access logs, 10 %
//! logfmt, 40 % system logs, about 217 bytes each), decodes them into batches, and prints lines a second, also for each
//! kind alone, and for the same mix in Docker's format and in a plain file. `decode_speed FILE…` decodes files instead, and prints what was found in them.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use rookery_collector::decode::{DecodeConfig, DecodeStats, StreamDecoder};
use rookery_core::StreamId;
use rookery_core::logs::Resource;
use rookery_core::logs::builder::LogBatchBuilder;
use rookery_core::time::{SECOND, now, rfc3339};

/// As the collector reads, and as it ships.
const CHUNK_BYTES: usize = 256 << 10;
const BATCH_BYTES: usize = 4 << 20;
const LINES: usize = 200_000;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        return measure_all();
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(bytes) => describe(&file, &bytes),
            Err(error) => println!("{file}: {error}"),
        }
    }
}

fn measure_all() {
    use Kind::{Access, Json, Logfmt, System};
    const MIX: &[Kind] = &[Json, System, Json, System, Access, Json, System, Json, System, Logfmt];
    let kinds: [(&str, Wrap, &[Kind]); 7] = [
        ("mix", Wrap::Cri, MIX),
        ("docker", Wrap::Docker, MIX),
        ("plain", Wrap::Plain, MIX),
        ("json", Wrap::Cri, &[Json]),
        ("access", Wrap::Cri, &[Access]),
        ("logfmt", Wrap::Cri, &[Logfmt]),
        ("system", Wrap::Cri, &[System]),
    ];
    for (name, wrap, mix) in kinds {
        let text = lines(wrap, mix);
        let mut best = f64::MAX;
        let mut outcome = Outcome::default();
        for _ in 0..5 {
            let start = cpu_seconds();
            outcome = decode(text.as_bytes(), false);
            best = best.min(cpu_seconds() - start);
        }
        let size = text.len() as f64;
        println!(
            "{name:8} {:>9.0} lines/s a core {:>6.0} MB/s  ({:.0} B a line, {} records, {:.1} fields each)",
            LINES as f64 / best,
            size / best / 1e6,
            size / LINES as f64,
            outcome.rows,
            outcome.fields as f64 / outcome.rows as f64
        );
    }
}

/// What this thread has run, which neighbours on the machine disturb less than they disturb a clock; the clock where the
/// kernel does not say.
fn cpu_seconds() -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    nanos.map_or_else(|| START.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

/// What came out.
#[derive(Default)]
struct Outcome {
    stats: DecodeStats,
    rows: usize,
    /// Rows that have a severity.
    levels: usize,
    fields: usize,
}

/// Decodes all of a text.
fn decode(text: &[u8], look: bool) -> Outcome {
    let resource = Arc::new(Resource { pod: "api-7d9f".into(), ..Resource::default() });
    let config = Arc::new(DecodeConfig::default());
    let mut decoder = StreamDecoder::new(config, resource, StreamId([3; 16]));
    let (mut out, mut outcome, mut at) = (LogBatchBuilder::default(), Outcome::default(), 0);
    let stats = &mut outcome.stats;
    let observed = now();
    while at < text.len() {
        let end = (at + CHUNK_BYTES).min(text.len());
        let last = memchr::memrchr(b'\n', &text[at..end]).map_or(end, |n| at + n + 1);
        decoder.push(1, at as u64, &text[at..last], observed, &mut out, stats);
        at = last;
        if at == text.len() {
            decoder.flush(observed, &mut out, stats, true);
        }
        if out.size_bytes() > BATCH_BYTES || at == text.len() {
            let batch = out.finish().expect("a batch of this size has no column of 2 GiB");
            outcome.rows += batch.num_rows();
            outcome.fields +=
                batch.column_by_name("fields").map_or(0, |f| f.as_map().values().len());
            if look {
                let severity = batch.column(5).to_data();
                outcome.levels += severity.buffers()[0].iter().filter(|s| **s > 0).count();
            }
        }
    }
    outcome
}

fn describe(file: &str, bytes: &[u8]) {
    let Outcome { stats, rows, levels, .. } = decode(bytes, true);
    let timed = stats.records - stats.time_inherited - stats.time_fallback;
    let first = rookery_collector::decode::first_time(&DecodeConfig::default(), bytes);
    println!(
        "{file}: {rows} records of {} lines, time {:.2} %, level {:.2} %, joined {}, blank {}, invalid {}, first {}",
        stats.lines,
        100.0 * timed as f64 / rows.max(1) as f64,
        100.0 * levels as f64 / rows.max(1) as f64,
        stats.joined,
        stats.blank,
        stats.invalid_utf8,
        first.map_or_else(|| "none".into(), |(time, _)| rfc3339(time)),
    );
}

#[derive(Clone, Copy)]
enum Wrap {
    Cri,
    Docker,
    Plain,
}

#[derive(Clone, Copy)]
enum Kind {
    Json,
    Access,
    Logfmt,
    System,
}

/// Lines of these kinds in turn.
fn lines(wrap: Wrap, mix: &[Kind]) -> String {
    let mut text = String::with_capacity(LINES * 230);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let start = 1_795_226_523 * SECOND;
    for n in 0..LINES {
        // xorshift64: the lines are the same in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let time = rfc3339(start + n as i64 * 1_003_517 + 1);
        let output = if random.is_multiple_of(100) { "stderr" } else { "stdout" };
        let mut message = String::new();
        line(mix[n % mix.len()], random, &time, &mut message);
        let _ = match wrap {
            Wrap::Cri => writeln!(text, "{time} {output} F {message}"),
            Wrap::Plain => writeln!(text, "{message}"),
            Wrap::Docker => {
                message.push('\n');
                let log = serde_json::Value::String(message);
                writeln!(text, r#"{{"log":{log},"stream":"{output}","time":"{time}"}}"#)
            }
        };
    }
    text
}

fn line(kind: Kind, r: u64, time: &str, text: &mut String) {
    let level = ["info", "info", "info", "debug", "warn", "error"][(r % 6) as usize];
    let (user, ms, status) =
        (r >> 8 & 0xffff, r >> 24 & 0x3ff, [200, 200, 201, 404, 500][(r % 5) as usize]);
    let _ = match kind {
        Kind::Json => write!(
            text,
            "{{\"level\":\"{level}\",\"ts\":\"{time}\",\"logger\":\"http\",\"msg\":\"request handled\",\"method\":\"GET\",\
             \"path\":\"/api/v1/users/{user}\",\"status\":{status},\"duration_ms\":{ms}.25,\"user\":{{\"id\":{user}}}}}"
        ),
        Kind::Access => write!(
            text,
            "10.0.{}.{} - - [21/Nov/2026:01:02:03 +0000] \"GET /api/v1/items/{user}?page=2 HTTP/1.1\" {status} {ms} \
             \"https://shop.example.com/\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\" 0.{ms:03}",
            user & 255,
            user >> 8
        ),
        Kind::Logfmt => write!(
            text,
            "ts={time} level={level} caller=compactor.go:{ms} component=tsdb msg=\"compaction completed\" \
             duration={ms}.5ms block=01HF{r:016X} series={user} samples={status}00 tenant=team-{}",
            user % 50
        ),
        Kind::System => match r % 3 {
            0 => write!(
                text,
                "Nov 21 01:02:03 node-{} sshd[{user}]: Failed password for invalid user admin{ms} from 10.1.{}.7 port \
                 {user} ssh2: authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.1.2.3 session opened",
                user % 20,
                user & 255
            ),
            1 => write!(
                text,
                "2026-11-21 01:02:03,{ms:03} {} [main-{}] org.apache.hadoop.mapreduce.v2.app.rm.RMContainerAllocator: \
                 Recalculating schedule, headroom=<memory:{user}, vCores:-27> for attempt_{r:020}_r_000",
                level.to_uppercase(),
                user % 9
            ),
            _ => write!(
                text,
                "I1121 01:02:03.{:06}    {user} reconciler_common.go:{ms}] operationExecutor.VerifyControllerAttachedVolume \
                 started for volume \"kube-api-access-{user:x}\" (UniqueName: \"kubernetes.io/projected/{r:x}\")",
                r % 1_000_000
            ),
        },
    };
}
