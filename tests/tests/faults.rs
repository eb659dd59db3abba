//! The promises of the path, kept through everything that the fault run does: the short form of `cargo xtask faults`.

#![expect(
    clippy::print_stderr,
    reason = "a run says what it did, for who reads the output of a test"
)]

use std::thread;
use std::time::Duration;

use rookery_tests::faults::{self, Plan, disk};

/// How many runs share the machine in the test that has most faults: it mostly waits, and what goes wrong goes wrong where a process is late.
const AT_ONCE: usize = 4;

/// Runs a plan and keeps its folder when a promise was broken.
fn keeps_its_promises(change: impl FnOnce(&mut Plan)) {
    let folder =
        tempfile::Builder::new().prefix("rookery-faults-").tempdir().expect("a temporary folder");
    let mut plan = Plan {
        seed: rookery_core::time::now().unsigned_abs(),
        kills: 12,
        at_least: Duration::from_secs(10),
        lose_checkpoints: false,
        lose_spool: false,
        fill_disk: false,
        stutter: false,
        folder: folder.path().to_owned(),
    };
    change(&mut plan);
    let result = faults::run(&plan).and_then(|outcome| {
        eprintln!("{outcome}");
        outcome.check()
    });
    if let Err(error) = result {
        let kept = folder.keep();
        panic!("seed {}, everything is kept in {}: {error:#}", plan.seed, kept.display());
    }
}

#[test]
fn nothing_is_lost_doubled_or_reordered_through_kills_and_every_rotation_on_a_busy_machine() {
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| keeps_its_promises(|plan| plan.stutter = true));
        }
    });
}

#[test]
fn a_lost_checkpoint_folder_or_spool_costs_a_second_reading_and_nothing_else() {
    keeps_its_promises(|plan| {
        plan.kills = 10;
        plan.lose_checkpoints = true;
        plan.lose_spool = true;
    });
}

#[test]
fn a_full_disk_holds_lines_up_and_loses_none() {
    if !disk::may_mount() {
        eprintln!("NOT RUN: a small disk can only be mounted by root");
        return;
    }
    keeps_its_promises(|plan| {
        plan.kills = 6;
        plan.at_least = Duration::from_secs(15);
        plan.fill_disk = true;
    });
}
