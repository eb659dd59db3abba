use super::*;

#[test]
fn lines_that_are_not_cri_are_told_apart() {
    for line in [
        "2016-10-06T00:17:09.669794202Z stdout F",
        "2016-10-06T00:17:09.669794202Z stderr P x",
        "2016-10-06T00:17:09Z stdout F x",
        "2016-10-06T00:17:09.669794202+00:00 stdout F:tag x",
    ] {
        assert!(cri::parse(line.as_bytes()).is_some(), "{line}");
        for end in 0..line.len() {
            let _ = cri::parse(&line.as_bytes()[..end]);
        }
    }
    for line in [
        "2016-10-06 00:17:09.669794202Z stdout F x",
        "2016-10-06T00:17:09.669794202Z stdin F x",
        "2016-10-06T00:17:09.669794202Z stdout X x",
        "2016-10-06T00:17:09.669794202Z stdout Fx y",
        "2016-13-06T00:17:09.669794202Z stdout F x",
        "2016-10-06T00:17:09.6697942021Z stdout F x",
        "2016-10-06T00:17:09.669794202 stdout F x y z",
        "an ordinary line that is as long as it needs to be",
    ] {
        assert_eq!(cri::parse(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn lines_that_are_not_dockers_are_told_apart() {
    let mut scratch = String::new();
    for line in [
        r#"{"log":"x\n"}"#,
        r#"{"log":"x\n","stream":"stdout","time":"x"}"#,
        r#"{"log":5,"stream":"stdout","time":"2026-11-21T01:02:03Z"}"#,
        r#"{"log":"x\n","stream":"stdout","time":"2026-11-21T01:02:03Z""#,
        r#"{"log":"x\n","stream":"stdout","time":"2026-11-21T01:02:03Z"} x"#,
        r#"{"log":"\x","stream":"stdout","time":"2026-11-21T01:02:03Z"}"#,
        "{",
        "",
    ] {
        assert_eq!(docker::parse(line.as_bytes(), &mut scratch), None, "{line}");
    }
    let line = br#"{"log":"caf\xe9\\n","stream":"stderr","time":"2026-11-21T01:02:03.5+01:00"}"#;
    for end in 0..line.len() {
        assert_eq!(docker::parse(&line[..end], &mut scratch), None);
    }
}
