//! Runs queries: a [`Query`] in, a stream of [`Rows`] out.
//!
//! ```text
//! query ─plan─► scan ─► stages ─► breaker ─merge─► stages ─► breaker ─► … ─► rows
//!               └── one thread a partition ──┘     └──────── one thread ───────┘
//! ```
//!
//! - *Columns all the way.* A batch keeps the form in which the store had it (constants, dictionaries, numbers, times), and each
//!   pipe does once what is known once: a dictionary is parsed, mapped or grouped by its entries, not by its rows.
//! - *Streamed.* When no pipe needs all of its input, rows leave as soon as a store brings them, through a bounded channel:
//!   a slow reader slows the scan, nothing piles up.
//! - *Bounded.* A query has a time, memory, rows and concurrency limit ([`QueryConfig`]); each error names its limit and how to
//!   change it. Dropping the [`RowStream`] ends the work.
//! - *One order.* Records of equal time are ordered by stream and position (`sort`), so an answer with a limit is the same each time.
//!
//! Built-in fields that say where a record came from (`_generation`, `_offset`, `_observed`) are in an answer only when the query names
//! them. Reading order: `plan` and `needed` decide, `run` and `pipeline` do, `stages`, `stats`, `sort`,
//! `tally`, `facets`, `context` are the pipes.

mod bucket;
mod columns;
mod context;
mod facets;
mod group;
mod needed;
mod number;
mod order;
mod pipeline;
mod plan;
mod position;
mod run;
mod sort;
mod stages;
mod stats;
mod tally;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use rookery_core::rows::Rows;
use rookery_core::store::{Budget, Store};
use rookery_core::units::Span;
use rookery_core::{Error, Kind, Result, Scope, TimeRange, time};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::QueryConfig;
use crate::logsql::ast::Query;

/// How many batches wait for a slow reader.
const CHANNEL_BATCHES: usize = 4;

/// Runs queries over one store.
#[derive(Clone)]
pub struct Engine {
    store: Arc<dyn Store>,
    config: Arc<QueryConfig>,
    turns: Arc<Semaphore>,
}

/// What to run, for whom.
#[derive(Clone)]
pub struct Request {
    /// What.
    pub query: Query,
    /// For whom: no more than this is read.
    pub scope: Scope,
    /// Only records of this span, beside what the query says.
    pub window: TimeRange,
    /// Only the newest so many rows, newest first. A query whose answer is not of records (it counts, sorts, limits…) is cut
    /// after so many rows instead.
    pub newest: Option<u64>,
    /// Less than the configured time limit.
    pub timeout: Option<Duration>,
    /// The time of the query, in nanoseconds since the epoch.
    pub now: i64,
    /// Ends the query, as dropping its stream does.
    pub cancel: CancellationToken,
}

impl Request {
    /// All records, now, with the configured limits.
    pub fn new(query: Query, scope: Scope) -> Self {
        Self {
            query,
            scope,
            window: TimeRange::ALL,
            newest: None,
            timeout: None,
            now: time::now(),
            cancel: CancellationToken::new(),
        }
    }
}

impl Engine {
    /// An engine over a store.
    pub fn new(store: Arc<dyn Store>, config: QueryConfig) -> Self {
        let turns = Arc::new(Semaphore::new(config.concurrency.max(1)));
        Self { store, config: Arc::new(config), turns }
    }

    /// The limits.
    pub fn config(&self) -> &QueryConfig {
        &self.config
    }

    /// Starts a query, when it is its turn. Rows and later errors come from the stream.
    ///
    /// # Errors
    /// `throttled` when as many queries run as may and none ends in time.
    pub async fn run(&self, request: Request) -> Result<RowStream> {
        let turn = self.turn(&request.cancel).await?;
        let limit = self.config.timeout.0;
        let timeout = request.timeout.map_or(limit, |asked| asked.min(limit));
        let cancel = request.cancel.child_token();
        let budget = Arc::new(Budget::new(self.config.memory_limit.0));
        let (sender, receiver) = mpsc::channel(CHANNEL_BATCHES);
        let timed_out = Arc::new(AtomicBool::new(false));
        let finished = CancellationToken::new();
        let outcome = Outcome::default();
        tokio::spawn(watch(timeout, cancel.clone(), finished.clone(), timed_out.clone()));
        let job = Job {
            context: Arc::new(run::Context {
                store: self.store.clone(),
                scope: request.scope,
                window: request.window,
                now: request.now,
                cancel: cancel.clone(),
                budget: budget.clone(),
                threads: self.config.threads(),
            }),
            query: request.query,
            newest: request.newest,
            rows_limit: self.config.rows_limit,
            timeout,
            timed_out,
            sender,
            outcome: outcome.clone(),
            runtime: Handle::current(),
            _finished: finished.drop_guard(),
            _turn: turn,
        };
        // Blocking threads of the runtime are bounded, and no more than `concurrency` of them are ours.
        tokio::task::spawn_blocking(move || job.run());
        Ok(RowStream { receiver, outcome, budget, _cancel: cancel.drop_guard() })
    }

