//! One producer of librdkafka, from its first message to its first failure.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};
use rdkafka::statistics::Statistics;
use rookery_core::queue::Acknowledger;
use rookery_core::{Error, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::client;
use crate::config::KafkaConfig;
use crate::message::{HEADER_HASH, HEADER_RANGES, HEADER_TENANT, HEADER_VERSION, Message, VERSION};
use crate::stats::Stats;

/// A batch whose messages are on their way.
pub(crate) struct Pending {
    acknowledger: Mutex<Option<Acknowledger>>,
    remaining: AtomicUsize,
    bytes: usize,
    stats: Arc<Stats>,
    /// Its share of what may be in flight, until librdkafka has let go of all of it.
    _room: OwnedSemaphorePermit,
}

impl Pending {
    /// A batch of so many messages.
    pub(crate) fn new(
        acknowledger: Acknowledger,
        messages: usize,
        bytes: usize,
        room: OwnedSemaphorePermit,
        stats: Arc<Stats>,
    ) -> Self {
        stats.in_flight_bytes.fetch_add(bytes as i64, Ordering::Relaxed);
        Self {
            acknowledger: Mutex::new(Some(acknowledger)),
            remaining: AtomicUsize::new(messages),
            bytes,
            stats,
            _room: room,
        }
    }

    fn resolve(&self, result: Result<()>) {
        let acknowledger = self.acknowledger.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(acknowledger) = acknowledger {
            acknowledger.resolve(result);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.stats.in_flight_bytes.fetch_sub(self.bytes as i64, Ordering::Relaxed);
    }
}

/// What librdkafka carries for a message.
pub(crate) struct Part {
    pending: Arc<Pending>,
    number: u64,
    bytes: usize,
    records: usize,
}

/// Whether a session takes batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// It waits until nothing is in flight, to go on in another partition.
    Draining,
    Over,
}

struct Registry {
    stage: Stage,
    next: u64,
    pending: HashMap<u64, Arc<Pending>>,
}

/// What the session and its callbacks share.
pub(crate) struct Shared {
    registry: Mutex<Registry>,
    partition: AtomicU32,
    /// Told when the stage changes, and when nothing is pending any more.
    changed: Notify,
    stats: Arc<Stats>,
    retries: Mutex<HashMap<String, u64>>,
}

/// See the module.
pub(crate) struct Session {
    shared: Arc<Shared>,
    producer: Option<BaseProducer<Context>>,
}

impl Session {
    /// The one before the first, which takes nothing.
    pub(crate) fn closed() -> Self {
        Self { shared: Shared::new(Stage::Over, 0, Arc::default()), producer: None }
    }

    /// A producer for one partition. Does not wait for a broker.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub(crate) fn open(config: &KafkaConfig, partition: u32, stats: Arc<Stats>) -> Result<Self> {
        let shared = Shared::new(Stage::Open, partition, stats);
        let kbytes =
            (config.in_flight_limit.0 / 1024 + config.message_limit.0 / 512).min(2_097_151);
        let producer = client::common(config)?
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // See the module's doc: nothing is ever ahead of what is not acknowledged.
            .set("max.in.flight.requests.per.connection", "1")
            .set("enable.gapless.guarantee", "true")
            .set("retries", "2147483647")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "1000")
            .set("message.timeout.ms", "0")
            // Messages are compressed when they come here, and large enough not to wait for others.
            .set("compression.type", "none")
            .set("linger.ms", "0")
            .set("message.max.bytes", config.message_limit.0.to_string())
            .set("queue.buffering.max.kbytes", (2 * kbytes).to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set("statistics.interval.ms", "10000")
            .create_with_context(Context(shared.clone()))
            .map_err(|e| client::error("start a producer of Kafka", e))?;
        Ok(Self { shared, producer: Some(producer) })
    }

    /// The partition that messages go to.
    pub(crate) fn partition(&self) -> u32 {
        self.shared.partition.load(Ordering::Relaxed)
    }

    /// Hands a batch to librdkafka, all of it or nothing.
    ///
    /// # Errors
    /// `unavailable` when the session is over.
    pub(crate) async fn send(
        &self,
        topic: &str,
        messages: Vec<Message>,
        pending: Pending,
    ) -> Result<()> {
        let pending = Arc::new(pending);
        loop {
            // Before the look at the stage, so that no change is missed.
            let changed = self.shared.changed.notified();
            {
                let mut registry = self.shared.registry();
                match registry.stage {
                    Stage::Over => return Err(over()),
                    Stage::Open => {
                        return self.produce(&mut registry, topic, &messages, &pending);
                    }
                    Stage::Draining => {}
                }
            }
            changed.await;
        }
    }

    /// The registry is locked all the while: after the end of the session nothing is produced in it.
    fn produce(
        &self,
        registry: &mut Registry,
        topic: &str,
        messages: &[Message],
        pending: &Arc<Pending>,
    ) -> Result<()> {
        let producer = self.producer.as_ref().ok_or_else(over)?;
        let number = registry.next;
        registry.next += 1;
        registry.pending.insert(number, pending.clone());
        for message in messages {
            let part = Part {
                pending: pending.clone(),
                number,
                bytes: message.size_bytes(),
                records: message.records,
            };
            let record = BaseRecord::with_opaque_to(topic, Box::new(part))
                .partition(self.partition() as i32)
                .key(message.collector.as_bytes())
                .payload(message.payload.as_slice())
                .headers(headers(message));
            if let Err((error, _)) = producer.send(record) {
                let failed = client::error("hand a message to the client of Kafka", error);
                registry.end(&failed);
                self.shared.changed.notify_waiters();
                return Err(failed);
            }
        }
        Ok(())
    }

    /// Waits until nothing is on its way.
    pub(crate) async fn empty(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.shared.registry().pending.is_empty()
    }

    /// Whether it failed.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.registry().stage == Stage::Over
    }

    /// Holds senders up, until [`Self::go_on`].
    pub(crate) fn drain(&self) {
        let mut registry = self.shared.registry();
        if registry.stage == Stage::Open {
            registry.stage = Stage::Draining;
        }
    }

    /// Lets senders go on, in this partition.
    pub(crate) fn go_on(&self, partition: u32) {
        let mut registry = self.shared.registry();
        if registry.stage == Stage::Draining {
            self.shared.partition.store(partition, Ordering::Relaxed);
            registry.stage = Stage::Open;
        }
        drop(registry);
        self.shared.changed.notify_waiters();
    }

    /// Serves what librdkafka has to say, for so long.
    pub(crate) fn poll(&self, limit: Duration) {
        if let Some(producer) = &self.producer {
            producer.poll(limit);
        }
    }

    /// Ends the session: fails what is pending, and takes it back from librdkafka, at most so long.
    pub(crate) fn end(&self, why: &Error, limit: Duration) {
        self.shared.end(why);
        let Some(producer) = &self.producer else { return };
        producer.purge(PurgeConfig::default().queue().inflight());
        // What is left after that is freed with the producer.
        let _ = producer.flush(limit);
    }

    /// The client, to ask the brokers with.
    pub(crate) fn client(&self) -> Option<&rdkafka::client::Client<Context>> {
        self.producer.as_ref().map(rdkafka::producer::Producer::client)
    }
}

