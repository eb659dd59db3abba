//! The loop: claim, gather, append, acknowledge; for each partition by itself.
//!
//! While a block of a partition is being written, the next one is gathered; there is never more than one of each, so what is in
//! memory is bounded, and blocks of a partition are written in order.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rookery_core::ledger::StreamAccount;
use rookery_core::queue::{Delivery, Event, Subscription};
use rookery_core::store::{Accounts, Claim, Store};
use rookery_core::{Error, Kind, Position, Result, StreamId, time};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::block::Blocks;
use crate::owned::Owned;
use crate::write::{Written, write};
use crate::{IngesterConfig, Stats};

/// The first wait after a call that failed; it doubles up to [`IngesterConfig::retry_limit`].
pub(crate) const FIRST_RETRY: Duration = Duration::from_millis(50);

/// How often the queue and the store are asked about batches that were set aside.
const ASIDE_INTERVAL: Duration = Duration::from_millis(200);

/// Moves batches from one subscription into one store.
pub struct Ingester {
    store: Arc<dyn Store>,
    config: IngesterConfig,
    stats: Arc<Stats>,
    partitions: BTreeMap<u32, Owned>,
    writes: JoinSet<Written>,
    cancel: CancellationToken,
    /// When batches that were set aside are looked at again.
    look_at: Option<Instant>,
}

/// What the loop waits for.
enum Step {
    Event(Result<Option<Event>>),
    Written(Written),
    Due,
    Look,
    Cancelled,
}

/// How partitions leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// The group waits until this process has finished with them.
    Revoked,
    /// They have another owner, or their numbers start again.
    Lost,
}

impl Ingester {
    /// An ingester that has read nothing yet.
    pub fn new(store: Arc<dyn Store>, config: IngesterConfig, stats: Arc<Stats>) -> Self {
        Self {
            store,
            config,
            stats,
            partitions: BTreeMap::new(),
            writes: JoinSet::new(),
            cancel: CancellationToken::new(),
            look_at: None,
        }
    }

    /// Runs until the queue is closed and all of it is stored, or until `cancel`, which leaves the rest in the queue.
    ///
    /// # Errors
    /// `conflict` when another ingester has claimed a partition that this one believed to own: subscribe anew, and run again. A block that
    /// cannot be written for another reason is tried until it can.
    pub async fn run(
        mut self,
        mut subscription: Box<dyn Subscription>,
        cancel: CancellationToken,
    ) -> Result<()> {
        self.cancel = cancel.child_token();
        let _guard = self.cancel.clone().drop_guard();
        loop {
            match self.step(subscription.as_mut()).await {
                Step::Cancelled => return Ok(()),
                Step::Event(Ok(None)) => return self.finish(subscription.as_mut()).await,
                Step::Event(Ok(Some(event))) => self.handle(event, subscription.as_mut()).await?,
                Step::Event(Err(error)) => self.complain(&error).await,
                Step::Written(written) => self.written(written, subscription.as_mut()).await?,
                Step::Look => self.look(subscription.as_mut()).await?,
                Step::Due => {}
            }
            self.flush(subscription.as_mut(), false);
        }
    }

