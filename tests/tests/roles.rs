//! The roles of a fleet as processes, against a real Kafka and the ClickHouse engine: how they start, wait, reload and stop, what others
//! push or write into topics, and what cannot be decoded. What happens when they are killed is tested by the fault run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rookery_tests::kit::clickhouse::ClickHouse;
use rookery_tests::kit::http::Client;
use rookery_tests::kit::kafka::{Kafka, Record, Setup};
use rookery_tests::kit::parts::unique;
use rookery_tests::kit::process::{RoleLaunch, Rookery, binary};
use rookery_tests::kit::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder with configurations of roles that belong together.
struct Fleet {
    folder: TempDir,
    common: String,
    group: String,
    kafka: &'static Kafka,
    clickhouse: &'static ClickHouse,
    database: String,
}

impl Fleet {
    fn new() -> Result<Self> {
        let (kafka, clickhouse) = (Kafka::shared()?, ClickHouse::shared()?);
        let topic = unique("roles");
        let database = unique("roles").replace('-', "_");
        let brokers: Vec<String> =
            kafka.bootstrap().split(',').map(|broker| format!("'{broker}'")).collect();
        let mut common = format!(
            "listen: 127.0.0.1:0\nkafka:\n  brokers: [{}]\n  topic: {topic}\n  group: {topic}\n  partitions: 2\n  replication_factor: 1\n  session_timeout: 6s\n  revoke_wait: 3s\n",
            brokers.join(", ")
        );
        // Sections that follow begin at the left; those of kafka go on.
        let mut store = format!("url: '{}', database: {database}", clickhouse.url());
        if let Some((user, password)) = clickhouse.login() {
            write!(store, ", user: '{user}', password: '{password}'")?;
        }
        writeln!(common, "{{more}}clickhouse: {{{store}}}")?;
        let folder = tempfile::tempdir()?;
        Ok(Self { folder, common, group: topic, kafka, clickhouse, database })
    }

    fn file(&self, name: &str, of_kafka: &str, sections: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, self.common.replace("{more}", of_kafka) + sections)?;
        Ok(path)
    }

    fn start(&self, role: &'static str, of_kafka: &str, sections: &str) -> Result<Rookery> {
        start(role, &self.file(role, of_kafka, sections)?)
    }
}

fn start(role: &'static str, config: &Path) -> Result<Rookery> {
    let journal = config.with_extension("log");
    let launch = RoleLaunch { role, config: config.to_owned(), journal, environment: Vec::new() };
    launch.spawn()
}

fn until_ready(role: &mut Rookery) -> Result<Client> {
    let client = role.client()?;
    wait::until("the role to be ready", LIMIT, || Ok(client.get("/readyz", &[]).ok()))?;
    Ok(client)
}

/// Waits until the query finds so many records.
fn until_found(client: &Client, query: &str, count: usize) -> Result<Vec<Value>> {
    wait::until(&format!("{count} records for {query}"), LIMIT, || {
        let found = client.search(query, &[])?;
        ensure!(found.len() <= count, "{} records for {query}: {found:?}", found.len());
        Ok((found.len() == count).then_some(found))
    })
}

fn until_said(journal: &Path, what: &str) -> Result<String> {
    wait::until(&format!("{what:?} in {}", journal.display()), LIMIT, || {
        let text = std::fs::read_to_string(journal)?;
        Ok(text.lines().find(|line| line.contains(what)).map(str::to_owned))
    })
}

