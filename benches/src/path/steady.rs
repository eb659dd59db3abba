//! (a) and (d) at 10,000 lines a second: what the collector takes, and how soon a line is found at the other end.
//!
//! First nobody asks, and the processes are watched. Then one question follows the other, and the probes are written: asking is a load too.
//!
//! Probes are lines of a pod of its own, at moments that have nothing to do with any timer. A question asks for all
//! probes of the last half minute, over HTTP as a person would; a probe is searchable when the first answer that has it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rookery_core::time;
use rookery_tests::faults::compare;
use rookery_tests::kit::http::Client;
use rookery_tests::kit::process::COLLECTOR_VARIABLE;
use rookery_tests::kit::random::Random;
use rookery_tests::kit::wait;

use super::meter::{Meter, Spent, tell_threads};
use super::parts::{Parts, Role, Way};
use crate::cases::steady::{LINES_A_SECOND, SETTLE_LIMIT, TICK, WARM_UP, Writer, create};
use crate::machine;
use crate::results::{Results, quantile, say};

/// The word that only probes have.
const WORD: &str = "freshnessprobe";

/// How long one probe is asked for.
const ASKED_FOR: &str = "30s";

/// A question every so often at the most: the asking must not be the load.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// The pod of the probes: another number than any of the writer's.
const PROBE_POD: u64 = 99;

