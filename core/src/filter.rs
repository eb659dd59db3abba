//! What a log search asks of one record: the filter part of LogsQL as data, with its one meaning.
//!
//! The parser makes a [`Filter`]; a store prunes with it, compiles it into SQL, or evaluates it over columns
//! with [`eval`], which is the reference for what each test means. Both stores therefore give one answer.
//!
//! Every field is text to a filter: a missing field and an empty one are the same, numbers are compared when the
//! text is a number. Field names are those of [`crate::logs::fields`] and of the record's own fields.

pub mod eval;

use std::fmt;
use std::sync::Arc;

use crate::{StreamId, TimeRange};

/// The name of a field as a query writes it: `_msg`, `level`, `status`, `user.id`.
pub type FieldName = Arc<str>;

/// A condition on a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every record.
    All,
    /// No record.
    None,
    /// All of these (an empty list holds for every record).
    And(Vec<Filter>),
    /// Any of these (an empty list holds for none).
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// `_time` lies in the span.
    Time(TimeRange),
    /// `_time` of day, in nanoseconds since midnight UTC shifted by `offset`, lies in `start..=end`.
    DayRange {
        /// First nanosecond of the day inside.
        start: i64,
        /// Last nanosecond of the day inside.
        end: i64,
        /// Added to UTC before the time of day is taken, in nanoseconds.
        offset: i64,
    },
    /// `_time`'s day of the week, shifted by `offset`, lies in `first..=last` (0 = Sunday).
    WeekRange {
        /// First day inside.
        first: u8,
        /// Last day inside.
        last: u8,
        /// Added to UTC before the day is taken, in nanoseconds.
        offset: i64,
    },
    /// The tags of the record's stream fit one of the selectors: `{namespace="prod",app=~"a|b" or team="x"}`.
    Stream(Vec<Vec<TagMatcher>>),
    /// The record belongs to one of these streams.
    StreamIds(Vec<StreamId>),
    /// A field passes a test.
    Field {
        /// Which field.
        field: FieldName,
        /// Which test.
        test: Test,
    },
}

/// One condition on a tag of a stream. A missing tag is the empty string, as in Prometheus.
#[derive(Debug, Clone, PartialEq)]
pub struct TagMatcher {
    /// The tag's name.
    pub tag: String,
    /// The comparison.
    pub op: TagOp,
}

/// How a tag of a stream is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum TagOp {
    /// `=`, or `in (…)`: equal to one of these.
    In(Vec<String>),
    /// `!=`, or `not_in (…)`: equal to none of these.
    NotIn(Vec<String>),
    /// `=~`: the whole value matches.
    Matches(Pattern),
    /// `!~`: the whole value does not match.
    NotMatches(Pattern),
}

/// A test of the text of one field.
///
/// "Word" below means a run of letters, digits and `_`, see [`crate::tokens`]; a phrase or a prefix holds when it is found
/// with no word character directly before it (if it starts with one) and, for a phrase, none directly after it (if it ends with one).
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `field:*`: the field is not empty.
    Any,
    /// `field:""`: the field is empty or missing.
    Empty,
    /// `word`, `"some phrase"`.
    Phrase(String),
    /// `word*`, `"some phr"*`.
    Prefix(String),
    /// `*part*`: found anywhere.
    Substring(String),
    /// `="text"`.
    Exact(String),
    /// `="text"*`.
    ExactPrefix(String),
    /// `i(word)`: a phrase, letters compared without case. The text is already in lower case.
    CasePhrase(String),
    /// `i(word*)`. The text is already in lower case.
    CasePrefix(String),
    /// `seq("a", "b")`: the phrases are found in this order, none overlapping.
    Sequence(Vec<String>),
    /// `~"pattern"`: a part of the text matches.
    Regexp(Pattern),
    /// `>5`, `range(1, 10]`: the text is a number (also with a unit of bytes or a duration) inside the bounds.
    Range {
        /// Smallest number inside.
        min: f64,
        /// Largest number inside.
        max: f64,
    },
    /// `string_range(a, b)`: `a <= text < b`, by bytes.
    StringRange {
        /// First text inside.
        min: String,
        /// First text after.
        max: String,
    },
    /// `len_range(1, 5)`: the count of characters lies inside, both ends included.
    LengthRange {
        /// Fewest characters.
        min: u64,
        /// Most characters.
        max: u64,
    },
    /// `ipv4_range(1.2.3.0, 1.2.3.255)`: the text is an address inside, both ends included.
    Ipv4Range {
        /// First address.
        min: u32,
        /// Last address.
        max: u32,
    },
    /// `in(a, b)`: the text is one of these.
    In(Values),
    /// `contains_all(a, b)`: every phrase is found.
    ContainsAll(Values),
    /// `contains_any(a, b)`: one of the phrases is found.
    ContainsAny(Values),
    /// `eq_field(other)`: the same text as the other field.
    EqualsField(FieldName),
    /// `lt_field(other)`: less than the other field, as numbers if both are, else as text.
    LessThanField(FieldName),
    /// `le_field(other)`: not more than the other field.
    AtMostField(FieldName),
}

