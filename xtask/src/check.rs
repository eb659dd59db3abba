//! `cargo xtask check`: what a machine can find, so that a reviewer need not look for it.
//!
//! Each rule of STYLE.md that a tool can keep is a step here; each step names the file and what to do. With `--fix`,
//! what can be written is written instead of compared.

mod edges;
mod prose;
mod reference;
mod shape;

use anyhow::Result;

use crate::report::{Report, say};
use crate::workspace::Workspace;
use crate::{install, web};

/// Runs the steps; `fix` writes what can be written.
///
/// # Errors
/// When a step found something.
pub(crate) fn run(workspace: &Workspace, fix: bool, only: Option<&str>) -> Result<()> {
    let mut report = Report::new("check", only);
    report.step("format", || format(workspace, fix));
    report.step("edges between packages", || edges::check(workspace));
    report.step("files", || shape::check(workspace));
    report.step("prose", || prose::check(workspace));
    report.step("clippy", || clippy(workspace));
    report.step("the collector alone", || lean(workspace));
    report.step("documents", || documents(workspace));
    report.step("configuration reference", || reference::check(workspace, fix));
    report.step("licences and advisories", || licences(workspace));
    report.step("page: lints", || {
        install::node_modules(workspace)?;
        web::lint(workspace)
    });
    report
        .step("page: bundle", || if fix { web::rebuild(workspace) } else { web::check(workspace) });
    report.finish()
}

fn format(workspace: &Workspace, fix: bool) -> Result<()> {
    let check: &[&str] = if fix { &[] } else { &["--check"] };
    workspace.cargo().args(["fmt", "--all", "--"]).args(check).run()
}

/// Every target of every package; those of the fuzzer are left out of all other builds, and nobody would see that they do not compile.
fn clippy(workspace: &Workspace) -> Result<()> {
    let all = ["--workspace", "--all-targets", "--features", "rookery-fuzz/fuzzer"];
    let cargo = workspace.cargo().args(["clippy", "--quiet"]).args(all);
    cargo.args(["--", "-D", "warnings"]).run()
}

/// The build of the image that runs on every node, of which clippy sees nothing: it looks at the features together.
fn lean(workspace: &Workspace) -> Result<()> {
    let features = ["--no-default-features", "--features", "collector"];
    let cargo = workspace.cargo().args(["clippy", "--quiet", "--package", "rookery-server"]);
    cargo.args(features).args(["--all-targets", "--", "-D", "warnings"]).run()
}

fn documents(workspace: &Workspace) -> Result<()> {
    let cargo = workspace.cargo().env("RUSTDOCFLAGS", "-D warnings");
    cargo.args(["doc", "--quiet", "--workspace", "--no-deps"]).run()
}

/// What deny.toml says, where `cargo-deny` is installed; building it takes longer than all other checks together.
fn licences(workspace: &Workspace) -> Result<()> {
    if !workspace.cargo().args(["deny", "--version"]).succeeds() {
        say(
            "    cargo-deny is not installed, deny.toml was not checked: cargo install --locked cargo-deny",
        );
        return Ok(());
    }
    workspace.cargo().args(["deny", "--all-features", "check"]).run()
}
