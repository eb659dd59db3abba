//! (c), (e) and (f): the whole path at once, what is left on the engine's disk, and queries on it.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rookery_tests::faults::compare;

use super::hops::HOP_LIMIT;
use super::meter::Meter;
use super::parts::{Parts, Role, Way};
use crate::cases::limit::Limit;
use crate::cases::loaded::{Loaded, until_idle};
use crate::cases::queries::Asking;
use crate::dataset::Dataset;
use crate::results::{Results, say};

/// A way that all of the data has taken.
#[derive(Debug)]
pub(crate) struct Whole<'a> {
    parts: &'a Parts,
    dataset: &'a Dataset,
    way: Way,
    query: Role,
}

impl<'a> Whole<'a> {
    /// (c) Everything runs at once, until all is searchable and merged.
    pub(crate) fn run(
        parts: &'a Parts,
        dataset: &'a Dataset,
        limit: Limit,
        results: &mut Results,
    ) -> Result<Self> {
        say("files → searchable");
        let way = parts.way("whole")?;
        let meter = Meter::default()
            .since_now("broker", parts.broker()?)?
            .since_now("engine", parts.clickhouse.id()?)?;
        let start = Instant::now();
        let mut ingester = way.ingester()?;
        let collector = way.collector(&dataset.folder)?;
        let meter = meter.whole("collector", collector.id()).whole("ingester", ingester.id());
        ingester.until("rookery_ingester_records", dataset.lines, HOP_LIMIT)?;
        let (spent, wall) = (meter.read()?, start.elapsed().as_secs_f64());
        until_idle(parts.clickhouse.id()?)?;
        let merged = meter.read()?;
        let rate = |cpu: f64| dataset.lines as f64 / cpu;
        results.add(
            "path c",
            "files → searchable, a core, all processes together",
            format!(
                "{:.0} thousand lines/s ({:.1} s of CPU: {spent}; {wall:.1} s of time)",
                rate(spent.all()) / 1e3,
                spent.all()
            ),
            format!(
                "{:.3} of the limit; {:.2} of the goal, 100 thousand lines/s",
                rate(spent.all()) / limit.lines_a_second,
                rate(spent.all()) / 1e5
            ),
        );
        results.add(
            "path c",
            "the same, all merges included",
            format!("{:.0} thousand lines/s ({merged})", rate(merged.all()) / 1e3),
            format!("{:.2} of the goal, 100 thousand lines/s", rate(merged.all()) / 1e5),
        );
        collector.process.stop()?;
        ingester.process.stop()?;
        let query = way.query()?;
        let count = compare::count(&query.client)?;
        ensure!(
            count == dataset.lines,
            "{count} records are searchable of {} lines",
            dataset.lines
        );
        Ok(Self { parts, dataset, way, query })
    }

    /// (e)
    pub(crate) fn report_size(&self, limit: Limit, results: &mut Results) -> Result<()> {
        let bytes = self.dataset.bytes as f64;
        let sums = self.tell("SELECT sum(bytes_on_disk), sum(secondary_indices_compressed_bytes), count() FROM system.parts WHERE active AND database = {database:String}")?;
        let sums: Vec<f64> = sums.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [all, indexes, count] = sums[..] else {
            anyhow::bail!("the sizes are {} numbers", sums.len())
        };
        results.add(
            "path e",
            "bytes on the engine's disk by bytes of log, after its merges",
            format!(
                "{:.3} ({:.0} MB in {count} parts), {:.3} without its indexes",
                all / bytes,
                all / 1e6,
                (all - indexes) / bytes
            ),
            format!(
                "{:.2} times zstd-1 of the files; a plain schema takes 0.193, with a text index 0.333",
                all / bytes / limit.ratio
            ),
        );
        let columns = self.tell("SELECT column, formatReadableSize(sum(column_bytes_on_disk) AS size) FROM system.parts_columns WHERE active AND database = {database:String} AND table = 'logs' GROUP BY column ORDER BY size DESC LIMIT 8")?;
        let columns: Vec<String> = columns.lines().map(|line| line.replace('\t', " ")).collect();
        say(&format!("      largest columns: {}", columns.join(", ")));
        Ok(())
    }

    /// (f)
    pub(crate) fn ask(&self, quick: bool, results: &mut Results) -> Result<()> {
        let embedded = Loaded::start(self.dataset)?;
        let forget = || {
            // Else a query that is asked again is answered from what was found the first time.
            self.parts.clickhouse.query("SYSTEM DROP QUERY CONDITION CACHE", &[]).map(drop)
        };
        let asking = Asking { case: "path f", dataset: self.dataset, quick, before: &forget };
        asking.compare(&self.query.client, Some(("embedded", &embedded.client)), results)
    }

    /// Stops what runs and removes what is stored.
    pub(crate) fn end(self) -> Result<()> {
        self.query.process.stop()?;
        self.parts.forget(&self.way)
    }

    fn tell(&self, statement: &str) -> Result<String> {
        let database = [("param_database", self.way.database.as_str())];
        self.parts.clickhouse.query(statement, &database).context("ask the engine for sizes")
    }
}
