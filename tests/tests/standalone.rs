//! A user's first day with the real binary: flags, search on the command line, live tail, pushes, a stop, a configuration that is
//! wrong.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rookery_core::time;
use rookery_tests::kit::process::{self, Launch, Rookery, binary};
use rookery_tests::kit::wait;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// A command of the binary, without the variables of this test run.
fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = process::command(&binary()?);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn output(arguments: &[&str]) -> Result<Output> {
    command(arguments)?.output().with_context(|| format!("run {arguments:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server that tails `folder/app.log`, and the address of its page without the slash at its end.
fn start(folder: &Path) -> Result<(Launch, Rookery, String)> {
    let mut launch = Launch::below(folder)?;
    launch.logs = vec![folder.join("*.log").to_string_lossy().into_owned()];
    // What the process prints is not to be tailed by it.
    launch.journal = folder.join("journal.txt");
    let mut rookery = launch.start()?;
    let url = rookery.url()?.trim_end_matches('/').to_owned();
    Ok((launch, rookery, url))
}

/// A time some seconds ago. Not a fixed one: the store forgets what was printed a month ago.
fn ago(seconds: i64) -> String {
    time::rfc3339(time::now() - seconds * time::SECOND)
}

fn append(path: &Path, line: &str) -> Result<()> {
    let mut file = fs::File::options().create(true).append(true).open(path)?;
    Ok(writeln!(file, "{line}")?)
}

#[test]
fn lines_of_a_file_are_found_on_the_command_line_and_survive_a_stop() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("app.log");
    let refused = format!("{} ERROR connection refused", ago(59));
    append(&log, &format!("{} INFO started", ago(60)))?;
    append(&log, &refused)?;
    let (launch, mut rookery, url) = start(folder.path())?;
    let client = rookery.client()?;
    wait::until("two records", LIMIT, || Ok((client.search("*", &[])?.len() == 2).then_some(())))?;

    let found = output(&["search", "level:error", "--since", "1h", "--url", &url])?;
    assert!(found.status.success(), "{}", text(&found.stderr));
    let record: Value = serde_json::from_slice(&found.stdout)?;
    assert_eq!(record["_msg"], refused);
    assert!(
        refused.starts_with(record["_time"].as_str().context("a record has a time")?),
        "{record}"
    );

    let wrong = output(&["search", "level:", "--url", &url])?;
    assert!(!wrong.status.success());
    assert!(text(&wrong.stderr).contains("  level:\n        ^"), "{}", text(&wrong.stderr));

    let ledger = output(&["ledger", "--url", &url])?;
    assert!(ledger.status.success(), "{}", text(&ledger.stdout));
    assert!(text(&ledger.stdout).contains("the sums balance"));

    rookery.stop()?;
    append(&log, &format!("{} INFO while it was down", ago(58)))?;
    let mut rookery = launch.start()?;
    let client = rookery.client()?;
    let three = || Ok((client.search("*", &[])?.len() == 3).then_some(()));
    wait::until("the third record", LIMIT, three)?;
    assert_eq!(client.json("/api/ledger", &[])?["totals"]["duplicates"]["records"], 0);
    Ok(())
}

#[test]
fn a_stop_does_not_wait_for_a_live_tail() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, rookery, url) = start(folder.path())?;
    let mut tail = command(&["tail", "--url", &url])?.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(tail.stdout.take().context("the output is piped")?).lines();
    append(&folder.path().join("app.log"), &format!("{} INFO seen live", ago(0)))?;
    let first = lines.map_while(Result::ok).find(|line| line.contains("seen live"));
    assert!(first.is_some(), "the tail ended without the line");
    rookery.stop()?;
    wait::until("the tail to end with the server", LIMIT, || Ok(tail.try_wait()?))?;
    Ok(())
}

#[test]
fn a_push_is_stored_when_it_is_answered() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (launch, mut rookery, _) = start(folder.path())?;
    let client = rookery.client()?;
    let lines =
        "{\"_time\":\"2026-11-21T10:00:00Z\",\"_msg\":\"pushed\",\"app\":\"web\",\"status\":503}\n";
    client.post("/insert/jsonline", &[("_stream_fields", "app")], lines.into())?;
    rookery.kill()?;

    let mut rookery = launch.start()?;
    let client = rookery.client()?;
    let found = client.search("{app=\"web\"} status:>=500", &[])?;
    assert_eq!(found.len(), 1, "an answered push is there after kill -9");
    assert_eq!(found[0]["_msg"], "pushed");
    let half = client.post("/insert/jsonline", &[], "{\"_msg\":\"good\"}\nnot json\n".into());
    let message = format!("{:#}", half.expect_err("a wrong line is said"));
    assert!(message.contains("line 2"), "{message}");
    assert_eq!(client.search("good", &[])?.len(), 1, "the good lines of the request are stored");
    Ok(())
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_with_its_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rookery.yaml");
    fs::write(&file, "query:\n  timeot: 5s\n")?;
    let path = file.to_string_lossy();
    let checked = output(&["check-config", &path])?;
    assert!(!checked.status.success());
    let message = text(&checked.stderr);
    assert!(message.contains(":2:") && message.contains("did you mean `timeout`?"), "{message}");
    fs::write(&file, "query:\n  timeout: 5s\n")?;
    assert!(output(&["check-config", &path])?.status.success());
    Ok(())
}

#[test]
fn a_configuration_to_check_is_named_as_the_roles_take_it_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (right, wrong) = (folder.path().join("right.yaml"), folder.path().join("wrong.yaml"));
    fs::write(&right, "query:\n  timeout: 5s\n")?;
    fs::write(&wrong, "query:\n  timeot: 5s\n")?;
    let (right, wrong) = (right.to_string_lossy(), wrong.to_string_lossy());
    for given in [&["--config", &right][..], &[&right]] {
        let checked = output(&[&["check-config"], given].concat())?;
        assert!(checked.status.success(), "{given:?}: {}", text(&checked.stderr));
    }
    let checked = output(&["check-config", "--config", &wrong])?;
    assert!(!checked.status.success());
    assert!(text(&checked.stderr).contains("did you mean `timeout`?"), "{}", text(&checked.stderr));
    // With none there is nothing to check, and of two one would be passed over.
    for given in [&["check-config"][..], &["check-config", &right, "--config", &wrong]] {
        let refused = output(given)?;
        assert!(!refused.status.success());
        assert!(text(&refused.stderr).contains("--config <FILE>"), "{}", text(&refused.stderr));
    }
    Ok(())
}

#[test]
fn a_second_process_on_the_same_data_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (launch, _first, _) = start(folder.path())?;
    let data = launch.data.to_string_lossy().into_owned();
    let second = output(&["standalone", "--data-dir", &data, "--listen", "127.0.0.1:0"])?;
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("another Rookery runs on"), "{}", text(&second.stderr));
    Ok(())
}
