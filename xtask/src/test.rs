//! `cargo xtask test`: everything that can be tested, from one command; and the long forms, `faults` and `bench`.
//!
//! The binary is built once, and once with TLS; every test that starts it finds it in `ROOKERY_BIN` or `ROOKERY_TLS_BIN`. What the runners print is read for their
//! own counts, so that the closing line counts tests and not steps.

mod counts;

use anyhow::{Context as _, Result};

use crate::command::Command;
use crate::report::{Count, Report, say};
use crate::workspace::Workspace;
use crate::{deploy, install, services};

/// Installs what is missing, then runs every test.
///
/// # Errors
/// When a test fails.
pub(crate) fn run(workspace: &Workspace, only: Option<&str>) -> Result<()> {
    let mut report = Report::new("test", only);
    report.prepare("install Chromium", install::chromium);
    report.prepare("install Python", install::python);
    report.prepare("install OpenSSL", install::openssl);
    report.prepare("install Kafka and the ClickHouse engine", || services::install(workspace));
    report.prepare("install what deploy/ is checked with", || deploy::install(workspace));
    report.prepare("install the page's packages", || install::node_modules(workspace));
    report.prepare("build with TLS", || workspace.build_with_tls());
    report.prepare("build", || workspace.build());
    report.counted("rust", || {
        let cargo = workspace.cargo().args(["test", "--workspace", "--no-fail-fast"]);
        let cargo = cargo.env("ROOKERY_TLS_BIN", workspace.binary_with_tls());
        counted(cargo.env("ROOKERY_BIN", workspace.binary()))
    });
    report.counted("page: units", || counted(install::npm(workspace)?.args(["test", "--silent"])));
    report.counted("page: in Chromium", || {
        let npm = install::npm(workspace)?.args(["run", "--silent", "e2e"]);
        counted(npm.env("ROOKERY_BIN", workspace.binary()))
    });
    report.finish()
}

/// The fault run in its long form, against the binary of the release profile.
///
/// # Errors
/// When it finds a line lost, doubled or out of order, or a ledger that does not balance.
pub(crate) fn faults(workspace: &Workspace, arguments: &[String], seed: Option<u64>) -> Result<()> {
    let binary = release(workspace)?;
    let mut cargo = workspace
        .cargo()
        .args(["run", "--quiet", "--package", "rookery-tests", "--bin", "rookery-faults", "--"])
        .args(arguments)
        .env("ROOKERY_BIN", binary);
    if let Some(seed) = seed {
        cargo = cargo.args(["--seed", &seed.to_string()]);
    }
    cargo.run()
}

/// The fault run of a fleet: every fault once, and the page with the results.
///
/// # Errors
/// As [`faults`].
pub(crate) fn fleet_faults(
    workspace: &Workspace,
    only: Option<String>,
    seed: Option<u64>,
) -> Result<()> {
    services::install(workspace)?;
    // A page of some faults must not stand for all of them.
    let page = match only {
        None => workspace.path("docs/faults.md"),
        Some(_) => workspace.target().join("faults.md"),
    };
    let mut arguments = vec!["--fleet".into(), page.display().to_string()];
    if let Some(only) = only {
        arguments.extend(["--only".into(), only]);
    }
    faults(workspace, &arguments, seed)
}

/// The benches, built and run in the release profile.
///
/// # Errors
/// When they cannot be built, or fail.
pub(crate) fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let run = ["run", "--quiet", "--release", "--package", "rookery-benches", "--"];
    let mut bench = workspace.cargo().args(run).args(arguments);
    if arguments.first().is_some_and(|bench| bench == "path") {
        services::install(workspace)?;
        bench = bench.env("ROOKERY_COLLECTOR_BIN", lean(workspace)?);
    }
    bench.env("ROOKERY_BIN", release(workspace)?).run()
}

/// The collector as it runs on every node: a build of that role alone, beside the whole one.
fn lean(workspace: &Workspace) -> Result<std::path::PathBuf> {
    let features = ["--no-default-features", "--features", "collector"];
    let build = ["build", "--release", "--package", "rookery-server"];
    workspace.cargo().args(build).args(features).run()?;
    let folder = workspace.target().join("release");
    let lean = folder.join("rookery-collector");
    std::fs::copy(folder.join("rookery"), &lean)
        .with_context(|| format!("copy the binary to {}", lean.display()))?;
    Ok(lean)
}

fn release(workspace: &Workspace) -> Result<std::path::PathBuf> {
    workspace.cargo().args(["build", "--release", "--package", "rookery-server"]).run()?;
    Ok(workspace.target().join("release/rookery"))
}

/// Runs a test runner, repeats what it prints, and adds up its counts.
fn counted(command: Command) -> Result<Count> {
    let mut count = Count::default();
    let succeeded = command.env("NO_COLOR", "1").without_env("FORCE_COLOR").each_line(|line| {
        say(line);
        count += counts::of(line);
    })?;
    // A runner that fails without a failed test (it did not compile, it crashed) is a failure all the same.
    if !succeeded && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}
