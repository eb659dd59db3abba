//! The tests of `_time`: spans, durations ago, hours of the day, days of the week.

use rookery_core::TimeRange;
use rookery_core::filter::Filter;
use rookery_core::time::{self, DAY, HOUR, MINUTE, SECOND};

use super::numbers;
use super::scan::{Class, Parsed, Parser};

const TIME_EXPECTED: &str =
    "a duration (`5m`), a time (`2026-11-21`, `2026-11-21T10:00:00Z`) or a range (`[a, b)`)";
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Where a bound of a range lies.
#[derive(Clone, Copy)]
struct Edges {
    start_included: bool,
    end_included: bool,
}

impl Parser<'_> {
    /// What follows `_time:`.
    pub(super) fn time_filter(&mut self) -> Parsed<Filter> {
        if self.eat_keyword("day_range") {
            return self.day_range();
        }
        if self.eat_keyword("week_range") {
            return self.week_range();
        }
        let range = if self.at_keyword("offset") {
            TimeRange { start: i64::MIN, end: self.now.saturating_add(1) }
        } else {
            self.time_range()?
        };
        let offset = self.time_offset()?;
        // A side that is open stays open.
        let shift =
            |t: i64| if t == i64::MIN || t == i64::MAX { t } else { t.saturating_sub(offset) };
        Ok(Filter::Time(TimeRange { start: shift(range.start), end: shift(range.end) }))
    }

    fn time_range(&mut self) -> Parsed<TimeRange> {
        match self.next_sign() {
            Some('[' | '(') => self.bracketed_times(),
            Some('>') => {
                self.bump();
                let included = self.eat_directly("=");
                Ok(match self.time_or_age()? {
                    Moment::Span(span) => TimeRange {
                        start: span.start.saturating_add(i64::from(!included)),
                        end: i64::MAX,
                    },
                    // An age of more than a duration: before it began.
                    Moment::Ago(at) => {
                        TimeRange { start: i64::MIN, end: at.saturating_add(i64::from(included)) }
                    }
                })
            }
            Some('<') => {
                self.bump();
                let included = self.eat_directly("=");
                Ok(match self.time_or_age()? {
                    Moment::Span(span) => TimeRange {
                        start: i64::MIN,
                        end: if included { span.end } else { span.start },
                    },
                    Moment::Ago(at) => {
                        TimeRange { start: at.saturating_add(i64::from(!included)), end: i64::MAX }
                    }
                })
            }
            _ => {
                self.eat_directly("=");
                Ok(match self.time_or_age()? {
                    Moment::Span(span) => span,
                    Moment::Ago(at) => {
                        TimeRange { start: at.saturating_add(1), end: self.now.saturating_add(1) }
                    }
                })
            }
        }
    }

    fn bracketed_times(&mut self) -> Parsed<TimeRange> {
        let (edges, (from, to)) = self.bracketed(|parser| parser.moment(false))?;
        let start = from.start().saturating_add(i64::from(!edges.start_included));
        let end = if edges.end_included { to.end() } else { to.start() };
        Ok(TimeRange { start, end })
    }

    /// `[a, b)` with the edges as written.
    fn bracketed<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<(Edges, (T, T))> {
        let start_included = match self.next_sign() {
            Some('[') => true,
            Some('(') => false,
            _ => return Err(self.expected("`[` or `(`")),
        };
        self.bump();
        let first = item(self)?;
        self.expect(',')?;
        let second = item(self)?;
        let end_included = match self.next_sign() {
            Some(']') => true,
            Some(')') => false,
            _ => return Err(self.expected("`]` or `)`")),
        };
        self.bump();
        Ok((Edges { start_included, end_included }, (first, second)))
    }

    fn time_or_age(&mut self) -> Parsed<Moment> {
        self.moment(true)
    }

    /// A time; a duration is an age when `ages`, else it is the instant so long ago.
    fn moment(&mut self, ages: bool) -> Parsed<Moment> {
        self.skip_space();
        let at = self.position;
        let text = self.argument(TIME_EXPECTED)?;
        if ages
            && !numbers::is_plain_number(&text)
            && let Ok(duration) = time::parse_duration(&text)
        {
            return Ok(Moment::Ago(self.now.saturating_sub(duration.saturating_abs())));
        }
        let span = parse_span(&text, self.now).ok_or_else(|| self.wrong(at, TIME_EXPECTED))?;
        Ok(Moment::Span(span))
    }

    /// `offset 1h`, or 0.
    pub(super) fn time_offset(&mut self) -> Parsed<i64> {
        if self.eat_keyword("offset") { self.duration() } else { Ok(0) }
    }

    /// `[08:00, 18:00)`.
    fn day_range(&mut self) -> Parsed<Filter> {
        let (edges, (start, end)) = self.bracketed(|parser| {
            parser.skip_space();
            let at = parser.position;
            let text = parser.argument("a time of day, as in `08:00`,")?;
            parse_clock(&text).ok_or_else(|| parser.wrong(at, "a time of day, as in `08:00`,"))
        })?;
        let offset = self.time_offset()?;
        let start = start + i64::from(!edges.start_included);
        let end = end - i64::from(!edges.end_included);
        Ok(Filter::DayRange { start, end, offset })
    }

    /// `[Mon, Fri]`.
    fn week_range(&mut self) -> Parsed<Filter> {
        let (edges, (first, last)) = self.bracketed(|parser| {
            parser.skip_space();
            let at = parser.position;
            let text = parser.text(Class::Word, "a day of the week")?;
            parse_weekday(&text)
                .ok_or_else(|| parser.wrong(at, "a day of the week (Mon, Tuesday …)"))
        })?;
        let offset = self.time_offset()?;
        let wraps = first > last;
        let first = first + i8::from(!edges.start_included);
        let last = last - i8::from(!edges.end_included);
        let part = |first: i8, last: i8| {
            let days = (u8::try_from(first).ok()?, u8::try_from(last).ok()?);
            (first <= last).then_some(Filter::WeekRange { first: days.0, last: days.1, offset })
        };
        // `[Sat, Mon]` goes over the end of the week.
        let parts =
            if wraps { vec![part(first, 6), part(0, last)] } else { vec![part(first, last)] };
        Ok(super::filters::or(parts.into_iter().flatten().collect()))
    }
}

