//! A fleet on one machine: collectors, Kafka, ingesters, the ClickHouse engine, query processes; each pair of them talks through a
//! network that can be cut.
//!
//! ```text
//! collectors ─(way 0)─► brokers ─(way 1)─► ingesters ─(to_store)─► engine ◄─(from_store)─ queries
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::clickhouse::ClickHouse;
use super::kafka::{self, Kafka};
use super::process::{RoleLaunch, Rookery};
use super::proxy::Proxy;
use super::{parts, wait};
use crate::kit::http::Client;

/// How long the group waits for an ingester that says nothing; the least that a broker allows by itself is 6 s.
pub const SESSION_SECONDS: u64 = 10;

/// What to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many nodes with a collector each.
    pub collectors: usize,
    /// How many brokers.
    pub brokers: usize,
    /// How many partitions the topic has.
    pub partitions: i32,
    /// How many ingesters.
    pub ingesters: usize,
    /// How many query processes.
    pub queries: usize,
    /// What each collector may keep of rotated files while it cannot ship.
    pub spool_limit: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            collectors: 3,
            brokers: 1,
            partitions: 4,
            ingesters: 2,
            queries: 2,
            spool_limit: "1GiB",
        }
    }
}

/// One process of the fleet, over all of its starts.
#[derive(Debug)]
pub struct Member {
    /// `collector-0`, …
    pub name: String,
    launch: RoleLaunch,
    process: Option<Rookery>,
}

/// See the module's documentation. Every part of it ends when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// The brokers.
    pub kafka: Kafka,
    /// The topic of the logs.
    pub topic: String,
    /// The engine.
    pub clickhouse: ClickHouse,
    /// Between ingesters and engine.
    pub to_store: Proxy,
    /// Between queries and engine.
    pub from_store: Proxy,
    /// The collectors.
    pub collectors: Vec<Member>,
    /// The ingesters.
    pub ingesters: Vec<Member>,
    /// The query processes.
    pub queries: Vec<Member>,
    folder: PathBuf,
}

/// The way to the brokers that collectors take.
pub const WAY_OF_COLLECTORS: usize = 0;
/// The way to the brokers that ingesters take.
pub const WAY_OF_INGESTERS: usize = 1;

impl Fleet {
    /// Starts everything and waits until all of it is ready.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(plan: &Plan, folder: &Path) -> Result<Self> {
        let kafka = kafka::Setup::brokers(plan.brokers).proxies(2).start()?;
        let clickhouse = ClickHouse::start()?;
        let topic = kafka.topic("logs", plan.partitions, &[])?;
        let store = clickhouse.address()?;
        let mut fleet = Self {
            kafka,
            topic,
            to_store: Proxy::to(store)?,
            from_store: Proxy::to(store)?,
            clickhouse,
            collectors: Vec::new(),
            ingesters: Vec::new(),
            queries: Vec::new(),
            folder: folder.to_owned(),
        };
        fleet.make_members(plan)?;
        for member in fleet.members() {
            member.start()?;
        }
        for member in fleet.members() {
            member.until_ready()?;
        }
        Ok(fleet)
    }

    fn make_members(&mut self, plan: &Plan) -> Result<()> {
        let database = parts::unique("fleet").replace('-', "_");
        let store = |proxy: &Proxy| {
            format!("clickhouse: {{url: 'http://{}', database: {database}}}\n", proxy.address())
        };
        let (to_store, from_store) = (store(&self.to_store), store(&self.from_store));
        let brokers = self.kafka_section(WAY_OF_COLLECTORS)?;
        for index in 0..plan.collectors {
            let node = self.node(index);
            fs::create_dir_all(node.join("pods"))?;
            fs::create_dir_all(node.join("logs"))?;
            let mut config =
                format!("{brokers}collector:\n  cluster: test\n  node: node-{index}\n");
            let folder = node.display();
            write!(
                config,
                "  state_dir: {folder}/state\n  pods: {{directory: {folder}/pods}}\n  files: [{{include: ['{folder}/logs/*.log']}}]\n  spool: {{limit: {}}}\n",
                plan.spool_limit
            )?;
            let member = self.member("collector", index, &config)?;
            self.collectors.push(member);
        }
        let brokers = self.kafka_section(WAY_OF_INGESTERS)?;
        for index in 0..plan.ingesters {
            let config = format!("{brokers}  group_instance_id: ingester-{index}\n{to_store}");
            let member = self.member("ingester", index, &config)?;
            self.ingesters.push(member);
        }
        for index in 0..plan.queries {
            let member = self.member("query", index, &from_store)?;
            self.queries.push(member);
        }
        Ok(())
    }

    fn kafka_section(&self, way: usize) -> Result<String> {
        let brokers = self.kafka.through(way)?;
        let brokers: Vec<String> = brokers.split(',').map(|broker| format!("'{broker}'")).collect();
        Ok(format!(
            "kafka:\n  brokers: [{}]\n  topic: {topic}\n  group: {topic}\n  replication_factor: {}\n  session_timeout: {SESSION_SECONDS}s\n  revoke_wait: 3s\n",
            brokers.join(", "),
            brokers.len().min(3),
            topic = self.topic
        ))
    }

    fn member(&self, role: &'static str, index: usize, config: &str) -> Result<Member> {
        let name = format!("{role}-{index}");
        let path = self.folder.join(format!("{name}.yaml"));
        fs::write(&path, format!("listen: 127.0.0.1:0\n{config}"))?;
        let journal = self.folder.join(format!("{name}.log"));
        let launch = RoleLaunch { role, config: path, journal, environment: Vec::new() };
        Ok(Member { name, launch, process: None })
    }

    /// The folder of a node: `pods/` and `logs/` in it are what its collector reads.
    pub fn node(&self, index: usize) -> PathBuf {
        self.folder.join(format!("node-{index}"))
    }

    /// All processes.
    pub fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.ingesters.iter_mut().chain(&mut self.collectors).chain(&mut self.queries)
    }

    /// A client of the first query process that runs.
    ///
    /// # Errors
    /// When none does.
    pub fn client(&mut self) -> Result<Client> {
        let running = self.queries.iter_mut().find(|member| member.process.is_some());
        running.context("no query process runs")?.client()
    }
}

impl Member {
    /// Starts it, unless it runs; returns at once.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_none() {
            self.process = Some(self.launch.spawn()?);
        }
        Ok(())
    }

    /// The process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn running(&mut self) -> Result<&mut Rookery> {
        let Self { name, process, .. } = self;
        process.as_mut().with_context(|| format!("{name} does not run"))
    }

    /// A client of it.
    ///
    /// # Errors
    /// When it does not run, or does not serve.
    pub fn client(&mut self) -> Result<Client> {
        self.running()?.client()
    }

    /// Waits until it says that it could do its work.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn until_ready(&mut self) -> Result<()> {
        let client = self.client()?;
        let journal = self.launch.journal.display();
        wait::until(
            &format!("{} to be ready; see {journal}", self.name),
            super::process::START_LIMIT,
            || Ok(client.get("/readyz", &[]).ok()),
        )?;
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().with_context(|| format!("{} does not run", self.name))?.kill()
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not run, does not stop in time, or fails.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().with_context(|| format!("{} does not run", self.name))?.stop()
    }

    /// What it printed, over all of its starts.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn journal(&self) -> Result<String> {
        fs::read_to_string(&self.launch.journal)
            .with_context(|| format!("read {}", self.launch.journal.display()))
    }
}
