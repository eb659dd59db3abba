//! Finds the time that a line says, and makes it an instant.
//!
//! [`form`] reads the forms in which times are printed. A [`Finder`] looks for one in a line: where the last line of
//! the stream had it, and only if that fails, at each word of the line's start. A [`Clock`] makes an instant of what was
//! printed: it adds the configured zone, and the year where none is printed.
//!
//! **Which one counts.** A time with its year wins over a bare Unix time, that wins over a time without a year. Once a
//! stream's place of the time is known, a time further right is part of the message, not the record's time.
//!
//! **The year** that is not printed is the first in which the time is not before the record ahead of it (for the first
//! record: the first time of its file), and not after the time of reading; so it is right over New Year, and the same
//! whenever the file is read.

pub(crate) mod form;

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use rookery_core::time::{DAY, SECOND, days_from_civil};

use super::config::{TimeConfig, TimeFormat};
use form::{Form, Stamp, What};

/// The time that a text says, for instance the head of a message of syslog or the value of a field; in nanoseconds since
/// the epoch. `now` is when it was received: a time without a year is the last one that is not after it.
pub fn time_of(config: &TimeConfig, text: &str, now: i64) -> Option<i64> {
    let mut clock = Clock::new(config.zone.get());
    clock.set(now, None);
    Finder::default().find(text.as_bytes(), config, &mut clock).map(|found| found.time)
}

/// How far a clock may be ahead of the reader's, and lines out of order, when a year is inferred.
const SLACK: i64 = 2 * DAY;

/// Makes instants of printed times. It remembers the last one, for the year of the next.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    zone: TimeZone,
    /// A quarter of an hour of local time, and its offset from UTC in seconds: offsets change at no other instants.
    quarter: (i64, i64),
    /// Times without a year are about this or later.
    reference: Option<i64>,
    /// Times without a year are not later than this.
    now: i64,
}

impl Clock {
    /// A clock for times of that zone.
    pub(crate) fn new(zone: &TimeZone) -> Self {
        Self { zone: zone.clone(), quarter: (i64::MIN, 0), reference: None, now: 0 }
    }

    /// Says when the lines are read, and the time near or after which they were printed, if it is known.
    pub(crate) fn set(&mut self, now: i64, reference: Option<i64>) {
        self.now = now;
        self.reference = reference.or(self.reference);
    }

    /// The instant of a printed time.
    pub(crate) fn instant(&mut self, stamp: &Stamp) -> Option<i64> {
        match stamp.what {
            What::Instant(nanos) => Some(nanos),
            What::Civil { year: Some(year), month, day, of_day, offset } => {
                self.civil((i64::from(year), month, day), of_day, offset)
            }
            What::Civil { year: None, month, day, of_day, offset } => {
                self.infer((month, day), of_day, offset)
            }
        }
    }

    fn civil(
        &mut self,
        (year, month, day): (i64, u32, u32),
        of_day: i64,
        offset: Option<i32>,
    ) -> Option<i64> {
        let local = days_from_civil(year, month, day).checked_mul(DAY)?.checked_add(of_day)?;
        let offset = offset.map_or_else(|| self.offset_at(local), i64::from);
        local.checked_sub(offset * SECOND)
    }

    /// The zone's offset in seconds at a local time.
    fn offset_at(&mut self, local: i64) -> i64 {
        const QUARTER: i64 = 15 * 60 * SECOND;
        let quarter = local.div_euclid(QUARTER);
        if self.quarter.0 != quarter {
            self.quarter = (quarter, zone_offset(&self.zone, local));
        }
        self.quarter.1
    }

    fn infer(&mut self, (month, day): (u32, u32), of_day: i64, offset: Option<i32>) -> Option<i64> {
        let reference = self.reference.unwrap_or(self.now);
        let limit = self.now.max(reference).saturating_add(SLACK);
        let (around, ..) = rookery_core::time::civil_from_days(reference.div_euclid(DAY));
        let leap_day = (month, day) == (2, 29);
        // Eight years hold a leap day, also around a century that has none.
        let reach = if leap_day { 8 } else { 1 };
        let mut latest = None;
        for year in around - reach..=around + reach {
            if leap_day && !(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) {
                continue;
            }
            // A zone is some hours, which is within the slack; it is looked up for the year that counts.
            let time = days_from_civil(year, month, day).checked_mul(DAY)?.checked_add(of_day)?;
            if time > limit {
                break;
            }
            latest = Some(year);
            if time >= reference.saturating_sub(SLACK) && self.reference.is_some() {
                break;
            }
        }
        self.civil((latest?, month, day), of_day, offset)
    }
}

fn zone_offset(zone: &TimeZone, local: i64) -> i64 {
    let seconds = local.div_euclid(SECOND);
    let (year, month, day) = rookery_core::time::civil_from_days(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let civil = DateTime::new(
        i16::try_from(year).unwrap_or(1970),
        month as i8,
        day as i8,
        (of_day / 3_600) as i8,
        (of_day / 60 % 60) as i8,
        (of_day % 60) as i8,
        0,
    );
    let timestamp = civil.ok().and_then(|civil| zone.to_timestamp(civil).ok());
    timestamp.map_or(0, |t| seconds - t.as_second())
}

/// A time found in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// In nanoseconds since the epoch.
    pub time: i64,
    /// Whether it has digits below a second.
    pub subsecond: bool,
    /// The first byte behind it.
    pub end: usize,
}

/// Where in a line the time was, the last time.
#[derive(Debug, Clone, Copy)]
struct Place {
    form: Form,
    offset: usize,
    /// How many words were ahead of it.
    word: usize,
}

