//! The log format of the Kubernetes container runtime interface: `<RFC 3339 time> <stdout|stderr> <tags> <message>`,
//! where the first of the tags, which are separated by `:`, is `P` (partial) or `F` (full). The layout is in the
//! Kubernetes design document "CRI: dockershim, container log".

use super::{Frame, Output, Text};
use crate::decode::time::form;
use rookery_core::time::{DAY, days_from_civil};

/// The shortest line: `2016-10-06T00:17:09Z stdout F `, whose last space may be missing.
const SHORTEST: usize = 29;

/// Takes the wrapping off a line; `None` when it is not in the format.
#[inline]
pub(super) fn parse(line: &[u8]) -> Option<Frame> {
    if line.len() < SHORTEST {
        return None;
    }
    let (time, length) = time(line)?;
    let rest = line.get(length..)?;
    let output = match rest.first_chunk::<8>()? {
        b" stdout " => Output::Stdout,
        b" stderr " => Output::Stderr,
        _ => return None,
    };
    let tags = rest.get(8..)?;
    let partial = match *tags.first()? {
        b'F' => false,
        b'P' => true,
        _ => return None,
    };
    let end = match tags.get(1) {
        Some(b' ') => 2,
        None => 1,
        Some(b':') => memchr::memchr(b' ', tags).map_or(tags.len(), |at| at + 1),
        _ => return None,
    };
    let text = Text::Line(length + 8 + end..line.len());
    Some(Frame { time: Some(time), output, partial, text, framed: true })
}

/// The time at the start of a line that is in UTC, and its length; others by the general reader.
#[inline]
fn time(line: &[u8]) -> Option<(i64, usize)> {
    let date = number::<4>(line, 0)?;
    let (month, day) = (number::<2>(line, 5)?, number::<2>(line, 8)?);
    let (hour, minute, second) =
        (number::<2>(line, 11)?, number::<2>(line, 14)?, number::<2>(line, 17)?);
    let separators = [line[4], line[7], line[10], line[13], line[16]];
    let valid = separators == *b"--T::"
        && (1970..2262).contains(&date)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let mut end = 19;
    let mut nanos = 0i64;
    if line[19] == b'.' {
        end = 20;
        while let Some(digit) = line.get(end).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            if end >= 29 {
                return None;
            }
            nanos = nanos * 10 + i64::from(digit);
            end += 1;
        }
        const SCALE: [i64; 10] =
            [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
        nanos *= SCALE[end - 20];
    }
    if line.get(end) != Some(&b'Z') {
        return with_offset(line);
    }
    let days = days_from_civil(i64::from(date), month, day);
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some((days * DAY + seconds * 1_000_000_000 + nanos, end + 1))
}

/// `2016-10-06T00:17:09.669794202+02:00`, as CRI-O prints it.
fn with_offset(line: &[u8]) -> Option<(i64, usize)> {
    let stamp = form::read(form::Form::Iso, line)?;
    let form::What::Civil { year: Some(year), month, day, of_day, offset: Some(offset) } =
        stamp.what
    else {
        return None;
    };
    let local = days_from_civil(i64::from(year), month, day) * DAY + of_day;
    Some((local - i64::from(offset) * 1_000_000_000, stamp.len))
}

#[inline]
fn number<const N: usize>(line: &[u8], at: usize) -> Option<u32> {
    let digits = line.get(at..)?.first_chunk::<N>()?;
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u32::from(digit);
    }
    Some(value)
}
