//! Time as Rookery keeps it: nanoseconds since the Unix epoch, UTC, in an `i64` (1677 to 2262).

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Nanoseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Nanoseconds in a day.
pub const DAY: i64 = 24 * HOUR;

/// A span of time, `start` included, `end` excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first nanosecond inside.
    pub start: i64,
    /// The first nanosecond after.
    pub end: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// What both hold; empty when they do not meet.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let start = self.start.max(other.start);
        Self { start, end: self.end.min(other.end).max(start) }
    }

    /// Whether no instant is inside.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether `time` is inside.
    pub fn contains(self, time: i64) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether any instant of `first..=last` is inside.
    pub fn overlaps(self, first: i64, last: i64) -> bool {
        first < self.end && last >= self.start
    }
}

/// Now, in nanoseconds since the epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// Writes `time` as RFC 3339 in UTC with as many digits of a second as it has: none, 3, 6 or 9.
pub fn write_rfc3339(out: &mut String, time: i64) {
    let (days, of_day) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    let (seconds, nanos) = (of_day / SECOND, of_day % SECOND);
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    let _ = match nanos {
        0 => Ok(()),
        n if n % 1_000_000 == 0 => write!(out, ".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => write!(out, ".{:06}", n / 1_000),
        n => write!(out, ".{n:09}"),
    };
    out.push('Z');
}

/// `time` as RFC 3339 in UTC; see [`write_rfc3339`].
pub fn rfc3339(time: i64) -> String {
    let mut out = String::with_capacity(30);
    write_rfc3339(&mut out, time);
    out
}

/// The civil date of a count of days since 1970-01-01, proleptic Gregorian.
///
/// Counts in 400-year eras that start in March, so that the leap day is the last of its year.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * from_march + 2) / 5 + 1) as u32;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The days since 1970-01-01 of a civil date; the inverse of [`civil_from_days`].
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A time as people and programs write it in a query parameter: RFC 3339 (also partial: a year, month, day, hour
/// or minute), Unix seconds, milliseconds, microseconds or nanoseconds (told apart by size, fractions of seconds
/// allowed), `now`, or a duration before now (`-5m`, `5m`, `now-5m`).
///
/// Returns the span that the text names: one nanosecond for a full time, the whole day for `2026-11-21`.
///
/// # Errors
/// `invalid`, naming the forms that are understood.
pub fn parse_time(text: &str, now: i64) -> Result<TimeRange> {
    let point = |start: i64| TimeRange { start, end: start.saturating_add(1) };
    let text = text.trim();
    if text == "now" {
        return Ok(point(now));
    }
    if let Some(ago) = text.strip_prefix("now-").or_else(|| text.strip_prefix('-')) {
        return Ok(point(now.saturating_sub(parse_duration(ago)?)));
    }
    if let Some(ahead) = text.strip_prefix("now+") {
        return Ok(point(now.saturating_add(parse_duration(ahead)?)));
    }
    if text.len() > 4 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(point(epoch(text.parse().unwrap_or(i64::MAX))));
    }
    if text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let seconds: f64 = text.parse().map_err(|_| not_a_time(text))?;
        return Ok(point((seconds * 1e9) as i64));
    }
    if let Ok(duration) = parse_duration(text)
        && !text.bytes().all(|b| b.is_ascii_digit())
    {
        return Ok(point(now.saturating_sub(duration)));
    }
    partial_rfc3339(text).ok_or_else(|| not_a_time(text))
}

fn not_a_time(text: &str) -> Error {
    Error::invalid(format!(
        "{text:?} is not a time: write RFC 3339 (2026-11-21T10:00:00Z or a shorter part of it), \
         Unix time (s, ms, µs, ns), now, or a duration ago (5m, now-1h)"
    ))
}

