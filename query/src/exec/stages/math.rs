//! `math`: sums over columns of numbers, one operation over a whole batch at a time.

use rookery_core::Result;
use rookery_core::rows::{Column, Rows};

use super::rows::mix;
use crate::exec::columns::{self, Assign, TextBuilder};
use crate::exec::number;
use crate::exec::pipeline::Stage;
use crate::logsql::ast::{Expression, MathEntry, MathFunction, Operator};

/// `math`.
pub(crate) struct Math {
    /// One after another.
    pub entries: Vec<MathEntry>,
    /// What `now()` is, in nanoseconds since the epoch.
    pub now: i64,
    /// Where `rand()` starts.
    pub seed: std::sync::atomic::AtomicU64,
}

impl Stage for Math {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        for entry in &self.entries {
            let values = self.evaluate(&entry.expression, &rows);
            let column = print(&values, rows.len)?;
            columns::assign(&mut rows, &entry.result, column, Assign::default())?;
        }
        Ok(rows)
    }
}

/// The values of an expression: one for all rows, or one for each.
enum Values {
    One(f64),
    Each(Vec<f64>),
}

impl Values {
    fn map(self, op: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::One(value) => Self::One(op(value)),
            Self::Each(mut values) => {
                for value in &mut values {
                    *value = op(*value);
                }
                Self::Each(values)
            }
        }
    }

    fn zip(self, other: Self, op: impl Fn(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Self::One(a), other) => other.map(|b| op(a, b)),
            (Self::Each(mut a), other) => {
                for (row, a) in a.iter_mut().enumerate() {
                    *a = op(*a, other.at(row));
                }
                Self::Each(a)
            }
        }
    }

    fn at(&self, row: usize) -> f64 {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values[row],
        }
    }
}

fn print(values: &Values, rows: usize) -> Result<Column> {
    let mut text = String::new();
    match values {
        Values::One(value) => {
            number::write_number(&mut text, *value);
            Ok(Column::constant(&text, rows))
        }
        Values::Each(values) => {
            // Whole numbers stay numbers.
            let whole =
                |v: &f64| v.trunc() == *v && v.abs() < 9e15 && !(*v == 0.0 && v.is_sign_negative());
            if values.iter().all(whole) {
                let whole = values.iter().map(|v| *v as i64);
                return Ok(Column::Int(arrow_array::Int64Array::from_iter_values(whole)));
            }
            let mut builder = TextBuilder::new(values.len());
            for value in values {
                text.clear();
                number::write_number(&mut text, *value);
                builder.push(&text);
            }
            builder.finish()
        }
    }
}

impl Math {
    fn evaluate(&self, expression: &Expression, rows: &Rows) -> Values {
        match expression {
            Expression::Number(value) => Values::One(*value),
            Expression::Field(field) => match rows.column(field) {
                None => Values::One(f64::NAN),
                Some(Column::Const { value, .. }) => Values::One(number::math_number(value)),
                Some(Column::Time(a)) if arrow_array::Array::null_count(a) == 0 => {
                    Values::Each(a.values().iter().map(|v| *v as f64).collect())
                }
                Some(column) => {
                    let mut out = Vec::new();
                    number::column_numbers(column, number::math_number, &mut out);
                    Values::Each(out)
                }
            },
            Expression::Negate(inner) => self.evaluate(inner, rows).map(|v| -v),
            Expression::Binary { operator, left, right } => {
                let (left, right) = (self.evaluate(left, rows), self.evaluate(right, rows));
                left.zip(right, operation(*operator))
            }
            Expression::Call { function, arguments } => {
                let arguments: Vec<Values> =
                    arguments.iter().map(|a| self.evaluate(a, rows)).collect();
                self.call(*function, arguments, rows.len)
            }
        }
    }

    fn call(&self, function: MathFunction, arguments: Vec<Values>, rows: usize) -> Values {
        let count = arguments.len();
        let mut arguments = arguments.into_iter();
        let first = arguments.next().unwrap_or(Values::One(f64::NAN));
        match function {
            MathFunction::Abs => first.map(f64::abs),
            MathFunction::Ceil => first.map(f64::ceil),
            MathFunction::Exp => first.map(f64::exp),
            MathFunction::Floor => first.map(f64::floor),
            // Where there is no finite logarithm there is no number.
            MathFunction::Ln => first.map(|v| if v > 0.0 { v.ln() } else { f64::NAN }),
            // `f64::max` and `f64::min` leave NaN out.
            MathFunction::Max => arguments.fold(first, |a, b| a.zip(b, f64::max)),
            MathFunction::Min => arguments.fold(first, |a, b| a.zip(b, f64::min)),
            MathFunction::Now => Values::One(self.now as f64),
            MathFunction::Rand => {
                let order = std::sync::atomic::Ordering::Relaxed;
                let seed = self.seed.fetch_add(rows as u64, order);
                // 53 bits are what an f64 holds.
                let random = |row| (mix(seed.wrapping_add(row)) >> 11) as f64 / (1u64 << 53) as f64;
                Values::Each((0..rows as u64).map(random).collect())
            }
            MathFunction::Round if count > 1 => {
                let nearest = arguments.next().unwrap_or(Values::One(f64::NAN));
                first.zip(nearest, round_to)
            }
            MathFunction::Round => first.map(f64::round),
        }
    }
}

fn operation(operator: Operator) -> fn(f64, f64) -> f64 {
    match operator {
        Operator::Power => f64::powf,
        Operator::Multiply => |a, b| a * b,
        Operator::Divide => |a, b| a / b,
        Operator::Remainder => |a, b| a % b,
        Operator::Add => |a, b| a + b,
        Operator::Subtract => |a, b| a - b,
        Operator::And => |a, b| bits(a, b, |a, b| a & b),
        Operator::Xor => |a, b| bits(a, b, |a, b| a ^ b),
        Operator::Or => |a, b| bits(a, b, |a, b| a | b),
        Operator::Default => |a, b| if a.is_nan() { b } else { a },
    }
}

fn bits(a: f64, b: f64, op: fn(u64, u64) -> u64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    op(a as u64, b as u64) as f64
}

/// The multiple of `nearest` that is closest, printed with no more digits than `nearest` has.
fn round_to(value: f64, nearest: f64) -> f64 {
    let step = nearest.abs();
    if step == 0.0 || value.is_nan() || step.is_nan() {
        return f64::NAN;
    }
    let rounded = (value / step).round() * step;
    let digits = (0..=15).find(|digits| {
        let scaled = step * 10f64.powi(*digits);
        (scaled - scaled.round()).abs() < 1e-9 * scaled.max(1.0)
    });
    let scale = 10f64.powi(digits.unwrap_or(15));
    let clean = (rounded * scale).round() / scale;
    if clean.is_finite() { clean } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_leaves_no_dust() {
        let cases = [
            (std::f64::consts::E, 0.01, 2.72),
            (1.0986, 0.01, 1.1),
            (1.66666, -0.001, 1.667),
            (10.0 / 3.0, 0.1, 3.3),
            (17.0, 5.0, 15.0),
            (1.5e18 + 3.0, 1e9, 1.5e18),
        ];
        for (value, nearest, want) in cases {
            assert_eq!(round_to(value, nearest), want, "{value} {nearest}");
        }
    }
}
