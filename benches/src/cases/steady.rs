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

/// The rate.
pub(crate) const LINES_A_SECOND: u64 = 10_000;

const PODS: u64 = 20;

/// How often lines are written.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Caches and pools fill up before anything is measured.
pub(crate) const WARM_UP: Duration = Duration::from_secs(10);

/// How long the last lines may take.
pub(crate) const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Writes at the rate and watches the process.
pub(crate) fn run(quick: bool, results: &mut Results) -> Result<()> {
    let seconds = if quick { 10 } else { 60 };
    let folder = tempfile::tempdir_in(crate::target()?)?;
    let pods = folder.path().join("pods");
    let mut writer = Writer::open(&pods)?;
    let mut launch = Launch::below(folder.path())?;
    launch.pods = Some(pods);
    let mut rookery = launch.start()?;
    let client = rookery.client()?;
    let process = rookery.id();

    let start = Instant::now();
    let mut resident = Vec::new();
    let mut begun: Option<(Instant, f64)> = None;
    while start.elapsed() < WARM_UP + Duration::from_secs(seconds) {
        writer.write_due(start.elapsed())?;
        if start.elapsed() >= WARM_UP {
            begun.get_or_insert((Instant::now(), machine::cpu_seconds(process)?));
            resident.push(machine::resident_bytes(process)? as f64 / f64::from(1 << 20));
        }
        thread::park_timeout(TICK);
    }
    let (from, before) = begun.expect("the run is longer than the warm-up");
    let cpu = (machine::cpu_seconds(process)? - before) / from.elapsed().as_secs_f64();
    let (written, mut searchable) = (writer.written, 0);
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

/// What writes at the rate, a line in each pod after the other.
pub(crate) struct Writer {
    logs: Vec<BufWriter<File>>,
    random: Random,
    /// How many lines it has written.
    pub(crate) written: u64,
}

impl Writer {
    /// Makes the pods' files.
    pub(crate) fn open(pods: &Path) -> Result<Self> {
        let logs = (0..PODS).map(|pod| Ok(BufWriter::new(create(pods, "app", pod)?)));
        let logs = logs.collect::<Result<_>>()?;
        Ok(Self { logs, random: Random::new(1), written: 0 })
    }

    /// Writes what is due so long after the start.
    pub(crate) fn write_due(&mut self, elapsed: Duration) -> Result<()> {
        let due = (elapsed.as_secs_f64() * LINES_A_SECOND as f64) as u64;
        while self.written < due {
            write_line(&mut self.logs[(self.written % PODS) as usize], &mut self.random)?;
            self.written += 1;
        }
        Ok(self.logs.iter_mut().try_for_each(Write::flush)?)
    }
}

/// The log of a new pod `<name>-<number>`.
pub(crate) fn create(pods: &Path, name: &str, number: u64) -> Result<File> {
    let folder =
        pods.join(format!("load_{name}-{number:02}_00000000-0000-4000-a000-{number:012}/app"));
    fs::create_dir_all(&folder)?;
    Ok(File::options().create(true).append(true).open(folder.join("0.log"))?)
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
