//! Kafka's classes as the JVM keeps them in memory, in a file beside the jars: half of what a start costs is loading them.
//!
//! Measured: 4.1 s of processor time for a start without, 2.4 s with (JDK 17). The file is written by the JVM itself
//! ([application class-data sharing](https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html)) when a broker that was
//! started for that purpose ends. It fits one JDK, so its name says which; a JVM that cannot use it goes on without.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use super::setup::{Plan, Setup};
use super::{START_LIMIT, java, local, lock, protocol};
use crate::kit::parts::{self, Part};

/// The JVM's flags for the archive, which is made if there is none for this JDK.
pub(super) fn flags() -> Result<Vec<String>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = lock(&ONE_AT_A_TIME);
    let folder = parts::installed(format!("kafka-{}", parts::version("KAFKA")))?;
    let archive = folder.join(format!("classes-{}.jsa", jdk()?));
    if !archive.exists() {
        make(&archive)?;
    }
    Ok(vec![format!("-XX:SharedArchiveFile={}", archive.display()), "-Xshare:auto".into()])
}

/// Runs a broker from its start to its end, and keeps what it loaded.
fn make(archive: &Path) -> Result<()> {
    let folder = parts::folder("archive")?;
    let setup = Setup::brokers(1);
    let plan = Plan::new(&setup, 0)?;
    setup.prepare(folder.path(), 0, &plan, &[plan.controllers])?;
    let unfinished = folder.path().join("classes.jsa");
    // What it says of classes that cannot be kept is of no use to anybody.
    let at_exit = format!("-XX:ArchiveClassesAtExit={}", unfinished.display());
    let mut arguments = vec![at_exit, "-Xlog:cds=off".into(), "-Xlog:cds+dynamic=off".into()];
    arguments.extend(java(&folder.path().join("server.properties"))?);
    let journal = folder.path().join("kafka.log");
    let mut part = Part::start("Kafka", Path::new("java"), &arguments, &journal)?;
    part.until(START_LIMIT, || Ok(protocol::brokers(local(plan.clients)).ok().filter(|n| *n > 0)))?;
    part.stop()?;
    // Another process may make the same one at the same time: whoever is last wins, and both are whole.
    let beside = archive.with_extension(parts::unique("new"));
    fs::copy(&unfinished, &beside).with_context(|| format!("write {}", beside.display()))?;
    fs::rename(&beside, archive).with_context(|| format!("write {}", archive.display()))
}

/// What tells this JDK from another: when its `java` was made.
fn jdk() -> Result<u64> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("java"));
    let java: PathBuf = found
        .find(|java| java.is_file())
        .context("there is no java: run `cargo xtask services install` once")?;
    let made = fs::canonicalize(java)?.metadata()?.modified()?;
    Ok(made.duration_since(UNIX_EPOCH)?.as_secs())
}
