//! One tailing thread: gives its streams turns, fills batches, and hands them to the shipper.
//!
//! ```text
//! mail ─► streams ─► ready queue ─► a turn of `quantum` bytes each ─► builder ─► batch ─► shipper
//! ```
//!
//! The cost is that of what is active: a quiet stream is in no queue and has no timer. When the shipper has no room nothing is read, but
//! mail is: new files are opened, and rotated ones are held and linked.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rookery_core::batch::Batch;
use rookery_core::logs::builder::LogBatchBuilder;
use rookery_core::queue::Queue;
use rookery_core::{StreamId, Tenant};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::checkpoint::Board;
use crate::config::CollectorConfig;
use crate::counters::Counters;
use crate::decode::DecodeStats;
use crate::find::LookAgain;
use crate::inbox::{Inbox, Mail};
use crate::spool::Spool;
use crate::stream::{Desk, Outcome, Stream};

/// How often the board is told what changed.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

/// How often rotated files are looked after.
const HOLD_INTERVAL: Duration = Duration::from_secs(1);

/// What all threads share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<CollectorConfig>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) tenant: Tenant,
    pub(crate) collector: Arc<str>,
    pub(crate) board: Arc<Board>,
    pub(crate) spool: Arc<Spool>,
    /// Bytes that only the collector keeps, by thread.
    pub(crate) held_bytes: Arc<[AtomicU64]>,
    pub(crate) held_links: Arc<[AtomicU64]>,
    pub(crate) open_files: Arc<[AtomicU64]>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) again: LookAgain,
}

/// What turns work with.
struct Bench {
    builder: LogBatchBuilder,
    decoded: DecodeStats,
    buffer: Vec<u8>,
    counters: Arc<Counters>,
    again: LookAgain,
    quantum: usize,
    deleted_wait: Duration,
}

impl Bench {
    fn desk(&mut self) -> Desk<'_> {
        Desk {
            builder: &mut self.builder,
            decoded: &mut self.decoded,
            buffer: &mut self.buffer,
            counters: &self.counters,
            again: &self.again,
            now: Instant::now(),
            observed: rookery_core::time::now(),
            quantum: self.quantum,
            deleted_wait: self.deleted_wait,
        }
    }
}

/// The thread's state; [`Tailer::run`] is the thread.
pub(crate) struct Tailer {
    index: usize,
    shared: Shared,
    inbox: Arc<Inbox>,
    bench: Bench,
    streams: HashMap<StreamId, Stream>,
    ready: VecDeque<StreamId>,
    timers: BinaryHeap<Reverse<(Instant, StreamId)>>,
    /// Streams with ranges for the batch under construction.
    in_batch: Vec<StreamId>,
    /// When the batch under construction got its first range.
    begun: Option<Instant>,
    /// A batch for which the shipper has no room yet.
    outbox: Option<Batch>,
    shipper: Option<mpsc::Sender<Batch>>,
    /// Streams with rotated files.
    rotated: HashSet<StreamId>,
    /// Streams of which the board must be told.
    changed: HashSet<StreamId>,
    published: Instant,
    held: Instant,
    is_draining: bool,
}

