//! Runs the statements of a scan, and hands their batches to the partitions.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt64Type};
use arrow_buffer::BooleanBuffer;
use rookery_core::batch::held_bytes;
use rookery_core::logs::fields;
use rookery_core::rows::Rows;
use rookery_core::store::{ScanOrder, ScanRequest};
use rookery_core::{Error, Kind, Result, TimeRange};

use super::Reader;
use super::decode::{self, Output};
use super::slices::{Extent, Slices};
use super::steps::{Answer, Query, Step};
use crate::client::{Batches, Statement};

/// How many rows the server puts into a batch, at most: enough to be read in columns, few enough to be held by each thread.
const BATCH_ROWS: u64 = 16_384;

/// How the records lie in time, all tenants together: sizes, and nothing of what they say.
const EXTENTS: &str = "SELECT toUnixTimestamp64Nano(min(time)) AS a, toUnixTimestamp64Nano(max(time)) AS b, count() AS n FROM logs \
                       GROUP BY _partition_id";

/// How long an unfinished query's end is waited for in the background.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the partitions of a scan share.
pub(crate) struct Job {
    reader: Reader,
    request: ScanRequest,
    state: Mutex<State>,
}

struct State {
    steps: VecDeque<Arc<Step>>,
    time: TimeRange,
    slices: Option<Slices>,
    open: Option<Open>,
    failed: bool,
}

/// An answer that is being read.
struct Open {
    step: Arc<Step>,
    batches: Batches,
    query_id: String,
    counted_bytes: u64,
    /// Whether a batch was handed on: then the step cannot be exchanged for another.
    began: bool,
}

/// A batch, and what it is.
struct Piece {
    step: Arc<Step>,
    batch: RecordBatch,
}

impl Job {
    pub(crate) fn new(reader: Reader, query: Query, request: ScanRequest) -> Self {
        let steps = query.steps.into_iter().map(Arc::new).collect();
        let state = State { steps, time: query.time, slices: None, open: None, failed: false };
        Self { reader, request, state: Mutex::new(state) }
    }

    /// The next batch of the scan; one caller reads, the others wait for their turn.
    fn next(&self) -> Result<Option<Piece>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed {
            return Ok(None);
        }
        let next = self.next_of(&mut state);
        if next.is_err() {
            state.failed = true;
            self.close(&mut state);
        }
        next
    }

    fn next_of(&self, state: &mut State) -> Result<Option<Piece>> {
        loop {
            if self.request.cancel.is_cancelled() {
                return Err(cancelled());
            }
            if state.open.is_none() && !self.open_next(state)? {
                return Ok(None);
            }
            let open = state.open.as_mut().expect("it was opened above");
            match self.wait(open.batches.next()) {
                Ok(Some(batch)) => {
                    open.began = true;
                    let received = open.batches.received_bytes();
                    self.count(&batch, &open.step, received - open.counted_bytes);
                    open.counted_bytes = received;
                    return Ok(Some(Piece { step: open.step.clone(), batch }));
                }
                Ok(None) => state.open = None,
                Err(error) => self.exchange(state, error)?,
            }
        }
    }

    fn count(&self, batch: &RecordBatch, step: &Step, bytes: u64) {
        let rows = match step.answer() {
            Answer::Records => batch.num_rows() as u64,
            Answer::Groups => {
                let counts = batch.columns().last();
                let counts = counts.and_then(|a| a.as_primitive_opt::<UInt64Type>());
                counts.map_or(0, |counts| counts.values().iter().sum())
            }
        };
        self.request.budget.count_read(rows, bytes);
    }

    /// Opens the answer to the next statement; false when there is none.
    fn open_next(&self, state: &mut State) -> Result<bool> {
        loop {
            let Some(step) = state.steps.front().cloned() else { return Ok(false) };
            if state.slices.is_none() {
                state.slices = Some(self.slices(state.time)?);
            }
            let slices = state.slices.as_mut().expect("they were made above");
            let Some(span) = slices.next() else {
                state.steps.pop_front();
                state.slices = None;
                continue;
            };
            if !self.request.bound.overlaps(span.start, span.end - 1) {
                continue;
            }
            let query_id = query_id();
            let statement = self.limited(step.statement(span)).query_id(&query_id);
            let batches = self.reader.client.query(&statement)?;
            let open = Open { step, batches, query_id, counted_bytes: 0, began: false };
            state.open = Some(open);
            return Ok(true);
        }
    }

    fn slices(&self, time: TimeRange) -> Result<Slices> {
        Ok(match self.request.order {
            ScanOrder::Any => Slices::whole(time),
            order => Slices::new(time, &self.extents()?, order == ScanOrder::NewestFirst),
        })
    }

    /// How the records lie in time: by the server's partitions, of which it knows this without reading.
    fn extents(&self) -> Result<Vec<Extent>> {
        let statement = self.limited(Statement::new(EXTENTS));
        let batches = self.wait(self.reader.client.rows(&statement))?;
        let mut extents = Vec::new();
        for batch in &batches {
            let wrong =
                || Error::corrupt("ClickHouse answered the extents of days in another form");
            let [min, max, rows] = batch.columns() else { return Err(wrong()) };
            let time = |a: &arrow_array::ArrayRef| {
                a.as_primitive_opt::<arrow_array::types::Int64Type>().cloned().ok_or_else(wrong)
            };
            let (min, max) = (time(min)?, time(max)?);
            let rows = rows.as_primitive_opt::<UInt64Type>().ok_or_else(wrong)?;
            extents.extend((0..batch.num_rows()).map(|row| Extent {
                min: min.value(row),
                max: max.value(row),
                rows: rows.value(row),
            }));
        }
        Ok(extents)
    }

    /// A statement with what it may take.
    fn limited(&self, statement: Statement) -> Statement {
        statement
            .setting("readonly", 2)
            .setting("max_execution_time", self.reader.timeout.as_secs_f64())
            .setting("timeout_overflow_mode", "throw")
            .setting("max_memory_usage", self.reader.memory_bytes)
            .setting("max_block_size", BATCH_ROWS)
            .setting("max_result_rows", 0)
            .setting("max_query_size", 64 << 20)
            .setting("precise_float_parsing", 1)
            .setting("output_format_arrow_low_cardinality_as_dictionary", 1)
            .setting("output_format_arrow_use_signed_indexes_for_dictionary", 0)
            .setting("output_format_arrow_fixed_string_as_fixed_byte_array", 1)
    }

    /// Waits for an answer, and for the caller's end.
    fn wait<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        self.reader.runtime.block_on(async {
            tokio::select! {
                answer = answer => answer.map_err(|error| self.explain(error)),
                () = self.request.cancel.cancelled() => Err(cancelled()),
            }
        })
    }

    fn explain(&self, error: Error) -> Error {
        match error.kind() {
            Kind::Timeout => Error::timeout(format!(
                "the query ran in ClickHouse for longer than {:?}: narrow the time or the filter, or raise clickhouse.scan_timeout",
                self.reader.timeout
            ))
            .because(error),
            Kind::TooLarge => Error::too_large(format!(
                "the query needs more than {} MiB of ClickHouse's memory: narrow the time or the filter, or raise clickhouse.scan_memory",
                self.reader.memory_bytes >> 20
            ))
            .because(error),
            _ => error,
        }
    }

    /// Puts another step in the place of one that the server refused, if nothing of it was handed on.
    fn exchange(&self, state: &mut State, error: Error) -> Result<()> {
        let open = state.open.as_ref().expect("the step that failed is open");
        let instead = open.step.instead.clone().filter(|_| !open.began);
        match instead.filter(|_| error.kind() == Kind::TooLarge) {
            None => Err(error),
            Some(instead) => {
                self.close(state);
                state.slices = None;
                state.steps[0] = instead;
                Ok(())
            }
        }
    }

    /// Ends what is open.
    fn close(&self, state: &mut State) {
        let Some(open) = state.open.take() else { return };
        drop(open.batches);
        // The closed connection ends the query where the server watches it; a proxy may keep it from seeing that.
        let client = self.reader.client.clone();
        let kill = Statement::new("KILL QUERY WHERE query_id = {id:String} ASYNC")
            .param("id", open.query_id.as_str());
        self.reader.runtime.spawn(async move {
            let _ = tokio::time::timeout(KILL_TIMEOUT, client.execute(&kill)).await;
        });
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut state = std::mem::replace(
            self.state.get_mut().unwrap_or_else(PoisonError::into_inner),
            State::finished(),
        );
        self.close(&mut state);
    }
}

