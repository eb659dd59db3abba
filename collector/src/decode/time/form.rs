//! The forms in which programs print times, each read from the start of a slice, without a copy.
//!
//! A form is told by the first bytes: how many digits there are before the first separator, and which separator it is.
//! Every form is checked to its end (ranges of months, days, hours), because a wrong time is worse than none.

/// A time as it was printed: not yet an instant where the year or the zone is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// What was printed.
    pub what: What,
    /// Whether there are digits below a second.
    pub subsecond: bool,
    /// How many bytes it takes.
    pub len: usize,
}

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// An instant, in nanoseconds since the epoch.
    Instant(i64),
    /// A civil time.
    Civil {
        /// The year, if it was printed.
        year: Option<i32>,
        /// 1 to 12.
        month: u32,
        /// 1 to 31.
        day: u32,
        /// Nanoseconds since midnight.
        of_day: i64,
        /// Seconds east of UTC, if they were printed.
        offset: Option<i32>,
    },
}

impl Stamp {
    /// Whether it names its year, or needs none.
    pub(crate) fn is_full(&self) -> bool {
        !matches!(self.what, What::Civil { year: None, .. })
    }
}

/// The forms, told apart by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `2026-11-21T01:02:03.5+01:00` and its relatives: space or `_` or `-` for `T`, `/` or `.` in the date, comma in
    /// the fraction, no zone.
    Iso,
    /// `20261121T010203Z`, `20261121-01:02:03:456`.
    Basic,
    /// `081109 203615`, `081109 20:36:15`.
    Compact,
    /// `17/06/09 20:10:40` (year first), `21/11/2026 01:02:03`, `21.11.2026 01:02:03`, `11-21-2026 01:02:03`.
    Slashed,
    /// `10/Oct/2000:13:55:36 -0700`.
    Access,
    /// `21 Nov 2026 01:02:03.456`, `21-Nov-2026 01:02:03`.
    DayFirst,
    /// `Nov 21 01:02:03`, `Sat Nov 21 01:02:03.5 2026`, `Nov 21, 2026 1:02:03 AM`, `Sat, 21 Nov 2026 01:02:03 GMT`.
    Named,
    /// `11-21 01:02:03.456`.
    MonthDay,
    /// `I1121 01:02:03.000000`, `I20261121 01:02:03.000000`.
    Klog,
    /// `1700000000`, `1700000000.123`, and 13, 16 or 19 digits.
    Epoch,
}

/// Which form the text may start with.
pub(crate) fn guess(text: &[u8]) -> Option<Form> {
    let first = *text.first()?;
    if first.is_ascii_digit() {
        return guess_digits(text);
    }
    if !first.is_ascii_alphabetic() || text.len() < 14 {
        return None;
    }
    if month_or_weekday(text) {
        return Some(Form::Named);
    }
    let klog = b"IWEFD".contains(&first) && text[1..5].iter().all(u8::is_ascii_digit);
    klog.then_some(Form::Klog)
}

fn guess_digits(text: &[u8]) -> Option<Form> {
    let digits = text.iter().take(20).take_while(|b| b.is_ascii_digit()).count();
    let after = text.get(digits).copied().unwrap_or(b' ');
    let next = text.get(digits + 1).copied().unwrap_or(b' ');
    match (digits, after) {
        (4, b'-' | b'/' | b'.') => Some(Form::Iso),
        (8, b'T' | b'-' | b' ' | b'_') if next.is_ascii_digit() => Some(Form::Basic),
        (6, b' ') => Some(Form::Compact),
        (1 | 2, b'/') if next.is_ascii_alphabetic() => Some(Form::Access),
        (1 | 2, b' ' | b'-') if next.is_ascii_alphabetic() => Some(Form::DayFirst),
        (2, b'-') if text.get(5) == Some(&b' ') => Some(Form::MonthDay),
        (1 | 2, b'/' | b'.' | b'-') => Some(Form::Slashed),
        (10 | 13 | 16 | 19, b) if !b.is_ascii_alphanumeric() && b != b'-' && b != b'_' => {
            Some(Form::Epoch)
        }
        _ => None,
    }
}

