//! Numbers as LogsQL reads them out of texts, and as it prints them.
//!
//! A text is a number when it is an integer, a decimal (`-1.5`, `2e3`, `1_000`), a size (`1.5KiB`, `10MB`; in bytes) or a
//! duration (`1h5m`, `250ms`; in nanoseconds). `math` also understands RFC 3339 times (nanoseconds since the epoch) and IPv4
//! addresses. Everything else is not a number (`NaN`). What a text is, filters and pipes read alike
//! ([`rookery_core::filter::eval::number`]); here is only a shorter way for the usual ones.
//!
//! A number prints without exponent, as short as it reads back; whole numbers without a point.

use std::fmt::Write as _;

use arrow_array::Array;
use rookery_core::filter::eval::number as texts;
use rookery_core::rows::{Column, dictionary_values};
use rookery_core::time;

/// Powers of ten that an `f64` holds exactly.
const EXACT_POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The digits that always fit an `f64` exactly.
const EXACT_DIGITS: usize = 15;

/// The number that a text is: an integer, a decimal, a size or a duration. Words like `inf` are none.
pub(crate) fn number(text: &str) -> Option<f64> {
    match text.as_bytes() {
        [b'0'..=b'9' | b'.', ..] | [b'-' | b'+', b'0'..=b'9' | b'.', ..] => {
            plain(text).or_else(|| texts::plain(text))
        }
        _ => None,
    }
}

/// [`number`], or a time in nanoseconds since the epoch, or an IPv4 address; `NaN` for everything else.
pub(crate) fn math_number(text: &str) -> f64 {
    number(text)
        .or_else(|| texts::parse_rfc3339(text).map(|nanos| nanos as f64))
        .or_else(|| texts::parse_ipv4(text).map(f64::from))
        .unwrap_or(f64::NAN)
}

/// Digits with at most one point and at most [`EXACT_DIGITS`] of them: what nearly every number in a log is.
fn plain(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() || digits.len() > EXACT_DIGITS + 1 {
        return None;
    }
    let (mut whole, mut count, mut fraction) = (0u64, 0usize, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                whole = whole * 10 + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if fraction.is_none() && at > 0 => fraction = Some(count),
            _ => return None,
        }
    }
    if count == 0 || count > EXACT_DIGITS || fraction == Some(count) {
        return None;
    }
    let scale = EXACT_POWERS[fraction.map_or(0, |point| count - point)];
    let value = whole as f64 / scale;
    Some(if negative { -value } else { value })
}

/// The nanoseconds of a duration, when the text is one (and not a plain number).
pub(crate) fn duration_nanos(text: &str) -> Option<f64> {
    // The units of sizes end in other letters.
    let is_duration = text.ends_with(['s', 'm', 'h', 'd', 'w', 'y']);
    if is_duration { number(text) } else { None }
}

/// A whole RFC 3339 time, as nanoseconds since the epoch.
pub(crate) fn rfc3339_nanos(text: &str) -> Option<i64> {
    texts::parse_rfc3339(text)
}

/// Writes a number as LogsQL prints it.
pub(crate) fn write_number(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value.trunc() == value && value.abs() < 9e15 {
        let _ = write!(out, "{}", value as i64);
    } else {
        let _ = write!(out, "{value}");
    }
}

/// Writes nanoseconds as a duration: `1h5m`, `3m30.5s`, `12µs345ns`.
pub(crate) fn write_duration(out: &mut String, nanos: i64) {
    if nanos == 0 {
        out.push('0');
        return;
    }
    if nanos < 0 {
        out.push('-');
    }
    let mut rest = nanos.unsigned_abs();
    let units: [(u64, &str); 4] = [
        (7 * time::DAY as u64, "w"),
        (time::DAY as u64, "d"),
        (time::HOUR as u64, "h"),
        (time::MINUTE as u64, "m"),
    ];
    for (size, name) in units {
        if rest >= size {
            let _ = write!(out, "{}{name}", rest / size);
            rest %= size;
        }
    }
    if rest >= time::SECOND as u64 {
        let (seconds, fraction) = (rest / time::SECOND as u64, rest % time::SECOND as u64);
        let _ = write!(out, "{seconds}");
        if fraction > 0 {
            let digits = format!("{fraction:09}");
            let _ = write!(out, ".{}", digits.trim_end_matches('0'));
        }
        out.push('s');
        return;
    }
    for (size, name) in [(1_000_000, "ms"), (1_000, "µs"), (1, "ns")] {
        if rest >= size {
            let _ = write!(out, "{}{name}", rest / size);
            rest %= size;
        }
    }
}

