//! Numbers as LogsQL reads them out of texts, and as it prints them.
//!
//! A text is a number when it is an integer, a decimal (`-1.5`, `2e3`, `1_000`), a size (`1.5KiB`, `10MB`; in bytes) or a
//! duration (`1h5m`, `250ms`; in nanoseconds). `math` also understands RFC 3339 times (nanoseconds since the epoch) and IPv4
//! addresses. Everything else is not a number (`NaN`).
//!
//! A number prints without exponent, as short as it reads back; whole numbers without a point.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use arrow_array::Array;
use rookery_core::rows::{Column, dictionary_values};
use rookery_core::time;

/// Powers of ten that an `f64` holds exactly.
const EXACT_POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The digits that always fit an `f64` exactly.
const EXACT_DIGITS: usize = 15;

/// The number that a text is: an integer, a decimal, a size or a duration.
pub(crate) fn number(text: &str) -> Option<f64> {
    let first = *text.as_bytes().first()?;
    if !first.is_ascii_digit() && !matches!(first, b'-' | b'+' | b'.') {
        return None;
    }
    plain(text).or_else(|| unusual(text))
}

/// [`number`], or a time in nanoseconds since the epoch, or an IPv4 address; `NaN` for everything else.
pub(crate) fn math_number(text: &str) -> f64 {
    if let Some(value) = number(text) {
        return value;
    }
    if let Some(nanos) = rfc3339_nanos(text) {
        return nanos as f64;
    }
    text.parse::<Ipv4Addr>().map_or(f64::NAN, |ip| f64::from(u32::from(ip)))
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

#[cold]
fn unusual(text: &str) -> Option<f64> {
    if let Some(value) = other_base(text) {
        return Some(value);
    }
    let last = *text.as_bytes().last()?;
    if last.is_ascii_digit() || last == b'.' {
        if text.contains('_') {
            return text.replace('_', "").parse().ok();
        }
        return text.parse().ok();
    }
    quantity(text)
}

/// A whole number in base 16, 8 or 2: `0xff`, `0o17`, `0b101`.
fn other_base(text: &str) -> Option<f64> {
    let (prefix, digits) = text.split_at_checked(2)?;
    let base = match prefix {
        "0x" | "0X" => 16,
        "0o" | "0O" => 8,
        "0b" | "0B" => 2,
        _ => return None,
    };
    let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    u64::from_str_radix(digits, base).ok().filter(|_| plain).map(|value| value as f64)
}

/// A size or a duration: numbers, each with its unit, which add up.
fn quantity(text: &str) -> Option<f64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    let mut sizes = None;
    while !rest.is_empty() {
        let digits = rest.bytes().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'_'))?;
        let amount =
            plain(&rest[..digits]).or_else(|| rest[..digits].replace('_', "").parse().ok())?;
        rest = &rest[digits..];
        let letters = rest.bytes().position(|b| b.is_ascii_digit()).unwrap_or(rest.len());
        let (scale, is_size) = unit(&rest[..letters])?;
        if sizes.is_some_and(|sizes| sizes != is_size) {
            return None;
        }
        sizes = Some(is_size);
        total += amount * scale;
        rest = &rest[letters..];
    }
    Some(if negative { -total } else { total })
}

/// The factor of a unit, and whether it is one of sizes.
fn unit(name: &str) -> Option<(f64, bool)> {
    Some(match name {
        "ns" => (1.0, false),
        "us" | "µs" | "μs" => (1e3, false),
        "ms" => (1e6, false),
        "s" => (1e9, false),
        "m" => (60e9, false),
        "h" => (3600e9, false),
        "d" => (86_400e9, false),
        "w" => (7.0 * 86_400e9, false),
        "y" => (365.0 * 86_400e9, false),
        "B" => (1.0, true),
        "K" | "KB" => (1e3, true),
        "M" | "MB" => (1e6, true),
        "G" | "GB" => (1e9, true),
        "T" | "TB" => (1e12, true),
        "Ki" | "KiB" => (1024.0, true),
        "Mi" | "MiB" => (1_048_576.0, true),
        "Gi" | "GiB" => (1_073_741_824.0, true),
        "Ti" | "TiB" => (1_099_511_627_776.0, true),
        _ => return None,
    })
}

/// The nanoseconds of a duration, when the text is one (and not a plain number).
pub(crate) fn duration_nanos(text: &str) -> Option<f64> {
    let last = text.chars().next_back()?;
    let first = *text.as_bytes().first()?;
    if !matches!(last, 's' | 'm' | 'h' | 'd' | 'w' | 'y')
        || !(first.is_ascii_digit() || first == b'-')
    {
        return None;
    }
    quantity(text)
}

/// A whole RFC 3339 time, as nanoseconds since the epoch.
pub(crate) fn rfc3339_nanos(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' {
        return None;
    }
    if let Some(nanos) = utc_nanos(bytes) {
        return Some(nanos);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// `2026-11-21T10:00:00.123Z`, the form that is stored, without a general parser.
fn utc_nanos(bytes: &[u8]) -> Option<i64> {
    let two = |at: usize| {
        let (a, b) = (bytes.get(at)?.wrapping_sub(b'0'), bytes.get(at + 1)?.wrapping_sub(b'0'));
        (a < 10 && b < 10).then(|| u32::from(a) * 10 + u32::from(b))
    };
    if bytes[10] != b'T' || bytes[16] != b':' || bytes.last() != Some(&b'Z') {
        return None;
    }
    let year = two(0)? * 100 + two(2)?;
    let (month, day, hour, minute, second) = (two(5)?, two(8)?, two(11)?, two(14)?, two(17)?);
    let valid = (1..=12).contains(&month) && (1..=28).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 59 || !(1678..=2261).contains(&year) {
        return None;
    }
    let mut fraction = 0i64;
    if bytes.len() > 20 {
        let digits = &bytes[20..bytes.len() - 1];
        if bytes[19] != b'.' || digits.is_empty() || digits.len() > 9 {
            return None;
        }
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            fraction = (digit < 10).then(|| fraction * 10 + i64::from(digit))?;
        }
        fraction *= 10i64.pow(9 - digits.len() as u32);
    }
    let days = time::days_from_civil(i64::from(year), month, day);
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some(days * time::DAY + seconds * time::SECOND + fraction)
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