impl State {
    fn finished() -> Self {
        let time = TimeRange { start: 0, end: 0 };
        Self { steps: VecDeque::new(), time, slices: None, open: None, failed: true }
    }
}

fn cancelled() -> Error {
    Error::cancelled("the scan was ended by its caller")
}

/// A name that no other query of the server has.
fn query_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("rookery-scan-{}-{}-{number}", std::process::id(), since.as_nanos())
}

/// One of the partitions of a scan.
pub(crate) struct PartitionRows {
    job: Arc<Job>,
    ready: VecDeque<Rows>,
    done: bool,
}

impl PartitionRows {
    pub(crate) fn new(job: Arc<Job>) -> Self {
        Self { job, ready: VecDeque::new(), done: false }
    }

    fn advance(&mut self) -> Result<bool> {
        let Some(piece) = self.job.next()? else { return Ok(false) };
        let bytes = held_bytes(&piece.batch) as u64;
        let budget = &self.job.request.budget;
        budget.reserve(bytes)?;
        let rows = self.job.rows(&piece);
        budget.release(bytes);
        self.ready.extend(rows?.into_iter().filter(|rows| rows.len > 0));
        Ok(true)
    }
}

impl Iterator for PartitionRows {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            if let Some(rows) = self.ready.pop_front() {
                return Some(Ok(rows));
            }
            match self.advance() {
                Ok(more) => self.done = !more,
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Job {
    /// The rows of a batch that pass and that may still matter, with the wanted fields.
    fn rows(&self, piece: &Piece) -> Result<Vec<Rows>> {
        let Piece { step, batch } = piece;
        if step.answer() == Answer::Groups {
            return decode::groups(batch, step.outputs());
        }
        let mut rows = decode::rows(batch, step.outputs())?;
        if self.request.order != ScanOrder::Any
            && let Some(near) = self.near(batch, step.outputs())
        {
            rows = rows.filter(&near)?;
        }
        if let Some(rest) = &step.rest
            && rows.len > 0
        {
            let passed = rest.evaluate(&mut rows)?;
            rows = rows.filter(&passed)?;
        }
        rows.columns.retain(|(name, _)| step.columns.wants(name));
        Ok(vec![rows])
    }

    /// The records that may still matter to a caller that keeps the newest or the oldest; none when all may.
    fn near(&self, batch: &RecordBatch, outputs: &[Output]) -> Option<BooleanBuffer> {
        let is_time = |output: &Output| matches!(output, Output::Field(name) if name.as_ref() == fields::TIME);
        let at = outputs.iter().position(is_time)?;
        let times = batch.column(at).as_primitive_opt::<TimestampNanosecondType>()?.values();
        let bound = &self.request.bound;
        let near =
            BooleanBuffer::collect_bool(times.len(), |row| bound.overlaps(times[row], times[row]));
        (near.count_set_bits() < near.len()).then_some(near)
    }
}
