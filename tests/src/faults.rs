//! The fault run: known lines, real files, the real binary, and everything that happens to them in the wild.
//!
//! A [`stream::Stream`] is a program that logs: it knows every line that it has written, and it does to its files what kubelets,
//! logrotate and people do: rename and create, several times within one second, rename and later compress, copy and truncate, start
//! again under the next name, delete while the file is still being read, replace by a file of the same size, delete and let the
//! inode be used again, delete the whole folder. Meanwhile the process under test is killed with `kill -9` at random moments, while it
//! starts too; while it is down its files go on, and sometimes its checkpoint folder or its spool is gone, or its disk is full. It may
//! also be stopped for moments while it runs ([`stutter`]), as where others share the machine.
//!
//! In the end the store is read back over HTTP, and [`compare`] says, stream by stream, what was lost, doubled, out of order or
//! altered, and whether the ledger balances. A run is repeated by its seed, as far as two processes can be repeated.
//!
//! What a run must not do: delete what nobody can have read. A file is deleted only once its lines are searchable, or once the
//! process under test has it open, and then the run waits with the next kill until they are.

pub mod compare;
pub mod disk;
pub mod files;
pub mod line;
pub mod stream;
mod stutter;

pub mod fleet;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::kit::http::Client;
use crate::kit::process::{Launch, Rookery};
use crate::kit::random::Random;
use compare::Outcome;
use disk::SmallDisk;
use stream::{Kind, Stream};
use stutter::Stutter;

/// How often the streams write.
const TICK: Duration = Duration::from_millis(4);

/// How long the last lines may take to become searchable.
const SETTLE_LIMIT: Duration = Duration::from_secs(90);

/// Lines that come twice may make the count complete before the last ones are there; so nothing may have come for so long.
const STILL_FOR: Duration = Duration::from_secs(2);

/// The size of the small disk; the store's log and a few parts must fit into it.
const DISK_BYTES: u64 = 256 << 20;

/// What a run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of all chance in it.
    pub seed: u64,
    /// It ends after this many kills…
    pub kills: u32,
    /// …but not before this time.
    pub at_least: Duration,
    /// Whether the checkpoint folder is sometimes gone after a kill.
    pub lose_checkpoints: bool,
    /// Whether the spool is sometimes gone after a kill.
    pub lose_spool: bool,
    /// Whether the data lies on a small disk that is full for a while.
    pub fill_disk: bool,
    /// Whether the process is stopped for moments while it runs.
    pub stutter: bool,
    /// Where everything is written; kept when the run fails.
    pub folder: PathBuf,
}

/// The process under test, in one of its two states.
enum Process {
    Up { rookery: Rookery, kill_at: Instant, stutter: Option<Stutter> },
    Down { until: Instant },
}

struct Run<'a> {
    plan: &'a Plan,
    random: Random,
    launch: Launch,
    streams: Vec<Stream>,
    disk: Option<SmallDisk>,
    outcome: Outcome,
}

/// Does what the plan says, and compares.
///
/// # Errors
/// When the run itself cannot go on: no disk space, a process that does not start. What it finds is in the [`Outcome`].
pub fn run(plan: &Plan) -> Result<Outcome> {
    let mut run = Run::prepare(plan)?;
    run.live()?;
    run.settle()
}

