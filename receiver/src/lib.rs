//! Receiving from others: records that agents and programs push, made into columns and put into the queue.
//!
//! | way in | module | a success means |
//! |---|---|---|
//! | `POST /insert/jsonline` | [`mod@jsonline`] | stored |
//! | `POST /loki/api/v1/push` | [`loki`] | stored |
//! | `/_bulk`, `/{index}/_bulk`, and what its clients ask before | [`elastic`] | stored, item by item |
//! | `POST /v1/logs`, gRPC | [`otlp`] | stored, but for the partial success |
//! | syslog over TCP and UDP | [`mod@syslog`] | there is no answer |
//!
//! A module of a protocol reads its form and answers as its clients expect; all else is common to them:
//!
//! 1. [`door`]: who it is ([`access`]), the body within its limits ([`body`]), the count ([`stats`]);
//! 2. [`draft`]: records into columns, streams by their labels ([`resource`]), refusals record by record;
//! 3. [`places`]: positions in streams, the queue, its acknowledgement.
//!
//! What it never does: answer success before the queue has acknowledged; keep anything on disk; look into a store. The decoders are
//! open to others ([`decode`]): topics of Kafka that somebody else fills are read by them.

pub mod config;
pub mod stats;

mod access;
mod body;
mod door;
mod draft;
mod places;
mod resource;

mod document;
mod jsonline;

mod wire;

mod elastic;
mod loki;
mod otlp;
mod syslog;

mod listeners;

pub mod decode;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::{any, get, post};
use rookery_core::Result;
use rookery_core::queue::Queue;
use tokio::sync::Semaphore;

pub use access::{Hash, TokenConfig, new_token};
pub use config::ReceiverConfig;
pub use listeners::Listeners;
pub use places::{Start, next_generation};
pub use stats::{Protocol, Stats};
pub use syslog::{Network, SyslogConfig};

use access::Access;
use body::Memory;
use door::{Door, Shared};
use places::Places;

/// All ways in of one process, in front of one queue.
#[derive(Clone)]
pub struct Receivers {
    shared: Arc<Shared>,
}

impl Receivers {
    /// Receivers that put what they take into `queue`. `name` is that of this process where the configuration gives none.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(
        config: ReceiverConfig,
        name: &str,
        queue: Arc<dyn Queue>,
        start: Start,
    ) -> Result<Self> {
        let name: Arc<str> = config.name.as_deref().unwrap_or(name).into();
        let streams = (config.streams_limit, config.streams_idle.0);
        let shared = Shared {
            access: Access::new(config.tokens.clone(), config.allow_anonymous),
            places: Places::new(queue, name.clone(), streams, start),
            stats: Arc::default(),
            memory: Memory::new(config.memory_limit),
            turns: Arc::new(Semaphore::new(config.concurrency)),
            name,
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The routes of all protocols over HTTP, gRPC included; `loopback` says whether only this machine reaches the address.
    ///
    /// `/` is left to others: see [`Self::greet`]. Elasticsearch's paths are below `/insert/elasticsearch/` too, with `/` there.
    pub fn router(&self, loopback: bool) -> Router {
        let door = |protocol| self.door(protocol, loopback);
        let one = Router::new()
            .route("/insert/jsonline", post(jsonline::push).with_state(door(Protocol::Jsonline)))
            .route("/loki/api/v1/push", post(loki::push).with_state(door(Protocol::Loki)))
            .route("/v1/logs", post(otlp::push).with_state(door(Protocol::Otlp)))
            .route(otlp::grpc::PATH, post(otlp::grpc::export).with_state(door(Protocol::Otlp)));
        let mut elastic = Router::new()
            .route("/_bulk", elastic::bulk())
            .route("/{index}/_bulk", elastic::bulk_of_index());
        for path in elastic::hello::PATHS {
            elastic = elastic.route(path, any(elastic::hello::answer));
        }
        let below = elastic.clone().route("/", get(elastic::hello::root));
        let door = door(Protocol::Elasticsearch);
        one.merge(elastic.with_state(door.clone()))
            .nest("/insert/elasticsearch", below.clone().with_state(door.clone()))
            .route("/insert/elasticsearch/", get(elastic::hello::root).with_state(door))
    }

    /// What `GET /` says to a client of Elasticsearch; `None` for a browser, which wants a page.
    pub fn greet(&self, headers: &HeaderMap, loopback: bool) -> Option<Response> {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let is_browser = accept.is_some_and(|accept| accept.contains("text/html"));
        let door = self.door(Protocol::Elasticsearch, loopback);
        (!is_browser).then(|| elastic::hello::version(&door, headers))
    }

    fn door(&self, protocol: Protocol, loopback: bool) -> Door {
        Door { shared: self.shared.clone(), protocol, loopback }
    }

    /// Whether pushes to such an address need no token.
    pub fn is_open(&self, loopback: bool) -> bool {
        self.shared.access.is_open(loopback)
    }

    /// Whether there is somebody who may push with a token.
    pub fn has_tokens(&self) -> bool {
        !self.shared.config.tokens.is_empty()
    }

    /// The counters.
    pub fn stats(&self) -> Arc<Stats> {
        self.shared.stats.clone()
    }

    /// Bytes of requests that are held now.
    pub fn held_bytes(&self) -> u64 {
        self.shared.memory.held_bytes()
    }
}

#[cfg(test)]
mod tests;
