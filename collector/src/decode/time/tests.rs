use super::*;
use crate::decode::config::Zone;

/// 2026-11-21T12:00:00Z
const NOW: i64 = 1_795_262_400 * SECOND;

fn find(line: &str, zone: &str) -> Option<String> {
    let config = TimeConfig { zone: Zone::new(zone).unwrap(), ..TimeConfig::default() };
    time_of(&config, line, NOW).map(rookery_core::time::rfc3339)
}

/// Lines, and the time that each says; empty where it says none.
const TIMES: &[(&str, &str)] = &[
    // RFC 3339 and ISO 8601, and what programs make of them.
    ("2026-11-21T01:02:03Z hello", "2026-11-21T01:02:03Z"),
    ("\u{feff}2026-11-21T01:02:03Z hello", "2026-11-21T01:02:03Z"),
    ("2026-11-21T01:02:03.123456789Z", "2026-11-21T01:02:03.123456789Z"),
    ("2026-11-21T01:02:03,5+01:00 x", "2026-11-21T00:02:03.500Z"),
    ("2026-11-21t01:02:03z", "2026-11-21T01:02:03Z"),
    ("2026-11-21 01:02:03.123 +0530 x", "2026-11-20T19:32:03.123Z"),
    ("2026-11-21 01:02:03 UTC [12] LOG:  x", "2026-11-21T01:02:03Z"),
    ("2026-11-21T01:02:03-08 x", "2026-11-21T09:02:03Z"),
    ("2026-11-21T01:02Z x", "2026-11-21T01:02:00Z"),
    ("2026-11-21_01:02:03 x", "2026-11-21T01:02:03Z"),
    ("2026-11-21 01:02:03,978 INFO [main] a.b.C: x", "2026-11-21T01:02:03.978Z"),
    ("[2026-11-21 01:02:03,978: INFO/MainProcess] celery", "2026-11-21T01:02:03.978Z"),
    ("2026-11-21 01:02:03:978 x", "2026-11-21T01:02:03.978Z"),
    ("2026/11/21 01:02:03 [error] 29#29: *1 open()", "2026-11-21T01:02:03Z"),
    ("2026/11/21 01:02:03.000123 main.go:12: x", "2026-11-21T01:02:03.000123Z"),
    ("2026-11-21 01:02:03, Info                  CBS    x", "2026-11-21T01:02:03Z"),
    ("20261121T010203Z x", "2026-11-21T01:02:03Z"),
    ("20261121T010203.250Z x", "2026-11-21T01:02:03.250Z"),
    ("20261121-1:2:3:456|Step|x", ""),
    ("20261121-01:02:03:456|Step|x", "2026-11-21T01:02:03.456Z"),
    ("2026-11-21T01:02:60Z leap", "2026-11-21T01:03:00Z"),
    // Months by name.
    ("Nov 21 01:02:03 host sshd[1]: x", "2026-11-21T01:02:03Z"),
    ("Nov  1 01:02:03 host x", "2026-11-01T01:02:03Z"),
    ("Nov 21 01:02:03.123456 host x", "2026-11-21T01:02:03.123456Z"),
    ("Nov 21 2026 01:02:03: %ASA-6", "2026-11-21T01:02:03Z"),
    ("Nov 21, 2026 1:02:03 PM org.apache.Foo bar", "2026-11-21T13:02:03Z"),
    ("[Sat Nov 21 01:02:03 2026] [notice] x", "2026-11-21T01:02:03Z"),
    ("[Sat Nov 21 01:02:03.123456 2026] [mpm:notice] x", "2026-11-21T01:02:03.123456Z"),
    ("Sat Nov 21 01:02:03 UTC 2026 x", "2026-11-21T01:02:03Z"),
    ("Sat, 21 Nov 2026 01:02:03 GMT x", "2026-11-21T01:02:03Z"),
    ("1:M 21 Nov 2026 01:02:03.456 * Ready", "2026-11-21T01:02:03.456Z"),
    ("21-Nov-2026 01:02:03.456 INFO [main] Catalina", "2026-11-21T01:02:03.456Z"),
    ("[21-Nov-2026 01:02:03 UTC] PHP Warning", "2026-11-21T01:02:03Z"),
    // Web servers.
    ("10.0.0.1 - - [10/Oct/2025:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1", "2025-10-10T20:55:36Z"),
    ("10.0.0.1:5 [21/Nov/2026:01:02:03.456] http-in back/srv 0/0", "2026-11-21T01:02:03.456Z"),
    // Without a year, with two digits of it, other orders.
    ("I1121 01:02:03.000123       1 a.go:1] x", "2026-11-21T01:02:03.000123Z"),
    ("W20261121 01:02:03.000123  1 a.cc:1] x", "2026-11-21T01:02:03.000123Z"),
    ("11-21 01:02:03.811  1702  2395 D WindowManager: x", "2026-11-21T01:02:03.811Z"),
    ("17/06/09 20:10:40 INFO executor.Backend: x", "2017-06-09T20:10:40Z"),
    ("081109 203615 148 INFO dfs.DataNode: x", "2008-11-09T20:36:15Z"),
    ("261121  1:02:03 [Note] mysqld", "2026-11-21T01:02:03Z"),
    ("21.11.2026 01:02:03 x", "2026-11-21T01:02:03Z"),
    ("11/21/2026 01:02:03 AM x", "2026-11-21T01:02:03Z"),
    ("21/11/2026 01:02:03 x", "2026-11-21T01:02:03Z"),
    // Somewhere in the line.
    ("INFO 2026-11-21 01:02:03.5 x", "2026-11-21T01:02:03.500Z"),
    ("level=info ts=2026-11-21T01:02:03Z msg=x", "2026-11-21T01:02:03Z"),
    (
        "nova.log.1.2017-05-16_13:53:08 2026-11-21 01:02:03.008 25 INFO x",
        "2026-11-21T01:02:03.008Z",
    ),
    (
        "- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.675872 R02 RAS x",
        "2005-06-03T15:42:50.675872Z",
    ),
    ("app_1  | 2026-11-21T01:02:03Z x", "2026-11-21T01:02:03Z"),
    ("\u{1b}[90m2026-11-21T01:02:03Z\u{1b}[0m \u{1b}[32mINF\u{1b}[0m x", "2026-11-21T01:02:03Z"),
    ("<34>1 2026-11-21T01:02:03.003Z host su - ID47 - x", "2026-11-21T01:02:03.003Z"),
    // Unix time.
    ("1795262400.123      5 10.0.0.1 TCP_MISS/200", "2026-11-21T12:00:00.123Z"),
    ("1795262400123 x", "2026-11-21T12:00:00.123Z"),
    ("134681 node-246 unix.hw state_change 1077804742 1 x", "2004-02-26T14:12:22Z"),
    ("type=SYSCALL msg=audit(1795262400.123:456): arch", "2026-11-21T12:00:00.123Z"),
    ("- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond", "2005-11-09T20:01:01Z"),
    // None.
    ("hello world", ""),
    ("2026-13-21 01:02:03", ""),
    ("2026-02-30 01:02:03", ""),
    ("2026-11-21 25:02:03", ""),
    ("2026-11-21", ""),
    ("version 1.2.3.4 of 10.20.30.40", ""),
    ("phone 1234567890123456789012", ""),
    ("order_1795262400 shipped", ""),
    ("", ""),
];

