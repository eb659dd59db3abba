//! How each program words what happened. Every function gives one message, or one multi-line message's lines.

use std::fmt::Display;

use rookery_core::time;

use super::random::Random;

const PRODUCTS: [&str; 12] = [
    "espresso-machine",
    "moka-pot",
    "hand-grinder",
    "pour-over-kettle",
    "french-press",
    "milk-frother",
    "scale-0.1g",
    "filter-papers",
    "tamper-58mm",
    "knock-box",
    "travel-mug",
    "cold-brew-jar",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "curl/8.11.0",
];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const USERS: [&str; 8] = ["ada", "grace", "edsger", "barbara", "donald", "radia", "ken", "frances"];

/// A product's name.
pub(super) fn product(random: &mut Random) -> &'static str {
    random.pick(&PRODUCTS)
}

/// A user's name.
pub(super) fn user(random: &mut Random) -> &'static str {
    random.pick(&USERS)
}

/// An address of a visitor, from the ranges that are kept for documentation (RFC 5737).
pub(super) fn visitor(random: &mut Random) -> String {
    let network = random.pick(&["192.0.2", "198.51.100", "203.0.113"]);
    format!("{network}.{}", 1 + random.below(254))
}

/// An address inside the cluster.
fn inside(random: &mut Random) -> String {
    format!("10.42.{}.{}", random.below(4), 2 + random.below(250))
}

/// A line of nginx's access log in the combined format, with the time that the request took.
pub(super) fn access(
    random: &mut Random,
    time: i64,
    request: &str,
    status: u16,
    took_ms: u64,
) -> String {
    let (bytes, agent) = (120 + random.below(40_000), random.pick(&AGENTS));
    let referer = random.pick(&["-", "https://shop.example/", "https://search.example/?q=coffee"]);
    format!(
        "{} - - [{}] \"{request} HTTP/1.1\" {status} {bytes} \"{referer}\" \"{agent}\" rt={:.3}",
        visitor(random),
        common_log_time(time),
        took_ms as f64 / 1e3
    )
}

/// nginx's error log, when nobody behind it answers.
pub(super) fn upstream_error(random: &mut Random, time: i64, request: &str) -> String {
    let (date, clock) = civil(time);
    let number = 1_000 + random.below(9_000);
    format!(
        "{} {clock} [error] 29#29: *{number} upstream prematurely closed connection while reading response header from upstream, client: {}, server: shop.example, request: \"{request} HTTP/1.1\", upstream: \"http://{}:8080/\", host: \"shop.example\"",
        date.replace('-', "/"),
        visitor(random),
        inside(random)
    )
}

/// A line of Go's `slog` in JSON.
pub(super) fn slog(time: i64, level: &str, message: &str, rest: &str) -> String {
    format!(r#"{{"time":"{}","level":"{level}","msg":"{message}",{rest}}}"#, time::rfc3339(time))
}

/// A line of Node's `pino`, whose levels are numbers.
pub(super) fn pino(time: i64, level: u8, message: &str, rest: &str) -> String {
    let milliseconds = time / 1_000_000;
    format!(
        r#"{{"level":{level},"time":{milliseconds},"pid":1,"hostname":"mailer","msg":"{message}",{rest}}}"#
    )
}

/// A line of logfmt.
pub(super) fn logfmt(time: i64, level: &str, message: &str, rest: &str) -> String {
    format!("ts={} level={level} msg=\"{message}\" {rest}", time::rfc3339(time))
}

/// A line of a Spring application.
pub(super) fn spring(
    random: &mut Random,
    time: i64,
    level: &str,
    class: &str,
    message: impl Display,
) -> String {
    let (date, clock) = civil(time);
    let milliseconds = time / 1_000_000 % 1_000;
    let thread = 1 + random.below(16);
    format!(
        "{date} {clock}.{milliseconds:03} {level:>5} 1 --- [nio-8080-exec-{thread}] {class:<40} : {message}"
    )
}

/// The stack trace of a payment that found no connection to the database.
pub(super) fn no_connection(waited_ms: u64) -> Vec<String> {
    let head = format!(
        "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after {waited_ms}ms."
    );
    let mut lines = vec![head];
    lines.extend(JAVA_FRAMES.iter().map(|frame| format!("\tat {frame}")));
    lines.push(
        "Caused by: org.postgresql.util.PSQLException: FATAL: sorry, too many clients already"
            .into(),
    );
    lines.extend(DRIVER_FRAMES.iter().map(|frame| format!("\tat {frame}")));
    lines.push("\t... 14 common frames omitted".into());
    lines
}

const JAVA_FRAMES: [&str; 6] = [
    "com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)",
    "com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:197)",
    "com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:100)",
    "org.springframework.jdbc.datasource.DataSourceUtils.fetchConnection(DataSourceUtils.java:160)",
    "example.payments.AuthorisationRepository.insert(AuthorisationRepository.java:58)",
    "example.payments.AuthorisationService.authorise(AuthorisationService.java:113)",
];
const DRIVER_FRAMES: [&str; 3] = [
    "org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:646)",
    "org.postgresql.core.v3.ConnectionFactoryImpl.tryConnect(ConnectionFactoryImpl.java:180)",
    "org.postgresql.Driver.connect(Driver.java:263)",
];

/// A line of Python's `logging`.
pub(super) fn python(time: i64, level: &str, message: impl Display) -> String {
    let (date, clock) = civil(time);
    format!(
        "{date} {clock},{:03} {level} recommendations.model: {message}",
        time / 1_000_000 % 1_000
    )
}

/// The traceback of a product without a vector.
pub(super) fn traceback(product: &str) -> Vec<String> {
    [
        "Traceback (most recent call last):",
        "  File \"/app/recommendations/api.py\", line 87, in recommend",
        "    neighbours = index.query(vectors[product], k=12)",
        "                             ~~~~~~~^^^^^^^^^",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!("KeyError: '{product}'")])
    .collect()
}

