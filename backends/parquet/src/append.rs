//! The thread that appends: it gathers blocks, writes their frames, syncs once for all of them, makes them visible, and
//! answers. It also freezes the memory tables when they are full or old.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rookery_core::batch::Block;
use rookery_core::{Error, Result};
use tokio::sync::oneshot;

use crate::log::Log;
use crate::memory::MemoryBatch;
use crate::state::{Phase, Shared};
use crate::{fault, frame};

/// Blocks that wait for the thread at most; the callers of more of them wait outside.
pub(crate) const WAITING_LIMIT: usize = 64;
/// How many bytes of frames share one fsync at most.
const GROUP_LIMIT_BYTES: usize = 32 << 20;
/// How often the age of the memory table is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How often a table is tried at the end: of two failures, one at least is of a try that began after the end did.
const LAST_TRIES: u32 = 2;
/// How long an append waits for parts to be written before it says why it cannot go on.
const FLUSH_PATIENCE: Duration = Duration::from_secs(30);

/// A block on its way, and where its caller waits.
pub(crate) struct Request {
    pub(crate) block: Block,
    /// The batches with their columns at hand, checked by the caller.
    pub(crate) batches: Vec<Arc<MemoryBatch>>,
    pub(crate) done: oneshot::Sender<Result<()>>,
    /// The place in the channel; it outlives a caller that goes away.
    pub(crate) permit: tokio::sync::OwnedSemaphorePermit,
}

/// The thread that appends.
pub(crate) struct Appender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) requests: Receiver<Request>,
    /// The frames of a group; kept, because fresh memory costs more than writing into it.
    pub(crate) frames: Vec<u8>,
}

impl Appender {
    /// Runs until the store closes or is dropped.
    pub(crate) fn run(mut self) {
        let mut last_sync = Instant::now();
        loop {
            match self.requests.recv_timeout(TICK) {
                Ok(first) => {
                    let group = self.gather(first, last_sync);
                    self.append(group);
                    last_sync = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.freeze_if_due();
        }
        if self.shared.state.lock().phase == Phase::Closing {
            self.write_everything();
        }
        self.shared.state.lock().phase = Phase::Stopping;
        self.shared.changed.notify_all();
    }

    /// What arrived until the next fsync is due.
    fn gather(&self, first: Request, last_sync: Instant) -> Vec<Request> {
        let due = last_sync + self.shared.config.fsync_interval.0;
        let size = |request: &Request| request.batches.iter().map(|b| b.bytes).sum::<usize>();
        let mut bytes = size(&first);
        let mut group = vec![first];
        while bytes < GROUP_LIMIT_BYTES && group.len() < WAITING_LIMIT {
            let wait = due.saturating_duration_since(Instant::now());
            let Ok(request) = self.requests.recv_timeout(wait) else { break };
            bytes += size(&request);
            group.push(request);
        }
        group
    }

    fn append(&mut self, group: Vec<Request>) {
        match self.write(&group) {
            Ok(at) => {
                let mut state = self.shared.state.lock();
                let mut waiting = Vec::with_capacity(group.len());
                for request in group {
                    state.accounts.apply(&request.block.tenant, &request.block.entries, at);
                    state.push(&request.block.tenant, request.batches, at);
                    waiting.push((request.done, request.permit));
                }
                drop(state);
                // A caller that went away has its block stored all the same.
                waiting.into_iter().for_each(|(done, _)| drop(done.send(Ok(()))));
            }
            Err(error) => {
                let text = error.to_string();
                for request in group {
                    let _ = request.done.send(Err(Error::new(error.kind(), text.clone())));
                }
            }
        }
    }

    /// Writes the frames of a group and waits for the disk; the time that they carry.
    fn write(&mut self, group: &[Request]) -> Result<i64> {
        self.wait_for_room()?;
        self.shared.check_free_disk()?;
        let at = (self.shared.clock)();
        self.frames.clear();
        self.frames.shrink_to(GROUP_LIMIT_BYTES);
        let mut records = 0;
        for (sequence, request) in (self.log.next_sequence()..).zip(group) {
            frame::encode(&mut self.frames, sequence, at, &request.block)?;
            records += request.block.len() as u64;
        }
        fault::point("before log");
        self.log.append(&self.frames, group.len() as u64)?;
        fault::point("after log");
        let stats = &self.shared.stats;
        stats.add(&stats.blocks, group.len() as u64);
        stats.add(&stats.records, records);
        stats.add(&stats.log_bytes, self.frames.len() as u64);
        stats.add(&stats.fsyncs, 1);
        Ok(at)
    }

    /// Waits while the memory tables are full and the ones before them are still being written.
    fn wait_for_room(&mut self) -> Result<()> {
        let limit = self.shared.config.memory_table.as_usize();
        let started = Instant::now();
        let mut state = self.shared.state.lock();
        if state.active_bytes >= limit && state.frozen.is_some() {
            self.shared.stats.add(&self.shared.stats.waits_for_flush, 1);
        }
        while state.active_bytes >= limit && state.frozen.is_some() {
            let failure = state.flush_failure.clone();
            if failure.is_some() || started.elapsed() > FLUSH_PATIENCE {
                let reason = failure.unwrap_or_else(|| "the disk is too slow".into());
                return Err(Error::unavailable(format!(
                    "memory is full and parts cannot be written ({reason}): it is tried again by itself"
                )));
            }
            state = self.shared.changed.wait_timeout(state, TICK);
        }
        let full = state.active_bytes >= limit;
        drop(state);
        if full {
            self.freeze_if_due();
        }
        Ok(())
    }

    fn freeze_if_due(&mut self) {
        let now = (self.shared.clock)();
        let state = self.shared.state.lock();
        let age = self.shared.config.memory_table_age.0.as_nanos() as i64;
        let old = state.active_since.is_some_and(|since| now.saturating_sub(since) >= age);
        let full = state.active_bytes >= self.shared.config.memory_table.as_usize();
        let due = (old || full) && state.frozen.is_none();
        drop(state);
        if due && let Err(error) = self.freeze() {
            tracing::warn!(%error, "the log keeps its segment; it is tried again");
        }
    }

    fn freeze(&mut self) -> Result<()> {
        // Only this thread appends and freezes, so nothing comes in between.
        self.log.rotate()?;
        self.shared.state.lock().freeze(self.log.next_sequence() - 1);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Has everything written as parts: what is frozen, then the rest. The first failure ends it, and stays for who closes.
    fn write_everything(&mut self) {
        if !self.wait_for_last_flush() {
            return;
        }
        if self.shared.state.lock().active_since.is_none() {
            return;
        }
        match self.freeze() {
            Ok(()) => drop(self.wait_for_last_flush()),
            Err(error) => self.shared.state.lock().flush_failure = Some(error.to_string()),
        }
    }

    /// Waits until nothing is frozen; false when that failed. A failure from before the end says nothing of now: there may be room again.
    fn wait_for_last_flush(&self) -> bool {
        for _ in 0..LAST_TRIES {
            let mut state = self.shared.state.lock();
            state.flush_failure = None;
            while state.frozen.is_some() && state.flush_failure.is_none() {
                state = self.shared.changed.wait_timeout(state, TICK);
            }
            if state.frozen.is_none() {
                return true;
            }
        }
        false
    }
}