#[test]
fn the_time_of_a_line_is_found_as_printed() {
    assert_eq!(rookery_core::time::rfc3339(NOW), "2026-11-21T12:00:00Z");
    for (line, expected) in TIMES {
        assert_eq!(find(line, "UTC").unwrap_or_default(), *expected, "{line}");
    }
}

#[test]
fn a_time_without_a_zone_is_in_the_configured_one() {
    let cases = [
        ("2026-07-01 12:00:00 x", "Europe/Berlin", "2026-07-01T10:00:00Z"),
        ("2026-12-01 12:00:00 x", "Europe/Berlin", "2026-12-01T11:00:00Z"),
        ("2026-12-01 12:00:00 x", "+05:30", "2026-12-01T06:30:00Z"),
        ("2026-12-01 12:00:00 x", "-0200", "2026-12-01T14:00:00Z"),
        ("2026-12-01 12:00:00Z x", "+05:30", "2026-12-01T12:00:00Z"),
    ];
    for (line, zone, expected) in cases {
        assert_eq!(find(line, zone).unwrap(), expected, "{line} {zone}");
    }
    assert!(Zone::new("Europe/Nowhere").is_err());
}

#[test]
fn a_year_that_is_not_printed_is_right_over_new_year() {
    let config = TimeConfig::default();
    let mut clock = Clock::new(&TimeZone::UTC);
    let mut finder = Finder::default();
    let mut at = |line: &str, now: i64, reference: Option<i64>| {
        clock.set(now, reference);
        let time = finder.find(line.as_bytes(), &config, &mut clock).unwrap().time;
        clock.set(now, Some(time));
        rookery_core::time::rfc3339(time)
    };
    // The first line of a file that was read in January, and its successors.
    let january = NOW + 45 * DAY;
    assert_eq!(at("Dec 30 23:00:00 h x", january, None), "2026-12-30T23:00:00Z");
    assert_eq!(at("Dec 31 23:59:59 h x", january, None), "2026-12-31T23:59:59Z");
    assert_eq!(at("Jan  1 00:00:01 h x", january, None), "2027-01-01T00:00:01Z");
    // A line that is a little out of order is not of the next year.
    assert_eq!(at("Dec 31 23:59:59 h x", january, None), "2026-12-31T23:59:59Z");
    // A file whose first time is known, read years later.
    let old = 1_118_761_200 * SECOND;
    assert_eq!(at("Jun 14 15:16:01 h x", NOW, Some(old)), "2005-06-14T15:16:01Z");
    assert_eq!(at("Jan  2 00:00:00 h x", NOW, None), "2006-01-02T00:00:00Z");
    assert_eq!(at("Feb 29 00:00:00 h x", NOW, None), "2008-02-29T00:00:00Z");
}

