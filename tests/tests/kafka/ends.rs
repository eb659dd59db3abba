//! The two ends of the queue as the stages use them: a sender that keeps what is not safe and sends it again in order, and a reader that knows
//! what has to come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::cast::AsArray;
use rookery_core::batch::{Batch, Fate, Range};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::queue::{DeliveryId, Event, Queue, Receipt, Subscription};
use rookery_core::units::Span;
use rookery_core::{Position, StreamId, Tenant};
use rookery_kafka::{KafkaConfig, KafkaQueue, KafkaSubscription, Stats};
use rookery_tests::kit::kafka::Kafka;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// How many bytes of its file a record is.
const RECORD_BYTES: u64 = 100;

/// One group and one topic of these brokers.
pub(crate) fn config(kafka: &Kafka, topic: &str) -> KafkaConfig {
    config_of(kafka.bootstrap(), topic)
}

/// The same, by addresses.
pub(crate) fn config_of(bootstrap: &str, topic: &str) -> KafkaConfig {
    KafkaConfig {
        brokers: bootstrap.split(',').map(str::to_owned).collect(),
        topic: topic.to_owned(),
        group: topic.to_owned(),
        replication_factor: 1,
        session_timeout: Span::seconds(6),
        revoke_wait: Span::seconds(5),
        partitions_interval: Span::millis(300),
        ..KafkaConfig::default()
    }
}

/// A queue for one collector.
pub(crate) async fn queue(
    config: &KafkaConfig,
    collector: &str,
) -> Result<(KafkaQueue, Arc<Stats>)> {
    let (stats, cancel) = (Arc::new(Stats::default()), CancellationToken::new());
    let queue = KafkaQueue::open(config.clone(), collector, None, stats.clone(), &cancel);
    Ok((queue.await?, stats))
}

/// A member of the group.
pub(crate) async fn subscription(config: &KafkaConfig) -> Result<(KafkaSubscription, Arc<Stats>)> {
    let (stats, cancel) = (Arc::new(Stats::default()), CancellationToken::new());
    let joined = KafkaSubscription::open(config.clone(), HashMap::new(), stats.clone(), &cancel);
    Ok((joined.await?, stats))
}

/// Makes batches of some streams, each from where the one before ended.
pub(crate) struct Source {
    collector: Arc<str>,
    streams: Vec<(StreamId, Arc<Resource>, u64)>,
}

impl Source {
    /// So many streams of one collector.
    pub(crate) fn new(collector: &str, streams: usize) -> Self {
        let stream = |number: usize| {
            let name = format!("{collector}-{number}");
            let resource =
                Resource { source: "file".into(), path: name.clone(), ..Resource::default() };
            (StreamId::of(&Tenant::default(), &[&name]), Arc::new(resource), 0)
        };
        Self { collector: collector.into(), streams: (0..streams).map(stream).collect() }
    }

    /// The next records of every stream, each with a body that ends in `tail`.
    pub(crate) fn batch(&mut self, records: u64, tail: &str) -> Batch {
        let mut builder = LogBatchBuilder::default();
        let mut ranges = Vec::new();
        for (id, resource, at) in &mut self.streams {
            let resource = builder.resource(resource);
            let start = *at;
            for number in *at..*at + records {
                builder.push_body(&format!("{id} {number} {tail}"));
                builder.field("number", &number.to_string());
                builder.finish_record(Head {
                    resource,
                    stream: *id,
                    position: Position { generation: 1, offset: number * RECORD_BYTES },
                    time: 1_700_000_000_000_000_000 + number as i64 * 1_000_000,
                    observed: 1_700_000_000_000_000_001,
                    severity: 9,
                    trace_id: None,
                    span_id: Some("0102030405060708"),
                });
            }
            *at += records;
            let after = if start == 0 {
                Position::default()
            } else {
                Position { generation: 1, offset: start * RECORD_BYTES }
            };
            ranges.push(Range {
                stream: *id,
                generation: 1,
                start: start * RECORD_BYTES,
                end: *at * RECORD_BYTES,
                records,
                after,
                fate: Fate::Kept,
            });
        }
        Batch {
            tenant: Tenant::default(),
            collector: self.collector.clone(),
            records: builder.finish().expect("a small batch"),
            ranges,
        }
    }

    /// How many records each stream has.
    pub(crate) fn ends(&self) -> BTreeMap<StreamId, u64> {
        self.streams.iter().map(|(id, _, at)| (*id, *at)).collect()
    }
}

