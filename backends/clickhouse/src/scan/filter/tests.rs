//! What filters become: the text, who decides, and that nothing from outside is in the text.

use rookery_core::filter::{Filter, Pattern, TagMatcher, TagOp, Test, Values};
use rookery_core::{StreamId, TimeRange};

use super::{Condition, Pushdown, pushed};
use crate::scan::params::Params;
use crate::scan::words::WordIndex;

fn sql(filter: &Filter) -> String {
    Condition::new(filter, WordIndex::None, &mut Params::default()).bounds.upper.text().to_owned()
}

fn list(values: &[&str]) -> Values {
    Values::list(values.iter().map(ToString::to_string).collect())
}

#[test]
fn filters_are_these_conditions() {
    let field = Filter::field;
    let cases = [
        (Filter::All, "true"),
        (Filter::None, "false"),
        (field("pod", Test::Exact("a".into())), "(pod = {p0:String})"),
        (field("user", Test::Any), "(fields[{p0:String}] != '')"),
        (field("labels.app", Test::Empty), "(labels[{p0:String}] = '')"),
        (field("fields.pod", Test::Empty), "(fields[{p0:String}] = '')"),
        (field("_msg", Test::Substring("x".into())), "(position(body, {p0:String}) > 0)"),
        (field("_msg", Test::Substring(String::new())), "true"),
        (field("_msg", Test::Phrase("..".into())), "(position(body, {p0:String}) > 0)"),
        (field("_path", Test::In(list(&["a", "b"]))), "(path IN {p0:Array(String)})"),
        (field("_path", Test::In(list(&[]))), "false"),
        (field("_time", Test::Any), "true"),
        (field("_offset", Test::Exact("5".into())), "(toString(offset) = {p0:String})"),
        (
            Filter::Not(Box::new(field("node", Test::ExactPrefix("a".into())))),
            "(NOT (startsWith(node, {p0:String})))",
        ),
        (
            Filter::Time(TimeRange { start: 1, end: i64::MAX }),
            "(time >= fromUnixTimestamp64Nano({p0:Int64},'UTC'))",
        ),
        (
            Filter::StreamIds(vec![StreamId::default()]),
            "(stream IN (SELECT toFixedString(unhex(arrayJoin({p0:Array(String)})), 16)))",
        ),
        (
            Filter::Stream(vec![vec![TagMatcher {
                tag: "app".into(),
                op: TagOp::NotIn(vec!["a".into()]),
            }]]),
            "(NOT (extract(stream_tags, {p0:String}) = {p1:String}))",
        ),
    ];
    for (filter, want) in cases {
        assert_eq!(sql(&filter), want, "{filter:?}");
        assert_eq!(pushed(&filter), Pushdown::Whole, "{filter:?}");
    }
}

#[test]
fn what_a_server_cannot_decide_is_left_and_bounded() {
    let field = Filter::field;
    let unknown = field("a", Test::LessThanField("b".into()));
    let known = field("pod", Test::Any);
    let unicode_word = field("_msg", Test::Regexp(Pattern::new("\\bx").unwrap()));
    let both = Filter::And(vec![known.clone(), unicode_word.clone()]);
    assert_eq!(pushed(&unknown), Pushdown::Above);
    assert_eq!(pushed(&Filter::Or(vec![known.clone(), unknown.clone()])), Pushdown::Above);
    assert_eq!(pushed(&both), Pushdown::Part);
    let condition = Condition::new(&both, WordIndex::None, &mut Params::default());
    assert_eq!(condition.rest, unicode_word);
    assert_eq!(condition.bounds.upper.text(), "((pod != '') AND (match(body, {p0:String})))");
    let negated = Filter::Not(Box::new(Filter::And(vec![known, unknown])));
    assert_eq!(sql(&negated), "true");
    let condition = Condition::new(&negated, WordIndex::None, &mut Params::default());
    assert_eq!(condition.bounds.lower.text(), "(NOT (pod != ''))");
}

