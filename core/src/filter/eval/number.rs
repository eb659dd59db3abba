//! Numbers as a record's text holds them, read without allocation.
//!
//! A text is a number when the whole of it is one of: a decimal (`-12`, `1_000`, `0.5`, `1e9`, `inf`), an integer with
//! a base (`0x1f`, `0b101`, `0o17`), a duration (`1h30m`, `2.5ms`; its value is nanoseconds), a size in bytes
//! (`10KB`, `1.5GiB`), a time in RFC 3339 (nanoseconds since the epoch) or an IPv4 address (its 32 bits). This is how
//! LogsQL's reference reads a field in `range`, in comparisons and in `math`.

use crate::time::{self, DAY, HOUR, MINUTE, SECOND};

/// The longest text that is read as a decimal with `_` in it, in bytes.
const DECIMAL_LIMIT_BYTES: usize = 64;

/// The number that a text is, see the module; none when it is something else.
pub fn parse(text: &str) -> Option<f64> {
    let first = text.bytes().find(|b| !matches!(b, b'-' | b'+'))?;
    if !matches!(first, b'0'..=b'9' | b'.' | b'i' | b'I') {
        return None;
    }
    plain(text).or_else(|| parse_rfc3339(text).map(|t| t as f64)).or_else(|| {
        let address = parse_ipv4(text)?;
        Some(f64::from(address))
    })
}

/// A decimal, an integer with a base, a duration or a size; neither a time nor an address.
pub fn plain(text: &str) -> Option<f64> {
    digits(text).or_else(|| decimal(text)).or_else(|| with_units(text)).or_else(|| with_base(text))
}

/// `-123`, up to 18 digits: what nearly all numbers in logs are.
fn digits(text: &str) -> Option<f64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -(value as f64) } else { value as f64 })
}

fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("inf") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let numeric = |b: u8| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' | b'_');
    if !unsigned.bytes().all(numeric)
        || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
    {
        return None;
    }
    if !text.contains('_') {
        return text.parse().ok();
    }
    let mut buffer = [0u8; DECIMAL_LIMIT_BYTES];
    let mut used = 0;
    for byte in text.bytes().filter(|b| *b != b'_') {
        *buffer.get_mut(used)? = byte;
        used += 1;
    }
    std::str::from_utf8(&buffer[..used]).ok()?.parse().ok()
}

const DURATIONS: [(&str, i64); 10] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
    ("d", DAY),
    ("w", 7 * DAY),
    ("y", 365 * DAY),
];

const SIZES: [(&str, i64); 17] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

fn with_units(text: &str) -> Option<f64> {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let total = sum(rest, &DURATIONS).or_else(|| sum(rest, &SIZES))?;
    Some(if rest.len() < text.len() { -total } else { total })
}

/// The sum of parts that each are a decimal and one of the units.
fn sum(mut rest: &str, units: &[(&str, i64)]) -> Option<f64> {
    let mut total = 0f64;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
        let number = decimal(&rest[..end])?;
        rest = &rest[end..];
        let (name, unit) = units.iter().find(|(name, _)| rest.starts_with(name))?;
        total += (number * *unit as f64).trunc();
        rest = &rest[name.len()..];
        if rest.is_empty() {
            return Some(total);
        }
    }
}

fn with_base(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let base = match unsigned.get(..2)? {
        "0x" | "0X" => 16,
        "0b" | "0B" => 2,
        "0o" | "0O" => 8,
        _ => return None,
    };
    let digits = &unsigned[2..];
    if digits.starts_with('+') {
        return None;
    }
    let value = u64::from_str_radix(digits, base).ok()? as f64;
    Some(if text.starts_with('-') { -value } else { value })
}

/// An IPv4 address in dotted decimals, as a number; its whole text.
pub fn parse_ipv4(text: &str) -> Option<u32> {
    if !(7..=15).contains(&text.len()) {
        return None;
    }
    let mut address = 0u32;
    let mut octets = 0;
    for part in text.split('.') {
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let octet = part.bytes().fold(0u32, |n, b| n * 10 + u32::from(b - b'0'));
        if octet > 255 {
            return None;
        }
        address = address << 8 | octet;
        octets += 1;
    }
    (octets == 4).then_some(address)
}

