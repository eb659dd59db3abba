//! What is between the thread that polls and the ingester: events, and how far each partition is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rookery_core::batch::Batch;
use rookery_core::queue::{Delivery, DeliveryId, Event};
use rookery_core::{Error, Result};
use tokio::sync::Notify;

use super::thread::Member;
use crate::stats::Stats;

/// A partition of a topic, under the number that the ingester knows.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    /// The topic's id at the assignment; empty when the brokers did not say.
    pub(crate) topic_id: Arc<str>,
}

/// An offset to be committed: the first that is not done.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) place: Place,
    pub(crate) offset: u64,
    /// The epoch of the leader that gave the message before it, or -1.
    pub(crate) epoch: i32,
}

/// How far a partition is.
struct Progress {
    place: Place,
    /// Offsets that were delivered, or are in the buffer, and are not acknowledged.
    outstanding: VecDeque<u64>,
    /// The first offset that did not come yet; `None` before the first.
    position: Option<u64>,
    epoch: i32,
    /// Where the group is; `None` where it never was anywhere.
    committed: Option<u64>,
    /// Whether the ingester was told that it came. Until then an acknowledgement is of what it had under this number before.
    is_announced: bool,
    is_held: bool,
    /// Whether librdkafka was told not to fetch it.
    is_paused: bool,
}

struct Held {
    delivery: Delivery,
    bytes: usize,
}

#[derive(Default)]
struct State {
    /// What is said before any delivery; a revocation has a ticket.
    control: VecDeque<(Event, Option<u64>)>,
    deliveries: VecDeque<Held>,
    owned: BTreeMap<u32, Progress>,
    tickets: u64,
    /// The last revocation that the ingester was told, and the last that it answered.
    told: u64,
    answered: u64,
    failure: Option<Error>,
    is_closed: bool,
    member: Option<Arc<Member>>,
}

/// See the module.
pub(crate) struct Buffer {
    state: Mutex<State>,
    /// Something came for the ingester.
    arrived: Notify,
    /// The ingester answered, or the buffer was closed.
    answered: Condvar,
    stats: Arc<Stats>,
}

/// What became of a message that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in its place.
    Taken,
    /// It is not the next one: offsets start again.
    Rewound,
    /// Its partition is not here any more.
    Gone,
}

impl Buffer {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        Self { state: Mutex::default(), arrived: Notify::new(), answered: Condvar::new(), stats }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the ingester calls.

    /// The next event.
    pub(crate) async fn next(&self) -> Result<Option<Event>> {
        loop {
            let arrived = self.arrived.notified();
            if let Some(event) = self.take().transpose() {
                return event.map(Some);
            }
            if self.state().is_closed {
                return Ok(None);
            }
            arrived.await;
        }
    }

    fn take(&self) -> Result<Option<Event>> {
        let mut state = self.state();
        if let Some((event, ticket)) = state.control.pop_front() {
            if let Some(ticket) = ticket {
                // One that nobody waited for may come behind a later one.
                state.told = state.told.max(ticket);
            }
            if let Event::Assigned(numbers) = &event {
                let came = state.owned.iter_mut().filter(|(number, _)| numbers.contains(number));
                came.for_each(|(_, progress)| progress.is_announced = true);
            }
            return Ok(Some(event));
        }
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        let State { deliveries, owned, .. } = &mut *state;
        let is_held = |number: u32| owned.get(&number).is_some_and(|p| p.is_held);
        let free = deliveries.iter().position(|held| !is_held(held.delivery.id.partition));
        let Some(held) = free.and_then(|at| deliveries.remove(at)) else { return Ok(None) };
        self.stats.buffered_bytes.fetch_sub(held.bytes as i64, Ordering::Relaxed);
        Ok(Some(Event::Delivered(held.delivery)))
    }

    /// The ingester is done with what it was told.
    pub(crate) fn answer(&self) {
        let mut state = self.state();
        if state.answered != state.told {
            state.answered = state.told;
            self.answered.notify_all();
        }
    }

