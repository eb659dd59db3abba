//! (b) and (c): the real binary with all of the data in it; what getting there cost, and what it takes on disk.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rookery_tests::kit::http::Client;
use rookery_tests::kit::process::{Launch, Rookery};
use rookery_tests::kit::wait;
use tempfile::TempDir;

use super::limit::Limit;
use crate::dataset::Dataset;
use crate::machine;
use crate::results::{Results, say};

/// How long loading may take.
const LOAD_LIMIT: Duration = Duration::from_secs(1_800);

/// Merges are over when the process used less than [`IDLE_CPU_SECONDS`] in this time.
const IDLE_WINDOW: Duration = Duration::from_secs(5);

/// See [`IDLE_WINDOW`].
const IDLE_CPU_SECONDS: f64 = 0.1;

/// A process that has stored everything and merged it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The process.
    pub(crate) rookery: Rookery,
    /// A client of it.
    pub(crate) client: Client,
    folder: TempDir,
    bytes: u64,
    cpu_searchable: f64,
    cpu_merged: f64,
    wall_searchable: f64,
}

impl Loaded {
    /// Starts the binary on the data, waits until all is searchable, then until nothing more happens.
    pub(crate) fn start(dataset: &Dataset) -> Result<Self> {
        say("loading the data into the real binary");
        let folder = tempfile::tempdir_in(crate::target()?)?;
        let mut launch = Launch::below(folder.path())?;
        launch.pods = Some(dataset.folder.clone());
        let start = Instant::now();
        let mut rookery = launch.start()?;
        let client = rookery.client()?;
        wait::until("all lines to be stored", LOAD_LIMIT, || {
            // Often enough for the figure, rarely enough not to be part of it.
            thread::park_timeout(Duration::from_millis(200));
            let ledger = client.json("/api/ledger", &[])?;
            let stored = ledger["totals"]["stored"]["records"].as_u64();
            Ok((stored.context("the ledger counts")? >= dataset.lines).then_some(()))
        })?;
        let count = rookery_tests::faults::compare::count(&client)?;
        ensure!(
            count == dataset.lines,
            "{count} records are searchable of {} lines",
            dataset.lines
        );
        let wall_searchable = start.elapsed().as_secs_f64();
        let cpu_searchable = machine::cpu_seconds(rookery.id())?;
        let cpu_merged = until_idle(rookery.id())?;
        let bytes = dataset.bytes;
        Ok(Self { rookery, client, folder, bytes, cpu_searchable, cpu_merged, wall_searchable })
    }

    /// (b)
    pub(crate) fn report_cost(&self, limit: Limit, results: &mut Results) {
        let rate = |cpu: f64| self.bytes as f64 / cpu / 1e6;
        results.add(
            "b",
            "files → stored and searchable, a core",
            format!(
                "{:.1} MB/s ({:.1} s of CPU, {:.1} s of time)",
                rate(self.cpu_searchable),
                self.cpu_searchable,
                self.wall_searchable
            ),
            format!(
                "{:.2} of the limit; {:.2} of the goal, 60 MB/s",
                rate(self.cpu_searchable) * 1e6 / limit.bytes_a_second,
                rate(self.cpu_searchable) / 60.0
            ),
        );
        results.add(
            "b",
            "the same, all merges included",
            format!("{:.1} MB/s ({:.1} s of CPU)", rate(self.cpu_merged), self.cpu_merged),
            format!("{:.2} of the goal, 60 MB/s", rate(self.cpu_merged) / 60.0),
        );
    }

    /// (c)
    pub(crate) fn report_size(&self, limit: Limit, results: &mut Results) -> Result<()> {
        let store = self.data().join("store");
        let bytes = machine::bytes_below(&store)?;
        let ratio = bytes as f64 / self.bytes as f64;
        results.add(
            "c",
            "bytes on disk by bytes of log, after merges",
            format!("{ratio:.3} ({:.0} MB)", bytes as f64 / 1e6),
            format!("{:.2} times zstd-1 of the files; bound 0.19, goal 0.10", ratio / limit.ratio),
        );
        for entry in std::fs::read_dir(&store)? {
            let path = entry?.path();
            if path.is_dir() {
                let part = machine::bytes_below(&path)? as f64 / self.bytes as f64;
                say(&format!(
                    "      {}/: {part:.3}",
                    path.file_name().unwrap_or_default().display()
                ));
            }
        }
        Ok(())
    }

    fn data(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("data")
    }
}

/// Waits until the process does nothing any more; gives the CPU time that it has used.
pub(crate) fn until_idle(process: u32) -> Result<f64> {
    let mut before = machine::cpu_seconds(process)?;
    loop {
        let window = Instant::now();
        while window.elapsed() < IDLE_WINDOW {
            thread::park_timeout(IDLE_WINDOW);
        }
        let now = machine::cpu_seconds(process)?;
        if now - before < IDLE_CPU_SECONDS {
            return Ok(now);
        }
        before = now;
    }
}