    async fn step(&mut self, subscription: &mut dyn Subscription) -> Step {
        let due = self.partitions.values().filter_map(Owned::due).min();
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Step::Cancelled,
            Some(written) = self.writes.join_next() => Step::Written(ended(written)),
            () = sleep_until(due) => Step::Due,
            () = sleep_until(self.look_at) => Step::Look,
            event = subscription.next() => Step::Event(event),
        }
    }

    async fn handle(&mut self, event: Event, subscription: &mut dyn Subscription) -> Result<()> {
        match event {
            Event::Delivered(delivery) => return self.deliver(delivery, subscription).await,
            Event::Assigned(partitions) => self.claim(&partitions).await,
            Event::Revoked(partitions) => {
                return self.give_up(&partitions, Leaves::Revoked, subscription).await;
            }
            Event::Lost(partitions) => {
                return self.give_up(&partitions, Leaves::Lost, subscription).await;
            }
        }
        Ok(())
    }

    /// Claims partitions; tries until it succeeds.
    async fn claim(&mut self, partitions: &[u32]) {
        let store = self.store.clone();
        let claimed = self.persist("claim partitions from the store", || store.claim(partitions));
        let Some(Claim { epoch, accounts, unaccounted }) = claimed.await else { return };
        let unaccounted: Arc<HashSet<(StreamId, Position)>> =
            Arc::new(unaccounted.into_iter().collect());
        let mut by_partition: BTreeMap<u32, Vec<StreamAccount>> = BTreeMap::new();
        for account in accounts {
            by_partition.entry(account.partition).or_default().push(account);
        }
        for &partition in partitions {
            let accounts = by_partition.remove(&partition).unwrap_or_default();
            tracing::info!(partition, epoch, streams = accounts.len(), "claimed a partition");
            let blocks = Blocks::new(accounts, unaccounted.clone());
            let owned = Owned::new(partition, epoch, blocks, self.cancel.child_token());
            self.partitions.insert(partition, owned);
        }
    }

    /// Ends the work on partitions that go to another owner: what is being written is finished, what was only gathered is delivered there.
    ///
    /// What was revoked is acknowledged. Of what was lost nothing is, for its numbers may name other records by now; and when the store refuses it, that
    /// is no news. It is waited for all the same: the next claim of the partition may be this process' own, and would come between records and account.
    async fn give_up(
        &mut self,
        partitions: &[u32],
        how: Leaves,
        subscription: &mut dyn Subscription,
    ) -> Result<()> {
        let until = Instant::now() + self.config.revoke_limit.0;
        let is_writing = |all: &BTreeMap<u32, Owned>| {
            partitions.iter().any(|partition| all.get(partition).is_some_and(|o| o.is_writing))
        };
        while is_writing(&self.partitions) {
            let Ok(Some(written)) = tokio::time::timeout_at(until, self.writes.join_next()).await
            else {
                tracing::warn!(
                    ?partitions,
                    "a block was not written before its partition had to be given up"
                );
                break;
            };
            let written = ended(written);
            if how == Leaves::Lost && partitions.contains(&written.partition) {
                if let Some(owned) = self.partitions.get_mut(&written.partition) {
                    owned.is_writing &= owned.epoch() != written.epoch;
                }
                continue;
            }
            self.written(written, subscription).await?;
        }
        partitions.iter().for_each(|partition| drop(self.partitions.remove(partition)));
        Ok(())
    }

    async fn deliver(
        &mut self,
        delivery: Delivery,
        subscription: &mut dyn Subscription,
    ) -> Result<()> {
        Stats::add(&self.stats.batches, 1);
        let partition = delivery.id.partition;
        let Some(owned) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let strangers = owned.strangers(&delivery.batch);
        if !strangers.is_empty() {
            let accounts = self.accounts_of(strangers).await;
            let Some(owned) = self.partitions.get_mut(&partition) else { return Ok(()) };
            owned.refresh(accounts);
        }
        let Some(owned) = self.partitions.get_mut(&partition) else { return Ok(()) };
        if owned.must_wait(&delivery.batch) {
            owned.set_aside(delivery, Instant::now());
            Stats::add(&self.stats.set_aside, 1);
            return self.look(subscription).await;
        }
        self.add(delivery)
    }

    /// Adds a batch to the block of its partition.
    fn add(&mut self, delivery: Delivery) -> Result<()> {
        let due = Instant::now() + self.config.block_interval.0;
        let Some(owned) = self.partitions.get_mut(&delivery.id.partition) else { return Ok(()) };
        let added = owned.add(delivery, due, time::now())?;
        Stats::add(&self.stats.duplicates, added.duplicates);
        Stats::add(&self.stats.gap_bytes, added.gap_bytes);
        Ok(())
    }

    /// Looks whether what was set aside need not wait any longer.
    async fn look(&mut self, subscription: &mut dyn Subscription) -> Result<()> {
        self.look_at = None;
        let frontiers = match subscription.frontiers().await {
            Ok(frontiers) => frontiers,
            Err(error) => {
                tracing::warn!(%error, "batches that were set aside wait longer");
                self.look_at = Some(Instant::now() + self.config.retry_limit.0);
                return Ok(());
            }
        };
        let waiting = self.partitions.iter().filter(|(_, owned)| owned.has_aside());
        let waiting: Vec<u32> = waiting.map(|(partition, _)| *partition).collect();
        for partition in waiting {
            let Some(owned) = self.partitions.get_mut(&partition) else { continue };
            owned.note_frontiers(&frontiers);
            let streams = owned.aside_streams();
            // After the frontiers: what they say is acknowledged is in these accounts.
            let accounts = self.accounts_of(streams).await;
            let Some(owned) = self.partitions.get_mut(&partition) else { continue };
            owned.refresh(accounts);
            let patience = self.config.order_wait.0;
            let take = |owned: &mut Owned| owned.take_back(&frontiers, Instant::now(), patience);
            while let Some(delivery) = self.partitions.get_mut(&partition).and_then(take) {
                self.add(delivery)?;
            }
        }
        if self.partitions.values().any(Owned::has_aside) {
            self.look_at = Some(Instant::now() + ASIDE_INTERVAL);
        }
        Ok(())
    }

    async fn accounts_of(&self, streams: Vec<StreamId>) -> Vec<StreamAccount> {
        let store = self.store.clone();
        let which = Accounts::Streams(streams);
        let ask = || store.accounts(which.clone());
        self.persist("read accounts from the store", ask).await.unwrap_or_default()
    }

    /// Starts to write every block that is due, or `all`; holds the partitions of which no more fits.
    fn flush(&mut self, subscription: &mut dyn Subscription, all: bool) {
        let now = Some(Instant::now());
        let (rows, bytes) = (self.config.block_rows, self.config.block_bytes.as_usize());
        for (partition, owned) in &mut self.partitions {
            if (all || owned.is_due(now, rows, bytes))
                && let Some(writing) = owned.take()
            {
                let (store, stats) = (self.store.clone(), self.stats.clone());
                let limit = self.config.retry_limit.0;
                self.writes.spawn(write(store, stats, writing, limit, owned.cancel()));
            }
            let is_full = owned.is_full(rows, bytes);
            if is_full != owned.is_held {
                owned.is_held = is_full;
                subscription.hold(*partition, is_full);
            }
        }
    }

    async fn written(
        &mut self,
        written: Written,
        subscription: &mut dyn Subscription,
    ) -> Result<()> {
        let Written { partition, epoch, ids, outcome } = written;
        let Some(owned) = self.partitions.get_mut(&partition).filter(|o| o.epoch() == epoch) else {
            return Ok(());
        };
        match outcome {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::Cancelled => return Ok(()),
            Err(error) => return Err(error),
        }
        let told = owned.stored(ids);
        if let Err(error) = subscription.acknowledge(&told).await {
            // The next acknowledgement covers these too; until then they may be delivered again, and are dropped.
            tracing::warn!(%error, partition, "the queue did not take an acknowledgement");
        }
        Ok(())
    }

    /// The queue is closed: writes all that was gathered.
    async fn finish(&mut self, subscription: &mut dyn Subscription) -> Result<()> {
        loop {
            if self.partitions.values().any(Owned::has_aside) {
                self.look(subscription).await?;
            }
            self.flush(subscription, true);
            if self.writes.is_empty() && !self.partitions.values().any(Owned::has_aside) {
                return Ok(());
            }
            match self.step_of_the_end().await {
                Step::Cancelled => return Ok(()),
                Step::Written(written) => self.written(written, subscription).await?,
                _ => {}
            }
        }
    }

    async fn step_of_the_end(&mut self) -> Step {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Step::Cancelled,
            Some(written) = self.writes.join_next() => Step::Written(ended(written)),
            () = sleep_until(self.look_at) => Step::Look,
        }
    }

    /// Makes a call until it succeeds; `None` when cancelled before.
    async fn persist<T, F>(&self, what: &str, mut call: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut wait = FIRST_RETRY;
        loop {
            let outcome = tokio::select! {
                () = self.cancel.cancelled() => return None,
                outcome = call() => outcome,
            };
            match outcome {
                Ok(value) => return Some(value),
                Err(error) => {
                    Stats::add(&self.stats.retries, 1);
                    tracing::warn!(%error, retry_in = ?wait, "could not {what}; it is tried again");
                }
            }
            tokio::select! {
                () = self.cancel.cancelled() => return None,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(self.config.retry_limit.0);
        }
    }

    async fn complain(&self, error: &Error) {
        tracing::warn!(%error, "the queue cannot be read; it is tried again");
        tokio::time::sleep(FIRST_RETRY).await;
    }
}

/// What a task of a write says; a panic in one is a defect that must not be taken for a block that was stored.
fn ended(joined: std::result::Result<Written, tokio::task::JoinError>) -> Written {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => unreachable!("a write is only ever cancelled by its token"),
    })
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
