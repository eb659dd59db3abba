//! Apache Kafka: brokers of our own, each also a controller (KRaft), on random ports of this machine.
//!
//! A broker has a listener for clients, one for the other brokers and one for the controllers; and with [`Setup::proxies`] further ones
//! for clients that reach it through a [`Proxy`]. Kafka tells a client where the brokers are, so the address that a listener
//! advertises must be that of its proxy. A process under test gets a proxy of its own ([`Kafka::through`]), and the test can
//! cut it off from the brokers while others, and the test itself ([`Kafka::bootstrap`]), still reach them.
//!
//! With [`Setup::secure`] there are listeners for TLS, with and without SASL SCRAM, and for TLS with certificates of clients.
//!
//! With `ROOKERY_TEST_KAFKA` (`host:port,…`) the tests use those brokers instead. They are not theirs: to kill, pause or restart
//! one is refused.

mod archive;
mod batch;
mod log;
mod protocol;
mod secure;
mod setup;

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

pub use batch::Record;
pub use secure::{Listener, Secure};
pub use setup::Setup;
use setup::{Plan, local};

use super::parts::{self, Part};
use super::proxy::Proxy;
use super::wait;

/// Names brokers to be used instead of our own.
pub const BOOTSTRAP_VARIABLE: &str = "ROOKERY_TEST_KAFKA";

/// How long a start may take on a busy machine; alone it takes about two seconds.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Brokers, with the data of all their starts.
#[derive(Debug)]
pub struct Kafka {
    bootstrap: String,
    replicas: i16,
    brokers: Vec<Broker>,
    _folder: Option<TempDir>,
}

/// One broker of our own.
#[derive(Debug)]
struct Broker {
    folder: PathBuf,
    heap_mib: u32,
    clients: SocketAddr,
    proxies: Vec<Proxy>,
    secure: Vec<(Listener, u16)>,
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

    /// The same brokers as a client sees them that was told this address, for example [`Self::through`] a proxy: to write and look, but
    /// not to kill.
    #[must_use]
    pub fn other(&self, bootstrap: &str) -> Self {
        Self::of_others(bootstrap.to_owned(), self.replicas)
    }

    /// Brokers that somebody else started.
    fn of_others(bootstrap: String, replicas: i16) -> Self {
        Self { bootstrap, replicas, brokers: Vec::new(), _folder: None }
    }

    /// What a client is told: `127.0.0.1:29092,…`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// What a client is told that is to reach the brokers by this way; the first is 0.
    ///
    /// # Errors
    /// When the brokers are not our own, or there are not so many ways.
    pub fn through(&self, way: usize) -> Result<String> {
        let all = 0..self.brokers.len().max(1);
        let addresses: Result<Vec<String>> =
            all.map(|broker| Ok(self.proxy(broker, way)?.address().to_string())).collect();
        Ok(addresses?.join(","))
    }

    /// What a client is told that is to use this listener, under this name of the machine.
    ///
    /// # Errors
    /// When the brokers are not our own, or have no such listener.
    pub fn secure(&self, listener: Listener, host: &str) -> Result<String> {
        let all = 0..self.brokers.len().max(1);
        let addresses: Result<Vec<String>> = all
            .map(|broker| {
                let listeners = &self.own("speak TLS with", broker)?.secure;
                let port = listeners.iter().find(|(other, _)| *other == listener);
                let port = port.context("the brokers have no listener that encrypts: see Setup")?.1;
                Ok(format!("{host}:{port}"))
            })
            .collect();
        Ok(addresses?.join(","))
    }

    /// How many brokers of our own there are.
    pub fn len(&self) -> usize {
        self.brokers.len()
    }

    /// Whether the brokers are not our own.
    pub fn is_empty(&self) -> bool {
        self.brokers.is_empty()
    }

    /// The proxy of a way in front of a broker.
    ///
    /// # Errors
    /// As [`Self::through`].
    pub fn proxy(&self, broker: usize, way: usize) -> Result<&Proxy> {
        let proxies = &self.own("stand before", broker)?.proxies;
        proxies.get(way).with_context(|| format!("there are {} ways: see Setup", proxies.len()))
    }

    /// Makes a topic with a name of its own that begins as said, with as many replicas as there are brokers (three at most), and
    /// waits until each partition has a leader. Its name.
    ///
    /// # Errors
    /// When the brokers refuse.
    pub fn topic(&self, word: &str, partitions: i32, config: &[(&str, &str)]) -> Result<String> {
        let topic = parts::unique(word);
        self.create(&topic, partitions, config)?;
        Ok(topic)
    }

    /// Makes a topic of this name, as [`Self::topic`] does.
    ///
    /// # Errors
    /// When the brokers refuse.
    pub fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Result<()> {
        protocol::create(self.any()?, topic, partitions, self.replicas, config)?;
        self.until_led(topic, partitions)
    }

    /// Gives a topic more partitions, so many in all; waits until each has a leader.
    ///
    /// # Errors
    /// When the brokers refuse.
    pub fn grow(&self, topic: &str, partitions: i32) -> Result<()> {
        protocol::grow(self.any()?, topic, partitions)?;
        self.until_led(topic, partitions)
    }

    /// Removes a topic, and waits until it is gone.
    ///
    /// # Errors
    /// When the brokers refuse.
    pub fn delete(&self, topic: &str) -> Result<()> {
        let broker = self.any()?;
        protocol::delete(broker, topic)?;
        wait::until("the topic to be gone", START_LIMIT, || {
            Ok(protocol::leaders(broker, topic).is_err().then_some(()))
        })
    }

