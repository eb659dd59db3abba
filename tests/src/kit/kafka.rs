//! Apache Kafka: brokers of our own, each also a controller (KRaft), on random ports of this machine.
//!
//! A broker has three listeners: one for clients, one for the other brokers, one for the controllers. So the network between
//! clients and brokers can be cut without that between brokers.
//!
//! With `ROOKERY_TEST_KAFKA` (`host:port,…`) the tests use those brokers instead. They are not theirs: to kill, pause or restart
//! one is refused.

mod log;
mod protocol;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::parts::{self, Part};

/// Names brokers to be used instead of our own.
pub const BOOTSTRAP_VARIABLE: &str = "ROOKERY_TEST_KAFKA";

/// How long a start may take on a busy machine; alone it takes about two seconds.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Any 16 bytes in base64: brokers of one cluster name the same.
const CLUSTER_ID: &str = "cm9va2VyeS10ZXN0cy0wMQ";

/// What to start.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many brokers; topics of the broker itself have as many replicas, three at most.
    pub brokers: usize,
    /// Properties of every broker, after those of the kit.
    pub properties: Vec<(String, String)>,
    /// The heap of each broker, in MiB.
    pub heap_mib: u32,
}

impl Setup {
    /// So many brokers, and nothing else.
    pub fn brokers(brokers: usize) -> Self {
        Self { brokers, properties: Vec::new(), heap_mib: if brokers > 1 { 256 } else { 512 } }
    }

    /// With a property of every broker, as in `server.properties`.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts them.
    ///
    /// # Errors
    /// When Kafka is not installed, or does not start in time.
    pub fn start(&self) -> Result<Kafka> {
        if let Some(given) = std::env::var(BOOTSTRAP_VARIABLE).ok().filter(|v| !v.is_empty()) {
            return Ok(Kafka { bootstrap: given, brokers: Vec::new(), _folder: None });
        }
        Kafka::launch(self)
    }
}

/// Brokers, with the data of all their starts.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    brokers: Vec<Broker>,
    _folder: Option<TempDir>,
}

/// One broker of our own.
#[derive(Debug)]
struct Broker {
    folder: PathBuf,
    heap_mib: u32,
    clients: SocketAddr,
    part: Mutex<Option<Part>>,
}

impl Kafka {
    /// Starts one broker; or takes those that the environment names.
    ///
    /// # Errors
    /// When Kafka is not installed, or does not start in time.
    pub fn start() -> Result<Self> {
        Setup::brokers(1).start()
    }

    /// Starts so many brokers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn cluster(brokers: usize) -> Result<Self> {
        Setup::brokers(brokers).start()
    }

    /// The one that the tests of this process share; each test takes topics of its own in it ([`parts::unique`]). Tests that
    /// kill or pause start their own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Mutex<Option<&'static Kafka>>> = OnceLock::new();
        let mut shared = lock(SHARED.get_or_init(Mutex::default));
        if let Some(started) = *shared {
            return Ok(started);
        }
        // It lives as long as the process, and its part dies with the process.
        let started: &'static Self = Box::leak(Box::new(Self::start()?));
        *shared = Some(started);
        Ok(started)
    }

    /// What a client is told: `127.0.0.1:29092,…`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// SIGKILL to a broker; the first is 0. What it wrote stays in the page cache, so only [`Self::lose_log`] loses it.
    ///
    /// # Errors
    /// When it is not our own, or does not run.
    pub fn kill(&self, broker: usize) -> Result<()> {
        self.take("kill", broker)?.kill()
    }

    /// Asks a broker to stop, and waits: it hands its partitions over first.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn stop(&self, broker: usize) -> Result<()> {
        self.take("stop", broker)?.stop()
    }

    /// SIGSTOP: connections stay open, and nothing answers.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn pause(&self, broker: usize) -> Result<()> {
        let part = lock(&self.own("pause", broker)?.part);
        part.as_ref().context("the broker does not run")?.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn resume(&self, broker: usize) -> Result<()> {
        let part = lock(&self.own("resume", broker)?.part);
        part.as_ref().context("the broker does not run")?.resume()
    }

    /// Starts a broker again at the same address with the same data; kills it first if it runs. Returns when it answers.
    ///
    /// # Errors
    /// When it is not our own, or does not start in time.
    pub fn restart(&self, broker: usize) -> Result<()> {
        let own = self.own("restart", broker)?;
        let mut part = lock(&own.part);
        if let Some(part) = part.take() {
            part.kill()?;
        }
        let mut started = own.launch()?;
        own.until_it_answers(&mut started, 1)?;
        *part = Some(started);
        Ok(())
    }

    /// A broker whose machine lost power before its disk had the log: kills it, and cuts the last `batches` record batches off
    /// every partition of the topic (all of them with `usize::MAX`). [`Self::restart`] brings it back without them.
    ///
    /// # Errors
    /// When it is not our own, or its files are not there.
    pub fn lose_log(&self, broker: usize, topic: &str, batches: usize) -> Result<()> {
        let own = self.own("lose the log of", broker)?;
        if let Some(part) = lock(&own.part).take() {
            part.kill()?;
        }
        log::cut(&own.folder.join("log"), topic, batches)
    }

    /// The process id of a broker.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn id(&self, broker: usize) -> Result<u32> {
        let part = lock(&self.own("name the process of", broker)?.part);
        Ok(part.as_ref().context("the broker does not run")?.id())
    }

    fn own(&self, what: &str, broker: usize) -> Result<&Broker> {
        if self.brokers.is_empty() {
            bail!(
                "{BOOTSTRAP_VARIABLE} names brokers that are not the test's own, so it does not {what} one: unset it for this test"
            );
        }
        self.brokers.get(broker).with_context(|| format!("there is no broker {broker}"))
    }

    fn take(&self, what: &str, broker: usize) -> Result<Part> {
        lock(&self.own(what, broker)?.part).take().context("the broker does not run")
    }

    fn launch(setup: &Setup) -> Result<Self> {
        let folder = parts::folder("kafka")?;
        let ports: Vec<[u16; 3]> = (0..setup.brokers).map(|_| ports()).collect::<Result<_>>()?;
        let mut brokers = Vec::new();
        for (index, own) in ports.iter().enumerate() {
            let folder = folder.path().join(format!("broker-{index}"));
            prepare(&folder, index, &ports, setup)?;
            let clients = SocketAddr::from(([127, 0, 0, 1], own[0]));
            let part = Mutex::new(None);
            brokers.push(Broker { folder, heap_mib: setup.heap_mib, clients, part });
        }
        // All at once: a controller waits for a majority of the others.
        for broker in &brokers {
            *lock(&broker.part) = Some(broker.launch()?);
        }
        for broker in &brokers {
            let mut part = lock(&broker.part);
            let part = part.as_mut().expect("it was just started");
            broker.until_it_answers(part, setup.brokers)?;
        }
        let addresses: Vec<String> = brokers.iter().map(|b| b.clients.to_string()).collect();
        Ok(Self { bootstrap: addresses.join(","), brokers, _folder: Some(folder) })
    }
}

