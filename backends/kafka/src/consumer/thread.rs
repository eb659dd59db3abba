//! The thread that polls: decodes, pauses, writes dead letters, and notices topics that were made anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use rookery_core::batch::Batch;
use rookery_core::queue::DeliveryId;
use rookery_core::{Error, Kind, Result};

use super::buffer::{Buffer, Offered, Place};
use super::context::Context;
use super::{epochs, expired};
use crate::client;
use crate::config::KafkaConfig;
use crate::dead_letter::{Letter, Writer};
use crate::foreign::{self, Foreign};
use crate::message::{self, HEADER_HASH, HEADER_RANGES, HEADER_TENANT, HEADER_VERSION, Raw};
use crate::stats::Stats;
use crate::topic_id::topic_id;

/// A member of the group.
pub(crate) type Member = BaseConsumer<Context>;

/// How often the ids of the topics are looked at when nothing comes.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// How many messages, and bytes of messages, are taken at a time, so that one look at a topic serves many.
const TAKE_LIMIT: usize = 64;
const TAKE_LIMIT_BYTES: usize = 1 << 20;

/// How long a question of the watch may take.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// How long one poll waits: how late a hold or a stop may be noticed.
const TICK: Duration = crate::client::whole_millis(20);

/// How often it is said that the brokers are away.
const SAY_INTERVAL: Duration = Duration::from_secs(30);

/// How long a partition rests whose dead letter could not be written.
const STALL: Duration = Duration::from_secs(5);

/// How long a new member waits after one that failed for good.
const REJOIN: Duration = Duration::from_secs(5);

/// How long the end of a subscription waits for the group to be told.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// The thread; it ends when this is dropped.
pub(crate) struct Thread {
    stop: Arc<AtomicBool>,
    buffer: Arc<Buffer>,
    ended: mpsc::Receiver<()>,
}

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    /// When librdkafka does not take the settings, or the system has no thread.
    pub(crate) fn start(
        config: KafkaConfig,
        decoders: HashMap<String, foreign::Decoder>,
        buffer: Arc<Buffer>,
        stats: Arc<Stats>,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, ended) = mpsc::sync_channel(1);
        let poller = Poller {
            letters: Writer::connect(&config)?,
            decoder: message::Decoder::new()?,
            member: join(&config, &buffer, &stats, &stop)?,
            config,
            decoders,
            buffer: buffer.clone(),
            stats,
            stop: stop.clone(),
            stalled: BTreeMap::new(),
            is_full: false,
            ids: Arc::default(),
        };
        std::thread::Builder::new()
            .name("kafka-consumer".into())
            .spawn(move || {
                poller.run();
                let _ = ending.send(());
            })
            .map_err(|e| Error::io("start the thread of Kafka's consumer", e))?;
        Ok(Self { stop, buffer, ended })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.buffer.close();
        // So that the group hears of it, and need not wait for the session to end.
        let _ = self.ended.recv_timeout(LEAVE_LIMIT);
    }
}

/// Joins the group.
fn join(
    config: &KafkaConfig,
    buffer: &Arc<Buffer>,
    stats: &Arc<Stats>,
    stop: &Arc<AtomicBool>,
) -> Result<Arc<Member>> {
    let context = Context {
        config: config.clone(),
        buffer: buffer.clone(),
        stats: stats.clone(),
        stop: stop.clone(),
    };
    let session = config.session_timeout.0.as_millis();
    let mut settings = client::common(config)?;
    if let Some(instance) = &config.group_instance_id {
        settings.set("group.instance.id", instance);
    }
    let member: Member = settings
        .set("group.id", &config.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Reading again is always safe, skipping never is.
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("session.timeout.ms", session.to_string())
        .set("heartbeat.interval.ms", (session / 6).clamp(200, 3_000).to_string())
        // Only a defect could keep the thread from polling so long.
        .set("max.poll.interval.ms", session.max(300_000).to_string())
        // librdkafka's own buffer, of compressed messages, beside ours of decoded batches.
        .set(
            "queued.max.messages.kbytes",
            (config.buffer_limit.0 / 4096).clamp(1024, 2_097_151).to_string(),
        )
        .set("queued.min.messages", "64")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "100")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("statistics.interval.ms", "5000")
        .create_with_context(context)
        .map_err(|e| client::error("start a consumer of Kafka", e))?;
    let mut topics = vec![config.topic.as_str()];
    topics.extend(config.foreign.iter().map(|foreign| foreign.topic.as_str()));
    member.subscribe(&topics).map_err(|e| client::error("subscribe to the topics", e))?;
    let member = Arc::new(member);
    buffer.set_member(Some(member.clone()));
    Ok(member)
}

