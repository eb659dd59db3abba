//! Words: the unit of the text index and of phrase matching.
//!
//! A word is a longest run of letters, digits and `_` (Unicode). The same cut is used when a part's token filter is
//! written ([`for_each_word`]) and when a query asks it ([`required_words`]), so a phrase whose words are not all in the
//! filter cannot be in the part.
//!
//! A query may ask only for words that are complete in every text that passes: the last word of a prefix, and both ends of
//! a literal inside of a regular expression, may be pieces of longer words, and are not asked for.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::filter::{FieldName, Filter, Pattern, Test, Values};

/// The most alternatives (values of `in`, branches of a regular expression) that are asked for; with more, asking costs
/// more than it saves.
pub const ALTERNATIVES_LIMIT: usize = 1024;

const OTHER: u8 = 0;
const WORD: u8 = 1;
const WIDE: u8 = 2;

/// What each first byte of a character means: not of a word, of a word, or to be decoded.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [WIDE; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = if b.is_ascii_alphanumeric() || b == b'_' { WORD } else { OTHER };
        byte += 1;
    }
    table
}

/// Whether `c` belongs to a word.
pub fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || (!c.is_ascii() && c.is_alphanumeric())
}

/// Whether the character that ends before byte `at` of UTF-8 text belongs to a word; not at the start.
pub fn is_word_before(text: &[u8], at: usize) -> bool {
    let Some(last) = at.checked_sub(1) else { return false };
    match CLASSES[usize::from(text[last])] {
        WIDE => {
            let start = (at.saturating_sub(4)..at).rev().find(|i| text[*i] & 0xC0 != 0x80);
            let text = start.and_then(|start| std::str::from_utf8(&text[start..at]).ok());
            text.and_then(|text| text.chars().next_back()).is_some_and(is_word_char)
        }
        class => class == WORD,
    }
}

/// Whether the character that starts at byte `at` of UTF-8 text belongs to a word; not at the end.
pub fn is_word_after(text: &[u8], at: usize) -> bool {
    let Some(first) = text.get(at) else { return false };
    match CLASSES[usize::from(*first)] {
        WIDE => {
            let width = match first {
                0xF0.. => 4,
                0xE0.. => 3,
                _ => 2,
            };
            let text = text.get(at..at + width).and_then(|c| std::str::from_utf8(c).ok());
            text.and_then(|text| text.chars().next()).is_some_and(is_word_char)
        }
        class => class == WORD,
    }
}

/// The words of `text`, in order, repeats included.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word_char(c)).filter(|word| !word.is_empty())
}

/// Calls `visit` with each of [`words`], by one look-up for each byte of ASCII: for the writer of an index.
pub fn for_each_word<'a>(text: &'a str, mut visit: impl FnMut(&'a str)) {
    for_each_word_at(text, |_, word| visit(word));
}

/// As [`for_each_word`], with the byte at which the word starts.
pub(crate) fn for_each_word_at<'a>(text: &'a str, mut visit: impl FnMut(usize, &'a str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at = word_end(text, at);
        if at > start {
            visit(start, &text[start..at]);
        }
        at = next_word(text, at);
    }
}

/// The end of the run of word characters that starts at `at`.
fn word_end(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match CLASSES[usize::from(bytes[at])] {
            WORD => at += 1,
            WIDE => match text[at..].chars().next() {
                Some(c) if is_word_char(c) => at += c.len_utf8(),
                _ => break,
            },
            _ => break,
        }
    }
    at
}

/// The end of the run of other characters that starts at `at`.
fn next_word(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match CLASSES[usize::from(bytes[at])] {
            OTHER => at += 1,
            WIDE => match text[at..].chars().next() {
                Some(c) if !is_word_char(c) => at += c.len_utf8(),
                _ => break,
            },
            _ => break,
        }
    }
    at
}

/// Words that must be there for a record to pass, by field: what a query asks a token filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// Nothing is known; any data may hold a record that passes.
    Anything,
    /// No record passes.
    Nothing,
    /// The field's text holds this word, complete.
    Word {
        /// Which field, as the query names it.
        field: FieldName,
        /// Which word.
        word: String,
    },
    /// All of these.
    All(Vec<Required>),
    /// One of these.
    Any(Vec<Required>),
}