/// Writes at the rate, watches, and asks.
pub(crate) fn run(parts: &Parts, quick: bool, results: &mut Results) -> Result<()> {
    say("10,000 lines a second through the whole path");
    let seconds = if quick { 10 } else { 60 };
    let way = parts.way("steady")?;
    let ingester = way.ingester()?;
    let collector = way.collector(&way.pods())?;
    let query = way.query()?;

    let (is_asked, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (load, found) = thread::scope(|scope| {
        let asking = thread::Builder::new().name("asking".into());
        let asking = asking.spawn_scoped(scope, || ask(&query.client, &is_asked, &is_over))?;
        let processes = [("collector", &collector), ("ingester", &ingester), ("query", &query)];
        let phase = Duration::from_secs(seconds);
        let load = Load::run(parts, &way, &processes, phase, &is_asked);
        let settled = load.and_then(|load| load.settle(&query.client).map(|()| load));
        is_over.store(true, Ordering::Relaxed);
        let found = asking.join().ok().context("asking ended in a panic")??;
        anyhow::Ok((settled?, found))
    })?;
    load.report(seconds, results);
    report_freshness(&load.probes, &found, results)?;
    tell_threads("collector", collector.id())?;
    for role in [collector, ingester, query] {
        role.process.stop()?;
    }
    parts.forget(&way)
}

/// What was written, and what that took.
struct Load {
    written: u64,
    probes: BTreeMap<u64, Instant>,
    /// Of the collector, in MiB, while nobody asks.
    resident: Vec<f64>,
    /// While nobody asks, and while somebody does: what the processes took, and in how many seconds.
    phases: Vec<(Spent, f64)>,
}

impl Load {
    /// Writes through the warm-up and two phases of this length; from the second on, `is_asked`.
    fn run(
        parts: &Parts,
        way: &Way,
        roles: &[(&'static str, &Role); 3],
        phase: Duration,
        is_asked: &AtomicBool,
    ) -> Result<Self> {
        let mut writer = Writer::open(&way.pods())?;
        let mut probe_log = create(&way.pods(), "probe", PROBE_POD)?;
        let mut random = Random::new(2);
        let (mut number, mut probes) = (0, BTreeMap::new());
        let (mut resident, mut phases) = (Vec::new(), Vec::new());
        let start = Instant::now();
        let mut next = WARM_UP + phase;
        let mut begun: Option<(Instant, Meter)> = None;
        while phases.len() < 2 {
            writer.write_due(start.elapsed())?;
            let due = WARM_UP + phase * u32::try_from(phases.len())?;
            if begun.is_none() && start.elapsed() >= due {
                begun = Some((Instant::now(), watch(parts, roles)?));
            }
            if let Some((from, meter)) = &begun
                && from.elapsed() >= phase
            {
                phases.push((meter.read()?, from.elapsed().as_secs_f64()));
                begun = None;
                is_asked.store(true, Ordering::Relaxed);
            }
            if begun.is_some() && phases.is_empty() {
                let bytes = machine::resident_bytes(roles[0].1.id())?;
                resident.push(bytes as f64 / f64::from(1 << 20));
            }
            if start.elapsed() >= next {
                next = start.elapsed() + Duration::from_millis(50 + random.below(300));
                let now = time::rfc3339(time::now());
                let line = format!("{now} stdout F {now} INFO {WORD} {number:06} was written\n");
                probe_log.write_all(line.as_bytes())?;
                probes.insert(number, Instant::now());
                number += 1;
            }
            thread::park_timeout(TICK);
        }
        resident.sort_unstable_by(f64::total_cmp);
        Ok(Self { written: writer.written + number, probes, resident, phases })
    }

    /// Waits until everything is searchable.
    fn settle(&self, client: &Client) -> Result<()> {
        let (written, mut searchable) = (self.written, 0);
        let _ = wait::until("the last lines", SETTLE_LIMIT, || {
            thread::park_timeout(Duration::from_millis(200));
            searchable = compare::count(client)?;
            Ok((searchable >= written).then_some(()))
        });
        ensure!(searchable == written, "{searchable} records are searchable of {written} lines");
        Ok(())
    }

    fn report(&self, seconds: u64, results: &mut Results) {
        let (spent, measured) = &self.phases[0];
        let collector = spent.of("collector") / measured * 1e2;
        let resident = [0.5, 1.0].map(|part| quantile(&self.resident, part));
        results.add(
            "path a",
            format!("{LINES_A_SECOND} lines/s for {seconds} s, the collector{}", of_which_build()),
            format!(
                "resident median {:.1} MiB, most {:.1} MiB; CPU {collector:.1} % of a core",
                resident[0], resident[1]
            ),
            format!(
                "{:.2} and {:.2} of the goal, 28 MiB and 3 %; of others: Fluent Bit 34.5 MiB and 19 %, OpenTelemetry Collector 60 MiB and 49 %",
                resident[1] / 28.0,
                collector / 3.0
            ),
        );
        for ((spent, measured), what) in self.phases.iter().zip(["nobody asks", "one asks"]) {
            let what = format!("all processes at that rate while {what}, of a core");
            results.add("path a", what, spent.percent(*measured), String::new());
        }
    }
}

/// Which binary the collector is.
fn of_which_build() -> &'static str {
    if std::env::var_os(COLLECTOR_VARIABLE).is_some() { ", built by itself" } else { "" }
}

/// From now on, what the processes take.
fn watch(parts: &Parts, roles: &[(&'static str, &Role); 3]) -> Result<Meter> {
    let mut meter = Meter::default()
        .since_now("broker", parts.broker()?)?
        .since_now("engine", parts.clickhouse.id()?)?;
    for (name, role) in roles {
        meter = meter.since_now(name, role.id())?;
    }
    Ok(meter)
}

/// Asks until it is over, and once more; when each probe was first found.
fn ask(
    client: &Client,
    is_asked: &AtomicBool,
    is_over: &AtomicBool,
) -> Result<BTreeMap<u64, Instant>> {
    let mut found = BTreeMap::new();
    let mut is_last = false;
    while !is_last {
        // A question that began before the end may have missed the last probe.
        is_last = is_over.load(Ordering::Relaxed);
        let asked = Instant::now();
        if !is_asked.load(Ordering::Relaxed) {
            thread::park_timeout(ASK_EVERY);
            continue;
        }
        let rows = client.search(WORD, &[("start", ASKED_FOR), ("limit", "1000")])?;
        let answered = Instant::now();
        for row in &rows {
            let message = row["_msg"].as_str().context("a record has a message")?;
            let mut words = message.split(' ').skip_while(|word| *word != WORD).skip(1);
            let number = words.next().and_then(|number| number.parse().ok());
            let number = number.with_context(|| format!("{message} is no probe"))?;
            found.entry(number).or_insert(answered);
        }
        thread::park_timeout(ASK_EVERY.saturating_sub(asked.elapsed()));
    }
    Ok(found)
}

/// (d)
fn report_freshness(
    written: &BTreeMap<u64, Instant>,
    found: &BTreeMap<u64, Instant>,
    results: &mut Results,
) -> Result<()> {
    let missing: BTreeSet<_> = written.keys().filter(|probe| !found.contains_key(probe)).collect();
    if !missing.is_empty() {
        bail!("of {} probes, {missing:?} were not found in time", written.len());
    }
    let time = |(probe, at): (&u64, &Instant)| found[probe].duration_since(*at).as_secs_f64() * 1e3;
    let mut times: Vec<f64> = written.iter().map(time).collect();
    times.sort_unstable_by(f64::total_cmp);
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| quantile(&times, part));
    results.add(
        "path d",
        format!(
            "line written → searchable at {LINES_A_SECOND} lines/s through the whole path, {} probes",
            times.len()
        ),
        format!("p50 {p50:.0} ms, p99 {p99:.0} ms, most {most:.0} ms"),
        format!("p99 is {:.2} of the goal, 2,000 ms", p99 / 2e3),
    );
    Ok(())
}