/// Keeps what is not safe, and sends it again in order, as the collector's shipper does.
pub(crate) struct Sender {
    queue: Arc<dyn Queue>,
    kept: VecDeque<(Batch, Option<Receipt>)>,
    /// How often it had to begin again.
    pub(crate) failures: usize,
}

impl Sender {
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, kept: VecDeque::new(), failures: 0 }
    }

    /// Sends a batch, and does not wait for its receipt.
    pub(crate) async fn send(&mut self, batch: Batch) -> Result<()> {
        self.kept.push_back((batch, None));
        self.offer().await
    }

    async fn offer(&mut self) -> Result<()> {
        let mut at = self.kept.iter().take_while(|(_, receipt)| receipt.is_some()).count();
        let deadline = tokio::time::Instant::now() + LIMIT;
        while at < self.kept.len() {
            match self.queue.send(self.kept[at].0.clone()).await {
                Ok(receipt) => {
                    self.kept[at].1 = Some(receipt);
                    at += 1;
                }
                Err(error) => {
                    ensure!(error.kind().is_retryable(), "{error}");
                    ensure!(
                        tokio::time::Instant::now() < deadline,
                        "Kafka does not come back: {error}"
                    );
                    self.begin_again();
                    at = 0;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        Ok(())
    }

    fn begin_again(&mut self) {
        self.failures += 1;
        for (_, receipt) in &mut self.kept {
            *receipt = None;
        }
    }

    /// Waits until everything is safe.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        while let Some((_, receipt)) = self.kept.front_mut() {
            let Some(receipt) = receipt.take() else {
                self.offer().await?;
                continue;
            };
            match tokio::time::timeout(LIMIT, receipt.wait()).await.context("no receipt")? {
                Ok(()) => drop(self.kept.pop_front()),
                Err(_) => {
                    self.begin_again();
                    self.offer().await?;
                }
            }
        }
        Ok(())
    }
}

/// Takes batches as an ingester does: drops by position what it has, and fails at a hole.
#[derive(Default)]
pub(crate) struct Reader {
    /// The next record of each stream.
    pub(crate) marks: BTreeMap<StreamId, u64>,
    /// Records that came again.
    pub(crate) duplicates: u64,
    /// Bodies, when they are wanted.
    pub(crate) bodies: Option<Vec<String>>,
}

impl Reader {
    /// Takes one batch.
    pub(crate) fn take(&mut self, batch: &Batch) -> Result<()> {
        for range in &batch.ranges {
            let mark = self.marks.entry(range.stream).or_default();
            let (start, end) = (range.start / RECORD_BYTES, range.end / RECORD_BYTES);
            ensure!(start <= *mark, "{} jumps from {mark} to {start}", range.stream);
            self.duplicates += end.min(*mark) - start;
            *mark = end.max(*mark);
        }
        if let Some(bodies) = &mut self.bodies {
            let column = batch.records.column_by_name("body").context("no body")?;
            bodies.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(())
    }

    /// Reads and acknowledges until every stream is where it ends.
    pub(crate) async fn read(
        &mut self,
        subscription: &mut dyn Subscription,
        ends: &BTreeMap<StreamId, u64>,
    ) -> Result<()> {
        while !self.has(ends) {
            // Partitions come and go under a reader; what it must have read says the rest.
            if let Event::Delivered(delivery) = next(subscription).await? {
                self.take(&delivery.batch)?;
                // As the ingester does: the next one covers this one too.
                if let Err(error) = subscription.acknowledge(&[delivery.id]).await {
                    ensure!(error.kind().is_retryable(), "{error}");
                }
            }
        }
        Ok(())
    }

    /// Whether every stream is where it ends.
    pub(crate) fn has(&self, ends: &BTreeMap<StreamId, u64>) -> bool {
        ends.iter().all(|(stream, end)| self.marks.get(stream) == Some(end))
    }
}

/// The next event, in time.
pub(crate) async fn next(subscription: &mut dyn Subscription) -> Result<Event> {
    let event = tokio::time::timeout(LIMIT, subscription.next()).await.context("no event")??;
    event.context("the queue was closed")
}

/// The next delivery, whatever else is said before it.
pub(crate) async fn delivery(subscription: &mut dyn Subscription) -> Result<(DeliveryId, Batch)> {
    loop {
        if let Event::Delivered(delivery) = next(subscription).await? {
            return Ok((delivery.id, delivery.batch));
        }
    }
}

/// Looks until there is something.
pub(crate) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if tokio::time::Instant::now() > deadline {
            bail!("waited {LIMIT:?} for {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
