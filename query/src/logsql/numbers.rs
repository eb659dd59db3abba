//! Numbers as a query writes them: `1_000`, `-1.5e3`, `0x1f`, `10KiB`, `5m`, `12.34.56.78`, a time.

use rookery_core::time;

/// Units of bytes. The longest names are first where one ends another.
const SIZES: [(&str, f64); 16] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
];

/// A number: plain, with a unit of bytes, or a duration (which becomes nanoseconds).
pub(super) fn parse_number(text: &str) -> Option<f64> {
    if let Some(number) = parse_plain(text) {
        return Some(number);
    }
    for (unit, factor) in SIZES {
        if let Some(number) = text.strip_suffix(unit) {
            return parse_plain(number).filter(|n| n.is_finite()).map(|n| n * factor);
        }
    }
    if let Some(number) = text.strip_suffix('B').and_then(parse_plain) {
        return Some(number);
    }
    time::parse_duration(text).ok().map(|nanos| nanos as f64)
}

/// What an operand of `math` may be: also a time in RFC 3339 (nanoseconds) and an IPv4 address.
pub(super) fn parse_operand(text: &str) -> Option<f64> {
    parse_number(text)
        .or_else(|| parse_ipv4(text).map(f64::from))
        .or_else(|| parse_instant(text).map(|nanos| nanos as f64))
}

/// An IPv4 address.
pub(super) fn parse_ipv4(text: &str) -> Option<u32> {
    text.parse::<std::net::Ipv4Addr>().ok().map(u32::from)
}

/// An address, or a network as `10.0.0.0/8`: first and last address.
pub(super) fn parse_network(text: &str) -> Option<(u32, u32)> {
    let Some((address, bits)) = text.split_once('/') else {
        return parse_ipv4(text).map(|address| (address, address));
    };
    let address = parse_ipv4(address)?;
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
    let host = u32::MAX.checked_shr(bits).unwrap_or(0);
    Some((address & !host, address | host))
}

/// A whole number, 0 or more.
pub(super) fn parse_count(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    if let Ok(count) = digits.parse() {
        return Some(count);
    }
    let number = parse_number(text)?;
    // Beyond 2^53 a float no longer knows every whole number.
    (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number))
        .then_some(number as u64)
}

/// Whether the text is a number without a unit.
pub(super) fn is_plain_number(text: &str) -> bool {
    parse_plain(text).is_some()
}

fn parse_plain(text: &str) -> Option<f64> {
    let clean = if text.contains('_') { text.replace('_', "") } else { text.to_owned() };
    let unsigned = clean.trim_start_matches(['-', '+']);
    let sign = if clean.starts_with('-') { -1.0 } else { 1.0 };
    if clean.len() - unsigned.len() > 1 {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0b", 2), ("0o", 8)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(|n| sign * n as f64);
        }
    }
    if unsigned.eq_ignore_ascii_case("inf") {
        return Some(sign * f64::INFINITY);
    }
    let number_like = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if number_like { clean.parse().ok() } else { None }
}

fn parse_instant(text: &str) -> Option<i64> {
    let dated = text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    dated.then(|| super::times::parse_span(text, 0)).flatten().map(|span| span.start)
}

/// A number as text that reads back as the same number.
pub(super) fn print_number(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e18).contains(&size) {
        format!("{number:e}")
    } else {
        format!("{number}")
    }
}

/// A duration as text: the largest unit that divides it.
pub(super) fn print_duration(nanos: i64) -> String {
    let units = [
        ("w", 7 * time::DAY),
        ("d", time::DAY),
        ("h", time::HOUR),
        ("m", time::MINUTE),
        ("s", time::SECOND),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    for (name, unit) in units {
        if nanos != 0 && nanos % unit == 0 {
            return format!("{}{name}", nanos / unit);
        }
    }
    format!("{nanos}ns")
}
