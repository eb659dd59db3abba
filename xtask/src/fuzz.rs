//! `cargo xtask fuzz`: every target of `fuzz/`, one after the other, each for the same time.
//!
//! The targets are built by cargo-fuzz with a nightly toolchain.

use anyhow::{Context, Result, bail};

use crate::report::Report;
use crate::workspace::Workspace;

/// Runs the named targets, or all, each for `minutes`.
///
/// # Errors
/// When a target finds something; the input that showed it is in `fuzz/artifacts/`.
pub(crate) fn run(workspace: &Workspace, minutes: u64, targets: &[String]) -> Result<()> {
    if !workspace.cargo().args(["fuzz", "--version"]).succeeds() {
        bail!(
            "install it first: rustup toolchain install nightly && cargo install --locked cargo-fuzz"
        );
    }
    let fuzz = |args: &[&str]| {
        let cargo = workspace.command("cargo").args(["+nightly", "fuzz"]).args(args);
        // The toolchain of the caller must not leak into the one that builds the targets.
        cargo.without_env("RUSTUP_TOOLCHAIN").without_env("CARGO").without_env("RUSTC")
    };
    let listed = fuzz(&["list"]).output().context("list the targets in fuzz/")?;
    let all: Vec<&str> = listed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let chosen: Vec<&str> =
        if targets.is_empty() { all.clone() } else { targets.iter().map(String::as_str).collect() };
    let mut report = Report::new("fuzz", None);
    for target in chosen {
        report.step(target, || {
            if !all.contains(&target) {
                bail!("there is no such target; there are {}", all.join(", "));
            }
            let time = format!("-max_total_time={}", minutes * 60);
            // The targets are safe Rust, which a sanitizer has little to say about; and librdkafka does not build beside a zstd with one in it.
            let target = ["run", "--sanitizer", "none", "--features", "fuzzer", target, "--"];
            fuzz(&target).args([&time, "-jobs=1", "-print_final_stats=1"]).run()
        });
    }
    report.finish()
}