#[test]
fn what_is_too_long_for_a_parameter_is_decided_above() {
    let long = "x".repeat(100_000);
    for test in [
        Test::Exact(long.clone()),
        Test::Phrase(long.clone()),
        Test::Regexp(Pattern::new(&long).unwrap()),
        Test::CasePhrase(long.clone()),
    ] {
        assert_eq!(pushed(&Filter::field("_msg", test)), Pushdown::Above);
    }
    // A long phrase keeps the ends of its words.
    let phrase = Filter::field("_msg", Test::Phrase("word ".repeat(5_000) + "word"));
    let both = "((position(body, {p0:String}) > 0) AND (match(body, {p1:String}) OR (length(body) != lengthUTF8(body) AND \
                match(body, {p2:String}))))";
    assert_eq!(sql(&phrase), both);
    let many: Vec<String> = (0..100_000).map(|n| format!("value {n}")).collect();
    let many = Filter::field("user", Test::In(Values::list(many)));
    assert_eq!(pushed(&many), Pushdown::Whole);
    assert!(sql(&many).matches("IN").count() > 10);
    let deep = (0..1000).fold(Filter::All, |inner, _| Filter::Not(Box::new(inner)));
    assert_eq!(pushed(&Filter::And(vec![deep])), Pushdown::Above);
}

/// Every test of a text, with a text in every place that takes one.
fn tests_with(text: &str) -> Vec<Test> {
    let text = text.to_owned();
    let quoted = regex::escape(&text);
    vec![
        Test::Phrase(text.clone()),
        Test::Prefix(text.clone()),
        Test::Substring(text.clone()),
        Test::Exact(text.clone()),
        Test::ExactPrefix(text.clone()),
        Test::CasePhrase(text.to_lowercase()),
        Test::CasePrefix(text.to_lowercase()),
        Test::Sequence(vec![text.clone(), text.clone()]),
        Test::Regexp(Pattern::new(&quoted).unwrap()),
        Test::StringRange { min: text.clone(), max: text.clone() },
        Test::In(list(&[&text, "b"])),
        Test::ContainsAll(list(&[&text])),
        Test::ContainsAny(list(&[&text])),
        Test::EqualsField(text.as_str().into()),
        Test::LessThanField(text.as_str().into()),
    ]
}

#[test]
fn nothing_from_outside_is_in_the_text_of_a_statement() {
    let pieces = [
        "'",
        "\"",
        "\\",
        "`",
        ";",
        "--",
        "/*",
        "{p0:String}",
        "\0",
        "\n",
        ".",
        "$1",
        "é",
        "]",
        "%",
    ];
    for (at, piece) in pieces.iter().enumerate() {
        let hostile = format!("{piece}hostile{}{piece}", pieces[(at * 7 + 3) % pieces.len()]);
        let mut filters: Vec<Filter> = Vec::new();
        for name in [&hostile, &format!("labels.{hostile}"), "_msg", "level", "_stream", "_offset"]
        {
            filters.extend(tests_with(&hostile).into_iter().map(|test| Filter::field(name, test)));
        }
        let quoted = Pattern::anchored(&regex::escape(&hostile)).unwrap();
        for op in [
            TagOp::In(vec![hostile.clone()]),
            TagOp::NotIn(vec![hostile.clone()]),
            TagOp::Matches(quoted.clone()),
            TagOp::NotMatches(quoted),
        ] {
            filters.push(Filter::Stream(vec![vec![TagMatcher { tag: hostile.clone(), op }]]));
        }
        for filter in filters {
            let mut params = Params::default();
            let condition = Condition::new(&filter, WordIndex::Text, &mut params);
            for sql in [condition.bounds.upper, condition.bounds.lower] {
                let text = sql.text();
                assert!(!text.contains("hostile"), "{filter:?}: {text}");
                assert!(!text.contains(';') && !text.contains('\0'), "{filter:?}: {text}");
            }
        }
    }
}