#[test]
fn a_time_right_of_the_known_place_is_part_of_the_message() {
    let config = TimeConfig::default();
    let mut clock = Clock::new(&TimeZone::UTC);
    clock.set(NOW, None);
    let mut finder = Finder::default();
    let mut find = |line: &str| finder.find(line.as_bytes(), &config, &mut clock).is_some();
    assert!(find("2026-11-21 01:02:03 start"));
    assert!(!find("a line about the thing of 2026-11-20 01:02:03"));
    assert!(find("[2026-11-21 01:02:04] in another form"));
}

#[test]
fn configured_formats_come_first() {
    let formats = ["%d.%m.%y %H.%M.%S%.f", "%s|"].map(|f| TimeFormat::new(f).unwrap()).to_vec();
    let config = TimeConfig { formats, ..TimeConfig::default() };
    let mut clock = Clock::new(&TimeZone::UTC);
    clock.set(NOW, None);
    let mut find = |line: &str| {
        let found = Finder::default().find(line.as_bytes(), &config, &mut clock).unwrap();
        rookery_core::time::rfc3339(found.time)
    };
    assert_eq!(find("21.11.26 01.02.03.5 x"), "2026-11-21T01:02:03.500Z");
    assert_eq!(find("1795262400|x"), "2026-11-21T12:00:00Z");
    assert_eq!(find("2026-11-21 01:02:03 x"), "2026-11-21T01:02:03Z");
    assert!(TimeFormat::new("YYYY").is_err());
}
