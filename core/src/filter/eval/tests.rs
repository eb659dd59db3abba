//! By table, what each test means; by chance, that every form of a column and every order of tests gives the meaning that
//! a slow reading of one text at a time gives.

mod random;

use arrow_array::{
    FixedSizeBinaryArray, Int64Array, StringArray, TimestampNanosecondArray, UInt8Array,
    UInt32Array, UInt64Array,
};

use super::*;
use crate::filter::{Pattern, TagOp, Values};
use crate::time::{DAY, HOUR, SECOND};

const NOTHING: [usize; 0] = [];

fn rows(columns: Vec<(&str, Column)>) -> Rows {
    let len = columns.first().map_or(0, |(_, column)| column.len());
    Rows { len, columns: columns.into_iter().map(|(n, c)| (n.into(), c)).collect() }
}

fn text(values: &[&str]) -> Column {
    Column::Text(StringArray::from_iter_values(values))
}

/// The indexes of the rows that pass.
fn passing(filter: &Filter, rows: &mut Rows) -> Vec<usize> {
    evaluate(filter, rows).unwrap().set_indices().collect()
}

fn on(test: Test, column: Column) -> Vec<usize> {
    passing(&Filter::field("f", test), &mut rows(vec![("f", column)]))
}

fn list(values: &[&str]) -> Values {
    Values::list(values.iter().map(|v| (*v).into()).collect())
}

fn phrase(text: &str) -> Test {
    Test::Phrase(text.into())
}

fn regexp(text: &str) -> Test {
    Test::Regexp(Pattern::new(text).unwrap())
}

/// For each test: the texts that pass, the texts that do not.
fn check(cases: &[(Test, &[&str], &[&str])]) {
    for (test, yes, no) in cases {
        let all: Vec<&str> = yes.iter().chain(*no).copied().collect();
        let want: Vec<usize> = (0..yes.len()).collect();
        assert_eq!(on(test.clone(), text(&all)), want, "{test:?} in {all:?}");
        for (row, value) in all.iter().enumerate() {
            let got = on(test.clone(), Column::constant(value, 2));
            assert_eq!(got.len(), if row < yes.len() { 2 } else { 0 }, "{test:?} in {value:?}");
        }
    }
}

#[test]
fn a_phrase_is_found_as_whole_words() {
    check(&[
        (
            phrase("error"),
            &[
                "error",
                "an error happened",
                "error: cannot open",
                "x=error",
                "errors error",
                "ошибка:error",
            ],
            &[
                "",
                "ERROR",
                "multiple errors",
                "fooerror",
                "error_code",
                "xerror errors",
                "éerror",
                "error2",
            ],
        ),
        (
            phrase("ssh: login fail"),
            &["ERROR: ssh: login fail for user", "ssh: login fail!", "(ssh: login fail)"],
            &[
                "ssh login fail",
                "login fail: ssh error",
                "ssh: login failed",
                "SSH: login fail",
                "xssh: login fail",
            ],
        ),
        (phrase("-"), &["-", "a-b", "--"], &["", "a", "_"]),
        (phrase("(a"), &["(a", "x(a)", "x(a b"], &["(ab", "a"]),
        (phrase("größe"), &["größe", "die größe!"], &["größen", "übergröße", "Größe"]),
        (phrase("日本"), &["日本", "東京・日本。"], &["日本語", "在日本"]),
        (phrase(""), &[""], &["a", " "]),
        (phrase("a a"), &["a a", "ba a a"], &["ba a", "aa a"]),
    ]);
}

#[test]
fn prefixes_substrings_and_exact_texts() {
    check(&[
        (
            Test::Prefix("err".into()),
            &["err: foobar", "cannot open file: error occurred", "err", "éx err"],
            &["Error: foobar", "fooerror", "", "éerr"],
        ),
        (
            Test::Prefix("unexpected fail".into()),
            &["unexpected fail: IO", "error:unexpected failure"],
            &["unexpectedly failed", "failed to open file: unexpected EOF"],
        ),
        (Test::Prefix(String::new()), &["a", " "], &[""]),
        (Test::Substring("ampl".into()), &["Example", "ampl"], &["EXAMPLE", "", "amp"]),
        (Test::Substring(String::new()), &["", "a"], &[]),
        (Test::Exact("a b".into()), &["a b"], &["a b ", "a", "A b", ""]),
        (Test::Exact(String::new()), &[""], &["a"]),
        (Test::ExactPrefix("a b".into()), &["a b", "a bc"], &["xa b", "a", ""]),
        (Test::ExactPrefix(String::new()), &["", "a"], &[]),
        (Test::Any, &["a", " "], &[""]),
        (Test::Empty, &[""], &["a", " "]),
    ]);
}

