//! A broker and an engine, and roles between them: no proxies, and the shipped configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rookery_tests::kit::clickhouse::ClickHouse;
use rookery_tests::kit::http::Client;
use rookery_tests::kit::kafka::{Kafka, Setup};
use rookery_tests::kit::process::{RoleLaunch, Rookery, START_LIMIT};
use rookery_tests::kit::{parts, wait};
use tempfile::TempDir;

/// How often a counter is asked for: often enough for the figures, rarely enough not to be part of them.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How many partitions a topic has; one collector fills one of them.
const PARTITIONS: i32 = 4;

/// What runs throughout.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The broker.
    pub(crate) kafka: Kafka,
    /// The engine.
    pub(crate) clickhouse: ClickHouse,
    text_index: String,
    folder: TempDir,
}

/// A topic and a database of their own: one run of the path.
#[derive(Debug)]
pub(crate) struct Way {
    /// The database.
    pub(crate) database: String,
    kafka: String,
    store: String,
    folder: PathBuf,
}

/// A role that runs.
#[derive(Debug)]
pub(crate) struct Role {
    /// The process.
    pub(crate) process: Rookery,
    /// A client of it.
    pub(crate) client: Client,
    journal: PathBuf,
}

impl Parts {
    /// Starts both below a folder.
    pub(crate) fn start(folder: &Path, text_index: &str) -> Result<Self> {
        let folder = tempfile::tempdir_in(folder)?;
        let mut setup = Setup::brokers(1);
        setup.home = Some(folder.path().join("kafka"));
        // Servers of others are not measured: their CPU cannot be read.
        let kafka = setup.launch()?;
        let clickhouse = ClickHouse::at(&folder.path().join("clickhouse"), parts::free_port()?)?;
        Ok(Self { kafka, clickhouse, text_index: text_index.to_owned(), folder })
    }

    /// The process of the broker.
    pub(crate) fn broker(&self) -> Result<u32> {
        self.kafka.id(0)
    }

    /// A way that nothing has taken yet.
    pub(crate) fn way(&self, word: &str) -> Result<Way> {
        let topic = self.kafka.topic(word, PARTITIONS, &[])?;
        let database = topic.replace('-', "_");
        let folder = self.folder.path().join(&topic);
        fs::create_dir_all(folder.join("pods"))?;
        let brokers = self.kafka.bootstrap();
        Ok(Way {
            kafka: format!(
                "kafka: {{brokers: ['{brokers}'], topic: {topic}, group: {topic}, replication_factor: 1}}\n"
            ),
            store: format!(
                "clickhouse: {{url: '{}', database: {database}, text_index: {}}}\n",
                self.clickhouse.url(),
                self.text_index
            ),
            database,
            folder,
        })
    }

    /// Removes what a way has stored, so that the engine has nothing more to do with it.
    pub(crate) fn forget(&self, way: &Way) -> Result<()> {
        self.clickhouse.query(&format!("DROP DATABASE {} SYNC", way.database), &[])?;
        Ok(())
    }
}

impl Way {
    /// An empty folder for pods' logs.
    pub(crate) fn pods(&self) -> PathBuf {
        self.folder.join("pods")
    }

    /// Starts a collector on a folder of pods; gives it when it has reached the broker, and has begun to read.
    pub(crate) fn collector(&self, pods: &Path) -> Result<Role> {
        let (state, pods) = (self.folder.join("state"), pods.display());
        let config = format!(
            "{}collector: {{cluster: bench, node: bench, state_dir: {}, pods: {{directory: {pods}}}}}\n",
            self.kafka,
            state.display()
        );
        let role = self.start("collector", &config)?;
        role.until_ready()?;
        Ok(role)
    }

    /// Starts an ingester; gives it when it has reached both, and has begun to take.
    pub(crate) fn ingester(&self) -> Result<Role> {
        let role = self.start("ingester", &format!("{}{}", self.kafka, self.store))?;
        role.until_ready()?;
        Ok(role)
    }

    /// Starts a query process, and waits until it can answer.
    pub(crate) fn query(&self) -> Result<Role> {
        let role = self.start("query", &self.store)?;
        role.until_ready()?;
        Ok(role)
    }

    fn start(&self, role: &'static str, config: &str) -> Result<Role> {
        let path = self.folder.join(format!("{role}.yaml"));
        fs::write(&path, format!("listen: 127.0.0.1:0\n{config}"))?;
        let journal = self.folder.join(format!("{role}.log"));
        let environment = Vec::new();
        let launch = RoleLaunch { role, config: path, journal: journal.clone(), environment };
        let mut process = launch.spawn()?;
        let client = process.client()?;
        Ok(Role { process, client, journal })
    }
}

impl Role {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it could do its work.
    pub(crate) fn until_ready(&self) -> Result<()> {
        let ready = wait::until("a role to be ready", START_LIMIT, || {
            Ok(self.client.get("/readyz", &[]).ok().map(drop))
        });
        ready.with_context(|| self.printed())
    }

    /// The end of what it printed: its folder is gone when an error is read.
    fn printed(&self) -> String {
        let text = fs::read_to_string(&self.journal).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("the role printed:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"))
    }

    /// The value of a counter of its.
    pub(crate) fn counter(&self, name: &str) -> Result<u64> {
        let text = self.client.get("/metrics", &[])?;
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("_total "));
        let value = line.with_context(|| format!("/metrics has no {name}"))?;
        value.parse().with_context(|| format!("{name} is {value}"))
    }

    /// Waits until a counter has come to a value; fails when it goes beyond.
    pub(crate) fn until(&mut self, name: &str, value: u64, limit: Duration) -> Result<()> {
        let mut last = 0;
        let come = wait::until(name, limit, || {
            std::thread::park_timeout(ASK_EVERY);
            ensure!(self.process.ended()?.is_none(), "the process ended");
            last = self.counter(name)?;
            Ok((last >= value).then_some(()))
        });
        come.with_context(|| format!("{name} is {last} of {value}; {}", self.printed()))?;
        ensure!(last == value, "{name} is {last}, more than {value}");
        Ok(())
    }
}
