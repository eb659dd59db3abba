//! logfmt: `key=value key="quoted value"`, as Go services, Heroku and logrus print it.

use super::BodyScratch;
use super::fields::Fields;
use super::json::quote_or_escape;

/// How far the first `=` may be.
const KEY_LIMIT_BYTES: usize = 64;

/// Emits the pairs of a body that consists of them. Words without `=` are let by as long as they are fewer than the
/// pairs (texts that were not quoted). False when it is no logfmt; what was emitted until then must be taken back.
pub(super) fn parse(text: &str, scratch: &mut BodyScratch, fields: &mut Fields<'_>) -> bool {
    if !starts_with_pair(text.as_bytes()) {
        return false;
    }
    fields.keyed();
    let (pairs, words) = pairs(text, scratch, fields);
    pairs >= 2 && pairs > words || pairs == 1 && words == 0
}

/// Emits the pairs of a text that starts with one, whatever else is in it. False when it does not.
pub(super) fn parse_any(text: &str, scratch: &mut BodyScratch, fields: &mut Fields<'_>) -> bool {
    let starts = starts_with_pair(text.as_bytes());
    if starts {
        pairs(text, scratch, fields);
    }
    starts
}

/// Whether the text starts with a name and `=`.
fn starts_with_pair(bytes: &[u8]) -> bool {
    for (at, &byte) in bytes.iter().take(KEY_LIMIT_BYTES).enumerate() {
        match byte {
            b'=' => return at > 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'/' | b'@' | b'$' => {}
            _ => return false,
        }
    }
    false
}

/// Emits each pair; returns how many pairs there were, and how many words that are none.
pub(super) fn pairs(
    text: &str,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> (usize, usize) {
    let bytes = text.as_bytes();
    let (mut pairs, mut words) = (0, 0);
    let mut at = 0;
    loop {
        at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if at >= bytes.len() {
            return (pairs, words);
        }
        let start = at;
        at += bytes[at..].iter().take_while(|b| **b > b' ' && !matches!(b, b'=' | b'"')).count();
        if bytes.get(at) != Some(&b'=') || at == start {
            words += 1;
            at += bytes[at..].iter().take_while(|b| **b > b' ').count();
            // A control character is a word, too.
            at += usize::from(at == start);
            continue;
        }
        let key = &text[start..at];
        at += 1;
        pairs += 1;
        if bytes.get(at) == Some(&b'"') {
            match quoted(text, at, scratch) {
                Some((value, end)) => {
                    fields.put(key, value.unwrap_or(&scratch.value));
                    at = end;
                    continue;
                }
                // A quote without an end: the value is what stands there.
                None => words += 1,
            }
        }
        let value = at;
        at += bytes[at..].iter().take_while(|b| **b > b' ').count();
        fields.put(key, &text[value..at]);
    }
}

/// The value in quotes at `at`, and where it ends; `None` in its place when it had escapes and lies in the scratch.
fn quoted<'a>(
    text: &'a str,
    at: usize,
    scratch: &mut BodyScratch,
) -> Option<(Option<&'a str>, usize)> {
    let bytes = text.as_bytes();
    let start = at + 1;
    let mut end = start;
    let mut escaped = false;
    loop {
        end += quote_or_escape(bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            break;
        }
        escaped = true;
        end += 2;
    }
    let raw = &text[start..end];
    if !escaped {
        return Some((Some(raw), end + 1));
    }
    // What is no escape of JSON (`\x1b`, `\'`) is kept as it was printed.
    if super::json::unescape(raw, &mut scratch.value).is_none() {
        return Some((Some(raw), end + 1));
    }
    Some((None, end + 1))
}