/// Reads one form at the start of `text`.
pub(crate) fn read(form: Form, text: &[u8]) -> Option<Stamp> {
    let mut cursor = Cursor { text, at: 0 };
    match form {
        Form::Iso => iso(&mut cursor),
        Form::Basic => basic(&mut cursor),
        Form::Compact => compact(&mut cursor),
        Form::Slashed => slashed(&mut cursor),
        Form::Access => access(&mut cursor),
        Form::DayFirst => day_first(&mut cursor),
        Form::Named => named(&mut cursor),
        Form::MonthDay => month_day(&mut cursor),
        Form::Klog => klog(&mut cursor),
        Form::Epoch => epoch(&mut cursor),
    }
}

/// Reads whatever form `text` starts with.
pub(crate) fn read_any(text: &[u8]) -> Option<Stamp> {
    read(guess(text)?, text)
}

const MONTHS: [[u8; 3]; 12] = [
    *b"jan", *b"feb", *b"mar", *b"apr", *b"may", *b"jun", *b"jul", *b"aug", *b"sep", *b"oct",
    *b"nov", *b"dec",
];

const WEEKDAYS: [[u8; 3]; 7] = [*b"mon", *b"tue", *b"wed", *b"thu", *b"fri", *b"sat", *b"sun"];

fn lower3(text: &[u8]) -> Option<[u8; 3]> {
    let [a, b, c] = *text.first_chunk::<3>()?;
    Some([a | 0x20, b | 0x20, c | 0x20])
}

fn month_or_weekday(text: &[u8]) -> bool {
    lower3(text).is_some_and(|name| {
        matches!(text[3], b' ' | b',') && (MONTHS.contains(&name) || WEEKDAYS.contains(&name))
    })
}

