//! What a test of a text is in SQL.
//!
//! `text` is always an expression of type `String` (or a dictionary of these) that is never NULL; the bytes are UTF-8. The server
//! compares texts by their bytes, as the reference does.

use rookery_core::filter::{Test, Values};
use rookery_core::tokens::is_word_char;

use super::bounds::{Bounds, Sql};
use super::number;
use super::params::{PARAMETER_LIMIT_BYTES, Params};
use super::pattern;

/// The most lists that the values of one `in` are cut into.
const LISTS_LIMIT: usize = 64;

/// The most phrases of `contains_any`, `contains_all` and `seq` that a server is asked for.
const PHRASES_LIMIT: usize = 64;

/// The bounds of a test of one text; a comparison with another field is not known.
pub(crate) fn bounds(params: &mut Params, text: &str, test: &Test) -> Bounds {
    match test {
        Test::Any => Bounds::of(format_args!("{text} != ''")),
        Test::Empty => empty(text),
        Test::Exact(want) => is_one_of(params, text, std::slice::from_ref(want)),
        Test::In(values) => with_list(values, |list| is_one_of(params, text, list)),
        Test::ExactPrefix(prefix) => starts_with(params, text, prefix),
        Test::Substring(part) => contains(params, text, part),
        Test::Phrase(phrase) => words(params, text, phrase, true),
        Test::Prefix(prefix) => words(params, text, prefix, false),
        Test::CasePhrase(phrase) => folded(params, text, phrase, true),
        Test::CasePrefix(prefix) => folded(params, text, prefix, false),
        Test::ContainsAll(values) => with_list(values, |list| {
            let kept = list.iter().filter(|phrase| !phrase.is_empty());
            all_phrases(params, text, kept)
        }),
        Test::ContainsAny(values) => with_list(values, |list| any_phrase(params, text, list)),
        Test::Sequence(phrases) => {
            let kept = phrases.iter().filter(|phrase| !phrase.is_empty());
            let all = all_phrases(params, text, kept);
            match phrases.len() {
                0 | 1 => all,
                _ => Bounds::at_most(all.upper),
            }
        }
        Test::Regexp(pattern) => regexp(params, text, pattern.regex().as_str()),
        Test::Range { min, max } => number::range(params, text, *min, *max),
        Test::Ipv4Range { min, max } => number::ipv4_range(params, text, *min, *max),
        Test::StringRange { min, max } => between(params, text, min, max),
        Test::LengthRange { min, max } => {
            let (min, max) = (int(params, *min), int(params, *max));
            Bounds::of(format_args!("lengthUTF8({text}) BETWEEN {min} AND {max}"))
        }
        Test::EqualsField(_) | Test::LessThanField(_) | Test::AtMostField(_) => Bounds::UNKNOWN,
    }
}

