//! From a query to what runs: chains of stages and breakers over one scan.
//!
//! What is decided here, once, before a byte is read:
//! - subqueries of `in (…)`, `contains_all (…)`, `contains_any (…)` and the other side of `join` are run, and their answers put in;
//! - filters that come first become part of the scan, where a store can skip by them;
//! - the fields that the store brings are those that are read ([`super::needed`]);
//! - a `limit` after a `sort` becomes part of it; a sort by the record's own time gives the store an order and a moving bound;
//! - the `newest` rows of a query that only looks at one record at a time are the first of a sort by time, before its end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rookery_core::filter::{Filter, Test, Values};
use rookery_core::logs::fields;
use rookery_core::store::{Columns, ScanOrder, TimeBound};
use rookery_core::{Error, Result, TimeRange, time};

use super::context::StreamContext;
use super::facets::{Facets, FieldNames};
use super::needed::{Hidden, Needed, Shape};
use super::pipeline::{Breaker, Chain, Reservation, Stage};
use super::run::{Context, Plan};
use super::sort::{Sort, SortSpec};
use super::stages::{
    extract, fields as columns, format, join, math, pack, replace, rows, unpack, unroll,
};
use super::stats::{self, Stats, StatsSpec};
use super::tally::{Choice, Tally, TallySpec};
use crate::logsql::ast::{self, Pipe, Query};

/// What a store is asked for.
pub(crate) struct Scan {
    /// Which records.
    pub filter: Arc<Filter>,
    /// In which span.
    pub time: TimeRange,
    /// Which fields.
    pub columns: Columns,
    /// What is made of each batch.
    pub shape: Shape,
    /// In which order.
    pub order: ScanOrder,
    /// What can no longer matter.
    pub bound: Arc<TimeBound>,
}

/// The most values that a subquery may give to `in (…)`.
pub(crate) const SUBQUERY_LIMIT_VALUES: usize = 1_000_000;

/// Makes a plan for a query of which `needed` is read; `newest` leaves only the latest so many records.
///
/// # Errors
/// When a subquery fails, or a pipe stands where it cannot.
pub(crate) fn plan(
    query: &Query,
    needed: Needed,
    newest: Option<u64>,
    context: &Arc<Context>,
) -> Result<Plan> {
    let mut query = query.clone();
    resolve_subqueries(&mut query, context)?;
    let Query { options, filter, pipes, .. } = query;
    let mut pipes = join_limits(pipes);
    let filter = take_leading_filters(filter, &mut pipes);
    let global = if options.ignore_global_time_filter { TimeRange::ALL } else { context.window };
    let time = global.intersect(filter.time_range());
    let mut newest_sort = newest;
    if let Some(limit) = newest
        && !pipes.iter().all(is_row_wise)
    {
        pipes.push(Pipe::Limit(limit));
        newest_sort = None;
    }

    let mut needs = vec![needed];
    for pipe in pipes.iter().rev() {
        let after = needs.last().expect("there is always one").clone();
        needs.push(after.before(pipe));
    }
    needs.reverse();

    let mut builder = Builder {
        context,
        time,
        bound: Arc::new(TimeBound::default()),
        order: ScanOrder::Any,
        hidden: Hidden::None,
        time_intact: true,
        chains: Vec::new(),
        chain: Chain::default(),
    };
    for (at, pipe) in pipes.into_iter().enumerate() {
        builder.add(pipe, at, &needs[at + 1])?;
    }
    if let Some(limit) = newest_sort {
        builder.newest(limit);
    }
    let (columns, shape) = needs[0].scan(builder.hidden);
    builder.chains.push(builder.chain);
    let scan = Scan {
        filter: Arc::new(filter),
        time,
        columns,
        shape,
        order: builder.order,
        bound: builder.bound,
    };
    let threads = options.concurrency.map_or(context.threads, |n| n.clamp(1, context.threads));
    Ok(Plan { scan, chains: builder.chains, threads })
}