impl Broker {
    fn launch(&self) -> Result<Part> {
        let jars = parts::installed(format!("kafka-{}/libs", parts::version("KAFKA")))?;
        let arguments = [
            format!("-Xmx{}m", self.heap_mib),
            // A test's broker lives for seconds: what it saves is start and memory.
            "-XX:+UseSerialGC".into(),
            "-XX:TieredStopAtLevel=1".into(),
            "-Dlog4j2.level=INFO".into(),
            "-cp".into(),
            format!("{}/*", jars.display()),
            "kafka.Kafka".into(),
            self.folder.join("server.properties").display().to_string(),
        ];
        Part::start("Kafka", Path::new("java"), &arguments, &self.folder.join("kafka.log"))
    }

    /// Until it knows so many brokers and a controller.
    fn until_it_answers(&self, part: &mut Part, brokers: usize) -> Result<()> {
        part.until(START_LIMIT, || {
            let known = protocol::brokers(self.clients).unwrap_or(0);
            Ok((known >= brokers).then_some(()))
        })
    }
}

/// Ports for clients, brokers and controllers.
fn ports() -> Result<[u16; 3]> {
    Ok([parts::free_port()?, parts::free_port()?, parts::free_port()?])
}

/// Writes what a broker reads at its first start: its properties, and the mark of a formatted log folder, which
/// `kafka-storage format` would write in a second JVM.
fn prepare(folder: &Path, index: usize, ports: &[[u16; 3]], setup: &Setup) -> Result<()> {
    let log = folder.join("log");
    fs::create_dir_all(&log)?;
    let node = index + 1;
    let directory = format!("cm9va2VyeS1kaXItMDAw{node:02}");
    let meta =
        format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id={node}\ndirectory.id={directory}\n");
    fs::write(log.join("meta.properties"), meta)?;
    let mut properties = properties(&log, index, ports);
    for (name, value) in &setup.properties {
        properties.push_str(&format!("{name}={value}\n"));
    }
    fs::write(folder.join("server.properties"), properties)?;
    Ok(())
}

fn properties(log: &Path, index: usize, ports: &[[u16; 3]]) -> String {
    let [clients, brokers, controllers] = ports[index];
    let voters: Vec<String> = ports
        .iter()
        .enumerate()
        .map(|(index, ports)| format!("{}@127.0.0.1:{}", index + 1, ports[2]))
        .collect();
    let replicas = ports.len().min(3);
    let in_sync = replicas.div_ceil(2);
    let host = "127.0.0.1";
    let both = format!("CLIENTS://{host}:{clients},BROKERS://{host}:{brokers}");
    let mut lines = vec![
        "process.roles=broker,controller".to_owned(),
        format!("node.id={}", index + 1),
        format!("controller.quorum.voters={}", voters.join(",")),
        format!("listeners={both},CONTROLLERS://{host}:{controllers}"),
        format!("advertised.listeners={both}"),
        "listener.security.protocol.map=CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLERS:PLAINTEXT"
            .to_owned(),
        "inter.broker.listener.name=BROKERS".to_owned(),
        "controller.listener.names=CONTROLLERS".to_owned(),
        format!("log.dirs={}", log.display()),
        format!("default.replication.factor={replicas}"),
        format!("min.insync.replicas={in_sync}"),
    ];
    for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
        lines.push(format!("{topic}.replication.factor={replicas}"));
        // Fifty would be fifty folders to open at every start.
        lines.push(format!("{topic}.num.partitions=4"));
    }
    for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
        lines.push(format!("{topic}.min.isr={in_sync}"));
    }
    lines.extend(
        [
            // A topic that a test forgot to make is an error, as with careful operators.
            "auto.create.topics.enable=false",
            "group.initial.rebalance.delay.ms=0",
            "log.cleaner.dedupe.buffer.size=4194304",
            "num.network.threads=2",
            "num.io.threads=4",
        ]
        .map(str::to_owned),
    );
    lines.join("\n") + "\n"
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}
