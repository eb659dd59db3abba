use super::*;

#[test]
fn numbers_of_every_unit_are_unix_time() {
    let cases = [
        ("1795262400", Some(1_795_262_400_000_000_000)),
        ("1795262400.5", Some(1_795_262_400_500_000_000)),
        ("1795262400.123456789123", Some(1_795_262_400_123_456_789)),
        ("1795262400123", Some(1_795_262_400_123_000_000)),
        ("1795262400123.25", Some(1_795_262_400_123_250_000)),
        ("1795262400123456", Some(1_795_262_400_123_456_000)),
        ("1795262400123456789", Some(1_795_262_400_123_456_789)),
        ("1.795262400123456E9", Some(1_795_262_400_123_456_000)),
        ("12", None),
        ("1", None),
        ("999999999999999999999", None),
        ("1795262400x", None),
        ("9999999999", None),
    ];
    for (text, expected) in cases {
        assert_eq!(number(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn no_prefix_of_a_time_panics() {
    let lines = [
        "2026-11-21T01:02:03.123456789+01:00",
        "2026-11-21 1:02:03 PM",
        "Sat, 21 Nov 2026 01:02:03 GMT",
        "Nov 21, 2026 1:02:03 AM",
        "Sat Nov 21 01:02:03 UTC 2026",
        "10/Oct/2025:13:55:36 -0700",
        "I20261121 01:02:03.000123",
        "081109 203615",
        "20261121T010203Z",
        "1795262400.123",
    ];
    for line in lines {
        for end in 0..=line.len() {
            let _ = read_any(&line.as_bytes()[..end]);
        }
        let stamp = read_any(line.as_bytes()).unwrap();
        assert_eq!(stamp.len, line.len(), "{line}");
    }
}
