//! What librdkafka calls: partitions that come and go, and its statistics.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use rookery_core::queue::DeliveryId;

use super::buffer::{Buffer, Place};
use super::{epochs, expired};
use crate::config::KafkaConfig;
use crate::foreign;
use crate::offsets::committed_of;
use crate::stats::Stats;
use crate::topic_id::topic_id;

/// How long one question may take inside of a rebalance, and how often it is asked.
const ASK_LIMIT: Duration = Duration::from_secs(5);
const ASK_TRIES: u32 = 3;

/// How long librdkafka may take to start with a partition, and how often is looked.
const VALIDATE_LIMIT: Duration = Duration::from_secs(5);
const VALIDATE_PAUSE: Duration = Duration::from_millis(10);

/// The callbacks of a member of the group.
pub(crate) struct Context {
    pub(crate) config: KafkaConfig,
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Context {
    /// The number under which the ingester knows a partition.
    pub(crate) fn number(&self, topic: &str, partition: i32) -> u32 {
        let partition = partition.max(0) as u32;
        if topic == self.config.topic {
            partition
        } else {
            foreign::partition_number(topic, partition)
        }
    }

    fn numbers(&self, list: &TopicPartitionList) -> Vec<u32> {
        list.elements().iter().map(|e| self.number(e.topic(), e.partition())).collect()
    }

    /// Takes partitions, each from where the group is.
    pub(crate) fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let mut ids: BTreeMap<String, Arc<str>> = BTreeMap::new();
        for element in list.elements() {
            ids.entry(element.topic().to_owned()).or_insert_with_key(|topic| {
                let id =
                    (0..ASK_TRIES).find_map(|_| topic_id(consumer.client(), topic, ASK_LIMIT).ok());
                id.unwrap_or_default().into()
            });
        }
        let committed =
            (0..ASK_TRIES).find_map(|_| consumer.committed_offsets(list.clone(), ASK_LIMIT).ok());
        let is_known = committed.is_some();
        // The list that comes back has the epochs of the leaders too.
        let starts = committed.unwrap_or_else(|| list.clone());
        let firsts = self.firsts(consumer, &starts);
        let mut places = Vec::new();
        for mut element in starts.elements() {
            let id = ids.get(element.topic()).cloned().unwrap_or_default();
            let committed = committed_of(&element.offset(), element.metadata(), &id);
            let start = match committed {
                // As librdkafka finds it.
                _ if !is_known => Offset::Stored,
                Some(offset) => Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)),
                None => Offset::Beginning,
            };
            if matches!(start, Offset::Beginning) && matches!(element.offset(), Offset::Offset(_)) {
                tracing::warn!(
                    topic = element.topic(),
                    partition = element.partition(),
                    "the topic was deleted and made anew: it is read from its beginning"
                );
                Stats::add(&self.stats.recreated_topics, 1);
            }
            if let Err(error) = element.set_offset(start) {
                tracing::warn!(%error, "a start is not one");
            }
            let place = Place {
                number: self.number(element.topic(), element.partition()),
                topic: element.topic().into(),
                partition: element.partition(),
                topic_id: id,
            };
            places.push((place, committed));
        }
        self.buffer.assign(places.clone());
        for (place, committed) in places {
            if let Some(committed) = committed
                && let Some(start) = firsts.get(&place.number)
            {
                self.expire(&place, expired::gone(committed, u64::MAX, *start), -1);
            }
        }
        // A pause outlives an assignment: a partition that was lost while it was paused would come back and never be read.
        let resumed = consumer.resume(&starts.clone());
        if let Err(error) = resumed.and_then(|()| consumer.incremental_assign(&starts)) {
            tracing::warn!(%error, "Kafka did not take an assignment");
        }
        validate(consumer, &starts);
    }

    /// The first offset that each partition of a topic of others still has, by number; of none when the brokers do not say: a later look finds it too.
    fn firsts(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> BTreeMap<u32, u64> {
        let mut asked = TopicPartitionList::new();
        for element in list.elements() {
            // Only where the group was somewhere.
            if element.topic() != self.config.topic && matches!(element.offset(), Offset::Offset(_))
            {
                let partition = element.partition();
                let _ = asked.add_partition_offset(element.topic(), partition, Offset::Beginning);
            }
        }
        if asked.count() == 0 {
            return BTreeMap::new();
        }
        let answer = consumer.offsets_for_times(asked, ASK_LIMIT).inspect_err(|error| {
            tracing::debug!(%error, "whether something was deleted unread is not known yet");
        });
        let elements = answer.iter().flat_map(TopicPartitionList::elements);
        let firsts = elements.filter_map(|element| {
            let Offset::Offset(first) = element.offset() else { return None };
            let number = self.number(element.topic(), element.partition());
            Some((number, u64::try_from(first).ok()?))
        });
        firsts.collect()
    }

    /// Delivers what Kafka deleted before it was read, and says so.
    pub(crate) fn expire(&self, place: &Place, gone: Option<Range<u64>>, epoch: i32) {
        let Some(gone) = gone else { return };
        let foreign = self.config.foreign.iter().find(|foreign| *foreign.topic == *place.topic);
        let Some(foreign) = foreign else { return };
        let count = gone.end - gone.start;
        tracing::warn!(
            topic = &*place.topic,
            partition = place.partition,
            from = gone.start,
            to = gone.end,
            "Kafka deleted up to {count} messages before they were read; the ledger has them as lost: raise the topic's retention.ms (or retention.bytes), or add ingesters"
        );
        match expired::batch(foreign, place, &gone) {
            Ok(batch) => {
                Stats::add(&self.stats.expired_messages, count);
                let id = DeliveryId { partition: place.number, sequence: gone.end - 1 };
                self.buffer.push(id, epoch, batch);
            }
            Err(error) => tracing::error!(%error, "a loss cannot be written down"),
        }
    }

    fn release(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let numbers = self.numbers(list);
        if consumer.assignment_lost() {
            Stats::add(&self.stats.lost_partitions, numbers.len() as u64);
            tracing::warn!(partitions = ?numbers, "partitions were lost: the group took this ingester for dead");
            self.buffer.lose(&numbers);
        } else if !self.stop.load(Ordering::Relaxed) {
            if !self.buffer.revoke(&numbers, self.config.revoke_wait.0) {
                Stats::add(&self.stats.late_revocations, numbers.len() as u64);
                tracing::warn!(partitions = ?numbers, waited = %self.config.revoke_wait, "partitions go to another ingester before this one had finished with them");
            }
            self.buffer.remove(&numbers);
        }
        if let Err(error) = consumer.incremental_unassign(list) {
            tracing::warn!(%error, "Kafka did not take partitions back");
        }
    }
}

