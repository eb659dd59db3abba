//! Answers a scan: which pieces of data can hold a record that passes ([`judge`]), in which order they are visited, and what is read of
//! each ([`rows`]).
//!
//! A **unit** is a batch of the memory table, or some granules of one row group of a part. All partitions take units from one queue.
//! The queue grows day by day, so that a caller that keeps the newest records never has the indexes of older days read.
//!
//! Of a unit, first the columns that the filter tests are read, one after the other and only while rows are left; then the wanted
//! columns of the rows that passed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use rookery_core::filter::{Filter, Test};
use rookery_core::rows::Rows;
use rookery_core::store::{Columns, Partition, ScanOrder, ScanRequest};
use rookery_core::{Error, Result, Scope, TimeRange};

use crate::memory::MemoryBatch;
use crate::part::Part;
use crate::part::body::search::BodyTest;
use crate::part::read::OpenPart;
use crate::state::{ScanGuard, Shared};
use crate::sync::Mutex;

mod judge;
mod memory_source;
mod part_source;
mod rows;

use judge::{Judge, Verdict};

/// The most granules of a unit when the order does not matter: the bodies of two stay near the processor while they are searched.
const UNIT_GRANULES: usize = 2;

/// A piece of data that one partition reads at one time.
pub(crate) enum Unit {
    /// A batch of the memory table.
    Memory(Arc<MemoryBatch>),
    /// Granules of one row group.
    Granules {
        /// The part, and how the filter sees it.
        view: Arc<PartView>,
        /// Which granules.
        granules: Range<usize>,
        /// Whether every record passes.
        all: bool,
    },
    /// Only a count is wanted, and these are all that pass in a part.
    Count(u64),
}

/// A part, and how the filter sees it.
pub(crate) struct PartView {
    pub(crate) part: Arc<OpenPart>,
    pub(crate) judge: Judge,
    /// The tests of bodies that were made ready.
    tests: Mutex<Vec<(Test, Option<Arc<BodyTest>>)>>,
}

impl PartView {
    /// A test of bodies made ready, once; none when templates say nothing about it.
    ///
    /// # Errors
    /// Those of making it ready.
    pub(crate) fn test(&self, test: &Test) -> Result<Option<Arc<BodyTest>>> {
        let mut tests = self.tests.lock();
        if let Some((_, known)) = tests.iter().find(|(known, _)| known == test) {
            return Ok(known.clone());
        }
        let ready = BodyTest::new(test)?.map(Arc::new);
        tests.push((test.clone(), ready.clone()));
        Ok(ready)
    }
}

impl Unit {
    fn times(&self) -> (i64, i64) {
        match self {
            Self::Memory(batch) => (batch.min_time, batch.max_time),
            Self::Granules { view, granules, .. } => {
                let granules = &view.part.index.granules[granules.clone()];
                let min = granules.iter().map(|g| g.min_time).min();
                let max = granules.iter().map(|g| g.max_time).max();
                (min.unwrap_or(i64::MAX), max.unwrap_or(i64::MIN))
            }
            Self::Count(_) => (i64::MIN, i64::MAX),
        }
    }
}

/// What the partitions of a scan share.
pub(crate) struct Job {
    pub(crate) request: ScanRequest,
    /// The filter with the scope and the time in it.
    pub(crate) filter: Filter,
    queue: Mutex<Queue>,
    guard: ScanGuard,
}

#[derive(Default)]
struct Queue {
    units: VecDeque<Unit>,
    /// Parts that were not looked at yet, by day, in the order of the scan.
    days: VecDeque<Vec<Arc<Part>>>,
    /// Batches that come after the days.
    late: Vec<Arc<MemoryBatch>>,
}