struct Builder<'a> {
    context: &'a Arc<Context>,
    time: TimeRange,
    bound: Arc<TimeBound>,
    order: ScanOrder,
    hidden: Hidden,
    /// Whether `_time` is still the record's own.
    time_intact: bool,
    chains: Vec<Chain>,
    chain: Chain,
}

impl Builder<'_> {
    fn stage(&mut self, stage: impl Stage + 'static) {
        self.chain.stages.push(Arc::new(stage));
    }

    fn breaker(&mut self, breaker: impl Breaker + 'static) {
        let mut chain = std::mem::take(&mut self.chain);
        chain.breaker = Some(Arc::new(breaker));
        self.chains.push(chain);
    }

    /// Whether what is added now sees the records as the scan brings them.
    fn at_scan(&self) -> bool {
        self.chains.is_empty() && self.chain.unions.is_empty()
    }

    fn newest(&mut self, limit: u64) {
        self.order = ScanOrder::NewestFirst;
        self.hidden = Hidden::PlaceAndTime;
        let spec = SortSpec::newest(limit, self.bound.clone(), self.context.budget.clone());
        self.breaker(Sort(Arc::new(spec)));
    }

    fn add(&mut self, pipe: Pipe, at: usize, after: &Needed) -> Result<()> {
        self.time_intact &= !may_write_time(&pipe);
        let budget = self.context.budget.clone();
        match pipe {
            Pipe::Sort(pipe) => self.sort(&pipe),
            Pipe::Uniq(pipe) => {
                let choice = Choice::Any(pipe.limit);
                self.breaker(Tally(Arc::new(TallySpec {
                    by: pipe.by,
                    hits: pipe.hits,
                    choice,
                    budget,
                })));
            }
            Pipe::Top(pipe) => {
                let choice = Choice::Top(pipe.limit, pipe.rank);
                let hits = Some(pipe.hits);
                self.breaker(Tally(Arc::new(TallySpec { by: pipe.by, hits, choice, budget })));
            }
            Pipe::FieldValues { field, limit } => {
                let hits = Some("hits".into());
                let choice = Choice::Any(limit);
                let by = vec![field];
                self.breaker(Tally(Arc::new(TallySpec { by, hits, choice, budget })));
            }
            Pipe::Stats(pipe) => {
                let rate_seconds = self.rate_seconds(&pipe);
                let by =
                    pipe.by.iter().map(|key| (key.field.to_string(), stats::bucket(key.bucket)));
                let spec =
                    StatsSpec { by: by.collect(), calls: pipe.functions, rate_seconds, budget };
                self.breaker(Stats(Arc::new(spec)));
            }
            Pipe::Facets(pipe) => self.breaker(Facets { pipe, budget }),
            Pipe::FieldNames => self.breaker(FieldNames),
            Pipe::StreamContext(pipe) => {
                if at > 0 {
                    return Err(Error::invalid(
                        "stream_context must be the first pipe of a query: put it before the others",
                    ));
                }
                self.hidden = Hidden::PlaceAndTime;
                self.breaker(StreamContext::new(self.context.clone(), pipe, after));
            }
            Pipe::Union(query) => {
                let plan = plan(&query, after.clone(), None, self.context)?;
                let place = self.chain.stages.len();
                self.chain.unions.push((place, plan));
            }
            Pipe::Join(pipe) => self.join(pipe)?,
            other => self.simple(other),
        }
        Ok(())
    }

    fn simple(&mut self, pipe: Pipe) {
        let now = self.context.now;
        match pipe {
            Pipe::Fields(patterns) => self.stage(columns::Select { patterns, keep: true }),
            Pipe::Delete(patterns) => self.stage(columns::Select { patterns, keep: false }),
            Pipe::Copy(pairs) => self.stage(columns::Transfer { pairs, keep_source: true }),
            Pipe::Rename(pairs) => self.stage(columns::Transfer { pairs, keep_source: false }),
            Pipe::DropEmptyFields => self.stage(columns::DropEmpty),
            Pipe::Limit(limit) => self.stage(rows::Limit::new(limit)),
            Pipe::Offset(offset) => self.stage(rows::Offset::new(offset)),
            Pipe::Sample(one_in) => self.stage(rows::Sample::new(one_in, now as u64)),
            Pipe::Filter(filter) => self.stage(rows::Where(filter)),
            Pipe::Extract(pipe) => self.stage(extract::Extract(pipe)),
            Pipe::ExtractRegexp(pipe) => self.stage(extract::ExtractRegexp(pipe)),
            Pipe::UnpackJson(pipe) => {
                self.stage(unpack::Unpack { pipe, format: unpack::Format::Json });
            }
            Pipe::UnpackLogfmt(pipe) => {
                self.stage(unpack::Unpack { pipe, format: unpack::Format::Logfmt });
            }
            Pipe::UnpackSyslog { unpack: pipe, offset } => {
                self.stage(unpack::Unpack { pipe, format: unpack::Format::Syslog { offset, now } });
            }
            Pipe::UnpackWords { field, result, drop_duplicates } => {
                self.stage(unpack::Words { field, result, drop_duplicates });
            }
            Pipe::Unroll { by, condition } => self.stage(unroll::Unroll { by, condition }),
            Pipe::Format(pipe) => self.stage(format::Format(pipe)),
            Pipe::Replace(pipe) => self.stage(replace::Replace(pipe)),
            Pipe::ReplaceRegexp(pipe) => self.stage(replace::ReplaceRegexp(pipe)),
            Pipe::CollapseNums { field, prettify, condition } => {
                self.stage(replace::CollapseNumbers { field, condition, prettify });
            }
            Pipe::Decolorize(field) => self.stage(replace::Decolorize(field)),
            Pipe::Math(entries) => {
                self.stage(math::Math { entries, now, seed: AtomicU64::new(now as u64) });
            }
            Pipe::Len { field, result } => {
                self.stage(pack::Measure { field, result, of: pack::length });
            }
            Pipe::Hash { field, result } => {
                self.stage(pack::Measure { field, result, of: pack::hash });
            }
            Pipe::JsonArrayLen { field, result } => {
                self.stage(pack::Measure { field, result, of: pack::array_length });
            }
            Pipe::PackJson { fields, result } => {
                self.stage(pack::Pack { fields, result, logfmt: false });
            }
            Pipe::PackLogfmt { fields, result } => {
                self.stage(pack::Pack { fields, result, logfmt: true });
            }
            // The others need all of their input, and are added by `add`.
            _ => {}
        }
    }

    fn sort(&mut self, pipe: &ast::Sort) {
        let time_key = pipe.by.iter().find(|key| key.field.as_ref() == fields::TIME);
        let own_time = self.at_scan() && self.time_intact;
        let mut spec = SortSpec {
            ties: None,
            bound: None,
            by_hidden_time: false,
            budget: self.context.budget.clone(),
            pipe: pipe.clone(),
        };
        if let Some(key) = time_key.filter(|_| own_time) {
            spec.ties = Some(key.descending);
            self.hidden = Hidden::Place;
            if pipe.by.first() == Some(key) && pipe.partition_by.is_empty() && pipe.limit.is_some()
            {
                spec.bound = Some(self.bound.clone());
                self.order =
                    if key.descending { ScanOrder::NewestFirst } else { ScanOrder::OldestFirst };
            }
        }
        self.breaker(Sort(Arc::new(spec)));
    }

    fn join(&mut self, pipe: ast::Join) -> Result<()> {
        let plan = plan(&pipe.query, Needed::all(), None, self.context)?;
        let mut memory = Reservation::new(&self.context.budget);
        let other = plan.gather(self.context, &mut memory)?;
        let stage = join::Join::new(pipe.by, pipe.inner, &pipe.prefix, &other, memory)?;
        self.stage(stage);
        Ok(())
    }

    /// The seconds that a rate is over: those of a bucket of time, or of the query's span up to now.
    fn rate_seconds(&self, pipe: &ast::Stats) -> Option<f64> {
        let seconds = |nanos: f64| nanos / time::SECOND as f64;
        let bucket = pipe.by.iter().filter(|key| key.field.as_ref() == fields::TIME);
        for key in bucket {
            match key.bucket {
                Some(ast::Bucket::Time { step, .. }) => return Some(seconds(step as f64)),
                Some(ast::Bucket::Calendar { unit, .. }) => {
                    let days = match unit {
                        ast::CalendarUnit::Week => 7.0,
                        // The means of the Gregorian calendar's 400 years.
                        ast::CalendarUnit::Month => 146_097.0 / 4800.0,
                        ast::CalendarUnit::Year => 146_097.0 / 400.0,
                    };
                    return Some(days * 86_400.0);
                }
                _ => {}
            }
        }
        let end = if self.time.end == i64::MAX { self.context.now } else { self.time.end };
        (self.time.start > i64::MIN && end > self.time.start)
            .then(|| seconds(end as f64 - self.time.start as f64))
    }
}

