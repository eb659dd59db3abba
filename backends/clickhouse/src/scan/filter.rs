//! A filter as a condition in SQL, and what of it is left to be decided above the server.

use rookery_core::filter::{Filter, Test};
use rookery_core::logs::fields;
use rookery_core::logs::names::{Meaning, meaning};
use rookery_core::tokens::required_by_test;
use rookery_core::{StreamId, TimeRange, time};

use super::bounds::{Bounds, Sql};
use super::field::{self, Source};
use super::params::{PARAMETER_LIMIT_BYTES, Params};
use super::words::WordIndex;
use super::{number, tags, test};

/// The most conditions that one statement holds; a filter with more is decided above the server.
const CONDITIONS_LIMIT: usize = 2000;

/// The deepest that conditions are nested in one statement.
const DEPTH_LIMIT: usize = 60;

/// How much of a filter the server decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pushdown {
    /// All of it.
    Whole,
    /// The server leaves records out, and what it lets through is decided above it.
    Part,
    /// Nothing of it: all records of the tenant and the span are decided above the server.
    Above,
}

/// How much of a filter the server decides; of a filter without a condition it is all.
pub fn pushed(filter: &Filter) -> Pushdown {
    Condition::new(filter, WordIndex::None, &mut Params::default()).pushed()
}

/// A filter cut in two.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// What the server is asked.
    pub(crate) bounds: Bounds,
    /// What is decided above it, of the records that fulfil the upper bound.
    pub(crate) rest: Filter,
}

impl Condition {
    /// Cuts a filter.
    pub(crate) fn new(filter: &Filter, index: WordIndex, params: &mut Params) -> Self {
        let mut parts = Vec::new();
        conjuncts(filter, &mut parts);
        let (mut bounds, mut rest) = (Vec::new(), Vec::new());
        let mut compiler = Compiler { params, index };
        for part in parts {
            let within = size(part) <= CONDITIONS_LIMIT && depth(part) <= DEPTH_LIMIT;
            let bound = if within { compiler.compile(part) } else { Bounds::UNKNOWN };
            if !bound.is_exact() {
                rest.push(part.clone());
            }
            bounds.push(bound);
        }
        let rest = match rest.len() {
            0 => Filter::All,
            1 => rest.swap_remove(0),
            _ => Filter::And(rest),
        };
        Self { bounds: Bounds::all(bounds), rest }
    }

    /// How much of it the server decides.
    pub(crate) fn pushed(&self) -> Pushdown {
        match (&self.rest, &self.bounds.upper) {
            (Filter::All, _) => Pushdown::Whole,
            (_, Sql::True) => Pushdown::Above,
            _ => Pushdown::Part,
        }
    }
}

fn conjuncts<'a>(filter: &'a Filter, out: &mut Vec<&'a Filter>) {
    match filter {
        Filter::And(parts) => parts.iter().for_each(|part| conjuncts(part, out)),
        part => out.push(part),
    }
}

fn size(filter: &Filter) -> usize {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(size).sum::<usize>() + 1,
        Filter::Not(part) => size(part) + 1,
        _ => 1,
    }
}

fn depth(filter: &Filter) -> usize {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(depth).max().unwrap_or(0) + 1,
        Filter::Not(part) => depth(part) + 1,
        _ => 1,
    }
}

/// What conditions are made with.
struct Compiler<'a> {
    params: &'a mut Params,
    index: WordIndex,
}

impl Compiler<'_> {
    fn compile(&mut self, filter: &Filter) -> Bounds {
        let params = &mut *self.params;
        match filter {
            Filter::All => Bounds::always(true),
            Filter::None => Bounds::always(false),
            Filter::And(parts) => Bounds::all(parts.iter().map(|p| self.compile(p)).collect()),
            Filter::Or(parts) => Bounds::any(parts.iter().map(|p| self.compile(p)).collect()),
            Filter::Not(part) => {
                // What does not hold a word is not found by an index of words.
                let index = std::mem::take(&mut self.index);
                let bounds = self.compile(part).not();
                self.index = index;
                bounds
            }
            Filter::Time(range) => Bounds::exact(time_range(params, *range)),
            Filter::DayRange { start, end, offset } => day_range(params, *start, *end, *offset),
            Filter::WeekRange { first, last, offset } => week_range(params, *first, *last, *offset),
            Filter::Stream(selectors) => match field::source(params, meaning(fields::STREAM)) {
                Source::Text(text) => tags::bounds(params, &text, selectors),
                _ => Bounds::UNKNOWN,
            },
            Filter::StreamIds(ids) => stream_ids(params, ids),
            Filter::Field { field, test } => {
                let bounds = of_field(params, field, test);
                if meaning(field) != Meaning::Message || bounds == Bounds::UNKNOWN {
                    return bounds;
                }
                let words = self.index.condition(params, &required_by_test(field, test));
                // Behind the condition: what a server reads all the same, it tests in this order, and looking for a text costs least.
                Bounds::all(vec![bounds, Bounds::exact(words)])
            }
        }
    }
}

