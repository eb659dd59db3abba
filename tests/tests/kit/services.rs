//! The services of a person, and how parts end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rookery_tests::kit::http::Client;
use rookery_tests::kit::wait;

/// How long both may take to start on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The children of a process.
fn children(id: u32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let list = fs::read_to_string(thread?.path().join("children"))?;
        found.extend(list.split_whitespace().map(str::to_owned));
    }
    Ok(found)
}

#[test]
fn services_serve_and_their_parts_die_with_a_process_that_is_killed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut services = Command::new(env!("CARGO_BIN_EXE_rookery-services"))
        .args(["--kafka-port", "0", "--clickhouse-port", "0", "--folder"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .spawn()?;
    let environment = wait::until("both to serve", LIMIT, || {
        Ok(fs::read_to_string(folder.path().join("environment")).ok())
    })?;
    let (_, url) = environment.trim().rsplit_once('=').context("it names an address")?;
    assert_eq!(Client::new(url, LIMIT)?.get("/ping", &[])?, "Ok.\n");
    let parts = children(services.id())?;
    assert_eq!(parts.len(), 2, "Kafka and the engine");
    services.kill()?;
    services.wait()?;
    wait::until("both to be gone", LIMIT, || {
        let is_gone = |id: &String| !Path::new("/proc").join(id).exists();
        Ok(parts.iter().all(is_gone).then_some(()))
    })
}
