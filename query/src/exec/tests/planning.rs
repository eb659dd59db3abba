use std::sync::Arc;
use std::sync::atomic::Ordering;

use rookery_core::store::{Columns, ScanOrder};

use super::super::testing::{answer, asked_columns, block_on, engine, lines, request, store_of};
use crate::config::QueryConfig;

#[test]
fn a_store_is_asked_for_no_field_that_nobody_reads() {
    let cases = [
        ("* | stats count() n", "Only([])"),
        ("* | stats by (x) count() n", "Only([\"x\"])"),
        ("* | stats by (_time:5m) count() n", "Only([\"_time\"])"),
        ("* | fields a, b", "Only([\"a\", \"b\"])"),
        ("* | format \"<a>\" as c | fields c", "Only([\"a\"])"),
        ("* | filter x:1 | fields a", "Only([\"a\"])"),
        ("* | len(x) as l | filter l:>1 | fields a", "Only([\"a\", \"x\"])"),
        ("* | math a + b as c | stats sum(c) s", "Only([\"a\", \"b\"])"),
        ("* | rename a as b | stats by (b) count() n", "Only([\"a\"])"),
        ("* | stats count() if (x:1) n", "Only([\"x\"])"),
        ("* | extract \"<x> <y>\" from a | top 3 by (x)", "Only([\"a\"])"),
        ("* | uniq by (a, b)", "Only([\"a\", \"b\"])"),
        ("* | field_values a", "Only([\"a\"])"),
        ("* | sort by (a) limit 3 | fields b", "Only([\"a\", \"b\"])"),
        (
            "* | sort by (_time) limit 3 | fields b",
            "Only([\"_generation\", \"_offset\", \"_stream_id\", \"_time\", \"b\"])",
        ),
        ("*", "Except([\"_generation\", \"_observed\", \"_offset\"])"),
        ("* | delete a", "Except([\"_generation\", \"_observed\", \"_offset\", \"a\"])"),
        ("* | facets", "Except([\"_generation\", \"_observed\", \"_offset\"])"),
        ("* | sort by (_time)", "Except([\"_observed\"])"),
        ("* | sort by (_offset)", "Except([\"_generation\", \"_observed\"])"),
    ];
    for (query, want) in cases {
        let got = match asked_columns(query) {
            Columns::Only(names) => format!("Only({names:?})"),
            Columns::Except(names) => format!("Except({names:?})"),
            Columns::All => "All".into(),
        };
        assert_eq!(got, want, "{query}");
    }
}

const TIMES: &str = r#"
    {"_time":"2026-01-01T00:00:03Z","_msg":"c","_stream":"{a=\"1\"}","k":"x"}
    {"_time":"2026-01-01T00:00:01Z","_msg":"a","_stream":"{a=\"1\"}","k":"y"}
    {"_time":"2026-01-01T00:00:02Z","_msg":"b1","_stream":"{a=\"1\"}","k":"x"}
    {"_time":"2026-01-01T00:00:02Z","_msg":"b2","_stream":"{a=\"1\"}","k":"y"}
    {"_time":"2026-01-01T00:00:02Z","_msg":"b3","_stream":"{a=\"1\"}","k":"x"}"#;

fn messages(query: &str, newest: Option<u64>) -> Vec<String> {
    let mut request = request(query);
    request.newest = newest;
    let lines = answer(&request, TIMES, true).unwrap();
    let message = |line: &String| line.split('"').nth(3).unwrap().to_string();
    lines.iter().map(message).collect()
}

#[test]
fn equal_times_are_in_the_order_of_the_stream() {
    let tail = "| fields _msg";
    assert_eq!(
        messages(&format!("* | sort by (_time) {tail}"), None),
        ["a", "b1", "b2", "b3", "c"]
    );
    assert_eq!(
        messages(&format!("* | sort by (_time desc) {tail}"), None),
        ["c", "b3", "b2", "b1", "a"]
    );
    assert_eq!(messages(&format!("* | first 3 by (_time) {tail}"), None), ["a", "b1", "b2"]);
    assert_eq!(messages(&format!("* | last 3 by (_time) {tail}"), None), ["c", "b3", "b2"]);
    assert_eq!(
        messages(&format!("* | sort by (k, _time desc) {tail}"), None),
        ["c", "b3", "b1", "b2", "a"]
    );
}

#[test]
fn the_newest_are_found_whatever_pipes_do_to_the_time() {
    assert_eq!(messages("* | fields _msg", Some(2)), ["c", "b3"]);
    assert_eq!(messages("* | delete _time | fields _msg", Some(3)), ["c", "b3", "b2"]);
    assert_eq!(messages("* | format '0' as _time | filter k:y | fields _msg", Some(1)), ["b2"]);
    assert_eq!(messages("* | fields _msg", Some(99)), ["c", "b3", "b2", "b1", "a"]);
    // What is not an answer of records is cut.
    assert_eq!(messages("* | sort by (_time) | fields _msg", Some(2)), ["a", "b1"]);
}

