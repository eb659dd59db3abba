//! The `receiver` section: who may push what, how much of it at a time, and on which further addresses.

use std::net::SocketAddr;

use rookery_core::units::{Bytes, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::TokenConfig;
use crate::draft::Limits;
use crate::syslog::SyslogConfig;

/// What may be pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiverConfig {
    /// The name of this process among those that take pushes for one store. It is a part of what a pushed stream is, because the
    /// order of a stream is that of one process: two processes must not have one name. Without it, `push` in standalone and the
    /// host's name in the role `receiver`.
    pub name: Option<String>,
    /// Takes pushes from everybody who reaches the address. Without it, pushes need a token, unless there are no tokens and the address
    /// is loopback.
    pub allow_anonymous: bool,
    /// Who may push. `rookery token new NAME` makes one.
    pub tokens: Vec<TokenConfig>,
    /// The largest request, before and after decompression.
    pub request_limit: Bytes,
    /// The longest line or body; a longer one is refused, and of syslog cut.
    pub line_limit: Bytes,
    /// The most records in one request; one with more is refused whole.
    pub records_limit: u64,
    /// The most fields of one record; a record with more is refused.
    pub fields_limit: usize,
    /// The most streams that one process takes by push at a time. The tags of a push should name where it comes from, not what it says.
    pub streams_limit: usize,
    /// Streams that were not pushed to for so long make room for others where there are too many.
    pub streams_idle: Span,
    /// The most requests that are read or stored at a time; another is told to come again.
    pub concurrency: usize,
    /// The most bytes of requests, raw and decompressed, that are held at a time; the columns made of them take about as much again.
    pub memory_limit: Bytes,
    /// How long a request may take to arrive.
    pub arrival_limit: Span,
    /// How long a request may wait until it is stored; then it is told to come again, though it may still be stored.
    pub store_limit: Span,
    /// Another address for OTLP over gRPC (clients expect port 4317). The main address takes it too, as does everything that speaks
    /// HTTP/2 without TLS.
    #[schemars(with = "Option<String>")]
    pub otlp_grpc_listen: Option<SocketAddr>,
    /// Addresses for syslog.
    pub syslog: SyslogConfig,
}

impl ReceiverConfig {
    /// More than any agent's batch: they send 1 to 10 MiB.
    pub const REQUEST_LIMIT: Bytes = Bytes::mib(64);
    /// More than a line that a person reads.
    pub const LINE_LIMIT: Bytes = Bytes::mib(1);
    /// A full request of short lines.
    pub const RECORDS_LIMIT: u64 = 1_000_000;
    /// Some times more than the widest records that are known, those of audit logs and of ECS.
    pub const FIELDS_LIMIT: usize = 1000;
    /// About 10 MiB for their places.
    pub const STREAMS_LIMIT: usize = 100_000;
    /// A stream that was silent for an hour costs nothing but a new generation when it comes back.
    pub const STREAMS_IDLE: Span = Span::seconds(3600);
    /// Each waits for the disk most of the time.
    pub const CONCURRENCY: usize = 64;
    /// Some requests of the largest size, raw and decompressed.
    pub const MEMORY_LIMIT: Bytes = Bytes::mib(256);
    /// What clients wait for an answer, or less.
    pub const TIME_LIMIT: Span = Span::seconds(30);

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            line: self.line_limit,
            records: self.records_limit,
            fields: self.fields_limit,
            refusals: Limits::REFUSALS,
        }
    }
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            name: None,
            allow_anonymous: false,
            tokens: Vec::new(),
            request_limit: Self::REQUEST_LIMIT,
            line_limit: Self::LINE_LIMIT,
            records_limit: Self::RECORDS_LIMIT,
            fields_limit: Self::FIELDS_LIMIT,
            streams_limit: Self::STREAMS_LIMIT,
            streams_idle: Self::STREAMS_IDLE,
            concurrency: Self::CONCURRENCY,
            memory_limit: Self::MEMORY_LIMIT,
            arrival_limit: Self::TIME_LIMIT,
            store_limit: Self::TIME_LIMIT,
            otlp_grpc_listen: None,
            syslog: SyslogConfig::default(),
        }
    }
}
