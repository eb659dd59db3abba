//! What the Kafka queue counts. The names in `/metrics` are `rookery_kafka_<field>`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// One struct serves both ends: a process uses those fields that are of its end.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages that the broker has.
    pub sent_messages: AtomicU64,
    /// Bytes of those messages.
    pub sent_bytes: AtomicU64,
    /// Records in those messages.
    pub sent_records: AtomicU64,
    /// Batches that were cut because one message could not hold them.
    pub cut_batches: AtomicU64,
    /// Records that lost their fields or the end of their body because no message could hold them.
    pub truncated_records: AtomicU64,
    /// Messages that did not reach the broker and are sent again by the collector.
    pub failed_messages: AtomicU64,
    /// Requests that librdkafka made again by itself.
    pub retried_requests: AtomicU64,
    /// Times that the producer was made anew, because the broker no longer took its numbers.
    pub fenced_producers: AtomicU64,
    /// Microseconds of encoding and compressing.
    pub encode_micros: AtomicU64,
    /// Bytes that are sent and not acknowledged.
    pub in_flight_bytes: AtomicI64,
    /// Messages that came.
    pub received_messages: AtomicU64,
    /// Bytes of those messages.
    pub received_bytes: AtomicU64,
    /// Microseconds of decompressing and decoding.
    pub decode_micros: AtomicU64,
    /// Bytes of batches that came and that the ingester did not take yet.
    pub buffered_bytes: AtomicI64,
    /// Times that partitions were paused because the buffer was full.
    pub pauses: AtomicU64,
    /// Messages that could not be decoded and are in the dead-letter topic.
    pub dead_letters: AtomicU64,
    /// Offsets of topics of others that Kafka deleted before they were read: at most so many messages.
    pub expired_messages: AtomicU64,
    /// Times that partitions came or went.
    pub rebalances: AtomicU64,
    /// Partitions that were lost without a word.
    pub lost_partitions: AtomicU64,
    /// Partitions that went to another owner before the ingester had said that it was ready.
    pub late_revocations: AtomicU64,
    /// Commits that failed.
    pub failed_commits: AtomicU64,
    /// Times that a topic was found deleted and made anew.
    pub recreated_topics: AtomicU64,
    lag: Mutex<BTreeMap<(String, u32), i64>>,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn since(counter: &AtomicU64, started: std::time::Instant) {
        Self::add(counter, u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn set_lag(&self, lag: BTreeMap<(String, u32), i64>) {
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = lag;
    }

    /// How many messages of each partition of this process are not acknowledged: topic, partition, messages. A few seconds old.
    pub fn lag(&self) -> Vec<(String, u32, i64)> {
        let lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        lag.iter().map(|((topic, partition), lag)| (topic.clone(), *partition, *lag)).collect()
    }

    /// What may fall as well as grow, with its name and what it means.
    pub fn gauges(&self) -> [(&'static str, &'static str, i64); 2] {
        let get = |gauge: &AtomicI64| gauge.load(Ordering::Relaxed);
        [
            (
                "in_flight_bytes",
                "Bytes of messages that are sent and not acknowledged",
                get(&self.in_flight_bytes),
            ),
            (
                "buffered_bytes",
                "Bytes of batches that came and that the ingester did not take yet",
                get(&self.buffered_bytes),
            ),
        ]
    }

    /// Every counter with its name and what it means.
    #[rustfmt::skip]
    pub fn counters(&self) -> Vec<(&'static str, &'static str, u64)> {
        [
            ("sent_messages", "Messages that the broker has", &self.sent_messages),
            ("sent_bytes", "Bytes of messages that the broker has", &self.sent_bytes),
            ("sent_records", "Records in messages that the broker has", &self.sent_records),
            ("cut_batches", "Batches that were cut because one message could not hold them", &self.cut_batches),
            ("truncated_records", "Records that lost their fields or the end of their body because no message could hold them", &self.truncated_records),
            ("failed_messages", "Messages that did not reach the broker and are sent again by the collector", &self.failed_messages),
            ("retried_requests", "Requests that the client library made again by itself", &self.retried_requests),
            ("fenced_producers", "Times that the producer was made anew", &self.fenced_producers),
            ("encode_micros", "Microseconds of encoding and compressing", &self.encode_micros),
            ("received_messages", "Messages that came", &self.received_messages),
            ("received_bytes", "Bytes of messages that came", &self.received_bytes),
            ("decode_micros", "Microseconds of decompressing and decoding", &self.decode_micros),
            ("pauses", "Times that partitions were paused because the buffer was full", &self.pauses),
            ("dead_letters", "Messages that could not be decoded and are in the dead-letter topic", &self.dead_letters),
            ("expired_messages", "Messages of others' topics that Kafka deleted before they were read, at most", &self.expired_messages),
            ("rebalances", "Times that partitions came or went", &self.rebalances),
            ("lost_partitions", "Partitions that were lost without a word", &self.lost_partitions),
            ("late_revocations", "Partitions that went to another owner before the ingester was ready", &self.late_revocations),
            ("failed_commits", "Commits that failed", &self.failed_commits),
            ("recreated_topics", "Times that a topic was found deleted and made anew", &self.recreated_topics),
        ]
        .map(|(name, help, counter)| (name, help, counter.load(Ordering::Relaxed)))
        .into()
    }
}
