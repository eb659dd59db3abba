//! The in-process queue: a channel that is bounded by bytes.
//!
//! A batch holds its share of the limit from the moment it is accepted until it is acknowledged, so the limit bounds all that is
//! between the collector and the disk. A full queue makes the sender wait; nothing is dropped here.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Acknowledger, Delivery, DeliveryId, Event, Frontier, Queue, Receipt, Subscription, receipt,
};
use crate::batch::Batch;
use crate::{BoxFuture, Error, Result};

/// The unit in which the limit is counted, in bytes: a semaphore counts to fewer than a limit may be.
const UNIT_BYTES: usize = 1024;

/// How many batches may wait, beside the limit on bytes: many small ones must not grow a list without end.
const BATCHES_LIMIT: usize = 4096;

struct Parcel {
    batch: Batch,
    acknowledger: Acknowledger,
    share: OwnedSemaphorePermit,
}

/// The end into which batches go. It may be cloned.
#[derive(Clone)]
pub struct MemoryQueue {
    room: Arc<Semaphore>,
    limit_units: u32,
    sender: mpsc::Sender<Parcel>,
    closed: CancellationToken,
}

/// The end out of which batches come.
pub struct MemorySubscription {
    receiver: mpsc::Receiver<Parcel>,
    closed: CancellationToken,
    assigned: bool,
    held: bool,
    next_sequence: u64,
    outstanding: VecDeque<(u64, Acknowledger, OwnedSemaphorePermit)>,
}

/// A queue that holds at most `limit_bytes` of batches that are not acknowledged.
pub fn memory_queue(limit_bytes: usize) -> (MemoryQueue, MemorySubscription) {
    let (sender, receiver) = mpsc::channel(BATCHES_LIMIT);
    let limit_units = u32::try_from(limit_bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX >> 4);
    let room = Arc::new(Semaphore::new(limit_units as usize));
    let closed = CancellationToken::new();
    let subscription = MemorySubscription {
        receiver,
        closed: closed.clone(),
        assigned: false,
        held: false,
        next_sequence: 0,
        outstanding: VecDeque::new(),
    };
    (MemoryQueue { room, limit_units, sender, closed }, subscription)
}

impl MemoryQueue {
    /// Ends the queue, whoever still holds a handle: nothing more is accepted, and the subscription ends after what it has.
    pub fn close(&self) {
        self.room.close();
        self.closed.cancel();
    }

    /// Bytes that are accepted and not acknowledged.
    pub fn held_bytes(&self) -> usize {
        (self.limit_units as usize).saturating_sub(self.room.available_permits()) * UNIT_BYTES
    }
}

impl Queue for MemoryQueue {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>> {
        Box::pin(async move {
            let closed = |_| Error::unavailable("the queue is closed: the process is stopping");
            let units = u32::try_from(batch.size_bytes().div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
            // A batch over the limit takes all of it, alone, rather than never fit.
            let units = units.min(self.limit_units);
            let share = self
                .room
                .clone()
                .acquire_many_owned(units)
                .await
                .map_err(|e| closed(e.to_string()))?;
            let (acknowledger, receipt) = receipt();
            let parcel = Parcel { batch, acknowledger, share };
            self.sender.send(parcel).await.map_err(|e| closed(e.to_string()))?;
            Ok(receipt)
        })
    }
}

impl Subscription for MemorySubscription {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Event>>> {
        Box::pin(async move {
            if !self.assigned {
                self.assigned = true;
                return Ok(Some(Event::Assigned(vec![0])));
            }
            if self.held {
                return std::future::pending().await;
            }
            let parcel = tokio::select! {
                biased;
                parcel = self.receiver.recv() => parcel,
                () = self.closed.cancelled() => self.receiver.try_recv().ok(),
            };
            let Some(parcel) = parcel else { return Ok(None) };
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            self.outstanding.push_back((sequence, parcel.acknowledger, parcel.share));
            let id = DeliveryId { partition: 0, sequence };
            Ok(Some(Event::Delivered(Delivery { id, batch: parcel.batch })))
        })
    }

    fn acknowledge(&mut self, ids: &[DeliveryId]) -> BoxFuture<'_, Result<()>> {
        let last = ids.iter().map(|id| id.sequence).max();
        Box::pin(async move {
            while let Some((sequence, ..)) = self.outstanding.front()
                && last.is_some_and(|last| *sequence <= last)
                && let Some((_, acknowledger, share)) = self.outstanding.pop_front()
            {
                acknowledger.resolve(Ok(()));
                drop(share);
            }
            Ok(())
        })
    }

    fn hold(&mut self, _partition: u32, held: bool) {
        self.held = held;
    }

    fn frontiers(&mut self) -> BoxFuture<'_, Result<Vec<Frontier>>> {
        let acknowledged =
            self.outstanding.front().map_or(self.next_sequence, |(sequence, ..)| *sequence);
        let end = self.next_sequence + self.receiver.len() as u64;
        Box::pin(async move { Ok(vec![Frontier { partition: 0, end, acknowledged }]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::builder::LogBatchBuilder;

    fn batch() -> Batch {
        let records = LogBatchBuilder::default().finish().unwrap();
        Batch { tenant: Default::default(), collector: "n".into(), records, ranges: Vec::new() }
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_sender_wait_until_the_store_has_the_batch() {
        let size = batch().size_bytes().div_ceil(UNIT_BYTES) * UNIT_BYTES;
        let (queue, mut subscription) = memory_queue(size);
        let receipt = queue.send(batch()).await.unwrap();
        let second = tokio::spawn({
            let queue = queue.clone();
            async move { queue.send(batch()).await.map(|_| ()) }
        });
        assert!(matches!(subscription.next().await.unwrap(), Some(Event::Assigned(_))));
        let Some(Event::Delivered(first)) = subscription.next().await.unwrap() else {
            panic!("no batch")
        };
        assert!(!second.is_finished());
        subscription.acknowledge(&[first.id]).await.unwrap();
        receipt.wait().await.unwrap();
        second.await.unwrap().unwrap();
        queue.close();
        assert!(matches!(subscription.next().await.unwrap(), Some(Event::Delivered(_))));
        assert!(subscription.next().await.unwrap().is_none());
        assert!(queue.send(batch()).await.is_err());
    }

    #[tokio::test]
    async fn a_receipt_says_when_the_queue_went_away() {
        let (queue, subscription) = memory_queue(1 << 20);
        let receipt = queue.send(batch()).await.unwrap();
        drop(subscription);
        assert_eq!(receipt.wait().await.unwrap_err().kind(), crate::Kind::Unavailable);
        assert!(queue.send(batch()).await.is_err());
    }
}