    /// Which broker leads each partition of a topic, as the kit numbers them; none where there is no leader.
    ///
    /// # Errors
    /// When no broker answers, or there is no such topic.
    pub fn leaders(&self, topic: &str) -> Result<Vec<Option<usize>>> {
        let leaders = protocol::leaders(self.any()?, topic)?.into_iter();
        // Node ids begin with 1.
        Ok(leaders.map(|leader| usize::try_from(leader?.id).ok()?.checked_sub(1)).collect())
    }

    /// Writes records into a partition as another producer would, in one batch, to all replicas that are in sync; the offset of the
    /// first. It does not try again: while there is no leader, it fails.
    ///
    /// # Errors
    /// When the partition has no leader, or the leader refuses or does not answer.
    pub fn produce(&self, topic: &str, partition: i32, records: &[Record]) -> Result<i64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let batch = batch::encode(records, i64::try_from(now)?);
        protocol::produce(self.leader(topic, partition)?, topic, partition, &batch)
    }

    /// The offset of the next record of a partition.
    ///
    /// # Errors
    /// When the partition has no leader, or the leader does not answer.
    pub fn end(&self, topic: &str, partition: i32) -> Result<i64> {
        protocol::end(self.leader(topic, partition)?, topic, partition)
    }

    /// Deletes what lies before an offset of a partition, as its retention would.
    ///
    /// # Errors
    /// When the partition has no leader, or the leader refuses or does not answer.
    pub fn expire(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        protocol::delete_records(self.leader(topic, partition)?, topic, partition, before)
    }

    /// Where a group is in a partition, if it ever committed anything there.
    ///
    /// # Errors
    /// When no broker answers that coordinates the group.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>> {
        protocol::committed(self.any()?, group, topic, partition)
    }

    fn leader(&self, topic: &str, partition: i32) -> Result<SocketAddr> {
        let leaders = protocol::leaders(self.any()?, topic)?;
        let leader = leaders.get(usize::try_from(partition)?).cloned().flatten();
        let leader = leader.with_context(|| format!("{topic} has no leader for {partition}"))?;
        let mut found = leader.address.to_socket_addrs()?;
        found.next().with_context(|| format!("{} has no address", leader.address))
    }

    fn until_led(&self, topic: &str, partitions: i32) -> Result<()> {
        let count = usize::try_from(partitions)?;
        wait::until("every partition to be led", START_LIMIT, || {
            // What the controller has decided, a leader may not have heard yet: it is asked.
            let is_led = self.leaders(topic).is_ok_and(|leaders| leaders.len() == count)
                && (0..partitions).all(|partition| self.end(topic, partition).is_ok());
            Ok(is_led.then_some(()))
        })
    }

    /// A broker that answers.
    fn any(&self) -> Result<SocketAddr> {
        let mut addresses = self.bootstrap.split(',').flat_map(|a| a.to_socket_addrs().ok());
        let answering = addresses.find_map(|mut all| all.find(|a| protocol::brokers(*a).is_ok()));
        answering.with_context(|| format!("none of {} answers", self.bootstrap))
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
        let temporary = if setup.home.is_some() { None } else { Some(parts::folder("kafka")?) };
        let home = temporary.as_ref().map(|folder| folder.path().to_owned());
        let home = home.or_else(|| setup.home.clone()).expect("one of the two is there");
        let plans: Vec<Plan> =
            (0..setup.brokers).map(|index| Plan::new(setup, index)).collect::<Result<_>>()?;
        let voters: Vec<u16> = plans.iter().map(|plan| plan.controllers).collect();
        let mut brokers = Vec::new();
        for (index, plan) in plans.into_iter().enumerate() {
            let folder = home.join(format!("broker-{index}"));
            setup.prepare(&folder, index, &plan, &voters)?;
            let clients = local(plan.clients);
            let proxies = plan.proxied.into_iter().map(|(_, proxy)| proxy).collect();
            let (secure, heap_mib, part) = (plan.secure, setup.heap_mib, Mutex::new(None));
            brokers.push(Broker { folder, heap_mib, clients, proxies, secure, part });
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
        let replicas = setup.replicas();
        Ok(Self { bootstrap: addresses.join(","), replicas, brokers, _folder: temporary })
    }
}

impl Broker {
    fn launch(&self) -> Result<Part> {
        let mut arguments = vec![format!("-Xmx{}m", self.heap_mib)];
        arguments.extend(archive::flags()?);
        arguments.extend(java(&self.folder.join("server.properties"))?);
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

/// What every JVM of a broker is started with.
fn java(properties: &Path) -> Result<Vec<String>> {
    Ok(vec![
        // A test's broker lives for seconds: start and memory count.
        "-XX:+UseSerialGC".into(),
        "-XX:TieredStopAtLevel=1".into(),
        "-Dlog4j2.level=INFO".into(),
        "-cp".into(),
        class_path()?,
        "kafka.Kafka".into(),
        properties.display().to_string(),
    ])
}

/// All of Kafka's jars, always in the same order.
fn class_path() -> Result<String> {
    let folder = parts::installed(format!("kafka-{}/libs", parts::version("KAFKA")))?;
    let mut jars = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        jars.push(entry?.path().display().to_string());
    }
    jars.sort();
    Ok(jars.join(":"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}
