//! The epoch of a partition's leader, with which a log that lost its end is found out: in messages, and in commits.
//!
//! The crate has no call for it, so this goes to librdkafka itself.
#![expect(unsafe_code, reason = "librdkafka gives the leader's epoch only through its C interface")]

use rdkafka::bindings as c;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use super::buffer::Commit;

/// The epoch of the leader that gave a message, or -1.
pub(crate) fn epoch(message: &BorrowedMessage<'_>) -> i32 {
    // SAFETY: the pointer is that of the message, which outlives the call.
    unsafe { c::rd_kafka_message_leader_epoch(message.ptr()) }
}

/// Commits as a list: each offset with the topic's id and the leader's epoch.
///
/// # Errors
/// When librdkafka does not take an offset.
pub(crate) fn list(commits: &[Commit]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(commits.len());
    for commit in commits {
        let Commit { place, offset, epoch } = commit;
        {
            let mut element = list.add_partition(&place.topic, place.partition);
            element.set_offset(Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX)))?;
            element.set_metadata(&*place.topic_id);
        }
        let Ok(topic) = std::ffi::CString::new(&*place.topic) else { continue };
        // SAFETY: the list outlives the call, and what is found is an element of it.
        unsafe {
            let found =
                c::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), place.partition);
            if !found.is_null() {
                c::rd_kafka_topic_partition_set_leader_epoch(found, *epoch);
            }
        }
    }
    Ok(list)
}

/// Takes a partition out of a list, and leaves the others as they are, their epochs too.
pub(crate) fn remove(list: &mut TopicPartitionList, topic: &str, partition: i32) {
    let Ok(topic) = std::ffi::CString::new(topic) else { return };
    // SAFETY: the list outlives the call, and nobody else holds an element of it.
    unsafe {
        c::rd_kafka_topic_partition_list_del(list.ptr(), topic.as_ptr(), partition);
    }
}
