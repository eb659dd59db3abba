//! The order of values, as bytes that compare like the values do.
//!
//! LogsQL sorts naturally: numbers by size (also with units), times by time, other texts by their parts, runs of digits as
//! numbers (`v1.9` before `v1.10`). Here that is one total order: the empty text first, then numbers, then times, then texts.
//! A value's *key* is a byte string whose order is that of the values, prefix-free so that keys of several fields
//! are put one after the other, and inverted bit by bit for a descending field.

use arrow_array::Array;
use rookery_core::rows::Column;

use super::number;

const EMPTY: u8 = 1;
const NUMBER: u8 = 2;
const TIME: u8 = 3;
const TEXT: u8 = 4;

/// Appends the key of `text` to `out`.
pub(crate) fn push_key(out: &mut Vec<u8>, text: &str, descending: bool) {
    let start = out.len();
    if text.is_empty() {
        out.push(EMPTY);
    } else if let Some(value) = number::number(text) {
        push_number(out, value);
        push_natural(out, text);
    } else if let Some(nanos) = number::rfc3339_nanos(text) {
        push_time(out, nanos);
    } else {
        out.push(TEXT);
        push_natural(out, text);
    }
    invert(&mut out[start..], descending);
}

/// Appends the key of the text of one row, without making the text where the form of the column allows it.
pub(crate) fn push_row_key(
    out: &mut Vec<u8>,
    column: &Column,
    row: usize,
    descending: bool,
    scratch: &mut String,
) {
    match column {
        Column::Time(a) if a.is_valid(row) => {
            let start = out.len();
            push_time(out, a.value(row));
            invert(&mut out[start..], descending);
        }
        _ => push_key(out, column.text(row, scratch), descending),
    }
}

/// Appends bytes of a fixed width, as they are (or inverted): the ties after a time.
pub(crate) fn push_fixed(out: &mut Vec<u8>, bytes: &[u8], descending: bool) {
    let start = out.len();
    out.extend_from_slice(bytes);
    invert(&mut out[start..], descending);
}

fn push_number(out: &mut Vec<u8>, value: f64) {
    let bits = value.to_bits();
    // The usual order-preserving form: a negative number's bits are inverted, a positive one's sign is set.
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.push(NUMBER);
    out.extend_from_slice(&ordered.to_be_bytes());
}

fn push_time(out: &mut Vec<u8>, nanos: i64) {
    out.push(TIME);
    out.extend_from_slice(&((nanos as u64) ^ 1 << 63).to_be_bytes());
}

/// A run of digits becomes `0`, the count of its digits without leading zeros, and these digits, so that a longer number is
/// larger; other bytes stay; the end is 0, and a 0 inside is made 0 255.
fn push_natural(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        if !byte.is_ascii_digit() {
            out.push(*byte);
            if *byte == 0 {
                out.push(255);
            }
            rest = tail;
            continue;
        }
        let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let zeros = rest[..end].iter().position(|b| *b != b'0').unwrap_or(end);
        let digits = &rest[zeros..end];
        out.push(b'0');
        out.extend_from_slice(&(digits.len().min(65_535) as u16).to_be_bytes());
        out.extend_from_slice(digits);
        // Of equal numbers the one with fewer leading zeros is first.
        out.push(zeros.min(255) as u8);
        rest = &rest[end..];
    }
    out.extend_from_slice(&[0, 0]);
}

fn invert(bytes: &mut [u8], descending: bool) {
    if descending {
        for byte in bytes {
            *byte = !*byte;
        }
    }
}

/// The key of one value.
pub(crate) fn key(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 12);
    push_key(&mut out, text, false);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_order_naturally_and_totally() {
        let sorted = [
            "",
            "-12.5",
            "1",
            "2",
            "10",
            "123",
            "1.5KB",
            "10KiB",
            "1ms",
            "100ms",
            "1.5s",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.5Z",
            "Abc",
            "a",
            "a\0",
            "a1",
            "a01",
            "a2",
            "a10",
            "ab",
            "v1.9.0",
            "v1.10.9",
            "v1.10.10",
        ];
        for pair in sorted.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
            let (mut a, mut b) = (Vec::new(), Vec::new());
            push_key(&mut a, pair[0], true);
            push_key(&mut b, pair[1], true);
            assert!(a > b, "descending {pair:?}");
        }
    }

    #[test]
    fn keys_of_several_fields_do_not_run_into_each_other() {
        let two = |a: &str, b: &str| {
            let mut out = key(a);
            push_key(&mut out, b, false);
            out
        };
        assert!(two("a", "z") < two("ab", "a"));
        assert!(two("", "z") < two("a", "a"));
        assert!(two("a\0", "a") > two("a", "b"));
    }
}
