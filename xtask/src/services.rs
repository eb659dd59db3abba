//! Kafka and the ClickHouse engine: installed once into the user's cache, started and stopped for a person.
//!
//! The versions are those of `tests/kit/versions.env`. What is downloaded lies below `$ROOKERY_CACHE` (by default
//! `~/.cache/rookery`), outside of the target folder, so that `cargo clean` and other checkouts do not download it again. How the
//! parts are started is the test kit's affair (`tests/src/kit`): `up` runs its `rookery-services` in the background.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::install;
use crate::report::say;
use crate::workspace::Workspace;

/// How long the start and the stop of both may take.
const LIMIT: Duration = Duration::from_secs(180);

/// How often is looked whether they are there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where downloads are kept.
///
/// # Errors
/// When there is no home folder.
pub(crate) fn cache() -> Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let chosen = folder("ROOKERY_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("rookery")))
        .or_else(|| Some(folder("HOME")?.join(".cache/rookery")));
    chosen.context("there is no $HOME: set ROOKERY_CACHE to a folder for downloads")
}

/// Installs both, and what they run on, unless they are there.
///
/// # Errors
/// When something is missing and cannot be installed.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    let versions = Versions::read(workspace)?;
    kafka(&versions)?;
    engine(&versions)
}

/// Kafka's jars, with what they need, as Maven finds them.
fn kafka(versions: &Versions) -> Result<()> {
    install::java()?;
    let home = cache()?.join(format!("kafka-{}", versions.of("KAFKA")?));
    if home.join("libs").is_dir() {
        return Ok(());
    }
    say("    installing Kafka with Maven");
    whole(&home, |unfinished| {
        fs::write(unfinished.join("pom.xml"), pom(versions)?)?;
        let goals = ["--quiet", "--batch-mode", "dependency:copy-dependencies"];
        let maven = Command::new("mvn").current_dir(unfinished).args(goals);
        maven.args(["-DincludeScope=runtime", "-DoutputDirectory=libs"]).run()
    })
}

/// A project of nothing but dependencies: the broker, and something that writes what it logs.
fn pom(versions: &Versions) -> Result<String> {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let broker = format!("kafka_{}", versions.of("KAFKA_SCALA")?);
    let broker = dependency("org.apache.kafka", &broker, versions.of("KAFKA")?);
    let log4j = "org.apache.logging.log4j";
    let log = dependency(log4j, "log4j-slf4j-impl", versions.of("LOG4J")?);
    Ok(format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion><groupId>rookery</groupId>\
         <artifactId>parts</artifactId><version>0</version><packaging>pom</packaging>\
         <dependencies>{broker}{log}</dependencies></project>\n"
    ))
}

/// The ClickHouse engine as a Python package, in a virtual environment.
fn engine(versions: &Versions) -> Result<()> {
    install::python()?;
    let chdb = versions.of("CHDB")?;
    let home = cache()?.join(format!("chdb-{chdb}"));
    if home.is_dir() {
        return Ok(());
    }
    say("    installing the ClickHouse engine with pip");
    whole(&home, |unfinished| {
        Command::new("python3").args(["-m", "venv", "."]).current_dir(unfinished).run()?;
        let pip = Command::new(unfinished.join("bin/python")).args(["-m", "pip", "install"]);
        let packages =
            [format!("chdb=={chdb}"), format!("chdb-core=={}", versions.of("CHDB_CORE")?)];
        pip.args(["--quiet", "--disable-pip-version-check"]).args(packages).run()
    })
}

/// Fills a folder that appears under its name only when it is whole.
pub(crate) fn whole(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = folder.with_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(&unfinished).with_context(|| format!("make {}", unfinished.display()))?;
    let filled = fill(&unfinished).and_then(|()| {
        // Another checkout may have been faster; then its folder stays.
        if folder.exists() {
            return Ok(());
        }
        fs::rename(&unfinished, folder).with_context(|| format!("make {}", folder.display()))
    });
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    filled
}

/// `NAME=value` lines.
#[derive(Debug)]
pub(crate) struct Versions(String);

impl Versions {
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let file = workspace.path("tests/kit/versions.env");
        Ok(Self(fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?))
    }

    pub(crate) fn of(&self, name: &str) -> Result<&str> {
        let lines = self.0.lines().filter_map(|line| line.split_once('='));
        let mut values = lines.filter(|(key, _)| *key == name).map(|(_, value)| value);
        values.next().with_context(|| format!("tests/kit/versions.env does not name {name}"))
    }
}

