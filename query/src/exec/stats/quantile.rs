//! `quantile` and `median`: the value below which a share of the values lies.
//!
//! The answer is one of the values, at index `phi * n` of the sorted ones. Up to [`SAMPLE_LIMIT`] values of a group all are kept and
//! the answer is exact; of more, a uniform sample of that size is (Li's algorithm L, 1994), and the answer's rank is off by a standard
//! deviation of at most `0.5 / √SAMPLE_LIMIT`, 0.2 % of the values. The ends (`phi` 0 and 1) stay exact for numbers.
//!
//! A number that prints back as it was written is kept as an `f64`; other texts (`1.50`, `20ms`, words) are interned.

use std::any::Any;

use arrow_array::Array;
use rookery_core::Result;
use rookery_core::rows::{Column, dictionary_values};

use super::{Accumulator, Input, grow, same_kind};
use crate::exec::group::Interner;
use crate::exec::stages::rows::mix;
use crate::exec::{number, order};
use crate::logsql::ast::FieldPattern;

/// How many values of a group are kept.
pub(super) const SAMPLE_LIMIT: usize = 65_536;

/// One kept value.
#[derive(Clone, Copy)]
enum Value {
    Number(f64),
    Text(u32),
}

/// A column's value that is not kept: an empty one.
type Kept = Option<Value>;

/// A uniform sample of what was seen.
#[derive(Default)]
struct Sample {
    seen: u64,
    values: Vec<Value>,
    /// How many values to pass over before the next is taken into a full sample.
    skip: u64,
    /// Algorithm L's `W`.
    weight: f64,
    least: Option<f64>,
    most: Option<f64>,
}

/// Random numbers that are the same in every run: a test that once passed passes again.
struct Random(u64);

impl Random {
    /// In `(0, 1]`.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        ((mix(self.0) >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.next() * count as f64) as usize).min(count - 1)
    }
}

impl Sample {
    #[inline]
    fn add(&mut self, value: Value, random: &mut Random) {
        self.seen += 1;
        if let Value::Number(number) = value {
            self.least = Some(self.least.map_or(number, |least| least.min(number)));
            self.most = Some(self.most.map_or(number, |most| most.max(number)));
        }
        if self.values.len() < SAMPLE_LIMIT {
            self.values.push(value);
            if self.values.len() == SAMPLE_LIMIT {
                self.weight = 1.0;
                self.draw_skip(random);
            }
        } else if self.skip > 0 {
            self.skip -= 1;
        } else {
            let place = random.below(SAMPLE_LIMIT);
            self.values[place] = value;
            self.draw_skip(random);
        }
    }

    fn draw_skip(&mut self, random: &mut Random) {
        self.weight *= (random.next().ln() / SAMPLE_LIMIT as f64).exp();
        let skip = (random.next().ln() / (1.0 - self.weight).ln()).floor();
        self.skip = if skip.is_finite() { skip as u64 } else { u64::MAX };
    }

    /// Joins two samples: each value of the answer comes from one of them with the odds of what that one saw.
    fn merge(&mut self, other: Self, random: &mut Random) {
        let fold = |a: Option<f64>, b: Option<f64>, op: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(op(a, b)),
            (a, b) => a.or(b),
        };
        self.least = fold(self.least, other.least, f64::min);
        self.most = fold(self.most, other.most, f64::max);
        let total = self.seen + other.seen;
        let exact =
            self.seen as usize == self.values.len() && other.seen as usize == other.values.len();
        if exact && self.values.len() + other.values.len() <= SAMPLE_LIMIT {
            self.values.extend(other.values);
        } else {
            let (mut mine, mut theirs) = (std::mem::take(&mut self.values), other.values);
            let (mut left, mut right) = (self.seen, other.seen);
            let wanted = SAMPLE_LIMIT.min(mine.len() + theirs.len());
            let mut joined = Vec::with_capacity(wanted);
            while joined.len() < wanted {
                let from_mine = !mine.is_empty()
                    && (theirs.is_empty() || random.next() * (left + right) as f64 <= left as f64);
                let source = if from_mine { &mut mine } else { &mut theirs };
                let seen = if from_mine { &mut left } else { &mut right };
                *seen = seen.saturating_sub(1);
                let place = random.below(source.len());
                joined.push(source.swap_remove(place));
            }
            self.values = joined;
        }
        self.seen = total;
    }
}

/// `quantile` and `median`.
pub(super) struct Quantile {
    fields: Vec<FieldPattern>,
    phi: f64,
    texts: Interner,
    samples: Vec<Sample>,
    random: Random,
    /// How many values are kept.
    held: usize,
}

impl Quantile {
    pub(super) fn new(fields: &[FieldPattern], phi: f64) -> Self {
        Self {
            fields: fields.to_vec(),
            phi,
            texts: Interner::default(),
            samples: Vec::new(),
            random: Random(0),
            held: 0,
        }
    }

