//! The fault run of a fleet: one fault after the other on real parts, under load and rotation, and after each the whole account.
//!
//! For each fault, programs on every node begin to log into new files; the fault comes, stays and goes while they write and rotate; then
//! the fleet must be fresh again within a minute, and the store is read back over HTTP and compared line by line with what was written:
//! lost, doubled, out of order, altered; and the ledger must balance and say the same. [`fault`] says what can happen, [`load`] writes,
//! [`report`] prints.

pub mod fault;
pub mod load;
pub mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::compare;
use super::compare::Outcome;
use crate::kit::fleet::{Fleet, Plan as FleetPlan};
use crate::kit::http::Client;
use crate::kit::wait;
use fault::Fault;
use load::Load;
use report::{Freshness, Line};

/// How long the load runs before a fault, so that there is something that it can break.
const BEFORE: Duration = Duration::from_secs(2);

/// How long it goes on after the fault.
const AFTER: Duration = Duration::from_secs(3);

/// How soon a line must be searchable once the fault is over for this long, and that long.
pub const FRESH: Duration = Duration::from_secs(2);
const FRESH_WITHIN: Duration = Duration::from_secs(60);

/// How long the last lines may take to become searchable.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// Nothing may have come for so long before the store is compared: what comes twice comes late.
const STILL_FOR: Duration = Duration::from_secs(2);

/// What a run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The fleet that it is done to.
    pub fleet: FleetPlan,
    /// What happens, in this order.
    pub faults: Vec<Fault>,
    /// The seed of the chance in it.
    pub seed: u64,
    /// Where everything is written; kept when the run fails.
    pub folder: PathBuf,
}

/// Does what the plan says.
///
/// # Errors
/// When the run itself cannot go on. What it finds is in the lines.
pub fn run(plan: &Plan, mut each: impl FnMut(&Line)) -> Result<Vec<Line>> {
    let mut fleet = Fleet::start(&plan.fleet, &plan.folder)?;
    let mut past = Past::default();
    let mut lines = Vec::new();
    for (index, fault) in plan.faults.iter().enumerate() {
        let seed = plan.seed.wrapping_add(index as u64);
        let line = one(&mut fleet, fault, index, seed, &mut past)
            .with_context(|| format!("during the fault `{fault}`"))?;
        each(&line);
        lines.push(line);
    }
    let panics: Vec<String> = panics(&mut fleet)?;
    if !panics.is_empty() {
        bail!("processes panicked: {}", panics.join("; "));
    }
    Ok(lines)
}

/// What earlier faults left in the store.
#[derive(Debug, Default)]
struct Past {
    written: u64,
    lost: u64,
    given_up: u64,
}

fn one(fleet: &mut Fleet, fault: &Fault, index: usize, seed: u64, past: &mut Past) -> Result<Line> {
    let started = Instant::now();
    let folders: Vec<PathBuf> = (0..fleet.collectors.len()).map(|node| fleet.node(node)).collect();
    let load = Load::start(&folders, index, seed)?;
    pause(BEFORE);
    fault.happen(fleet)?;
    let healed = Instant::now();
    let freshness = until_fresh(fleet, index, healed)?;
    pause(AFTER);
    let streams = load.stop()?;

    let mut outcome = Outcome { seed, ..Outcome::default() };
    let client = fleet.client()?;
    let probes = freshness.probes;
    let expected = past.written - past.lost
        + probes
        + streams.iter().map(super::stream::Stream::len).sum::<u64>();
    settle(&client, expected, fault.may_lose())?;
    for stream in &streams {
        outcome.disturbances += stream.disturbances();
    }
    compare::streams(&client, &streams, past.written - past.lost + probes, &mut outcome)?;
    past.written += outcome.written + probes;
    past.lost += outcome.lost;
    ledger(&client, fault, past, &mut outcome)?;
    Ok(Line { fault: fault.clone(), outcome, freshness, took: started.elapsed() })
}

/// Waits until all is there and nothing more comes; what is missing at the limit is for the comparison to report.
fn settle(client: &Client, expected: u64, may_lose: bool) -> Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    let deadline = Instant::now() + SETTLE_LIMIT;
    // Where lines may be given up nobody knows how many will come.
    let patience = if may_lose { Duration::from_secs(20) } else { STILL_FOR };
    while Instant::now() < deadline {
        let count = compare::count(client)?;
        if count != last {
            (last, since) = (count, Instant::now());
        }
        let is_still = since.elapsed() >= patience;
        if is_still && (last >= expected || may_lose) {
            break;
        }
        pause(Duration::from_millis(100));
    }
    Ok(())
}

/// Writes a line and looks how long it takes until it is found, again and again until that is short.
fn until_fresh(fleet: &mut Fleet, index: usize, healed: Instant) -> Result<Freshness> {
    let path = fleet.node(0).join(format!("logs/probe{index}.log"));
    let mut probe = 0;
    loop {
        let word = format!("probe{index}n{probe}");
        let stamp = rookery_core::time::rfc3339(rookery_core::time::now());
        let mut file = super::files::append(&path)?;
        std::io::Write::write_all(&mut file, format!("{stamp} INFO {word}\n").as_bytes())?;
        probe += 1;
        let written = Instant::now();
        let client = fleet.client()?;
        let look = || Ok(client.search(&word, &[]).ok().filter(|found| !found.is_empty()));
        wait::until("a line to be searchable", SETTLE_LIMIT, look)?;
        let delay = written.elapsed();
        let after = healed.elapsed();
        if delay <= FRESH || after > FRESH_WITHIN {
            return Ok(Freshness { delay, after, probes: probe, in_time: after <= FRESH_WITHIN });
        }
    }
}

/// Asks the ledger; adds to the outcome where it does not say what was found.
fn ledger(client: &Client, fault: &Fault, past: &mut Past, outcome: &mut Outcome) -> Result<()> {
    let ledger = client.json("/api/ledger", &[])?;
    if ledger["balanced"] != Value::Bool(true) {
        outcome.ledger.push("it says itself that the sums do not balance".to_owned());
    }
    let total = |kind: &str, unit: &str| {
        let value = ledger["totals"][kind][unit].as_u64();
        value.with_context(|| format!("the ledger has no {kind} {unit}"))
    };
    let stored = total("stored", "records")?;
    let given_up = total("lost", "bytes")? + total("shed", "bytes")?;
    let now = given_up - past.given_up;
    past.given_up = given_up;
    if stored != past.written - past.lost {
        outcome.ledger.push(format!(
            "{stored} records stored; {} lines written, {} of them missing",
            past.written, past.lost
        ));
    }
    match (outcome.lost, now) {
        (0, 0) => {}
        (0, bytes) => {
            outcome.ledger.push(format!("{bytes} bytes lost or shed, but no line is missing"));
        }
        (lines, 0) => outcome.ledger.push(format!("{lines} lines are missing without an entry")),
        (lines, bytes) if fault.may_lose() => {
            outcome.accounted = lines;
            outcome.example(|| {
                format!("{lines} lines were given up, {bytes} bytes of them in the ledger")
            });
        }
        _ => {}
    }
    Ok(())
}

fn panics(fleet: &mut Fleet) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for member in fleet.members() {
        let journal = member.journal()?;
        found.extend(
            journal
                .lines()
                .filter(|line| line.contains("panicked at"))
                .map(|line| format!("{}: {line}", member.name)),
        );
    }
    Ok(found)
}

/// Lets time pass: a fault that lasts is made of it.
fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) =
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        std::thread::park_timeout(left);
    }
}