/// Lets librdkafka ask, for each start, whether the log still has what lay before it. At an assignment it does not; at a seek it does.
fn validate(consumer: &BaseConsumer<Context>, starts: &TopicPartitionList) {
    let mut left = starts.clone();
    for element in starts.elements() {
        if !matches!(element.offset(), Offset::Offset(1..)) {
            epochs::remove(&mut left, element.topic(), element.partition());
        }
    }
    let until = Instant::now() + VALIDATE_LIMIT;
    while left.count() > 0 {
        match consumer.seek_partitions(left.clone(), ASK_LIMIT) {
            Ok(done) => {
                for element in done.elements().iter().filter(|e| e.error().is_ok()) {
                    epochs::remove(&mut left, element.topic(), element.partition());
                }
            }
            Err(error) => tracing::debug!(%error, "a start is not validated yet"),
        }
        if left.count() > 0 && Instant::now() > until {
            tracing::warn!(
                partitions = left.count(),
                "whether these partitions lost their end is not known"
            );
            return;
        }
        if left.count() > 0 {
            // The partition's fetcher starts in another thread, which says nothing when it has.
            std::thread::park_timeout(VALIDATE_PAUSE);
        }
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut lag = BTreeMap::new();
        for (name, topic) in &statistics.topics {
            for (partition, of) in topic.partitions.iter().filter(|(p, of)| **p >= 0 && of.desired)
            {
                // What the group is behind; -1 when nothing is known.
                let behind = of.consumer_lag.max(0);
                lag.insert((name.clone(), *partition as u32), behind);
            }
        }
        self.stats.set_lag(lag);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka's consumer");
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: Code, list: &mut TopicPartitionList) {
        if list.count() > 0 {
            Stats::add(&self.stats.rebalances, 1);
        }
        tracing::info!(came = code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, partitions = ?self.numbers(list), "the group moves partitions");
        if code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list);
        } else {
            self.release(consumer, list);
        }
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_millis(50))
    }
}