fn over() -> Error {
    Error::unavailable("the connection to Kafka is being made anew; send again")
}

fn headers(message: &Message) -> OwnedHeaders {
    let header = |key, value| Header { key, value: Some(value) };
    OwnedHeaders::new_with_capacity(4)
        .insert(header(HEADER_VERSION, VERSION))
        .insert(header(HEADER_TENANT, message.tenant.as_str().as_bytes()))
        .insert(header(HEADER_RANGES, message.ranges.as_slice()))
        .insert(header(HEADER_HASH, message.hash().as_slice()))
}

impl Registry {
    /// Takes nothing more, and fails what is pending.
    fn end(&mut self, why: &Error) {
        self.stage = Stage::Over;
        for (_, pending) in self.pending.drain() {
            pending.resolve(Err(Error::new(why.kind(), why.to_string())));
        }
    }
}

impl Shared {
    fn new(stage: Stage, partition: u32, stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            registry: Mutex::new(Registry { stage, next: 0, pending: HashMap::new() }),
            partition: AtomicU32::new(partition),
            changed: Notify::new(),
            stats,
            retries: Mutex::default(),
        })
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: &Error) {
        self.registry().end(why);
        self.changed.notify_waiters();
    }

    fn delivered(&self, part: &Part) {
        Stats::add(&self.stats.sent_messages, 1);
        Stats::add(&self.stats.sent_bytes, part.bytes as u64);
        Stats::add(&self.stats.sent_records, part.records as u64);
        if part.pending.remaining.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        part.pending.resolve(Ok(()));
        let is_empty = {
            let mut registry = self.registry();
            registry.pending.remove(&part.number);
            registry.pending.is_empty()
        };
        if is_empty {
            self.changed.notify_waiters();
        }
    }

    fn failed(&self, error: &KafkaError) {
        Stats::add(&self.stats.failed_messages, 1);
        let is_first = self.registry().stage != Stage::Over;
        if !is_first {
            return;
        }
        tracing::warn!(%error, "a message did not reach Kafka: everything from it on is sent again");
        self.end(&Error::unavailable("a message did not reach Kafka").because(error.to_string()));
    }
}

/// The callbacks of librdkafka.
pub(crate) struct Context(Arc<Shared>);

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut known = self.0.retries.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, broker) in statistics.brokers {
            let last = known.entry(name).or_default();
            Stats::add(&self.0.stats.retried_requests, broker.txretries.saturating_sub(*last));
            *last = broker.txretries;
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            Stats::add(&self.0.stats.fenced_producers, 1);
            tracing::warn!(%error, reason, "the brokers no longer take this producer's numbers: it is made anew");
            self.0.end(&Error::unavailable(format!("the producer of Kafka is over: {reason}")));
        } else {
            tracing::debug!(%error, reason, "Kafka's producer");
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Part>;

    fn delivery(&self, result: &DeliveryResult<'_>, part: Box<Part>) {
        match result {
            Ok(_) => self.0.delivered(&part),
            Err((error, _)) => self.0.failed(error),
        }
    }
}