impl<'a> Run<'a> {
    fn prepare(plan: &'a Plan) -> Result<Self> {
        let mut random = Random::new(plan.seed);
        let (pods, logs) = (plan.folder.join("pods"), plan.folder.join("logs"));
        std::fs::create_dir_all(&pods)?;
        std::fs::create_dir_all(&logs)?;
        let mut streams = Vec::new();
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let folder = if kind.is_pod() { &pods } else { &logs };
            streams.push(Stream::open(kind, index, folder, random.bits())?);
        }
        let mut launch = Launch::below(&plan.folder)?;
        launch.pods = Some(pods);
        launch.logs = vec![format!("{}/*.log", logs.display())];
        let disk = if plan.fill_disk {
            // The default keeps half a gigabyte free, which is more than the small disk has.
            launch.environment.push(("ROOKERY_STORE_MIN_FREE_DISK".into(), "16MiB".into()));
            Some(SmallDisk::mount(&launch.data, DISK_BYTES)?)
        } else {
            None
        };
        let outcome = Outcome { seed: plan.seed, ..Outcome::default() };
        Ok(Self { plan, random, launch, streams, disk, outcome })
    }

    /// Writes, kills and starts again, until the plan is done.
    fn live(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut process = self.start()?;
        while self.outcome.kills < self.plan.kills || start.elapsed() < self.plan.at_least {
            process = match process {
                Process::Up { rookery, kill_at, stutter } if Instant::now() >= kill_at => {
                    drop(stutter);
                    self.kill(rookery)?
                }
                Process::Down { until } if Instant::now() >= until => self.start()?,
                same => same,
            };
            let is_full = self.disk.as_ref().is_some_and(SmallDisk::is_full);
            for stream in &mut self.streams {
                stream.write_some()?;
                // With a full disk nothing becomes searchable, so nothing may wait for it.
                let running = match &mut process {
                    Process::Up { rookery, .. } if !is_full => Some(rookery),
                    _ => None,
                };
                stream.disturb(running)?;
            }
            if let Process::Up { rookery, .. } = &mut process
                && let Some(status) = rookery.ended()?
                && self.disk.as_ref().is_none_or(|disk| !disk.is_full())
            {
                bail!(
                    "the process ended by itself with {status}; see {}",
                    self.launch.journal.display()
                );
            }
            self.disturb_disk(start)?;
            thread::park_timeout(TICK);
        }
        Ok(())
    }

    fn start(&mut self) -> Result<Process> {
        self.outcome.starts += 1;
        // One in four is killed while it starts.
        let lives_ms = match self.random.below(4) {
            0 => self.random.between(1..250),
            _ => self.random.between(250..2_600),
        };
        let rookery = self.launch.spawn()?;
        let seed = self.random.bits();
        let stutter = self.plan.stutter.then(|| Stutter::of(&rookery, seed)).transpose()?;
        let kill_at = Instant::now() + Duration::from_millis(lives_ms);
        Ok(Process::Up { rookery, kill_at, stutter })
    }

    fn kill(&mut self, rookery: Rookery) -> Result<Process> {
        rookery.kill()?;
        self.outcome.kills += 1;
        if self.plan.lose_checkpoints && self.random.once_in(4) {
            self.outcome.lost_checkpoints += u32::from(self.remove_state(|name| name != "spool")?);
        }
        if self.plan.lose_spool && self.random.once_in(4) {
            self.outcome.lost_spools += u32::from(self.remove_state(|name| name == "spool")?);
        }
        let down_ms = self.random.between(1..700);
        Ok(Process::Down { until: Instant::now() + Duration::from_millis(down_ms) })
    }

    /// Removes those entries of the collector's folder that are chosen by name; gives whether there was one.
    fn remove_state(&self, chosen: impl Fn(&str) -> bool) -> Result<bool> {
        let folder = self.launch.data.join("collector");
        let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(false) };
        let mut removed = false;
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(&chosen) {
                continue;
            }
            let path = entry.path();
            let gone = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            gone.with_context(|| format!("remove {}", path.display()))?;
            removed = true;
        }
        Ok(removed)
    }

    /// Full between a quarter and two thirds of the run's shortest time.
    fn disturb_disk(&mut self, start: Instant) -> Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let part = start.elapsed().as_secs_f64() / self.plan.at_least.as_secs_f64().max(1.0);
        if (0.25..0.66).contains(&part) {
            self.outcome.full_disks += u32::from(disk.fill()?);
        } else {
            disk.release()?;
        }
        Ok(())
    }

    /// Starts for the last time, waits until everything is searchable, and compares.
    fn settle(mut self) -> Result<Outcome> {
        if let Some(disk) = &mut self.disk {
            disk.release()?;
        }
        for stream in &mut self.streams {
            stream.finish()?;
            self.outcome.disturbances += stream.disturbances();
        }
        let mut rookery = self.launch.start()?;
        let client = rookery.client()?;
        let expected: u64 = self.streams.iter().map(Stream::len).sum();
        wait_until_still(&client, expected)?;
        compare::streams(&client, &self.streams, 0, &mut self.outcome)?;
        compare::ledger(&client, &mut self.outcome)?;
        rookery.stop()?;
        self.outcome.journal = journal_complaints(&self.launch.journal, self.plan.fill_disk)?;
        Ok(self.outcome)
    }
}

/// Waits until everything is searchable and nothing more comes. What is missing at the limit is for the comparison to report.
fn wait_until_still(client: &Client, expected: u64) -> Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    let deadline = Instant::now() + SETTLE_LIMIT;
    while Instant::now() < deadline && (last < expected || since.elapsed() < STILL_FOR) {
        let count = compare::count(client)?;
        if count != last {
            (last, since) = (count, Instant::now());
        }
        thread::park_timeout(TICK);
    }
    Ok(())
}

/// Lines of the journal that should not be there: panics always, errors unless the disk was full.
fn journal_complaints(journal: &Path, disk_was_full: bool) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(journal).context("read what the process printed")?;
    let complaint =
        |line: &&str| line.contains("panicked at") || (!disk_was_full && line.contains(" ERROR "));
    Ok(text.lines().filter(complaint).map(str::to_owned).collect())
}
