//! A template: texts and slots, in the order of the body; its form as text, and what each format prints.

use rookery_core::time::{DAY, civil_from_days};
use rookery_core::{Error, Result};

/// Before a slot; no template has it elsewhere.
pub(crate) const OPEN: u8 = 2;
/// Behind a slot.
pub(crate) const CLOSE: u8 = 3;
/// Between the name and the format of a slot.
pub(crate) const FORMAT: u8 = 0x1f;

/// The most digits behind the second.
pub(crate) const DIGITS_LIMIT: u8 = 9;
/// The most digits of a number; each such number fits into 64 bits.
pub(crate) const NUMBER_LIMIT: u8 = 18;

/// How a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// The text, or the number in decimal.
    Plain,
    /// The number, with zeros in front.
    Padded(u8),
    /// An IPv4 address.
    Address,
    /// A time of day.
    Clock(Fraction),
    /// A date and time.
    Stamp(Fraction),
}

/// What stands behind the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fraction {
    /// `.` or `,`; without digits it does not matter.
    pub(crate) point: u8,
    pub(crate) digits: u8,
}

impl Fraction {
    pub(crate) const NONE: Self = Self { point: b'.', digits: 0 };

    /// How many nanoseconds a unit has.
    pub(crate) fn unit(self) -> i64 {
        10i64.pow(u32::from(DIGITS_LIMIT - self.digits.min(DIGITS_LIMIT)))
    }
}

impl Format {
    /// Whether it prints a distance to the record's time.
    pub(crate) fn needs_time(self) -> bool {
        matches!(self, Self::Clock(_) | Self::Stamp(_))
    }

    /// Appends the format as a template says it.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if self == Self::Plain {
            return;
        }
        out.push(FORMAT);
        match self {
            Self::Plain => {}
            Self::Padded(width) => {
                out.push(b'0');
                push_number(out, width.into());
            }
            Self::Address => out.push(b'a'),
            Self::Clock(fraction) => write_fraction(b'h', fraction, out),
            Self::Stamp(fraction) => write_fraction(b'z', fraction, out),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        Some(match *bytes.first()? {
            b'0' => Self::Padded(text[1..].parse().ok().filter(|w| *w <= NUMBER_LIMIT)?),
            b'a' if text.len() == 1 => Self::Address,
            b'h' => Self::Clock(read_fraction(text)?),
            b'z' => Self::Stamp(read_fraction(text)?),
            _ => return None,
        })
    }

    /// Appends what a number prints as. `time` is the time of the record.
    pub(crate) fn print(self, number: i64, time: i64, out: &mut Vec<u8>) {
        match self {
            Self::Plain => push_number(out, number),
            Self::Padded(width) => push_padded(out, number, width),
            Self::Address => {
                for (index, byte) in (number as u32).to_be_bytes().into_iter().enumerate() {
                    if index > 0 {
                        out.push(b'.');
                    }
                    push_number(out, byte.into());
                }
            }
            Self::Clock(fraction) => {
                let (_, of_day) = split(time, number, fraction);
                push_clock(out, of_day, fraction);
            }
            Self::Stamp(fraction) => {
                let (day, of_day) = split(time, number, fraction);
                let (year, month, date) = civil_from_days(day);
                push_padded(out, year, 4);
                out.push(b'-');
                push_padded(out, month.into(), 2);
                out.push(b'-');
                push_padded(out, date.into(), 2);
                out.push(b'T');
                push_clock(out, of_day, fraction);
                out.push(b'Z');
            }
        }
    }
}

fn write_fraction(letter: u8, fraction: Fraction, out: &mut Vec<u8>) {
    out.push(letter);
    if fraction.digits > 0 {
        out.extend_from_slice(&[fraction.point, b'0' + fraction.digits]);
    }
}

fn read_fraction(text: &str) -> Option<Fraction> {
    match text.as_bytes()[1..] {
        [] => Some(Fraction::NONE),
        [point @ (b'.' | b','), digit @ b'1'..=b'9'] => {
            Some(Fraction { point, digits: digit - b'0' })
        }
        _ => None,
    }
}

/// The day, and the units since its start.
fn split(time: i64, distance: i64, fraction: Fraction) -> (i64, i64) {
    let unit = fraction.unit();
    let day = DAY / unit;
    let units = time.div_euclid(unit).saturating_add(distance);
    (units.div_euclid(day), units.rem_euclid(day))
}

fn push_clock(out: &mut Vec<u8>, of_day: i64, fraction: Fraction) {
    let second = DAY / 86_400 / fraction.unit();
    let (seconds, rest) = (of_day / second, of_day % second);
    for (index, part) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        out.extend_from_slice(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8]);
    }
    if fraction.digits > 0 {
        out.push(fraction.point);
        push_padded(out, rest, fraction.digits);
    }
}

/// Appends a number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, number: i64) {
    if (0..10).contains(&number) {
        out.push(b'0' + number as u8);
        return;
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number with zeros in front, to at least `width` digits.
fn push_padded(out: &mut Vec<u8>, number: i64, width: u8) {
    let start = out.len();
    push_number(out, number);
    let missing = usize::from(width).saturating_sub(out.len() - start);
    if missing > 0 {
        out.splice(start..start, std::iter::repeat_n(b'0', missing));
    }
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The Parquet column.
    pub(crate) column: Box<str>,
    pub(crate) format: Format,
}

/// A template, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// The text before each slot, and the text behind the last.
    pub(crate) texts: Vec<Box<str>>,
    /// One fewer than texts.
    pub(crate) slots: Vec<Slot>,
}

impl Template {
    /// Reads a template's text.
    ///
    /// # Errors
    /// `corrupt` when it is none.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let corrupt = || Error::corrupt("a template of bodies is not what was written");
        let (mut texts, mut slots) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once(char::from(OPEN)) {
            let (inner, behind) = behind.split_once(char::from(CLOSE)).ok_or_else(corrupt)?;
            let (column, format) = match inner.split_once(char::from(FORMAT)) {
                None => (inner, Format::Plain),
                Some((column, format)) => (column, Format::read(format).ok_or_else(corrupt)?),
            };
            texts.push(before.into());
            slots.push(Slot { column: column.into(), format });
            rest = behind;
        }
        texts.push(rest.into());
        Ok(Self { texts, slots })
    }
}

/// Appends a slot to a template's text.
pub(crate) fn push_slot(out: &mut Vec<u8>, column: &[u8], format: Format) {
    out.push(OPEN);
    out.extend_from_slice(column);
    format.write(out);
    out.push(CLOSE);
}
