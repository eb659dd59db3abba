//! What the receiver counts, by protocol.

use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// `/insert/jsonline`
    Jsonline,
    /// `/loki/api/v1/push`
    Loki,
    /// `/_bulk`
    Elasticsearch,
    /// `/v1/logs`, and gRPC
    Otlp,
    /// Syslog over TCP and UDP.
    Syslog,
}

impl Protocol {
    const ALL: [Self; 5] =
        [Self::Jsonline, Self::Loki, Self::Elasticsearch, Self::Otlp, Self::Syslog];

    /// The name in configuration and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonline => "jsonline",
            Self::Loki => "loki",
            Self::Elasticsearch => "elasticsearch",
            Self::Otlp => "otlp",
            Self::Syslog => "syslog",
        }
    }
}

/// What is counted of a protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Requests,
    Bytes,
    Records,
    Refused,
    Unauthenticated,
    Throttled,
    TooLarge,
    Failed,
    Cut,
    Dropped,
}

const EVENTS: [(&str, &str); 10] = [
    ("requests", "Requests, and connections and packets of syslog"),
    ("bytes", "Bytes that came in, as they were sent"),
    ("records", "Records that were stored"),
    (
        "refused_records",
        "Records that cannot be stored: not in the form of the protocol, or over a limit",
    ),
    ("unauthenticated", "Requests without a right token"),
    ("throttled", "Requests that were told to come again because of concurrency or memory_limit"),
    ("too_large", "Requests over request_limit, records_limit or streams_limit"),
    ("failed", "Requests that could not be stored, or not in time"),
    ("cut_records", "Messages of syslog over line_limit, of which the start is stored"),
    ("dropped_records", "Messages of syslog that were given up because the queue was full"),
];

/// The counters of a receiver.
#[derive(Debug, Default)]
pub struct Stats {
    counts: [[AtomicU64; EVENTS.len()]; Protocol::ALL.len()],
}

/// One counter: name, label, what it means, value.
pub type Count = (&'static str, (&'static str, &'static str), &'static str, u64);

impl Stats {
    pub(crate) fn add(&self, protocol: Protocol, event: Event, count: u64) {
        self.counts[protocol as usize][event as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// All counters, those of one name behind each other.
    pub fn counters(&self) -> Vec<Count> {
        let mut out = Vec::with_capacity(EVENTS.len() * Protocol::ALL.len());
        for (event, (name, help)) in EVENTS.into_iter().enumerate() {
            for protocol in Protocol::ALL {
                let value = self.counts[protocol as usize][event].load(Ordering::Relaxed);
                out.push((name, ("protocol", protocol.name()), help, value));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_counter() {
        let stats = Stats::default();
        stats.add(Protocol::Syslog, Event::Dropped, 3);
        let dropped: Vec<_> = stats.counters().into_iter().filter(|c| c.3 > 0).collect();
        assert_eq!((dropped.len(), dropped[0].0, dropped[0].1.1), (1, "dropped_records", "syslog"));
    }
}
