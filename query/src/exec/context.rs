//! `stream_context`: the neighbours of records in their streams.
//!
//! The records that the query finds are only remembered by place and time. Then, stream by stream, those that lie near each other
//! in time are taken together: the places of all records of the stream in that span are read, the neighbours are
//! counted off in the order of the stream, and the chosen records are read whole. So the cost is that of the spans around the
//! matches, whatever the size of the streams.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::Array;
use hashbrown::HashSet;
use rookery_core::filter::Filter;
use rookery_core::logs::fields;
use rookery_core::rows::{Column, Rows};
use rookery_core::store::{Columns, ScanOrder, ScanRequest, TimeBound};
use rookery_core::{Error, Position, Result, StreamId, TimeRange};

use super::columns::{self, Interleaver};
use super::needed::{Hidden, Needed, Shape};
use super::number;
use super::pipeline::{Breaker, Emit, Partial, Reservation, cancelled, same};
use super::position::{HIDDEN_TIME, Places};
use super::run::Context;
use crate::logsql::ast;

/// The `_msg` of a record that divides runs which do not meet.
const DIVIDER: &str = "---";

/// About how many spans of time one stream is read in, at most.
const CLUSTERS: i64 = 16;

/// The breaker of `stream_context`.
pub(crate) struct StreamContext {
    shared: Arc<Shared>,
}

struct Shared {
    context: Arc<Context>,
    pipe: ast::StreamContext,
    columns: Columns,
    shape: Shape,
}

impl StreamContext {
    /// Brings the fields that are read afterwards.
    pub(crate) fn new(context: Arc<Context>, pipe: ast::StreamContext, after: &Needed) -> Self {
        let (columns, shape) = after.scan(Hidden::PlaceAndTime);
        Self { shared: Arc::new(Shared { context, pipe, columns, shape }) }
    }
}

impl Breaker for StreamContext {
    fn start(&self) -> Box<dyn Partial> {
        Box::new(Matches {
            reservation: Reservation::new(&self.shared.context.budget),
            shared: self.shared.clone(),
            streams: BTreeMap::new(),
        })
    }
}

/// A record's time and place in its stream.
type Mark = (i64, Position);

/// About how many bytes a remembered record takes.
const MARK_BYTES: u64 = 40;

struct Matches {
    shared: Arc<Shared>,
    streams: BTreeMap<StreamId, Vec<Mark>>,
    reservation: Reservation,
}

/// The hidden time of a row.
fn time_of(rows: &Rows, row: usize) -> i64 {
    match rows.column(HIDDEN_TIME) {
        Some(Column::Time(a)) if a.is_valid(row) => a.value(row),
        Some(column) => number::rfc3339_nanos(column.text(row, &mut String::new())).unwrap_or(0),
        None => 0,
    }
}

impl Partial for Matches {
    fn push(&mut self, rows: Rows) -> Result<bool> {
        let Some(places) = Places::new(&rows) else { return Ok(true) };
        self.reservation.add(rows.len as u64 * MARK_BYTES)?;
        for row in 0..rows.len {
            let (stream, position) = places.at(row);
            self.streams.entry(stream).or_default().push((time_of(&rows, row), position));
        }
        Ok(true)
    }

