//! Runs a plan: one thread for each partition of the scan, then one thread for what comes after the first breaker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashSet;
use rookery_core::filter::FieldName;
use rookery_core::rows::Rows;
use rookery_core::store::{Budget, Columns, Partition, ScanRequest, Store};
use rookery_core::{Error, Kind, Result, Scope, TimeRange};
use tokio_util::sync::CancellationToken;

use super::columns;
use super::pipeline::{Chain, Partial, Reservation, cancelled};
use super::plan::{SUBQUERY_LIMIT_VALUES, Scan};

/// What all parts of one query share.
pub(crate) struct Context {
    /// Where the data is.
    pub store: Arc<dyn Store>,
    /// Whose data.
    pub scope: Scope,
    /// The span given outside of the query's text.
    pub window: TimeRange,
    /// The time of the query, in nanoseconds since the epoch.
    pub now: i64,
    /// Ends it.
    pub cancel: CancellationToken,
    /// What it may use.
    pub budget: Arc<Budget>,
    /// How many threads it may use.
    pub threads: usize,
}

/// A query, ready to run.
pub(crate) struct Plan {
    /// What is read.
    pub scan: Scan,
    /// What is done with it; the last has no breaker.
    pub chains: Vec<Chain>,
    /// On how many threads, at most.
    pub threads: usize,
}

/// Takes a batch of the answer, from any thread; false when no more is wanted.
pub(crate) type Output<'a> = dyn Fn(Rows) -> Result<bool> + Sync + 'a;

impl Plan {
    /// Runs the query to its end.
    ///
    /// # Errors
    /// The first that any thread met.
    pub(crate) fn run(&self, context: &Context, out: &Output<'_>) -> Result<()> {
        let (first, rest) = self.chains.split_first().expect("a plan has a chain");
        let Some(partial) = self.run_scan(first, context, out)? else { return Ok(()) };
        run_rest(rest, partial, context, out)
    }

    /// All of the answer, in memory.
    ///
    /// # Errors
    /// `too_large` when the memory of the query does not hold it.
    pub(crate) fn gather(&self, context: &Context, memory: &mut Reservation) -> Result<Vec<Rows>> {
        let state = Mutex::new((Vec::new(), memory));
        self.run(context, &|rows| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let (batches, memory) = &mut *state;
            memory.add(columns::size_bytes(&rows))?;
            batches.push(rows);
            Ok(true)
        })?;
        Ok(state.into_inner().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// The different values of a field of the answer that are not empty, sorted.
    ///
    /// # Errors
    /// `too_large` when there are too many.
    pub(crate) fn gather_values(&self, context: &Context, field: &str) -> Result<Vec<String>> {
        let state = Mutex::new((HashSet::<String>::new(), Reservation::new(&context.budget)));
        self.run(context, &|rows| {
            let Some(column) = rows.column(field) else { return Ok(true) };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let (values, memory) = &mut *state;
            let mut scratch = String::new();
            for row in 0..rows.len {
                let text = column.text(row, &mut scratch);
                if text.is_empty() || values.contains(text) {
                    continue;
                }
                // The text, its place in the set, and the set's slack.
                memory.add(text.len() as u64 + 48)?;
                values.insert(text.into());
            }
            if values.len() > SUBQUERY_LIMIT_VALUES {
                return Err(Error::too_large(format!(
                    "the subquery gives more than {SUBQUERY_LIMIT_VALUES} values of {field}: narrow it, or add `| uniq by ({field}) limit N`"
                )));
            }
            Ok(true)
        })?;
        let (values, _) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_unstable();
        Ok(values)
    }

    /// The scan and the first chain; the answer is what its breaker gathered.
    fn run_scan(
        &self,
        chain: &Chain,
        context: &Context,
        out: &Output<'_>,
    ) -> Result<Option<Box<dyn Partial>>> {
        let stop = context.cancel.child_token();
        let work = Work { plan: self, chain, context, out, stop, stopped: AtomicBool::new(false) };
        let mut partial = None;
        if !self.scan.time.is_empty() && !chain.done(0) {
            let mut columns = self.scan.columns.clone();
            partial = work.probe(&mut columns)?;
            if partial.is_none() {
                let request = self.request(context, &work.stop, columns);
                partial = work.run_all(context.store.scan(&context.scope, request)?)?;
            }
        }
        if partial.is_none() {
            partial = chain.breaker.as_ref().map(|breaker| breaker.start());
        }
        run_unions(chain, partial, context, out)
    }

    fn request(
        &self,
        context: &Context,
        stop: &CancellationToken,
        columns: Columns,
    ) -> ScanRequest {
        ScanRequest {
            time: self.scan.time,
            filter: self.scan.filter.clone(),
            columns,
            order: self.scan.order,
            bound: self.scan.bound.clone(),
            partitions: self.threads,
            cancel: stop.clone(),
            budget: context.budget.clone(),
        }
    }
}

/// Takes fields out of what is asked for.
fn exclude(columns: &mut Columns, fields: Vec<FieldName>) {
    match columns {
        Columns::Only(names) => names.retain(|name| !fields.contains(name)),
        Columns::All => *columns = Columns::Except(fields),
        Columns::Except(names) => names.extend(fields),
    }
}

/// What the threads of one scan share.
struct Work<'a> {
    plan: &'a Plan,
    chain: &'a Chain,
    context: &'a Context,
    out: &'a Output<'a>,
    stop: CancellationToken,
    /// Whether the scan was stopped because nothing more is wanted: not an error.
    stopped: AtomicBool,
}