/// How far into a line a time is looked for. Names of hosts and files may stand ahead of it.
const WINDOW: usize = 192;
/// How many words may stand ahead of a time.
const WORDS: usize = 24;
/// How many words may stand ahead of a bare number that is taken for a time.
const EPOCH_WORDS: usize = 5;

/// Finds the times of one stream's lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finder {
    place: Option<Place>,
}

impl Finder {
    /// The time that a line says.
    pub(crate) fn find(
        &mut self,
        line: &[u8],
        config: &TimeConfig,
        clock: &mut Clock,
    ) -> Option<Found> {
        if let Some(found) = config.formats.iter().find_map(|f| custom(f, line, clock)) {
            return Some(found);
        }
        if let Some(found) = self.remembered(line, clock) {
            return Some(found);
        }
        let (place, stamp) = scan(line, self.place.map(|p| p.word))?;
        let time = clock.instant(&stamp)?;
        self.place = Some(place);
        Some(Found { time, subsecond: stamp.subsecond, end: place.offset + stamp.len })
    }

    fn remembered(&self, line: &[u8], clock: &mut Clock) -> Option<Found> {
        let Place { form, offset, .. } = self.place?;
        let rest = line.get(offset..)?;
        if offset > 0 && !is_separator(line[offset - 1]) {
            return None;
        }
        // A bare number and a time without a year are only right where nothing better stands in the line.
        if form == Form::Epoch && form::guess(rest) != Some(Form::Epoch) {
            return None;
        }
        let stamp = form::read(form, rest)?;
        let time = clock.instant(&stamp)?;
        Some(Found { time, subsecond: stamp.subsecond, end: offset + stamp.len })
    }
}

/// What some programs put at the start of a file of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn is_separator(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t'
            | b'['
            | b']'
            | b'('
            | b'{'
            | b'<'
            | b'>'
            | b'|'
            | b'"'
            | b'\''
            | b'='
            | b','
            | b';'
            | b'*'
    )
}

/// Looks for a time at each word of the line's start; `known` is how many words are ahead of it in other lines.
fn scan(line: &[u8], known: Option<usize>) -> Option<(Place, Stamp)> {
    let window = &line[..line.len().min(WINDOW)];
    let words = known.map_or(WORDS, |known| known + 2);
    let mut bare = None;
    let mut at = 0;
    for word in 0..words {
        let Some(start) = word_start(window, at) else { break };
        at = start;
        if let Some(form) = form::guess(&line[at..])
            && (form != Form::Klog || at == 0)
            && let Some(stamp) = form::read(form, &line[at..])
        {
            let place = Place { form, offset: at, word };
            match (form, &bare) {
                (Form::Epoch, _) if at == 0 => return Some((place, stamp)),
                (Form::Epoch, None) if word < EPOCH_WORDS && stands_alone(line, at, &stamp) => {
                    bare = Some((place, stamp));
                }
                (Form::Epoch, _) => {}
                (_, Some(_)) if !stamp.is_full() => return bare,
                _ => return Some((place, stamp)),
            }
        }
        let Some(length) = window[at..].iter().position(|&b| is_separator(b) || b == 0x1b) else {
            break;
        };
        at += length;
    }
    bare
}

/// Whether a number is a word of its own, or the time of an audit record (`audit(1700000000.123:456)`).
fn stands_alone(line: &[u8], at: usize, stamp: &Stamp) -> bool {
    let before = line[..at].last().copied().unwrap_or(b' ');
    let after = line.get(at + stamp.len).copied().unwrap_or(b' ');
    matches!(before, b' ' | b'\t' | b'[' | b'(' | b'"' | b'=')
        && (matches!(after, b' ' | b'\t' | b']' | b'"' | b',' | b'|')
            || (after == b':' && before == b'('))
}

/// The next byte that is no separator; colours of a terminal are separators. `None` at the end.
fn word_start(window: &[u8], mut at: usize) -> Option<usize> {
    if at == 0 && window.starts_with(BYTE_ORDER_MARK) {
        at = BYTE_ORDER_MARK.len();
    }
    loop {
        match *window.get(at)? {
            0x1b => at += window[at..].iter().position(|&b| b == b'm')? + 1,
            byte if is_separator(byte) => at += 1,
            _ => return Some(at),
        }
    }
}

/// A time in a configured format at the start of the line.
fn custom(format: &TimeFormat, line: &[u8], clock: &mut Clock) -> Option<Found> {
    let line = &line[..line.len().min(WINDOW)];
    let (parts, end) = BrokenDownTime::parse_prefix(format.as_str(), line).ok()?;
    let nanos = parts.subsec_nanosecond();
    let subsecond = nanos.is_some();
    if let Ok(time) = parts.to_timestamp() {
        let time = i64::try_from(time.as_nanosecond()).ok()?;
        return Some(Found { time, subsecond, end });
    }
    let date = parts.to_date().ok();
    let clock_time = parts.to_time().ok()?;
    let part = |value: i8| i64::from(value);
    let seconds = part(clock_time.hour()) * 3_600
        + part(clock_time.minute()) * 60
        + part(clock_time.second());
    let what = What::Civil {
        year: date.map(|d| i32::from(d.year())),
        month: date.map_or(parts.month(), |d| Some(d.month()))?.unsigned_abs().into(),
        day: date.map_or(parts.day(), |d| Some(d.day()))?.unsigned_abs().into(),
        of_day: seconds * SECOND + i64::from(nanos.unwrap_or(0)),
        offset: parts.offset().map(jiff::tz::Offset::seconds),
    };
    let time = clock.instant(&Stamp { what, subsecond, len: end })?;
    Some(Found { time, subsecond, end })
}

#[cfg(test)]
mod tests;
