//! How far partitions are filled, and how far the group is, asked by a client that is no member of it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use rookery_core::queue::Frontier;
use rookery_core::{Error, Result};

use crate::client;
use crate::config::KafkaConfig;
use crate::topic_id::topic_id;

/// A client that only asks.
pub(crate) struct Offsets {
    consumer: BaseConsumer,
}

impl Offsets {
    /// Connects, when it first asks.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub(crate) fn connect(config: &KafkaConfig) -> Result<Self> {
        let consumer = client::common(config)?
            .set("group.id", &config.group)
            .set("enable.auto.commit", "false")
            .create()
            .map_err(|e| client::error("start a client of Kafka", e))?;
        Ok(Self { consumer })
    }

    /// The frontiers of all partitions of a topic. Blocks for at most a few times `limit`.
    ///
    /// # Errors
    /// `unavailable` when the brokers do not say.
    pub(crate) fn of_all(&self, topic: &str, limit: Duration) -> Result<Vec<Frontier>> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic), limit)
            .map_err(|e| client::error(format!("ask for the topic {topic:?}"), e))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let partitions: Vec<u32> = (0..count as u32).collect();
        self.of(topic, &partitions, limit)
    }

    /// The frontiers of some partitions.
    ///
    /// # Errors
    /// As [`Self::of_all`].
    pub(crate) fn of(
        &self,
        topic: &str,
        partitions: &[u32],
        limit: Duration,
    ) -> Result<Vec<Frontier>> {
        // What was committed is asked first: whatever is then found to be acknowledged lies before the end.
        let mut committed = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            committed.add_partition(topic, *partition as i32);
        }
        let committed = self
            .consumer
            .committed_offsets(committed, limit)
            .map_err(|e| client::error("ask for the offsets of the group", e))?;
        let id = topic_id(self.consumer.client(), topic, limit)?;
        let starts = self.edges(topic, partitions, Offset::Beginning, limit)?;
        let ends = self.edges(topic, partitions, Offset::End, limit)?;
        let frontier = |partition: &u32| {
            let edge = |edges: &BTreeMap<u32, u64>| {
                edges.get(partition).copied().ok_or_else(|| {
                    Error::unavailable(format!(
                        "the brokers do not say where partition {partition} of {topic:?} ends"
                    ))
                })
            };
            let (start, end) = (edge(&starts)?, edge(&ends)?);
            let committed = committed.find_partition(topic, *partition as i32);
            let committed = committed
                .and_then(|element| committed_of(&element.offset(), element.metadata(), &id));
            // Before the start there is nothing, and beyond the end nothing can be committed but of a topic that is no more.
            let acknowledged = committed.filter(|at| *at <= end).unwrap_or(start).max(start);
            Ok(Frontier { partition: *partition, end, acknowledged })
        };
        partitions.iter().map(frontier).collect()
    }

    /// The first or the last offset of each partition, in one question to each broker.
    fn edges(
        &self,
        topic: &str,
        partitions: &[u32],
        which: Offset,
        limit: Duration,
    ) -> Result<BTreeMap<u32, u64>> {
        let what = || format!("ask where the partitions of {topic:?} begin and end");
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            asked
                .add_partition_offset(topic, *partition as i32, which)
                .map_err(|e| client::error(what(), e))?;
        }
        let answer =
            self.consumer.offsets_for_times(asked, limit).map_err(|e| client::error(what(), e))?;
        let mut edges = BTreeMap::new();
        for element in answer.elements() {
            element.error().map_err(|e| client::error(what(), e))?;
            if let Offset::Offset(offset) = element.offset() {
                edges.insert(element.partition() as u32, offset.max(0) as u64);
            }
        }
        Ok(edges)
    }
}

/// A committed offset, if it was committed for this topic and not for one of its name that is no more. What was committed without an id
/// counts.
pub(crate) fn committed_of(offset: &Offset, metadata: &str, id: &str) -> Option<u64> {
    let Offset::Offset(offset) = offset else { return None };
    (metadata.is_empty() || metadata == id).then(|| (*offset).max(0) as u64)
}
