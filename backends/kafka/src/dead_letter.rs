//! Where messages go that cannot be decoded: a topic beside that of the logs.
//!
//! A letter is the message itself, key, headers and payload, and these headers: `dead.reason`, `dead.topic`, `dead.partition`, `dead.offset`, `dead.time`. Of a payload that
//! is larger than the topic takes, the beginning is kept, and `dead.size` says how large it was.
//!
//! [`list`] shows what waits; [`replay`] sends letters to where they came from, or elsewhere, and counts them as done by committing their offsets to a
//! group of its own, `<kafka.group>.dead-letters`. An ingester that is killed before it commits writes a letter again; both pass over the second.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};
use rdkafka::{Offset, TopicPartitionList};
use rookery_core::{Error, Result, time};

use crate::client;
use crate::config::KafkaConfig;
use crate::topics::DEAD_LETTER_BYTES;

/// How long a letter may take until the broker has it.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long one question to the brokers may take.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// The longest reason that is kept, in bytes.
const REASON_LIMIT: usize = 1000;

const REASON: &str = "dead.reason";
const TOPIC: &str = "dead.topic";
const PARTITION: &str = "dead.partition";
const OFFSET: &str = "dead.offset";
const TIME: &str = "dead.time";
const SIZE: &str = "dead.size";
const OURS: &str = "dead.";

/// A letter as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why the message could not be decoded.
    pub reason: String,
    /// Where it was: the topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
    /// When it was given up, as in RFC 3339.
    pub time: String,
    /// How large its payload was.
    pub size_bytes: u64,
    /// Where the letter is in the dead-letter topic: partition and offset.
    pub place: (u32, u64),
}

/// A letter that is to be written.
pub(crate) struct Letter<'a> {
    key: Option<&'a [u8]>,
    payload: &'a [u8],
    headers: Vec<(&'a str, Option<&'a [u8]>)>,
    own: Vec<(&'static str, String)>,
}

impl<'a> Letter<'a> {
    /// The letter of a message.
    pub(crate) fn of(message: &'a BorrowedMessage<'_>, why: &Error) -> Self {
        let mut reason = why.to_string();
        reason.truncate(reason.floor_char_boundary(REASON_LIMIT));
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            key: message.key(),
            payload: message.payload().unwrap_or_default(),
            headers: headers.map(|header| (header.key, header.value)).collect(),
            own: vec![
                (REASON, reason),
                (TOPIC, message.topic().to_owned()),
                (PARTITION, message.partition().to_string()),
                (OFFSET, message.offset().to_string()),
                (TIME, time::rfc3339(time::now())),
            ],
        }
    }

    fn headers(&self) -> OwnedHeaders {
        let mut all = OwnedHeaders::new_with_capacity(self.headers.len() + self.own.len() + 1);
        for (key, value) in &self.headers {
            all = all.insert(Header { key, value: *value });
        }
        for (key, value) in &self.own {
            all = all.insert(Header { key, value: Some(value) });
        }
        all
    }
}

/// What became of the message that is on its way.
type Outcome = Arc<Mutex<Option<std::result::Result<(), KafkaError>>>>;

struct Context;

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka's producer of dead letters");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Outcome>;

    fn delivery(&self, result: &DeliveryResult<'_>, outcome: Box<Outcome>) {
        let result = result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone());
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

/// Writes messages one by one, and waits for each.
pub(crate) struct Writer {
    producer: BaseProducer<Context>,
    topic: String,
    payload_limit: usize,
}