/// Two digits at `at`, as a number.
#[inline]
fn two(text: &[u8], at: usize) -> Option<u32> {
    let pair = text.get(at..at + 2)?;
    let (a, b) = (pair[0].wrapping_sub(b'0'), pair[1].wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| u32::from(a) * 10 + u32::from(b))
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn peek_at(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.peek() == byte).then(|| self.at += 1)
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek();
        (byte != 0 && bytes.contains(&byte)).then(|| {
            self.at += 1;
            byte
        })
    }

    fn spaces(&mut self) {
        while self.peek() == b' ' {
            self.at += 1;
        }
    }

    fn two(&mut self) -> Option<u32> {
        let value = two(self.text, self.at)?;
        self.at += 2;
        Some(value)
    }

    fn four(&mut self) -> Option<u32> {
        let value = two(self.text, self.at)? * 100 + two(self.text, self.at + 2)?;
        self.at += 4;
        Some(value)
    }

    /// One or two digits.
    fn short(&mut self) -> Option<u32> {
        if self.peek_at(1).is_ascii_digit() {
            return self.two();
        }
        let digit = self.peek().wrapping_sub(b'0');
        (digit < 10).then(|| {
            self.at += 1;
            u32::from(digit)
        })
    }

    fn month_name(&mut self) -> Option<u32> {
        let name = lower3(self.text.get(self.at..)?)?;
        let index = MONTHS.iter().position(|m| *m == name)?;
        self.at += 3;
        Some(index as u32 + 1)
    }

    /// `HH:MM:SS` and a fraction: nanoseconds since midnight, and whether there was a fraction.
    fn clock(&mut self, separator: u8) -> Option<(i64, bool)> {
        let hour = self.short()?;
        self.skip(separator)?;
        let minute = self.two()?;
        self.skip(separator)?;
        let second = self.two()?;
        let (nanos, subsecond) = self.fraction();
        if self.peek().is_ascii_digit() {
            return None;
        }
        Some((of_day(hour, minute, second)? + nanos, subsecond))
    }

    /// Digits below a second, after `.` `,` or `:`; digits past the ninth are left out.
    fn fraction(&mut self) -> (i64, bool) {
        let mark = self.peek();
        if !matches!(mark, b'.' | b',' | b':') || !self.peek_at(1).is_ascii_digit() {
            return (0, false);
        }
        let start = self.at + 1;
        let mut end = start;
        let mut nanos = 0i64;
        while let Some(digit) = self.text.get(end).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10)
        {
            if end - start < 9 {
                nanos = nanos * 10 + i64::from(digit);
            }
            end += 1;
        }
        self.at = end;
        const SCALE: [i64; 10] =
            [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
        (nanos * SCALE[(end - start).min(9)], true)
    }

    /// An offset from UTC directly here, or after one space.
    fn offset(&mut self) -> Option<i32> {
        let space = usize::from(self.peek() == b' ');
        let rest = self.text.get(self.at + space..)?;
        let bounded = |n: usize| rest.get(n).is_none_or(|b| !b.is_ascii_alphanumeric());
        let mut done = |len: usize, seconds: i32| {
            self.at += space + len;
            Some(seconds)
        };
        match *rest.first()? {
            b'Z' | b'z' if space == 0 && bounded(1) => done(1, 0),
            b'U' if rest.starts_with(b"UTC") && bounded(3) => done(3, 0),
            b'G' if rest.starts_with(b"GMT") && bounded(3) => done(3, 0),
            sign @ (b'+' | b'-') => {
                let hours = two(rest, 1)?;
                let colon = usize::from(rest.get(3) == Some(&b':'));
                let (minutes, len) = match two(rest, 3 + colon) {
                    Some(minutes) => (minutes, 5 + colon),
                    None if space == 0 && colon == 0 => (0, 3),
                    None => return None,
                };
                if hours > 18 || minutes > 59 || !bounded(len) {
                    return None;
                }
                let seconds = (hours * 3600 + minutes * 60) as i32;
                done(len, if sign == b'-' { -seconds } else { seconds })
            }
            _ => None,
        }
    }

    fn civil(
        &mut self,
        (year, month, day): (Option<u32>, u32, u32),
        (of_day, subsecond): (i64, bool),
    ) -> Option<Stamp> {
        let offset = self.offset();
        self.stamp((year, month, day), (of_day, subsecond), offset)
    }

    fn stamp(
        &self,
        (year, month, day): (Option<u32>, u32, u32),
        (of_day, subsecond): (i64, bool),
        offset: Option<i32>,
    ) -> Option<Stamp> {
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if year.is_none_or(is_leap) => 29,
            2 => 28,
            _ => return None,
        };
        // Years beyond these do not fit into nanoseconds of 64 bits, or are no years of a log.
        if day == 0 || day > days || year.is_some_and(|y| !(1970..2262).contains(&y)) {
            return None;
        }
        let year = year.map(|y| y as i32);
        let what = What::Civil { year, month, day, of_day, offset };
        Some(Stamp { what, subsecond, len: self.at })
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Nanoseconds since midnight. A leap second is the first of the next minute.
fn of_day(hour: u32, minute: u32, second: u32) -> Option<i64> {
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then(|| i64::from(hour * 3600 + minute * 60 + second) * 1_000_000_000)
}

fn iso(c: &mut Cursor<'_>) -> Option<Stamp> {
    let year = c.four()?;
    let separator = c.one_of(b"-/.")?;
    let month = c.short()?;
    c.skip(separator)?;
    let day = c.short()?;
    let mut glue = c.one_of(b"T t_-:,")?;
    while glue == b',' && c.peek() == b' ' {
        glue = c.one_of(b" ")?;
    }
    c.spaces();
    let separator = if c.peek_at(2) == b'.' { b'.' } else { b':' };
    let date = (Some(year), month, day);
    // Minutes are enough where a zone or a `T` shows that it is a time.
    if glue == b'T' && c.peek_at(5) != b':' {
        let minutes = of_day(
            c.two()?,
            {
                c.skip(b':')?;
                c.two()?
            },
            0,
        )?;
        return c.civil(date, (minutes, false));
    }
    let clock = c.clock(separator)?;
    let meridiem = c.meridiem(clock)?;
    c.civil(date, meridiem)
}