/// The values of `in`, `contains_all`, `contains_any`.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Sorted, without repeats.
    List(Arc<[String]>),
    /// The answer of the query's subquery with this index. Replaced by a list before a store sees the filter;
    /// evaluating it is an internal error.
    Subquery(usize),
}

impl Values {
    /// A list, sorted and without repeats.
    pub fn list(mut values: Vec<String>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self::List(values.into())
    }
}

/// A compiled regular expression (RE2's syntax) that compares by its text.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    regex: regex::Regex,
}

/// The most memory that one compiled regular expression may take, in bytes.
pub const PATTERN_LIMIT_BYTES: usize = 4 << 20;

impl Pattern {
    /// Compiles `text` as a condition: a match anywhere counts, and `.` matches a line's end too, so that a pattern can reach over the
    /// lines of a stack trace.
    ///
    /// # Errors
    /// `invalid` with the compiler's explanation.
    pub fn new(text: &str) -> crate::Result<Self> {
        Self::build(text, text, true)
    }

    /// Compiles `text` as something to extract or replace: `.` does not match a line's end.
    ///
    /// # Errors
    /// `invalid` with the compiler's explanation.
    pub fn within_line(text: &str) -> crate::Result<Self> {
        Self::build(text, text, false)
    }

    /// Compiles `text` so that it must match a whole value, as in a stream selector.
    ///
    /// # Errors
    /// `invalid` with the compiler's explanation.
    pub fn anchored(text: &str) -> crate::Result<Self> {
        Self::build(text, &format!("^(?:{text})$"), true)
    }

    fn build(text: &str, source: &str, over_lines: bool) -> crate::Result<Self> {
        let regex = regex::RegexBuilder::new(source)
            .dot_matches_new_line(over_lines)
            .size_limit(PATTERN_LIMIT_BYTES)
            .build()
            .map_err(|e| {
                crate::Error::invalid(format!("the regular expression {text:?} is not valid"))
                    .because(e)
            })?;
        Ok(Self { text: text.into(), regex })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compiled.
    pub fn regex(&self) -> &regex::Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.regex.as_str() == other.regex.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{:?}", self.text)
    }
}

impl Filter {
    /// A test of one field.
    pub fn field(field: &str, test: Test) -> Self {
        Self::Field { field: field.into(), test }
    }

    /// The span outside of which no record can pass; [`TimeRange::ALL`] when nothing is known.
    pub fn time_range(&self) -> TimeRange {
        match self {
            Self::Time(range) => *range,
            Self::And(parts) => {
                parts.iter().fold(TimeRange::ALL, |all, part| all.intersect(part.time_range()))
            }
            Self::Or(parts) if !parts.is_empty() => {
                let mut spans = parts.iter().map(Self::time_range);
                let first = spans.next().unwrap_or(TimeRange::ALL);
                spans.fold(first, |a, b| TimeRange {
                    start: a.start.min(b.start),
                    end: a.end.max(b.end),
                })
            }
            _ => TimeRange::ALL,
        }
    }

    /// Calls `visit` with the name of each field that the filter reads, repeats included.
    pub fn visit_fields(&self, visit: &mut dyn FnMut(&str)) {
        use crate::logs::fields;
        match self {
            Self::All | Self::None => {}
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.visit_fields(visit);
                }
            }
            Self::Not(part) => part.visit_fields(visit),
            Self::Time(_) | Self::DayRange { .. } | Self::WeekRange { .. } => visit(fields::TIME),
            Self::Stream(_) => visit(fields::STREAM),
            Self::StreamIds(_) => visit(fields::STREAM_ID),
            Self::Field { field, test } => {
                visit(field);
                if let Test::EqualsField(other)
                | Test::LessThanField(other)
                | Test::AtMostField(other) = test
                {
                    visit(other);
                }
            }
        }
    }
}