/// A line of PostgreSQL's server log.
pub(super) fn postgres(
    random: &mut Random,
    time: i64,
    level: &str,
    message: impl Display,
) -> String {
    let (date, clock) = civil(time);
    let (milliseconds, process) = (time / 1_000_000 % 1_000, 40 + random.below(900));
    format!("{date} {clock}.{milliseconds:03} UTC [{process}] {level}:  {message}")
}

/// A line of Redis.
pub(super) fn redis(time: i64, mark: char, message: impl Display) -> String {
    let (year, month, day) = time::civil_from_days(time.div_euclid(time::DAY));
    let (_, clock) = civil(time);
    let month = MONTHS[month as usize - 1];
    format!("1:M {day:02} {month} {year} {clock}.{:03} {mark} {message}", time / 1_000_000 % 1_000)
}

/// A line of klog: `I1121 01:02:03.123456       1 file.go:12] message`.
pub(super) fn klog(time: i64, level: char, place: &str, message: impl Display) -> String {
    let (_, month, day) = time::civil_from_days(time.div_euclid(time::DAY));
    let (_, clock) = civil(time);
    format!(
        "{level}{month:02}{day:02} {clock}.{:06}       1 {place}] {message}",
        time / 1_000 % 1_000_000
    )
}

/// A line of CoreDNS.
pub(super) fn dns(random: &mut Random) -> String {
    let name = random.pick(&[
        "payments-api.payments.svc.cluster.local.",
        "redis.platform.svc.cluster.local.",
        "catalog.shop.svc.cluster.local.",
        "mail.example.",
    ]);
    let code = if name.ends_with("example.") && random.once_in(3) { "NXDOMAIN" } else { "NOERROR" };
    format!(
        "[INFO] {}:{} - {} \"A IN {name} udp {} false 1232\" {code} qr,aa,rd {} 0.000{:03}{:03}s",
        inside(random),
        32_768 + random.below(28_000),
        random.below(65_536),
        40 + random.below(60),
        80 + random.below(120),
        random.below(900),
        random.below(1_000)
    )
}

/// A line of the node's own log.
pub(super) fn node(random: &mut Random, time: i64) -> String {
    let process = 700 + random.below(9_000);
    let stamp = time::rfc3339(time);
    match random.below(4) {
        0 => format!(
            "{stamp} node-1 systemd[1]: Started cri-containerd-{:016x}.scope - libcontainer container.",
            random.bits()
        ),
        1 => format!(
            "{stamp} node-1 sshd[{process}]: Connection closed by authenticating user root {} port {} [preauth]",
            visitor(random),
            1_024 + random.below(60_000)
        ),
        2 => format!(
            "{stamp} node-1 kernel: [{}.{:06}] eth0: renamed from tmp{:05x}",
            time / time::SECOND % 1_000_000,
            random.below(1_000_000),
            random.below(1 << 20)
        ),
        _ => format!(
            "{stamp} node-1 kubelet[{process}]: I{:04} prober.go:107] \"Probe succeeded\" probeType=\"Readiness\" pod=\"shop/catalog\"",
            random.below(1_232)
        ),
    }
}

/// `2026-11-21` and `01:02:03`, in UTC.
fn civil(time: i64) -> (String, String) {
    let (year, month, day) = time::civil_from_days(time.div_euclid(time::DAY));
    let second = time.rem_euclid(time::DAY) / time::SECOND;
    let clock = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    (format!("{year}-{month:02}-{day:02}"), clock)
}

/// `21/Nov/2026:01:02:03 +0000`
fn common_log_time(time: i64) -> String {
    let (year, month, day) = time::civil_from_days(time.div_euclid(time::DAY));
    let (_, clock) = civil(time);
    format!("{day:02}/{}/{year}:{clock} +0000", MONTHS[month as usize - 1])
}