#[test]
fn the_place_of_a_record_is_shown_only_when_named() {
    let line = |query: &str| answer(&request(query), TIMES, true).unwrap().remove(0);
    assert_eq!(
        line("* | sort by (_time) limit 1"),
        r#"{"_msg":"a","_stream":"{a=\"1\"}","_time":"2026-01-01T00:00:01Z","k":"y"}"#
    );
    assert_eq!(
        line("* | sort by (_time) limit 1 | fields _offset, _generation"),
        r#"{"_generation":"7","_offset":"1"}"#
    );
    assert_eq!(
        line("* | sort by (_offset desc) limit 1 | delete _msg, _time, _stream"),
        r#"{"_offset":"4","k":"x"}"#
    );
}

#[test]
fn a_sort_by_time_with_a_limit_moves_the_bound_of_the_store() {
    let minute = |i: usize| {
        format!(
            "{{\"_time\":\"2026-01-01T{:02}:{:02}:00Z\",\"_msg\":\"m\"}}\n",
            i / 60 % 24,
            i % 60
        )
    };
    let data: String = (0..1400).rev().map(minute).collect();
    for (query, order) in [
        ("* | sort by (_time desc) limit 3", ScanOrder::NewestFirst),
        ("* | sort by (_time) | limit 3", ScanOrder::OldestFirst),
        ("* | sort by (_time desc) | offset 1 | limit 3", ScanOrder::NewestFirst),
    ] {
        let store = Arc::new(store_of(&data));
        let engine = engine(store.clone(), QueryConfig { threads: 1, ..QueryConfig::default() });
        let rows = block_on(async { engine.run(request(query)).await.unwrap().collect().await });
        assert_eq!(lines(&rows.unwrap()).len(), 3, "{query}");
        let requests = store.requests.lock().unwrap();
        assert_eq!(requests[0].order, order, "{query}");
        let (start, end) =
            (1_767_225_600_000_000_000, 1_767_225_600_000_000_000 + 1399 * 60_000_000_000);
        let far = if order == ScanOrder::NewestFirst { start } else { end };
        assert!(!requests[0].bound.overlaps(far, far), "{query}: the bound did not move");
    }
}

#[test]
fn a_limit_ends_the_scan() {
    let data: String = (0..1000).map(|i| format!("{{\"a\":\"{i}\"}}\n")).collect();
    for query in ["* | limit 5", "* | uniq by (a) limit 3", "* | limit 5 | stats count() n"] {
        let mut store = store_of(&data);
        store.endless = true;
        let store = Arc::new(store);
        let engine = engine(store.clone(), QueryConfig { threads: 3, ..QueryConfig::default() });
        block_on(async { engine.run(request(query)).await.unwrap().collect().await }).unwrap();
        assert!(store.visited.load(Ordering::Relaxed) < 1000, "{query}");
    }
}

#[test]
fn leading_filters_and_the_window_go_to_the_store() {
    let store = Arc::new(store_of(TIMES));
    let engine = engine(store.clone(), QueryConfig::default());
    let mut asked =
        request("_time:>=2026-01-01T00:00:02Z | filter k:x | filter _msg:b* | fields _msg");
    asked.window.end = 1_767_225_603_000_000_000;
    let rows = block_on(async { engine.run(asked).await.unwrap().collect().await }).unwrap();
    let mut got = lines(&rows);
    got.sort_unstable();
    assert_eq!(got, [r#"{"_msg":"b1"}"#, r#"{"_msg":"b3"}"#]);
    let requests = store.requests.lock().unwrap();
    assert_eq!(requests[0].time.start, 1_767_225_602_000_000_000);
    assert_eq!(requests[0].time.end, 1_767_225_603_000_000_000);
    assert_eq!(requests[0].columns, Columns::Only(vec!["_msg".into()]));
}

#[test]
fn facets_read_no_field_that_a_look_has_ruled_out() {
    let data: String =
        (0..30_000).map(|i| format!("{{\"k\":\"{}\",\"u\":\"{i}\"}}\n", i % 3)).collect();
    let store = Arc::new(store_of(&data));
    let engine = engine(store.clone(), QueryConfig::default());
    let rows = block_on(async { engine.run(request("* | facets")).await.unwrap().collect().await });
    let want =
        (0..3).map(|k| format!(r#"{{"field_name":"k","field_value":"{k}","hits":"10000"}}"#));
    assert_eq!(lines(&rows.unwrap()), want.collect::<Vec<_>>());
    let requests = store.requests.lock().unwrap();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].columns.wants("u") && !requests[1].columns.wants("u"));
}
