//! The chores of the house: one command each, every step timed, every failure with what to do next.
//!
//! | command | what |
//! |---|---|
//! | `cargo xtask test` | installs what the tests need, and runs all of them |
//! | `cargo xtask check` | what a reviewer should not have to look for |
//! | `cargo xtask faults` | kills, rotations, full disks; then compares the store with what was written |
//! | `cargo xtask bench` | figures, printed as ratios to a baseline of the same run; `bench path`, those of a fleet |
//! | `cargo xtask fuzz` | every decoder and parser against made-up bytes |
//! | `cargo xtask services up` | Kafka and the ClickHouse engine, in the background; `down`, `status`, `install` |
//! | `cargo xtask web` | rebuilds the page that the binary carries |
//!
//! It starts other programs and reads their answers; it depends on nothing of Rookery, so that it builds in seconds and
//! still runs when Rookery does not compile.

mod command;
mod report;
mod workspace;

mod check;
mod deploy;
mod fuzz;
mod install;
mod services;
mod test;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of the house", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the tests need, and run all of them.
    Test {
        /// Run only the steps whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Format, lints, edges between packages, sizes, documents, the page's bundle.
    Check {
        /// Write what can be written: formatting, the configuration reference, the page's bundle.
        #[arg(long)]
        fix: bool,
        /// Run only the steps whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Kill, rotate and fill disks, then compare the store with what was written.
    Faults {
        /// How long.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// The seed of a run that is to be repeated; without it, one is chosen and printed.
        #[arg(long)]
        seed: Option<u64>,
        /// On a fleet (Kafka, ClickHouse, several of each role): every fault once; writes `docs/faults.md`.
        #[arg(long)]
        fleet: bool,
        /// Of a fleet's faults, those whose name contains this; the page is then written below the target folder.
        #[arg(long, requires = "fleet")]
        only: Option<String>,
    },
    /// Measure; the arguments go to the bench itself, see `cargo xtask bench -- --help`.
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzz every target (or the named ones), one after the other.
    Fuzz {
        /// How long each.
        #[arg(long, default_value_t = 1)]
        minutes: u64,
        /// Which targets; all without.
        targets: Vec<String>,
    },
    /// Kafka and the ClickHouse engine, to try things with and to run the tests against.
    Services {
        /// What to do with them.
        #[command(subcommand)]
        what: Services,
    },
    /// Rebuild the page's bundle from its sources.
    Web,
}

#[derive(Subcommand)]
enum Services {
    /// Install them if need be, start them in the background, print how to reach them.
    Up,
    /// Stop them; their data stays.
    Down,
    /// Print how to reach them; fails when they do not run.
    Status,
    /// Only install them, for the tests.
    Install,
}

fn main() -> ExitCode {
    let workspace = workspace::Workspace::find();
    let done = match Arguments::parse().chore {
        Chore::Test { only } => test::run(&workspace, only.as_deref()),
        Chore::Check { fix, only } => check::run(&workspace, fix, only.as_deref()),
        Chore::Faults { minutes, seed, fleet: false, .. } => {
            test::faults(&workspace, &["--minutes".into(), minutes.to_string()], seed)
        }
        Chore::Faults { seed, only, .. } => test::fleet_faults(&workspace, only, seed),
        Chore::Bench { arguments } => test::bench(&workspace, &arguments),
        Chore::Fuzz { minutes, targets } => fuzz::run(&workspace, minutes, &targets),
        Chore::Services { what } => match what {
            Services::Up => services::up(&workspace),
            Services::Down => services::down(&workspace),
            Services::Status => services::status(&workspace),
            Services::Install => services::install(&workspace),
        },
        Chore::Web => web::rebuild(&workspace),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
