//! What each kind of program writes.

use std::fmt::Write;

use rookery_core::time;
use rookery_tests::kit::random::Random;

use super::{NEEDLE, PHRASE};

/// A kind of program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// One JSON object a line, with a trace.
    Json,
    /// nginx, combined format with the time taken.
    Access,
    /// `key=value` pairs.
    Logfmt,
    /// klog, a database, the node's services.
    System,
}

const SERVICES: [&str; 10] = [
    "orders", "catalog", "cart", "payments", "search", "mail", "sessions", "stock", "prices",
    "reviews",
];
const METHODS: [&str; 4] = ["GET", "GET", "POST", "PUT"];
const MESSAGES: [&str; 9] = [
    PHRASE,
    PHRASE,
    "request handled",
    "cache miss, reading from the database",
    "row updated",
    "message published to topic",
    "token refreshed for the session",
    "session restored from the cookie",
    "retrying after a timeout of the database",
];
const ERRORS: [&str; 4] = [
    "connection refused by the database, giving up",
    "deadline exceeded while waiting for the upstream",
    "cannot parse the payload: unexpected end of input",
    "permission denied for the bucket",
];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "curl/8.11.0",
    "kube-probe/1.34",
];
const WRITE: &str = "a String takes everything";

impl Program {
    /// What pods of it are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "app",
            Self::Access => "nginx",
            Self::Logfmt => "worker",
            Self::System => "system",
        }
    }

    /// One CRI line at this time, with a newline.
    pub(super) fn write_line(
        self,
        out: &mut String,
        at: i64,
        random: &mut Random,
        is_needle: bool,
    ) {
        time::write_rfc3339(out, at);
        out.push_str(" stdout F ");
        match self {
            Self::Json => json(out, at, random, is_needle),
            Self::Access => access(out, at, random, is_needle),
            Self::Logfmt => logfmt(out, at, random),
            Self::System => system(out, at, random, is_needle),
        }
        out.push('\n');
    }
}

/// Mostly small, with a long tail.
fn duration_ms(random: &mut Random) -> u64 {
    let base = 1 + random.below(40);
    if random.once_in(50) { base * (10 + random.below(60)) } else { base }
}

fn level_and_message(random: &mut Random) -> (&'static str, &'static str) {
    match random.below(100) {
        0..3 => ("error", random.pick(&ERRORS)),
        3..10 => ("warn", MESSAGES[8]),
        _ => ("info", random.pick(&MESSAGES[..8])),
    }
}

fn json(out: &mut String, at: i64, random: &mut Random, is_needle: bool) {
    let (level, message) = level_and_message(random);
    let service = random.pick(&SERVICES);
    let status = match level {
        "error" => 500 + random.below(4),
        _ => random.pick(&[200, 200, 200, 201, 204, 304, 404]),
    };
    out.push_str("{\"ts\":\"");
    time::write_rfc3339(out, at / 1_000_000 * 1_000_000);
    write!(
        out,
        "\",\"level\":\"{level}\",\"service\":\"{service}\",\"msg\":\"{message}\",\"method\":\"{}\",\"path\":\"/api/v1/{service}/{}\",\"status\":{status},\"duration_ms\":{},\"user\":\"u{}\"",
        random.pick(&METHODS),
        random.below(5_000),
        duration_ms(random),
        random.below(20_000)
    )
    .expect(WRITE);
    // Half of the requests are traced.
    if random.once_in(2) {
        let (high, low) = (random.bits(), random.bits());
        write!(out, ",\"trace_id\":\"{high:016x}{low:016x}\"").expect(WRITE);
    }
    if is_needle {
        write!(out, ",\"note\":\"{NEEDLE}\"").expect(WRITE);
    }
    out.push('}');
}

fn address(out: &mut String, random: &mut Random) {
    // A few visitors come often, the others once.
    let visitor = if random.once_in(3) { random.below(1 << 16) } else { random.below(400) };
    write!(out, "10.{}.{}.{}", visitor >> 14, visitor >> 7 & 0x7f, visitor & 0x7f).expect(WRITE);
}

fn access(out: &mut String, at: i64, random: &mut Random, is_needle: bool) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = time::civil_from_days(at.div_euclid(time::DAY));
    let second = at.rem_euclid(time::DAY) / time::SECOND;
    address(out, random);
    let month = MONTHS[month as usize - 1];
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    write!(out, " - - [{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000] ")
        .expect(WRITE);
    let path = if is_needle { NEEDLE } else { random.pick(&SERVICES) };
    let status = random.pick(&[200, 200, 200, 200, 200, 301, 304, 404, 499, 502]);
    write!(
        out,
        "\"{} /{path}/{} HTTP/1.1\" {status} {} \"-\" \"{}\" {}.{:03}",
        random.pick(&METHODS),
        random.below(5_000),
        random.below(20_000),
        random.pick(&AGENTS),
        random.below(2),
        random.below(1_000)
    )
    .expect(WRITE);
}

fn logfmt(out: &mut String, at: i64, random: &mut Random) {
    let (level, message) = level_and_message(random);
    out.push_str("ts=");
    time::write_rfc3339(out, at / 1_000_000 * 1_000_000);
    write!(
        out,
        " level={level} component={} msg=\"{message}\" queue=q{} job={} duration={}ms bytes={} shard={}",
        random.pick(&SERVICES),
        random.below(12),
        random.below(1_000_000),
        duration_ms(random),
        random.below(100_000),
        random.below(64)
    )
    .expect(WRITE);
}

fn system(out: &mut String, at: i64, random: &mut Random, is_needle: bool) {
    let (_, month, day) = time::civil_from_days(at.div_euclid(time::DAY));
    let second = at.rem_euclid(time::DAY) / time::SECOND;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let micros = at / 1_000 % 1_000_000;
    let note = if is_needle { NEEDLE } else { "readiness" };
    match random.below(4) {
        0 => write!(
            out,
            "I{month:02}{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}       1 prober.go:107] \"Probe succeeded\" probeType=\"{note}\" pod=\"shop/app-{}\" podUID=\"{:08x}-44ac\" containerName=\"app\" latency=\"{}ms\" attempt={}",
            random.below(60),
            random.below(60) * 0x9e37_79b9 % (1 << 32),
            duration_ms(random),
            1 + random.below(2)
        ),
        1 => write!(
            out,
            "{hour:02}:{minute:02}:{second:02}.{:03} UTC [{}] LOG:  duration: {}.{:03} ms  statement: SELECT id, state FROM {} WHERE owner = {} AND state = '{note}'",
            micros / 1_000,
            random.below(300),
            duration_ms(random),
            random.below(1_000),
            random.pick(&SERVICES),
            random.below(20_000)
        ),
        2 => write!(
            out,
            "node-{:02} kubelet[{}]: sync of pod volumes finished: pod shop/app-{} has {} volumes mounted, {note} gate is open, took {}ms",
            random.below(20),
            800 + random.below(40),
            random.below(60),
            random.below(9),
            duration_ms(random)
        ),
        _ => write!(
            out,
            "node-{:02} kernel: [{}.{:06}] IPVS: rr: TCP 10.96.{}.{}:443 - no destination available, {note} {} packets dropped on veth{:06x}",
            random.below(20),
            at / time::SECOND % 1_000_000,
            random.below(1_000_000),
            random.below(4),
            random.below(250),
            random.below(500),
            random.below(200) * 7_919
        ),
    }
    .expect(WRITE);
}