/// Whether a pipe looks at one record at a time and leaves its time and place to be found.
fn is_row_wise(pipe: &Pipe) -> bool {
    !matches!(
        pipe,
        Pipe::Sort(_)
            | Pipe::Limit(_)
            | Pipe::Offset(_)
            | Pipe::Uniq(_)
            | Pipe::Top(_)
            | Pipe::Stats(_)
            | Pipe::Facets(_)
            | Pipe::FieldNames
            | Pipe::FieldValues { .. }
            | Pipe::StreamContext(_)
            | Pipe::Union(_)
    )
}

/// Whether `_time` may be another after a pipe than before it.
fn may_write_time(pipe: &Pipe) -> bool {
    let is_time = |field: &str| field == fields::TIME;
    let pattern = |p: &ast::FieldPattern| p.matches(fields::TIME);
    match pipe {
        Pipe::Delete(patterns) => patterns.iter().any(pattern),
        Pipe::Fields(patterns) => !patterns.iter().any(pattern),
        Pipe::Copy(pairs) => pairs.iter().any(|(_, to)| pattern(to)),
        Pipe::Rename(pairs) => pairs.iter().any(|(from, to)| pattern(from) || pattern(to)),
        Pipe::Extract(pipe) => {
            pipe.pattern.steps.iter().any(|step| step.field.as_deref().is_some_and(is_time))
        }
        Pipe::ExtractRegexp(pipe) => pipe.pattern.regex().capture_names().flatten().any(is_time),
        Pipe::UnpackJson(_) | Pipe::UnpackLogfmt(_) | Pipe::UnpackSyslog { .. } | Pipe::Join(_) => {
            true
        }
        Pipe::UnpackWords { result, .. }
        | Pipe::Len { result, .. }
        | Pipe::Hash { result, .. }
        | Pipe::JsonArrayLen { result, .. }
        | Pipe::PackJson { result, .. }
        | Pipe::PackLogfmt { result, .. } => is_time(result),
        Pipe::Unroll { by, .. } => by.iter().any(|field| is_time(field)),
        Pipe::Format(pipe) => is_time(&pipe.result),
        Pipe::Replace(pipe) => is_time(&pipe.field),
        Pipe::ReplaceRegexp(pipe) => is_time(&pipe.field),
        Pipe::CollapseNums { field, .. } | Pipe::Decolorize(field) => is_time(field),
        Pipe::Math(entries) => entries.iter().any(|entry| is_time(&entry.result)),
        _ => false,
    }
}

