//! Cuts a body into the text of its template and its values.
//!
//! First the record's fields are looked for, in their order, each not far behind the one before; then the words between them. A word
//! with a digit is a value, every other is text of the template. Times, addresses and UUIDs are one value each; the date before a time is
//! text, since a part holds one day. Everything is found by looking a few bytes ahead, and the gap before a field is mostly the one that
//! stood there in the body before.

use std::ops::Range;

use rookery_core::time::{DAY, days_from_civil};
use rookery_core::tokens::{is_word_after, is_word_before, is_word_char};
use xxhash_rust::xxh3::xxh3_64;

use super::template::{DIGITS_LIMIT, Format, Fraction, NUMBER_LIMIT, push_slot};
use super::{BodyPlan, COLUMN, Kind, TEMPLATE_LIMIT_BYTES};

/// How far behind the last field the next one is looked for.
const WINDOW_BYTES: usize = 256;
/// How many of the next fields are looked for when one is not there (its value has escapes, or it is not of the body).
const AHEAD: usize = 4;
/// How many places are remembered at which numbers have zeros in front.
const WIDTHS: usize = 1024;
/// How much of the template before a number tells its place.
const CONTEXT_BYTES: usize = 12;
/// A word of only `a` to `f` is taken for a number in hex from this length on.
const HEX_WORD_BYTES: usize = 8;

const OTHER: u8 = 0;
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const WIDE: u8 = 3;
const FORBIDDEN: u8 = 4;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [WIDE; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = match b {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => LETTER,
            super::template::OPEN | super::template::CLOSE => FORBIDDEN,
            _ => OTHER,
        };
        byte += 1;
    }
    table
}

/// What is known of a record beside its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) time: i64,
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) span_id: Option<&'a str>,
    /// The columns of its fields, with their values, in the order in which they were parsed.
    pub(crate) fields: &'a [(usize, &'a str)],
}

/// A body, cut. It is used again for each.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// The text of the template.
    pub(crate) template: Vec<u8>,
    pub(crate) numbers: Vec<i64>,
    pub(crate) texts: Vec<Range<usize>>,
    pub(crate) times: Vec<i64>,
    pub(crate) addresses: Vec<i64>,
    /// Where the rest begins that is stored as text.
    pub(crate) rest: Option<usize>,
    /// The values, but for those of fields of text and ids: their words are not in the template.
    pub(crate) words: Vec<Range<usize>>,
}

impl Pieces {
    fn clear(&mut self) {
        self.template.clear();
        self.numbers.clear();
        self.texts.clear();
        self.times.clear();
        self.addresses.clear();
        self.rest = None;
        self.words.clear();
    }

    /// How many values there are of each kind.
    pub(crate) fn plan(&self) -> BodyPlan {
        let counts = [self.numbers.len(), self.texts.len(), self.times.len(), self.addresses.len()];
        BodyPlan(counts.map(|count| count as u8))
    }
}

/// A field's name in templates, and what stood before it in the body before.
#[derive(Debug)]
struct Label {
    /// None when the name holds a control character of the slots.
    name: Option<Box<[u8]>>,
    is_text: bool,
    gap: Vec<u8>,
}

/// Cuts bodies.
#[derive(Debug)]
pub(crate) struct Cutter {
    labels: Vec<Label>,
    /// The names of the columns of each kind.
    names: [Vec<Box<[u8]>>; 4],
    /// Places and widths, by the hash of the place.
    widths: Box<[(u32, u8); WIDTHS]>,
    pub(crate) pieces: Pieces,
    print: Vec<u8>,
    /// Where the text began that was not put into the template yet.
    text: usize,
}

/// One value that was found.
struct Found {
    end: usize,
    value: Option<Value>,
}

enum Value {
    Number(i64, Format),
    Text,
    Time(i64, Format),
    Address(i64),
    Trace,
    Span,
}