impl Work<'_> {
    /// Looks at some rows to learn which fields the breaker has no use for, and takes them out of `columns`. When that were all
    /// rows there are, the answer is what was gathered of them.
    fn probe(&self, columns: &mut Columns) -> Result<Option<Box<dyn Partial>>> {
        let Some(breaker) = &self.chain.breaker else { return Ok(None) };
        let Some(limit) = breaker.probe_rows().filter(|_| self.chain.stages.is_empty()) else {
            return Ok(None);
        };
        let stop = self.context.cancel.child_token();
        let mut request = self.plan.request(self.context, &stop, columns.clone());
        request.partitions = 1;
        let mut partial = breaker.start();
        let mut seen = 0;
        for partition in self.context.store.scan(&self.context.scope, request)? {
            for rows in partition {
                let rows = self.plan.scan.shape.apply(rows?);
                seen += rows.len;
                if rows.len > 0 {
                    partial.push(rows)?;
                }
                if seen >= limit {
                    stop.cancel();
                    exclude(columns, partial.useless());
                    return Ok(None);
                }
            }
        }
        Ok(Some(partial))
    }

    /// One thread for each partition, of which one is this.
    fn run_all(&self, partitions: Vec<Partition>) -> Result<Option<Box<dyn Partial>>> {
        let mut partitions = partitions.into_iter();
        let Some(mine) = partitions.next() else { return Ok(None) };
        let mut results = std::thread::scope(|scope| {
            let spawn = |partition| {
                let name = "query-scan".to_owned();
                let thread = std::thread::Builder::new().name(name);
                thread.spawn_scoped(scope, move || self.run_one(partition))
            };
            let others: Vec<_> = partitions.map(spawn).collect();
            let mut results = vec![self.run_one(mine)];
            for thread in others {
                results.push(match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|_| {
                        Err(Error::internal(
                            "a thread of the query panicked; its log line says where",
                        ))
                    }),
                    Err(error) => Err(Error::io("start a thread for the query", error)),
                });
            }
            results
        });
        // A thread that failed made the others stop: its error is the one to tell.
        if let Some(at) =
            results.iter().position(|r| matches!(r, Err(e) if e.kind() != Kind::Cancelled))
        {
            return results.swap_remove(at);
        }
        let mut merged: Option<Box<dyn Partial>> = None;
        for result in results {
            let Some(partial) = result? else { continue };
            match &mut merged {
                Some(merged) => merged.merge(partial)?,
                None => merged = Some(partial),
            }
        }
        Ok(merged)
    }

    fn run_one(&self, partition: Partition) -> Result<Option<Box<dyn Partial>>> {
        let result = self.drive(partition);
        if result.is_err() {
            self.stop.cancel();
        }
        result
    }

    fn drive(&self, partition: Partition) -> Result<Option<Box<dyn Partial>>> {
        let mut partial = self.chain.breaker.as_ref().map(|breaker| breaker.start());
        for rows in partition {
            if self.context.cancel.is_cancelled() {
                return Err(cancelled());
            }
            let rows = match rows {
                Ok(rows) => rows,
                Err(_) if self.stopped.load(Ordering::Acquire) => break,
                Err(error) => return Err(error),
            };
            if self.stopped.load(Ordering::Acquire) {
                break;
            }
            let rows = self.chain.apply(0, self.plan.scan.shape.apply(rows))?;
            let mut more = true;
            if rows.len > 0 {
                more = match &mut partial {
                    Some(partial) => partial.push(rows)?,
                    None => (self.out)(rows)?,
                };
            }
            if !more || self.chain.done(0) {
                self.stopped.store(true, Ordering::Release);
                self.stop.cancel();
                break;
            }
        }
        Ok(partial)
    }
}

/// The answers of other queries that belong to the chain's input.
fn run_unions(
    chain: &Chain,
    partial: Option<Box<dyn Partial>>,
    context: &Context,
    out: &Output<'_>,
) -> Result<Option<Box<dyn Partial>>> {
    let partial = Mutex::new(partial);
    for (place, plan) in &chain.unions {
        if chain.done(*place) {
            continue;
        }
        plan.run(context, &|rows| {
            let rows = chain.apply(*place, rows)?;
            if rows.len == 0 {
                return Ok(!chain.done(*place));
            }
            let mut partial = partial.lock().unwrap_or_else(PoisonError::into_inner);
            let more = match &mut *partial {
                Some(partial) => partial.push(rows)?,
                None => {
                    drop(partial);
                    out(rows)?
                }
            };
            Ok(more && !chain.done(*place))
        })?;
    }
    Ok(partial.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The chains after the first breaker.
fn run_rest(
    chains: &[Chain],
    source: Box<dyn Partial>,
    context: &Context,
    out: &Output<'_>,
) -> Result<()> {
    let (chain, rest) = chains.split_first().expect("a chain follows a breaker");
    let mut partial = chain.breaker.as_ref().map(|breaker| breaker.start());
    source.finish(&mut |rows| {
        if context.cancel.is_cancelled() {
            return Err(cancelled());
        }
        if chain.done(0) {
            return Ok(false);
        }
        let rows = chain.apply(0, rows)?;
        let mut more = true;
        if rows.len > 0 {
            more = match &mut partial {
                Some(partial) => partial.push(rows)?,
                None => out(rows)?,
            };
        }
        Ok(more && !chain.done(0))
    })?;
    match run_unions(chain, partial, context, out)? {
        Some(partial) => run_rest(rest, partial, context, out),
        None => Ok(()),
    }
}