    fn merge(&mut self, other: Box<dyn Partial>) -> Result<()> {
        let other = same::<Self>(other);
        let marks: usize = other.streams.values().map(Vec::len).sum();
        self.reservation.add(marks as u64 * MARK_BYTES)?;
        for (stream, marks) in other.streams {
            self.streams.entry(stream).or_default().extend(marks);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, emit: &mut Emit<'_>) -> Result<()> {
        let mut first = true;
        let mut give = |run: Rows| {
            let divided = first || emit(divider(&run))?;
            first = false;
            Ok::<bool, Error>(divided && emit(run)?)
        };
        for (stream, mut marks) in self.streams {
            marks.sort_unstable();
            // Records further apart than both windows together have no neighbour in common. But many scans of little cost more
            // than few of more, so that a stream has a bounded number of them.
            let span = marks[marks.len() - 1].0.saturating_sub(marks[0].0);
            let reach = self.shared.pipe.time_window.saturating_mul(2).max(span / CLUSTERS);
            let near = |a: &Mark, b: &Mark| b.0.saturating_sub(a.0) <= reach;
            for cluster in marks.chunk_by(near) {
                let mut runs = self.shared.runs(stream, cluster)?.into_iter();
                if !runs.try_fold(true, |more, run| Ok::<_, Error>(more && give(run)?))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A record that stands between two runs; it has the stream and the time of the run that follows.
fn divider(next: &Rows) -> Rows {
    let mut scratch = String::new();
    let mut columns = Vec::new();
    for field in [fields::TIME, fields::STREAM, fields::STREAM_ID] {
        if let Some(column) = next.column(field) {
            let text = column.text(0, &mut scratch);
            columns.push((columns::name(field), Column::constant(text, 1)));
        }
    }
    columns.push((columns::name(fields::MESSAGE), Column::constant(DIVIDER, 1)));
    Rows { len: 1, columns }
}

impl Shared {
    /// The runs of records around some records of one stream, in the order of the stream.
    fn runs(&self, stream: StreamId, marks: &[Mark]) -> Result<Vec<Rows>> {
        let window = self.pipe.time_window;
        let (first, last) = (marks[0].0, marks[marks.len() - 1].0);
        let before = if self.pipe.before > 0 { window } else { 0 };
        let after = if self.pipe.after > 0 { window } else { 0 };
        let span = TimeRange {
            start: first.saturating_sub(before),
            end: last.saturating_add(after).saturating_add(1),
        };
        let mut memory = Reservation::new(&self.context.budget);
        let (columns, shape) = Needed::only([]).scan(Hidden::PlaceAndTime);
        let mut all: Vec<(Position, i64)> = Vec::new();
        self.scan(stream, span, columns, &mut |rows| {
            let rows = shape.apply(rows);
            let Some(places) = Places::new(&rows) else { return Ok(()) };
            memory.add(rows.len as u64 * MARK_BYTES)?;
            all.extend((0..rows.len).map(|row| (places.at(row).1, time_of(&rows, row))));
            Ok(())
        })?;
        all.sort_unstable();
        let chosen = self.choose(&all, marks);
        self.read(stream, &all, &chosen)
    }

    /// The spans of indexes into `all` that are to be given out; those that meet are one.
    fn choose(&self, all: &[(Position, i64)], marks: &[Mark]) -> Vec<(usize, usize)> {
        let window = self.pipe.time_window;
        let mut places: Vec<usize> = marks
            .iter()
            .filter_map(|(_, position)| all.binary_search_by_key(position, |(p, _)| *p).ok())
            .collect();
        places.sort_unstable();
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for place in places {
            let time = all[place].1;
            let near = |at: &usize| all[*at].1.abs_diff(time) <= window.unsigned_abs();
            let before = (0..place).rev().take(self.pipe.before as usize);
            let start = place - before.take_while(near).count();
            let after = (place + 1..all.len()).take(self.pipe.after as usize);
            let end = place + 1 + after.take_while(near).count();
            match spans.last_mut() {
                Some((_, last)) if *last >= start => *last = end.max(*last),
                _ => spans.push((start, end)),
            }
        }
        spans
    }

    fn read(
        &self,
        stream: StreamId,
        all: &[(Position, i64)],
        spans: &[(usize, usize)],
    ) -> Result<Vec<Rows>> {
        let chosen = || spans.iter().flat_map(|(start, end)| &all[*start..*end]);
        let wanted: HashSet<Position> = chosen().map(|(position, _)| *position).collect();
        let times = chosen().map(|(_, time)| *time);
        let (Some(start), Some(last)) = (times.clone().min(), times.max()) else {
            return Ok(Vec::new());
        };
        let span = TimeRange { start, end: last.saturating_add(1) };
        let mut memory = Reservation::new(&self.context.budget);
        let mut batches: Vec<Rows> = Vec::new();
        let mut found: Vec<(Position, (u32, u32))> = Vec::new();
        self.scan(stream, span, self.columns.clone(), &mut |rows| {
            let rows = self.shape.apply(rows);
            let Some(places) = Places::new(&rows) else { return Ok(()) };
            let mut taken = Vec::new();
            for row in 0..rows.len {
                let position = places.at(row).1;
                if wanted.contains(&position) {
                    found.push((position, (batches.len() as u32, taken.len() as u32)));
                    taken.push(row as u32);
                }
            }
            if !taken.is_empty() {
                let rows = rows.take(&taken.into())?;
                memory.add(columns::size_bytes(&rows))?;
                batches.push(rows);
            }
            Ok(())
        })?;
        found.sort_unstable();
        let source = Interleaver::new(&batches);
        let mut runs = Vec::new();
        for (start, end) in spans {
            let (first, last) = (all[*start].0, all[*end - 1].0);
            let from = found.partition_point(|(position, _)| *position < first);
            let to = found.partition_point(|(position, _)| *position <= last);
            let picks: Vec<(u32, u32)> = found[from..to].iter().map(|(_, pick)| *pick).collect();
            if !picks.is_empty() {
                runs.push(source.rows(&picks)?);
            }
        }
        Ok(runs)
    }

    fn scan(
        &self,
        stream: StreamId,
        span: TimeRange,
        columns: Columns,
        visit: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<()> {
        let request = ScanRequest {
            time: span,
            filter: Arc::new(Filter::StreamIds(vec![stream])),
            columns,
            order: ScanOrder::Any,
            bound: Arc::new(TimeBound::default()),
            partitions: 1,
            cancel: self.context.cancel.child_token(),
            budget: self.context.budget.clone(),
        };
        for partition in self.context.store.scan(&self.context.scope, request)? {
            for rows in partition {
                if self.context.cancel.is_cancelled() {
                    return Err(cancelled());
                }
                let rows = rows?;
                if rows.len > 0 {
                    visit(rows)?;
                }
            }
        }
        Ok(())
    }
}