/// A word, and what it consists of.
struct Word {
    end: usize,
    digits: usize,
    is_hex: bool,
}

impl Cutter {
    /// For records with these columns of fields, of which some are texts.
    pub(crate) fn new<'a>(fields: impl Iterator<Item = (&'a str, bool)>, plan: BodyPlan) -> Self {
        let label = |(name, is_text): (&str, bool)| Label {
            name: (!name.contains(['\u{2}', '\u{3}', '\u{1f}']))
                .then(|| format!("fields.{name}").into_bytes().into()),
            is_text,
            gap: Vec::new(),
        };
        let mut names: [Vec<Box<[u8]>>; 4] = Default::default();
        for (kind, name) in plan.columns() {
            names[kind as usize].push(name.into_bytes().into());
        }
        Self {
            labels: fields.map(label).collect(),
            names,
            widths: Box::new([(0, 0); WIDTHS]),
            pieces: Pieces::default(),
            print: Vec::new(),
            text: 0,
        }
    }

    /// Cuts a body into [`Self::pieces`]; false when it must be stored whole.
    pub(crate) fn cut(&mut self, body: &str, record: &Record<'_>) -> bool {
        self.pieces.clear();
        let mut at = 0;
        let mut next = 0;
        while let Some((place, start)) = self.find_field(body, at, &record.fields[next..]) {
            let (column, value) = record.fields[next + place];
            let gap = &body.as_bytes()[at..start];
            if self.labels[column].gap == gap {
                self.pieces.template.extend_from_slice(gap);
            } else {
                let before = self.pieces.template.len();
                if !self.cut_gap(body, at..start, record) {
                    return false;
                }
                if self.pieces.rest.is_some() {
                    return true;
                }
                // A gap that is text only; the next one is compared with it before it is read byte by byte.
                if self.pieces.template[before..] == *gap {
                    self.labels[column].gap.clear();
                    self.labels[column].gap.extend_from_slice(gap);
                }
            }
            let label = &self.labels[column];
            let name = label.name.as_deref().expect("it was found by its name");
            push_slot(&mut self.pieces.template, name, Format::Plain);
            at = start + value.len();
            if !label.is_text {
                self.pieces.words.push(start..at);
            }
            next += place + 1;
        }
        self.cut_gap(body, at..body.len(), record)
            && self.pieces.template.len() <= TEMPLATE_LIMIT_BYTES
    }

    /// Where one of the next fields stands, and which.
    fn find_field(
        &self,
        body: &str,
        from: usize,
        fields: &[(usize, &str)],
    ) -> Option<(usize, usize)> {
        let ahead = fields.iter().take(AHEAD).enumerate();
        let named = ahead.filter(|(_, (column, _))| self.labels[*column].name.is_some());
        for (place, &(column, value)) in named {
            let gap = &self.labels[column].gap;
            let rest = &body.as_bytes()[from..];
            if !gap.is_empty()
                && rest.starts_with(gap)
                && rest[gap.len()..].starts_with(value.as_bytes())
                && may_be_value(body, from + gap.len(), value.len())
            {
                return Some((place, from + gap.len()));
            }
            if let Some(start) = find_value(body, from, value, WINDOW_BYTES) {
                return Some((place, start));
            }
        }
        (fields.len() > AHEAD)
            .then(|| self.find_field(body, from, &fields[AHEAD..]))
            .flatten()
            .map(|(place, start)| (place + AHEAD, start))
    }

    /// Cuts what no field is in; false when it cannot be cut.
    fn cut_gap(&mut self, body: &str, gap: Range<usize>, record: &Record<'_>) -> bool {
        let bytes = body.as_bytes();
        let mut at = gap.start;
        self.text = at;
        while at < gap.end {
            match CLASSES[usize::from(bytes[at])] {
                OTHER => {
                    at += 1;
                    continue;
                }
                FORBIDDEN => return false,
                _ => {}
            }
            let word = word(body, at);
            if word.end == at {
                at += body[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            if word.digits == 0 && !(word.is_hex && word.end - at >= HEX_WORD_BYTES) {
                at = word.end;
                continue;
            }
            let found = self.find_value(body, at, gap.end, &word, record);
            if found.value.is_none() {
                at = found.end;
                continue;
            }
            self.pieces.template.extend_from_slice(&bytes[self.text..at]);
            if self.pieces.template.len() > TEMPLATE_LIMIT_BYTES {
                return false;
            }
            if !self.take(at..found.end, found.value) {
                push_slot(&mut self.pieces.template, COLUMN.as_bytes(), Format::Plain);
                self.pieces.rest = Some(at);
                self.pieces.words.push(at..body.len());
                return true;
            }
            at = found.end;
            self.text = at;
        }
        self.pieces.template.extend_from_slice(&bytes[self.text..gap.end]);
        true
    }

    /// The value at the start of a word that has digits; no value when it is text of the template all the same.
    fn find_value(
        &mut self,
        body: &str,
        at: usize,
        end: usize,
        word: &Word,
        record: &Record<'_>,
    ) -> Found {
        let bytes = &body.as_bytes()[..end];
        let is_digit = bytes[at].is_ascii_digit();
        if is_digit && let Some(found) = self.find_time(bytes, at, record.time) {
            return found;
        }
        if let Some(date) = date_before_clock(bytes, at) {
            return Found { end: date, value: None };
        }
        if is_digit && let Some((end, address)) = find_address(bytes, at) {
            return Found { end, value: Some(Value::Address(address)) };
        }
        if let Some(end) = find_uuid(bytes, at) {
            return Found { end, value: Some(Value::Text) };
        }
        let text = &bytes[at..word.end];
        let value = if word.digits == text.len() && text.len() <= usize::from(NUMBER_LIMIT) {
            let number = text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
            Value::Number(number, self.number_format(bytes, at, text))
        } else if record.trace_id.is_some_and(|id| id.as_bytes() == text) {
            Value::Trace
        } else if record.span_id.is_some_and(|id| id.as_bytes() == text) {
            Value::Span
        } else {
            Value::Text
        };
        Found { end: word.end, value: Some(value) }
    }

    /// A time of day or a whole time stamp. What was understood is printed again: only when that is the same it is taken.
    fn find_time(&mut self, bytes: &[u8], at: usize, time: i64) -> Option<Found> {
        let (day, clock_at, zone) = match date(&bytes[at..]) {
            Some(day) if bytes.get(at + 10) == Some(&b'T') => (Some(day), at + 11, 1),
            _ => (None, at, 0),
        };
        let (clock_end, nanos, fraction) = clock(bytes, clock_at)?;
        let end = clock_end + zone;
        let unit = fraction.unit();
        let (distance, format) = match day {
            Some(day) => {
                if bytes.get(clock_end) != Some(&b'Z') {
                    return None;
                }
                let units = day.checked_mul(DAY)?.checked_add(nanos)?.div_euclid(unit);
                (units.checked_sub(time.div_euclid(unit))?, Format::Stamp(fraction))
            }
            None => {
                let units = DAY / unit;
                let own = time.rem_euclid(DAY).div_euclid(unit);
                let apart = (nanos / unit - own).rem_euclid(units);
                let nearest = if apart * 2 > units { apart - units } else { apart };
                (nearest, Format::Clock(fraction))
            }
        };
        self.print.clear();
        format.print(distance, time, &mut self.print);
        (self.print == bytes[at..end] && !is_word_after(bytes, end))
            .then_some(Found { end, value: Some(Value::Time(distance, format)) })
    }

    /// Whether a number has a fixed width: behind a decimal point, with zeros in front, or where another with zeros in front stood.
    fn number_format(&mut self, bytes: &[u8], at: usize, text: &[u8]) -> Format {
        let width = text.len() as u8;
        if at >= 2 && bytes[at - 1] == b'.' && bytes[at - 2].is_ascii_digit() {
            return Format::Padded(width);
        }
        if text.len() == 1 {
            return Format::Plain;
        }
        let hash = xxh3_64(&bytes[self.text.max(at.saturating_sub(CONTEXT_BYTES))..at]);
        let known = &mut self.widths[hash as usize % WIDTHS];
        let place = (hash >> 32) as u32;
        if text[0] == b'0' {
            *known = (place, width);
        }
        if *known == (place, width) { Format::Padded(width) } else { Format::Plain }
    }

    /// Puts a value and its slot; false when there is no column left for it.
    fn take(&mut self, range: Range<usize>, value: Option<Value>) -> bool {
        let Some(value) = value else { return true };
        let pieces = &mut self.pieces;
        let (kind, place, format) = match value {
            Value::Number(_, format) => (Kind::Number, pieces.numbers.len(), format),
            Value::Text => (Kind::Text, pieces.texts.len(), Format::Plain),
            Value::Time(_, format) => (Kind::Time, pieces.times.len(), format),
            Value::Address(_) => (Kind::Address, pieces.addresses.len(), Format::Address),
            Value::Trace | Value::Span => {
                let name = if matches!(value, Value::Trace) { "trace_id" } else { "span_id" };
                push_slot(&mut pieces.template, name.as_bytes(), Format::Plain);
                return true;
            }
        };
        let Some(name) = self.names[kind as usize].get(place) else { return false };
        push_slot(&mut pieces.template, name, format);
        match value {
            Value::Number(number, _) => pieces.numbers.push(number),
            Value::Time(distance, _) => pieces.times.push(distance),
            Value::Address(address) => pieces.addresses.push(address),
            Value::Text | Value::Trace | Value::Span => pieces.texts.push(range.clone()),
        }
        pieces.words.push(range);
        true
    }
}

/// The longest run of characters of a word from `at` on.
fn word(body: &str, at: usize) -> Word {
    let bytes = body.as_bytes();
    let (mut end, mut digits, mut is_hex) = (at, 0, true);
    while let Some(&byte) = bytes.get(end) {
        match CLASSES[usize::from(byte)] {
            LETTER => {
                is_hex &= byte.is_ascii_hexdigit();
                end += 1;
            }
            DIGIT => {
                digits += 1;
                end += 1;
            }
            WIDE => match body[end..].chars().next() {
                Some(c) if is_word_char(c) => {
                    is_hex = false;
                    end += c.len_utf8();
                }
                _ => break,
            },
            _ => break,
        }
    }
    Word { end, digits, is_hex }
}

/// Whether a text there can be the value of a field: no word goes on over its ends, and it is no name in JSON.
fn may_be_value(body: &str, at: usize, length: usize) -> bool {
    let bytes = body.as_bytes();
    let end = at + length;
    let cuts = |at| is_word_before(bytes, at) && is_word_after(bytes, at);
    let is_name = at >= 2 && bytes[at - 1] == b'"' && matches!(bytes[at - 2], b'{' | b',');
    !is_name && !cuts(at) && !cuts(end)
}

/// Where a value first stands in a body that may be that of a field.
pub(crate) fn place_of(body: &str, value: &str) -> Option<usize> {
    find_value(body, 0, value, body.len())
}

/// Where a value first stands, not farther behind `from` than `window`.
fn find_value(body: &str, from: usize, value: &str, window: usize) -> Option<usize> {
    let first = *value.as_bytes().first()?;
    let end = body.len().min(from + window + value.len());
    let bytes = &body.as_bytes()[from..end];
    memchr::memchr_iter(first, bytes)
        .find(|&at| {
            bytes[at..].starts_with(value.as_bytes()) && may_be_value(body, from + at, value.len())
        })
        .map(|at| from + at)
}

fn two_digits(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from((a - b'0') * 10 + (b - b'0'))),
        _ => None,
    }
}

