//! From finished batches to the queue, in order, and from the queue's receipts back to the checkpoint, in order.
//!
//! A batch stays here until its receipt says that it is safe. When the queue fails, everything from the first batch that is not
//! safe is sent again in the same order; a batch that arrives twice is dropped by position. What is here is bounded by bytes;
//! beyond that the reader waits, and its files are held.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rookery_core::batch::Batch;
use rookery_core::queue::{Queue, Receipt};
use rookery_core::{Error, Result};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::inbox::Inbox;

/// The pauses between attempts while the queue fails.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_LIMIT: Duration = Duration::from_secs(10);

type Waiting<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

struct Parcel {
    batch: Batch,
    bytes: usize,
    /// Waits for the receipt, once the queue accepted the batch.
    receipt: Option<Waiting<()>>,
}

/// One thread's way to the queue; [`Shipper::run`] is its task.
pub(crate) struct Shipper {
    queue: Arc<dyn Queue>,
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
    limit_bytes: usize,
    parcels: VecDeque<Parcel>,
    bytes: usize,
    /// How many of the parcels the queue accepted; always the first ones.
    accepted: usize,
    sending: Option<Waiting<Receipt>>,
    pause: Option<Pin<Box<Sleep>>>,
    next_pause: Duration,
}

enum Step {
    Came(Option<Batch>),
    Accepted(Result<Receipt>),
    Safe(Result<()>),
    Paused,
    Cancelled,
}

impl Shipper {
    /// Nothing shipped yet.
    pub(crate) fn new(
        queue: Arc<dyn Queue>,
        inbox: Arc<Inbox>,
        counters: Arc<Counters>,
        limit_bytes: usize,
    ) -> Self {
        Self {
            queue,
            inbox,
            counters,
            limit_bytes,
            parcels: VecDeque::new(),
            bytes: 0,
            accepted: 0,
            sending: None,
            pause: None,
            next_pause: PAUSE,
        }
    }

    /// Ships what comes, until no more comes and all of it is safe, or it is cancelled.
    pub(crate) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
        cancel: CancellationToken,
    ) {
        let mut is_open = true;
        while is_open || !self.parcels.is_empty() {
            self.start_sending();
            let has_room = is_open && self.bytes < self.limit_bytes;
            let first = self.parcels.front_mut().and_then(|parcel| parcel.receipt.as_mut());
            let step = tokio::select! {
                biased;
                () = cancel.cancelled() => Step::Cancelled,
                safe = ready(first) => Step::Safe(safe),
                accepted = ready(self.sending.as_mut()) => Step::Accepted(accepted),
                () = paused(self.pause.as_mut()) => Step::Paused,
                batch = batches.recv(), if has_room => Step::Came(batch),
            };
            match step {
                Step::Came(Some(batch)) => self.take_in(batch),
                Step::Came(None) => is_open = false,
                Step::Accepted(Ok(receipt)) => self.accept(receipt),
                Step::Accepted(Err(error)) => self.fail(&error, self.accepted),
                Step::Safe(Ok(())) => self.release(),
                Step::Safe(Err(error)) => self.fail(&error, 0),
                Step::Paused => self.pause = None,
                Step::Cancelled => return,
            }
        }
        self.inbox.shipped();
    }

    fn take_in(&mut self, batch: Batch) {
        let bytes = batch.size_bytes();
        self.bytes += bytes;
        self.parcels.push_back(Parcel { batch, bytes, receipt: None });
        // The reader may have another.
        self.inbox.nudge();
    }

    fn start_sending(&mut self) {
        if self.sending.is_some() || self.pause.is_some() {
            return;
        }
        let Some(parcel) = self.parcels.get(self.accepted) else { return };
        // Columns are shared, not copied.
        let (queue, batch) = (self.queue.clone(), parcel.batch.clone());
        self.sending = Some(Box::pin(async move { queue.send(batch).await }));
    }

    fn accept(&mut self, receipt: Receipt) {
        self.sending = None;
        if let Some(parcel) = self.parcels.get_mut(self.accepted) {
            parcel.receipt = Some(Box::pin(receipt.wait()));
            self.accepted += 1;
        }
    }

    fn release(&mut self) {
        let Some(parcel) = self.parcels.pop_front() else { return };
        self.accepted -= 1;
        self.bytes -= parcel.bytes;
        self.next_pause = PAUSE;
        self.counters.batches.add(1);
        self.inbox.safe(parcel.batch.ranges);
    }

    /// Everything from `from` must be sent again, after a pause.
    fn fail(&mut self, error: &Error, from: usize) {
        let again = self.accepted.saturating_sub(from) + usize::from(self.sending.is_some());
        if self.next_pause == PAUSE {
            tracing::warn!(%error, batches = again, "the queue does not take batches; they are kept and sent again");
        }
        self.counters.send_retries.add(again as u64);
        self.sending = None;
        for parcel in self.parcels.iter_mut().skip(from) {
            parcel.receipt = None;
        }
        self.accepted = from;
        self.pause = Some(Box::pin(sleep(self.next_pause)));
        self.next_pause = (self.next_pause * 2).min(PAUSE_LIMIT);
    }
}

async fn ready<T>(waiting: Option<&mut Waiting<T>>) -> Result<T> {
    match waiting {
        Some(waiting) => waiting.await,
        None => pending().await,
    }
}

async fn paused(pause: Option<&mut Pin<Box<Sleep>>>) {
    match pause {
        Some(pause) => pause.await,
        None => pending().await,
    }
}