    async fn turn(&self, cancel: &CancellationToken) -> Result<OwnedSemaphorePermit> {
        let wait = self.config.queue_wait;
        let turn = tokio::time::timeout(wait.0, self.turns.clone().acquire_owned());
        let turn = tokio::select! {
            turn = turn => turn,
            () = cancel.cancelled() => return Err(pipeline::cancelled()),
        };
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Error::throttled(format!(
                "{} queries run already and none ended within {wait}: try again later, or raise query.concurrency or query.queue_wait",
                self.config.concurrency
            ))),
        }
    }
}

/// Cancels a query that takes too long.
async fn watch(
    timeout: Duration,
    cancel: CancellationToken,
    finished: CancellationToken,
    timed_out: Arc<AtomicBool>,
) {
    tokio::select! {
        () = tokio::time::sleep(timeout) => {
            timed_out.store(true, Ordering::Release);
            cancel.cancel();
        }
        () = finished.cancelled() => {}
    }
}

/// A query on its thread.
struct Job {
    context: Arc<run::Context>,
    query: Query,
    newest: Option<u64>,
    rows_limit: u64,
    timeout: Duration,
    timed_out: Arc<AtomicBool>,
    sender: mpsc::Sender<Rows>,
    outcome: Outcome,
    runtime: Handle,
    _finished: DropGuard,
    _turn: OwnedSemaphorePermit,
}

impl Job {
    fn run(self) {
        let ended = self.answer().map_err(|error| self.explain(error));
        self.outcome.set(ended);
    }

    /// What the end of a query that was cancelled means to its caller.
    fn explain(&self, error: Error) -> Error {
        if error.kind() != Kind::Cancelled || !self.timed_out.load(Ordering::Acquire) {
            return error;
        }
        Error::timeout(format!(
            "the query took longer than {}: narrow the time or the filter, or raise query.timeout (and the request's timeout)",
            Span(self.timeout)
        ))
    }

    fn answer(&self) -> Result<()> {
        let plan = plan::plan(&self.query, needed::Needed::all(), self.newest, &self.context)?;
        let rows_sent = AtomicU64::new(0);
        plan.run(&self.context, &|rows| {
            let before = rows_sent.fetch_add(rows.len as u64, Ordering::Relaxed);
            if before + rows.len as u64 > self.rows_limit {
                return Err(Error::too_large(format!(
                    "the answer has more than {} rows: add a limit or narrow the filter, or raise query.rows_limit",
                    self.rows_limit
                )));
            }
            self.send(rows)
        })
    }

    /// Waits for room in the channel, but not longer than the query may take; false when the caller has gone.
    fn send(&self, mut rows: Rows) -> Result<bool> {
        rows.columns.retain(|(name, _)| !columns::is_hidden(name));
        let rows = match self.sender.try_send(rows) {
            Ok(()) => return Ok(true),
            Err(mpsc::error::TrySendError::Closed(_)) => return Ok(false),
            Err(mpsc::error::TrySendError::Full(rows)) => rows,
        };
        self.runtime.block_on(async {
            tokio::select! {
                sent = self.sender.send(rows) => Ok(sent.is_ok()),
                () = self.context.cancel.cancelled() => Err(pipeline::cancelled()),
            }
        })
    }
}

/// How a query ended, told after its last row. Until it is set, and when the query's thread panics, that is an error: an answer
/// that was cut off must not look like a whole one.
#[derive(Clone)]
struct Outcome(Arc<Mutex<Option<Error>>>);

impl Default for Outcome {
    fn default() -> Self {
        let lost = Error::internal(
            "the thread of the query ended without a result; its log line says why",
        );
        Self(Arc::new(Mutex::new(Some(lost))))
    }
}

impl Outcome {
    fn set(&self, ended: Result<()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ended.err();
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The rows of an answer, as they are found. Dropping it ends the query.
pub struct RowStream {
    receiver: mpsc::Receiver<Rows>,
    outcome: Outcome,
    budget: Arc<Budget>,
    _cancel: DropGuard,
}

impl RowStream {
    /// The next batch; `None` at the end. Nothing follows an error.
    pub async fn next(&mut self) -> Option<Result<Rows>> {
        match self.receiver.recv().await {
            Some(rows) => Some(Ok(rows)),
            None => self.outcome.take().map(Err),
        }
    }

    /// What the query has read and holds so far.
    pub fn usage(&self) -> &Budget {
        &self.budget
    }

    /// All of the rows.
    ///
    /// # Errors
    /// That of the query.
    pub async fn collect(mut self) -> Result<Vec<Rows>> {
        let mut batches = Vec::new();
        while let Some(rows) = self.next().await {
            batches.push(rows?);
        }
        Ok(batches)
    }
}

impl Stream for RowStream {
    type Item = Result<Rows>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.receiver.poll_recv(context)) {
            Some(rows) => Some(Ok(rows)),
            None => self.outcome.take().map(Err),
        })
    }
}