impl Cursor<'_> {
    /// ` AM` or ` PM` after a clock of twelve hours.
    fn meridiem(&mut self, (of_day, subsecond): (i64, bool)) -> Option<(i64, bool)> {
        const HALF_DAY: i64 = 12 * rookery_core::time::HOUR;
        let rest = self.text.get(self.at..).unwrap_or(&[]);
        let (Some(b' '), Some(letter), Some(b'M' | b'm')) =
            (rest.first(), rest.get(1).map(u8::to_ascii_uppercase), rest.get(2))
        else {
            return Some((of_day, subsecond));
        };
        let hours = match letter {
            b'A' => of_day % HALF_DAY,
            b'P' => of_day % HALF_DAY + HALF_DAY,
            _ => return Some((of_day, subsecond)),
        };
        self.at += 3;
        Some((hours, subsecond))
    }
}

fn basic(c: &mut Cursor<'_>) -> Option<Stamp> {
    let date = (Some(c.four()?), c.two()?, c.two()?);
    c.one_of(b"T- _")?;
    if matches!(c.peek_at(2), b':') || c.peek_at(1) == b':' {
        let clock = c.clock(b':')?;
        return c.civil(date, clock);
    }
    let seconds = of_day(c.two()?, c.two()?, c.two()?)?;
    let (nanos, subsecond) = c.fraction();
    c.civil(date, (seconds + nanos, subsecond))
}

fn compact(c: &mut Cursor<'_>) -> Option<Stamp> {
    let (year, month, day) = (c.two()?, c.two()?, c.two()?);
    c.skip(b' ')?;
    c.spaces();
    let date = (Some(2000 + year), month, day);
    if c.peek_at(2) == b':' || c.peek_at(1) == b':' {
        let clock = c.clock(b':')?;
        return c.civil(date, clock);
    }
    let seconds = of_day(c.two()?, c.two()?, c.two()?)?;
    if c.peek().is_ascii_alphanumeric() {
        return None;
    }
    c.stamp(date, (seconds, false), None)
}

fn slashed(c: &mut Cursor<'_>) -> Option<Stamp> {
    let first = c.short()?;
    let separator = c.one_of(b"/.-")?;
    let second = c.short()?;
    c.skip(separator)?;
    let long = (0..4).all(|n| c.peek_at(n).is_ascii_digit());
    let third = if long { c.four()? } else { c.two()? };
    let date = match (long, separator) {
        (false, b'/') => (Some(2000 + first), second, third),
        (false, _) => return None,
        // Day and month are told by size; where both fit, by custom: dots are day first, the others month first.
        (true, b'.') => (Some(third), second, first),
        (true, _) if first > 12 => (Some(third), second, first),
        (true, _) => (Some(third), first, second),
    };
    c.one_of(b" -T,:")?;
    c.spaces();
    let clock = c.clock(b':')?;
    let clock = c.meridiem(clock)?;
    c.civil(date, clock)
}

fn access(c: &mut Cursor<'_>) -> Option<Stamp> {
    let day = c.short()?;
    c.skip(b'/')?;
    let month = c.month_name()?;
    c.skip(b'/')?;
    let year = c.four()?;
    c.one_of(b": ")?;
    let clock = c.clock(b':')?;
    c.civil((Some(year), month, day), clock)
}

fn day_first(c: &mut Cursor<'_>) -> Option<Stamp> {
    let day = c.short()?;
    let separator = c.one_of(b" -")?;
    let month = c.month_name()?;
    c.skip(separator)?;
    let year = c.four()?;
    c.one_of(b" :")?;
    let clock = c.clock(b':')?;
    c.civil((Some(year), month, day), clock)
}

