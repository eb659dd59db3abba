//! The seam between a collector and an ingester: the in-process queue, and Kafka.
//!
//! The contract that the rest builds on: **batches of one stream are delivered in the order in which they were sent**, through
//! retries, restarts and changes of owner. A batch may be delivered more than once, never not at all once it was accepted.

pub mod memory;

use crate::batch::Batch;
use crate::{BoxFuture, Error, Result};

/// The end into which batches go.
pub trait Queue: Send + Sync {
    /// Offers a batch; waits while the queue is full. When it returns, the queue will deliver the batch as long as this process
    /// lives; when the [`Receipt`] resolves, the batch is safe without it.
    ///
    /// # Errors
    /// `unavailable` when the queue is closed, `too_large` when the batch alone is over the queue's limit.
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>>;
}

/// The promise that a batch will be safe without the sender.
#[derive(Debug)]
pub struct Receipt(tokio::sync::oneshot::Receiver<Result<()>>);

/// The other end of a [`Receipt`].
#[derive(Debug)]
pub struct Acknowledger(tokio::sync::oneshot::Sender<Result<()>>);

/// A receipt and its other end.
pub fn receipt() -> (Acknowledger, Receipt) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    (Acknowledger(sender), Receipt(receiver))
}

impl Receipt {
    /// Waits until the batch is safe.
    ///
    /// # Errors
    /// What the queue says; `unavailable` when it went away without an answer. The sender sends again from its checkpoint.
    pub async fn wait(self) -> Result<()> {
        let gone =
            |_| Err(Error::unavailable("the queue went away before it had stored the batch"));
        self.0.await.unwrap_or_else(gone)
    }
}

impl Acknowledger {
    /// Says what became of the batch. A sender that no longer waits is not an error.
    pub fn resolve(self, result: Result<()>) {
        let _ = self.0.send(result);
    }
}

/// The end out of which batches come.
pub trait Subscription: Send {
    /// The next event; `None` when the queue is closed and empty. Dropping the future before it is ready loses no event.
    ///
    /// # Errors
    /// When the queue cannot be read; the call may be made again.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Event>>>;

    /// Says that these deliveries are stored, all that came before them included. They will not come again.
    ///
    /// # Errors
    /// When the queue cannot take it; the deliveries may come again.
    fn acknowledge(&mut self, ids: &[DeliveryId]) -> BoxFuture<'_, Result<()>>;

    /// Stops or goes on with the deliveries of one partition: for one that is full while others are not. What it already fetched stays.
    fn hold(&mut self, partition: u32, held: bool);

    /// How far every partition of the queue is filled and acknowledged at this moment, also those that others read.
    ///
    /// # Errors
    /// `unavailable` when the queue does not say.
    fn frontiers(&mut self) -> BoxFuture<'_, Result<Vec<Frontier>>>;
}

/// How far a partition is filled, and how far its readers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frontier {
    /// Which partition.
    pub partition: u32,
    /// The first sequence number that nothing was sent with yet.
    pub end: u64,
    /// The first sequence number that is not acknowledged.
    pub acknowledged: u64,
}

/// What a subscription says.
#[derive(Debug)]
pub enum Event {
    /// From now on, batches of these partitions come here: they must be claimed from the store first. Others stay as they are.
    Assigned(Vec<u32>),
    /// These partitions go to another owner: what is being written may be finished and acknowledged, and the next call of
    /// [`Subscription::next`] says that it was.
    Revoked(Vec<u32>),
    /// These partitions are another owner's already. What is not acknowledged is delivered there.
    Lost(Vec<u32>),
    /// A batch.
    Delivered(Delivery),
}

/// A batch, and its name for the acknowledgement.
#[derive(Debug)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// The batch.
    pub batch: Batch,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// Which partition.
    pub partition: u32,
    /// Which batch of it; grows.
    pub sequence: u64,
}
