//! What each test of a filter means, over columns.
//!
//! This is the reference: a store that prunes, or that lets a server decide, must agree with it. A [`Predicate`] is a
//! filter made ready (needles, sets, literals of regular expressions); it is made once for a query and asked for each
//! chunk of records. [`evaluate`] does both.
//!
//! How it is fast: a conjunction narrows the rows that are still undecided and tests the cheap parts first, a disjunction
//! asks its later parts only about the rows that did not pass yet, and a column is brought only when a row still
//! depends on it. A dictionary is tested once for each entry, numbers and times as numbers. In a column of texts, a phrase is looked
//! for in all of the values by one search; when few rows are left they are tested one by one.
//!
//! Reading order: [`number`] reads numbers; `selection` is the set of undecided rows; `needle` is a phrase, `fold` and
//! `literals` serve it; `matcher` is a test of a text; `column` applies it to the forms of a column; `tags` to streams.

pub mod number;

mod selection;

mod fold;
mod literals;
mod needle;

mod matcher;

mod column;
mod tags;

use arrow_buffer::BooleanBuffer;

use self::column::{Comparison, day_of_week, select_compared, select_time, time_of_day};
use self::matcher::Matcher;
use self::selection::Selection;
use crate::filter::{FieldName, Filter, TagMatcher, Test};
use crate::logs::{RESOURCE_FIELDS, fields};
use crate::rows::{Column, Rows};
use crate::{Error, Result, StreamId, TimeRange};

/// Where a filter finds the columns that it tests: some records, whose fields are brought only when they are asked for.
pub trait FieldSource {
    /// How many records.
    fn rows(&self) -> usize;

    /// The values of a field, one for each record; a field that no record has is [`Column::constant`]`("", rows)`.
    ///
    /// Asked once for a field in one evaluation, and only when the answer depends on it.
    ///
    /// # Errors
    /// When the values cannot be read.
    fn column(&mut self, field: &str) -> Result<Column>;
}

impl FieldSource for Rows {
    fn rows(&self) -> usize {
        self.len
    }

    fn column(&mut self, field: &str) -> Result<Column> {
        let column = Rows::column(self, field).cloned();
        Ok(column.unwrap_or_else(|| Column::constant("", self.len)))
    }
}

/// Texts of which every match of a regular expression holds at least one; none when nothing is known that is worth looking for.
pub fn needed_literals(pattern: &str) -> Option<Vec<String>> {
    literals::literals(pattern).map(|found| found.any_of)
}

/// Which records pass: one bit for each.
///
/// # Errors
/// Those of `source`; `internal` when a subquery was not replaced by its values, or a column has the wrong length.
pub fn evaluate(filter: &Filter, source: &mut dyn FieldSource) -> Result<BooleanBuffer> {
    Predicate::new(filter)?.evaluate(source)
}

/// A filter made ready to be asked many times, by any thread.
#[derive(Debug)]
pub struct Predicate {
    node: Node,
}

impl Predicate {
    /// Makes a filter ready.
    ///
    /// # Errors
    /// `internal` when a subquery was not replaced by its values.
    pub fn new(filter: &Filter) -> Result<Self> {
        Ok(Self { node: Node::compile(filter)? })
    }

    /// Which records pass: one bit for each.
    ///
    /// # Errors
    /// Those of `source`; `internal` when a column has the wrong length.
    pub fn evaluate(&self, source: &mut dyn FieldSource) -> Result<BooleanBuffer> {
        let live = Selection::all(source.rows());
        let mut columns = Columns { source, seen: Vec::new() };
        Ok(columns.select(&self.node, &live)?.into_bits())
    }
}

/// A filter made ready. The parts of `And` and `Or` are ordered by what they cost.
#[derive(Debug)]
enum Node {
    Always(bool),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Time(TimeRange),
    DayRange {
        start: i64,
        end: i64,
        offset: i64,
    },
    WeekRange {
        first: u8,
        last: u8,
        offset: i64,
    },
    Stream(Vec<Vec<TagMatcher>>),
    /// Sorted.
    StreamIds(Vec<StreamId>),
    Field {
        field: FieldName,
        matcher: Box<Matcher>,
    },
    Fields {
        left: FieldName,
        right: FieldName,
        comparison: Comparison,
    },
}

impl Node {
    fn compile(filter: &Filter) -> Result<Self> {
        let ordered = |parts: &[Filter]| {
            let mut nodes = parts.iter().map(Self::compile).collect::<Result<Vec<_>>>()?;
            nodes.sort_by_cached_key(Self::cost);
            Ok::<_, Error>(nodes)
        };
        Ok(match filter {
            Filter::All => Self::Always(true),
            Filter::None => Self::Always(false),
            Filter::And(parts) => Self::And(ordered(parts)?),
            Filter::Or(parts) => Self::Or(ordered(parts)?),
            Filter::Not(part) => Self::Not(Box::new(Self::compile(part)?)),
            Filter::Time(range) => Self::Time(*range),
            Filter::DayRange { start, end, offset } => {
                Self::DayRange { start: *start, end: *end, offset: *offset }
            }
            Filter::WeekRange { first, last, offset } => {
                Self::WeekRange { first: *first, last: *last, offset: *offset }
            }
            Filter::Stream(selectors) => Self::Stream(selectors.clone()),
            Filter::StreamIds(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                Self::StreamIds(ids)
            }
            Filter::Field { field, test } => Self::compile_test(field, test)?,
        })
    }

