//! Starts and stops a collector: which threads there are, who tells whom, in which order they end.
//!
//! ```text
//! finder ──listings, nudges──► tailers (1..) ──batches──► shippers ──► queue
//!    ▲                             │   ▲                      │
//!    └────── look again ───────────┘   └───── safe ranges ────┘
//!                                  └──► board ──► checkpoint writer
//! ```
//!
//! A graceful stop ends them from the left: nothing new is found or read, what was read is shipped, receipts are waited
//! for, the checkpoint is written. Dropping the handle ends them at once, like a crash: nothing is lost by that either.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rookery_core::ledger::ReadState;
use rookery_core::queue::Queue;
use rookery_core::{Error, Result, StreamId, Tenant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::chain::{Chain, Rules};
use crate::checkpoint::{Board, Checkpoint};
use crate::config::CollectorConfig;
use crate::counters::Counters;
use crate::find::{Finder, LookAgain};
use crate::inbox::Inboxes;
use crate::ship::Shipper;
use crate::spool::{Left, Spool};
use crate::tail::{Shared, Tailer};
use crate::watch::Bell;

/// The shortest time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);

/// Writing checkpoints takes at most this share of the time, as a divisor: a slow disk gets fewer.
const CHECKPOINT_SHARE: u32 = 20;

/// How many batches wait between a tailer and its shipper.
const BATCHES_WAITING: usize = 2;

/// A collector that runs. Dropping it ends it at once; [`Collector::stop`] ends it well.
pub struct Collector {
    inboxes: Inboxes,
    again: LookAgain,
    board: Arc<Board>,
    counters: Arc<Counters>,
    config: Arc<CollectorConfig>,
    cancel: CancellationToken,
    writer_stop: Arc<(Mutex<bool>, Condvar)>,
    threads: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Collector {
    /// Starts a collector. Its sending runs on the present tokio runtime, its reading on threads of its own.
    ///
    /// It goes on at its own checkpoint, and asks nobody else: where that is older than what is stored, or lost, lines are read again, and the
    /// ingester drops them by their positions. `cancel` ends it at once, like a drop.
    ///
    /// # Errors
    /// `invalid` when the configuration cannot be right; what the system says when the state folder cannot be made.
    pub fn start(
        config: CollectorConfig,
        queue: Arc<dyn Queue>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        config.check()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            Error::internal("start the collector outside a runtime").because(error)
        })?;
        let rules = Rules::new(&config)?;
        let directory = &config.state_dir;
        std::fs::create_dir_all(directory).map_err(|error| {
            Error::io(
                format_args!(
                    "make the collector's state folder {} (collector.state_dir)",
                    directory.display()
                ),
                error,
            )
        })?;
        raise_file_limit();
        let checkpoint = Checkpoint::load(directory);
        let (spool, left) = Spool::open(&config.spool_dir());
        spool.tidy(&left);
        let orphans = chains_of(&rules, &left, &checkpoint);
        let threads = config.threads;
        let level = || (0..threads).map(|_| AtomicU64::new(0)).collect::<Arc<[_]>>();
        let again = LookAgain::new(Bell::new()?);
        let config = Arc::new(config);
        let shared = Shared {
            tenant: Tenant::new(&config.tenant)?,
            collector: config.node_name().into(),
            board: Arc::new(Board::new(checkpoint)),
            spool: Arc::new(spool),
            held_bytes: level(),
            held_links: level(),
            open_files: level(),
            counters: Arc::default(),
            again: again.clone(),
            config: config.clone(),
            queue,
        };
        let mut collector = Self {
            inboxes: Inboxes::new(threads),
            again,
            board: shared.board.clone(),
            counters: shared.counters.clone(),
            config,
            cancel: cancel.child_token(),
            writer_stop: Arc::default(),
            threads: Vec::new(),
            writer: None,
        };
        collector.start_threads(&shared, rules, left.files, orphans, &runtime)?;
        Ok(collector)
    }

    fn start_threads(
        &mut self,
        shared: &Shared,
        rules: Rules,
        spooled: HashMap<StreamId, Vec<crate::chain::Seen>>,
        orphans: Vec<Arc<Chain>>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<()> {
        for (index, inbox) in self.inboxes.0.clone().iter().enumerate() {
            let (sender, receiver) = mpsc::channel(BATCHES_WAITING);
            let shipper = Shipper::new(
                shared.queue.clone(),
                inbox.clone(),
                self.counters.clone(),
                self.config.batch.in_flight.as_usize(),
            );
            runtime.spawn(shipper.run(receiver, self.cancel.clone()));
            let tailer = Tailer::new(index, shared.clone(), inbox.clone(), sender);
            self.threads.push(spawn(&format!("tail-{index}"), move || tailer.run())?);
        }
        let finder = Finder::new(
            rules,
            self.again.clone(),
            self.inboxes.clone(),
            self.counters.clone(),
            self.config.scan_interval.0,
            spooled,
        );
        self.threads.push(spawn("find", move || finder.run(orphans))?);
        let (board, counters) = (self.board.clone(), self.counters.clone());
        let (config, stop) = (self.config.clone(), self.writer_stop.clone());
        let write = move || write_checkpoints(&board, &counters, &config, &stop);
        self.writer = Some(spawn("checkpoint", write)?);
        let (inboxes, again, cancel) =
            (self.inboxes.clone(), self.again.clone(), self.cancel.clone());
        runtime.spawn(async move {
            cancel.cancelled().await;
            again.stop();
            inboxes.0.iter().for_each(|inbox| inbox.abandon());
        });
        Ok(())
    }

    /// How far each stream was read.
    pub fn read_states(&self) -> Vec<ReadState> {
        self.board.states()
    }

    /// What the collector counts about itself.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Where [`Self::read_states`] can be asked after the collector moved elsewhere.
    pub fn view(&self) -> CollectorView {
        CollectorView { board: self.board.clone(), counters: self.counters.clone() }
    }

    /// Ends well: ships what was read, waits for its receipts, writes the checkpoint. After `deadline` it ends as it is.
    ///
    /// # Errors
    /// `timeout` when receipts did not come in time; what was not safe is read again at the next start. The error of the checkpoint's writing.
    pub async fn stop(mut self, deadline: Duration) -> Result<()> {
        self.again.stop();
        self.inboxes.0.iter().for_each(|inbox| inbox.drain());
        let threads = std::mem::take(&mut self.threads);
        let mut joined = tokio::task::spawn_blocking(move || join(threads));
        let in_time = tokio::time::timeout(deadline, &mut joined).await.is_ok();
        if !in_time {
            self.inboxes.0.iter().for_each(|inbox| inbox.abandon());
            let _ = joined.await;
        }
        self.stop_writer();
        let forget_after = forget_after(&self.config);
        self.board.save(&self.config.state_dir, forget_after)?;
        if !in_time {
            return Err(Error::timeout(
                "the queue did not confirm all batches before the deadline of the stop; they are read again at the next start",
            ));
        }
        Ok(())
    }

    fn stop_writer(&mut self) {
        let (stopped, wake) = &*self.writer_stop;
        *stopped.lock().expect("no holder panics") = true;
        wake.notify_all();
        if let Some(writer) = self.writer.take() {
            join(vec![writer]);
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.again.stop();
        self.inboxes.0.iter().for_each(|inbox| inbox.abandon());
        join(std::mem::take(&mut self.threads));
        self.stop_writer();
    }
}

/// What others may see of a collector.
#[derive(Clone)]
pub struct CollectorView {
    board: Arc<Board>,
    counters: Arc<Counters>,
}

impl CollectorView {
    /// How far each stream was read.
    pub fn read_states(&self) -> Vec<ReadState> {
        self.board.states()
    }

    /// What the collector counts about itself.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|error| Error::io(format_args!("start the thread {name}"), error))
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if thread.join().is_err() {
            tracing::error!(thread = name, "a collector's thread panicked");
        }
    }
}

/// Chains of which the spool has files, for the case that their folders are gone.
fn chains_of(rules: &Rules, left: &Left, checkpoint: &Checkpoint) -> Vec<Arc<Chain>> {
    let path_of = |id: &StreamId| {
        let remembered = checkpoint.streams.get(id).map(|entry| PathBuf::from(&entry.path));
        left.paths.get(id).cloned().or(remembered)
    };
    let chain_of = |id: &StreamId| {
        let chain = rules.chain_of(&path_of(id)?)?;
        (chain.id == *id).then(|| Arc::new(chain))
    };
    left.files.keys().filter_map(chain_of).collect()
}

fn forget_after(config: &CollectorConfig) -> i64 {
    i64::try_from(config.forget_after.0.as_nanos()).unwrap_or(i64::MAX)
}

fn write_checkpoints(
    board: &Board,
    counters: &Counters,
    config: &CollectorConfig,
    stop: &(Mutex<bool>, Condvar),
) {
    let mut pause = CHECKPOINT_INTERVAL;
    let mut complained = false;
    loop {
        let (stopped, wake) = stop;
        let guard = stopped.lock().expect("no holder panics");
        let (guard, _) =
            wake.wait_timeout_while(guard, pause, |stopped| !*stopped).expect("no holder panics");
        if *guard {
            return;
        }
        drop(guard);
        let begun = Instant::now();
        match board.save(&config.state_dir, forget_after(config)) {
            Ok(written) => {
                counters.checkpoints.add(u64::from(written));
                complained = false;
            }
            Err(error) => {
                counters.checkpoint_errors.add(1);
                if !std::mem::replace(&mut complained, true) {
                    tracing::warn!(%error, "files are read again from the last checkpoint after a restart; nothing is stored twice");
                }
            }
        }
        pause = CHECKPOINT_INTERVAL.max(begun.elapsed() * CHECKPOINT_SHARE);
    }
}

/// Takes all the open files that the system allows: each live log is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.current.is_none() {
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}
