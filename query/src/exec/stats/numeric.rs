//! `sum`, `avg`, `rate_sum`, `stddev`, `histogram`: what is computed from numbers.

use std::any::Any;
use std::fmt::Write as _;

use rookery_core::Result;
use rookery_core::filter::FieldName;

use super::{Accumulator, Input, grow, same_kind, write_rate};
use crate::exec::group::FastMap;
use crate::exec::number::{self, column_numbers, number_or_nan};
use crate::logsql::ast::FieldPattern;

/// Calls `visit(group, number)` for each number in the columns.
fn each_number(
    input: &Input<'_>,
    fields: &[FieldPattern],
    scratch: &mut Vec<f64>,
    mut visit: impl FnMut(usize, f64),
) {
    for column in input.columns(fields) {
        column_numbers(column, number_or_nan, scratch);
        input.each(|row, group| {
            let value = scratch[row];
            if !value.is_nan() {
                visit(group, value);
            }
        });
    }
}

/// A sum whose rounding errors are added up beside it (Neumaier, 1974).
#[derive(Default, Clone, Copy)]
struct Sum {
    count: u64,
    total: f64,
    error: f64,
}

impl Sum {
    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.add_total(value);
    }

    #[inline]
    fn add_total(&mut self, value: f64) {
        let next = self.total + value;
        self.error += if self.total.abs() >= value.abs() {
            (self.total - next) + value
        } else {
            (value - next) + self.total
        };
        self.total = next;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.add_total(other.total);
        self.error += other.error;
    }

    fn value(&self) -> f64 {
        let exact = self.total + self.error;
        // An infinite total leaves no meaningful error.
        if exact.is_nan() { self.total } else { exact }
    }
}

/// What is made of a sum.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Sum,
    Mean,
    /// Divided by the seconds of the span.
    Rate(Option<f64>),
}

/// `sum`, `avg`, `rate_sum`.
pub(super) struct Sums {
    fields: Vec<FieldPattern>,
    shape: Shape,
    states: Vec<Sum>,
    scratch: Vec<f64>,
}

impl Sums {
    pub(super) fn new(fields: &[FieldPattern], shape: Shape) -> Self {
        Self { fields: fields.to_vec(), shape, states: Vec::new(), scratch: Vec::new() }
    }
}

impl Accumulator for Sums {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.states, input.groups);
        let states = &mut self.states;
        each_number(input, &self.fields, &mut self.scratch, |group, value| {
            states[group].add(value);
        });
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.states, groups);
        for (state, group) in same_kind::<Self>(other).states.iter().zip(map) {
            self.states[*group as usize].merge(state);
        }
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        let state = self.states.get(group).copied().unwrap_or_default();
        if state.count == 0 {
            return number::write_number(out, f64::NAN);
        }
        match self.shape {
            Shape::Sum => number::write_number(out, state.value()),
            Shape::Mean => number::write_number(out, state.value() / state.count as f64),
            Shape::Rate(seconds) => write_rate(out, state.value(), seconds),
        }
    }

    fn size_bytes(&self) -> usize {
        self.states.capacity() * size_of::<Sum>()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Mean and sum of squared distances from it, one value at a time (Welford, 1962), joined as in Chan, Golub, LeVeque (1979).
#[derive(Default, Clone, Copy)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }

    fn merge(&mut self, other: &Self) {
        if other.count == 0.0 {
            return;
        }
        let count = self.count + other.count;
        let distance = other.mean - self.mean;
        self.squares += other.squares + distance * distance * self.count * other.count / count;
        self.mean += distance * other.count / count;
        self.count = count;
    }
}

/// `stddev`.
pub(super) struct Deviation {
    fields: Vec<FieldPattern>,
    states: Vec<Moments>,
    scratch: Vec<f64>,
}

impl Deviation {
    pub(super) fn new(fields: &[FieldPattern]) -> Self {
        Self { fields: fields.to_vec(), states: Vec::new(), scratch: Vec::new() }
    }
}

