//! Kafka and the ClickHouse engine for a person: started on a folder that is kept, until SIGTERM or Ctrl-C. `cargo xtask services up` runs
//! it in the background.
//!
//! Once both serve, it writes how to reach them into `<folder>/environment`, as `NAME=value` lines: with these variables set, the
//! tests use them instead of starting their own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use rookery_tests::kit::clickhouse::{self, ClickHouse};
use rookery_tests::kit::kafka::{BOOTSTRAP_VARIABLE, Setup};
use rookery_tests::kit::parts;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "Kafka and the ClickHouse engine, until it is told to stop")]
struct Arguments {
    /// Where data, logs and addresses are kept.
    #[arg(long)]
    folder: PathBuf,
    /// Where Kafka's clients find it; when somebody else listens there, any free port.
    #[arg(long, default_value_t = 9092)]
    kafka_port: u16,
    /// Where ClickHouse's HTTP interface is; when somebody else listens there, any free port.
    #[arg(long, default_value_t = 8123)]
    clickhouse_port: u16,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.folder)
        .with_context(|| format!("make {}", arguments.folder.display()))?;
    let folder = fs::canonicalize(&arguments.folder)?;
    let environment = folder.join("environment");
    // One of an earlier run would be taken for this one's.
    let _ = fs::remove_file(&environment);
    let mut setup = Setup::brokers(1).property("auto.create.topics.enable", "true");
    setup.home = Some(folder.join("kafka"));
    setup.port = port(arguments.kafka_port)?;
    let kafka = setup.launch()?;
    let engine = ClickHouse::at(&folder.join("clickhouse"), port(arguments.clickhouse_port)?)?;
    let text = format!(
        "{BOOTSTRAP_VARIABLE}={}\n{}={}\n",
        kafka.bootstrap(),
        clickhouse::URL_VARIABLE,
        engine.url()
    );
    announce(&environment, &text)?;
    until_told_to_stop()?;
    let _ = fs::remove_file(&environment);
    kafka.stop(0)?;
    engine.stop()
}

/// The wanted port, or any if none is wanted (0) or somebody listens there.
fn port(wanted: u16) -> Result<u16> {
    let is_free = wanted != 0 && TcpListener::bind(("127.0.0.1", wanted)).is_ok();
    if is_free { Ok(wanted) } else { parts::free_port() }
}

/// Who waits for the file reads it whole.
fn announce(environment: &Path, text: &str) -> Result<()> {
    let unfinished = environment.with_extension("new");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, environment)?;
    Ok(())
}

fn until_told_to_stop() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        Ok(())
    })
}
