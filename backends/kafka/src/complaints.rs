//! What librdkafka says of brokers that it cannot reach or that refuse it, and what a person can do about it.
//!
//! The error of a question says no more than that it took too long; why, the library says only as lines of its log. A client for administration gives those
//! to nobody: they wait in its main queue. They are taken from there, so that the client that asks is also the one that says why.
#![expect(
    unsafe_code,
    reason = "the crate takes lines of the log from clients of other kinds only"
)]

use std::ffi::CStr;
use std::time::{Duration, Instant};

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};

use crate::config::KafkaConfig;

/// How long a complaint counts: librdkafka says the same again only after 30 seconds.
const LIFE: Duration = Duration::from_secs(60);

/// The last thing that was said.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Option<(String, Instant)>);

impl Complaints {
    /// Takes what the client has said since the last time. Does not wait.
    pub(crate) fn hear<C: ClientContext>(&mut self, client: &Client<C>) {
        // SAFETY: the client outlives the queue, which is given back here; each event is read before it is destroyed, and nobody else takes from this
        // queue of a client for administration.
        unsafe {
            let queue = c::rd_kafka_queue_get_main(client.native_ptr());
            loop {
                let event = c::rd_kafka_queue_poll(queue, 0);
                if event.is_null() {
                    break;
                }
                if let Some(said) = line(event) {
                    self.0 = Some((said, Instant::now()));
                }
                c::rd_kafka_event_destroy(event);
            }
            c::rd_kafka_queue_destroy(queue);
        }
    }

    /// Why no broker answers, as far as it was said.
    pub(crate) fn last(&self) -> Option<&str> {
        let recent = self.0.as_ref().filter(|(_, at)| at.elapsed() < LIFE);
        recent.map(|(said, _)| said.as_str())
    }
}

/// The line of the log that an event is, when it is of a connection that failed.
///
/// # Safety
/// `event` is one that stays until this returns.
unsafe fn line(event: *mut c::rd_kafka_event_t) -> Option<String> {
    // SAFETY: as the caller says; the texts belong to the event, and are copied.
    unsafe {
        if c::rd_kafka_event_type(event) != c::RD_KAFKA_EVENT_LOG {
            return None;
        }
        let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
        let failed =
            c::rd_kafka_event_log(event, &raw mut facility, &raw mut text, &raw mut level) != 0;
        if failed || facility.is_null() || text.is_null() {
            return None;
        }
        let is_connection = CStr::from_ptr(facility).to_bytes() == b"FAIL";
        is_connection.then(|| CStr::from_ptr(text).to_string_lossy().trim().to_owned())
    }
}

/// How soon after it was made a connection ends that was made to a listener of another protocol.
const REFUSED_MS: u64 = 2000;

/// What to do about a complaint; nothing when it says no more than that nobody is there.
pub(crate) fn advice(config: &KafkaConfig, said: &str) -> Option<&'static str> {
    let says = |word: &str| said.contains(word);
    if says("certificate verify failed") || says("error:0A000086") {
        return Some(
            "the broker's certificate is not accepted: it must be signed by the authority in kafka.tls.ca_file (by one of the system's when none is given), be valid \
             at this time, and name the host as kafka.brokers and the brokers' advertised.listeners do",
        );
    }
    if says("PLAINTEXT broker listener") || says("wrong version number") {
        return Some(
            "this listener speaks no TLS: name one in kafka.brokers that does, or set kafka.tls.enabled to false",
        );
    }
    if says("SSL alert number") {
        return Some(
            "the broker wants a certificate of this client, or does not take the one that it has: check kafka.tls.certificate_file and kafka.tls.key_file, and \
             that the brokers trust who signed it",
        );
    }
    if says("nsupported SASL mechanism") {
        return Some("the broker offers other mechanisms: set kafka.sasl.mechanism to one of them");
    }
    if says("SASL") && says("uthentication") {
        return Some(
            "it refuses the name or the password: check kafka.sasl, and that the user exists there",
        );
    }
    match refused_in(said)? {
        // What a client says first is not what the listener expects.
        "APIVERSION_QUERY" if !config.tls.enabled => Some(
            "this listener closes a connection at once, as one that speaks TLS does: set kafka.tls.enabled to true, or name one in kafka.brokers that does not",
        ),
        // It is told the versions, and then expected to say who it is.
        "UP" if config.sasl.is_none() => Some(
            "this listener closes a connection at once, as one that wants a name and a password does: set kafka.sasl, or name one in kafka.brokers that wants none",
        ),
        _ => None,
    }
}

/// The state in which a broker closed a connection that was just made: `Disconnected: … (after 10ms in state UP)`.
fn refused_in(said: &str) -> Option<&str> {
    let (_, after) = said.split_once("Disconnected")?.1.split_once("(after ")?;
    let (millis, state) = after.split_once("ms in state ")?;
    let end = state.find(|c: char| !c.is_ascii_uppercase() && c != '_')?;
    millis.parse().is_ok_and(|millis: u64| millis < REFUSED_MS).then(|| &state[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(what: &str) -> Option<&'static str> {
        advice(&KafkaConfig::default(), &format!("[thrd:b:1/bootstrap]: b:1/bootstrap: {what}"))
    }

    #[test]
    fn who_is_not_there_or_goes_away_needs_no_advice() {
        let nobody =
            "Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
        let restarted =
            "Disconnected: connection closed by peer: POLLHUP (after 3600000ms in state UP)";
        assert_eq!((said(nobody), said(restarted)), (None, None));
    }

    #[test]
    fn a_connection_that_is_closed_at_once_is_of_a_listener_that_expects_something_else() {
        let closed = |state: &str| {
            said(&format!(
                "Disconnected: connection closed by peer: receive 0 after POLLIN (after 10ms in state {state}, 1 identical error(s) suppressed)"
            ))
        };
        assert!(closed("APIVERSION_QUERY").unwrap().contains("kafka.tls.enabled to true"));
        assert!(closed("UP").unwrap().contains("set kafka.sasl"));
        assert_eq!(closed("CONNECT"), None);
    }
}