fn int(params: &mut Params, number: u64) -> String {
    params.int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn with_list(values: &Values, of: impl FnOnce(&[String]) -> Bounds) -> Bounds {
    match values {
        Values::List(list) => of(list),
        Values::Subquery(_) => Bounds::UNKNOWN,
    }
}

fn fits(text: &str) -> bool {
    text.len() <= PARAMETER_LIMIT_BYTES
}

fn empty(text: &str) -> Bounds {
    Bounds::of(format_args!("{text} = ''"))
}

/// Equal to one of the values; many are cut into several lists.
fn is_one_of(params: &mut Params, text: &str, values: &[String]) -> Bounds {
    let mut lists: Vec<&[String]> = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, value) in values.iter().enumerate() {
        let size = value.len() + 3;
        if !fits(value) {
            return Bounds::UNKNOWN;
        }
        if bytes + size > PARAMETER_LIMIT_BYTES {
            lists.push(&values[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    lists.push(&values[start..]);
    if lists.len() > LISTS_LIMIT {
        return Bounds::UNKNOWN;
    }
    let any = lists.into_iter().map(|list| match list {
        [] => Sql::False,
        [one] if one.is_empty() => Sql::new(format_args!("{text} = ''")),
        [one] => Sql::new(format_args!("{text} = {}", params.text(one))),
        list => {
            let list = params.texts(list.iter().map(String::as_str));
            Sql::new(format_args!("{text} IN {list}"))
        }
    });
    Bounds::exact(Sql::any(any.collect()))
}

fn starts_with(params: &mut Params, text: &str, prefix: &str) -> Bounds {
    match prefix {
        "" => Bounds::always(true),
        _ if !fits(prefix) => Bounds::UNKNOWN,
        _ => Bounds::of(format_args!("startsWith({text}, {})", params.text(prefix))),
    }
}

fn contains(params: &mut Params, text: &str, part: &str) -> Bounds {
    match part {
        "" => Bounds::always(true),
        _ if !fits(part) => Bounds::UNKNOWN,
        _ => Bounds::of(format_args!("position({text}, {}) > 0", params.text(part))),
    }
}

fn between(params: &mut Params, text: &str, min: &str, end: &str) -> Bounds {
    if !fits(min) || !fits(end) {
        return Bounds::UNKNOWN;
    }
    let (min, end) = (params.text(min), params.text(end));
    Bounds::of(format_args!("{text} >= {min} AND {text} < {end}"))
}

/// A phrase, or the start of one (`whole` is false): found where no word goes on over its ends.
fn words(params: &mut Params, text: &str, phrase: &str, whole: bool) -> Bounds {
    if phrase.is_empty() {
        return if whole { empty(text) } else { empty(text).not() };
    }
    let before = phrase.starts_with(is_word_char);
    let after = whole && phrase.ends_with(is_word_char);
    // Asked first: in a text without the phrase, looking for it costs half of what the pattern does.
    let found = contains(params, text, phrase);
    if !before && !after {
        return found;
    }
    match pattern::words(phrase, before, after) {
        Some(words) => {
            let (ascii, any) = (params.text(&words.ascii), params.text(&words.any));
            let ends = Bounds::of(format_args!(
                "match({text}, {ascii}) OR (length({text}) != lengthUTF8({text}) AND match({text}, {any}))"
            ));
            Bounds::all(vec![found, ends])
        }
        None => Bounds::at_most(found.upper),
    }
}

/// The same, letters compared without case; `phrase` is in lower case.
///
/// Of the characters that are not ASCII, two fold to ones that are: the Kelvin sign, and the capital I with a dot. With these
/// replaced, lowering the bytes of ASCII is enough to find a phrase of ASCII. In another phrase only its ASCII is looked for.
fn folded(params: &mut Params, text: &str, phrase: &str, whole: bool) -> Bounds {
    let folded =
        format!("lower(replaceAll(replaceAll({text}, '\u{212A}', 'k'), '\u{130}', 'i\u{307}'))");
    if phrase.is_ascii() {
        return words(params, &folded, &phrase.to_ascii_lowercase(), whole);
    }
    let pieces = phrase.split(|c: char| !c.is_ascii()).filter(|piece| !piece.is_empty());
    match pieces.max_by_key(|piece| piece.len()) {
        None => Bounds::at_most(empty(text).not().upper),
        Some(piece) => {
            Bounds::at_most(contains(params, &folded, &piece.to_ascii_lowercase()).upper)
        }
    }
}

fn all_phrases<'a>(
    params: &mut Params,
    text: &str,
    phrases: impl Iterator<Item = &'a String>,
) -> Bounds {
    let mut parts = Vec::new();
    for phrase in phrases {
        if parts.len() == PHRASES_LIMIT {
            return Bounds::at_most(Bounds::all(parts).upper);
        }
        parts.push(words(params, text, phrase, true));
    }
    Bounds::all(parts)
}

fn any_phrase(params: &mut Params, text: &str, phrases: &[String]) -> Bounds {
    if phrases.len() > PHRASES_LIMIT {
        return Bounds::UNKNOWN;
    }
    Bounds::any(phrases.iter().map(|phrase| words(params, text, phrase, true)).collect())
}

/// A part of the text matches.
pub(crate) fn regexp(params: &mut Params, text: &str, pattern: &str) -> Bounds {
    let Some(re2) = pattern::regexp(pattern) else { return Bounds::UNKNOWN };
    let matches = Bounds::of(format_args!("match({text}, {})", params.text(&re2.text)));
    if re2.exact { matches } else { Bounds::at_most(matches.upper) }
}
