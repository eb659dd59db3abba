//! What the index alone says of a granule: that no record in it passes, that every record passes, or neither.
//!
//! A [`Judge`] is a filter prepared for one part. What depends on the resource alone is evaluated once for each resource of the part, with the
//! same code that evaluates rows, so it can say "every" and "none" exactly. Texts are judged by the words that they must
//! hold, numbers by their ranges, fields by their absence; those say "none" or nothing.

use std::ops::Range;

use arrow_array::StringArray;
use arrow_buffer::BooleanBuffer;
use rookery_core::filter::eval::{FieldSource, evaluate};
use rookery_core::filter::{FieldName, Filter, Test};
use rookery_core::logs::names::{Meaning, meaning};
use rookery_core::logs::{fields, severity_name};
use rookery_core::rows::{Column, Rows};
use rookery_core::tokens::{Required, required_by_test};
use rookery_core::{Result, TimeRange};

use crate::part::index::{Granule, PartIndex, PartResource};
use crate::part::plan::{FieldKind, REST_NAMES_LIMIT};
use crate::part::read::OpenPart;

/// What is known of some records together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No record passes.
    None,
    /// Some may pass.
    Some,
    /// Every record passes.
    All,
}

impl Verdict {
    fn of(passes: bool) -> Self {
        if passes { Self::All } else { Self::None }
    }

    fn not(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::Some => Self::Some,
            Self::All => Self::None,
        }
    }
}

/// A filter prepared for one part; it has the shape of the filter.
#[derive(Debug)]
pub(crate) enum Judge {
    Always(Verdict),
    All(Vec<Judge>),
    Any(Vec<Judge>),
    Not(Box<Judge>),
    Time(TimeRange),
    /// Which resources pass.
    Resources(BooleanBuffer),
    /// A text that every record has: the body.
    Body(Required),
    /// The trace's or the span's id.
    Trace {
        required: Required,
        empty_passes: bool,
    },
    Level {
        required: Required,
        own: OwnField,
        severities: u32,
    },
    Own {
        required: Required,
        own: OwnField,
        empty_passes: bool,
        range: Option<(f64, f64)>,
    },
}

/// Where a record's own field is in a part.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OwnField {
    /// In no record.
    Nowhere,
    /// In a column.
    Column(u16, FieldKind),
    /// Among those without a column, if at all.
    Rest,
}

impl OwnField {
    pub(crate) fn find(index: &PartIndex, name: &str) -> Self {
        if let Some(column) = index.column(name) {
            return Self::Column(column as u16, index.columns[column].kind);
        }
        let listed = index.rest.iter().any(|(rest, _)| rest.as_ref() == name);
        if listed || index.rest.len() >= REST_NAMES_LIMIT { Self::Rest } else { Self::Nowhere }
    }

    /// Whether any record of a granule may have it.
    pub(crate) fn is_in(self, granule: &Granule) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Rest => granule.has_rest,
            Self::Column(column, _) => {
                granule.fields.binary_search_by_key(&column, |f| f.column).is_ok()
            }
        }
    }

    /// Whether its words are in the word filter.
    fn has_words(self) -> bool {
        !matches!(self, Self::Column(_, FieldKind::Int))
    }
}

/// The resources of a part as rows.
struct ResourceRows<'a>(&'a [PartResource]);

impl FieldSource for ResourceRows<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn column(&mut self, field: &str) -> Result<Column> {
        let texts: StringArray = match meaning(field) {
            Meaning::Resource(column) => self.0.iter().map(|r| Some(r.text(column))).collect(),
            Meaning::Label(label) => self.0.iter().map(|r| Some(r.label(label))).collect(),
            Meaning::StreamId => self.0.iter().map(|r| Some(r.stream.to_string())).collect(),
            _ => return Ok(Column::constant("", self.0.len())),
        };
        Ok(Column::Text(texts))
    }
}

/// Whether a text passes a test.
fn passes(test: &Test, text: &str) -> Result<bool> {
    let name: FieldName = "value".into();
    let mut row = Rows { len: 1, columns: vec![(name.clone(), Column::constant(text, 1))] };
    let filter = Filter::Field { field: name, test: test.clone() };
    Ok(evaluate(&filter, &mut row)?.value(0))
}