/// `sort | limit` as one, and `sort | offset | limit`.
fn join_limits(pipes: Vec<Pipe>) -> Vec<Pipe> {
    let mut out: Vec<Pipe> = Vec::with_capacity(pipes.len());
    for pipe in pipes {
        if let Pipe::Limit(limit) = &pipe {
            let skipped = match out.last() {
                Some(Pipe::Offset(offset)) => Some((*offset, out.len().wrapping_sub(2))),
                _ => Some((0, out.len().wrapping_sub(1))),
            };
            if let Some((offset, at)) = skipped
                && let Some(Pipe::Sort(sort)) = out.get_mut(at)
                && sort.partition_by.is_empty()
            {
                let wanted = limit.saturating_add(offset);
                sort.limit = Some(sort.limit.map_or(wanted, |limit| limit.min(wanted)));
            }
        }
        out.push(pipe);
    }
    out
}

/// Filters that come first are part of the scan.
fn take_leading_filters(filter: Filter, pipes: &mut Vec<Pipe>) -> Filter {
    let count = pipes.iter().take_while(|pipe| matches!(pipe, Pipe::Filter(_))).count();
    if count == 0 {
        return filter;
    }
    let mut all = vec![filter];
    all.extend(pipes.drain(..count).filter_map(|pipe| match pipe {
        Pipe::Filter(filter) => Some(filter),
        _ => None,
    }));
    Filter::And(all)
}