#[derive(Clone, Copy)]
enum Moment {
    Span(TimeRange),
    Ago(i64),
}

impl Moment {
    fn start(self) -> i64 {
        match self {
            Self::Span(span) => span.start,
            Self::Ago(at) => at,
        }
    }

    fn end(self) -> i64 {
        match self {
            Self::Span(span) => span.end,
            Self::Ago(at) => at.saturating_add(1),
        }
    }
}

/// The span that a time names; a zone (`Z`, `+05:30`) may follow a short form too.
pub(super) fn parse_span(text: &str, now: i64) -> Option<TimeRange> {
    if let Ok(span) = time::parse_time(text, now) {
        return Some(span);
    }
    let split = text.len().checked_sub(6).filter(|at| text.is_char_boundary(*at))?;
    let (base, zone) = text.split_at(split);
    let ahead = match zone.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..24).contains(&hours)
        || !(0..60).contains(&minutes)
        || !base.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let span = time::parse_time(base, now).ok()?;
    let shift = ahead * (hours * HOUR + minutes * MINUTE);
    Some(TimeRange { start: span.start.checked_sub(shift)?, end: span.end.checked_sub(shift)? })
}

/// `hh:mm` with seconds and their fractions if wanted, up to `24:00`.
fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hour: i64 = parts.next()?.parse().ok()?;
    let minute: i64 = parts.next()?.parse().ok().filter(|m| (0..60).contains(m))?;
    let seconds = match parts.next() {
        None => 0,
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let whole: i64 = whole.parse().ok().filter(|s| (0..60).contains(s))?;
            let digits = fraction.len() <= 9 && fraction.bytes().all(|b| b.is_ascii_digit());
            whole * SECOND
                + digits.then(|| format!("{fraction:0<9}").parse::<i64>().ok()).flatten()?
        }
    };
    let of_day = hour * HOUR + minute * MINUTE + seconds;
    (parts.next().is_none() && (0..=DAY).contains(&of_day)).then_some(of_day)
}

/// A time of day as text that [`parse_clock`] reads.
pub(super) fn print_clock(of_day: i64) -> String {
    let (hours, minutes, rest) = (of_day / HOUR, of_day / MINUTE % 60, of_day % MINUTE);
    match (rest / SECOND, rest % SECOND) {
        (0, 0) => format!("{hours:02}:{minutes:02}"),
        (seconds, nanos) => format!("{hours:02}:{minutes:02}:{seconds:02}.{nanos:09}"),
    }
}

fn parse_weekday(text: &str) -> Option<i8> {
    let long = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let day = (0..7)
        .find(|day| text.eq_ignore_ascii_case(DAYS[*day]) || text.eq_ignore_ascii_case(long[*day]));
    day.map(|day| day as i8)
}

/// The short name of a day, 0 = Sunday.
pub(super) fn print_weekday(day: u8) -> &'static str {
    DAYS[usize::from(day % 7)]
}
