//! The end out of which batches come: a member of the ingesters' group.
//!
//! ```text
//! broker ─► librdkafka ─► thread: decode ─► buffer ─► next()
//!                            │                          │
//!                            └─► dead letters           └─► acknowledge(): commit
//! ```
//!
//! **One thread** polls, whatever happens: a full buffer pauses partitions and does not stop it, so the group never takes this member for dead while it lives.
//! It decodes too; the buffer is bounded by `kafka.buffer_limit`, in bytes of decoded batches. What a held partition already has in the buffer is not counted, or one
//! partition could keep the others from coming.
//!
//! **Offsets** are committed by [`Subscription::acknowledge`] alone, and waited for. With each goes the id of the topic, and the epoch of the partition's leader: so that
//! an offset in a topic that was deleted and made anew, or in a log that lost its end, is found out, and the partition is read from its beginning. Reading again is
//! always safe, for a record's name is its position; skipping never is. When offsets start again, the ingester is told that the partition was lost and assigned.
//! No message is delivered before its topic was looked at once more: librdkafka goes on at the same offset in a topic that was made anew, and what lies before it
//! would never be read. One question serves all messages that came together, and is asked while they are decoded.
//!
//! **A partition that leaves** is first taken out of the buffer; then the ingester is told ([`Event::Revoked`]) and waited for, at most `kafka.revoke_wait`: it may
//! finish, acknowledge, and say that it has by its next `next()`. Then it is given back. One that is lost ([`Event::Lost`]) has another owner already; nothing is waited for, and
//! acknowledgements of it do nothing. What keeps a late write out is the store's claim, not this.
//!
//! **What Kafka deleted before it was read** from a topic of others is delivered as a loss in its place, see `expired`; of our own topic the ingester finds it by itself.
//!
//! **What cannot be decoded** is in the dead-letter topic before anything behind it is delivered, so an acknowledgement never passes over it.

mod buffer;
mod context;
mod epochs;
mod expired;
mod thread;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rookery_core::queue::{DeliveryId, Event, Frontier, Subscription};
use rookery_core::{BoxFuture, Error, Result};
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::foreign::Decoder;
use crate::offsets::Offsets;
use crate::stats::Stats;
use crate::{client, topics};
use buffer::{Buffer, Commit};
use thread::{Member, Thread};

/// How long a question to the brokers may take.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// How often a commit is tried that the group refuses while it settles, and the pause between.
const COMMIT_TRIES: u32 = 100;
const COMMIT_PAUSE: Duration = Duration::from_millis(50);

/// The end out of which batches come.
pub struct KafkaSubscription {
    config: KafkaConfig,
    buffer: Arc<Buffer>,
    offsets: Arc<Offsets>,
    stats: Arc<Stats>,
    /// Ends when this is dropped.
    _thread: Thread,
}

impl KafkaSubscription {
    /// Waits for the brokers, prepares the topics and joins the group. `decoders` has one for each topic of `kafka.foreign`.
    ///
    /// # Errors
    /// What the configuration or the brokers do not allow; `cancelled`. A broker that is away is waited for.
    pub async fn open(
        config: KafkaConfig,
        decoders: HashMap<String, Decoder>,
        stats: Arc<Stats>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        if let Some(foreign) = config.foreign.iter().find(|f| !decoders.contains_key(&f.topic)) {
            return Err(Error::internal(format!(
                "no decoder was given for the topic {:?}",
                foreign.topic
            )));
        }
        topics::prepare(&config, cancel).await?;
        let buffer = Arc::new(Buffer::new(stats.clone()));
        let offsets = Arc::new(Offsets::connect(&config)?);
        let thread = Thread::start(config.clone(), decoders, buffer.clone(), stats.clone())?;
        Ok(Self { config, buffer, offsets, stats, _thread: thread })
    }
}

impl Subscription for KafkaSubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Event>>> {
        // The call itself is the answer to a revocation, not its first poll.
        self.buffer.answer();
        Box::pin(self.buffer.next())
    }

    fn acknowledge(&mut self, ids: &[DeliveryId]) -> BoxFuture<'_, Result<()>> {
        let commits = self.buffer.acknowledge(ids);
        Box::pin(async move {
            let Some(member) = self.buffer.member().filter(|_| !commits.is_empty()) else {
                return Ok(());
            };
            for _ in 0..COMMIT_TRIES {
                let (member, asked) = (member.clone(), commits.clone());
                let done = tokio::task::spawn_blocking(move || commit(&member, &asked)).await;
                let done = done.map_err(|e| Error::internal("a commit broke").because(e))?;
                match done {
                    Ok(()) => {
                        self.buffer.committed(&commits);
                        return Ok(());
                    }
                    Err(error) if settles(&error) => tokio::time::sleep(COMMIT_PAUSE).await,
                    Err(error) if is_gone(&error) => {
                        // The event that says so is on its way; the deliveries come again, there or here.
                        Stats::add(&self.stats.failed_commits, 1);
                        tracing::warn!(%error, "Kafka did not take a commit: the partitions have another owner");
                        return Ok(());
                    }
                    Err(error) => {
                        Stats::add(&self.stats.failed_commits, 1);
                        return Err(client::error("commit what is stored", error));
                    }
                }
            }
            Stats::add(&self.stats.failed_commits, 1);
            Err(Error::unavailable("the group of Kafka did not settle: a commit was not taken"))
        })
    }

    fn hold(&mut self, partition: u32, held: bool) {
        self.buffer.hold(partition, held);
    }

    fn frontiers(&mut self) -> BoxFuture<'_, Result<Vec<Frontier>>> {
        let (offsets, topic) = (self.offsets.clone(), self.config.topic.clone());
        Box::pin(async move {
            tokio::task::spawn_blocking(move || offsets.of_all(&topic, ASK_LIMIT))
                .await
                .map_err(|e| Error::internal("a question to Kafka broke").because(e))?
        })
    }
}

/// Commits, and waits for the answer.
fn commit(member: &Member, commits: &[Commit]) -> Result<(), KafkaError> {
    member.commit(&epochs::list(commits)?, CommitMode::Sync)
}

/// Whether the same commit will be taken when the group is done with what it does.
fn settles(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        error.rdkafka_error_code(),
        Some(
            C::RebalanceInProgress
                | C::CoordinatorLoadInProgress
                | C::CoordinatorNotAvailable
                | C::NotCoordinator
                | C::WaitingForCoordinator
        )
    )
}

/// Whether the commit was refused because somebody else owns the partition.
fn is_gone(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        error.rdkafka_error_code(),
        Some(
            C::IllegalGeneration
                | C::UnknownMemberId
                | C::FencedInstanceId
                | C::AssignmentLost
                | C::NoOffset
        )
    )
}
