//! The id that Kafka gives a topic when it is created: what tells a topic from another of the same name that took its place.
//!
//! The crate has no call for it, so this goes to librdkafka itself.
#![expect(unsafe_code, reason = "librdkafka gives a topic's id only through its C interface")]

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rookery_core::{Error, Result};

use crate::client;

/// The id as Kafka's tools print it. Blocks for at most `limit`.
///
/// # Errors
/// `not_found` when there is no such topic, `unavailable` when no broker says.
pub(crate) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    limit: Duration,
) -> Result<String> {
    let name = CString::new(topic)
        .map_err(|e| Error::invalid(format!("{topic:?} is no name of a topic")).because(e))?;
    let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client outlives the call; every object that is made here is destroyed here, after its last use; pointers into
    // an event are read before the event is destroyed.
    unsafe {
        let queue = c::rd_kafka_queue_new(client.native_ptr());
        let mut names = [name.as_ptr()];
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let options = c::rd_kafka_AdminOptions_new(
            client.native_ptr(),
            c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        c::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        c::rd_kafka_DescribeTopics(client.native_ptr(), topics, options, queue);
        let event = c::rd_kafka_queue_poll(queue, millis);
        let answer = read(event, topic);
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_AdminOptions_destroy(options);
        c::rd_kafka_TopicCollection_destroy(topics);
        c::rd_kafka_queue_destroy(queue);
        answer
    }
}

/// # Safety
/// `event` is null or an event that stays until this returns.
unsafe fn read(event: *mut c::rd_kafka_event_t, topic: &str) -> Result<String> {
    let what = || format!("cannot ask the brokers for the topic {topic:?}");
    if event.is_null() {
        return Err(Error::unavailable(format!("{}: no answer", what())));
    }
    // SAFETY: as the caller says; each pointer is checked before it is followed.
    unsafe {
        check(c::rd_kafka_event_error(event), what)?;
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(Error::unavailable(what()));
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return Err(Error::unavailable(what()));
        }
        let error = c::rd_kafka_TopicDescription_error(*topics);
        if !error.is_null() {
            check(c::rd_kafka_error_code(error), what)?;
        }
        let id = c::rd_kafka_TopicDescription_topic_id(*topics);
        let text = if id.is_null() { ptr::null() } else { c::rd_kafka_Uuid_base64str(id) };
        if text.is_null() {
            return Err(Error::unavailable(format!("{}: the brokers give topics no id", what())));
        }
        Ok(CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

fn check(code: c::rd_kafka_resp_err_t, what: impl Fn() -> String) -> Result<()> {
    use rdkafka::error::RDKafkaErrorCode as Code;
    match Code::from(code) {
        Code::NoError => Ok(()),
        code @ (Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
            Err(Error::not_found(what()).because(code.to_string()))
        }
        code => Err(Error::new(client::kind(code), what()).because(code.to_string())),
    }
}
