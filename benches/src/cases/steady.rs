//! (e) Memory and CPU of the whole process, collector to store, at 10,000 lines a second.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rookery_core::time;
use rookery_tests::kit::process::Launch;
use rookery_tests::kit::random::Random;
use rookery_tests::kit::wait;

use crate::machine;
use crate::results::{Results, quantile};

const LINES_A_SECOND: u64 = 10_000;

const PODS: u64 = 20;

/// How often lines are written.
const TICK: Duration = Duration::from_millis(20);

/// Caches and pools fill up before anything is measured.
const WARM_UP: Duration = Duration::from_secs(10);

/// How long the last lines may take.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Writes at the rate and watches the process.
pub(crate) fn run(quick: bool, results: &mut Results) -> Result<()> {
    let seconds = if quick { 10 } else { 60 };
    let folder = tempfile::tempdir_in(crate::target()?)?;
    let pods = folder.path().join("pods");
    let mut logs = open(&pods)?;
    let mut launch = Launch::below(folder.path())?;
    launch.pods = Some(pods);
    let mut rookery = launch.start()?;
    let client = rookery.client()?;
    let process = rookery.id();

    let start = Instant::now();
    let mut written = 0;
    let mut random = Random::new(1);
    let mut resident = Vec::new();
    let mut begun: Option<(Instant, f64)> = None;
    while start.elapsed() < WARM_UP + Duration::from_secs(seconds) {
        let due = (start.elapsed().as_secs_f64() * LINES_A_SECOND as f64) as u64;
        while written < due {
            write_line(&mut logs[(written % PODS) as usize], &mut random)?;
            written += 1;
        }
        logs.iter_mut().try_for_each(Write::flush)?;
        if start.elapsed() >= WARM_UP {
            begun.get_or_insert((Instant::now(), machine::cpu_seconds(process)?));
            resident.push(machine::resident_bytes(process)? as f64 / f64::from(1 << 20));
        }
        thread::park_timeout(TICK);
    }
    let (from, before) = begun.expect("the run is longer than the warm-up");
    let cpu = (machine::cpu_seconds(process)? - before) / from.elapsed().as_secs_f64();
    let mut searchable = 0;
    let _ = wait::until("the last lines", SETTLE_LIMIT, || {
        searchable = rookery_tests::faults::compare::count(&client)?;
        Ok((searchable >= written).then_some(()))
    });
    ensure!(searchable == written, "{searchable} records are searchable of {written} lines");
    rookery.stop()?;
    resident.sort_unstable_by(f64::total_cmp);
    results.add(
        "e",
        format!("{LINES_A_SECOND} lines/s for {seconds} s, the whole process"),
        format!(
            "resident median {:.0} MiB, most {:.0} MiB; CPU {:.1} % of a core",
            quantile(&resident, 0.5),
            quantile(&resident, 1.0),
            cpu * 100.0
        ),
        "goal for a collector alone: 28 MiB, 3 %".to_owned(),
    );
    Ok(())
}

fn open(folder: &Path) -> Result<Vec<BufWriter<File>>> {
    let mut logs = Vec::new();
    for pod in 0..PODS {
        let folder =
            folder.join(format!("load_app-{pod:02}_00000000-0000-4000-a000-{pod:012}/app"));
        fs::create_dir_all(&folder)?;
        logs.push(BufWriter::new(
            File::options().create(true).append(true).open(folder.join("0.log"))?,
        ));
    }
    Ok(logs)
}

fn write_line(log: &mut impl Write, random: &mut Random) -> Result<()> {
    let now = time::rfc3339(time::now());
    let (status, took) = (random.pick(&[200, 200, 200, 404, 500]), random.below(300));
    writeln!(
        log,
        "{now} stdout F {{\"ts\":\"{now}\",\"level\":\"info\",\"msg\":\"request handled\",\"path\":\"/api/v1/orders/{}\",\"status\":{status},\"duration_ms\":{took},\"trace_id\":\"{:016x}{:016x}\"}}",
        random.below(5_000),
        random.bits(),
        random.bits()
    )?;
    Ok(())
}