#[test]
fn letters_without_case() {
    check(&[
        (
            Test::CasePhrase("error".into()),
            &["unknown error", "ERROR: x", "Error", "An ErRoR occurred", "ÉX ERROR"],
            &["FooError", "too many Errors", "", "ÉERROR"],
        ),
        (Test::CasePrefix("err".into()), &["Errors", "x ERR"], &["FooError", ""]),
        (Test::CasePhrase("größe".into()), &["GRÖßE", "die Größe"], &["GRÖSSE", "größen"]),
        (Test::CasePhrase("οδος".into()), &["ΟΔΟΣ", "η οδός οδος", "οδοσ"], &["οδοςς"]),
        (Test::CasePhrase("kelvin".into()), &["\u{212A}elvin", "KELVIN"], &["elvin"]),
        (Test::CasePhrase(String::new()), &[""], &["a"]),
        (Test::CasePrefix(String::new()), &["a"], &[""]),
    ]);
}

#[test]
fn sequences_sets_and_patterns() {
    let seq = |phrases: &[&str]| Test::Sequence(phrases.iter().map(|p| (*p).into()).collect());
    check(&[
        (
            seq(&["error", "open file"]),
            &["some error: cannot open file /foo", "open file error open file"],
            &["cannot open file: error", "error", "error reopen file", ""],
        ),
        (seq(&["a", "a"]), &["a a", "a-a"], &["a", "aa a"]),
        (seq(&["a", "b", "a"]), &["a b a"], &["a b", "b a a"]),
        (seq(&[]), &["", "a"], &[]),
        (regexp("err|warn"), &["error", "2 warnings", "transferring"], &["ERROR", "warmer", ""]),
        (regexp("(?i)err"), &["ERROR"], &["er"]),
        (regexp("^a.*z$"), &["az", "a-z", "a\nz"], &["baz", ""]),
        (regexp("foo.*bar"), &["foobar", "xfoo bar", "foo\nbar"], &["barfoo", "foo", "bar"]),
        (regexp("^$"), &[""], &["a"]),
        (regexp(""), &["", "a"], &[]),
        (Test::In(list(&["a", "b c"])), &["a", "b c"], &["b", "c", "", "a "]),
        (Test::In(list(&["", "x"])), &["", "x"], &["xx"]),
        (Test::In(list(&[])), &[], &["", "a"]),
        (
            Test::ContainsAll(list(&["foo", "bar baz"])),
            &["bar baz foo", "foo, bar baz"],
            &["foo", "bar baz", "foo bar bazz"],
        ),
        (Test::ContainsAll(list(&["", "a"])), &["a"], &["", "b"]),
        (Test::ContainsAll(list(&[])), &["", "a"], &[]),
        (Test::ContainsAny(list(&["foo", "bar baz"])), &["foo", "a bar baz"], &["bar", "fooo", ""]),
        (Test::ContainsAny(list(&["", "a"])), &["", "a"], &["b"]),
        (Test::ContainsAny(list(&[])), &[], &["", "a"]),
    ]);
    let many: Vec<String> = (0..20)
        .map(|i| format!("w{i}"))
        .chain(["-x".into(), "a b".into(), String::new()])
        .collect();
    check(&[(
        Test::ContainsAny(Values::list(many)),
        &["w3", "see w19.", "y-x", "c a b", "", "a a b"],
        &["w20", "w", "-xy", "a bc", "xa b"],
    )]);
}

#[test]
fn ranges_of_numbers_texts_lengths_and_addresses() {
    check(&[
        (
            Test::Range { min: 10.0, max: 2000.0 },
            &["10", "2000", "10.0", "1e3", "2K", "1KiB", "1000ns", "0x10"],
            &["9.99", "2001", "3KB", "", "a", "10 ", "1s", "ten", "NaN"],
        ),
        (
            Test::Range { min: f64::NEG_INFINITY, max: -1.0 },
            &["-1", "-1.5", "-1h", "-inf"],
            &["-0.5", "0", "-", ""],
        ),
        (
            Test::Range { min: 5e9, max: f64::INFINITY },
            &["5s", "1m", "1h30m", "10GB", "inf"],
            &["4s", "5000ms5", "4999ms"],
        ),
        (Test::Range { min: 2.0, max: 1.0 }, &[], &["1", "1.5", "2"]),
        (
            Test::StringRange { min: "A".into(), max: "C".into() },
            &["A", "Adam", "B", "Bzz"],
            &["C", "", "a", "0"],
        ),
        (Test::StringRange { min: String::new(), max: String::new() }, &[], &["", "a"]),
        (
            Test::LengthRange { min: 5, max: 10 },
            &["foobar", "foo b", "größe", "日本語日本", "😀😀😀😀😀😀😀😀😀😀"],
            &["foo", "", "foo bar baz", "日本語日"],
        ),
        (Test::LengthRange { min: 0, max: 0 }, &[""], &["a", "日"]),
        (Test::LengthRange { min: 3, max: u64::MAX }, &["abc", "abcd"], &["ab"]),
        (
            Test::Ipv4Range { min: 0x7F00_0000, max: 0x7FFF_FFFF },
            &["127.0.0.0", "127.255.255.255", "127.0.0.1"],
            &[
                "128.0.0.0",
                "126.255.255.255",
                "127.0.0.1 ",
                "from 127.0.0.1",
                "",
                "127.0.0",
                "2130706433",
            ],
        ),
    ]);
}