/// The number in each row of a column into `out` (emptied first); `NaN` where there is none. A dictionary's entries are parsed
/// once, whole numbers are not parsed at all.
pub(crate) fn column_numbers(column: &Column, parse: fn(&str) -> f64, out: &mut Vec<f64>) {
    out.clear();
    match column {
        Column::Const { value, len } => out.resize(*len, parse(value)),
        Column::Int(a) if a.null_count() == 0 => out.extend(a.values().iter().map(|v| *v as f64)),
        Column::UInt(a) if a.null_count() == 0 => out.extend(a.values().iter().map(|v| *v as f64)),
        Column::Int(a) => out.extend(a.iter().map(|v| v.map_or(f64::NAN, |v| v as f64))),
        Column::UInt(a) => out.extend(a.iter().map(|v| v.map_or(f64::NAN, |v| v as f64))),
        Column::Dict(a) => {
            let entries: Vec<f64> =
                dictionary_values(a).iter().map(|v| v.map_or(f64::NAN, parse)).collect();
            out.extend(a.keys().iter().map(|k| k.map_or(f64::NAN, |k| entries[k as usize])));
        }
        Column::Text(a) => out.extend(a.iter().map(|v| v.map_or(f64::NAN, parse))),
        other => {
            let mut scratch = String::new();
            out.extend((0..other.len()).map(|row| parse(other.text(row, &mut scratch))));
        }
    }
}

/// [`number`], `NaN` when there is none.
pub(crate) fn number_or_nan(text: &str) -> f64 {
    number(text).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbers_with_and_without_units() {
        let cases = [
            ("0", 0.0),
            ("-1", -1.0),
            ("12.50", 12.5),
            ("1_000", 1000.0),
            ("123456789012345678", 123_456_789_012_345_680.0),
            ("2e3", 2000.0),
            ("1.5KiB", 1536.0),
            ("1MiB500KiB200B", 1_560_776.0),
            ("0xff", 255.0),
            ("10MB", 1e7),
            ("1h5m", 3900e9),
            ("-1.5ms", -1.5e6),
            ("12µs345ns", 12_345.0),
        ];
        for (text, want) in cases {
            assert_eq!(number(text), Some(want), "{text}");
        }
        for text in [
            "", "foo", "1foo", "NaN", "inf", "-inf", "1k", "1h5KB", "1.2.3", "-", "1 s", "0xfg",
            "0x",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn math_reads_times_and_addresses() {
        assert_eq!(math_number("1970-01-01T00:00:01Z"), 1e9);
        assert_eq!(math_number("1970-01-01T02:00:01+02:00"), 1e9);
        assert_eq!(math_number("0.0.1.0"), 256.0);
        assert!(math_number("x").is_nan());
        assert_eq!(rfc3339_nanos("1970-01-01T00:00:00.5Z"), Some(500_000_000));
        assert_eq!(rfc3339_nanos("2024-02-29T00:00:00Z"), Some(1_709_164_800_000_000_000));
        assert_eq!(rfc3339_nanos("2023-02-29T00:00:00Z"), None);
    }

    #[test]
    fn numbers_print_short_and_durations_in_their_units() {
        let cases = [
            (3.0, "3"),
            (-12.34, "-12.34"),
            (12.6, "12.6"),
            (f64::NAN, "NaN"),
            (1e21, "1000000000000000000000"),
            (0.1 + 0.2, "0.30000000000000004"),
        ];
        for (value, want) in cases {
            let mut out = String::new();
            write_number(&mut out, value);
            assert_eq!(out, want);
        }
        let cases = [
            (0, "0"),
            (-1, "-1ns"),
            (12_345, "12µs345ns"),
            (123_456_789, "123ms456µs789ns"),
            (12_345_678_901, "12.345678901s"),
            (1_234_567_890_123_457, "2w6h56m7.890123457s"),
        ];
        for (value, want) in cases {
            let mut out = String::new();
            write_duration(&mut out, value);
            assert_eq!(out, want);
        }
    }
}