fn day_range(params: &mut Params, start: i64, end: i64, offset: i64) -> Bounds {
    let (day, shifted) = (time::DAY, shifted_time(params, offset));
    let (start, end) = (params.int(start), params.int(end));
    Bounds::of(format_args!("positiveModulo({shifted}, {day}) BETWEEN {start} AND {end}"))
}

fn week_range(params: &mut Params, first: u8, last: u8, offset: i64) -> Bounds {
    let (day, shifted) = (time::DAY, shifted_time(params, offset));
    // The division of a multiple, so that it makes no difference how the server rounds.
    let days = format!("intDiv({shifted} - positiveModulo({shifted}, {day}), {day})");
    let (first, last) = (params.int(first.into()), params.int(last.into()));
    Bounds::of(format_args!("positiveModulo({days} + 4, 7) BETWEEN {first} AND {last}"))
}

/// The time lies in the span.
pub(crate) fn time_range(params: &mut Params, range: TimeRange) -> Sql {
    let mut parts = Vec::new();
    if range.is_empty() {
        return Sql::False;
    }
    if range.start > i64::MIN {
        parts.push(Sql::new(format_args!("time >= {}", params.time(range.start))));
    }
    if range.end < i64::MAX {
        parts.push(Sql::new(format_args!("time < {}", params.time(range.end))));
    }
    Sql::all(parts)
}

fn shifted_time(params: &mut Params, offset: i64) -> String {
    format!("(toInt128(toUnixTimestamp64Nano(time)) + {})", params.int(offset))
}

fn stream_ids(params: &mut Params, ids: &[StreamId]) -> Bounds {
    /// An id takes 32 digits, two quotes and a comma.
    const LIST: usize = PARAMETER_LIMIT_BYTES / 35;
    let lists = ids.chunks(LIST).map(|ids| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let ids = params.texts(ids.iter().map(String::as_str));
        // As a set: the server would search a list from its start for every record.
        Sql::new(format_args!("stream IN (SELECT toFixedString(unhex(arrayJoin({ids})), 16))"))
    });
    Bounds::exact(Sql::any(lists.collect()))
}

fn of_field(params: &mut Params, name: &str, test: &Test) -> Bounds {
    let other = match test {
        Test::EqualsField(other) | Test::LessThanField(other) | Test::AtMostField(other) => {
            Some(other)
        }
        _ => None,
    };
    if let Some(other) = other {
        let (left, right) =
            (field::source(params, meaning(name)), field::source(params, meaning(other)));
        return match (test, left.as_text(), right.as_text()) {
            (Test::EqualsField(_), Some(left), Some(right)) => {
                Bounds::of(format_args!("{left} = {right}"))
            }
            _ => Bounds::UNKNOWN,
        };
    }
    match (field::source(params, meaning(name)), test) {
        (Source::Text(text), _) => test::bounds(params, &text, test),
        (Source::Whole(_) | Source::Time(_), Test::Any) => Bounds::always(true),
        (Source::Whole(_) | Source::Time(_), Test::Empty) => Bounds::always(false),
        (Source::Whole(number), Test::Range { min, max }) => {
            number::between(params, &format!("toFloat64({number})"), *min, *max)
        }
        (Source::Time(time), Test::Range { min, max }) => {
            let nanos = format!("toFloat64(toUnixTimestamp64Nano({time}))");
            number::between(params, &nanos, *min, *max)
        }
        (source, _) => match source.as_text() {
            Some(text) => test::bounds(params, &text, test),
            None => Bounds::UNKNOWN,
        },
    }
}

#[cfg(test)]
mod tests;