#[test]
fn every_form_of_a_column_is_its_text() {
    let dict = |keys: Vec<Option<u32>>, entries: &[&str]| {
        Column::dictionary(UInt32Array::from(keys), StringArray::from_iter_values(entries)).unwrap()
    };
    let levels = dict(vec![Some(0), None, Some(1), Some(0)], &["error", "info"]);
    assert_eq!(on(phrase("error"), levels.clone()), [0, 3]);
    assert_eq!(on(Test::Empty, levels.clone()), [1]);
    assert_eq!(on(Test::Any, levels), [0, 2, 3]);
    let numbers =
        Column::Int(Int64Array::from(vec![Some(500), None, Some(-500), Some(50), Some(500)]));
    assert_eq!(on(phrase("500"), numbers.clone()), [0, 2, 4]);
    assert_eq!(on(Test::Exact("500".into()), numbers.clone()), [0, 4]);
    assert_eq!(on(Test::Exact("-500".into()), numbers.clone()), [2]);
    assert_eq!(on(Test::Exact("+500".into()), numbers.clone()), NOTHING);
    assert_eq!(on(Test::Exact("0500".into()), numbers.clone()), NOTHING);
    assert_eq!(on(Test::Range { min: 0.0, max: 500.0 }, numbers.clone()), [0, 3, 4]);
    assert_eq!(on(Test::Empty, numbers.clone()), [1]);
    assert_eq!(on(regexp("^5"), numbers.clone()), [0, 3, 4]);
    assert_eq!(on(Test::In(list(&["50", "x"])), numbers.clone()), [3]);
    assert_eq!(on(Test::LengthRange { min: 0, max: 2 }, numbers), [1, 3]);
    let large = Column::UInt(UInt64Array::from(vec![Some(u64::MAX), Some(0), None]));
    assert_eq!(on(Test::Exact(u64::MAX.to_string()), large.clone()), [0]);
    assert_eq!(on(Test::Exact("0".into()), large.clone()), [1]);
    assert_eq!(on(Test::Exact("-0".into()), large.clone()), NOTHING);
    assert_eq!(on(Test::Exact(String::new()), large), [2]);
    let times =
        Column::Time(TimestampNanosecondArray::from(vec![Some(0), Some(1_500_000_000), None]));
    assert_eq!(on(phrase("1970-01-01T00:00:01.500Z"), times.clone()), [1]);
    assert_eq!(on(Test::Prefix("1970".into()), times.clone()), [0, 1]);
    assert_eq!(on(Test::Range { min: 1e9, max: 2e9 }, times.clone()), [1]);
    assert_eq!(on(Test::Empty, times), [2]);
    let severities = Column::Severity(UInt8Array::from(vec![
        Some(17),
        Some(20),
        Some(0),
        None,
        Some(9),
        Some(99),
    ]));
    assert_eq!(on(phrase("error"), severities.clone()), [0, 1]);
    assert_eq!(on(Test::In(list(&["info", "error"])), severities.clone()), [0, 1, 4]);
    assert_eq!(on(Test::Empty, severities), [2, 3, 5]);
    let ids = [StreamId([1; 16]), StreamId([2; 16])];
    let hex = Column::Hex(FixedSizeBinaryArray::try_from_iter(ids.iter().map(|id| id.0)).unwrap());
    assert_eq!(on(Test::Exact(ids[1].to_string()), hex.clone()), [1]);
    let mut streams = rows(vec![("_stream_id", hex)]);
    assert_eq!(passing(&Filter::StreamIds(vec![ids[1]]), &mut streams), [1]);
    assert_eq!(passing(&Filter::StreamIds(vec![ids[1], ids[0]]), &mut streams), [0, 1]);
    let mut printed = rows(vec![("_stream_id", text(&[&ids[0].to_string(), "", "zz"]))]);
    assert_eq!(passing(&Filter::StreamIds(vec![ids[0]]), &mut printed), [0]);
}

