//! Numbers as a query writes them: `1_000`, `-1.5e3`, `0x1f`, `10KiB`, `5m`, `12.34.56.78`, a time.
//!
//! They are read by the reader that filters use for a record's text, so that both sides of a comparison mean the same.

use rookery_core::filter::eval::number;
use rookery_core::time;

pub(super) use number::{parse as parse_operand, parse_ipv4, plain as parse_number};

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

/// Whether the text is a number without a unit: what is no duration.
pub(super) fn is_plain_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
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
