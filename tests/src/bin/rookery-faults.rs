//! The fault run in its long form: one run after the other, each with a seed of its own, until the time is up.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use rookery_tests::faults::{self, Plan, disk};
use rookery_tests::kit::random::Random;

#[derive(Parser)]
#[command(about = "Kill, rotate and fill disks, then compare the store with what was written")]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The seed of the first run; the later ones follow from it.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clock = rookery_core::time::now().unsigned_abs();
    let mut seeds = Random::new(arguments.seed.unwrap_or(clock));
    let mut seed = arguments.seed.unwrap_or_else(|| seeds.bits());
    let end = Instant::now() + Duration::from_secs(arguments.minutes * 60);
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
