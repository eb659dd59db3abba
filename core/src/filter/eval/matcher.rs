//! A test made ready: what it says of one text, and of a whole column of texts at once.

use std::collections::HashMap;

use arrow_array::{Array, StringArray};
use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::fold::{fold, fold_into, is_plain};
use super::literals::literals;
use super::needle::Needle;
use super::number;
use super::selection::Selection;
use crate::filter::{Test, Values};
use crate::tokens::{for_each_word_at, words};
use crate::{Error, Result};

/// With more phrases than this, `contains_any` looks the words of a text up instead of looking for each phrase.
const PHRASES_BY_WORD: usize = 8;

/// A test of one field's text.
#[derive(Debug)]
pub(super) enum Matcher {
    /// Every text, or none.
    Always(bool),
    /// The empty text, or any other.
    Empty(bool),
    Needle(Needle),
    /// The needle is folded.
    Folded(Needle),
    Exact(Box<str>),
    StartsWith(Box<str>),
    Sequence(Vec<Needle>),
    AllOf(Vec<Needle>),
    AnyOf(AnyOf),
    Regexp {
        regex: regex::Regex,
        /// One of these is in each match; empty when nothing is known.
        literals: Vec<Needle>,
    },
    Number {
        min: f64,
        max: f64,
    },
    Between {
        min: Box<str>,
        end: Box<str>,
    },
    Length {
        min: u64,
        max: u64,
    },
    Ipv4 {
        min: u32,
        max: u32,
    },
    OneOf(HashSet<Box<str>, RandomState>),
}

/// One of many phrases.
#[derive(Debug)]
pub(super) struct AnyOf {
    /// The empty phrase is one of them; it is found in the empty text alone.
    empty: bool,
    needles: Vec<Needle>,
    /// Phrases that start with a word, by their first word, when there are many.
    by_word: HashMap<Box<str>, Vec<Needle>, RandomState>,
}

impl Matcher {
    /// Makes a test ready; comparisons between two fields are not tests of one text.
    ///
    /// # Errors
    /// `internal` when a subquery was not replaced by its values, and for a comparison between fields.
    pub(super) fn compile(test: &Test) -> Result<Self> {
        let needle = |found: Option<Needle>, empty: Self| found.map_or(empty, Self::Needle);
        Ok(match test {
            Test::Any => Self::Empty(false),
            Test::Empty => Self::Empty(true),
            Test::Phrase(text) => needle(Needle::phrase(text), Self::Empty(true)),
            Test::Prefix(text) => needle(Needle::prefix(text), Self::Empty(false)),
            Test::Substring(text) => needle(Needle::substring(text), Self::Always(true)),
            Test::CasePhrase(text) => {
                Needle::phrase(&fold(text)).map_or(Self::Empty(true), Self::Folded)
            }
            Test::CasePrefix(text) => {
                Needle::prefix(&fold(text)).map_or(Self::Empty(false), Self::Folded)
            }
            Test::Exact(text) if text.is_empty() => Self::Empty(true),
            Test::Exact(text) => Self::Exact(text.as_str().into()),
            Test::ExactPrefix(text) if text.is_empty() => Self::Always(true),
            Test::ExactPrefix(text) => Self::StartsWith(text.as_str().into()),
            Test::Sequence(phrases) => {
                Self::Sequence(phrases.iter().filter_map(|p| Needle::phrase(p)).collect())
            }
            Test::Regexp(pattern) => Self::regexp(pattern.regex()),
            Test::Range { min, max } => Self::Number { min: *min, max: *max },
            Test::StringRange { min, max } => {
                Self::Between { min: min.as_str().into(), end: max.as_str().into() }
            }
            Test::LengthRange { min, max } => Self::Length { min: *min, max: *max },
            Test::Ipv4Range { min, max } => Self::Ipv4 { min: *min, max: *max },
            Test::In(values) => {
                Self::OneOf(list(values)?.iter().map(|v| v.as_str().into()).collect())
            }
            Test::ContainsAll(values) => {
                Self::AllOf(list(values)?.iter().filter_map(|p| Needle::phrase(p)).collect())
            }
            Test::ContainsAny(values) => Self::AnyOf(AnyOf::new(list(values)?)),
            Test::EqualsField(_) | Test::LessThanField(_) | Test::AtMostField(_) => {
                return Err(Error::internal(
                    "a comparison of two fields was taken for one of a text",
                ));
            }
        })
    }

    fn regexp(regex: &regex::Regex) -> Self {
        let found = literals(regex.as_str());
        let exact = found.as_ref().is_some_and(|found| found.exact);
        let needles: Vec<Needle> = found
            .into_iter()
            .flat_map(|found| found.any_of)
            .filter_map(|text| Needle::substring(&text))
            .collect();
        if exact {
            return Self::AnyOf(AnyOf { empty: false, needles, by_word: HashMap::default() });
        }
        Self::Regexp { regex: regex.clone(), literals: needles }
    }

