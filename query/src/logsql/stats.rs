//! `stats`: groups, buckets, functions.

use rookery_core::filter::FieldName;
use rookery_core::logs::fields;
use rookery_core::time::{self, DAY, HOUR, MINUTE, SECOND};

use super::ast::{
    Bucket, CalendarUnit, FieldPattern, SortKey, Stats, StatsCall, StatsFunction, StatsKey,
};
use super::scan::{Class, Parsed, Parser};
use super::{numbers, print};

/// The functions of `stats`.
pub(super) const STATS_FUNCTIONS: [&str; 22] = [
    "avg",
    "count",
    "count_empty",
    "count_uniq",
    "count_uniq_hash",
    "histogram",
    "json_values",
    "max",
    "median",
    "min",
    "quantile",
    "rate",
    "rate_sum",
    "row_any",
    "row_max",
    "row_min",
    "stddev",
    "sum",
    "sum_len",
    "uniq_values",
    "values",
    "any",
];

const BUCKET_EXPECTED: &str =
    "a bucket: a duration (`5m`), a unit (`day`), a number (`10KB`) or a network (`/24`)";

impl Parser<'_> {
    /// What follows `stats`, or stands in its place.
    pub(super) fn stats(&mut self) -> Parsed<Stats> {
        let has_by = self.eat_keyword("by");
        let by = if has_by || self.next_sign() == Some('(') {
            self.in_parentheses(Self::stats_key)?
        } else {
            Vec::new()
        };
        let mut functions: Vec<StatsCall> = Vec::new();
        loop {
            self.skip_space();
            let at = self.position;
            let call = self.stats_call()?;
            let taken = functions.iter().any(|f| f.result == call.result)
                || by.iter().any(|key| key.field == call.result);
            if taken {
                let message = format!(
                    "the name `{}` is given twice: give one of the results another",
                    call.result
                );
                return Err(self.error(at, "another name", message));
            }
            functions.push(call);
            if !self.eat(',') {
                return Ok(Stats { by, functions });
            }
        }
    }

    fn stats_key(&mut self) -> Parsed<StatsKey> {
        let field = self.name("the name of a field")?;
        let bucket = if self.eat(':') { Some(self.bucket(&field)?) } else { None };
        Ok(StatsKey { field, bucket })
    }

    fn bucket(&mut self, field: &FieldName) -> Parsed<Bucket> {
        self.skip_space();
        let at = self.position;
        let step = self.argument(BUCKET_EXPECTED)?;
        if let Some(bits) = step.strip_prefix('/') {
            let prefix_bits = bits.parse().ok().filter(|bits| *bits <= 32);
            let prefix_bits = prefix_bits
                .ok_or_else(|| self.wrong(at, "a network as `/24`, with 0 to 32 bits"))?;
            return Ok(Bucket::Ipv4 { prefix_bits });
        }
        let calendar = match step.to_ascii_lowercase().as_str() {
            "week" => Some(CalendarUnit::Week),
            "month" => Some(CalendarUnit::Month),
            "year" => Some(CalendarUnit::Year),
            _ => None,
        };
        if let Some(unit) = calendar {
            return Ok(Bucket::Calendar { unit, offset: self.time_offset()? });
        }
        if let Some(step) = time_step(&step, field.as_ref() == fields::TIME) {
            if step <= 0 {
                return Err(self.wrong(at, "a bucket wider than 0"));
            }
            return Ok(Bucket::Time { step, offset: self.time_offset()? });
        }
        let step = numbers::parse_number(&step).filter(|n| n.is_finite() && *n > 0.0);
        let step = step.ok_or_else(|| self.wrong(at, BUCKET_EXPECTED))?;
        let mut offset = 0.0;
        if self.eat_keyword("offset") {
            self.skip_space();
            let at = self.position;
            let text = self.argument("a number")?;
            let number = numbers::parse_number(&text).filter(|n| n.is_finite());
            offset = number.ok_or_else(|| self.wrong(at, "a number"))?;
        }
        Ok(Bucket::Number { step, offset })
    }

    fn stats_call(&mut self) -> Parsed<StatsCall> {
        let function = self.stats_function()?;
        let condition = self.condition()?;
        let ends = matches!(self.next_sign(), None | Some(',' | '|' | ')'));
        let result = if ends {
            print::print_call(&function, condition.as_ref(), &self.subqueries).into()
        } else {
            self.eat_keyword("as");
            self.name("the name of the result")?
        };
        Ok(StatsCall { function, condition, result })
    }

    fn stats_function(&mut self) -> Parsed<StatsFunction> {
        self.skip_space();
        let at = self.position;
        let name = self.bare(Class::Word).to_ascii_lowercase();
        if name.is_empty() {
            return Err(self.expected("a function, as in `count()`"));
        }
        if !STATS_FUNCTIONS.contains(&name.as_str()) {
            return Err(self.unknown(at, "stats function", &name, &STATS_FUNCTIONS));
        }
        if self.next_sign() != Some('(') {
            return Err(self.expected(&format!("`(` after `{name}`")));
        }
        if name == "quantile" {
            return self.quantile();
        }
        let fields = self.in_parentheses(Self::field_pattern)?;
        match name.as_str() {
            "histogram" | "row_max" | "row_min" => self.function_of_one(&name, at, fields),
            "rate" if fields.is_empty() => Ok(StatsFunction::Rate),
            "rate" => Err(self
                .wrong(at, "`rate()` without fields (for the rate of a sum, `rate_sum(field)`)")),
            _ => self.function_of_many(&name, all_or(fields)),
        }
    }

    /// Functions whose first argument is one field.
    fn function_of_one(
        &self,
        name: &str,
        at: usize,
        fields: Vec<FieldPattern>,
    ) -> Parsed<StatsFunction> {
        let mut fields = fields.into_iter();
        let Some(FieldPattern::Name(by)) = fields.next() else {
            return Err(self.wrong(at, &format!("`{name}(field)`")));
        };
        let fields: Vec<FieldPattern> = fields.collect();
        match name {
            "row_max" => Ok(StatsFunction::RowMax { by, fields: all_or(fields) }),
            "row_min" => Ok(StatsFunction::RowMin { by, fields: all_or(fields) }),
            _ if fields.is_empty() => Ok(StatsFunction::Histogram(by)),
            _ => Err(self.wrong(at, "`histogram(field)` with one field")),
        }
    }

    /// Functions of any number of fields.
    fn function_of_many(&mut self, name: &str, fields: Vec<FieldPattern>) -> Parsed<StatsFunction> {
        Ok(match name {
            "avg" => StatsFunction::Avg(fields),
            "count" => StatsFunction::Count(fields),
            "count_empty" => StatsFunction::CountEmpty(fields),
            "count_uniq" => StatsFunction::CountUniq { fields, limit: self.limit()? },
            "count_uniq_hash" => StatsFunction::CountUniqHash { fields, limit: self.limit()? },
            "max" => StatsFunction::Max(fields),
            "median" => StatsFunction::Median(fields),
            "min" => StatsFunction::Min(fields),
            "rate_sum" => StatsFunction::RateSum(fields),
            "row_any" | "any" => StatsFunction::RowAny(fields),
            "stddev" => StatsFunction::Stddev(fields),
            "sum" => StatsFunction::Sum(fields),
            "sum_len" => StatsFunction::SumLen(fields),
            "uniq_values" => StatsFunction::UniqValues { fields, limit: self.limit()? },
            "values" => StatsFunction::Values { fields, limit: self.limit()? },
            _ => {
                let sort = if self.eat_keyword("sort") || self.at_keyword("order") {
                    self.eat_keyword("order");
                    self.eat_keyword("by");
                    self.sort_keys()?
                } else {
                    Vec::<SortKey>::new()
                };
                StatsFunction::JsonValues { fields, sort, limit: self.limit()? }
            }
        })
    }

    /// `quantile(phi, field, …)`.
    fn quantile(&mut self) -> Parsed<StatsFunction> {
        self.expect('(')?;
        self.skip_space();
        let at = self.position;
        let text = self.argument("a number from 0 to 1")?;
        let phi = numbers::parse_number(&text).filter(|phi| (0.0..=1.0).contains(phi));
        let phi = phi.ok_or_else(|| self.wrong(at, "a number from 0 to 1"))?;
        let mut fields = Vec::new();
        while self.eat(',') {
            if self.next_sign() == Some(')') {
                break;
            }
            fields.push(self.field_pattern()?);
        }
        self.expect(')')?;
        Ok(StatsFunction::Quantile { phi, fields: all_or(fields) })
    }

    /// `limit N`, if it stands there; 0 is no limit.
    pub(super) fn limit(&mut self) -> Parsed<Option<u64>> {
        if !self.eat_keyword("limit") {
            return Ok(None);
        }
        self.count("a whole number").map(|limit| (limit > 0).then_some(limit))
    }
}

/// A list in which one pattern is everything, is everything.
pub(super) fn all_or(fields: Vec<FieldPattern>) -> Vec<FieldPattern> {
    let all = fields
        .iter()
        .any(|field| matches!(field, FieldPattern::Prefix(prefix) if prefix.is_empty()));
    if all { Vec::new() } else { fields }
}

/// The step of a bucket of time: a unit's name, or, for `_time`, a duration.
fn time_step(text: &str, is_time: bool) -> Option<i64> {
    match text.to_ascii_lowercase().as_str() {
        "nanosecond" => Some(1),
        "microsecond" => Some(1_000),
        "millisecond" => Some(1_000_000),
        "second" => Some(SECOND),
        "minute" => Some(MINUTE),
        "hour" => Some(HOUR),
        "day" => Some(DAY),
        // A bare number is nanoseconds, as `_time` is.
        _ if is_time && numbers::is_plain_number(text) => {
            numbers::parse_number(text).map(|nanos| nanos as i64)
        }
        _ if is_time => time::parse_duration(text).ok(),
        _ => None,
    }
}
