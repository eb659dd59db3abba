//! Tables of text: what parses to what, what is refused and where, and that a printed query is the same query.

mod random;

use rookery_core::TimeRange;
use rookery_core::filter::{Filter, Test, Values};
use rookery_core::time::{DAY, HOUR, MINUTE, SECOND};

use super::ast::*;
use super::*;

/// 2026-11-21T10:00:00Z.
const NOW: i64 = 1_795_255_200 * SECOND;

fn query(text: &str) -> Query {
    parse(text, NOW).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn filter(text: &str) -> Filter {
    query(text).filter
}

fn pipe(text: &str) -> Pipe {
    let mut query = query(&format!("* | {text}"));
    assert_eq!(query.pipes.len(), 1, "{text}");
    query.pipes.remove(0)
}

fn test(text: &str) -> (String, Test) {
    match filter(text) {
        Filter::Field { field, test } => (field.to_string(), test),
        other => panic!("{text}: {other:?}"),
    }
}

/// Both print as the same text, and that text is the query.
fn prints(text: &str, canonical: &str) {
    let parsed = query(text);
    assert_eq!(parsed.to_string(), canonical, "{text}");
    assert_eq!(query(canonical), parsed, "{text}");
}

const FILTERS: &[(&str, &str)] = &[
    ("*", "*"),
    ("error", "error"),
    (":error", "error"),
    ("a:(b or :c)", "a:b or a:c"),
    ("error warn", "error warn"),
    ("error AND warn and info", "error warn info"),
    ("error or warn OR (info debug)", "error or warn or info debug"),
    ("(a or b) c", "(a or b) c"),
    ("a b or c d", "a b or c d"),
    ("not a", "!a"),
    ("-a", "!a"),
    ("!(a or b)", "!(a or b)"),
    ("--a", "a"),
    ("!!-a", "!a"),
    ("a (b (c d))", "a b c d"),
    ("* error", "error"),
    ("!*", "!*"),
    ("\"and\"", "\"and\""),
    ("foo-bar", "\"foo-bar\""),
    ("/var/log", "\"/var/log\""),
    ("foo*", "\"foo\"*"),
    ("\"foo bar\"*", "\"foo bar\"*"),
    ("*foo*", "*\"foo\"*"),
    ("level:error", "level:error"),
    ("level:!error", "!level:error"),
    ("level:-error", "!level:error"),
    ("level:(error or warn)", "level:error or level:warn"),
    ("level:(error or !warn) x", "(level:error or !level:warn) x"),
    ("-path:*/health*", "!path:*\"/health\"*"),
    ("status:>=500", "status:>=500"),
    ("status:<500", "status:<=499.99999999999994"),
    ("status:>10KiB", "status:>=10240.000000000002"),
    ("took:<=5m", "took:<=300000000000"),
    ("status=500", "status:=\"500\""),
    ("status!=500", "!status:=\"500\""),
    ("level!~\"a|b\"", "!level:~\"a|b\""),
    ("status>500", "status:>=500.00000000000006"),
    ("url:http://x/?a=b", "url:\"http://x/?a=b\""),
    ("app:\"\"", "app:\"\""),
    ("app:=\"\"", "app:\"\""),
    ("app:*", "app:*"),
    ("_msg:*", "_msg:*"),
    ("_msg:foo", "foo"),
    ("=\"foo bar\"", "=\"foo bar\""),
    ("=foo*", "=\"foo\"*"),
    ("!=foo", "!=\"foo\""),
    ("~\"a.b\"", "~\"a.b\""),
    ("~'a\"b'", "~\"a\\\"b\""),
    ("~`a\\d`", "~\"a\\\\d\""),
    ("re(\"x+\")", "~\"x+\""),
    ("i(Foo)", "i(\"foo\")"),
    ("i(Foo*)", "i(\"foo\"*)"),
    ("seq(a, \"b c\")", "seq(\"a\", \"b c\")"),
    ("exact(foo)", "=\"foo\""),
    ("x:in(b, a, b)", "x:in(\"a\", \"b\")"),
    ("x:in()", "x:in()"),
    ("x:in(*)", "*"),
    ("contains_any(a, b)", "contains_any(\"a\", \"b\")"),
    ("contains_all(a)", "contains_all(\"a\")"),
    ("x:range[1, 10]", "x:range[1, 10]"),
    ("x:range(1, inf)", "x:>=1.0000000000000002"),
    ("x:len_range(5, inf)", "x:len_range(5, inf)"),
    ("len_range(0x10, 1_000)", "len_range(16, 1000)"),
    ("x:string_range(A, C)", "x:string_range(\"A\", \"C\")"),
    ("ip:ipv4_range(10.0.0.0/8)", "ip:ipv4_range(10.0.0.0, 10.255.255.255)"),
    ("ip:>=10.0.0.1", "ip:ipv4_range(10.0.0.1, 255.255.255.255)"),
    ("a:eq_field(b)", "a:eq_field(\"b\")"),
    ("a:lt_field(\"b c\")", "a:lt_field(\"b c\")"),
    ("a:le_field(b)", "a:le_field(\"b\")"),
    ("{app=\"x\", b!=\"y\"}", "{app=\"x\",b!=\"y\"}"),
    ("_stream:{app=~\"x|y\" or c!~\"z\"}", "{app=~\"x|y\" or c!~\"z\"}"),
    ("{app in (a,b), c not_in (d, e)}", "{app in (\"a\", \"b\"),c not_in (\"d\", \"e\")}"),
    ("{}", "*"),
    ("x:in(y | fields z)", "x:in(y | fields z)"),
    ("in", "\"in\""),
    ("range of", "\"range\" of"),
    ("error # a comment\n warn", "error warn"),
    ("issue#12", "\"issue#12\""),
    ("\"a b\":\"c d\"", "\"a b\":\"c d\""),
    ("სფერო:τιμή", "\"სფერო\":\"τιμή\""),
    ("\"\\x41\\u00e9\\n\"", "\"Aé\\n\""),
    (
        "options(concurrency=2, ignore_global_time_filter=true) a",
        "options(concurrency=2, ignore_global_time_filter=true) a",
    ),
    ("options", "\"options\""),
    (
        "contains_common_case(fooBar, X)",
        "contains_any(\"FOOBAR\", \"X\", \"fooBar\", \"foobar\", \"x\")",
    ),
    ("a:equals_common_case(Ab)", "a:in(\"AB\", \"Ab\", \"ab\")"),
    ("t:>=2026-11-21T10:00:00Z", "t:>=1.7952552e18"),
    ("pattern_match(\"took <N>ms\")", "~\"(?s:took [0-9a-fA-F]+ms)\""),
];

#[test]
fn filters_print_canonically() {
    for (text, canonical) in FILTERS {
        prints(text, canonical);
    }
}

#[test]
fn times_are_spans() {
    let midnight = NOW - 10 * HOUR;
    let now = NOW + 1;
    let cases = [
        ("_time:5m", NOW - 5 * MINUTE + 1, now),
        ("_time:1h30m offset 1h", NOW - 150 * MINUTE + 1, now - HOUR),
        ("_time:offset 1h", i64::MIN, now - HOUR),
        ("_time:2026-11-21", midnight, midnight + DAY),
        ("_time:2026-11-21Z", midnight, midnight + DAY),
        ("_time:2026-11-21+02:00", midnight - 2 * HOUR, midnight + 22 * HOUR),
        ("_time:2026-11-21T01:00-07:00", midnight + 8 * HOUR, midnight + 8 * HOUR + MINUTE),
        ("_time:2026-11-21T10", NOW, NOW + HOUR),
        ("_time:\"2026-11-21T10:00\"", NOW, NOW + MINUTE),
        ("_time:[2026-11-21, 2026-11-22)", midnight, midnight + DAY),
        ("_time:[2026-11-21, 2026-11-22]", midnight, midnight + 2 * DAY),
        ("_time:(2026-11-21T10:00:00Z, now]", NOW + 1, NOW + 1),
        ("_time:[now-1h, now)", NOW - HOUR, NOW),
        ("_time:>2026-11-21", midnight + 1, i64::MAX),
        ("_time:>=2026-11-21", midnight, i64::MAX),
        ("_time:<2026-11-21", i64::MIN, midnight),
        ("_time:<=2026-11-21", i64::MIN, midnight + DAY),
        ("_time:>1h", i64::MIN, NOW - HOUR),
        ("_time:<1h", NOW - HOUR + 1, i64::MAX),
        ("_time:[2026-11-21, 2026-11-22) offset 1w", midnight - 7 * DAY, midnight - 6 * DAY),
    ];
    for (text, start, end) in cases {
        assert_eq!(filter(text), Filter::Time(TimeRange { start, end }), "{text}");
        assert_eq!(query(&query(text).to_string()), query(text), "{text}");
    }
    let day = |start, end, offset| Filter::DayRange { start, end, offset };
    let week = |first, last, offset| Filter::WeekRange { first, last, offset };
    let cases = [
        ("_time:day_range[08:00, 18:00)", day(8 * HOUR, 18 * HOUR - 1, 0)),
        ("_time:day_range(08:00, 18:00] offset 2h", day(8 * HOUR + 1, 18 * HOUR, 2 * HOUR)),
        ("_time:day_range[00:00, 24:00)", day(0, DAY - 1, 0)),
        ("_time:day_range[08:00:01.5, 09:00)", day(8 * HOUR + SECOND * 3 / 2, 9 * HOUR - 1, 0)),
        ("_time:week_range[Mon, Fri]", week(1, 5, 0)),
        ("_time:week_range(Sun, Saturday) offset -2h", week(1, 5, -2 * HOUR)),
        ("_time:week_range[Sat, Mon]", Filter::Or(vec![week(6, 6, 0), week(0, 1, 0)])),
        ("_time:week_range(Sat, Sun]", week(0, 0, 0)),
    ];
    for (text, expected) in cases {
        assert_eq!(filter(text), expected, "{text}");
        assert_eq!(query(&query(text).to_string()), query(text), "{text}");
    }
}

#[test]
fn comparisons_choose_what_they_compare() {
    let range = |min, max| Test::Range { min, max };
    let text = |min: &str, max: &str| Test::StringRange { min: min.into(), max: max.into() };
    let last = filters::LAST_TEXT;
    let cases = [
        ("a:>=5", range(5.0, f64::INFINITY)),
        ("a:<-5", range(f64::NEG_INFINITY, (-5f64).next_down())),
        ("a:>= 1_000", range(1000.0, f64::INFINITY)),
        ("a:>=1.5KB", range(1500.0, f64::INFINITY)),
        ("a:>=1e3", range(1000.0, f64::INFINITY)),
        ("a:<=10.0.0.1", Test::Ipv4Range { min: 0, max: 0x0a00_0001 }),
        ("a:<0.0.0.0", Test::Ipv4Range { min: 1, max: 0 }),
        ("a:>=john", text("john", last)),
        ("a:>john", text("john\0", last)),
        ("a:<\"john\"", text("", "john")),
        ("a:<=john", text("", "john\0")),
        ("a:range(1, 2)", range(1f64.next_up(), 2f64.next_down())),
    ];
    for (input, expected) in cases {
        assert_eq!(test(input).1, expected, "{input}");
    }
}

#[test]
fn subqueries_are_numbered_where_they_stand() {
    let parsed =
        query("a:in(b | fields c) | filter d:in(e | uniq by (f)) | union (g:in(h | fields i))");
    let fields: Vec<&str> = parsed.subqueries.iter().map(|s| s.field.as_ref()).collect();
    assert_eq!(fields, ["c", "f"]);
    assert_eq!(parsed.filter, Filter::field("a", Test::In(Values::Subquery(0))));
    let Pipe::Union(inner) = &parsed.pipes[1] else { panic!("no union") };
    assert_eq!(inner.filter, Filter::field("g", Test::In(Values::Subquery(0))));
    assert_eq!(inner.subqueries.len(), 1);
    assert_eq!(query(&parsed.to_string()), parsed);
    let nested = query("a:in(x:in(y | fields z) | fields c)");
    assert_eq!(nested.subqueries[0].query.subqueries.len(), 1);
}

#[test]
fn a_restriction_reaches_every_query_inside() {
    let mut parsed = query("a or b | union (c:in(d | fields e))");
    restrict(&mut parsed, "ns:in(f | fields g)", NOW).unwrap();
    assert_eq!(
        parsed.to_string(),
        "ns:in(f | fields g) (a or b) | union (ns:in(f | fields g) c:in(ns:in(f | fields g) d | fields e))"
    );
    assert!(restrict(&mut parsed, "a |", NOW).is_err());
}

const PIPE_TEXTS: &[(&str, &str)] = &[
    ("fields a, b*", "fields a, b*"),
    ("keep (a, *)", "fields a, *"),
    ("drop a b", ""),
    ("rm a,b", "delete a, b"),
    ("cp a b, c* as d*", "copy a as b, c* as d*"),
    ("mv a as b", "rename a as b"),
    ("rename foo* as *", "rename foo* as *"),
    ("sort by (_time desc, b) limit 10", "sort by (_time desc, b) limit 10"),
    ("sort by (a, b) desc", "sort by (a desc, b desc)"),
    (
        "order by a desc offset 5 limit 1K rank as r partition by (c)",
        "sort by (a desc) partition by (c) offset 5 limit 1000 rank as r",
    ),
    ("sort", "sort"),
    ("sort (a) rank", "sort by (a) rank as \"rank\""),
    ("first 3 by (a) partition by (b)", "sort by (a) partition by (b) limit 3"),
    ("last 3 by (a, b desc)", "sort by (a desc, b) limit 3"),
    ("last", "sort by (_time desc) limit 1"),
    ("limit 5", "limit 5"),
    ("head", "limit 10"),
    ("skip 10", "offset 10"),
    ("sample 100", "sample 100"),
    ("uniq by (a, b) with hits limit 10", "uniq by (a, b) with hits limit 10"),
    ("uniq a", "uniq by (a)"),
    ("top 5 by (a)", "top 5 by (a) hits as \"hits\""),
    ("top a hits as n rank", "top 10 by (a) hits as n rank as \"rank\""),
    ("top 3 (hits)", "top 3 by (\"hits\") hits as hitss"),
    ("filter a:b c", "filter a:b c"),
    ("where a:>5", "filter a:>=5.000000000000001"),
    ("a:b", "filter a:b"),
    ("!a", "filter !a"),
    ("limit:5", "filter \"limit\":5"),
    ("filter =x", "filter =\"x\""),
    ("something", "filter something"),
    ("extract \"ip=<ip> <_>\" from a", "extract \"ip=<ip> <_>\" from a"),
    (
        "extract if (a:\"\") 'x<plain:y>' keep_original_fields",
        "extract if (a:\"\") \"x<plain:y>\" keep_original_fields",
    ),
    (
        "extract_regexp \"(?P<ip>\\\\d+)\" skip_empty_results",
        "extract_regexp \"(?P<ip>\\\\d+)\" skip_empty_results",
    ),
    ("unpack_json", "unpack_json"),
    (
        "unpack_json from a fields (b, c*) result_prefix \"p_\" skip_empty_results",
        "unpack_json from a fields (b, c*) result_prefix \"p_\" skip_empty_results",
    ),
    (
        "unpack_logfmt if (a) from b keep_original_fields",
        "unpack_logfmt if (a) from b keep_original_fields",
    ),
    ("unpack_syslog offset 5h30m from x", "unpack_syslog from x offset 330m"),
    ("unpack_words a as b", "unpack_words from a as b"),
    ("unpack_words drop_duplicates", "unpack_words from _msg as _msg drop_duplicates"),
    ("unpack_words from a as b drop_duplicates", "unpack_words from a as b drop_duplicates"),
    ("unroll if (x) by (a, b)", "unroll if (x) by (a, b)"),
    ("format \"<q:a>: <uc:b> &lt;\" as c", "format \"<q:a>: <uc:b> &lt;\" as c"),
    ("format if (a:*) \"x\"", "format if (a:*) \"x\""),
    ("replace (\"a\", \"b\") at c limit 1", "replace (\"a\", \"b\") at c limit 1"),
    ("replace_regexp if (x) (\"a(.)\", \"$1\")", "replace_regexp if (x) (\"a(.)\", \"$1\")"),
    ("collapse_nums at a prettify", "collapse_nums at a prettify"),
    ("decolorize", "decolorize _msg"),
    ("len(a) as b", "len(a) as b"),
    ("len(a)", "len(a) as \"len(a)\""),
    ("hash(a) b", "hash(a) as b"),
    ("json_array_len (a) as b", "json_array_len(a) as b"),
    ("pack_json", "pack_json"),
    ("pack_logfmt fields (a, b*) as c", "pack_logfmt fields (a, b*) as c"),
    ("drop_empty_fields", "drop_empty_fields"),
    ("facets", "facets 10 max_values_per_field 1000 max_value_len 128"),
    (
        "facets 3 keep_const_fields max_value_len 9",
        "facets 3 max_values_per_field 1000 max_value_len 9 keep_const_fields",
    ),
    ("field_names", "field_names"),
    ("field_values a limit 10", "field_values a limit 10"),
    ("stream_context before 2 after 5", "stream_context before 2 after 5 time_window 1h"),
    ("stream_context after 5 time_window 1w", "stream_context before 0 after 5 time_window 1w"),
    ("union (a | limit 1)", "union (a | limit 1)"),
    (
        "join on (a) (b | fields a, c) inner prefix x.",
        "join by (a) (b | fields a, c) inner prefix \"x.\"",
    ),
];

#[test]
fn pipes_print_canonically() {
    for (text, canonical) in PIPE_TEXTS {
        let text = format!("* | {text}");
        if canonical.is_empty() {
            assert!(parse(&text, NOW).is_err(), "{text}");
        } else {
            prints(&text, &format!("* | {canonical}"));
        }
    }
}

#[test]
fn stats_fill_in_what_is_left_out() {
    let cases = [
        ("stats count()", "stats count(*) as \"count(*)\""),
        ("count() as n", "stats count(*) as n"),
        ("(a) count() n", "stats by (a) count(*) as n"),
        ("(a or b)", "filter a or b"),
        ("(a)", "filter a"),
        ("by (a) count() n", "stats by (a) count(*) as n"),
        ("stats (a, b) count(c) n, sum(d) s", "stats by (a, b) count(c) as n, sum(d) as s"),
        (
            "stats by (_time:5m offset 2h, ip:/24) count() n",
            "stats by (_time:5m offset 2h, ip:/24) count(*) as n",
        ),
        ("stats by (_time:day) count() n", "stats by (_time:1d) count(*) as n"),
        (
            "stats by (_time:week offset 1h, a:month, b:year) count() n",
            "stats by (_time:week offset 1h, a:month, b:year) count(*) as n",
        ),
        ("stats by (size:10KB offset 5) count() n", "stats by (size:10000 offset 5) count(*) as n"),
        (
            "stats by (took:1s, t:hour) count() n",
            "stats by (took:1000000000, t:hour) count(*) as n",
        ),
        (
            "stats count() if (GET) gets, count() all",
            "stats count(*) if (GET) as gets, count(*) as all",
        ),
        ("stats count() if (a:b)", "stats count(*) if (a:b) as \"count(*) if (a:b)\""),
        (
            "stats quantile(0.99, took) p99, median(took) m",
            "stats quantile(0.99, took) as p99, median(took) as m",
        ),
        ("stats count_uniq(a, b) limit 10 as n", "stats count_uniq(a, b) limit 10 as n"),
        (
            "stats uniq_values(a) limit 3, values(b*) v",
            "stats uniq_values(a) limit 3 as \"uniq_values(a) limit 3\", values(b*) as v",
        ),
        (
            "stats row_max(a, b, c) x, row_min(a) y, row_any() z",
            "stats row_max(a, b, c) as x, row_min(a) as y, row_any(*) as z",
        ),
        (
            "stats json_values(a) sort by (b desc) limit 2 as j",
            "stats json_values(a) sort by (b desc) limit 2 as j",
        ),
        (
            "stats histogram(a) h, rate() r, rate_sum(b) s",
            "stats histogram(a) as h, rate() as r, rate_sum(b) as s",
        ),
        (
            "stats avg(a) a, stddev(a) b, min(a) c, max(a) d, sum_len(a) e, count_empty(a) f",
            "stats avg(a) as a, stddev(a) as b, min(a) as c, max(a) as d, sum_len(a) as e, count_empty(a) as f",
        ),
    ];
    for (text, canonical) in cases {
        prints(&format!("* | {text}"), &format!("* | {canonical}"));
    }
    let Pipe::Stats(stats) = pipe("stats by (_time:1m) rate()") else { panic!("no stats") };
    assert_eq!(stats.by[0].bucket, Some(Bucket::Time { step: MINUTE, offset: 0 }));
    assert_eq!(stats.functions[0].result.as_ref(), "rate()");
}

#[test]
fn math_binds_by_strength_and_groups_from_the_left() {
    let cases = [
        ("a + b * c as r", "a + b * c as r"),
        ("(a + b) * c r", "(a + b) * c as r"),
        ("a - b - c as r", "a - b - c as r"),
        ("a - (b - c) as r", "a - (b - c) as r"),
        ("a ^ b ^ c as r", "a ^ b ^ c as r"),
        ("a default 0 as r", "a default 0 as r"),
        ("a or b xor c & d as r", "a or b xor c & d as r"),
        ("-a * 2 as r", "-(a) * 2 as r"),
        ("round(a / 1e3, 0.1) as r, r + 1 as s", "round(a / 1000, 0.1) as r, r + 1 as s"),
        ("5m / 1KiB as r", "300000000000 / 1024 as r"),
        ("max(a, b, 3) as r", "max(a, b, 3) as r"),
        ("a / b", "a / b as \"a / b\""),
        ("\"a-b\" + 1 as r", "\"a-b\" + 1 as r"),
        ("1e-9 * a as r", "1e-9 * a as r"),
        ("a-1 as r", "a - 1 as r"),
        ("now() - 2026-1 as r", "now() - 2026 - 1 as r"),
    ];
    for (text, canonical) in cases {
        prints(&format!("* | math {text}"), &format!("* | math {canonical}"));
    }
    let Pipe::Math(entries) = pipe("eval \"2026-11-21T10:00:00Z\" as r, 10.0.0.1 as s") else {
        panic!("no math")
    };
    assert_eq!(entries[0].expression, Expression::Number(NOW as f64));
    assert_eq!(entries[1].expression, Expression::Number(f64::from(0x0a00_0001)));
}

#[test]
fn patterns_are_taken_apart() {
    let Pipe::Extract(extract) = pipe("extract \"a &lt;<b> c<_>;<plain:d>\"") else {
        panic!("no extract")
    };
    let step = |before: &str, field: Option<&str>, plain| ExtractStep {
        before: before.into(),
        field: field.map(Into::into),
        plain,
    };
    assert_eq!(
        extract.pattern.steps,
        [step("a <", Some("b"), false), step(" c", None, false), step(";", Some("d"), true)]
    );
    assert_eq!(extract.pattern.tail, "");
    let Pipe::Format(format) = pipe("format \"<a><duration:b>!<x:y>\"") else {
        panic!("no format")
    };
    let field = |field: &str, form| TemplatePart::Field { field: field.into(), form };
    assert_eq!(
        format.template.parts,
        [
            field("a", Form::Plain),
            field("b", Form::Duration),
            TemplatePart::Text("!".into()),
            field("x:y", Form::Plain)
        ]
    );
}

#[test]
fn errors_point_at_their_place() {
    // The text, the byte of the error, a part of what was expected or said.
    let cases = [
        ("", 0, "a filter"),
        ("  ", 2, "a filter"),
        ("a |", 3, "a pipe"),
        ("a | lmit 5", 4, "`limit`"),
        ("a | sats count()", 4, "`stats`"),
        ("a | frobnicate_things(x)", 4, "there is no pipe"),
        ("a | stats cuont()", 10, "`count`"),
        ("a | stats count", 15, "`(` after `count`"),
        ("a | stats by (x:y) count()", 16, "a bucket"),
        ("a | stats count() n, sum(x) n", 21, "given twice"),
        ("a | stats by (n) count() n", 17, "given twice"),
        ("(a", 2, "`)`"),
        ("a)", 1, "the end"),
        ("a or", 4, "a filter"),
        ("a and and b", 6, "a filter"),
        ("\"abc", 0, "no end"),
        ("a:\"\\q\"", 3, "an escape"),
        ("_time:yesterday", 6, "a duration"),
        ("_time:[2026, 2027", 17, "`]` or `)`"),
        ("_time:day_range[25:00, 26:00]", 16, "a time of day"),
        ("_time:week_range[Mo, Fri]", 17, "a day of the week"),
        ("~\"a(\"", 1, "not valid"),
        ("x:rnge(1, 2)", 2, "`range`"),
        ("x:range(1, y)", 11, "a number"),
        ("x:in(a | limit 5)", 4, "| fields name"),
        ("x:ipv4_range(1.2.3)", 2, "ipv4_range(address)"),
        ("{a=\"b\"", 6, "`,`, `or` or `}`"),
        ("{a}", 2, "`=`"),
        ("foo*bar", 4, "a space after `*`"),
        ("*foo", 4, "`*`"),
        ("foo*:bar", 3, "the name of one field"),
        ("_stream_id:xyz", 11, "32 hex digits"),
        ("a | limit x", 10, "a whole number"),
        ("a | math b +", 12, "a field, a number"),
        ("a | math foo(b)", 9, "math function"),
        ("a | math round() as x", 9, "arguments"),
        ("a | extract \"<a><b>\"", 12, "some text before"),
        ("a | extract \"abc\"", 12, "at least one"),
        ("a | format \"<a\"", 11, "with its `>`"),
        ("a | limit 1 | stream_context before 1", 14, "must be the first"),
        ("a | stream_context", 18, "`before N`"),
        ("a | sample 0", 11, "above 0"),
        ("a | copy b* as c", 15, "`*` on both sides"),
        ("a | quantile(2, b)", 13, "0 to 1"),
        ("a | quantile(2, b) x", 13, "0 to 1"),
        ("options(foo=1) a", 8, "there is no option"),
        ("options(concurrency=x) a", 20, "a number of threads"),
        ("a | time_add 1h", 4, "not supported"),
        ("a | sort by (b) limit 1 limit 2", 24, "the end"),
        ("a | join (b)", 12, "`(`"),
        ("a:in(b:c | fields *)", 4, "| fields name"),
    ];
    for (text, position, part) in cases {
        let error = parse(text, NOW).expect_err(text);
        assert_eq!(error.position, position, "{text}: {error}");
        let said = format!("{} {}", error.message, error.expected);
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn limits_hold() {
    let long = "a ".repeat(QUERY_LIMIT_BYTES);
    assert!(parse(&long, NOW).unwrap_err().message.contains("may have"));
    assert!(parse(&"é".repeat(QUERY_LIMIT_BYTES), NOW).is_err());
    let most = QUERY_LIMIT_BYTES;
    let deep = [
        "(".repeat(most),
        format!("{}a{}", "(".repeat(1000), ")".repeat(1000)),
        "a:in(".repeat(most / 5),
        "a:(".repeat(most / 3),
        "!".repeat(most),
        "-".repeat(most),
        "not ".repeat(most / 4),
        format!("* | {}", "union (* | ".repeat(most / 12)),
        format!("* | math {}", "(".repeat(most - 10)),
        format!("* | math {}", "-".repeat(most - 10)),
        format!("* | math {}a", "a+".repeat(most / 2 - 10)),
        format!("* | math {}", "a^(".repeat(most / 3 - 10)),
        format!("* | math {}", "abs(".repeat(most / 4 - 10)),
        format!("* | {}", "filter if (".repeat(most / 12)),
        format!("* | {}", "stats count() if (a:in(b | ".repeat(most / 30)),
        "{".repeat(most),
        "\"".repeat(most - 1),
    ];
    for text in deep {
        assert!(parse(&text, NOW).is_err(), "{}…", &text[..20]);
    }
    let patterns = |count: usize| "~a {x=~b} ".repeat(count / 2);
    assert!(parse(&patterns(PATTERNS_LIMIT), NOW).is_ok());
    assert!(parse(&patterns(PATTERNS_LIMIT + 2), NOW).is_err());
    let name = "x".repeat(QUERY_LIMIT_BYTES - 10);
    assert!(parse(&format!("* | {name}("), NOW).unwrap_err().message.len() < 1000);
    assert!(parse(&format!("a) {name}"), NOW).unwrap_err().message.len() < 1000);
    let flat = "a or ".repeat(most / 5 - 1) + "a";
    assert!(parse(&flat, NOW).is_ok());
    let inside = format!("{}a{}", "(".repeat(DEPTH_LIMIT - 1), ")".repeat(DEPTH_LIMIT - 1));
    assert!(parse(&inside, NOW).is_ok());
}

#[test]
fn names_that_look_like_language_are_quoted() {
    for name in
        ["and", "limit", "a b", "5", "a:b", "", "a*", "*", "-a", "#a", "in", "default", "xor", "ü"]
    {
        let field = if name.is_empty() { "_msg" } else { name };
        let parsed = Query {
            options: Options::default(),
            filter: Filter::field(field, Test::Phrase(format!("x{name}"))),
            pipes: vec![
                Pipe::Fields(vec![FieldPattern::Name(field.into())]),
                Pipe::Uniq(Uniq { by: vec![field.into()], hits: None, limit: None }),
                Pipe::Len { field: field.into(), result: field.into() },
            ],
            subqueries: Vec::new(),
        };
        assert_eq!(query(&parsed.to_string()), parsed, "{parsed}");
    }
}
