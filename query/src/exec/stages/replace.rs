//! `replace`, `replace_regexp`, `collapse_nums`, `decolorize`: one field's text rewritten.

use rookery_core::Result;
use rookery_core::filter::Filter;
use rookery_core::rows::Rows;

use super::selection;
use crate::exec::columns::{self, Assign};
use crate::exec::pipeline::Stage;
use crate::logsql::ast;

fn rewrite(
    rows: &mut Rows,
    field: &str,
    condition: Option<&Filter>,
    map: &mut dyn FnMut(&str, &mut String),
) -> Result<()> {
    let Some(source) = rows.column(field) else { return Ok(()) };
    let selection = selection(condition, rows)?;
    let column = columns::map_text(source, map)?;
    let rule = Assign { selection: selection.as_ref(), ..Assign::default() };
    columns::assign(rows, field, column, rule)
}

/// `replace`.
pub(crate) struct Replace(pub ast::Replace);

impl Stage for Replace {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let Self(pipe) = self;
        let finder = memchr::memmem::Finder::new(pipe.old.as_bytes());
        let limit = pipe.limit.unwrap_or(u64::MAX) as usize;
        rewrite(&mut rows, &pipe.field, pipe.condition.as_ref(), &mut |text, out| {
            let mut from = 0;
            if !pipe.old.is_empty() {
                for at in finder.find_iter(text.as_bytes()).take(limit) {
                    out.push_str(&text[from..at]);
                    out.push_str(&pipe.new);
                    from = at + pipe.old.len();
                }
            }
            out.push_str(&text[from..]);
        })?;
        Ok(rows)
    }
}

/// `replace_regexp`.
pub(crate) struct ReplaceRegexp(pub ast::ReplaceRegexp);

impl Stage for ReplaceRegexp {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let Self(pipe) = self;
        let limit = pipe.limit.unwrap_or(u64::MAX) as usize;
        let regex = pipe.pattern.regex();
        rewrite(&mut rows, &pipe.field, pipe.condition.as_ref(), &mut |text, out| {
            let mut from = 0;
            for found in regex.captures_iter(text).take(limit) {
                let whole = found.get_match();
                out.push_str(&text[from..whole.start()]);
                found.expand(&pipe.replacement, out);
                from = whole.end();
            }
            out.push_str(&text[from..]);
        })?;
        Ok(rows)
    }
}

/// `collapse_nums`.
pub(crate) struct CollapseNumbers {
    /// In which field.
    pub field: std::sync::Arc<str>,
    /// Only for these rows.
    pub condition: Option<Filter>,
    /// Whether known runs get a name.
    pub prettify: bool,
}

impl Stage for CollapseNumbers {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let mut collapsed = String::new();
        rewrite(&mut rows, &self.field, self.condition.as_ref(), &mut |text, out| {
            if self.prettify {
                collapsed.clear();
                collapse(text, &mut collapsed);
                prettify(&collapsed, out);
            } else {
                collapse(text, out);
            }
        })?;
        Ok(rows)
    }
}

/// Whether a run of hex digits without a decimal digit is long enough to be a number: shorter ones are words (`be`, `dead` is not).
const HEX_WORD_MIN: usize = 4;

/// Replaces numbers by `<N>`. A number is a run of decimal digits; or one of hex digits (after `0x`, or of at least
/// [`HEX_WORD_MIN`]) that is a whole word. Letters after decimal digits, as a unit, stay (`1.34s`).
fn collapse(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_hexdigit()
            || at > 0 && is_word(bytes[at - 1]) && !ends_number(bytes, at)
        {
            at += 1;
            continue;
        }
        match number_end(bytes, at) {
            Some(end) => {
                out.push_str(&text[copied..at]);
                out.push_str("<N>");
                at = end;
                copied = end;
            }
            None => {
                while at < bytes.len() && is_word(bytes[at]) {
                    at += 1;
                }
            }
        }
    }
    out.push_str(&text[copied..]);
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether the digit at `at` may start a number although a word character is before it: after the `T` of a time.
fn ends_number(bytes: &[u8], at: usize) -> bool {
    bytes[at].is_ascii_digit() && bytes[at - 1] == b'T' && at > 1 && bytes[at - 2].is_ascii_digit()
}

fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let run = |from: usize, test: fn(&u8) -> bool| {
        bytes[from..].iter().position(|b| !test(b)).map_or(bytes.len(), |n| from + n)
    };
    let free = |end: usize| bytes.get(end).is_none_or(|b| !is_word(*b));
    if bytes[start..].starts_with(b"0x") || bytes[start..].starts_with(b"0X") {
        let end = run(start + 2, u8::is_ascii_hexdigit);
        return (end > start + 2 && free(end)).then_some(end);
    }
    let hex = run(start, u8::is_ascii_hexdigit);
    let decimal = run(start, u8::is_ascii_digit);
    if free(hex) && (hex - start >= HEX_WORD_MIN || decimal == hex) {
        return Some(hex);
    }
    if decimal == start {
        return None;
    }
    // A unit, or the T and Z of a time, may follow; a longer word makes it an identifier.
    let letters = run(decimal, u8::is_ascii_alphabetic);
    let unit = matches!(
        &bytes[decimal..letters],
        b"s" | b"ms"
            | b"us"
            | b"ns"
            | b"m"
            | b"h"
            | b"d"
            | b"w"
            | b"y"
            | b"T"
            | b"Z"
            | b"B"
            | b"K"
            | b"KB"
            | b"M"
            | b"MB"
            | b"G"
            | b"GB"
            | b"TB"
            | b"Ki"
            | b"KiB"
            | b"Mi"
            | b"MiB"
            | b"Gi"
            | b"GiB"
            | b"TiB"
    );
    unit.then_some(decimal)
}

/// What runs of `<N>` are known as, longer ones first.
const KNOWN: [(&str, &str); 8] = [
    ("<N>-<N>-<N>-<N>-<N>", "<UUID>"),
    ("<N>.<N>.<N>.<N>", "<IP4>"),
    ("<N>-<N>-<N>T<N>:<N>:<N>", "<DATETIME>"),
    ("<N>-<N>-<N> <N>:<N>:<N>", "<DATETIME>"),
    ("<N>/<N>/<N> <N>:<N>:<N>", "<DATETIME>"),
    ("<N>:<N>:<N>", "<TIME>"),
    ("<N>-<N>-<N>", "<DATE>"),
    ("<N>/<N>/<N>", "<DATE>"),
];

fn prettify(text: &str, out: &mut String) {
    let mut rest = text;
    'text: while let Some(at) = rest.find("<N>") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        for (pattern, name) in KNOWN {
            let Some(mut after) = rest.strip_prefix(pattern) else { continue };
            if name == "<TIME>" || name == "<DATETIME>" {
                after = after.strip_prefix(".<N>").or(after.strip_prefix(",<N>")).unwrap_or(after);
            }
            if name == "<DATETIME>" {
                let zones = ["Z", "+<N>:<N>", "-<N>:<N>", "+<N>", "-<N>"];
                after = zones.iter().find_map(|zone| after.strip_prefix(zone)).unwrap_or(after);
            }
            out.push_str(name);
            rest = after;
            continue 'text;
        }
        out.push_str("<N>");
        rest = &rest[3..];
    }
    out.push_str(rest);
}

/// `decolorize`.
pub(crate) struct Decolorize(pub std::sync::Arc<str>);

impl Stage for Decolorize {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        rewrite(&mut rows, &self.0, None, &mut decolorize)?;
        Ok(rows)
    }
}

/// Leaves out the control sequences of ECMA-48 section 5.4: `ESC [`, parameters, and one final byte.
fn decolorize(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&rest[..at]);
        let sequence = &rest[at + 2..];
        let end = sequence.bytes().position(|b| !(0x20..0x40).contains(&b));
        rest = match end {
            Some(end) if sequence.is_char_boundary(end + 1) => &sequence[end + 1..],
            Some(end) => &sequence[end..],
            None => "",
        };
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_collapse_and_get_names() {
        let collapsed = |text: &str| {
            let mut out = String::new();
            collapse(text, &mut out);
            out
        };
        let pretty = |text: &str| {
            let mut out = String::new();
            prettify(&collapsed(text), &mut out);
            out
        };
        let cases = [
            ("", ""),
            ("foo", "foo"),
            ("abc", "abc"),
            ("deadbeef", "<N>"),
            ("ыва", "ыва"),
            ("0", "<N>"),
            ("1234567890", "<N>"),
            ("0x1fA", "<N>"),
            ("a_bc_def", "a_bc_def"),
            ("x86 foo123 v1", "x86 foo123 v1"),
            (
                "2024-10-20T12:34:56Z request duration 1.34s",
                "<N>-<N>-<N>T<N>:<N>:<N>Z request duration <N>.<N>s",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(collapsed(text), want, "{text}");
        }
        let line =
            "2edfed59-3e98-4073-bbb2-28d321ca71a7 - [2024/12/08 15:21:02] 10.71.20.32 GET /foo 200";
        assert_eq!(pretty(line), "<UUID> - [<DATETIME>] <IP4> GET /foo <N>");
        assert_eq!(pretty("2004-10-12T43:23:12.123Z abc:345"), "<DATETIME> abc:<N>");
        assert_eq!(pretty("at 10:20:30,5 on 1/2/3"), "at <TIME> on <DATE>");
    }

    #[test]
    fn colours_go() {
        let mut out = String::new();
        decolorize("\u{1b}[1;31mred\u{1b}[0m ünd \u{1b}[", &mut out);
        assert_eq!(out, "red ünd ");
    }
}