    fn add_column(&mut self, column: &Column, input: &Input<'_>) {
        let Self { texts, samples, random, held, .. } = self;
        let mut add = |group: usize, value: Kept| {
            if let Some(value) = value {
                let sample = &mut samples[group];
                *held += usize::from(sample.values.len() < SAMPLE_LIMIT);
                sample.add(value, random);
            }
        };
        match column {
            Column::Const { value, .. } => {
                let value = keep(value, texts);
                input.each(|_, group| add(group, value));
            }
            Column::Dict(a) => {
                let entries: Vec<Kept> =
                    dictionary_values(a).iter().map(|v| keep(v.unwrap_or(""), texts)).collect();
                input.each(|row, group| add(group, a.key(row).and_then(|key| entries[key])));
            }
            Column::Int(a) => input.each(|row, group| {
                let value = a.is_valid(row).then(|| Value::Number(a.value(row) as f64));
                add(group, value);
            }),
            Column::Text(a) => input.each(|row, group| {
                if a.is_valid(row) {
                    add(group, keep(a.value(row), texts));
                }
            }),
            other => {
                let mut scratch = String::new();
                input.each(|row, group| add(group, keep(other.text(row, &mut scratch), texts)));
            }
        }
    }
}

fn keep(text: &str, texts: &mut Interner) -> Kept {
    if text.is_empty() {
        return None;
    }
    if prints_back(text)
        && let Some(value) = number::number(text)
    {
        return Some(Value::Number(value));
    }
    Some(Value::Text(texts.intern(text)))
}

/// Whether a text is a number of at most 15 digits in the one form in which it is printed.
fn prints_back(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let (whole, fraction) = match digits.iter().position(|b| *b == b'.') {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let all_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let whole_ok = all_digits(whole) && (whole.len() == 1 || whole[0] != b'0');
    let fraction_ok = fraction.is_none_or(|part| all_digits(part) && part[part.len() - 1] != b'0');
    whole_ok && fraction_ok && digits.len() <= 15 && text != "-0"
}

impl Accumulator for Quantile {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.samples, input.groups);
        for column in input.columns(&self.fields) {
            self.add_column(column, input);
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.samples, groups);
        let other = same_kind::<Self>(other);
        let codes: Vec<u32> = (0..other.texts.len() as u32)
            .map(|code| self.texts.intern(other.texts.text(code)))
            .collect();
        for (mut sample, group) in other.samples.into_iter().zip(map) {
            for value in &mut sample.values {
                if let Value::Text(code) = value {
                    *code = codes[*code as usize];
                }
            }
            self.samples[*group as usize].merge(sample, &mut self.random);
        }
        self.held = self.samples.iter().map(|s| s.values.capacity()).sum::<usize>();
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        let Some(sample) = self.samples.get_mut(group) else { return };
        let values = &mut sample.values;
        if values.is_empty() {
            return;
        }
        let at = ((self.phi * values.len() as f64) as usize).min(values.len() - 1);
        let numbers = values.iter().all(|v| matches!(v, Value::Number(_)));
        if numbers && self.phi <= 0.0 {
            return number::write_number(out, sample.least.unwrap_or(f64::NAN));
        }
        if numbers && self.phi >= 1.0 {
            return number::write_number(out, sample.most.unwrap_or(f64::NAN));
        }
        if numbers {
            let of = |value: &Value| match value {
                Value::Number(number) => *number,
                Value::Text(_) => f64::NAN,
            };
            let (_, value, _) = values.select_nth_unstable_by(at, |a, b| of(a).total_cmp(&of(b)));
            return number::write_number(out, of(value));
        }
        let texts = values.iter().map(|value| match value {
            Value::Text(code) => self.texts.text(*code).to_string(),
            Value::Number(number) => {
                let mut text = String::new();
                number::write_number(&mut text, *number);
                text
            }
        });
        let mut keyed: Vec<(Vec<u8>, String)> =
            texts.map(|text| (order::key(&text), text)).collect();
        let (_, (_, text), _) = keyed.select_nth_unstable(at);
        out.push_str(text);
    }

    fn size_bytes(&self) -> usize {
        self.texts.size_bytes()
            + self.held * size_of::<Value>()
            + self.samples.capacity() * size_of::<Sample>()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_print_back_are_known() {
        for text in ["0", "-1", "12.5", "0.001", "123456789012345"] {
            assert!(prints_back(text), "{text}");
            let mut out = String::new();
            number::write_number(&mut out, number::number(text).unwrap());
            assert_eq!(out, text);
        }
        for text in ["", "-", "-0", "01", "1.0", "1.", ".5", "1e3", "20ms", "1234567890123456"] {
            assert!(!prints_back(text), "{text}");
        }
    }

    #[test]
    fn a_sample_of_many_is_close_and_its_ends_are_exact() {
        let count = 20 * SAMPLE_LIMIT;
        let mut random = Random(7);
        let (mut a, mut b) = (Sample::default(), Sample::default());
        for i in 0..count {
            // The halves are unlike: low values here, high ones there, and not as many.
            let to = if i < count / 4 { &mut a } else { &mut b };
            to.add(Value::Number(i as f64), &mut random);
        }
        a.merge(b, &mut random);
        assert_eq!((a.seen as usize, a.values.len()), (count, SAMPLE_LIMIT));
        for phi in [0.01, 0.1, 0.25, 0.5, 0.9, 0.99] {
            let mut quantile = Quantile::new(&[], phi);
            let values = a.values.clone();
            let sample =
                Sample { seen: a.seen, values, least: a.least, most: a.most, ..Sample::default() };
            quantile.samples.push(sample);
            let mut out = String::new();
            quantile.write(0, &mut out);
            let share = out.parse::<f64>().unwrap() / count as f64;
            assert!((share - phi).abs() < 0.01, "{phi} {share}");
        }
        assert_eq!((a.least, a.most), (Some(0.0), Some((count - 1) as f64)));
    }
}