impl Writer {
    /// Connects, when it first writes.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub(crate) fn connect(config: &KafkaConfig) -> Result<Self> {
        let producer = client::common(config)?
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", WRITE_LIMIT.as_millis().to_string())
            .set("message.max.bytes", (config.message_limit.0 + DEAD_LETTER_BYTES).to_string())
            .set("linger.ms", "0")
            .create_with_context(Context)
            .map_err(|e| client::error("start a producer of Kafka", e))?;
        Ok(Self {
            producer,
            topic: config.dead_letter_topic(),
            payload_limit: config.message_limit.0 as usize,
        })
    }

    /// Writes a letter. When it returns, the brokers have it. Of one that is too large, the beginning.
    ///
    /// # Errors
    /// When they do not take it in time.
    pub(crate) fn write(&self, letter: &Letter<'_>) -> Result<()> {
        let (mut payload, mut headers) = (letter.payload, letter.headers());
        if payload.len() > self.payload_limit {
            headers = headers.insert(Header { key: SIZE, value: Some(&payload.len().to_string()) });
            payload = &payload[..self.payload_limit / 2];
        }
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::default())
            .payload(payload)
            .headers(headers);
        record.key = letter.key;
        self.send(record)
    }

    fn send(&self, mut record: BaseRecord<'_, [u8], [u8], Box<Outcome>>) -> Result<()> {
        let what = format!("write to the topic {:?}", record.topic);
        let outcome = Outcome::default();
        record.delivery_opaque = Box::new(outcome.clone());
        if let Err((error, _)) = self.producer.send(record) {
            return Err(client::error(what, error));
        }
        let until = Instant::now() + WRITE_LIMIT;
        while Instant::now() < until {
            self.producer.poll(Duration::from_millis(10));
            if let Some(result) = outcome.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return result.map_err(|e| client::error(what, e));
            }
        }
        // Nothing of it may be written later, behind what is read again.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        Err(Error::unavailable(format!("cannot {what}: no answer")))
    }
}

/// Reads the letters that were not replayed yet, partition by partition.
struct Reader {
    consumer: BaseConsumer,
    /// For each partition: its topic's end when the reading started.
    ends: Vec<(i32, i64)>,
}

impl Reader {
    fn open(config: &KafkaConfig) -> Result<Self> {
        let topic = config.dead_letter_topic();
        let what = || format!("read the topic {topic:?}");
        let consumer: BaseConsumer = client::common(config)?
            .set("group.id", format!("{}.dead-letters", config.group))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .create()
            .map_err(|e| client::error(what(), e))?;
        let metadata = consumer
            .fetch_metadata(Some(&topic), ASK_LIMIT)
            .map_err(|e| client::error(what(), e))?;
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics().first().map_or(&[][..], |topic| topic.partitions()) {
            list.add_partition(&topic, partition.id());
        }
        let committed =
            consumer.committed_offsets(list, ASK_LIMIT).map_err(|e| client::error(what(), e))?;
        let (mut start, mut ends) = (TopicPartitionList::new(), Vec::new());
        for element in committed.elements() {
            let (low, high) = consumer
                .fetch_watermarks(&topic, element.partition(), ASK_LIMIT)
                .map_err(|e| client::error(what(), e))?;
            let from = match element.offset() {
                Offset::Offset(offset) if (low..=high).contains(&offset) => offset,
                _ => low,
            };
            if from < high {
                start
                    .add_partition_offset(&topic, element.partition(), Offset::Offset(from))
                    .map_err(|e| client::error(what(), e))?;
                ends.push((element.partition(), high));
            }
        }
        consumer.assign(&start).map_err(|e| client::error(what(), e))?;
        Ok(Self { consumer, ends })
    }

    /// Gives each letter to `take`, until there are no more or `take` says that it is enough.
    fn each(
        &mut self,
        mut take: impl FnMut(&BaseConsumer, &BorrowedMessage<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut heard = Instant::now();
        while !self.ends.is_empty() {
            let message = match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    if !matches!(
                        error.rdkafka_error_code(),
                        Some(RDKafkaErrorCode::BrokerTransportFailure)
                    ) {
                        return Err(client::error("read dead letters", error));
                    }
                    continue;
                }
                None if heard.elapsed() > ASK_LIMIT => {
                    return Err(Error::timeout(
                        "the brokers gave no dead letter for ten seconds: try again",
                    ));
                }
                None => continue,
            };
            heard = Instant::now();
            let (partition, next) = (message.partition(), message.offset() + 1);
            let is_wanted =
                self.ends.iter().any(|(p, end)| *p == partition && message.offset() < *end);
            if is_wanted && !take(&self.consumer, &message)? {
                return Ok(());
            }
            self.ends.retain(|(p, end)| *p != partition || next < *end);
        }
        Ok(())
    }
}

