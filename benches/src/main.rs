//! `cargo xtask bench`: what Rookery does with a core and with a byte, against a stated baseline of the same run.
//!
//! | case | what | baseline |
//! |---|---|---|
//! | `a` | pod log files → batches, lines/s a core | read, newline search and zstd-1 of the same bytes |
//! | `b` | files → stored and searchable, MB of log a second and core, with merges | the same |
//! | `c` | bytes on disk after merges, by bytes of log | zstd-1 of the files |
//! | `d` | line written → line searchable, p50 and p99 | the goal, 1 s |
//! | `e` | resident memory and CPU at 10,000 lines a second | the goal for a collector, 28 MiB and 3 % |
//! | `f` | twelve classes of queries, median of 7 warm runs | another LogsQL server with the same records (`--peer`) |
//!
//! The data is made here ([`dataset`]); `a` runs the collector in this process, everything else is the real binary over
//! HTTP. CPU time is what the operating system charges to the process, so that other work on the machine lengthens the
//! wall time and not the figures. Results are appended to `benches/results.md`, with the machine; not those of an
//! unoptimised build, and not those of `--quick`.
//!
//! `cargo xtask bench path` measures the path of a fleet instead: collector, Kafka, ingester, ClickHouse, query; see [`path`].

mod dataset;
mod machine;
mod results;

mod cases;

mod path;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};

use cases::loaded::Loaded;
use dataset::Dataset;
use results::{Results, say};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Case {
    /// Files → batches.
    A,
    /// Files → stored and searchable.
    B,
    /// Bytes on disk.
    C,
    /// Written → searchable.
    D,
    /// Memory and CPU at a steady rate.
    E,
    /// Queries.
    F,
}

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Figures, printed as ratios to a baseline of the same run",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// Which cases; all without.
    cases: Vec<Case>,
    /// A twentieth of the data and of the time, to see that everything runs; not recorded.
    #[arg(long)]
    quick: bool,
    /// Another server that speaks LogsQL over HTTP, empty at the start: it gets the same records and the same queries.
    #[arg(long, value_name = "URL")]
    peer: Option<String>,
    /// How much log, in millions of bytes; the standard set is 1087.
    #[arg(long, value_name = "MB")]
    size_mb: Option<u64>,
    /// The seed of the data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Subcommand)]
enum Other {
    /// The path of a fleet: collector, Kafka, ingester, ClickHouse, query.
    Path(path::Arguments),
}

/// The size of the standard set: 5 million lines.
const STANDARD_MB: u64 = 1_087;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Other::Path(arguments)) = &arguments.other {
        return path::run(arguments);
    }
    let chosen = |case: Case| arguments.cases.is_empty() || arguments.cases.contains(&case);
    let mb =
        arguments.size_mb.unwrap_or(if arguments.quick { STANDARD_MB / 20 } else { STANDARD_MB });
    let folder = target()?.join("bench-data");
    let dataset = Dataset::make(&folder, arguments.seed, mb * 1_000_000)?;
    let mut results = Results::new(&dataset);

    if chosen(Case::A) || chosen(Case::B) || chosen(Case::C) {
        let limit = cases::limit::run(&dataset, &mut results)?;
        if chosen(Case::A) {
            cases::batches::run(&dataset, limit, &mut results)?;
        }
        if chosen(Case::B) || chosen(Case::C) {
            let loaded = Loaded::start(&dataset)?;
            loaded.report_cost(limit, &mut results);
            loaded.report_size(limit, &mut results)?;
            if chosen(Case::F) {
                cases::queries::run(
                    loaded,
                    &dataset,
                    arguments.peer.as_deref(),
                    arguments.quick,
                    &mut results,
                )?;
            }
        }
    } else if chosen(Case::F) {
        let loaded = Loaded::start(&dataset)?;
        cases::queries::run(
            loaded,
            &dataset,
            arguments.peer.as_deref(),
            arguments.quick,
            &mut results,
        )?;
    }
    if chosen(Case::D) {
        cases::freshness::run(arguments.quick, &mut results)?;
    }
    if chosen(Case::E) {
        cases::steady::run(arguments.quick, &mut results)?;
    }
    finish(&results, arguments.quick || arguments.size_mb.is_some())
}

fn finish(results: &Results, is_partial: bool) -> Result<()> {
    if cfg!(debug_assertions) || is_partial {
        say("\nnot recorded: only an optimised build on the standard data is");
        return Ok(());
    }
    let path = root().join("benches/results.md");
    results.append(&path).with_context(|| format!("append to {}", path.display()))?;
    say(&format!("\nrecorded in {}", path.display()));
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches/ has a parent")
}

/// The folder into which cargo builds: what is made for a bench lies there, on the same disk as the rest.
fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    let folder = own.ancestors().nth(2).context("this program lies in target/<profile>/")?;
    Ok(folder.to_owned())
}