    /// Takes acknowledgements, and says what is to be committed.
    pub(crate) fn acknowledge(&self, ids: &[DeliveryId]) -> Vec<Commit> {
        let mut state = self.state();
        for id in ids {
            let owned = state.owned.get_mut(&id.partition);
            let Some(progress) = owned.filter(|progress| progress.is_announced) else { continue };
            while progress.outstanding.front().is_some_and(|offset| *offset <= id.sequence) {
                progress.outstanding.pop_front();
            }
        }
        state.owned.values().filter_map(Progress::commit).collect()
    }

    /// These commits were taken.
    pub(crate) fn committed(&self, commits: &[Commit]) {
        let mut state = self.state();
        for commit in commits {
            if let Some(progress) = state.owned.get_mut(&commit.place.number)
                && progress.place.topic_id == commit.place.topic_id
            {
                progress.committed = progress.committed.max(Some(commit.offset));
            }
        }
    }

    /// Stops or goes on with one partition.
    pub(crate) fn hold(&self, partition: u32, held: bool) {
        if let Some(progress) = self.state().owned.get_mut(&partition) {
            progress.is_held = held;
        }
        self.arrived.notify_one();
    }

    // What the thread calls.

    /// The client with which commits are made.
    pub(crate) fn member(&self) -> Option<Arc<Member>> {
        self.state().member.clone()
    }

    pub(crate) fn set_member(&self, member: Option<Arc<Member>>) {
        self.state().member = member;
    }

    /// Partitions come here, committed as far as this.
    pub(crate) fn assign(&self, places: Vec<(Place, Option<u64>)>) {
        if places.is_empty() {
            // A member hears of a round of the group in which it gets nothing.
            return;
        }
        let mut state = self.state();
        let numbers = places.iter().map(|(place, _)| place.number).collect();
        for (place, committed) in places {
            let progress = Progress {
                outstanding: VecDeque::new(),
                position: None,
                epoch: -1,
                committed,
                is_announced: false,
                is_held: false,
                is_paused: false,
                place,
            };
            state.owned.insert(progress.place.number, progress);
        }
        state.control.push_back((Event::Assigned(numbers), None));
        drop(state);
        self.arrived.notify_one();
    }

    /// Takes what is not delivered of these partitions out; `None` when the ingester never heard of them.
    fn purge(&self, state: &mut State, numbers: &[u32]) -> Vec<u32> {
        let mut bytes = 0;
        state.deliveries.retain(|held| {
            let stays = !numbers.contains(&held.delivery.id.partition);
            bytes += if stays { 0 } else { held.bytes };
            stays
        });
        self.stats.buffered_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
        let mut known = numbers.to_vec();
        for (event, _) in &mut state.control {
            if let Event::Assigned(assigned) = event {
                known.retain(|number| !assigned.contains(number));
                assigned.retain(|number| !numbers.contains(number));
            }
        }
        state.control.retain(|(event, _)| !matches!(event, Event::Assigned(a) if a.is_empty()));
        known
    }

