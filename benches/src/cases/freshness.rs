//! (d) Line written → line searchable, as a person sees it: over HTTP, one probe after the other, at moments that have nothing
//! to do with any timer of the process.

use std::fs::File;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rookery_core::time;
use rookery_tests::kit::process::Launch;
use rookery_tests::kit::random::Random;
use rookery_tests::kit::wait;

use crate::results::{Results, quantile};

/// How long one line may take.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// Runs the probes.
pub(crate) fn run(quick: bool, results: &mut Results) -> Result<()> {
    let probes: usize = if quick { 40 } else { 400 };
    let folder = tempfile::tempdir_in(crate::target()?)?;
    let log = folder.path().join("probe.log");
    let mut file = File::options().create(true).append(true).open(&log)?;
    let mut launch = Launch::below(folder.path())?;
    launch.logs = vec![log.display().to_string()];
    let mut rookery = launch.start()?;
    let client = rookery.client()?;
    let mut random = Random::new(1);
    let mut times = Vec::with_capacity(probes);
    for number in 0..probes {
        let pause = Duration::from_millis(random.below(400));
        let until = Instant::now() + pause;
        while Instant::now() < until {
            thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
        let probe = format!("probe{number:06}x{:08x}", random.bits() as u32);
        let line = format!("{} INFO {probe} was written\n", time::rfc3339(time::now()));
        file.write_all(line.as_bytes())?;
        let written = Instant::now();
        wait::until("a probe to be searchable", PROBE_LIMIT, || {
            let found = client.search(&probe, &[("start", "5m"), ("limit", "1")])?;
            Ok((!found.is_empty()).then_some(()))
        })?;
        times.push(written.elapsed().as_secs_f64() * 1e3);
    }
    rookery.stop()?;
    times.sort_unstable_by(f64::total_cmp);
    let (p50, p99) = (quantile(&times, 0.5), quantile(&times, 0.99));
    results.add(
        "d",
        format!("line written → searchable, {probes} probes"),
        format!("p50 {p50:.0} ms, p99 {p99:.0} ms"),
        format!("p99 is {:.2} of the goal, 1,000 ms", p99 / 1e3),
    );
    Ok(())
}