    fn compile_test(field: &FieldName, test: &Test) -> Result<Self> {
        let (comparison, right) = match test {
            Test::EqualsField(other) => (Comparison::Equal, other),
            Test::LessThanField(other) => (Comparison::Less, other),
            Test::AtMostField(other) => (Comparison::AtMost, other),
            _ => {
                let matcher = Matcher::compile(test)?;
                if let Matcher::Always(pass) = matcher {
                    return Ok(Self::Always(pass));
                }
                let matcher = Box::new(matcher);
                return Ok(Self::Field { field: field.clone(), matcher });
            }
        };
        Ok(Self::Fields { left: field.clone(), right: right.clone(), comparison })
    }

    /// What a test costs for a row, roughly and in no unit: first the column, then the work on it.
    fn cost(&self) -> u32 {
        match self {
            Self::Always(_) => 0,
            Self::Time(_) | Self::DayRange { .. } | Self::WeekRange { .. } => 1,
            Self::StreamIds(_) => 2,
            Self::Stream(_) => 3,
            Self::Field { field, matcher } => column_cost(field) + matcher_cost(matcher),
            Self::Fields { left, right, .. } => column_cost(left) + column_cost(right) + 10,
            Self::Not(part) => part.cost(),
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::cost).sum(),
        }
    }
}

fn column_cost(field: &str) -> u32 {
    match field {
        fields::LEVEL | fields::STREAM | fields::STREAM_ID | fields::TIME => 4,
        fields::MESSAGE => 60,
        name if RESOURCE_FIELDS.contains(&name) => 4,
        _ => 30,
    }
}

fn matcher_cost(matcher: &Matcher) -> u32 {
    match matcher {
        Matcher::Always(_) | Matcher::Empty(_) => 0,
        Matcher::Exact(_) | Matcher::StartsWith(_) | Matcher::Between { .. } => 1,
        Matcher::OneOf(_) | Matcher::Length { .. } => 2,
        Matcher::Number { .. } | Matcher::Ipv4 { .. } => 3,
        Matcher::Needle(_) => 4,
        Matcher::Sequence(_) | Matcher::AllOf(_) | Matcher::AnyOf(_) => 8,
        Matcher::Folded(_) => 12,
        Matcher::Regexp { literals, .. } if !literals.is_empty() => 10,
        Matcher::Regexp { .. } => 25,
    }
}

/// The columns that were brought so far in one evaluation.
struct Columns<'a> {
    source: &'a mut dyn FieldSource,
    seen: Vec<(FieldName, Column)>,
}

impl Columns<'_> {
    fn get(&mut self, field: &str) -> Result<Column> {
        if let Some((_, column)) = self.seen.iter().find(|(name, _)| name.as_ref() == field) {
            return Ok(column.clone());
        }
        let column = self.source.column(field)?;
        let (rows, len) = (self.source.rows(), column.len());
        if len != rows {
            return Err(Error::internal(format!(
                "the column of {field:?} has {len} values for {rows} records"
            )));
        }
        self.seen.push((field.into(), column.clone()));
        Ok(column)
    }

    /// The rows of `live` that pass.
    fn select(&mut self, node: &Node, live: &Selection) -> Result<Selection> {
        if live.is_empty() {
            return Ok(live.clone());
        }
        Ok(match node {
            Node::Always(pass) => live.keep_if(*pass),
            Node::And(parts) => {
                let mut left = live.clone();
                for part in parts {
                    left = self.select(part, &left)?;
                }
                left
            }
            Node::Or(parts) => self.select_any(parts, live)?,
            Node::Not(part) => live.without(&self.select(part, live)?),
            Node::Time(range) => {
                select_time(&self.get(fields::TIME)?, live, |time| range.contains(time))
            }
            Node::DayRange { start, end, offset } => {
                select_time(&self.get(fields::TIME)?, live, |time| {
                    (*start..=*end).contains(&time_of_day(time, *offset))
                })
            }
            Node::WeekRange { first, last, offset } => {
                select_time(&self.get(fields::TIME)?, live, |time| {
                    (*first..=*last).contains(&day_of_week(time, *offset))
                })
            }
            Node::Stream(selectors) => tags::select(selectors, &self.get(fields::STREAM)?, live),
            Node::StreamIds(ids) => tags::select_ids(ids, &self.get(fields::STREAM_ID)?, live),
            Node::Field { field, matcher } => column::select(matcher, &self.get(field)?, live),
            Node::Fields { left, right, comparison } => {
                let (left, right) = (self.get(left)?, self.get(right)?);
                select_compared(*comparison, &left, &right, live)
            }
        })
    }

    fn select_any(&mut self, parts: &[Node], live: &Selection) -> Result<Selection> {
        let mut passed = Selection::none(live.len());
        let mut left = live.clone();
        for part in parts {
            let hits = self.select(part, &left)?;
            left = left.without(&hits);
            passed = passed.or(&hits);
            if left.is_empty() {
                break;
            }
        }
        Ok(passed)
    }
}

#[cfg(test)]
mod tests;