/// Runs the subqueries and puts their values into the filters.
fn resolve_subqueries(query: &mut Query, context: &Arc<Context>) -> Result<()> {
    if query.subqueries.is_empty() {
        return Ok(());
    }
    let mut lists: Vec<Arc<[String]>> = Vec::with_capacity(query.subqueries.len());
    for subquery in std::mem::take(&mut query.subqueries) {
        let needed = Needed::only([&subquery.field]);
        let plan = plan(&subquery.query, needed, None, context)?;
        lists.push(plan.gather_values(context, &subquery.field)?.into());
    }
    put_values(&mut query.filter, &lists)?;
    for pipe in &mut query.pipes {
        visit_filters(pipe, &mut |filter| put_values(filter, &lists))?;
    }
    Ok(())
}

fn visit_filters(pipe: &mut Pipe, visit: &mut dyn FnMut(&mut Filter) -> Result<()>) -> Result<()> {
    let condition = match pipe {
        Pipe::Filter(filter) => return visit(filter),
        Pipe::Stats(stats) => {
            for call in &mut stats.functions {
                if let Some(filter) = &mut call.condition {
                    visit(filter)?;
                }
            }
            return Ok(());
        }
        Pipe::Extract(pipe) => &mut pipe.condition,
        Pipe::ExtractRegexp(pipe) => &mut pipe.condition,
        Pipe::UnpackJson(unpack)
        | Pipe::UnpackLogfmt(unpack)
        | Pipe::UnpackSyslog { unpack, .. } => &mut unpack.condition,
        Pipe::Unroll { condition, .. } | Pipe::CollapseNums { condition, .. } => condition,
        Pipe::Format(pipe) => &mut pipe.condition,
        Pipe::Replace(pipe) => &mut pipe.condition,
        Pipe::ReplaceRegexp(pipe) => &mut pipe.condition,
        _ => return Ok(()),
    };
    condition.as_mut().map_or(Ok(()), visit)
}

fn put_values(filter: &mut Filter, lists: &[Arc<[String]>]) -> Result<()> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => {
            parts.iter_mut().try_for_each(|part| put_values(part, lists))
        }
        Filter::Not(part) => put_values(part, lists),
        Filter::Field {
            test: Test::In(values) | Test::ContainsAll(values) | Test::ContainsAny(values),
            ..
        } => {
            if let Values::Subquery(at) = values {
                let list = lists.get(*at).ok_or_else(|| {
                    Error::internal("a filter names a subquery that is not there")
                })?;
                *values = Values::List(list.clone());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