impl Required {
    /// Whether data may hold a record that passes, when `has` tells whether a field may hold a word. `has` must answer
    /// true for what it does not know.
    pub fn may_hold(&self, has: &mut dyn FnMut(&str, &str) -> bool) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => false,
            Self::Word { field, word } => has(field, word),
            Self::All(parts) => parts.iter().all(|part| part.may_hold(has)),
            Self::Any(parts) => parts.iter().any(|part| part.may_hold(has)),
        }
    }

    fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Anything => {}
                Self::Nothing => return Self::Nothing,
                Self::All(inner) => kept.extend(inner),
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Anything,
            1 => kept.swap_remove(0),
            _ => Self::All(kept),
        }
    }

    fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Anything => return Self::Anything,
                Self::Nothing => {}
                part => kept.push(part),
            }
            if kept.len() > ALTERNATIVES_LIMIT {
                return Self::Anything;
            }
        }
        match kept.len() {
            0 => Self::Nothing,
            1 => kept.swap_remove(0),
            _ => Self::Any(kept),
        }
    }
}

/// The words that a record must hold to pass `filter`.
pub fn required_words(filter: &Filter) -> Required {
    match filter {
        Filter::None => Required::Nothing,
        Filter::And(parts) => Required::all(parts.iter().map(required_words)),
        Filter::Or(parts) => Required::any(parts.iter().map(required_words)),
        Filter::Field { field, test } => required_by_test(field, test),
        Filter::All
        | Filter::Not(_)
        | Filter::Time(_)
        | Filter::DayRange { .. }
        | Filter::WeekRange { .. }
        | Filter::Stream(_)
        | Filter::StreamIds(_) => Required::Anything,
    }
}

/// The words that the text of `field` must hold to pass `test`.
pub fn required_by_test(field: &FieldName, test: &Test) -> Required {
    let whole = |text: &str| complete(field, text, Ends::COMPLETE);
    let values = |values: &Values| match values {
        Values::List(list) => Some(list.clone()),
        Values::Subquery(_) => None,
    };
    match test {
        Test::Phrase(text) | Test::Exact(text) => whole(text),
        Test::Prefix(text) | Test::ExactPrefix(text) => complete(field, text, Ends::OPEN_RIGHT),
        Test::Substring(text) => complete(field, text, Ends::OPEN),
        Test::Sequence(phrases) => Required::all(phrases.iter().map(|p| whole(p))),
        Test::Regexp(pattern) => required_by_pattern(field, pattern),
        Test::In(list) | Test::ContainsAny(list) => match values(list) {
            Some(list) => Required::any(list.iter().map(|value| whole(value))),
            None => Required::Anything,
        },
        Test::ContainsAll(list) => match values(list) {
            Some(list) => Required::all(list.iter().map(|value| whole(value))),
            None => Required::Anything,
        },
        Test::Any
        | Test::Empty
        | Test::CasePhrase(_)
        | Test::CasePrefix(_)
        | Test::Range { .. }
        | Test::StringRange { .. }
        | Test::LengthRange { .. }
        | Test::Ipv4Range { .. }
        | Test::EqualsField(_)
        | Test::LessThanField(_)
        | Test::AtMostField(_) => Required::Anything,
    }
}

/// Whether a word at the start or the end of a text is surely complete.
#[derive(Clone, Copy)]
struct Ends {
    left: bool,
    right: bool,
}

impl Ends {
    const COMPLETE: Self = Self { left: true, right: true };
    const OPEN_RIGHT: Self = Self { left: true, right: false };
    const OPEN: Self = Self { left: false, right: false };
}