impl Judge {
    /// Prepares a filter for a part.
    ///
    /// # Errors
    /// Those of evaluating it.
    pub(crate) fn new(filter: &Filter, part: &OpenPart) -> Result<Self> {
        let list = |parts: &[Filter]| -> Result<Vec<Self>> {
            parts.iter().map(|f| Self::new(f, part)).collect()
        };
        let resources =
            || evaluate(filter, &mut ResourceRows(&part.index.resources)).map(Self::Resources);
        Ok(match filter {
            Filter::All => Self::Always(Verdict::All),
            Filter::None => Self::Always(Verdict::None),
            Filter::And(parts) => Self::All(list(parts)?),
            Filter::Or(parts) => Self::Any(list(parts)?),
            Filter::Not(inner) => Self::Not(Box::new(Self::new(inner, part)?)),
            Filter::Time(range) => Self::Time(*range),
            Filter::DayRange { .. } | Filter::WeekRange { .. } => Self::Always(Verdict::Some),
            Filter::Stream(_) | Filter::StreamIds(_) => resources()?,
            Filter::Field {
                test: Test::EqualsField(_) | Test::LessThanField(_) | Test::AtMostField(_),
                ..
            } => Self::Always(Verdict::Some),
            Filter::Field { field, test } => {
                let required = required_by_test(field, test);
                match meaning(field) {
                    Meaning::Resource(_) | Meaning::Label(_) | Meaning::StreamId => resources()?,
                    Meaning::Message => Self::Body(required),
                    Meaning::TraceId | Meaning::SpanId => {
                        Self::Trace { required, empty_passes: passes(test, "")? }
                    }
                    Meaning::Level => Self::level(required, test, part)?,
                    Meaning::Own(name) => Self::own(required, name, test, part)?,
                    Meaning::Time | Meaning::Observed | Meaning::Generation | Meaning::Offset => {
                        Self::Always(Verdict::Some)
                    }
                }
            }
        })
    }

    fn level(required: Required, test: &Test, part: &OpenPart) -> Result<Self> {
        let own = OwnField::find(&part.index, fields::LEVEL);
        let mut severities = 0;
        for severity in 0..32 {
            if passes(test, severity_name(severity))? {
                severities |= 1 << severity;
            }
        }
        Ok(Self::Level { required, own, severities })
    }

    fn own(required: Required, name: &str, test: &Test, part: &OpenPart) -> Result<Self> {
        let own = OwnField::find(&part.index, name);
        let range = match test {
            Test::Range { min, max } => Some((*min, *max)),
            _ => None,
        };
        Ok(Self::Own { required, own, empty_passes: passes(test, "")?, range })
    }