/// `HH:MM:SS` and its fraction: where it ends, and nanoseconds since midnight.
pub(crate) fn clock(bytes: &[u8], at: usize) -> Option<(usize, i64, Fraction)> {
    if bytes.get(at + 2) != Some(&b':') || bytes.get(at + 5) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (two_digits(bytes, at)?, two_digits(bytes, at + 3)?);
    let second = two_digits(bytes, at + 6)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let end = at + 8;
    let nanos = (hour * 3600 + minute * 60 + second) * 1_000_000_000;
    let point = bytes.get(end).copied().filter(|b| matches!(b, b'.' | b','));
    let digits = bytes[(end + 1).min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit());
    let digits = if point.is_some() { digits.count() } else { 0 };
    if !(1..=usize::from(DIGITS_LIMIT)).contains(&digits) {
        return Some((end, nanos, Fraction::NONE)).filter(|_| bytes.get(end) != Some(&b':'));
    }
    let fraction = Fraction { point: point?, digits: digits as u8 };
    let text = &bytes[end + 1..end + 1 + digits];
    let units = text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((end + 1 + digits, nanos + units * fraction.unit(), fraction))
}

/// The day of a text that starts with `YYYY-MM-DD`.
pub(crate) fn date(bytes: &[u8]) -> Option<i64> {
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let year = two_digits(bytes, 0)? * 100 + two_digits(bytes, 2)?;
    let (month, day) = (two_digits(bytes, 5)?, two_digits(bytes, 8)?);
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day);
    valid.then(|| days_from_civil(year, month as u32, day as u32))
}

