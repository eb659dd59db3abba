use super::*;

#[test]
fn words_are_runs_of_letters_digits_and_underscores() {
    let got: Vec<&str> = words("GET /api/v1?x_y=1 – größe 日本").collect();
    assert_eq!(got, ["GET", "api", "v1", "x_y", "1", "größe", "日本"]);
}

#[test]
fn the_fast_cut_is_the_slow_cut() {
    let texts = [
        "",
        " ",
        "a",
        "_",
        "a-b",
        "–",
        "–a",
        "a–",
        "日本 語",
        "é",
        "\u{301}e\u{301}",
        "²x",
        "x²",
        "😀a😀",
        "Ⅷ",
        "a\0b",
        "ß–ß",
    ];
    for text in texts {
        let mut fast = Vec::new();
        for_each_word(text, |word| fast.push(word));
        assert_eq!(fast, words(text).collect::<Vec<_>>(), "{text:?}");
        for (at, _) in text.char_indices() {
            let before = text[..at].chars().next_back().is_some_and(is_word_char);
            assert_eq!(is_word_before(text.as_bytes(), at), before, "{text:?} {at}");
            let after = text[at..].chars().next().is_some_and(is_word_char);
            assert_eq!(is_word_after(text.as_bytes(), at), after, "{text:?} {at}");
        }
        assert!(!is_word_after(text.as_bytes(), text.len()));
    }
}

/// The required words of a test, as text: `a b` for all, `(a|b)` for any, `*` for nothing known, `!` for no record.
fn asked(test: &Test) -> String {
    print(&required_by_test(&"f".into(), test))
}

fn print(required: &Required) -> String {
    let list = |parts: &[Required], by: &str| parts.iter().map(print).collect::<Vec<_>>().join(by);
    match required {
        Required::Anything => "*".into(),
        Required::Nothing => "!".into(),
        Required::Word { word, .. } => word.clone(),
        Required::All(parts) => list(parts, " "),
        Required::Any(parts) => format!("({})", list(parts, "|")),
    }
}

#[test]
fn only_words_that_are_surely_complete_are_required() {
    let list = |values: &[&str]| Values::list(values.iter().map(|v| (*v).into()).collect());
    let cases = [
        (Test::Phrase("a b-c a".into()), "a b c"),
        (Test::Phrase("--".into()), "*"),
        (Test::Exact("x: y".into()), "x y"),
        (Test::Prefix("a b".into()), "a"),
        (Test::Prefix("a b ".into()), "a b"),
        (Test::ExactPrefix("abc".into()), "*"),
        (Test::Substring("a b c".into()), "b"),
        (Test::Substring(" a ".into()), "a"),
        (Test::Sequence(vec!["a".into(), "b c".into()]), "a b c"),
        (Test::In(list(&["a", "b c"])), "(a|b c)"),
        (Test::In(list(&["a", ""])), "*"),
        (Test::In(list(&[])), "!"),
        (Test::ContainsAll(list(&["a", "b"])), "a b"),
        (Test::ContainsAll(list(&[])), "*"),
        (Test::ContainsAny(list(&["a", "b"])), "(a|b)"),
        (Test::ContainsAny(Values::Subquery(0)), "*"),
        (Test::CasePhrase("a".into()), "*"),
        (Test::Any, "*"),
    ];
    for (test, want) in cases {
        assert_eq!(asked(&test), want, "{test:?}");
    }
}

#[test]
fn a_regular_expression_requires_the_inner_words_of_its_literals() {
    let cases = [
        ("abc", "*"),
        (" abc ", "abc"),
        ("x abc y", "abc"),
        ("^abc ", "abc"),
        ("(?m)^abc ", "*"),
        (" abc$", "abc"),
        ("^abc$", "abc"),
        ("^(abc|x y)$", "(abc|x y)"),
        ("/api/v[0-9]+ 500 ", "api 500"),
        ("(/a/|/b/)", "(a|b)"),
        ("(/a/|/b/)?", "*"),
        ("(/a/)+x", "a"),
        ("(?i)/abc/ 500 ", "500"),
        ("/a/|.*", "*"),
        (r"\babc\b", "*"),
        (r"\.abc\.", "abc"),
    ];
    for (pattern, want) in cases {
        let got = asked(&Test::Regexp(Pattern::new(pattern).unwrap()));
        assert_eq!(got, want, "{pattern}");
    }
}

#[test]
fn filters_join_what_their_tests_require() {
    let word = |w: &str| Filter::field("f", Test::Phrase(w.into()));
    let filter = Filter::And(vec![
        word("a"),
        Filter::Not(Box::new(word("b"))),
        Filter::Or(vec![word("c"), word("d")]),
        Filter::Or(vec![word("e"), Filter::All]),
    ]);
    let required = required_words(&filter);
    assert_eq!(print(&required), "a (c|d)");
    let has =
        |there: &[&str]| required.may_hold(&mut |field, w| field == "f" && there.contains(&w));
    assert!(has(&["a", "d"]) && !has(&["a"]) && !has(&["c", "d"]));
    assert!(
        !required_words(&Filter::And(vec![word("a"), Filter::None])).may_hold(&mut |_, _| true)
    );
    let many = (0..=ALTERNATIVES_LIMIT).map(|i| word(&format!("w{i}"))).collect();
    assert_eq!(required_words(&Filter::Or(many)), Required::Anything);
}

#[test]
fn an_expression_lies_within_words_only_when_nothing_else_can_be_in_a_match() {
    let digits = |pattern| within_words(pattern).map(|within| within.digits);
    assert_eq!(digits("[0-9]{4}[a-f][0-9]{3}"), Some(false));
    assert_eq!(digits("[0-9a-f]+"), Some(true));
    assert_eq!(digits("id7[0-9]+x?"), Some(false));
    assert_eq!(digits("(?:abc|12)+_?"), Some(true));
    for pattern in
        ["", "a*", "a b", "a.b", r"\bab", "^ab", "ab$", "[^a]b", r"\w+", "größe", "a|b c", r"a\sb"]
    {
        assert_eq!(within_words(pattern), None, "{pattern}");
    }
}