#[test]
fn times_days_and_weeks() {
    // 1970-01-01 was a Thursday.
    let times = vec![0, 8 * HOUR, 18 * HOUR, DAY - 1, 2 * DAY, 3 * DAY, -1];
    let mut rows = rows(vec![("_time", Column::Time(TimestampNanosecondArray::from(times)))]);
    let time = Filter::Time(TimeRange { start: 0, end: 8 * HOUR + 1 });
    assert_eq!(passing(&time, &mut rows), [0, 1]);
    let day = |start, end, offset| Filter::DayRange { start, end, offset };
    assert_eq!(passing(&day(8 * HOUR, 18 * HOUR - 1, 0), &mut rows), [1]);
    assert_eq!(passing(&day(8 * HOUR, 18 * HOUR, 0), &mut rows), [1, 2]);
    assert_eq!(passing(&day(10 * HOUR, 10 * HOUR, 2 * HOUR), &mut rows), [1]);
    assert_eq!(passing(&day(0, HOUR, HOUR), &mut rows), [0, 3, 4, 5, 6]);
    assert_eq!(passing(&day(5, 4, 0), &mut rows), NOTHING);
    let week = |first, last, offset| Filter::WeekRange { first, last, offset };
    assert_eq!(passing(&week(4, 4, 0), &mut rows), [0, 1, 2, 3]);
    assert_eq!(passing(&week(6, 6, 0), &mut rows), [4]);
    assert_eq!(passing(&week(0, 3, 0), &mut rows), [5, 6]);
    assert_eq!(passing(&week(3, 3, -SECOND), &mut rows), [0, 6]);
    let mut printed =
        super::tests::rows(vec![("_time", text(&["1970-01-01T09:00:00+01:00", "soon", ""]))]);
    assert_eq!(passing(&day(8 * HOUR, 8 * HOUR, 0), &mut printed), [0]);
    assert_eq!(passing(&Filter::Not(Box::new(day(8 * HOUR, 8 * HOUR, 0))), &mut printed), [1, 2]);
}