impl Tailer {
    /// A thread without streams.
    pub(crate) fn new(
        index: usize,
        shared: Shared,
        inbox: Arc<Inbox>,
        shipper: mpsc::Sender<Batch>,
    ) -> Self {
        let bench = Bench {
            builder: LogBatchBuilder::default(),
            decoded: DecodeStats::default(),
            buffer: Vec::new(),
            counters: shared.counters.clone(),
            again: shared.again.clone(),
            quantum: shared.config.quantum.as_usize(),
            deleted_wait: shared.config.deleted_wait.0,
        };
        Self {
            index,
            shared,
            inbox,
            bench,
            streams: HashMap::new(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            in_batch: Vec::new(),
            begun: None,
            outbox: None,
            shipper: Some(shipper),
            rotated: HashSet::new(),
            changed: HashSet::new(),
            published: Instant::now(),
            held: Instant::now(),
            is_draining: false,
        }
    }

    /// Works until it is told to end.
    pub(crate) fn run(mut self) {
        loop {
            let mail = self.inbox.take(self.patience());
            if mail.abandon {
                return;
            }
            let is_over = mail.shipped;
            self.is_draining |= mail.drain;
            self.read_mail(mail);
            self.fire_timers();
            self.work();
            self.ship();
            self.look_after();
            if is_over {
                self.publish();
                return;
            }
        }
    }

    /// How long to wait for mail.
    fn patience(&self) -> Duration {
        let blocked = self.outbox.is_some();
        if !self.ready.is_empty() && !blocked && !self.is_draining {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let flush = self.begun.filter(|_| !blocked).map(|b| b + self.flush_interval());
        let timer = self.timers.peek().filter(|_| !blocked).map(|Reverse((at, _))| *at);
        let publish = (!self.changed.is_empty()).then(|| self.published + PUBLISH_INTERVAL);
        let hold = (!self.rotated.is_empty()).then(|| self.held + HOLD_INTERVAL);
        [flush, timer, publish, hold]
            .into_iter()
            .flatten()
            .min()
            .map_or(Duration::from_secs(60), |at| at.saturating_duration_since(now))
    }

    fn flush_interval(&self) -> Duration {
        self.shared.config.batch.flush_interval.0
    }

    fn read_mail(&mut self, mail: Mail) {
        for range in &mail.safe {
            if let Some(stream) = self.streams.get_mut(&range.stream) {
                stream.safe(range);
                self.changed.insert(range.stream);
            }
        }
        for (id, listing) in mail.listings {
            let stream = self.streams.entry(id).or_insert_with(|| {
                let entry = self.shared.board.entry(id);
                Stream::new(listing.chain.clone(), entry)
            });
            stream.listed(listing, &mut self.bench.desk());
            self.after(id);
            self.enqueue(id);
        }
        for id in mail.written {
            self.enqueue(id);
        }
    }

    fn enqueue(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_queued
        {
            stream.is_queued = true;
            self.ready.push_back(id);
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, id))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            if let Some(stream) = self.streams.get_mut(&id)
                && stream.wakes_at == Some(at)
            {
                stream.wakes_at = None;
                self.enqueue(id);
            }
        }
    }

    /// Gives turns until nobody wants one, there is mail, or the batch cannot be handed on.
    fn work(&mut self) {
        while self.outbox.is_none() && !self.is_draining {
            let Some(id) = self.ready.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_queued = false;
            let outcome = stream.turn(&mut self.bench.desk());
            match outcome {
                Outcome::More => self.enqueue(id),
                Outcome::Wait(None) => {}
                Outcome::Wait(Some(at)) => self.wake_at(id, at),
            }
            self.after(id);
            self.ship();
            if self.inbox.has_mail() {
                return;
            }
        }
    }

    fn wake_at(&mut self, id: StreamId, at: Instant) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.wakes_at.is_none_or(|known| at < known)
        {
            stream.wakes_at = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }

    /// Notes what a stream became by a turn or a listing.
    fn after(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.is_in_batch && stream.has_ranges() {
            stream.is_in_batch = true;
            self.in_batch.push(id);
            self.begun.get_or_insert_with(Instant::now);
        }
        match stream.has_rotated() {
            true => self.rotated.insert(id),
            false => self.rotated.remove(&id),
        };
        self.changed.insert(id);
    }

    /// Ends the batch when it is due, and hands it on.
    fn ship(&mut self) {
        if self.outbox.is_none() && self.is_due() {
            self.outbox = self.cut();
        }
        if let Some(batch) = self.outbox.take()
            && let Some(shipper) = &self.shipper
        {
            match shipper.try_send(batch) {
                Ok(()) => {}
                Err(TrySendError::Full(batch)) => self.outbox = Some(batch),
                // It was cancelled; the mail says so soon.
                Err(TrySendError::Closed(_)) => {}
            }
        }
        if self.is_draining && self.outbox.is_none() {
            // No more will come.
            self.shipper = None;
        }
    }