/// Unix time of any unit, told apart by its size, as nanoseconds.
pub fn epoch(number: i64) -> i64 {
    match number.unsigned_abs() {
        0..100_000_000_000 => number.saturating_mul(SECOND),
        100_000_000_000..100_000_000_000_000 => number.saturating_mul(1_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => number.saturating_mul(1_000),
        _ => number,
    }
}

fn partial_rfc3339(text: &str) -> Option<TimeRange> {
    if let Ok(time) = text.parse::<Timestamp>() {
        let start = i64::try_from(time.as_nanosecond()).ok()?;
        let clock = text.split_once(['T', 't', ' ']).map_or("", |(_, clock)| clock);
        let zone = clock.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.');
        let width = match zone.unwrap_or(clock.len()) {
            0..=2 => HOUR,
            3..=5 => MINUTE,
            6..=8 => SECOND,
            _ => 1,
        };
        return Some(TimeRange { start, end: start.saturating_add(width) });
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).map_or((text, None), |(d, c)| (d, Some(c)));
    let mut parts = date.split('-').map(str::parse::<u32>);
    let year = i64::from(parts.next()?.ok()?);
    let month = parts.next().transpose().ok()?;
    let day = parts.next().transpose().ok()?;
    if parts.next().is_some() || date.len() < 4 || year > 2261 {
        return None;
    }
    let valid = |value: u32, low: u32, high: u32| (low..=high).contains(&value).then_some(value);
    let midnight = |y: i64, m: u32, d: u32| days_from_civil(y, m, d).checked_mul(DAY);
    let (start, end) = match (month, day, clock) {
        (None, None, None) => (midnight(year, 1, 1)?, midnight(year + 1, 1, 1)?),
        (Some(m), None, None) => {
            let m = valid(m, 1, 12)?;
            let (y2, m2) = if m == 12 { (year + 1, 1) } else { (year, m + 1) };
            (midnight(year, m, 1)?, midnight(y2, m2, 1)?)
        }
        (Some(m), Some(d), clock) => {
            let start = midnight(year, valid(m, 1, 12)?, valid(d, 1, 31)?)?;
            match clock {
                None => (start, start + DAY),
                Some(clock) => {
                    let (offset, width) = clock_span(clock)?;
                    (start + offset, start + offset + width)
                }
            }
        }
        _ => return None,
    };
    Some(TimeRange { start, end })
}

/// The offset into the day and the width of `10`, `10:30`, `10:30:05` or `10:30:05.25`.
fn clock_span(clock: &str) -> Option<(i64, i64)> {
    let mut parts = clock.split(':');
    let hour: i64 = parts.next()?.parse().ok().filter(|h| (0..24).contains(h))?;
    let Some(minute) = parts.next() else { return Some((hour * HOUR, HOUR)) };
    let minute: i64 = minute.parse().ok().filter(|m| (0..60).contains(m))?;
    let base = hour * HOUR + minute * MINUTE;
    let Some(second) = parts.next() else { return Some((base, MINUTE)) };
    let seconds: f64 = second.parse().ok().filter(|s| (0.0..61.0).contains(s))?;
    let width = if second.contains('.') { 1 } else { SECOND };
    parts.next().is_none().then_some((base + (seconds * 1e9).round() as i64, width))
}

/// A duration as LogsQL and Prometheus write it: `5m`, `1h30m`, `1.5d`, `250ms`; units `ns us µs ms s m h d w y`.
/// In nanoseconds. A bare number is seconds.
///
/// # Errors
/// `invalid`, naming the units.
pub fn parse_duration(text: &str) -> Result<i64> {
    let wrong = || {
        Error::invalid(format!(
            "{text:?} is not a duration: write a number and a unit of ns us ms s m h d w y, as in 5m or 1h30m"
        ))
    };
    let (negative, mut rest) = match text.trim().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim()),
    };
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" | "" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => 7 * DAY,
            "y" => 365 * DAY,
            _ => return Err(wrong()),
        };
        total += number * unit as f64;
        rest = &rest[letters..];
    }
    if total > i64::MAX as f64 {
        return Err(wrong());
    }
    Ok(if negative { -(total as i64) } else { total as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_dates_go_both_ways() {
        for days in (-800_000..800_000).step_by(97) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
    }

    #[test]
    fn times_print_with_the_digits_they_have() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_500_000_000), "1970-01-01T00:00:01.500Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn a_short_time_names_its_whole_span() {
        let now = 1_000 * SECOND;
        let cases = [
            ("1970-01-02", DAY, DAY),
            ("1970-01-02T03", DAY + 3 * HOUR, HOUR),
            ("1970-01-02T03Z", DAY + 3 * HOUR, HOUR),
            ("1970-01-02T03:00+02:00", DAY + HOUR, MINUTE),
            ("1970-01-01T00:01Z", MINUTE, MINUTE),
            ("1970-01-01T00:00:01Z", SECOND, SECOND),
            ("1970-01-01T00:00:01.5Z", SECOND + SECOND / 2, 1),
            ("1970-01-01T02:00:01+02:00", SECOND, SECOND),
            ("1970-02", 31 * DAY, 28 * DAY),
            ("now-5m", now - 5 * MINUTE, 1),
            ("10s", now - 10 * SECOND, 1),
            ("1700000000", 1_700_000_000 * SECOND, 1),
            ("1700000000123", 1_700_000_000_123_000_000, 1),
        ];
        for (text, start, width) in cases {
            let got = parse_time(text, now).unwrap();
            assert_eq!((got.start, got.end - got.start), (start, width), "{text}");
        }
        assert!(parse_time("yesterday", now).is_err());
        assert!(parse_time("1970-13-01", now).is_err());
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(parse_duration("1h30m").unwrap(), 90 * MINUTE);
        assert_eq!(parse_duration("1.5s").unwrap(), SECOND + SECOND / 2);
        assert_eq!(parse_duration("-2d").unwrap(), -2 * DAY);
        assert!(parse_duration("5 parsecs").is_err());
        assert!(parse_duration("").is_err());
    }
}