#[test]
fn streams_are_chosen_by_their_tags() {
    let tag = |tag: &str, op| TagMatcher { tag: tag.into(), op };
    let equal = |name: &str, value: &str| tag(name, TagOp::In(vec![value.into()]));
    let like = |pattern: &str| Pattern::anchored(pattern).unwrap();
    let tags = ["{app=\"a\",env=\"x\"}", "{app=\"b\"}", "{}", "{app=\"ab\"}"];
    let keys = UInt32Array::from(vec![Some(0), Some(1), Some(2), Some(3), None, Some(0)]);
    let column = Column::dictionary(keys, StringArray::from_iter_values(tags)).unwrap();
    let cases = [
        (vec![vec![equal("app", "a")]], vec![0, 5]),
        (vec![vec![equal("app", "a"), equal("env", "y")]], vec![]),
        (vec![vec![equal("app", "b")], vec![equal("env", "x")]], vec![0, 1, 5]),
        (vec![vec![tag("app", TagOp::NotIn(vec!["a".into(), "b".into()]))]], vec![2, 3, 4]),
        (vec![vec![equal("env", "")]], vec![1, 2, 3, 4]),
        (vec![vec![tag("app", TagOp::Matches(like("a|b")))]], vec![0, 1, 5]),
        (vec![vec![tag("app", TagOp::NotMatches(like(".+")))]], vec![2, 4]),
        (vec![vec![]], vec![0, 1, 2, 3, 4, 5]),
        (vec![], vec![]),
    ];
    for (selectors, want) in cases {
        let mut rows = rows(vec![("_stream", column.clone())]);
        let filter = Filter::Stream(selectors);
        assert_eq!(passing(&filter, &mut rows), want, "{filter:?}");
        let texts: Vec<String> =
            (0..6).map(|row| column.text(row, &mut String::new()).into()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut printed = super::tests::rows(vec![("_stream", text(&texts))]);
        assert_eq!(passing(&filter, &mut printed), want, "{filter:?}");
    }
}

#[test]
fn fields_are_compared_with_fields() {
    let mut rows = rows(vec![
        ("a", text(&["1", "10", "x", "", "9", "b", "2024-01-01T00:00:00Z"])),
        ("b", text(&["1", "9", "x", "", "10", "a", "2024-01-01T01:00:00+02:00"])),
    ]);
    let mut check = |test, want: &[usize]| {
        assert_eq!(passing(&Filter::field("a", test), &mut rows), want);
    };
    check(Test::EqualsField("b".into()), &[0, 2, 3]);
    check(Test::LessThanField("b".into()), &[4]);
    check(Test::AtMostField("b".into()), &[0, 2, 3, 4]);
    check(Test::EqualsField("missing".into()), &[3]);
    check(Test::LessThanField("missing".into()), &[]);
}

#[test]
fn parts_join_and_a_missing_field_is_empty() {
    let f = |value: &str| Filter::field("f", phrase(value));
    let not = |filter| Filter::Not(Box::new(filter));
    let mut rows = rows(vec![("f", text(&["a", "b", "a b", ""]))]);
    let cases = [
        (Filter::All, vec![0, 1, 2, 3]),
        (Filter::None, vec![]),
        (Filter::And(vec![]), vec![0, 1, 2, 3]),
        (Filter::Or(vec![]), vec![]),
        (Filter::And(vec![f("a"), f("b")]), vec![2]),
        (Filter::Or(vec![f("a"), f("b")]), vec![0, 1, 2]),
        (not(f("a")), vec![1, 3]),
        (Filter::And(vec![f("b"), not(f("a"))]), vec![1]),
        (not(not(f("a"))), vec![0, 2]),
        (not(Filter::field("g", Test::Any)), vec![0, 1, 2, 3]),
        (Filter::field("g", Test::Empty), vec![0, 1, 2, 3]),
        (Filter::field("g", phrase("a")), vec![]),
        (Filter::field("g", Test::Exact(String::new())), vec![0, 1, 2, 3]),
    ];
    for (filter, want) in cases {
        assert_eq!(passing(&filter, &mut rows), want, "{filter:?}");
    }
}

/// Counts what is asked for, and fails for a field that must not be.
struct Asked {
    rows: Rows,
    asked: Vec<String>,
}

impl FieldSource for Asked {
    fn rows(&self) -> usize {
        self.rows.len
    }
    fn column(&mut self, field: &str) -> Result<Column> {
        self.asked.push(field.into());
        FieldSource::column(&mut self.rows, field)
    }
}

#[test]
fn a_column_is_brought_once_and_only_when_a_row_depends_on_it() {
    let level = Column::Severity(UInt8Array::from(vec![9, 9]));
    let rows = rows(vec![("level", level), ("_msg", text(&["a", "b"]))]);
    let message = |value: &str| Filter::field("_msg", phrase(value));
    let level = |value: &str| Filter::field("level", phrase(value));
    let ask = |filter: &Filter| {
        let mut source = Asked { rows: rows.clone(), asked: Vec::new() };
        evaluate(filter, &mut source).unwrap();
        source.asked
    };
    assert_eq!(ask(&Filter::And(vec![message("a"), level("error")])), ["level"]);
    assert_eq!(ask(&Filter::And(vec![message("a"), level("info")])), ["level", "_msg"]);
    assert_eq!(ask(&Filter::Or(vec![message("a"), level("info")])), ["level"]);
    assert_eq!(ask(&Filter::Or(vec![message("a"), message("b")])), ["_msg"]);
    assert_eq!(ask(&Filter::And(vec![Filter::None, message("a")])), Vec::<String>::new());
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    let subquery = Filter::field("f", Test::In(Values::Subquery(0)));
    assert_eq!(Predicate::new(&subquery).unwrap_err().kind(), crate::Kind::Internal);
    struct Wrong;
    impl FieldSource for Wrong {
        fn rows(&self) -> usize {
            2
        }
        fn column(&mut self, _: &str) -> Result<Column> {
            Ok(Column::constant("", 3))
        }
    }
    let error = evaluate(&Filter::field("f", Test::Any), &mut Wrong).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Internal);
}

#[test]
fn hits_over_the_border_of_two_rows_do_not_count() {
    let column = text(&["xab", "cx", "abc", "", "ab", "c"]);
    assert_eq!(on(Test::Substring("abc".into()), column.clone()), [2]);
    assert_eq!(on(Test::Substring("bc".into()), column), [2]);
    let values = StringArray::from(vec![Some("a b"), None, Some("b"), Some("a"), Some("a b")]);
    let slice = Column::Text(values.slice(1, 3));
    assert_eq!(on(phrase("b"), slice.clone()), [1]);
    assert_eq!(on(Test::CasePhrase("a".into()), slice.clone()), [2]);
    assert_eq!(on(Test::Empty, slice), [0]);
}
