//! A test over the forms in which a column may come: a dictionary is tested once for each entry, a number as a number.

use arrow_array::types::UInt32Type;
use arrow_array::{Array, DictionaryArray, FixedSizeBinaryArray};

use super::matcher::Matcher;
use super::number;
use super::selection::Selection;
use crate::rows::{Column, dictionary_values};
use crate::{logs, time};

/// The rows of `live` whose text in `column` passes.
pub(super) fn select(matcher: &Matcher, column: &Column, live: &Selection) -> Selection {
    let mut scratch = String::new();
    if live.is_empty() {
        return live.clone();
    }
    match (matcher, column) {
        (Matcher::Always(pass), _) => live.keep_if(*pass),
        (_, Column::Const { value, .. }) => live.keep_if(matcher.passes(value, &mut scratch)),
        (_, Column::Text(a)) => matcher.select(a, live),
        (_, Column::Dict(a)) => select_dictionary(matcher, a, live),
        (_, Column::Severity(a)) => {
            let mut passes = [matcher.passes("", &mut scratch); 256];
            for (severity, pass) in passes.iter_mut().enumerate().take(25).skip(1) {
                *pass = matcher.passes(logs::severity_name(severity as u8), &mut scratch);
            }
            let empty = passes[0];
            live.keep(|row| if a.is_valid(row) { passes[usize::from(a.value(row))] } else { empty })
        }
        (Matcher::Empty(empty), _) => live.keep(|row| is_empty(column, row) == *empty),
        (Matcher::Number { min, max }, Column::Int(a)) => {
            numbers(live, *min, *max, |row| a.is_valid(row).then(|| a.value(row) as f64))
        }
        (Matcher::Number { min, max }, Column::UInt(a)) => {
            numbers(live, *min, *max, |row| a.is_valid(row).then(|| a.value(row) as f64))
        }
        (Matcher::Number { min, max }, Column::Time(a)) => {
            numbers(live, *min, *max, |row| a.is_valid(row).then(|| a.value(row) as f64))
        }
        (Matcher::Exact(text), Column::Int(a)) if is_canonical(text) => {
            let want: Option<i64> = text.parse().ok();
            live.keep(|row| a.is_valid(row) && want == Some(a.value(row)))
        }
        (Matcher::Exact(text), Column::UInt(a)) if is_canonical(text) => {
            let want: Option<u64> = text.parse().ok();
            live.keep(|row| a.is_valid(row) && want == Some(a.value(row)))
        }
        _ => select_printed(matcher, column, live),
    }
}

fn numbers(
    live: &Selection,
    min: f64,
    max: f64,
    value: impl Fn(usize) -> Option<f64>,
) -> Selection {
    live.keep(|row| value(row).is_some_and(|n| min <= n && n <= max))
}

/// Whether a text is a whole number as a column prints it: no sign but `-`, no zero in front.
fn is_canonical(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text == "0" || digits.starts_with(|c: char| c.is_ascii_digit() && c != '0')
}

fn is_empty(column: &Column, row: usize) -> bool {
    match column {
        Column::Const { value, .. } => value.is_empty(),
        Column::Text(a) => a.is_null(row) || a.value_length(row) == 0,
        Column::Dict(a) => match a.key(row) {
            Some(key) => dictionary_values(a).value_length(key) == 0,
            None => true,
        },
        Column::Int(a) => a.is_null(row),
        Column::UInt(a) => a.is_null(row),
        Column::Time(a) => a.is_null(row),
        Column::Severity(a) => a.is_null(row) || logs::severity_name(a.value(row)).is_empty(),
        Column::Hex(a) => a.is_null(row) || a.value_length() == 0,
    }
}

fn select_dictionary(
    matcher: &Matcher,
    column: &DictionaryArray<UInt32Type>,
    live: &Selection,
) -> Selection {
    let entries = dictionary_values(column);
    let mut scratch = String::new();
    let empty = matcher.passes("", &mut scratch);
    let entry_text = |key: usize| if entries.is_null(key) { "" } else { entries.value(key) };
    if entries.len() > live.count() {
        return live.keep(|row| match column.key(row) {
            Some(key) => matcher.passes(entry_text(key), &mut scratch),
            None => empty,
        });
    }
    let passes = matcher.select(entries, &Selection::all(entries.len()));
    if passes.is_empty() && (!empty || column.null_count() == 0) {
        return Selection::none(live.len());
    }
    if passes.is_all() && (empty || column.null_count() == 0) {
        return live.clone();
    }
    let (passes, keys) = (passes.into_bits(), column.keys());
    if keys.null_count() == 0 {
        let keys = keys.values();
        return live.keep(|row| passes.value(keys[row] as usize));
    }
    live.keep(|row| column.key(row).map_or(empty, |key| passes.value(key)))
}