    /// Whether the text passes; `scratch` is overwritten.
    pub(super) fn passes(&self, text: &str, scratch: &mut String) -> bool {
        match self {
            Self::Always(pass) => *pass,
            Self::Empty(empty) => text.is_empty() == *empty,
            Self::Needle(needle) => needle.is_in(text.as_bytes()),
            Self::Folded(needle) => {
                scratch.clear();
                if needle.text().is_ascii() && is_plain(text.as_bytes()) {
                    scratch.push_str(text);
                    scratch.make_ascii_lowercase();
                } else {
                    fold_into(text, scratch);
                }
                needle.is_in(scratch.as_bytes())
            }
            Self::Exact(want) => text == want.as_ref(),
            Self::StartsWith(prefix) => text.starts_with(prefix.as_ref()),
            Self::Sequence(needles) => {
                let mut from = 0;
                needles.iter().all(|needle| match needle.find(text.as_bytes(), from) {
                    Some(at) => {
                        from = at + needle.len();
                        true
                    }
                    None => false,
                })
            }
            Self::AllOf(needles) => needles.iter().all(|needle| needle.is_in(text.as_bytes())),
            Self::AnyOf(any) => any.passes(text),
            Self::Regexp { regex, .. } => regex.is_match(text),
            Self::Number { min, max } => {
                number::parse(text).is_some_and(|n| *min <= n && n <= *max)
            }
            Self::Between { min, end } => min.as_ref() <= text && text < end.as_ref(),
            Self::Length { min, max } => is_length(text, *min, *max),
            Self::Ipv4 { min, max } => {
                number::parse_ipv4(text).is_some_and(|ip| *min <= ip && ip <= *max)
            }
            Self::OneOf(values) => values.contains(text),
        }
    }

    /// The rows of `live` whose text passes.
    pub(super) fn select(&self, column: &StringArray, live: &Selection) -> Selection {
        if live.is_empty() {
            return live.clone();
        }
        if live.is_sparse() {
            return self.select_each(column, live);
        }
        let bytes = column.values().as_slice();
        let search = |needle: &Needle, live: &Selection| needle.search(column, bytes, live);
        match self {
            Self::Always(pass) => live.keep_if(*pass),
            Self::Needle(needle) => search(needle, live),
            Self::Folded(needle) => Self::select_folded(needle, column, live)
                .unwrap_or_else(|| self.select_each(column, live)),
            Self::Sequence(needles) => match needles.iter().max_by_key(|needle| needle.len()) {
                Some(longest) => self.select_each(column, &search(longest, live)),
                None => live.clone(),
            },
            Self::AllOf(needles) => {
                needles.iter().fold(live.clone(), |live, needle| search(needle, &live))
            }
            Self::AnyOf(any) if any.by_word.is_empty() && !any.empty => {
                any_needle(&any.needles, column, live)
            }
            Self::Regexp { literals, .. } if !literals.is_empty() => {
                self.select_each(column, &any_needle(literals, column, live))
            }
            _ => self.select_each(column, live),
        }
    }

    fn select_each(&self, column: &StringArray, live: &Selection) -> Selection {
        let mut scratch = String::new();
        if column.null_count() == 0 {
            return live.keep(|row| self.passes(column.value(row), &mut scratch));
        }
        live.keep(|row| {
            self.passes(if column.is_null(row) { "" } else { column.value(row) }, &mut scratch)
        })
    }

    /// Looks for a folded needle in the column with its ASCII in lower case; none when that is not enough.
    fn select_folded(needle: &Needle, column: &StringArray, live: &Selection) -> Option<Selection> {
        let offsets = column.value_offsets();
        let (start, end) = (offsets[0] as usize, offsets[column.len()] as usize);
        let bytes = &column.values().as_slice()[..end];
        if !needle.text().is_ascii() || !is_plain(&bytes[start..]) {
            return None;
        }
        Some(needle.search(column, &bytes.to_ascii_lowercase(), live))
    }
}

/// The rows of `live` that hold one of the needles.
fn any_needle(needles: &[Needle], column: &StringArray, live: &Selection) -> Selection {
    let mut rest = live.clone();
    let mut found = Selection::none(live.len());
    for needle in needles {
        let hits = needle.search(column, column.values().as_slice(), &rest);
        rest = rest.without(&hits);
        found = found.or(&hits);
    }
    found
}

fn list(values: &Values) -> Result<&[String]> {
    match values {
        Values::List(list) => Ok(list),
        Values::Subquery(_) => {
            Err(Error::internal("a subquery's values were not there when its filter was evaluated"))
        }
    }
}

fn is_length(text: &str, min: u64, max: u64) -> bool {
    let bytes = text.len() as u64;
    if bytes < min || bytes / 4 > max {
        return false;
    }
    let chars = text.chars().count() as u64;
    min <= chars && chars <= max
}

impl AnyOf {
    fn new(phrases: &[String]) -> Self {
        let mut any = Self {
            empty: phrases.iter().any(String::is_empty),
            needles: Vec::new(),
            by_word: HashMap::default(),
        };
        let many = phrases.len() > PHRASES_BY_WORD;
        for phrase in phrases {
            let Some(needle) = Needle::phrase(phrase) else { continue };
            match words(phrase).next().filter(|word| many && phrase.starts_with(word)) {
                Some(word) => any.by_word.entry(word.into()).or_default().push(needle),
                None => any.needles.push(needle),
            }
        }
        any
    }

    fn passes(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        if self.needles.iter().any(|needle| needle.is_in(bytes)) {
            return true;
        }
        if text.is_empty() || self.by_word.is_empty() {
            return self.empty && text.is_empty();
        }
        let mut found = false;
        for_each_word_at(text, |at, word| {
            found = found
                || self.by_word.get(word).is_some_and(|needles| {
                    needles.iter().any(|needle| {
                        bytes[at..].starts_with(needle.text()) && needle.fits(bytes, at)
                    })
                });
        });
        found
    }
}