/// Starts a scan.
///
/// # Errors
/// None now; what goes wrong comes from a partition.
pub(crate) fn scan(
    shared: &Arc<Shared>,
    scope: &Scope,
    request: ScanRequest,
) -> Result<Vec<Partition>> {
    let scoped = scope.apply(&request.filter);
    let time = request.time.intersect(scoped.time_range());
    let filter = if time == TimeRange::ALL {
        scoped.as_ref().clone()
    } else {
        Filter::And(vec![Filter::Time(time), scoped.as_ref().clone()])
    };
    let mut queue = Queue::default();
    let mut parts = Vec::new();
    {
        let state = shared.state.lock();
        if let Some(table) = state.tables.get(&scope.tenant)
            && !time.is_empty()
        {
            let batches = table.frozen.iter().chain(&table.active);
            queue.late.extend(batches.filter(|b| b.overlaps(time)).cloned());
            parts.extend(table.parts.iter().filter(|p| p.overlaps(time)).cloned());
        }
    }
    parts.sort_by_key(|part| (part.info.day, part.info.id));
    queue.days = parts.chunk_by(|a, b| a.info.day == b.info.day).map(<[_]>::to_vec).collect();
    if request.order != ScanOrder::OldestFirst {
        // The newest records are in memory.
        queue.days = queue.days.into_iter().rev().collect();
        queue.units.extend(queue.late.drain(..).rev().map(Unit::Memory));
    }
    let partitions = request.partitions.max(1);
    let job =
        Arc::new(Job { request, filter, queue: Mutex::new(queue), guard: shared.scan_guard() });
    let partition = |_| -> Partition { Box::new(PartitionRows { job: job.clone(), done: false }) };
    Ok((0..partitions).map(partition).collect())
}

struct PartitionRows {
    job: Arc<Job>,
    done: bool,
}

impl Iterator for PartitionRows {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let next = self.job.next_unit().and_then(|unit| match unit {
                None => Ok(None),
                Some(unit) => self.job.read(unit).map(Some),
            });
            match next {
                Ok(Some(rows)) if rows.len == 0 => {}
                Ok(Some(rows)) => return Some(Ok(rows)),
                Ok(None) => self.done = true,
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
    fn next_unit(&self) -> Result<Option<Unit>> {
        let mut queue = self.queue.lock();
        loop {
            if self.request.cancel.is_cancelled() {
                return Err(Error::cancelled("the scan was ended by its caller"));
            }
            if let Some(unit) = queue.units.pop_front() {
                let (min, max) = unit.times();
                if self.request.bound.overlaps(min, max) {
                    return Ok(Some(unit));
                }
            } else if let Some(day) = queue.days.pop_front() {
                queue.units = self.expand(day)?.into();
            } else if !queue.late.is_empty() {
                queue.units = queue.late.drain(..).map(Unit::Memory).collect();
            } else {
                return Ok(None);
            }
        }
    }

    /// The units of the parts of a day, in the order of the scan.
    fn expand(&self, day: Vec<Arc<Part>>) -> Result<Vec<Unit>> {
        let mut units = Vec::new();
        for part in day {
            if self.request.bound.overlaps(part.info.min_time, part.info.max_time) {
                let open = self.guard.0.open(&part)?;
                self.expand_part(open, &mut units)?;
            }
        }
        match self.request.order {
            ScanOrder::Any => {}
            ScanOrder::NewestFirst => units.sort_by_key(|unit| std::cmp::Reverse(unit.times().1)),
            ScanOrder::OldestFirst => units.sort_by_key(|unit| unit.times().0),
        }
        Ok(units)
    }

    fn expand_part(&self, part: Arc<OpenPart>, units: &mut Vec<Unit>) -> Result<()> {
        let judge = Judge::new(&self.filter, &part)?;
        let view = Arc::new(PartView { part, judge, tests: Mutex::default() });
        let counts_only = self.request.columns == Columns::Only(Vec::new());
        let most = if self.request.order == ScanOrder::Any { UNIT_GRANULES } else { 1 };
        let mut counted = 0;
        let mut stretches: Vec<(Range<usize>, bool)> = Vec::new();
        for group in view.part.group_starts.windows(2) {
            let first = stretches.len();
            for granule in group[0]..group[1] {
                let all = match view.judge.verdict(&view.part, granule..granule + 1)? {
                    Verdict::None => continue,
                    Verdict::Some => false,
                    Verdict::All => true,
                };
                if all && counts_only {
                    counted += u64::from(view.part.index.granules[granule].rows);
                    continue;
                }
                match stretches[first..].last_mut() {
                    Some((range, same))
                        if *same == all && range.end == granule && range.len() < most =>
                    {
                        range.end += 1;
                    }
                    _ => stretches.push((granule..granule + 1, all)),
                }
            }
        }
        let unit = |(granules, all)| Unit::Granules { view: view.clone(), granules, all };
        units.extend(stretches.into_iter().map(unit));
        if counted > 0 {
            units.push(Unit::Count(counted));
        }
        Ok(())
    }
}