    fn is_due(&self) -> bool {
        let batch = &self.shared.config.batch;
        let Some(begun) = self.begun else { return false };
        self.is_draining
            || self.bench.builder.len() >= batch.rows
            || self.bench.builder.size_bytes() >= batch.limit.as_usize()
            || begun.elapsed() >= self.flush_interval()
    }

    fn cut(&mut self) -> Option<Batch> {
        self.begun = None;
        let mut ranges = Vec::new();
        for id in self.in_batch.drain(..) {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.is_in_batch = false;
                stream.take_ranges(&mut ranges);
            }
        }
        self.count_decoded();
        let records = self.bench.builder.finish();
        let records = records.expect("a batch is cut long before a column is full");
        (!ranges.is_empty()).then(|| Batch {
            tenant: self.shared.tenant.clone(),
            collector: self.shared.collector.clone(),
            records,
            ranges,
        })
    }

    fn count_decoded(&mut self) {
        let decoded = std::mem::take(&mut self.bench.decoded);
        let counters = &self.shared.counters;
        counters.truncated.add(decoded.truncated);
        counters.invalid_utf8.add(decoded.invalid_utf8);
        counters.time_fallback.add(decoded.time_fallback);
    }

    /// What is done from time to time.
    fn look_after(&mut self) {
        if !self.rotated.is_empty() && self.held.elapsed() >= HOLD_INTERVAL {
            self.hold();
            self.held = Instant::now();
        }
        if !self.changed.is_empty() && self.published.elapsed() >= PUBLISH_INTERVAL {
            self.publish();
            self.published = Instant::now();
        }
    }

    /// Links rotated files, and gives up the oldest beyond the limit.
    fn hold(&mut self) {
        let limit = self.shared.config.spool.limit.0;
        loop {
            let mut bytes = 0;
            for id in &self.rotated {
                let Some(stream) = self.streams.get_mut(id) else { continue };
                bytes += stream.hold(&self.shared.spool);
            }
            self.shared.held_bytes[self.index].store(bytes, Ordering::Relaxed);
            let all: u64 = self.shared.held_bytes.iter().map(|b| b.load(Ordering::Relaxed)).sum();
            self.shared.counters.spool_bytes.set(all);
            if all <= limit || bytes == 0 {
                break;
            }
            let oldest = |id: &&StreamId| {
                self.streams.get(*id).and_then(Stream::oldest_rotated).unwrap_or(i64::MAX)
            };
            let Some(id) = self.rotated.iter().min_by_key(oldest).copied() else { break };
            let Some(stream) = self.streams.get_mut(&id) else { break };
            let gave_up = stream.give_up_oldest(&mut self.bench.desk());
            self.after(id);
            if !gave_up {
                break;
            }
        }
        let links: usize = self.streams.values().map(Stream::link_count).sum();
        self.shared.held_links[self.index].store(links as u64, Ordering::Relaxed);
        let all: u64 = self.shared.held_links.iter().map(|b| b.load(Ordering::Relaxed)).sum();
        self.shared.counters.spool_links.set(all);
    }

    /// Tells the board what changed.
    fn publish(&mut self) {
        let mut news = Vec::with_capacity(self.changed.len());
        let mut over = Vec::new();
        for id in self.changed.drain() {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let entry = std::mem::take(&mut stream.is_dirty).then(|| stream.entry());
            news.push((entry, stream.read_state()));
            if stream.is_over() {
                over.push(id);
            }
        }
        self.shared.board.put(news);
        for id in over {
            self.streams.remove(&id);
            self.rotated.remove(&id);
            self.shared.board.remove_state(id);
        }
        let open: usize = self.streams.values().map(Stream::open_files).sum();
        self.shared.open_files[self.index].store(open as u64, Ordering::Relaxed);
        let all: u64 = self.shared.open_files.iter().map(|b| b.load(Ordering::Relaxed)).sum();
        self.shared.counters.files_open.set(all);
    }
}