/// The end of a date in one of the usual forms, when a time of day is behind it: it is the same for a whole part.
fn date_before_clock(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize, count: usize| {
        bytes.get(at + from..at + from + count).is_some_and(|b| b.iter().all(u8::is_ascii_digit))
    };
    let is = |place: usize, byte: &[u8]| bytes.get(at + place).is_some_and(|b| byte.contains(b));
    let letters = |from: usize, count: usize| {
        bytes
            .get(at + from..at + from + count)
            .is_some_and(|b| b.iter().all(u8::is_ascii_alphabetic))
    };
    let end = if digits(0, 4) && is(4, b"-/") && digits(5, 2) && is(7, b"-/") && digits(8, 2) {
        10
    } else if digits(0, 2) && is(2, b"/") && letters(3, 3) && is(6, b"/") && digits(7, 4) {
        11
    } else if is(0, b"IWEF") && digits(1, 4) {
        5
    } else if digits(0, 1) && is(1, b" ") {
        1
    } else if digits(0, 2) && is(2, b" ") {
        2
    } else {
        return None;
    };
    let separated = is(end, b" :");
    (separated && clock(bytes, at + end + 1).is_some()).then_some(at + end)
}

/// An IPv4 address without zeros in front: its end and its number.
fn find_address(bytes: &[u8], at: usize) -> Option<(usize, i64)> {
    let (mut end, mut address) = (at, 0i64);
    for part in 0..4 {
        if part > 0 {
            if bytes.get(end) != Some(&b'.') {
                return None;
            }
            end += 1;
        }
        let digits = bytes[end..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        let text = &bytes[end..end + digits];
        let number = text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        if !(1..=3).contains(&digits) || number > 255 || (text[0] == b'0' && digits > 1) {
            return None;
        }
        address = address << 8 | number;
        end += digits;
    }
    (!is_word_after(bytes, end)).then_some((end, address))
}

/// The end of a UUID: in pieces, each of which may or may not be a number, it would need a template for each mixture.
fn find_uuid(bytes: &[u8], at: usize) -> Option<usize> {
    let text = bytes.get(at..at + 36)?;
    let fits = text.iter().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (fits && !is_word_after(bytes, at + 36)).then_some(at + 36)
}
