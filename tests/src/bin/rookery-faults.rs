//! The fault runs in their long form: on one machine, one run after the other until the time is up, each with a seed of its own; on a
//! fleet, every fault once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use rookery_tests::faults::fleet::fault::{Fault, Target};
use rookery_tests::faults::fleet::report::{self, Line};
use rookery_tests::faults::fleet::{self, Plan as FleetRun};
use rookery_tests::faults::{self, Plan, disk};
use rookery_tests::kit::fleet::Plan as FleetPlan;
use rookery_tests::kit::random::Random;

/// How long pauses and outages of a fleet's parts take.
const LONG: Duration = Duration::from_secs(30);

#[derive(Parser)]
#[command(about = "Kill, rotate and fill disks, then compare the store with what was written")]
struct Arguments {
    /// How long, on one machine.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The seed of the first run; the later ones follow from it.
    #[arg(long)]
    seed: Option<u64>,
    /// On a fleet: every fault once, and the report is written to this page.
    #[arg(long, value_name = "PAGE")]
    fleet: Option<PathBuf>,
    /// Of a fleet's faults, those whose name contains this.
    #[arg(long, requires = "fleet")]
    only: Option<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clock = rookery_core::time::now().unsigned_abs();
    let seed = arguments.seed.unwrap_or_else(|| Random::new(clock).bits());
    match arguments.fleet {
        Some(page) => on_a_fleet(&page, arguments.only.as_deref().unwrap_or(""), seed),
        None => on_one_machine(arguments.minutes, seed),
    }
}

fn on_a_fleet(page: &std::path::Path, only: &str, seed: u64) -> Result<()> {
    let chosen = |faults: Vec<Fault>| {
        let named = |fault: &Fault| fault.to_string().contains(only);
        faults.into_iter().filter(named).collect::<Vec<_>>()
    };
    let three = FleetPlan { brokers: 3, ..FleetPlan::default() };
    let runs = [
        (FleetPlan::default(), chosen(Fault::all(LONG))),
        (three, chosen(vec![Fault::Outage(Target::Broker, LONG)])),
        (FleetPlan::default(), chosen(vec![Fault::LosesLog(3)])),
    ];
    let mut lines: Vec<Line> = Vec::new();
    for (plan, faults) in runs.into_iter().filter(|(_, faults)| !faults.is_empty()) {
        say(&format!("{} brokers, {} faults, seed {seed}", plan.brokers, faults.len()));
        let folder = tempfile::Builder::new().prefix("rookery-fleet-").tempdir()?;
        let run = FleetRun { fleet: plan, faults, seed, folder: folder.path().to_owned() };
        let found = fleet::run(&run, |line| say(&line.to_string()));
        let is_kept = found.as_ref().is_ok_and(|lines| lines.iter().all(Line::is_kept));
        if !is_kept {
            say(&format!("everything of this run is kept in {}", folder.keep().display()));
        }
        lines.extend(found?);
    }
    let date = rookery_core::time::rfc3339(rookery_core::time::now());
    std::fs::write(page, report::page(&lines, &date[..10])?)
        .with_context(|| format!("write {}", page.display()))?;
    let broken = lines.iter().filter(|line| !line.is_kept()).count();
    if broken > 0 {
        bail!("{broken} of {} faults broke a promise; see {}", lines.len(), page.display());
    }
    say(&format!("{} faults: every promise kept; see {}", lines.len(), page.display()));
    Ok(())
}

fn on_one_machine(minutes: u64, first: u64) -> Result<()> {
    let mut seeds = Random::new(first);
    let mut seed = first;
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut runs = 0;
    while Instant::now() < end {
        // Every third run on a small disk that fills up, where that is allowed.
        let fill_disk = runs % 3 == 2 && disk::may_mount();
        let left = end.saturating_duration_since(Instant::now());
        one(seed, left.min(Duration::from_secs(120)), fill_disk)?;
        seed = seeds.bits();
        runs += 1;
    }
    if !disk::may_mount() {
        say("the full disk was not tried: mounting a small one needs root");
    }
    say(&format!("{runs} runs, in each: 0 lost, 0 doubled, 0 out of order, ledger balanced"));
    Ok(())
}

fn one(seed: u64, at_least: Duration, fill_disk: bool) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("rookery-faults-").tempdir()?;
    let plan = Plan {
        seed,
        kills: 30,
        at_least,
        lose_checkpoints: !fill_disk,
        lose_spool: !fill_disk,
        fill_disk,
        // Half of them, by chance.
        stutter: !fill_disk && seed.is_multiple_of(2),
        folder: folder.path().to_owned(),
    };
    let result = faults::run(&plan).and_then(|outcome| {
        say(&outcome.to_string());
        outcome.check()
    });
    if result.is_err() {
        let kept = folder.keep();
        say(&format!("everything of this run is kept in {}", kept.display()));
    }
    result.with_context(|| format!("the run with --seed {seed}"))
}

#[expect(clippy::print_stdout, reason = "a tool for people, run by hand")]
fn say(text: &str) {
    println!("{text}");
}