/// The slow way: each value is printed and tested as text. Runs of one value are tested once.
fn select_printed(matcher: &Matcher, column: &Column, live: &Selection) -> Selection {
    let (mut text, mut scratch) = (String::new(), String::new());
    let mut last: Option<(usize, bool)> = None;
    live.keep(|row| {
        if let Some((before, pass)) = last
            && same(column, before, row)
        {
            return pass;
        }
        let pass = matcher.passes(print(column, row, &mut text), &mut scratch);
        last = Some((row, pass));
        pass
    })
}

/// Whether two rows of a printed column surely hold the same value.
fn same(column: &Column, a: usize, b: usize) -> bool {
    match column {
        Column::Int(c) => c.is_valid(a) && c.is_valid(b) && c.value(a) == c.value(b),
        Column::UInt(c) => c.is_valid(a) && c.is_valid(b) && c.value(a) == c.value(b),
        Column::Time(c) => c.is_valid(a) && c.is_valid(b) && c.value(a) == c.value(b),
        Column::Hex(c) => c.is_valid(a) && c.is_valid(b) && c.value(a) == c.value(b),
        _ => false,
    }
}

/// The text of a row.
fn print<'a>(column: &'a Column, row: usize, text: &'a mut String) -> &'a str {
    match column {
        Column::Hex(a) if a.is_valid(row) => {
            text.clear();
            push_hex(a, row, text);
            text
        }
        _ => column.text(row, text),
    }
}

fn push_hex(column: &FixedSizeBinaryArray, row: usize, text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in column.value(row) {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The rows of `live` whose time passes; a text is read as RFC 3339, what is not a time does not pass.
pub(super) fn select_time(
    column: &Column,
    live: &Selection,
    pass: impl Fn(i64) -> bool,
) -> Selection {
    match column {
        Column::Time(a) if a.null_count() == 0 => {
            let times = a.values();
            live.keep(|row| pass(times[row]))
        }
        Column::Time(a) => live.keep(|row| a.is_valid(row) && pass(a.value(row))),
        Column::Const { value, .. } => live.keep_if(number::parse_rfc3339(value).is_some_and(pass)),
        _ => {
            let mut scratch = String::new();
            live.keep(|row| {
                number::parse_rfc3339(column.text(row, &mut scratch)).is_some_and(&pass)
            })
        }
    }
}

/// How two fields of a record are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    AtMost,
}

/// The rows of `live` where the comparison of two fields holds.
pub(super) fn select_compared(
    comparison: Comparison,
    a: &Column,
    b: &Column,
    live: &Selection,
) -> Selection {
    let (mut left, mut right) = (String::new(), String::new());
    live.keep(|row| compare(comparison, print(a, row, &mut left), print(b, row, &mut right)))
}

/// Equal as text; less as numbers when both are, else as text.
fn compare(comparison: Comparison, a: &str, b: &str) -> bool {
    if comparison == Comparison::Equal {
        return a == b;
    }
    if let Some(x) = number::parse(a)
        && let Some(y) = number::parse(b)
    {
        return if comparison == Comparison::Less { x < y } else { x <= y };
    }
    if comparison == Comparison::Less { a < b } else { a <= b }
}

/// The time of day, in nanoseconds since midnight, of a shifted time.
pub(super) fn time_of_day(time: i64, offset: i64) -> i64 {
    (i128::from(time) + i128::from(offset)).rem_euclid(i128::from(time::DAY)) as i64
}

/// The day of the week of a shifted time, 0 for Sunday; the epoch was a Thursday.
pub(super) fn day_of_week(time: i64, offset: i64) -> u8 {
    let days = (i128::from(time) + i128::from(offset)).div_euclid(i128::from(time::DAY));
    (days + 4).rem_euclid(7) as u8
}
