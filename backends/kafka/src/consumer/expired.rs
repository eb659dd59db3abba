//! What Kafka deleted from a topic of others before it was read: how it is found out, and how it comes into the ledger.
//!
//! Our own messages say which bytes they answer for, so the ingester finds a hole between them by itself. Those of others do not, and offsets have holes of their
//! own: the marks of transactions, and what was compacted away. Certain is only this: **what lies between the offset that was to be read next and the first
//! that the partition still has, was there once and is gone.** It is looked for when a partition is assigned, and when a message comes that is not the next one.
//! How many messages it was is known as at most so many, for the same reason; how many bytes they had nobody knows.
//!
//! It is delivered in its place among the messages, as a batch without records whose range is lost, with the last offset that is gone as its own: so it
//! is acknowledged, and committed, like a message, and comes again if it was not. Its stream is one of the partition for nothing else, so no record's position
//! depends on it. A generation is the first offset that is gone, plus one as for messages, and a byte of it stands for an offset: whoever finds the same loss
//! again, or more of it, names it the same, and the ledger counts each offset once.
#![expect(
    unsafe_code,
    reason = "librdkafka gives what it knows of a partition's start only through its C interface"
)]

use std::ffi::CString;
use std::ops::Range;
use std::sync::Arc;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rookery_core::batch::{self, Batch, Fate, Reason};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::LogBatchBuilder;
use rookery_core::{Position, Result, StreamId, Tenant};

use super::buffer::Place;
use crate::config::ForeignTopic;

/// The reason in the ledger.
pub(crate) const REASON: Reason = Reason::Borrowed("expired_unread");

/// The first offset that a partition still had when something of it was last fetched. Does not wait.
pub(crate) fn start_of<C: ClientContext>(client: &Client<C>, place: &Place) -> Option<u64> {
    let topic = CString::new(&*place.topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client and the text outlive the call, which writes to the two numbers and keeps nothing.
    let code = unsafe {
        c::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            place.partition,
            &raw mut low,
            &raw mut high,
        )
    };
    let is_known = code == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    u64::try_from(low).ok().filter(|_| is_known)
}

/// What is certainly gone when `expected` was to come next, `came` came in its place (nothing yet: the largest number), and the partition starts at `start`.
pub(crate) fn gone(expected: u64, came: u64, start: u64) -> Option<Range<u64>> {
    let end = came.min(start);
    (expected < end).then_some(expected..end)
}

/// These offsets of a partition as a loss.
///
/// # Errors
/// When the configuration names a tenant that cannot be one.
pub(crate) fn batch(topic: &ForeignTopic, place: &Place, offsets: &Range<u64>) -> Result<Batch> {
    let tenant = Tenant::new(&topic.tenant)?;
    let partition = place.partition.to_string();
    let parts = ["kafka", &place.topic, &place.topic_id, &partition, "unread"];
    let stream = StreamId::of(&tenant, &parts);
    let labels = [("partition", partition.as_str()), ("topic", &place.topic)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut builder = LogBatchBuilder::default();
    // There is no record that would have the names: they are there for the account.
    builder.resource(&Arc::new(Resource {
        source: "push".into(),
        labels: labels.into(),
        ..Resource::default()
    }));
    let count = offsets.end - offsets.start;
    let range = batch::Range {
        stream,
        generation: offsets.start + 1,
        start: 0,
        end: count,
        records: count,
        after: Position::default(),
        fate: Fate::Lost(REASON),
    };
    let collector = format!("kafka:{}", place.topic).into();
    Ok(Batch { tenant, collector, records: builder.finish()?, ranges: vec![range] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_before_the_start_of_the_partition_is_gone() {
        // The next one came; and none yet, while all that is to be read is there.
        assert_eq!(gone(5, 5, 0), None);
        assert_eq!(gone(5, u64::MAX, 5), None);
        // A hole of the topic's own: a mark of a transaction, or what was compacted away.
        assert_eq!(gone(5, 9, 5), None);
        assert_eq!(gone(5, 9, 9), Some(5..9));
        // Of the hole, only the beginning was deleted, or more was after the message had come.
        assert_eq!(gone(5, 9, 7), Some(5..7));
        assert_eq!(gone(5, 9, 12), Some(5..9));
        assert_eq!(gone(5, u64::MAX, 12), Some(5..12));
    }
}
