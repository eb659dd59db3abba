//! A query as text again: canonical, and such that it parses to the same query.
//!
//! Everything that could be mistaken for something else is quoted; times and numbers are written so that no digit is lost.

mod pipes;

use std::fmt;

use rookery_core::filter::{Filter, TagMatcher, TagOp, Test, Values};
use rookery_core::logs::fields;
use rookery_core::{TimeRange, time};

use super::ast::{
    Expression, FieldPattern, MathFunction, Operator, Query, StatsFunction, Subquery,
};
use super::{math, numbers, times};

/// Words that mean something where a name may stand.
const RESERVED: [&str; 44] = [
    "after",
    "and",
    "as",
    "asc",
    "at",
    "before",
    "by",
    "contains_all",
    "contains_any",
    "day_range",
    "default",
    "desc",
    "drop_duplicates",
    "eq_field",
    "exact",
    "fields",
    "from",
    "hits",
    "i",
    "if",
    "in",
    "inner",
    "ipv4_range",
    "keep_const_fields",
    "keep_original_fields",
    "le_field",
    "len_range",
    "limit",
    "lt_field",
    "not",
    "offset",
    "on",
    "options",
    "or",
    "partition",
    "prefix",
    "prettify",
    "range",
    "rank",
    "re",
    "seq",
    "skip_empty_results",
    "with",
    "xor",
];

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer { out: String::new(), subqueries: &self.subqueries };
        printer.query(self);
        f.write_str(&printer.out)
    }
}

/// A filter as text. Subqueries cannot be named without their query: their lists print as empty.
pub fn print_filter(filter: &Filter) -> String {
    let mut printer = Printer { out: String::new(), subqueries: &[] };
    printer.filter(filter, Level::Or);
    printer.out
}

/// A function of `stats` as text: the name of its result when none is given.
pub(super) fn print_call(
    function: &StatsFunction,
    condition: Option<&Filter>,
    subqueries: &[Subquery],
) -> String {
    let mut printer = Printer { out: String::new(), subqueries };
    printer.stats_function(function);
    printer.condition(condition);
    printer.out
}

/// An expression of `math` as text: the name of its result when none is given.
pub(super) fn print_expression(expression: &Expression) -> String {
    let mut printer = Printer { out: String::new(), subqueries: &[] };
    printer.expression(expression, 0);
    printer.out
}

/// What stands around a filter: whether it needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Not,
}

struct Printer<'a> {
    out: String,
    subqueries: &'a [Subquery],
}