struct Poller {
    config: KafkaConfig,
    decoders: HashMap<String, foreign::Decoder>,
    buffer: Arc<Buffer>,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    letters: Writer,
    decoder: message::Decoder,
    member: Arc<Member>,
    /// Partitions whose dead letter could not be written, and when to try again.
    stalled: BTreeMap<u32, Instant>,
    is_full: bool,
    /// The ids of topics as the watch last saw them.
    ids: Arc<Mutex<HashMap<String, String>>>,
}

impl Poller {
    fn run(mut self) {
        while !self.stops() {
            let watch = self.watch();
            let fatal = self.poll_until_it_ends(&watch);
            drop(watch);
            if let Some(fatal) = fatal {
                self.rejoin(fatal);
            }
        }
        // The last holder leaves the group.
        self.buffer.set_member(None);
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Polls until the process stops, or the member can do nothing more.
    fn poll_until_it_ends(&mut self, watch: &Watch) -> Option<KafkaError> {
        let member = self.member.clone();
        let mut said = None;
        while !self.stops() {
            self.pause();
            self.notice_new_topics();
            let (mut messages, mut bytes) = (Vec::new(), 0);
            let error = loop {
                match member.poll(if messages.is_empty() { TICK } else { Duration::ZERO }) {
                    Some(Ok(message)) => {
                        bytes += message.payload_len();
                        messages.push(message);
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
                if messages.len() == TAKE_LIMIT || bytes >= TAKE_LIMIT_BYTES {
                    break None;
                }
            };
            self.take_all(&messages, watch);
            match error {
                None => {}
                Some(error @ KafkaError::MessageConsumptionFatal(_)) => return Some(error),
                Some(error) if said.is_none_or(|at: Instant| at.elapsed() > SAY_INTERVAL) => {
                    tracing::warn!(%error, brokers = self.config.bootstrap(), "Kafka's consumer waits");
                    said = Some(Instant::now());
                }
                Some(_) => {}
            }
        }
        None
    }

    /// A new member in place of one that the group will not have any more.
    fn rejoin(&mut self, fatal: KafkaError) {
        let numbers: Vec<u32> = self.buffer.places().iter().map(|place| place.number).collect();
        self.buffer.lose(&numbers);
        let hint = match fatal.rdkafka_error_code() {
            Some(RDKafkaErrorCode::FencedInstanceId) => {
                "another ingester has the same kafka.group_instance_id: give each its own"
            }
            _ => "it joins the group anew",
        };
        tracing::error!(error = %fatal, "Kafka's consumer ended: {hint}");
        self.buffer
            .fail(Error::unavailable(format!("Kafka's consumer ended: {hint}")).because(fatal));
        let until = Instant::now() + REJOIN;
        loop {
            while Instant::now() < until && !self.stops() {
                std::thread::park_timeout(TICK);
            }
            if self.stops() {
                return;
            }
            match join(&self.config, &self.buffer, &self.stats, &self.stop) {
                Ok(member) => {
                    self.member = member;
                    self.stalled.clear();
                    return;
                }
                Err(error) => tracing::error!(%error, "Kafka's consumer cannot start"),
            }
        }
    }

    /// Brings what is paused in line with what should be.
    fn pause(&mut self) {
        let (bytes, mut wanted) = self.buffer.load();
        let limit = self.config.buffer_limit.as_usize();
        let was_full = self.is_full;
        self.is_full = bytes >= limit || (was_full && bytes >= limit / 2);
        if self.is_full && !was_full {
            Stats::add(&self.stats.pauses, 1);
        }
        let places = self.buffer.places();
        if self.is_full {
            wanted.extend(places.iter().map(|place| place.number));
        }
        let now = Instant::now();
        self.stalled.retain(|_, until| *until > now);
        wanted.extend(self.stalled.keys());
        let paused = self.buffer.paused();
        let list = |wants: &dyn Fn(u32) -> bool| {
            let mut list = TopicPartitionList::new();
            for place in places.iter().filter(|place| wants(place.number)) {
                list.add_partition(&place.topic, place.partition);
            }
            list
        };
        let pause = list(&|number| wanted.contains(&number) && !paused.contains(&number));
        let resume = list(&|number| !wanted.contains(&number) && paused.contains(&number));
        if pause.count() > 0 && self.member.pause(&pause).is_err() {
            return;
        }
        if resume.count() > 0 && self.member.resume(&resume).is_err() {
            return;
        }
        self.buffer.set_paused(&wanted);
    }

    /// Takes messages whose topics are, after they came, still what they were at the assignment: what was fetched before is then of the same topic. The question is asked while they
    /// are decoded.
    fn take_all(&mut self, messages: &[BorrowedMessage<'_>], watch: &Watch) {
        if messages.is_empty() {
            return;
        }
        watch.ask();
        let mut decoded = Vec::with_capacity(messages.len());
        for message in messages {
            let number = self.member.context().number(message.topic(), message.partition());
            let Some(place) = self.buffer.place(number) else { continue };
            Stats::add(&self.stats.received_messages, 1);
            Stats::add(&self.stats.received_bytes, message.payload_len() as u64);
            let started = Instant::now();
            let batch = self.decode(&place, message);
            Stats::since(&self.stats.decode_micros, started);
            decoded.push((place, message, batch));
        }
        let mut said = Instant::now();
        while !watch.answered() {
            if self.stops() {
                return;
            }
            if said.elapsed() > SAY_INTERVAL {
                tracing::warn!(
                    brokers = self.config.bootstrap(),
                    "the brokers do not say whether the topics are still the same: what came waits"
                );
                said = Instant::now();
            }
            watch.ask();
        }
        self.notice_new_topics();
        for (place, message, batch) in decoded {
            self.take(&place, message, batch);
        }
    }

    fn take(&mut self, was: &Place, message: &BorrowedMessage<'_>, batch: Result<Batch>) {
        let id = DeliveryId { partition: was.number, sequence: message.offset().max(0) as u64 };
        match self.buffer.expects(was.number, &was.topic_id, id.sequence) {
            Offered::Gone => return,
            Offered::Rewound => self.start_again(was.number),
            Offered::Taken => {}
        }
        let Some(place) = self.buffer.place(was.number) else { return };
        let epoch = epochs::epoch(message);
        self.look_behind(&place, id.sequence, epoch);
        match batch {
            Ok(batch) => self.buffer.push(id, epoch, batch),
            Err(error) => self.bury(&place, id, epoch, message, &error),
        }
    }

    /// Looks whether a message of a topic of others is the next one, and if not, whether Kafka deleted what was.
    fn look_behind(&self, place: &Place, came: u64, epoch: i32) {
        if *place.topic == *self.config.topic {
            return;
        }
        if let Some(expected) = self.buffer.next_of(place.number).filter(|next| *next < came)
            && let Some(start) = expired::start_of(self.member.client(), place)
        {
            self.member.context().expire(place, expired::gone(expected, came, start), epoch);
        }
    }

    fn decode(&mut self, place: &Place, message: &BorrowedMessage<'_>) -> Result<Batch> {
        let payload = message.payload().unwrap_or_default();
        if let Some(decoder) = self.decoders.get(&*place.topic) {
            let millis = message.timestamp().to_millis();
            return decoder(&Foreign {
                topic: &place.topic,
                incarnation: &place.topic_id,
                partition: place.partition.max(0) as u32,
                offset: message.offset().max(0) as u64,
                timestamp: millis.map(|millis| millis.saturating_mul(1_000_000)),
                key: message.key(),
                payload,
            });
        }
        let mut raw = Raw { key: message.key(), payload, ..Raw::default() };
        for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
            match header.key {
                HEADER_VERSION => raw.version = header.value,
                HEADER_TENANT => raw.tenant = header.value,
                HEADER_RANGES => raw.ranges = header.value,
                HEADER_HASH => raw.hash = header.value,
                _ => {}
            }
        }
        self.decoder.decode(&raw)
    }

    /// Writes a dead letter, and passes the message over when it is safe there.
    fn bury(
        &mut self,
        place: &Place,
        id: DeliveryId,
        epoch: i32,
        message: &BorrowedMessage<'_>,
        why: &Error,
    ) {
        match self.letters.write(&Letter::of(message, why)) {
            Ok(()) => {
                Stats::add(&self.stats.dead_letters, 1);
                tracing::warn!(topic = &*place.topic, partition = place.partition, offset = id.sequence, error = %why, "a message cannot be decoded; it is in the dead-letter topic");
                if let Some(commit) = self.buffer.pass(id, epoch)
                    && let Ok(list) = epochs::list(&[commit])
                    && let Err(error) = self.member.commit(&list, CommitMode::Async)
                {
                    tracing::debug!(%error, "a dead letter may be written again");
                }
            }
            Err(error) => {
                tracing::error!(%error, topic = &*place.topic, partition = place.partition, "the dead-letter topic takes nothing: the partition waits");
                let offset = Offset::Offset(message.offset());
                if let Err(error) =
                    self.member.seek(&place.topic, place.partition, offset, ASK_LIMIT)
                {
                    tracing::warn!(%error, "the partition starts again");
                    self.start_again(place.number);
                    self.reassign(std::slice::from_ref(place));
                }
                self.stalled.insert(place.number, Instant::now() + STALL);
            }
        }
    }

    /// Offsets of a partition start again: to the ingester it is as if it had left and come back.
    fn start_again(&self, number: u32) {
        let Some(mut place) = self.buffer.place(number) else { return };
        tracing::warn!(
            topic = &*place.topic,
            partition = place.partition,
            "the partition is read again from an earlier place"
        );
        if let Some(id) = self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(&*place.topic)
        {
            place.topic_id = id.as_str().into();
        }
        self.buffer.lose(&[number]);
        self.buffer.assign(vec![(place, None)]);
    }

    /// Partitions of a topic that is another one now are read from their beginning.
    fn notice_new_topics(&mut self) {
        let is_other = |place: &Place| {
            let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.get(&*place.topic)
                .is_some_and(|id| !place.topic_id.is_empty() && **id != *place.topic_id)
        };
        let others: Vec<Place> = self.buffer.places().into_iter().filter(is_other).collect();
        if others.is_empty() {
            return;
        }
        Stats::add(&self.stats.recreated_topics, 1);
        tracing::warn!(
            topic = &*others[0].topic,
            "the topic was deleted and made anew: it is read from its beginning"
        );
        for place in &others {
            self.start_again(place.number);
        }
        self.reassign(&others);
    }

    /// Makes librdkafka forget what it knows of partitions, and read them from their beginning.
    fn reassign(&mut self, places: &[Place]) {
        let (mut old, mut new) = (TopicPartitionList::new(), TopicPartitionList::new());
        for place in places {
            old.add_partition(&place.topic, place.partition);
            let added = new.add_partition_offset(&place.topic, place.partition, Offset::Beginning);
            if let Err(error) = added {
                tracing::warn!(%error, "a start is not one");
            }
        }
        let again = self.member.incremental_unassign(&old);
        // A pause outlives an assignment.
        let again = again.and_then(|()| self.member.resume(&old));
        if let Err(error) = again.and_then(|()| self.member.incremental_assign(&new)) {
            tracing::warn!(%error, "Kafka did not take an assignment");
        }
    }

    /// Asks for the ids of the topics, on a thread of its own.
    fn watch(&self) -> Watch {
        let (ids, member) = (self.ids.clone(), self.member.clone());
        let mut topics = vec![self.config.topic.clone()];
        topics.extend(self.config.foreign.iter().map(|foreign| foreign.topic.clone()));
        let (asking, asked) = mpsc::sync_channel::<()>(1);
        let (answering, answered) = mpsc::sync_channel(1);
        let look = move || {
            topics.iter().all(|topic| match topic_id(member.client(), topic, ASK_LIMIT) {
                Ok(id) => {
                    ids.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.clone(), id);
                    true
                }
                // What came before it went is good, and nothing comes after.
                Err(error) if error.kind() == Kind::NotFound => true,
                Err(error) => {
                    tracing::debug!(%error, "the topic's id is not known");
                    false
                }
            })
        };
        let thread = std::thread::Builder::new().name("kafka-topics".into()).spawn(move || {
            loop {
                let question = asked.recv_timeout(WATCH_INTERVAL);
                if question == Err(mpsc::RecvTimeoutError::Disconnected) {
                    return;
                }
                let known = look();
                if question.is_ok() && answering.send(known).is_err() {
                    return;
                }
            }
        });
        if let Err(error) = &thread {
            tracing::error!(%error, "there is no thread to look at the topics: nothing can be read");
        }
        Watch { asking: Some(asking), answered: Some(answered), thread: thread.ok() }
    }
}

/// The thread that asks for ids; it ends when this is dropped.
struct Watch {
    asking: Option<mpsc::SyncSender<()>>,
    answered: Option<mpsc::Receiver<bool>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    /// Asks.
    fn ask(&self) {
        if let Some(asking) = &self.asking {
            let _ = asking.send(());
        }
    }

    /// Waits for the answer; whether it is one.
    fn answered(&self) -> bool {
        self.answered.as_ref().is_some_and(|answered| answered.recv().unwrap_or(false))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.asking = None;
        self.answered = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
