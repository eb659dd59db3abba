//! Random queries: what is printed parses to the same query, and no text makes the parser fall over.

use rookery_core::TimeRange;
use rookery_core::filter::{FieldName, Filter, Pattern, TagMatcher, TagOp, Test, Values};

use super::{NOW, parse};
use crate::logsql::ast::*;
use crate::logsql::filters::{and, not, or};

/// A generator of numbers (splitmix64) that needs no seed from outside, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len() as u64) as usize]
    }

    fn text(&mut self) -> String {
        self.pick(&[
            "a",
            "error",
            "and",
            "a b",
            "x\"y",
            "back\\slash",
            "ü",
            "5",
            "1.5",
            "*",
            "a*",
            "foo:bar",
            "-x",
            "|",
            "(",
            "in",
            "limit",
            "`",
            "'",
            "\n",
            "\u{1}",
            "日本",
            "=~",
            "{",
            "#",
            "0x1",
            "http://a/?b=c",
        ])
        .to_owned()
    }

    fn name(&mut self) -> FieldName {
        self.pick(&[
            "a",
            "b.c",
            "_msg",
            "level",
            "with space",
            "and",
            "x-y",
            "limit",
            "5xx",
            "k8s/pod",
            "ü",
            "by",
        ])
        .into()
    }

    fn names(&mut self) -> Vec<FieldName> {
        (0..=self.below(2)).map(|_| self.name()).collect()
    }

    fn patterns(&mut self) -> Vec<FieldPattern> {
        (0..=self.below(2)).map(|_| self.field_pattern()).collect()
    }

    fn field_pattern(&mut self) -> FieldPattern {
        if self.coin() {
            FieldPattern::Name(self.name())
        } else {
            FieldPattern::Prefix(self.name())
        }
    }

    fn texts(&mut self) -> Vec<String> {
        (0..self.below(4)).map(|_| self.text()).collect()
    }

    fn number(&mut self) -> f64 {
        match self.below(5) {
            0 => 0.0,
            1 => self.below(1000) as f64,
            2 => -(self.below(1000) as f64) / 7.0,
            3 => f64::from_bits(self.next() >> 2),
            _ => self.below(10) as f64 * 1e20,
        }
    }

    fn regexp(&mut self) -> Pattern {
        Pattern::new(self.pick(&["a|b", "\\d+", "(?i)x\"y", "a/b"])).unwrap()
    }

    fn limit(&mut self) -> Option<u64> {
        self.coin().then(|| 1 + self.below(100))
    }

    fn test(&mut self) -> Test {
        match self.below(20) {
            0 => Test::Any,
            1 => Test::Empty,
            2 => Test::Prefix(self.text()),
            3 => Test::Substring(self.text()),
            4 => Test::Exact(self.text()),
            5 => Test::ExactPrefix(self.text()),
            6 => Test::CasePhrase(self.text().to_lowercase()),
            7 => Test::CasePrefix(self.text().to_lowercase()),
            8 => Test::Sequence(self.texts()),
            9 => Test::Regexp(self.regexp()),
            10 => Test::Range { min: self.number(), max: self.number() },
            11 => Test::StringRange { min: self.text(), max: self.text() },
            12 => Test::LengthRange {
                min: self.below(9),
                max: if self.coin() { u64::MAX } else { self.below(99) },
            },
            13 => Test::Ipv4Range { min: self.next() as u32, max: self.next() as u32 },
            14 => Test::In(Values::list(self.texts())),
            15 => Test::ContainsAll(Values::list(self.texts())),
            16 => Test::ContainsAny(Values::list(self.texts())),
            17 => Test::EqualsField(self.name()),
            18 => Test::LessThanField(self.name()),
            _ => Test::Phrase(self.text()),
        }
    }

    fn tags(&mut self) -> Filter {
        let anchored =
            |dice: &mut Self| Pattern::anchored(dice.pick(&["a|b", ".*", "\\d"])).unwrap();
        let selector = |dice: &mut Self| {
            let matcher = |dice: &mut Self| TagMatcher {
                tag: dice.text(),
                op: match dice.below(4) {
                    0 => TagOp::In(dice.texts()),
                    1 => TagOp::NotIn(dice.texts()),
                    2 => TagOp::Matches(anchored(dice)),
                    _ => TagOp::NotMatches(anchored(dice)),
                },
            };
            (0..=dice.below(2)).map(|_| matcher(dice)).collect()
        };
        Filter::Stream((0..=self.below(2)).map(|_| selector(self)).collect())
    }

    fn filter(&mut self, depth: u64, subqueries: &mut Vec<Subquery>) -> Filter {
        match self.below(if depth == 0 { 8 } else { 14 }) {
            0 => Filter::All,
            1 => {
                let start = (self.next() >> 2) as i64;
                Filter::Time(TimeRange {
                    start,
                    end: start.saturating_add((self.next() >> 3) as i64),
                })
            }
            2 => Filter::DayRange {
                start: self.below(86_400) as i64 * 1_000_000_000,
                end: self.below(86_399_999_999_999) as i64,
                offset: self.below(9) as i64 * 3_600_000_000_000,
            },
            3 => Filter::WeekRange {
                first: self.below(3) as u8,
                last: 3 + self.below(4) as u8,
                offset: 0,
            },
            4 => self.tags(),
            5..8 => Filter::Field { field: self.name(), test: self.test() },
            8 => {
                let mut inner = Vec::new();
                let filter = self.filter(depth - 1, &mut inner);
                let uniq = Pipe::Uniq(Uniq { by: vec!["f".into()], hits: None, limit: None });
                let query = Query {
                    options: Options::default(),
                    filter,
                    pipes: vec![uniq],
                    subqueries: inner,
                };
                // Subqueries are numbered in the order in which they end.
                subqueries.push(Subquery { field: "f".into(), query });
                Filter::field("s", Test::In(Values::Subquery(subqueries.len() - 1)))
            }
            9 | 10 => and((0..3).map(|_| self.filter(depth - 1, subqueries)).collect()),
            11 | 12 => or((0..3).map(|_| self.filter(depth - 1, subqueries)).collect()),
            _ => not(self.filter(depth - 1, subqueries)),
        }
    }

    fn condition(&mut self, subqueries: &mut Vec<Subquery>) -> Option<Filter> {
        self.coin().then(|| self.filter(1, subqueries))
    }

    fn expression(&mut self, depth: u64) -> Expression {
        match self.below(if depth == 0 { 2 } else { 5 }) {
            0 => Expression::Number(self.below(1000) as f64 / 8.0),
            1 => Expression::Field(self.pick(&["a", "b.c", "with space", "x-y", "default"]).into()),
            2 => Expression::Negate(Box::new(Expression::Field("n".into()))),
            3 => {
                let (_, operator, _) = super::math::OPERATORS[self.below(10) as usize];
                let left = Box::new(self.expression(depth - 1));
                Expression::Binary { operator, left, right: Box::new(self.expression(depth - 1)) }
            }
            _ => Expression::Call {
                function: MathFunction::Max,
                arguments: (0..=self.below(2)).map(|_| self.expression(depth - 1)).collect(),
            },
        }
    }

    fn function(&mut self) -> StatsFunction {
        let fields = self.patterns();
        match self.below(14) {
            0 => StatsFunction::Count(fields),
            1 => StatsFunction::CountUniq { fields, limit: self.limit() },
            2 => StatsFunction::CountUniqHash { fields, limit: self.limit() },
            3 => StatsFunction::Avg(fields),
            4 => StatsFunction::Min(Vec::new()),
            5 => StatsFunction::Quantile { phi: self.below(101) as f64 / 100.0, fields },
            6 => StatsFunction::Rate,
            7 => StatsFunction::Histogram(self.name()),
            8 => StatsFunction::Values { fields, limit: self.limit() },
            9 => {
                let sort = self
                    .names()
                    .into_iter()
                    .map(|field| SortKey { field, descending: self.coin() });
                StatsFunction::JsonValues { fields, sort: sort.collect(), limit: self.limit() }
            }
            10 => StatsFunction::RowAny(fields),
            11 => StatsFunction::RowMax { by: self.name(), fields },
            12 => StatsFunction::RowMin { by: self.name(), fields: Vec::new() },
            _ => StatsFunction::Stddev(fields),
        }
    }

    fn bucket(&mut self) -> (FieldName, Option<Bucket>) {
        let offset = self.below(3) as i64 * 3_600_000_000_000;
        match self.below(5) {
            0 => (
                "_time".into(),
                Some(Bucket::Time { step: 1 + self.below(1 << 40) as i64, offset }),
            ),
            1 => (self.name(), Some(Bucket::Calendar { unit: CalendarUnit::Week, offset })),
            2 => (
                self.name(),
                Some(Bucket::Number {
                    step: 0.5 + self.below(99) as f64,
                    offset: self.below(2) as f64,
                }),
            ),
            3 => (self.name(), Some(Bucket::Ipv4 { prefix_bits: self.below(33) as u8 })),
            _ => (self.name(), None),
        }
    }

    fn pipe(&mut self, depth: u64, subqueries: &mut Vec<Subquery>) -> Pipe {
        match self.below(if depth == 0 { 14 } else { 16 }) {
            0 => Pipe::Fields(self.patterns()),
            1 => Pipe::Rename(vec![(
                FieldPattern::Name(self.name()),
                FieldPattern::Name(self.name()),
            )]),
            2 => {
                let by = self
                    .names()
                    .into_iter()
                    .map(|field| SortKey { field, descending: self.coin() })
                    .collect();
                let rank = self.coin().then(|| self.name());
                Pipe::Sort(Sort {
                    by,
                    partition_by: self.names(),
                    offset: self.below(3),
                    limit: self.limit(),
                    rank,
                })
            }
            3 => Pipe::Limit(self.below(1 << 60)),
            4 => {
                let by: Vec<StatsKey> = (0..self.below(3))
                    .map(|_| self.bucket())
                    .map(|(field, bucket)| StatsKey { field, bucket })
                    .collect();
                let function = self.function();
                let call = StatsCall {
                    function,
                    condition: self.condition(subqueries),
                    result: "result".into(),
                };
                Pipe::Stats(Stats { by, functions: vec![call] })
            }
            5 => Pipe::Filter(self.filter(2, subqueries)),
            6 => {
                Pipe::Math(vec![MathEntry { expression: self.expression(4), result: self.name() }])
            }
            7 => Pipe::Replace(Replace {
                condition: self.condition(subqueries),
                field: self.name(),
                old: self.text(),
                new: self.text(),
                limit: self.limit(),
            }),
            8 => Pipe::Unroll { by: self.names(), condition: self.condition(subqueries) },
            9 => Pipe::UnpackJson(Unpack {
                condition: self.condition(subqueries),
                field: self.name(),
                fields: self.patterns(),
                result_prefix: self.text(),
                overwrite: Overwrite {
                    keep_original_fields: self.coin(),
                    skip_empty_results: self.coin(),
                },
            }),
            10 => Pipe::Top(Top {
                limit: self.below(9),
                by: self.names(),
                hits: self.name(),
                rank: self.coin().then(|| self.name()),
            }),
            11 => Pipe::PackJson { fields: self.patterns(), result: self.name() },
            12 => Pipe::FieldValues { field: self.name(), limit: self.limit() },
            13 => Pipe::Hash { field: self.name(), result: self.name() },
            14 => Pipe::Union(Box::new(self.query(depth - 1))),
            _ => Pipe::Join(Join {
                by: self.names(),
                query: Box::new(self.query(depth - 1)),
                inner: self.coin(),
                prefix: self.text(),
            }),
        }
    }

    fn query(&mut self, depth: u64) -> Query {
        let mut subqueries = Vec::new();
        let filter = self.filter(depth, &mut subqueries);
        let pipes = (0..self.below(4)).map(|_| self.pipe(depth.min(1), &mut subqueries)).collect();
        let concurrency = (self.below(8) == 0).then_some(3);
        Query {
            options: Options { concurrency, ignore_global_time_filter: self.coin() },
            filter,
            pipes,
            subqueries,
        }
    }
}

