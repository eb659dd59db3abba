//! `cargo xtask bench path`: the path of a fleet, with real brokers and the real engine, each role a process of its own.
//!
//! | case | what | goal |
//! |---|---|---|
//! | `a` | pod log files → Kafka, lines/s a core of the collector; its memory and CPU at 10,000 lines a second | 600,000; 28 MiB, 3 % |
//! | `b` | a full topic → ClickHouse, rows/s a core of the ingester | 1,000,000 |
//! | `c` | files → searchable, lines/s a core of all processes together | 100,000 |
//! | `d` | line written → line searchable at 10,000 lines a second, p50 and p99 | p99 under 2 s |
//! | `e` | bytes on the engine's disk by bytes of log, after its merges | 0.193 without, 0.333 with a text index |
//! | `f` | the twelve classes of queries, beside the embedded store with the same data | |
//!
//! CPU is what the operating system charges to each process. Of a role it counts from its start; of the broker and the engine, which run
//! throughout, what they used more. What is waited for is asked of the roles' own counters, a few times a second.
//!
//! Everything is on one machine: the writer of the lines and the bench itself take their part of its cores, which lengthens times and no
//! figure a core. One collector is one key in Kafka, so one partition is filled and one ingester works.

mod meter;
mod parts;

mod hops;
mod steady;
mod whole;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::cases::limit;
use crate::dataset::Dataset;
use crate::results::Results;
use crate::{finish, target};
use parts::Parts;

/// The size of the data: enough for a collector to work for seconds, and all cases to be over in minutes.
const STANDARD_MB: u64 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// Files → Kafka, and the collector at a steady rate.
    A,
    /// Kafka → ClickHouse.
    B,
    /// The whole path.
    C,
    /// Written → searchable.
    D,
    /// Bytes on the engine's disk.
    E,
    /// Queries.
    F,
}

#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Which cases; all without.
    cases: Vec<Case>,
    /// A tenth of the data and of the time, to see that everything runs; not recorded.
    #[arg(long)]
    quick: bool,
    /// How much log, in millions of bytes.
    #[arg(long, value_name = "MB")]
    size_mb: Option<u64>,
    /// The seed of the data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which index helps word search in the engine: `auto`, `on`, `off`, as `clickhouse.text_index`; not recorded when it is given.
    #[arg(long)]
    text_index: Option<String>,
}

/// Measures the path.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let chosen = |cases: &[Case]| {
        arguments.cases.is_empty() || arguments.cases.iter().any(|case| cases.contains(case))
    };
    let standard = if arguments.quick { STANDARD_MB / 10 } else { STANDARD_MB };
    let bytes = arguments.size_mb.unwrap_or(standard) * 1_000_000;
    let folder = target()?;
    let dataset = Dataset::make(&folder.join("bench-data"), arguments.seed, bytes)?;
    let mut results = Results::new(&dataset);
    let limit = limit::run(&dataset, &mut results)?;
    let parts = Parts::start(&folder, arguments.text_index.as_deref().unwrap_or("auto"))?;

    if chosen(&[Case::A, Case::B]) {
        let filled = hops::fill(&parts, &dataset, limit, &mut results)?;
        if chosen(&[Case::B]) {
            hops::drain(&parts, &filled, &dataset, limit, &mut results)?;
        }
    }
    if chosen(&[Case::C, Case::E, Case::F]) {
        let whole = whole::Whole::run(&parts, &dataset, limit, &mut results)?;
        whole.report_size(limit, &mut results)?;
        if chosen(&[Case::F]) {
            whole.ask(arguments.quick, &mut results)?;
        }
        whole.end()?;
    }
    if chosen(&[Case::A, Case::D]) {
        steady::run(&parts, arguments.quick, &mut results)?;
    }
    let is_partial = arguments.quick || arguments.size_mb.is_some();
    finish(&results, is_partial || arguments.text_index.is_some())
}