/// A full time in RFC 3339 as nanoseconds since the epoch: `2026-11-21T10:00:00.5+02:00`; its whole text. A space may
/// stand for the `T`, and a time without a zone is in UTC.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 19
        || bytes[4] != b'-'
        || bytes[7] != b'-'
        || bytes[13] != b':'
        || bytes[16] != b':'
    {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let field = |from: usize, to: usize, low: i64, high: i64| {
        let value = whole(&bytes[from..to])?;
        (low..=high).contains(&value).then_some(value)
    };
    let (year, month, day) = (field(0, 4, 0, 9999)?, field(5, 7, 1, 12)?, field(8, 10, 1, 31)?);
    let seconds = field(11, 13, 0, 23)? * 3600 + field(14, 16, 0, 59)? * 60 + field(17, 19, 0, 60)?;
    let (nanos, rest) = fraction(&bytes[19..])?;
    let zone = zone_seconds(rest)?;
    let days = time::days_from_civil(year, month as u32, day as u32);
    if time::civil_from_days(days) != (year, month as u32, day as u32) {
        return None;
    }
    (days * 86_400 + seconds - zone).checked_mul(SECOND)?.checked_add(nanos)
}

fn whole(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// The nanoseconds of `.123`, and what follows; digits after the ninth are dropped.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.' | b',', rest @ ..] = bytes else { return Some((0, bytes)) };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let nanos = whole(&rest[..count.min(9)])? * 10i64.pow(9 - count.min(9) as u32);
    Some((nanos, &rest[count..]))
}

/// The seconds that a zone is ahead of UTC.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [a, b, b':', c, d] | [a, b, c, d] => (whole(&[*a, *b])?, whole(&[*c, *d])?),
        [a, b] => (whole(&[*a, *b])?, 0),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_number_and_which() {
        let cases = [
            ("0", 0.0),
            ("-0", 0.0),
            ("-12", -12.0),
            ("007", 7.0),
            ("1_234_567", 1_234_567.0),
            ("1.234_567", 1.234567),
            ("0.1", 0.1),
            ("-0.000001", -0.000001),
            (".5", 0.5),
            ("+3", 3.0),
            ("1e3", 1000.0),
            ("1.5E-3", 0.0015),
            ("18446744073709551616", 18446744073709551616.0),
            ("99999999999999999999999999999999", 1e32),
            ("inf", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
            ("0x1F", 31.0),
            ("0b101", 5.0),
            ("0o17", 15.0),
            ("-0x10", -16.0),
            ("5s", 5e9),
            ("1h30m", 5_400e9),
            ("2.5ms", 2_500_000.0),
            ("10µs", 10_000.0),
            ("-1m", -60e9),
            ("1w2d", 9.0 * 86_400e9),
            ("10KB", 10_000.0),
            ("1.5KiB", 1536.0),
            ("2M", 2e6),
            ("3Gi", 3.0 * f64::from(1 << 30)),
            ("512B", 512.0),
            ("1.2.3.4", 16_909_060.0),
            ("255.255.255.255", 4_294_967_295.0),
            ("1970-01-01T00:00:01Z", 1e9),
            ("1970-01-01T02:00:00.5+02:00", 5e8),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number() {
        let cases = [
            "",
            "-",
            "+",
            ".",
            "_",
            "abc",
            "1a",
            "1 ",
            " 1",
            "--1",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.1234",
            "0x",
            "0xg",
            "0x+1",
            "5 s",
            "1KB5",
            "1s5",
            "nan",
            "NaN",
            "infinity",
            "5parsecs",
            "1-2",
            "2024-02-30T00:00:00Z",
            "2024-01-01",
            "e5",
            "۵",
            "1h30",
            "in",
            "i",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for time in [0, 1, -1, SECOND, 1_700_000_000_123_456_789, -5_000_000_000_000_000_001] {
            assert_eq!(parse_rfc3339(&crate::time::rfc3339(time)), Some(time));
        }
        assert_eq!(parse_rfc3339("2024-02-29 12:00:00"), Some(1_709_208_000 * SECOND));
        assert_eq!(
            parse_rfc3339("2024-02-29T12:00:00.1234567899-0530"),
            Some(1_709_227_800_123_456_789)
        );
        for bad in [
            "2024-02-29T12:00:00+",
            "2024-02-29T12:00:00.Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T12:00:00 x",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