fn named(c: &mut Cursor<'_>) -> Option<Stamp> {
    if lower3(c.text).is_some_and(|name| WEEKDAYS.contains(&name)) {
        c.at += 3;
        let _ = c.skip(b',');
        c.skip(b' ')?;
        c.spaces();
        if c.peek().is_ascii_digit() {
            let mut rest = Cursor { text: c.text.get(c.at..)?, at: 0 };
            let stamp = day_first(&mut rest)?;
            return Some(Stamp { len: stamp.len + c.at, ..stamp });
        }
    }
    let month = c.month_name()?;
    c.skip(b' ')?;
    c.spaces();
    let day = c.short()?;
    let comma = c.skip(b',').is_some();
    c.skip(b' ')?;
    c.spaces();
    if (0..4).all(|n| c.peek_at(n).is_ascii_digit()) {
        let year = c.four()?;
        let _ = c.skip(b',');
        c.skip(b' ')?;
        c.spaces();
        let clock = c.clock(b':')?;
        let clock = c.meridiem(clock)?;
        return c.civil((Some(year), month, day), clock);
    }
    let clock = c.clock(b':')?;
    if comma {
        return None;
    }
    let offset = c.offset();
    let year = c.year_behind();
    c.stamp((year, month, day), clock, offset)
}

impl Cursor<'_> {
    /// ` 2005` behind the clock, bounded by something that is no word.
    fn year_behind(&mut self) -> Option<u32> {
        let rest = self.text.get(self.at..)?;
        let year = two(rest, 1)? * 100 + two(rest, 3)?;
        let bounded = rest.get(5).is_none_or(|b| matches!(b, b' ' | b']' | b')' | b':' | b','));
        let plausible = rest[0] == b' ' && bounded && (1990..2100).contains(&year);
        plausible.then(|| {
            self.at += 5;
            year
        })
    }
}

fn month_day(c: &mut Cursor<'_>) -> Option<Stamp> {
    let month = c.two()?;
    c.skip(b'-')?;
    let day = c.two()?;
    c.skip(b' ')?;
    let clock = c.clock(b':')?;
    c.stamp((None, month, day), clock, None)
}

fn klog(c: &mut Cursor<'_>) -> Option<Stamp> {
    c.at = 1;
    let long = (0..8).all(|n| c.peek_at(n).is_ascii_digit());
    let year = if long { Some(c.four()?) } else { None };
    let (month, day) = (c.two()?, c.two()?);
    c.skip(b' ')?;
    let (of_day, subsecond) = c.clock(b':')?;
    if !subsecond {
        return None;
    }
    c.stamp((year, month, day), (of_day, true), None)
}

fn epoch(c: &mut Cursor<'_>) -> Option<Stamp> {
    let end = c.text.iter().take(20).take_while(|b| b.is_ascii_digit()).count();
    let point = c.text.get(end) == Some(&b'.');
    let fraction =
        if point { c.text[end + 1..].iter().take_while(|b| b.is_ascii_digit()).count() } else { 0 };
    let len = if fraction > 0 { end + 1 + fraction } else { end };
    let nanos = number(&c.text[..len])?;
    Some(Stamp { what: What::Instant(nanos), subsecond: end > 10 || fraction > 0, len })
}

/// The first and last second that a bare number is taken for a time: 2000-01-01 and 2100-01-01.
const EPOCH_SECONDS: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// Unix time as a decimal number of seconds, or of a smaller unit where there are more digits, in nanoseconds.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    let whole = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let unit = match whole {
        9 | 10 => 1_000_000_000i64,
        12 | 13 => 1_000_000,
        15 | 16 => 1_000,
        18 | 19 => 1,
        _ => return scientific(text),
    };
    let mut value = 0i64;
    for byte in &text[..whole] {
        value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
    }
    let mut nanos = value.checked_mul(unit)?;
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let mut scale = unit;
        rest = fraction;
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            scale /= 10;
            nanos += i64::from(digit - b'0') * scale;
            rest = after;
        }
    }
    if !rest.is_empty() {
        return scientific(text);
    }
    EPOCH_SECONDS.contains(&(nanos / 1_000_000_000)).then_some(nanos)
}

/// `1.7000000001234567E9`, as some loggers print seconds; good to some hundred nanoseconds.
fn scientific(text: &[u8]) -> Option<i64> {
    if !text.iter().any(|b| matches!(b, b'e' | b'E')) || text.len() > 32 {
        return None;
    }
    let seconds: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (EPOCH_SECONDS.start as f64..EPOCH_SECONDS.end as f64)
        .contains(&seconds)
        .then_some((seconds * 1e6).round() as i64 * 1_000)
}

#[cfg(test)]
mod tests;