fn complete(field: &FieldName, text: &str, ends: Ends) -> Required {
    let mut words = BTreeSet::new();
    for_each_word_at(text, |start, word| {
        let cut_left = start == 0 && !ends.left;
        let cut_right = start + word.len() == text.len() && !ends.right;
        if !cut_left && !cut_right {
            words.insert(word);
        }
    });
    let word = |word: &str| Required::Word { field: field.clone(), word: word.into() };
    Required::all(words.into_iter().map(word))
}

fn required_by_pattern(field: &FieldName, pattern: &Pattern) -> Required {
    match regex_syntax::parse(pattern.regex().as_str()) {
        Ok(hir) => required_by_hir(field, &hir, Ends::OPEN),
        Err(_) => Required::Anything,
    }
}

fn required_by_hir(field: &FieldName, hir: &Hir, ends: Ends) -> Required {
    match hir.kind() {
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => complete(field, text, ends),
            Err(_) => Required::Anything,
        },
        HirKind::Capture(capture) => required_by_hir(field, &capture.sub, ends),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            required_by_hir(field, &repetition.sub, Ends::OPEN)
        }
        HirKind::Concat(parts) => {
            let at = |i: usize| parts.get(i).map(Hir::kind);
            Required::all(parts.iter().enumerate().map(|(i, part)| {
                let before = i
                    .checked_sub(1)
                    .map_or(ends.left, |i| matches!(at(i), Some(HirKind::Look(Look::Start))));
                let after = match at(i + 1) {
                    None => ends.right,
                    next => matches!(next, Some(HirKind::Look(Look::End))),
                };
                required_by_hir(field, part, Ends { left: before, right: after })
            }))
        }
        HirKind::Alternation(parts) => {
            Required::any(parts.iter().map(|part| required_by_hir(field, part, ends)))
        }
        HirKind::Class(class) if matches_nothing(class) => Required::Nothing,
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(_) | HirKind::Repetition(_) => {
            Required::Anything
        }
    }
}

/// A regular expression whose matches lie within one word each, whatever stands around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithinWords {
    /// Whether a match may consist of digits alone.
    pub digits: bool,
}

/// What is known of a regular expression whose matches lie within one word each; none when they may not.
///
/// Such an expression can be asked of the pieces of a text that is cut between words.
pub fn within_words(pattern: &str) -> Option<WithinWords> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let is_some_text = hir.properties().minimum_len().is_some_and(|len| len > 0);
    let looks = !hir.properties().look_set().is_empty();
    if !is_some_text || looks || !only(&hir, is_plain_word_char) {
        return None;
    }
    Some(WithinWords { digits: may_be(&hir, |c| c.is_ascii_digit()) })
}

fn is_plain_word_char(c: char) -> bool {
    c.is_ascii() && is_word_char(c)
}

/// Whether matches consist of such characters of ASCII only.
fn only(hir: &Hir, allowed: fn(char) -> bool) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => literal.0.iter().all(|b| allowed(char::from(*b))),
        HirKind::Class(Class::Unicode(class)) => class
            .ranges()
            .iter()
            .all(|range| range.end().is_ascii() && (range.start()..=range.end()).all(allowed)),
        HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => only(&repetition.sub, allowed),
        HirKind::Capture(capture) => only(&capture.sub, allowed),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().all(|part| only(part, allowed))
        }
    }
}

/// Whether a match may consist of such characters of ASCII only.
fn may_be(hir: &Hir, of: fn(char) -> bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.iter().all(|b| of(char::from(*b))),
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().any(|range| (range.start()..=range.end().min('\u{7f}')).any(of))
        }
        HirKind::Class(Class::Bytes(_)) => true,
        HirKind::Repetition(repetition) => repetition.min == 0 || may_be(&repetition.sub, of),
        HirKind::Capture(capture) => may_be(&capture.sub, of),
        HirKind::Concat(parts) => parts.iter().all(|part| may_be(part, of)),
        HirKind::Alternation(parts) => parts.iter().any(|part| may_be(part, of)),
    }
}

fn matches_nothing(class: &Class) -> bool {
    match class {
        Class::Unicode(class) => class.ranges().is_empty(),
        Class::Bytes(class) => class.ranges().is_empty(),
    }
}

#[cfg(test)]
mod tests;
