//! What the tests need beyond Rust and a C compiler: Node, the page's packages, Chromium, Python for another Parquet reader and the
//! ClickHouse engine, OpenSSL for TLS, Java for Kafka (see [`crate::services`] for those two).
//!
//! Each is looked for first and installed only when missing: system packages by `apt-get` (which needs root or `sudo`), the
//! rest below `target/` from the ordinary registries.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::report::say;
use crate::workspace::Workspace;

/// The oldest Node that the page's tools run on.
const NODE_MAJOR: u32 = 20;

/// The Node that is fetched from npm's registry where the system's is older.
const NODE_VERSION: &str = "20.20.0";

/// Installs Debian packages unless `present` says that they are not needed.
fn debian(present: impl Fn() -> bool, packages: &[&str]) -> Result<()> {
    if present() {
        return Ok(());
    }
    say(&format!("    installing {} with apt-get", packages.join(" ")));
    let is_root = Command::new("id").args(["-u"]).output()?.trim() == "0";
    let apt = || {
        let words: &[&str] = if is_root { &["apt-get"] } else { &["sudo", "-n", "apt-get"] };
        Command::new(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive")
    };
    apt().args(["update", "-qq"]).run().context("apt-get update")?;
    let install = ["install", "-qq", "--yes", "--no-install-recommends"];
    apt()
        .args(install)
        .args(packages)
        .run()
        .with_context(|| format!("install {} by hand, then run this again", packages.join(" ")))?;
    if !present() {
        bail!("{} was installed, but is not found", packages.join(" "));
    }
    Ok(())
}

fn runs(program: &str) -> bool {
    Command::new(program).args(["--version"]).succeeds()
}

/// Chromium, for the tests of the page.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn chromium() -> Result<()> {
    debian(|| runs("chromium"), &["chromium"])
}

/// Python with virtual environments: the test of the part format installs another Parquet reader into one, and the ClickHouse
/// engine is a Python package.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn python() -> Result<()> {
    let present = || Command::new("python3").args(["-c", "import venv, ensurepip"]).succeeds();
    debian(present, &["python3", "python3-venv"])
}

/// OpenSSL, to build a binary with TLS, and to make the certificates of its tests.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn openssl() -> Result<()> {
    let present = || {
        Command::new("openssl").args(["version"]).succeeds()
            && Command::new("pkg-config").args(["--exists", "libssl"]).succeeds()
    };
    debian(present, &["libssl-dev", "openssl", "pkg-config"])
}

/// A JVM for Kafka, and Maven, which finds Kafka's jars.
///
/// # Errors
/// When one is missing and cannot be installed.
pub(crate) fn java() -> Result<()> {
    debian(|| runs("java") && runs("mvn"), &["default-jdk-headless", "maven"])
}

/// `npm` in the page's folder, with a Node that is new enough.
///
/// # Errors
/// When there is none and it cannot be installed.
pub(crate) fn npm(workspace: &Workspace) -> Result<Command> {
    debian(|| runs("node") && runs("npm"), &["nodejs", "npm"])?;
    let npm = Command::new("npm").current_dir(&workspace.web()).env("NO_COLOR", "1");
    let version = Command::new("node").args(["--version"]).output()?;
    if major(&version).is_some_and(|major| major >= NODE_MAJOR) {
        return Ok(npm);
    }
    let folder = newer_node(workspace, version.trim())?;
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(npm.env("PATH", format!("{}:{path}", folder.display())))
}

/// The major number of `v20.19.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Fetches a Node that is new enough below `target/`; gives the folder of its binary.
fn newer_node(workspace: &Workspace, old: &str) -> Result<PathBuf> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("Node {old} is too old; install Node {NODE_MAJOR} for {other} by hand"),
    };
    let package = format!("node-linux-{architecture}");
    let home = workspace.target().join("xtask/node");
    let folder = home.join("node_modules").join(&package).join("bin");
    if !folder.join("node").exists() {
        say(&format!("    Node {old} is too old: fetching {NODE_VERSION} from npm's registry"));
        fs::create_dir_all(&home)?;
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--prefix"];
        let npm = Command::new("npm").current_dir(&home).args(install).args([&home]);
        npm.args([format!("{package}@{NODE_VERSION}")]).run()?;
    }
    Ok(folder)
}

/// The page's packages, as its lock file says; skipped when they are there already.
///
/// # Errors
/// When npm fails.
pub(crate) fn node_modules(workspace: &Workspace) -> Result<()> {
    let web = workspace.web();
    let lock =
        fs::read(web.join("package-lock.json")).context("read the page's package-lock.json")?;
    let stamp = web.join("node_modules/.rookery-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    say("    installing the page's packages with npm");
    // A connection that stalls is given up after a minute, not after npm's five.
    let patience = ["--fetch-timeout=60000", "--fetch-retries=5", "--prefer-offline"];
    npm(workspace)?.args(["ci", "--silent", "--no-audit", "--no-fund"]).args(patience).run()?;
    fs::write(&stamp, lock).context("note which packages are installed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_number_of_a_node_version_is_read() {
        assert_eq!(major("v20.19.2\n"), Some(20));
        assert_eq!(major("nonsense"), None);
    }
}
