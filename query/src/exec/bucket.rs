//! Buckets of `stats by (field:step offset o)`: a value is replaced by the start of the bucket that it lies in.
//!
//! A value that is not of the bucket's kind (a text in a numeric bucket) is its own bucket.

use rookery_core::time::{self, DAY};

use super::number;

/// How the values of a field are cut.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bucket {
    /// Not at all.
    Exact,
    /// Multiples of `step`, shifted by `offset`; nanoseconds for a time, plain numbers for the rest.
    Step {
        /// Width of a bucket.
        step: f64,
        /// Where a bucket starts.
        offset: f64,
    },
    /// Weeks from Monday, shifted, in nanoseconds.
    Week {
        /// Where a bucket starts.
        offset: i64,
    },
    /// Months of the calendar, shifted, in nanoseconds.
    Month {
        /// Where a bucket starts.
        offset: i64,
    },
    /// Years of the calendar, shifted, in nanoseconds.
    Year {
        /// Where a bucket starts.
        offset: i64,
    },
    /// IPv4 networks.
    Network {
        /// The bits that are kept.
        mask: u32,
    },
}

/// The first day of 1970 was a Thursday: weeks from Monday start four days later.
const MONDAY: i64 = 4 * DAY;

impl Bucket {
    /// The span of the bucket that a time lies in, its end excluded.
    pub(crate) fn time_span(&self, nanos: i64) -> (i64, i64) {
        let steps = |step: i64, offset: i64| {
            let step = step.max(1);
            let start = (nanos.saturating_sub(offset)).div_euclid(step).saturating_mul(step);
            let start = start.saturating_add(offset);
            (start, start.saturating_add(step))
        };
        let civil = |offset: i64, months: bool| {
            let (year, month, _) =
                time::civil_from_days((nanos.saturating_sub(offset)).div_euclid(DAY));
            let (from, to) = match (months, month) {
                (false, _) => ((year, 1), (year + 1, 1)),
                (true, 12) => ((year, 12), (year + 1, 1)),
                (true, month) => ((year, month), (year, month + 1)),
            };
            let at = |(year, month)| {
                time::days_from_civil(year, month, 1).saturating_mul(DAY).saturating_add(offset)
            };
            (at(from), at(to))
        };
        match self {
            Self::Step { step, offset } => steps(*step as i64, *offset as i64),
            Self::Week { offset } => steps(7 * DAY, offset + MONDAY),
            Self::Month { offset } => civil(*offset, true),
            Self::Year { offset } => civil(*offset, false),
            Self::Exact | Self::Network { .. } => (nanos, nanos.saturating_add(1)),
        }
    }

    /// Writes the bucket of a text.
    pub(crate) fn cut_text(&self, text: &str, out: &mut String) {
        match self {
            Self::Exact => out.push_str(text),
            Self::Network { mask } => match text.parse::<std::net::Ipv4Addr>() {
                Ok(ip) => {
                    let network = std::net::Ipv4Addr::from(u32::from(ip) & mask);
                    out.push_str(&network.to_string());
                }
                Err(_) => out.push_str(text),
            },
            _ => self.cut_number(text, out),
        }
    }

    fn cut_number(&self, text: &str, out: &mut String) {
        if let Some(nanos) = number::rfc3339_nanos(text) {
            time::write_rfc3339(out, self.time_span(nanos).0);
            return;
        }
        let Self::Step { step, offset } = self else {
            out.push_str(text);
            return;
        };
        let Some(value) = number::number(text) else {
            out.push_str(text);
            return;
        };
        let start = cut(value, *step, *offset);
        if number::duration_nanos(text).is_some() {
            number::write_duration(out, start as i64);
        } else {
            number::write_number(out, start);
        }
    }
}

/// The start of the bucket of a number. Multiples of a fraction are counted, not added up, and printed without the dust of
/// binary fractions (`0.3`, not `0.30000000000000004`).
fn cut(value: f64, step: f64, offset: f64) -> f64 {
    if step <= 0.0 {
        return value;
    }
    let start = ((value - offset) / step).floor() * step + offset;
    if step.fract() == 0.0 && offset.fract() == 0.0 {
        return start;
    }
    let digits = (12.0 - start.abs().max(step).log10().ceil()).clamp(0.0, 15.0);
    let scale = 10f64.powi(digits as i32);
    (start * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_with(bucket: &Bucket, text: &str) -> String {
        let mut out = String::new();
        bucket.cut_text(text, &mut out);
        out
    }

    #[test]
    fn values_fall_to_the_start_of_their_bucket() {
        let step = |step| Bucket::Step { step, offset: 0.0 };
        let day = DAY as f64;
        let cases = [
            (step(1024.0), "1023", "0"),
            (step(1024.0), "2047", "1024"),
            (step(10.0), "-1", "-10"),
            (step(0.1), "0.35", "0.3"),
            (step(1024.0), "x", "x"),
            (step(1024.0), "", ""),
            (step(100e6), "1.25s", "1.2s"),
            (Bucket::Step { step: 10.0, offset: 3.0 }, "12", "3"),
            (step(day), "2024-04-01T10:20:30Z", "2024-04-01T00:00:00Z"),
            (
                Bucket::Step { step: day, offset: 7.2e12 },
                "2024-04-01T00:20:30Z",
                "2024-03-31T02:00:00Z",
            ),
            (Bucket::Week { offset: 0 }, "2024-04-04T10:20:30Z", "2024-04-01T00:00:00Z"),
            (Bucket::Month { offset: 0 }, "2024-12-31T23:00:00Z", "2024-12-01T00:00:00Z"),
            (Bucket::Year { offset: 0 }, "2024-12-31T23:00:00Z", "2024-01-01T00:00:00Z"),
            (Bucket::Network { mask: 0xFFFF_FF00 }, "1.2.3.4", "1.2.3.0"),
            (Bucket::Network { mask: 0xFFFF_FF00 }, "host", "host"),
        ];
        for (bucket, text, want) in cases {
            assert_eq!(cut_with(&bucket, text), want, "{bucket:?} {text}");
        }
    }

    #[test]
    fn a_time_and_its_text_fall_into_the_same_bucket() {
        for bucket in [
            Bucket::Step { step: 3e11, offset: 1e9 },
            Bucket::Week { offset: -time::HOUR },
            Bucket::Month { offset: time::HOUR },
        ] {
            for nanos in (0..400).map(|i| i * 97 * time::HOUR + i * 1_000_003) {
                let (start, end) = bucket.time_span(nanos);
                assert!(start <= nanos && nanos < end);
                assert_eq!(cut_with(&bucket, &time::rfc3339(nanos)), time::rfc3339(start));
            }
        }
    }
}