/// Runs a command of the binary; its standard output.
fn command(arguments: &[&str], config: &Path) -> Result<String> {
    let output = Command::new(binary()?)
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .with_context(|| format!("run {arguments:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?} failed: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_role_without_its_parts_lives_says_what_it_waits_for_and_stops_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("nowhere.yaml");
    let nowhere = "listen: 127.0.0.1:0\nkafka: {brokers: ['127.0.0.1:1']}\nclickhouse: {url: 'http://127.0.0.1:2'}\n";
    let own =
        format!("data_dir: {0}\ncollector: {{state_dir: {0}/state}}\n", folder.path().display());
    std::fs::write(&config, nowhere.to_owned() + &own)?;
    for (role, missing) in [
        ("collector", "127.0.0.1:1"),
        ("receiver", "127.0.0.1:1"),
        ("ingester", "127.0.0.1:"),
        ("query", "127.0.0.1:2"),
    ] {
        let mut process = start(role, &config)?;
        let client = process.client()?;
        let error = client.get("/readyz", &[]).err().context("it cannot be ready")?;
        let error = format!("{error:#}");
        ensure!(error.contains("503"), "{role}: {error}");
        ensure!(error.contains(missing), "{role} does not say what is missing: {error}");
        client.get("/metrics", &[])?;
        process.stop().with_context(|| format!("stop the {role}"))?;
    }
    Ok(())
}

#[test]
fn a_password_that_kafka_refuses_is_named_and_the_right_one_lets_in() -> Result<()> {
    let kafka = Setup::brokers(1)
        .proxies(1)
        .property(
            "listener.security.protocol.map",
            "CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLERS:PLAINTEXT,WAY0:SASL_PLAINTEXT",
        )
        .property("listener.name.way0.sasl.enabled.mechanisms", "PLAIN")
        .property(
            "listener.name.way0.plain.sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_rookery=\"right\";",
        )
        .launch()?;
    let folder = tempfile::tempdir()?;
    let (config, journal) =
        (folder.path().join("collector.yaml"), folder.path().join("collector.log"));
    let text = format!(
        "listen: 127.0.0.1:0\ndata_dir: {0}\ncollector: {{state_dir: {0}/state}}\nkafka:\n  brokers: ['{1}']\n  replication_factor: 1\n  \
         sasl: {{mechanism: PLAIN, username: rookery}}\n",
        folder.path().display(),
        kafka.through(0)?
    );
    std::fs::write(&config, text)?;
    for (password, said) in [("wrong", "check kafka.sasl"), ("right", "made a topic")] {
        let variable = ("ROOKERY_KAFKA_SASL_PASSWORD".into(), password.into());
        let (config, journal) = (config.clone(), journal.clone());
        let launch = RoleLaunch { role: "collector", config, journal, environment: vec![variable] };
        let mut collector = launch.spawn()?;
        let line = until_said(&launch.journal, said)?;
        ensure!(!line.contains(password), "the password is in the log: {line}");
        if password == "right" {
            until_ready(&mut collector)?;
        }
        collector.stop()?;
    }
    Ok(())
}

#[test]
fn what_others_write_into_a_topic_is_stored_once_and_what_is_broken_is_put_aside() -> Result<()> {
    let fleet = Fleet::new()?;
    let theirs = fleet.kafka.topic("theirs", 1, &[])?;
    let foreign =
        format!("  foreign: [{{topic: {theirs}, format: json_lines, stream_fields: [app]}}]\n");
    let send = |values: &[&str]| {
        let records: Vec<Record> = values.iter().map(|value| Record::of(*value)).collect();
        fleet.kafka.produce(&theirs, 0, &records)
    };
    send(&[
        r#"{"_msg":"first of theirs","app":"shop","level":"error"}"#,
        "this is no JSON",
        r#"{"_msg":"second of theirs","app":"shop"}"#,
    ])?;
    let mut query = fleet.start("query", "", "")?;
    let mut ingester = fleet.start("ingester", &foreign, "")?;
    until_ready(&mut ingester)?;
    let client = until_ready(&mut query)?;
    let found = until_found(&client, "theirs | sort by (_msg)", 2)?;
    assert_eq!(found[0]["_msg"], json!("first of theirs"));
    assert_eq!(found[0]["level"], json!("error"));
    assert_eq!(found[0]["app"], json!("shop"));

    // Killed before it has committed, it begins with what it has already stored, or put aside.
    ingester.kill()?;
    send(&[r#"{"_msg":"third of theirs","app":"shop"}"#])?;
    let mut ingester = fleet.start("ingester", &foreign, "")?;
    until_ready(&mut ingester)?;
    until_found(&client, "theirs", 3)?;

    let config = fleet.file("letters", &foreign, "")?;
    let letters = command(&["dead-letter", "list"], &config)?;
    let lines: Vec<&str> = letters.lines().collect();
    assert_eq!(lines.len(), 1, "{letters}");
    assert!(lines[0].contains(&format!("{theirs}/0@1")), "{letters}");
    ingester.stop()?;
    query.stop()
}

#[test]
fn what_kafka_deleted_before_it_was_read_is_lost_in_the_ledger_counted_and_said() -> Result<()> {
    let fleet = Fleet::new()?;
    let theirs = fleet.kafka.topic("expires", 1, &[])?;
    let foreign = format!("  foreign: [{{topic: {theirs}, format: plain}}]\n");
    let send = |bodies: std::ops::Range<u32>| {
        let records: Vec<Record> =
            bodies.map(|number| Record::of(format!("expiring {number}"))).collect();
        fleet.kafka.produce(&theirs, 0, &records)
    };
    let mut query = fleet.start("query", "", "")?;
    let client = query.client()?;
    // Before anybody was there, nothing was promised.
    send(0..2)?;
    fleet.kafka.expire(&theirs, 0, 1)?;
    let found = |count| until_found(&client, "expiring", count);
    let lost = || {
        let ledger = client.json("/api/ledger", &[])?;
        ensure!(ledger["balanced"] == json!(true), "{ledger}");
        let lines = ledger["streams"].as_array().context("no streams")?;
        let line =
            lines.iter().find(|line| line["events"].as_array().is_some_and(|e| !e.is_empty()));
        Ok::<_, anyhow::Error>(line.cloned().unwrap_or_default())
    };
    let mut ingester = fleet.start("ingester", &foreign, "")?;
    until_ready(&mut query)?;
    found(1)?;
    let until_committed = |offset| {
        wait::until("the commit", LIMIT, || {
            let committed = fleet.kafka.committed(&fleet.group, &theirs, 0)?;
            Ok((committed == Some(offset)).then_some(()))
        })
    };
    until_committed(2)?;
    ingester.stop()?;
    assert_eq!(lost()?, Value::Null);

    // Of what came while nobody read, some is gone; then all.
    let journal = fleet.folder.path().join("ingester.log");
    for (sent, before, stored, events) in [(2..8, 5, 4, 1), (8..10, 10, 4, 2)] {
        send(sent)?;
        fleet.kafka.expire(&theirs, 0, before)?;
        ingester = fleet.start("ingester", &foreign, "")?;
        let line = wait::until("the loss", LIMIT, || {
            let line = lost()?;
            Ok((line["events"].as_array().map_or(0, Vec::len) == events).then_some(line))
        })?;
        found(stored)?;
        assert_eq!(line["labels"], json!({"topic": theirs, "partition": "0"}));
        let event = &line["events"][events - 1];
        // The first offset that is gone, plus one, and how many.
        let (first, count) = if events == 1 { ("3", 3) } else { ("9", 2) };
        assert_eq!(event["reason"], json!("expired_unread"));
        assert_eq!((&event["generation"], &event["records"]), (&json!(first), &json!(count)));
        let metrics = ingester.client()?.get("/metrics", &[])?;
        let metrics = String::from_utf8_lossy(&metrics).into_owned();
        let counted = format!("rookery_kafka_expired_messages_total {count}");
        assert!(metrics.contains(&counted), "{metrics}");
        let said = until_said(&journal, &format!("deleted up to {count} messages"))?;
        assert!(said.contains(&theirs) && said.contains("retention.ms"), "{said}");
        until_committed(if events == 1 { 8 } else { 10 })?;
        ingester.stop()?;
    }
    // It was acknowledged: nobody finds it again.
    ingester = fleet.start("ingester", &foreign, "")?;
    send(10..11)?;
    found(5)?;
    assert_eq!(lost()?["lost"], json!({"bytes": 5, "records": 5}));
    let said = std::fs::read_to_string(&journal)?;
    assert_eq!(said.matches("Kafka deleted up to").count(), 2, "{said}");
    ingester.stop()?;
    query.stop()
}

#[test]
fn what_is_pushed_to_a_receiver_is_searchable_and_a_fleet_stops_without_losing_it() -> Result<()> {
    let fleet = Fleet::new()?;
    let data = format!("data_dir: {}\nreceiver: {{name: edge-1}}\n", fleet.folder.path().display());
    // The last to be needed is the first to start.
    let mut query = fleet.start("query", "", "")?;
    let mut receiver = fleet.start("receiver", "", &data)?;
    let pushing = until_ready(&mut receiver)?;
    let record = |number: usize| {
        let record = json!({"_msg": format!("pushed {number}"), "app": "edge", "number": number});
        record.to_string().into_bytes().into()
    };
    let parameters = [("_stream_fields", "app")];
    for number in 0..5 {
        pushing.post("/insert/jsonline", &parameters, record(number))?;
    }
    // It was answered, so it is in Kafka, and nobody has to be there.
    receiver.kill()?;
    let mut ingester = fleet.start("ingester", "", "")?;
    until_ready(&mut ingester)?;
    let client = until_ready(&mut query)?;
    let found = until_found(&client, "pushed | sort by (number)", 5)?;
    assert_eq!(found[4]["_msg"], json!("pushed 4"));
    // A block's account is written behind its records.
    wait::until("the ledger to have them", LIMIT, || {
        let ledger = client.json("/api/ledger", &[])?;
        assert_eq!(ledger["balanced"], json!(true), "{ledger}");
        Ok((ledger["totals"]["stored"]["records"] == json!(5)).then_some(()))
    })?;
    ingester.stop()?;
    query.stop()
}

#[test]
fn migrate_says_what_it_would_do_then_does_it_once() -> Result<()> {
    let fleet = Fleet::new()?;
    let config = fleet.file("migrate", "", "")?;
    let planned = command(&["migrate", "--dry-run"], &config)?;
    assert!(planned.contains("CREATE TABLE"), "{planned}");
    let tables = || {
        let count = "SELECT count() FROM system.tables WHERE database = {name:String}";
        fleet.clickhouse.query(count, &[("param_name", &fleet.database)])
    };
    assert_eq!(tables()?.trim(), "0");
    command(&["migrate"], &config)?;
    assert_ne!(tables()?.trim(), "0");
    assert_eq!(command(&["migrate", "--dry-run"], &config)?, "");
    command(&["migrate"], &config)?;
    Ok(())
}

#[test]
fn a_hangup_changes_what_can_be_changed_and_names_the_rest() -> Result<()> {
    let fleet = Fleet::new()?;
    let mut query = fleet.start("query", "", "log: info\n")?;
    query.client()?;
    let config = fleet.file("query", "", "log: debug\nquery: {rows_limit: 77}\n")?;
    query.hang_up()?;
    let journal = config.with_extension("log");
    let said = until_said(&journal, "the configuration was read again")?;
    assert!(said.contains("changed: log"), "{said}");
    assert!(said.contains("need a new start: query.rows_limit"), "{said}");
    std::fs::write(&config, "quary: {}\n")?;
    query.hang_up()?;
    let said = until_said(&journal, "the configuration stays as it was")?;
    assert!(said.contains("quary"), "{said}");
    query.stop()
}
