//! `stats`: values aggregated by groups.
//!
//! Each thread has its own groups ([`Groups`]) and, for each function, an [`Accumulator`] whose states are indexed by group. A
//! batch is first turned into group codes; then each function goes over its columns once. Merging translates the groups of one
//! thread into those of another and adds states up, so the order of threads does not matter for the answer.
//!
//! Choices of our own where LogsQL's reference leaves one: `min`, `max`, `median` and `quantile` leave empty values out (a field that
//! most records do not have would otherwise have an empty median); sums are compensated (Neumaier), so that they do
//! not depend on how the work was split; see [`quantile`] for the size to which quantiles are exact.

mod counts;
mod extreme;
mod numeric;
mod quantile;
mod values;

use std::any::Any;
use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use rookery_core::Result;
use rookery_core::filter::{FieldName, Filter};
use rookery_core::rows::{Column, Rows};
use rookery_core::store::Budget;

use super::bucket::Bucket;
use super::columns::{TextBuilder, is_hidden};
use super::group::{Codes, Groups};
use super::number;
use super::pipeline::{BATCH_ROWS, Breaker, Emit, Partial, Reservation, same};
use super::stages::selection;
use crate::logsql::ast::{self, FieldPattern, StatsFunction};

/// What to aggregate, and by what.
pub(crate) struct StatsSpec {
    /// The groups.
    pub by: Vec<(String, Bucket)>,
    /// The functions.
    pub calls: Vec<ast::StatsCall>,
    /// The seconds that a rate is divided by; `None` when the query's span has no end.
    pub rate_seconds: Option<f64>,
    /// For what is kept.
    pub budget: Arc<Budget>,
}

/// The bucket of a key as the execution knows it.
pub(crate) fn bucket(bucket: Option<ast::Bucket>) -> Bucket {
    match bucket {
        None => Bucket::Exact,
        // A local time that is ahead of UTC has its buckets start earlier.
        Some(ast::Bucket::Time { step, offset }) => {
            Bucket::Step { step: step as f64, offset: -offset as f64 }
        }
        Some(ast::Bucket::Calendar { unit, offset }) => match unit {
            ast::CalendarUnit::Week => Bucket::Week { offset: -offset },
            ast::CalendarUnit::Month => Bucket::Month { offset: -offset },
            ast::CalendarUnit::Year => Bucket::Year { offset: -offset },
        },
        Some(ast::Bucket::Number { step, offset }) => Bucket::Step { step, offset },
        Some(ast::Bucket::Ipv4 { prefix_bits }) => Bucket::Network {
            mask: u32::MAX.checked_shl(32 - u32::from(prefix_bits.min(32))).unwrap_or(0),
        },
    }
}

/// A batch, as a function sees it.
pub(crate) struct Input<'a> {
    /// The batch.
    pub rows: &'a Rows,
    /// The groups of its rows.
    pub codes: Codes<'a>,
    /// How many groups there are by now.
    pub groups: usize,
    /// Only these rows count.
    pub selection: Option<&'a BooleanBuffer>,
}

impl Input<'_> {
    /// Calls `visit(row, group)` for each row that counts.
    #[inline]
    pub(crate) fn each(&self, mut visit: impl FnMut(usize, usize)) {
        match (&self.codes, self.selection) {
            (Codes::One(group), None) => {
                for row in 0..self.rows.len {
                    visit(row, *group as usize);
                }
            }
            (Codes::Each(codes), None) => {
                for (row, group) in codes.iter().enumerate() {
                    visit(row, *group as usize);
                }
            }
            (codes, Some(selection)) => {
                for row in selection.set_indices() {
                    visit(row, codes.of(row) as usize);
                }
            }
        }
    }

    /// The columns that fit the patterns; every visible one without a pattern. A named field that no row has is left out.
    pub(crate) fn columns(&self, patterns: &[FieldPattern]) -> Vec<&Column> {
        if patterns.is_empty() {
            let visible = self.rows.columns.iter().filter(|(name, _)| !is_hidden(name));
            return visible.map(|(_, column)| column).collect();
        }
        let mut out = Vec::new();
        for (name, column) in &self.rows.columns {
            if !is_hidden(name) && patterns.iter().any(|p| p.matches(name)) {
                out.push(column);
            }
        }
        out
    }
}