#[test]
fn a_printed_query_is_the_same_query() {
    let mut dice = Dice(42);
    for round in 0..4000 {
        let query = dice.query(3);
        let text = query.to_string();
        if text.len() > super::QUERY_LIMIT_BYTES {
            continue;
        }
        let parsed = parse(&text, NOW).unwrap_or_else(|e| panic!("round {round}: {e}\n{text}"));
        assert_eq!(parsed.to_string(), text, "round {round}");
        assert_eq!(parsed, query, "round {round}: {text}");
    }
}

#[test]
fn no_text_makes_the_parser_fall_over() {
    let mut dice = Dice(7);
    let pieces = [
        "a",
        "\"",
        "'",
        "`",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "|",
        ":",
        "*",
        "!",
        "-",
        "=",
        "~",
        "<",
        ">",
        ",",
        " ",
        "#",
        "\n",
        "\\",
        "é",
        "in",
        "and",
        "or",
        "not",
        "_time",
        "stats",
        "by",
        "count()",
        "if",
        "5m",
        "1e",
        "/24",
        "_stream_id",
        "fields",
        "limit",
        "i",
        "math",
        "offset",
        "union",
        "\u{10ffff}",
        "0x",
        "\\x",
        "\\u",
        "range",
        "extract",
        "<",
        "options",
    ];
    let mut accepted = 0;
    for _ in 0..60_000 {
        let text: String = (0..dice.below(14)).map(|_| dice.pick(&pieces)).collect();
        match parse(&text, NOW) {
            Ok(query) => {
                accepted += 1;
                let printed = query.to_string();
                assert_eq!(
                    parse(&printed, NOW).as_ref(),
                    Ok(&query),
                    "{text:?} printed as {printed:?}"
                );
            }
            Err(error) => assert!(text.is_char_boundary(error.position), "{text:?}: {error}"),
        }
    }
    // The pieces must reach beyond the first error.
    assert!(accepted > 1000, "{accepted}");
}
