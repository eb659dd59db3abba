//! The end into which batches go: an idempotent producer that nothing overtakes.
//!
//! ```text
//! send ─► encode (blocking pool) ─► room in flight ─► session ─► librdkafka ─► broker
//!   ◄── receipt ◄──────────────── all messages of the batch acknowledged ◄────────┘
//! ```
//!
//! **Order.** All batches of a collector go to one partition, see [`route`]. A *session* is one producer of librdkafka, with one request in flight, so that no
//! message reaches the broker before the one before it has, whatever state the broker lost; with sequence numbers, so that a request made twice is written once;
//! and without a time limit, so that librdkafka gives nothing up by itself. When a message fails all the same (the topic is gone, the broker fenced the
//! producer), the session is over: *first* all receipts of it fail, then everything in it is purged, and a new session starts. A batch that was offered to
//! the old session is never sent in the new one.
//!
//! **What the caller owes.** After a receipt failed, it sends everything from that batch on again, in order, and drops every `send` that it had begun: it looks at its
//! receipts before it polls a `send`. What it sends again may be in the topic twice; the ingester drops it by position.
//!
//! **Bounds.** `kafka.in_flight_limit` bounds the messages that are sent and not acknowledged; beyond it `send` waits.

pub(crate) mod route;
mod session;
mod supervisor;

pub use route::partition as partition_of;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rookery_core::batch::Batch;
use rookery_core::queue::{Queue, Receipt, receipt};
use rookery_core::{BoxFuture, Error, Result};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::{KafkaConfig, MESSAGE_OVERHEAD};
use crate::message::{Encoder, Message};
use crate::stats::Stats;
use crate::topics;
use session::{Pending, Session};
use supervisor::Supervisor;

/// The unit in which the limit is counted, in bytes: a semaphore counts to fewer than a limit may be.
const UNIT_BYTES: usize = 1024;

/// The end into which batches go.
pub struct KafkaQueue {
    inner: Arc<Inner>,
    supervisor: Supervisor,
}

/// What senders and the supervisor share.
pub(crate) struct Inner {
    config: KafkaConfig,
    stats: Arc<Stats>,
    room: Arc<Semaphore>,
    room_units: u32,
    /// Encoders at rest: as many as there were batches at one time.
    encoders: Mutex<Vec<Encoder>>,
    session: Mutex<Arc<Session>>,
}

impl KafkaQueue {
    /// Waits for the brokers, prepares the topics and connects.
    ///
    /// `collector` is the name of the sender of all batches: it chooses the partition. In `state_dir` the number of partitions is kept that the choice was made from;
    /// without it, a start after partitions were added may choose another one while the old one is still being read.
    ///
    /// # Errors
    /// What the configuration or the brokers do not allow; `cancelled`. A broker that is away is waited for.
    pub async fn open(
        config: KafkaConfig,
        collector: &str,
        state_dir: Option<PathBuf>,
        stats: Arc<Stats>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        topics::prepare(&config, cancel).await?;
        let room_units = u32::try_from(config.in_flight_limit.as_usize().div_ceil(UNIT_BYTES))
            .unwrap_or(u32::MAX >> 4);
        let inner = Arc::new(Inner {
            config,
            stats,
            room: Arc::new(Semaphore::new(room_units as usize)),
            room_units,
            encoders: Mutex::default(),
            session: Mutex::new(Arc::new(Session::closed())),
        });
        let supervisor = Supervisor::start(inner.clone(), collector, state_dir, cancel).await?;
        Ok(Self { inner, supervisor })
    }

    /// Waits until everything that was sent is acknowledged, at most so long, and disconnects. Says whether it was.
    pub async fn close(&self, limit: Duration) -> bool {
        let session = self.inner.session();
        let is_empty = tokio::time::timeout(limit, session.empty()).await.is_ok();
        self.supervisor.stop();
        is_empty
    }

    /// The partition that batches go to now.
    pub fn partition(&self) -> u32 {
        self.inner.session().partition()
    }
}

impl Inner {
    fn session(&self) -> Arc<Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_session(&self, session: Arc<Session>) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    /// The batch as messages. Takes a processor for milliseconds.
    fn encode(&self, batch: Batch) -> Result<Vec<Message>> {
        let started = Instant::now();
        let limit = self.config.message_limit.0.saturating_sub(MESSAGE_OVERHEAD) as usize;
        let rested = self.encoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut encoder = rested.map_or_else(Encoder::new, Ok)?;
        let messages = encoder.encode(batch, limit);
        let truncated = encoder.take_truncated();
        self.encoders.lock().unwrap_or_else(PoisonError::into_inner).push(encoder);
        Stats::add(&self.stats.truncated_records, truncated);
        if truncated > 0 {
            tracing::warn!(
                truncated,
                limit,
                "records are larger than a message of Kafka can be: they lost their fields or the end of their body"
            );
        }
        Stats::since(&self.stats.encode_micros, started);
        messages
    }

    async fn send(self: Arc<Self>, batch: Batch, session: Arc<Session>) -> Result<Receipt> {
        let encoding = self.clone();
        let messages = tokio::task::spawn_blocking(move || encoding.encode(batch))
            .await
            .map_err(|e| Error::internal("the encoder of a batch broke").because(e))??;
        if messages.len() > 1 {
            Stats::add(&self.stats.cut_batches, 1);
        }
        let bytes: usize = messages.iter().map(Message::size_bytes).sum();
        // A batch over the limit takes all of it, alone, rather than never fit.
        let units =
            u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.room_units);
        let closed =
            |e| Error::unavailable("the queue is closed: the process is stopping").because(e);
        let room = self.room.clone().acquire_many_owned(units).await.map_err(closed)?;
        let (acknowledger, receipt) = receipt();
        let pending = Pending::new(acknowledger, messages.len(), bytes, room, self.stats.clone());
        session.send(&self.config.topic, messages, pending).await?;
        Ok(receipt)
    }
}

impl Queue for KafkaQueue {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>> {
        // The session of now, not of the first poll: see the module's doc.
        let session = self.inner.session();
        Box::pin(self.inner.clone().send(batch, session))
    }
}