    /// Tells the ingester that partitions leave, and waits until it has finished with them, at most so long. Says whether it had. They stay
    /// its own until [`Self::remove`].
    pub(crate) fn revoke(&self, numbers: &[u32], limit: Duration) -> bool {
        let mut state = self.state();
        let known = self.purge(&mut state, numbers);
        if known.is_empty() || state.is_closed {
            return true;
        }
        state.tickets += 1;
        let ticket = state.tickets;
        state.control.push_front((Event::Revoked(known), Some(ticket)));
        self.arrived.notify_one();
        let waits = |state: &mut State| state.answered < ticket && !state.is_closed;
        let (_state, waited) = self
            .answered
            .wait_timeout_while(state, limit, waits)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// These partitions have another owner; nothing of them is acknowledged any more.
    pub(crate) fn lose(&self, numbers: &[u32]) {
        let mut state = self.state();
        let known = self.purge(&mut state, numbers);
        for number in numbers {
            state.owned.remove(number);
        }
        if !known.is_empty() {
            state.control.push_front((Event::Lost(known), None));
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Forgets partitions.
    pub(crate) fn remove(&self, numbers: &[u32]) {
        let mut state = self.state();
        for number in numbers {
            state.owned.remove(number);
        }
    }

    /// Whether a message of this topic is the next of its partition.
    pub(crate) fn expects(&self, number: u32, topic_id: &str, offset: u64) -> Offered {
        match self.state().owned.get(&number) {
            None => Offered::Gone,
            Some(progress) if *progress.place.topic_id != *topic_id => Offered::Gone,
            Some(progress) if progress.position.is_some_and(|p| offset < p) => Offered::Rewound,
            Some(_) => Offered::Taken,
        }
    }

    /// The offset that is to come next in a partition; `None` when that may be any.
    pub(crate) fn next_of(&self, number: u32) -> Option<u64> {
        let state = self.state();
        let progress = state.owned.get(&number)?;
        progress.position.or(progress.committed)
    }

    /// Takes a batch in.
    pub(crate) fn push(&self, id: DeliveryId, epoch: i32, batch: Batch) {
        let bytes = batch.size_bytes();
        let mut state = self.state();
        let Some(progress) = state.owned.get_mut(&id.partition) else { return };
        progress.outstanding.push_back(id.sequence);
        progress.position = Some(id.sequence + 1);
        progress.epoch = epoch;
        state.deliveries.push_back(Held { delivery: Delivery { id, batch }, bytes });
        self.stats.buffered_bytes.fetch_add(bytes as i64, Ordering::Relaxed);
        drop(state);
        self.arrived.notify_one();
    }

    /// Passes a message over that is in the dead-letter topic. Says what is to be committed, when nothing before it waits.
    pub(crate) fn pass(&self, id: DeliveryId, epoch: i32) -> Option<Commit> {
        let mut state = self.state();
        let progress = state.owned.get_mut(&id.partition)?;
        progress.position = Some(id.sequence + 1);
        progress.epoch = epoch;
        progress.commit().filter(|_| progress.outstanding.is_empty())
    }

    /// Bytes of deliveries that are not held, and the partitions that are.
    pub(crate) fn load(&self) -> (usize, BTreeSet<u32>) {
        let state = self.state();
        let held: BTreeSet<u32> =
            state.owned.iter().filter(|(_, p)| p.is_held).map(|(number, _)| *number).collect();
        let free = state.deliveries.iter().filter(|d| !held.contains(&d.delivery.id.partition));
        (free.map(|d| d.bytes).sum(), held)
    }

    /// All partitions that are here.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.state().owned.values().map(|progress| progress.place.clone()).collect()
    }

    /// The partitions that are here and paused.
    pub(crate) fn paused(&self) -> BTreeSet<u32> {
        let state = self.state();
        state.owned.iter().filter(|(_, p)| p.is_paused).map(|(number, _)| *number).collect()
    }

    /// Notes that librdkafka paused exactly these of the partitions that are here.
    pub(crate) fn set_paused(&self, numbers: &BTreeSet<u32>) {
        for (number, progress) in &mut self.state().owned {
            progress.is_paused = numbers.contains(number);
        }
    }

    /// One of them.
    pub(crate) fn place(&self, number: u32) -> Option<Place> {
        self.state().owned.get(&number).map(|progress| progress.place.clone())
    }

    /// The next call of `next` fails with this, after what was said before.
    pub(crate) fn fail(&self, error: Error) {
        self.state().failure = Some(error);
        self.arrived.notify_one();
    }

    /// Nothing comes any more, and nobody waits.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.answered.notify_all();
        self.arrived.notify_one();
    }
}

impl Progress {
    /// What is to be committed, if it is more than was.
    fn commit(&self) -> Option<Commit> {
        let offset = self.outstanding.front().copied().or(self.position)?;
        (offset > self.committed.unwrap_or(0)).then(|| Commit {
            place: self.place.clone(),
            offset,
            epoch: self.epoch,
        })
    }
}

#[cfg(test)]
mod tests;