    /// What the index says of some granules together.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn verdict(&self, part: &OpenPart, granules: Range<usize>) -> Result<Verdict> {
        let mut together: Option<Verdict> = None;
        for granule in granules {
            let verdict = self.one(part, granule)?;
            match together {
                None => together = Some(verdict),
                Some(before) if before == verdict => {}
                Some(_) => return Ok(Verdict::Some),
            }
        }
        Ok(together.unwrap_or(Verdict::None))
    }

    fn one(&self, part: &OpenPart, number: usize) -> Result<Verdict> {
        let granule = &part.index.granules[number];
        Ok(match self {
            Self::Always(verdict) => *verdict,
            Self::Not(inner) => inner.one(part, number)?.not(),
            Self::All(parts) => {
                let mut all = Verdict::All;
                for judge in parts {
                    match judge.one(part, number)? {
                        Verdict::None => return Ok(Verdict::None),
                        Verdict::Some => all = Verdict::Some,
                        Verdict::All => {}
                    }
                }
                all
            }
            Self::Any(parts) => {
                let mut any = Verdict::None;
                for judge in parts {
                    match judge.one(part, number)? {
                        Verdict::All => return Ok(Verdict::All),
                        Verdict::Some => any = Verdict::Some,
                        Verdict::None => {}
                    }
                }
                any
            }
            Self::Time(range) => {
                let inside = range.contains(granule.min_time) && range.contains(granule.max_time);
                match (inside, range.overlaps(granule.min_time, granule.max_time)) {
                    (true, _) => Verdict::All,
                    (false, true) => Verdict::Some,
                    (false, false) => Verdict::None,
                }
            }
            Self::Resources(passing) => resources(passing, part, number),
            Self::Body(required) => words(required, part, granule)?,
            Self::Trace { empty_passes, .. } if !granule.has_trace => Verdict::of(*empty_passes),
            Self::Trace { required, .. } => words(required, part, granule)?,
            Self::Level { required, own, severities } => {
                level(required, *own, *severities, part, granule)?
            }
            Self::Own { own, empty_passes, .. } if !own.is_in(granule) => {
                Verdict::of(*empty_passes)
            }
            Self::Own { required, own, empty_passes, range } => match own {
                OwnField::Column(column, FieldKind::Int) => {
                    outside(granule, *column, *range, *empty_passes)
                }
                _ => words(required, part, granule)?,
            },
        })
    }

    /// The filter without what is decided for all of these granules; the shape of `filter` must be that of this judge.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn left(
        &self,
        filter: &Filter,
        part: &OpenPart,
        granules: &Range<usize>,
    ) -> Result<Filter> {
        match self.verdict(part, granules.clone())? {
            Verdict::All => return Ok(Filter::All),
            Verdict::None => return Ok(Filter::None),
            Verdict::Some => {}
        }
        let list = |judges: &[Self], filters: &[Filter], drop: &Filter| -> Result<Vec<Filter>> {
            let mut left = Vec::with_capacity(filters.len());
            for (judge, filter) in judges.iter().zip(filters) {
                let filter = judge.left(filter, part, granules)?;
                if filter != *drop {
                    left.push(filter);
                }
            }
            Ok(left)
        };
        Ok(match (self, filter) {
            (Self::All(judges), Filter::And(filters)) => {
                Filter::And(list(judges, filters, &Filter::All)?)
            }
            (Self::Any(judges), Filter::Or(filters)) => {
                Filter::Or(list(judges, filters, &Filter::None)?)
            }
            (Self::Not(judge), Filter::Not(inner)) => {
                Filter::Not(Box::new(judge.left(inner, part, granules)?))
            }
            _ => filter.clone(),
        })
    }
}

fn resources(passing: &BooleanBuffer, part: &OpenPart, number: usize) -> Verdict {
    let rows = part.rows_of(&(number..number + 1));
    let first = part.run_starts.partition_point(|&start| start <= rows.start) - 1;
    let runs = part.index.runs[first..].iter().zip(&part.run_starts[first..]);
    let mut seen = (false, false);
    for (run, _) in runs.take_while(|(_, start)| **start < rows.end) {
        match passing.value(run.resource as usize) {
            true => seen.0 = true,
            false => seen.1 = true,
        }
    }
    match seen {
        (true, true) => Verdict::Some,
        (passed, _) => Verdict::of(passed),
    }
}

/// "None" when a word that must be there is not.
fn words(required: &Required, part: &OpenPart, granule: &Granule) -> Result<Verdict> {
    let mut failure = None;
    let may = required.may_hold(&mut |_, word| {
        part.may_hold(granule, word).unwrap_or_else(|error| {
            failure = Some(error);
            true
        })
    });
    match failure {
        Some(error) => Err(error),
        None if may => Ok(Verdict::Some),
        None => Ok(Verdict::None),
    }
}

fn level(
    required: &Required,
    own: OwnField,
    severities: u32,
    part: &OpenPart,
    granule: &Granule,
) -> Result<Verdict> {
    let passing = granule.severities & severities;
    if own.is_in(granule) {
        let nothing = passing == 0 && own.has_words();
        return if nothing { words(required, part, granule) } else { Ok(Verdict::Some) };
    }
    Ok(match passing {
        0 => Verdict::None,
        all if all == granule.severities => Verdict::All,
        _ => Verdict::Some,
    })
}

/// "None" when a range lies outside of the numbers of a granule.
fn outside(
    granule: &Granule,
    column: u16,
    range: Option<(f64, f64)>,
    empty_passes: bool,
) -> Verdict {
    let field = granule.fields.iter().find(|f| f.column == column);
    let (Some((min, max)), Some(field)) = (range, field) else { return Verdict::Some };
    // Numbers beyond 2^53 lose their last digits as floats; one step further out is on the safe side.
    let low = field.min as f64;
    let high = field.max as f64;
    let outside = high + high.abs() * f64::EPSILON < min || low - low.abs() * f64::EPSILON > max;
    if outside && !empty_passes { Verdict::None } else { Verdict::Some }
}