impl Printer<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn query(&mut self, query: &Query) {
        let mut inner =
            Printer { out: std::mem::take(&mut self.out), subqueries: &query.subqueries };
        inner.options(&query.options);
        inner.filter(&query.filter, Level::Or);
        for pipe in &query.pipes {
            inner.push(" | ");
            inner.pipe(pipe);
        }
        self.out = inner.out;
    }

    fn options(&mut self, options: &super::ast::Options) {
        let mut parts = Vec::new();
        if let Some(concurrency) = options.concurrency {
            parts.push(format!("concurrency={concurrency}"));
        }
        if options.ignore_global_time_filter {
            parts.push("ignore_global_time_filter=true".into());
        }
        if !parts.is_empty() {
            self.push(&format!("options({}) ", parts.join(", ")));
        }
    }

    /// ` if (filter)`.
    fn condition(&mut self, condition: Option<&Filter>) {
        if let Some(filter) = condition {
            self.push(" if (");
            self.filter(filter, Level::Or);
            self.push(")");
        }
    }

    // Filters.

    fn filter(&mut self, filter: &Filter, level: Level) {
        match filter {
            Filter::All => self.push("*"),
            Filter::None => self.push("!*"),
            Filter::And(parts) if parts.is_empty() => self.push("*"),
            Filter::Or(parts) if parts.is_empty() => self.push("!*"),
            Filter::And(parts) => self.joined(parts, " ", Level::And, level),
            Filter::Or(parts) => self.joined(parts, " or ", Level::Or, level),
            Filter::Not(part) => {
                self.push("!");
                self.filter(part, Level::Not);
            }
            Filter::Time(range) => self.time(*range),
            Filter::DayRange { start, end, offset } => self.day_range(*start, *end, *offset),
            Filter::WeekRange { first, last, offset } => {
                let (first, last) = (times::print_weekday(*first), times::print_weekday(*last));
                self.push(&format!("_time:week_range[{first}, {last}]"));
                self.offset(*offset);
            }
            Filter::Stream(selectors) => self.stream(selectors),
            Filter::StreamIds(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                self.push(&format!("_stream_id:in({})", ids.join(", ")));
            }
            Filter::Field { field, test } => self.field(field, test),
        }
    }

    fn joined(&mut self, parts: &[Filter], separator: &str, own: Level, around: Level) {
        let parentheses = around > own;
        if parentheses {
            self.push("(");
        }
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            // A conjunction needs no parentheses inside of a disjunction.
            self.filter(part, if own == Level::Or { Level::And } else { Level::Not });
        }
        if parentheses {
            self.push(")");
        }
    }

    fn time(&mut self, range: TimeRange) {
        let (start, end) = (time::rfc3339(range.start), time::rfc3339(range.end));
        self.push(&match (range.start, range.end) {
            (_, i64::MAX) => format!("_time:>={start}"),
            (i64::MIN, _) => format!("_time:<{end}"),
            _ => format!("_time:[{start}, {end})"),
        });
    }

    fn day_range(&mut self, start: i64, end: i64, offset: i64) {
        let open = (end + 1) % time::MINUTE == 0;
        let (end, bracket) = if open { (end + 1, ')') } else { (end, ']') };
        let (start, end) = (times::print_clock(start), times::print_clock(end));
        self.push(&format!("_time:day_range[{start}, {end}{bracket}"));
        self.offset(offset);
    }

    /// ` offset d`, unless it is 0.
    fn offset(&mut self, offset: i64) {
        if offset != 0 {
            self.push(&format!(" offset {}", numbers::print_duration(offset)));
        }
    }

    fn stream(&mut self, selectors: &[Vec<TagMatcher>]) {
        self.push("{");
        for (index, selector) in selectors.iter().enumerate() {
            if index > 0 {
                self.push(" or ");
            }
            for (index, matcher) in selector.iter().enumerate() {
                if index > 0 {
                    self.push(",");
                }
                self.name(&matcher.tag);
                self.tag_op(&matcher.op);
            }
        }
        self.push("}");
    }

    fn tag_op(&mut self, op: &TagOp) {
        let (operator, list, values): (&str, &str, &[String]) = match op {
            TagOp::In(values) => ("=", " in (", values),
            TagOp::NotIn(values) => ("!=", " not_in (", values),
            TagOp::Matches(pattern) => return self.push(&format!("=~{}", quote(pattern.as_str()))),
            TagOp::NotMatches(pattern) => {
                return self.push(&format!("!~{}", quote(pattern.as_str())));
            }
        };
        if let [value] = values {
            return self.push(&format!("{operator}{}", quote(value)));
        }
        self.push(list);
        self.texts(values);
        self.push(")");
    }

    fn field(&mut self, field: &str, test: &Test) {
        if field != fields::MESSAGE || *test == Test::Any {
            self.name(field);
            self.push(":");
        }
        self.test(test);
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::Any => self.push("*"),
            Test::Empty => self.push("\"\""),
            Test::Phrase(text) => self.value(text),
            Test::Prefix(text) => self.push(&format!("{}*", quote(text))),
            Test::Substring(text) => self.push(&format!("*{}*", quote(text))),
            Test::Exact(text) => self.push(&format!("={}", quote(text))),
            Test::ExactPrefix(text) => self.push(&format!("={}*", quote(text))),
            Test::CasePhrase(text) => self.push(&format!("i({})", quote(text))),
            Test::CasePrefix(text) => self.push(&format!("i({}*)", quote(text))),
            Test::Sequence(phrases) => self.call("seq", phrases),
            Test::Regexp(pattern) => self.push(&format!("~{}", quote(pattern.as_str()))),
            Test::Range { min, max } => self.range(*min, *max),
            Test::StringRange { min, max } => {
                self.call("string_range", &[min.clone(), max.clone()]);
            }
            Test::LengthRange { min, max } => {
                let max = if *max == u64::MAX { "inf".to_owned() } else { max.to_string() };
                self.push(&format!("len_range({min}, {max})"));
            }
            Test::Ipv4Range { min, max } => {
                let address = |bits: u32| std::net::Ipv4Addr::from(bits);
                self.push(&format!("ipv4_range({}, {})", address(*min), address(*max)));
            }
            Test::In(values) => self.values("in", values),
            Test::ContainsAll(values) => self.values("contains_all", values),
            Test::ContainsAny(values) => self.values("contains_any", values),
            Test::EqualsField(other) => self.call("eq_field", &[other.to_string()]),
            Test::LessThanField(other) => self.call("lt_field", &[other.to_string()]),
            Test::AtMostField(other) => self.call("le_field", &[other.to_string()]),
        }
    }

    fn range(&mut self, min: f64, max: f64) {
        let (low, high) = (numbers::print_number(min), numbers::print_number(max));
        self.push(&if max == f64::INFINITY && min.is_finite() {
            format!(">={low}")
        } else if min == f64::NEG_INFINITY && max.is_finite() {
            format!("<={high}")
        } else {
            format!("range[{low}, {high}]")
        });
    }

    fn values(&mut self, function: &str, values: &Values) {
        self.push(function);
        self.push("(");
        match values {
            Values::List(list) => self.texts(list),
            Values::Subquery(index) => {
                if let Some(subquery) = self.subqueries.get(*index) {
                    self.query(&subquery.query);
                }
            }
        }
        self.push(")");
    }

    fn call(&mut self, function: &str, arguments: &[String]) {
        self.push(function);
        self.push("(");
        self.texts(arguments);
        self.push(")");
    }

    fn texts(&mut self, texts: &[String]) {
        let texts: Vec<String> = texts.iter().map(|text| quote(text)).collect();
        self.push(&texts.join(", "));
    }

    // Names.

    /// A name, in quotes unless it is plain.
    fn name(&mut self, name: &str) {
        let plain = is_plain(name) && !name.starts_with(|c: char| c.is_ascii_digit());
        if plain { self.push(name) } else { self.push(&quote(name)) }
    }

    /// A value, in quotes unless it is plain.
    fn value(&mut self, text: &str) {
        if is_plain(text) { self.push(text) } else { self.push(&quote(text)) }
    }

    fn names<'n>(&mut self, names: impl IntoIterator<Item = &'n std::sync::Arc<str>>) {
        for (index, name) in names.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.name(name);
        }
    }

    fn patterns(&mut self, patterns: &[FieldPattern]) {
        for (index, pattern) in patterns.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.pattern(pattern);
        }
    }

    fn pattern(&mut self, pattern: &FieldPattern) {
        match pattern {
            FieldPattern::Name(name) => self.name(name),
            FieldPattern::Prefix(prefix) if prefix.is_empty() => self.push("*"),
            FieldPattern::Prefix(prefix) => {
                self.name(prefix);
                self.push("*");
            }
        }
    }

    // Expressions.

    /// An expression; in parentheses when it binds no tighter than `around`.
    fn expression(&mut self, expression: &Expression, around: u8) {
        match expression {
            Expression::Number(number) => self.push(&numbers::print_number(*number)),
            Expression::Field(name) if numbers::parse_operand(name).is_none() && is_plain(name) => {
                self.push(name);
            }
            Expression::Field(name) => self.push(&quote(name)),
            Expression::Negate(inner) => {
                self.push("-(");
                self.expression(inner, 0);
                self.push(")");
            }
            Expression::Call { function, arguments } => {
                self.push(function_name(*function));
                self.push("(");
                for (index, argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        self.push(", ");
                    }
                    self.expression(argument, 0);
                }
                self.push(")");
            }
            Expression::Binary { operator, left, right } => {
                let (text, strength) = operator_text(*operator);
                let parentheses = strength <= around;
                if parentheses {
                    self.push("(");
                }
                // The left may be of the same strength: operators group from the left.
                self.expression(left, strength - 1);
                self.push(&format!(" {text} "));
                self.expression(right, strength);
                if parentheses {
                    self.push(")");
                }
            }
        }
    }
}

fn function_name(function: MathFunction) -> &'static str {
    let found = math::MATH_FUNCTIONS.iter().find(|(_, known, ..)| *known == function);
    found.map_or("", |(name, ..)| name)
}

fn operator_text(operator: Operator) -> (&'static str, u8) {
    let found = math::OPERATORS.iter().find(|(_, known, _)| *known == operator);
    found.map_or(("", 1), |(text, _, strength)| (text, *strength))
}

/// Whether a text can stand as it is, as a name and as a value.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// A text in double quotes.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
