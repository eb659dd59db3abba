//! What a broker is told before it starts: where it listens, how it behaves, and that its log folder is formatted.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::secure::{Listener, Secure};
use super::{BOOTSTRAP_VARIABLE, Kafka};
use crate::kit::parts;
use crate::kit::proxy::Proxy;

/// Any 16 bytes in base64: brokers of one cluster name the same.
pub(super) const CLUSTER_ID: &str = "cm9va2VyeS10ZXN0cy0wMQ";

/// What to start.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many brokers; topics of the broker itself have as many replicas, three at most.
    pub brokers: usize,
    /// Properties of every broker, after those of the kit.
    pub properties: Vec<(String, String)>,
    /// The heap of each broker, in MiB.
    pub heap_mib: u32,
    /// How many ways to the brokers there are beside the direct one, each through proxies of its own.
    pub proxies: usize,
    /// With listeners that encrypt, beside the plain one.
    pub secure: Option<Secure>,
    /// A folder to keep the data in; without, one that is removed at the end.
    pub home: Option<PathBuf>,
    /// Where clients find the first broker; 0 is any free port.
    pub port: u16,
}

impl Setup {
    /// So many brokers, and nothing else.
    pub fn brokers(brokers: usize) -> Self {
        let heap_mib = if brokers > 1 { 256 } else { 512 };
        let properties = Vec::new();
        Self { brokers, properties, heap_mib, proxies: 0, secure: None, home: None, port: 0 }
    }

    /// With so many ways through proxies; see [`Kafka::through`].
    #[must_use]
    pub fn proxies(mut self, proxies: usize) -> Self {
        self.proxies = proxies;
        self
    }

    /// With listeners that encrypt; see [`Kafka::secure`].
    #[must_use]
    pub fn secure(mut self, secure: Secure) -> Self {
        self.secure = Some(secure);
        self
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
            return Ok(Kafka::of_others(given, self.replicas()));
        }
        self.launch()
    }

    /// Starts them, whatever the environment says.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn launch(&self) -> Result<Kafka> {
        Kafka::launch(self)
    }

    /// How many replicas a topic has.
    pub(super) fn replicas(&self) -> i16 {
        self.brokers.clamp(1, 3).try_into().expect("three at most")
    }

    /// Writes what a broker reads at its first start: its properties, and the mark of a formatted log folder, which
    /// `kafka-storage format` would write in a second JVM.
    pub(super) fn prepare(
        &self,
        folder: &Path,
        index: usize,
        plan: &Plan,
        voters: &[u16],
    ) -> Result<()> {
        let log = folder.join("log");
        fs::create_dir_all(&log)?;
        let node = index + 1;
        let directory = format!("cm9va2VyeS1kaX{node:02}MDAwMA");
        let meta = format!(
            "version=1\ncluster.id={CLUSTER_ID}\nnode.id={node}\ndirectory.id={directory}\n"
        );
        let mut lines = addresses(node, plan, voters);
        lines.push(format!("log.dirs={}", log.display()));
        lines.extend(behaviour(self.replicas()));
        lines.extend(self.secure.iter().flat_map(Secure::properties));
        lines.extend(self.properties.iter().map(|(name, value)| format!("{name}={value}")));
        let file = folder.join("server.properties");
        fs::write(&file, lines.join("\n") + "\n")?;
        let mark = log.join("meta.properties");
        match &self.secure {
            _ if mark.exists() => Ok(()),
            Some(secure) => secure.format(&file),
            None => Ok(fs::write(mark, meta)?),
        }
    }
}

/// Where a broker listens.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) clients: u16,
    brokers: u16,
    pub(super) controllers: u16,
    /// A port, and the proxy in front of it.
    pub(super) proxied: Vec<(u16, Proxy)>,
    /// The listeners that encrypt.
    pub(super) secure: Vec<(Listener, u16)>,
}

impl Plan {
    /// On free ports, except for the one of the first broker if it is said.
    pub(super) fn new(setup: &Setup, index: usize) -> Result<Self> {
        let proxied = (0..setup.proxies).map(|_| {
            let port = parts::free_port()?;
            Ok((port, Proxy::to(local(port))?))
        });
        let secure = Listener::ALL.iter().filter(|_| setup.secure.is_some());
        let secure = secure.map(|listener| Ok((*listener, parts::free_port()?)));
        Ok(Self {
            secure: secure.collect::<Result<_>>()?,
            proxied: proxied.collect::<Result<_>>()?,
            clients: if index == 0 && setup.port != 0 { setup.port } else { parts::free_port()? },
            brokers: parts::free_port()?,
            controllers: parts::free_port()?,
        })
    }
}

/// An address of this machine.
pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The properties that say who a broker is and where it listens.
fn addresses(node: usize, plan: &Plan, voters: &[u16]) -> Vec<String> {
    let voters: Vec<String> = voters
        .iter()
        .enumerate()
        .map(|(index, port)| format!("{}@{}", index + 1, local(*port)))
        .collect();
    let mut listeners = vec![
        format!("CLIENTS://{}", local(plan.clients)),
        format!("BROKERS://{}", local(plan.brokers)),
    ];
    let mut advertised = listeners.clone();
    let mut protocols: Vec<String> =
        ["CLIENTS", "BROKERS", "CONTROLLERS"].map(|name| format!("{name}:PLAINTEXT")).into();
    for (way, (port, proxy)) in plan.proxied.iter().enumerate() {
        listeners.push(format!("WAY{way}://{}", local(*port)));
        advertised.push(format!("WAY{way}://{}", proxy.address()));
        protocols.push(format!("WAY{way}:PLAINTEXT"));
    }
    for (listener, port) in &plan.secure {
        let name = listener.name();
        listeners.push(format!("{name}://{}", local(*port)));
        advertised.push(format!("{name}://localhost:{port}"));
        protocols.push(format!("{name}:{}", listener.protocol()));
    }
    listeners.push(format!("CONTROLLERS://{}", local(plan.controllers)));
    vec![
        "process.roles=broker,controller".to_owned(),
        format!("node.id={node}"),
        format!("controller.quorum.voters={}", voters.join(",")),
        format!("listeners={}", listeners.join(",")),
        format!("advertised.listeners={}", advertised.join(",")),
        format!("listener.security.protocol.map={}", protocols.join(",")),
        "inter.broker.listener.name=BROKERS".to_owned(),
        "controller.listener.names=CONTROLLERS".to_owned(),
    ]
}

/// The properties that say how brokers behave.
fn behaviour(replicas: i16) -> Vec<String> {
    let in_sync = if replicas > 1 { replicas - 1 } else { 1 };
    let mut lines = vec![
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
    let rest = [
        // A topic that a test forgot to make is an error, as with careful operators.
        "auto.create.topics.enable=false",
        "group.initial.rebalance.delay.ms=0",
        "log.cleaner.dedupe.buffer.size=4194304",
        "num.network.threads=2",
        "num.io.threads=4",
    ];
    lines.extend(rest.map(str::to_owned));
    lines
}