/// The letters that were not replayed yet, at most so many. Blocks; not for the reactor.
///
/// # Errors
/// When the brokers cannot be asked.
pub fn list(config: &KafkaConfig, limit: usize) -> Result<Vec<DeadLetter>> {
    let (mut letters, mut seen) = (Vec::new(), HashSet::new());
    Reader::open(config)?.each(|_, message| {
        let letter = read(message);
        if seen.insert(identity(message, &letter)) {
            letters.push(letter);
        }
        Ok(letters.len() < limit)
    })?;
    Ok(letters)
}

/// Sends the letters that were not replayed yet to where they came from, or to `target`, in order, each with its key; counts each as done when the brokers
/// have it. Says how many. Blocks; not for the reactor.
///
/// # Errors
/// At the first letter that is not taken; those before it are done. `invalid` when a letter holds only the beginning of its message.
pub fn replay(config: &KafkaConfig, target: Option<&str>) -> Result<u64> {
    let writer = Writer::connect(config)?;
    let (mut count, mut seen) = (0, HashSet::new());
    Reader::open(config)?.each(|consumer, message| {
        let letter = read(message);
        if seen.insert(identity(message, &letter)) {
            send_again(&writer, message, &letter, target)?;
            count += 1;
        }
        let mut done = TopicPartitionList::new();
        let next = Offset::Offset(message.offset() + 1);
        done.add_partition_offset(message.topic(), message.partition(), next)
            .and_then(|()| consumer.commit(&done, CommitMode::Sync))
            .map_err(|e| client::error("count a dead letter as replayed", e))?;
        Ok(true)
    })?;
    Ok(count)
}

fn send_again(
    writer: &Writer,
    message: &BorrowedMessage<'_>,
    letter: &DeadLetter,
    target: Option<&str>,
) -> Result<()> {
    if value(message, SIZE).is_some() {
        return Err(Error::invalid(format!(
            "the letter of {}/{} at {} holds only the beginning of its message: replay it from its topic",
            letter.topic, letter.partition, letter.offset
        )));
    }
    let mut headers = OwnedHeaders::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        if !header.key.starts_with(OURS) {
            headers = headers.insert(header);
        }
    }
    let mut record = BaseRecord::with_opaque_to(target.unwrap_or(&letter.topic), Box::default());
    record.headers = Some(headers);
    record.key = message.key();
    record.payload = message.payload();
    if target.is_none() {
        record.partition = i32::try_from(letter.partition).ok();
    }
    writer.send(record)
}

/// The same for two letters of one message. A place alone does not say that: a topic that was made anew has other messages there.
fn identity(message: &BorrowedMessage<'_>, letter: &DeadLetter) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&letter.topic, letter.partition, letter.offset).hash(&mut hasher);
    (message.key(), message.payload()).hash(&mut hasher);
    hasher.finish()
}

fn value<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let headers = message.headers()?;
    let found = headers.iter().filter(|header| header.key == name).last()?;
    std::str::from_utf8(found.value?).ok()
}

fn read(message: &BorrowedMessage<'_>) -> DeadLetter {
    let text = |name| value(message, name).unwrap_or_default().to_owned();
    let size = message.payload().map_or(0, <[u8]>::len) as u64;
    DeadLetter {
        reason: text(REASON),
        topic: text(TOPIC),
        partition: text(PARTITION).parse().unwrap_or(0),
        offset: text(OFFSET).parse().unwrap_or(0),
        time: text(TIME),
        size_bytes: text(SIZE).parse().unwrap_or(size),
        place: (message.partition().max(0) as u32, message.offset().max(0) as u64),
    }
}
