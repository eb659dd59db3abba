//! Topics that others write: OTLP, JSON lines, plain text.
//!
//! What a message means is said by a [`Decoder`] that the caller gives; here is only how it is asked, and what it is told.
//!
//! **Positions.** A record of a foreign topic is named by what Kafka says of its message, so that whoever reads it again finds the same name. The stream is
//! [`Foreign::stream`]: of the tenant, the topic, the topic's *incarnation* (the id that Kafka gave it when it was created), the partition, and what the decoder adds.
//! Each message is a generation, named by its offset, and a record's offset is its place in the message: so a message without records of a stream leaves no
//! gap in it. A topic that is deleted and made anew has another incarnation, so its records are of other streams, and its offsets may start again.

use std::sync::Arc;

use rookery_core::batch::{Batch, Fate, Range};
use rookery_core::{Position, Result, StreamId, Tenant};

/// A message of a topic that others write.
#[derive(Debug, Clone, Copy)]
pub struct Foreign<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The topic's id.
    pub incarnation: &'a str,
    /// The partition in the topic.
    pub partition: u32,
    /// The message's offset in the partition.
    pub offset: u64,
    /// When it was written, by the clock of its writer or of the broker, in nanoseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// What it holds.
    pub payload: &'a [u8],
}

/// Makes a batch of a message; an error sends the message to the dead letters, with its text as the reason. It is called on the thread of the consumer.
pub type Decoder = Arc<dyn Fn(&Foreign<'_>) -> Result<Batch> + Send + Sync>;

impl Foreign<'_> {
    /// The stream of the message's records; `names` tell streams of one partition apart.
    pub fn stream(&self, tenant: &Tenant, names: &[&str]) -> StreamId {
        let partition = self.partition.to_string();
        let mut parts = vec!["kafka", self.topic, self.incarnation, &partition];
        parts.extend_from_slice(names);
        StreamId::of(tenant, &parts)
    }

    /// The generation of the message's records.
    pub fn generation(&self) -> u64 {
        // 0 is the mark of a stream of which nothing is stored.
        self.offset + 1
    }

    /// The position of the record that starts at a byte of the payload.
    pub fn position(&self, byte: u64) -> Position {
        Position { generation: self.generation(), offset: byte }
    }

    /// The whole message as a range of a stream, when it holds so many records of it.
    pub fn range(&self, stream: StreamId, records: u64) -> Range {
        Range {
            stream,
            generation: self.generation(),
            start: 0,
            end: self.payload.len() as u64,
            records,
            after: Position::default(),
            fate: Fate::Kept,
        }
    }
}

/// The number of a foreign topic's partitions among those of a subscription: above all of our own topic, the same at every start.
pub(crate) fn partition_number(topic: &str, partition: u32) -> u32 {
    FOREIGN
        | u32::from(topic_number(topic)) << PARTITION_BITS
        | (partition & ((1 << PARTITION_BITS) - 1))
}

/// A foreign topic's number, from its name.
pub(crate) fn topic_number(topic: &str) -> u16 {
    (xxhash_rust::xxh3::xxh3_64(topic.as_bytes()) & 0x7fff) as u16
}

const FOREIGN: u32 = 1 << 31;
const PARTITION_BITS: u32 = 16;