impl Accumulator for Deviation {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.states, input.groups);
        let states = &mut self.states;
        each_number(input, &self.fields, &mut self.scratch, |group, value| {
            states[group].add(value);
        });
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.states, groups);
        for (state, group) in same_kind::<Self>(other).states.iter().zip(map) {
            self.states[*group as usize].merge(state);
        }
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        let state = self.states.get(group).copied().unwrap_or_default();
        let deviation =
            if state.count > 0.0 { (state.squares / state.count).sqrt() } else { f64::NAN };
        number::write_number(out, deviation);
    }

    fn size_bytes(&self) -> usize {
        self.states.capacity() * size_of::<Moments>()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// VictoriaMetrics' histogram: 18 buckets a decade from 1e-9 to 1e18, their upper ends inside, one below and one above.
const BUCKETS_PER_DECADE: f64 = 18.0;
const LEAST_EXPONENT: f64 = -9.0;
const MOST_EXPONENT: f64 = 18.0;
const BELOW: u16 = u16::MAX;
const ABOVE: u16 = u16::MAX - 1;

/// `histogram`.
pub(super) struct Histogram {
    fields: Vec<FieldPattern>,
    states: Vec<FastMap<u16, u64>>,
    scratch: Vec<f64>,
}

impl Histogram {
    pub(super) fn new(field: &FieldName) -> Self {
        let fields = vec![FieldPattern::Name(field.clone())];
        Self { fields, states: Vec::new(), scratch: Vec::new() }
    }
}

/// The bucket of a value; negative values have none.
fn bucket(value: f64) -> Option<u16> {
    if value < 0.0 {
        return None;
    }
    let at = (value.log10() - LEAST_EXPONENT) * BUCKETS_PER_DECADE;
    if at <= 0.0 {
        return Some(BELOW);
    }
    if at > (MOST_EXPONENT - LEAST_EXPONENT) * BUCKETS_PER_DECADE {
        return Some(ABOVE);
    }
    let whole = at.floor();
    // The upper end of a bucket belongs to it.
    Some(if whole == at { whole - 1.0 } else { whole } as u16)
}

/// The ends of a bucket, as they are printed.
fn ends(bucket: u16) -> String {
    let edge = |at: f64| {
        let value = 10f64.powf(LEAST_EXPONENT + at / BUCKETS_PER_DECADE);
        let text = format!("{value:.3e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        format!("{digits}e{sign}{exponent:0>2}")
    };
    let last = (MOST_EXPONENT - LEAST_EXPONENT) * BUCKETS_PER_DECADE;
    match bucket {
        BELOW => format!("0...{}", edge(0.0)),
        ABOVE => format!("{}...+Inf", edge(last)),
        at => format!("{}...{}", edge(f64::from(at)), edge(f64::from(at) + 1.0)),
    }
}

impl Accumulator for Histogram {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.states, input.groups);
        let states = &mut self.states;
        each_number(input, &self.fields, &mut self.scratch, |group, value| {
            if let Some(bucket) = bucket(value) {
                *states[group].entry(bucket).or_default() += 1;
            }
        });
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.states, groups);
        for (state, group) in same_kind::<Self>(other).states.into_iter().zip(map) {
            for (bucket, hits) in state {
                *self.states[*group as usize].entry(bucket).or_default() += hits;
            }
        }
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        let mut buckets: Vec<(u16, u64)> = match self.states.get(group) {
            Some(state) => state.iter().map(|(bucket, hits)| (*bucket, *hits)).collect(),
            None => Vec::new(),
        };
        // The one below comes first, the one above last.
        buckets.sort_unstable_by_key(|(bucket, _)| bucket.wrapping_add(1));
        out.push('[');
        for (at, (bucket, hits)) in buckets.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(out, "{comma}{{\"vmrange\":\"{}\",\"hits\":{hits}}}", ends(*bucket));
        }
        out.push(']');
    }

    fn size_bytes(&self) -> usize {
        let buckets: usize = self.states.iter().map(FastMap::capacity).sum();
        self.states.capacity() * size_of::<FastMap<u16, u64>>() + buckets * 17
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_victoria_metrics() {
        let cases = [
            (2.0, "1.896e+00...2.154e+00"),
            (1.9, "1.896e+00...2.154e+00"),
            (3.05, "2.783e+00...3.162e+00"),
            (0.0, "0...1.000e-09"),
            (1.0, "8.799e-01...1.000e+00"),
            (1e18, "8.799e+17...1.000e+18"),
            (2e18, "1.000e+18...+Inf"),
        ];
        for (value, want) in cases {
            assert_eq!(ends(bucket(value).unwrap()), want, "{value}");
        }
        assert_eq!(bucket(-1.0), None);
    }

    #[test]
    fn sums_do_not_depend_on_how_they_were_split() {
        let values: Vec<f64> =
            (0..1000).map(|i| f64::from(i) * 0.1 + 1e12 * f64::from(i % 3)).collect();
        let whole = values.iter().fold(Sum::default(), |mut s, v| {
            s.add(*v);
            s
        });
        let mut parts = Sum::default();
        for part in values.chunks(7).rev() {
            let mut sum = Sum::default();
            part.iter().for_each(|v| sum.add(*v));
            parts.merge(&sum);
        }
        assert_eq!(whole.value(), parts.value());
        assert_eq!(whole.count, parts.count);
    }
}
