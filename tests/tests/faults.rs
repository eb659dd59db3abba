//! The promises of the path, kept through everything that the fault run does: the short form of `cargo xtask faults`.

#![expect(
    clippy::print_stderr,
    reason = "a run says what it did, for who reads the output of a test"
)]

use std::time::Duration;

use rookery_tests::faults::{self, Plan, disk};

/// Runs a plan and keeps its folder when a promise was broken.
fn keeps_its_promises(change: impl FnOnce(&mut Plan)) {
    let folder =
        tempfile::Builder::new().prefix("rookery-faults-").tempdir().expect("a temporary folder");
    let mut plan = Plan {
        seed: rookery_core::time::now().unsigned_abs(),
        kills: 30,
        at_least: Duration::from_secs(10),
        lose_checkpoints: false,
        lose_spool: false,
        fill_disk: false,
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
fn nothing_is_lost_doubled_or_reordered_through_thirty_kills_and_every_rotation() {
    keeps_its_promises(|_| {});
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