/// Where the services of this checkout keep data, logs and addresses.
fn home(workspace: &Workspace) -> PathBuf {
    workspace.target().join("services")
}

/// Starts both in the background, waits until they serve, and prints how to reach them.
///
/// # Errors
/// When they are not installed, or do not start in time.
pub(crate) fn up(workspace: &Workspace) -> Result<()> {
    install(workspace)?;
    let home = home(workspace);
    let environment = home.join("environment");
    if running(&home).is_none() {
        let mut started = start(workspace, &home)?;
        until(|| environment.exists() || !matches!(started.try_wait(), Ok(None)));
    }
    // Somebody else may be starting them at this moment.
    until(|| environment.exists() || running(&home).is_none());
    let log = home.join("services.log");
    let failed = || format!("Kafka and the ClickHouse engine did not start: see {}", log.display());
    print(&fs::read_to_string(environment).with_context(failed)?, &home);
    Ok(())
}

fn start(workspace: &Workspace, home: &Path) -> Result<Child> {
    let build = ["build", "--quiet", "--package", "rookery-tests", "--bin", "rookery-services"];
    workspace.cargo().args(build).run()?;
    fs::create_dir_all(home)?;
    let program = workspace.target().join("debug/rookery-services");
    let output = File::options().create(true).append(true).open(home.join("services.log"))?;
    let arguments = ["--folder".as_ref(), home.as_os_str()];
    let started = Command::new(program).args(arguments).detached(output)?;
    fs::write(home.join("pid"), format!("{}\n", started.id()))?;
    Ok(started)
}

/// Stops both; their data stays.
///
/// # Errors
/// When they do not stop in time.
pub(crate) fn down(workspace: &Workspace) -> Result<()> {
    let home = home(workspace);
    let Some(id) = running(&home) else {
        say("not running");
        return Ok(());
    };
    Command::new("kill").args(["-TERM", &id.to_string()]).run()?;
    until(|| running(&home).is_none());
    if running(&home).is_some() {
        bail!("process {id} does not stop: see {}", home.join("services.log").display());
    }
    say(&format!("stopped; data is kept in {}", home.display()));
    Ok(())
}

/// Prints how to reach them.
///
/// # Errors
/// When they do not run.
pub(crate) fn status(workspace: &Workspace) -> Result<()> {
    let home = home(workspace);
    let environment = fs::read_to_string(home.join("environment")).unwrap_or_default();
    if running(&home).is_none() || environment.is_empty() {
        bail!("not running: start them with `cargo xtask services up`");
    }
    print(&environment, &home);
    Ok(())
}

fn print(environment: &str, home: &Path) {
    say("Kafka and the ClickHouse engine are running. For the tests to use them:");
    for line in environment.lines() {
        say(&format!("    export {line}"));
    }
    say(&format!("Data and logs: {}. To stop them: cargo xtask services down", home.display()));
}

/// The process that `up` started, if it is still that.
fn running(home: &Path) -> Option<u32> {
    let id = fs::read_to_string(home.join("pid")).ok()?.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let program = command.split(|byte| *byte == 0).next()?;
    program.ends_with(b"/rookery-services").then_some(id)
}

/// Waits until `look` says so, or the limit has passed.
fn until(mut look: impl FnMut() -> bool) {
    let start = Instant::now();
    while !look() && start.elapsed() < LIMIT {
        // Nothing can be waited upon in a process that is not a child any more.
        thread::park_timeout(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_is_installed_has_a_version() {
        let versions = Versions::read(&Workspace::find()).unwrap();
        for name in ["KAFKA", "KAFKA_SCALA", "LOG4J", "CHDB", "CHDB_CORE"] {
            assert!(versions.of(name).unwrap().starts_with(|c: char| c.is_ascii_digit()), "{name}");
        }
        assert!(versions.of("NOTHING").is_err());
        assert!(pom(&versions).unwrap().contains("<artifactId>kafka_2."));
    }

    #[test]
    fn a_folder_that_could_not_be_filled_does_not_appear() {
        let home = Workspace::find().target().join("xtask/test-whole");
        fs::create_dir_all(&home).unwrap();
        let folder = home.join("part-1.2");
        assert!(whole(&folder, |_| bail!("no network")).is_err());
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
        whole(&folder, |inside| Ok(fs::write(inside.join("file"), "x")?)).unwrap();
        assert!(folder.join("file").exists());
        fs::remove_dir_all(&home).unwrap();
    }
}