/// The states of one function, by group.
pub(crate) trait Accumulator: Send {
    /// Takes a batch.
    ///
    /// # Errors
    /// When a limit is passed.
    fn update(&mut self, input: &Input<'_>) -> Result<()>;

    /// Takes over the states of another thread: those of its group `g` belong to `map[g]` of the `groups` here.
    ///
    /// # Errors
    /// When a limit is passed.
    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()>;

    /// Writes the result of a group, which may be one that no row was counted for.
    fn write(&mut self, group: usize, out: &mut String);

    /// The results of some groups.
    ///
    /// # Errors
    /// When they have more text than a column holds.
    fn column(&mut self, groups: &[u32]) -> Result<Column> {
        let mut builder = TextBuilder::new(groups.len());
        let mut out = String::new();
        for group in groups {
            out.clear();
            self.write(*group as usize, &mut out);
            builder.push(&out);
        }
        builder.finish()
    }

    /// About how many bytes the states hold.
    fn size_bytes(&self) -> usize;

    /// For [`Self::merge`].
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// The states of the same function.
fn same_kind<T: 'static>(other: Box<dyn Accumulator>) -> Box<T> {
    other.into_any().downcast().expect("states of one function are of one type")
}

/// A state for each group up to `groups`.
fn grow<T: Default>(states: &mut Vec<T>, groups: usize) {
    if states.len() < groups {
        states.resize_with(groups, T::default);
    }
}

fn accumulator(function: &StatsFunction, rate_seconds: Option<f64>) -> Box<dyn Accumulator> {
    use numeric::Shape;
    let sum = |fields: &[FieldPattern], shape| Box::new(numeric::Sums::new(fields, shape));
    match function {
        StatsFunction::Count(fields) => Box::new(counts::Count::new(fields, None)),
        StatsFunction::Rate => Box::new(counts::Count::new(&[], Some(rate_seconds))),
        StatsFunction::CountEmpty(fields) => Box::new(counts::CountEmpty::new(fields)),
        StatsFunction::SumLen(fields) => Box::new(counts::SumLength::new(fields)),
        StatsFunction::CountUniq { fields, limit } => {
            Box::new(counts::CountUniq::new(fields, *limit))
        }
        StatsFunction::CountUniqHash { fields, limit } => {
            Box::new(counts::CountUniqHash::new(fields, *limit))
        }
        StatsFunction::Avg(fields) => sum(fields, Shape::Mean),
        StatsFunction::Sum(fields) => sum(fields, Shape::Sum),
        StatsFunction::RateSum(fields) => sum(fields, Shape::Rate(rate_seconds)),
        StatsFunction::Stddev(fields) => Box::new(numeric::Deviation::new(fields)),
        StatsFunction::Histogram(field) => Box::new(numeric::Histogram::new(field)),
        StatsFunction::Min(fields) => Box::new(extreme::Extreme::new(fields, false)),
        StatsFunction::Max(fields) => Box::new(extreme::Extreme::new(fields, true)),
        StatsFunction::Median(fields) => Box::new(quantile::Quantile::new(fields, 0.5)),
        StatsFunction::Quantile { phi, fields } => Box::new(quantile::Quantile::new(fields, *phi)),
        StatsFunction::UniqValues { fields, limit } => {
            Box::new(values::UniqValues::new(fields, *limit))
        }
        StatsFunction::Values { fields, limit } => Box::new(values::Values::new(fields, *limit)),
        StatsFunction::JsonValues { fields, sort, limit } => {
            Box::new(values::JsonValues::new(fields, sort, *limit))
        }
        StatsFunction::RowAny(fields) => Box::new(extreme::RowOf::new(None, false, fields)),
        StatsFunction::RowMax { by, fields } => {
            Box::new(extreme::RowOf::new(Some(by), true, fields))
        }
        StatsFunction::RowMin { by, fields } => {
            Box::new(extreme::RowOf::new(Some(by), false, fields))
        }
    }
}

/// The breaker of `stats`.
pub(crate) struct Stats(pub Arc<StatsSpec>);

impl Breaker for Stats {
    fn start(&self) -> Box<dyn Partial> {
        let calls = self.0.calls.iter().map(|call| Call {
            states: accumulator(&call.function, self.0.rate_seconds),
            condition: call.condition.clone(),
            result: call.result.clone(),
        });
        Box::new(Aggregating {
            groups: Groups::new(&self.0.by),
            calls: calls.collect(),
            reservation: Reservation::new(&self.0.budget),
            spec: self.0.clone(),
        })
    }
}

struct Call {
    states: Box<dyn Accumulator>,
    condition: Option<Filter>,
    result: FieldName,
}

struct Aggregating {
    spec: Arc<StatsSpec>,
    groups: Groups,
    calls: Vec<Call>,
    reservation: Reservation,
}

impl Aggregating {
    fn account(&mut self) -> Result<()> {
        let states: usize = self.calls.iter().map(|call| call.states.size_bytes()).sum();
        self.reservation.set((self.groups.size_bytes() + states) as u64)
    }
}

impl Partial for Aggregating {
    fn push(&mut self, rows: Rows) -> Result<bool> {
        self.groups.encode(&rows);
        for call in &mut self.calls {
            let selection = selection(call.condition.as_ref(), &rows)?;
            call.states.update(&Input {
                rows: &rows,
                codes: self.groups.codes(),
                groups: self.groups.len(),
                selection: selection.as_ref(),
            })?;
        }
        self.account()?;
        Ok(true)
    }

    fn merge(&mut self, other: Box<dyn Partial>) -> Result<()> {
        let other = same::<Self>(other);
        let Self { groups, calls, reservation, .. } = *other;
        let map = self.groups.merge(&groups);
        drop(groups);
        for (mine, theirs) in self.calls.iter_mut().zip(calls) {
            mine.states.merge(theirs.states, &map, self.groups.len())?;
        }
        drop(reservation);
        self.account()
    }

    fn finish(mut self: Box<Self>, emit: &mut Emit<'_>) -> Result<()> {
        let groups: Vec<u32> = (0..self.groups.len() as u32).collect();
        for chunk in groups.chunks(BATCH_ROWS) {
            let fields = self.spec.by.iter().map(|(field, _)| FieldName::from(field.as_str()));
            let mut columns: Vec<(FieldName, Column)> =
                fields.zip(self.groups.columns(chunk)).collect();
            for call in &mut self.calls {
                let column = call.states.column(chunk)?;
                columns.retain(|(name, _)| *name != call.result);
                columns.push((call.result.clone(), column));
            }
            if !emit(Rows { len: chunk.len(), columns })? {
                break;
            }
        }
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Writes a count or a sum, divided by the seconds of a rate.
fn write_rate(out: &mut String, value: f64, seconds: Option<f64>) {
    let rate = match seconds {
        Some(seconds) if seconds > 0.0 => value / seconds,
        _ => value,
    };
    number::write_number(out, rate);
}
