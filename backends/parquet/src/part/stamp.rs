//! Fields that are times: RFC 3339 in UTC, as a column of timestamps.
//!
//! Only the one form is taken that [`rookery_core::time::write_rfc3339`] prints, so that the text comes back from the number: `Z`, and behind
//! the second no digits or three, as few as may be.

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, TimeUnit};
use rookery_core::time::DAY;

use super::body::cut::{clock, date};
use super::body::template::{Format, Fraction};

const MILLI: i64 = 1_000_000;

/// The type of a column of times.
pub(crate) fn data_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// A column of times, out of milliseconds since the epoch.
pub(crate) fn column(millis: &Int64Array) -> ArrayRef {
    let times = TimestampMillisecondArray::new(millis.values().clone(), millis.nulls().cloned());
    std::sync::Arc::new(times.with_timezone("UTC"))
}

/// The time of a text that prints back identically, in whole milliseconds since the epoch.
pub(crate) fn read(text: &str, print: &mut Vec<u8>) -> Option<i64> {
    let bytes = text.as_bytes();
    if !(20..=30).contains(&bytes.len()) || bytes[10] != b'T' || bytes.last() != Some(&b'Z') {
        return None;
    }
    let (end, nanos, _) = clock(bytes, 11)?;
    let time = date(bytes)?.checked_mul(DAY)?.checked_add(nanos)?;
    print.clear();
    write(time.div_euclid(MILLI), print);
    let same = end + 1 == bytes.len() && print.as_slice() == bytes;
    (same && time % MILLI == 0).then_some(time.div_euclid(MILLI))
}

/// Appends the text of a time in milliseconds since the epoch.
pub(crate) fn write(millis: i64, out: &mut Vec<u8>) {
    let digits = if millis % 1000 == 0 { 0 } else { 3 };
    let fraction = Fraction { point: b'.', digits };
    let units = if digits == 0 { millis.div_euclid(1000) } else { millis };
    Format::Stamp(fraction).print(units, 0, out);
}

/// The texts of a column of times; none when it is of another type.
pub(crate) fn texts(array: &ArrayRef) -> Option<StringArray> {
    let times = array.as_primitive_opt::<TimestampMillisecondType>()?;
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 24);
    let mut print = Vec::new();
    for time in times {
        print.clear();
        let text = time.and_then(|time| {
            write(time, &mut print);
            std::str::from_utf8(&print).ok()
        });
        texts.append_option(text);
    }
    Some(texts.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_that_print_back_are_times() {
        let mut print = Vec::new();
        for good in [
            "2026-11-21T10:17:05Z",
            "2026-11-21T10:17:05.120Z",
            "1969-12-31T23:59:59.001Z",
            "1700-01-01T00:00:00Z",
        ] {
            let time = read(good, &mut print).unwrap();
            assert_eq!(rookery_core::time::rfc3339(time * MILLI), good);
        }
        for bad in [
            "",
            "2026-11-21T10:17:05",
            "2026-11-21T10:17:05.12Z",
            "2026-11-21T10:17:05.000Z",
            "2026-11-21T10:17:05.120000Z",
            "2026-11-21T10:17:05.000001Z",
            "2026-11-21T10:17:05,120Z",
            "2026-11-21t10:17:05Z",
            "2026-11-21T10:17:60Z",
            "2026-02-29T10:17:05Z",
            "2026-11-21T10:17:05+00:00",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(read(bad, &mut print), None, "{bad}");
        }
    }
}
