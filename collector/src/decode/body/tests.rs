use super::*;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use rookery_core::logs::builder::Head;
use rookery_core::{Position, StreamId};

/// The facts of a body, and its fields as `name=value` in order.
fn parse(body: &str) -> (Facts, Vec<String>) {
    parse_with(body, 256)
}

fn parse_with(body: &str, limit: u32) -> (Facts, Vec<String>) {
    let config = ParseConfig::default();
    let mut out = LogBatchBuilder::default();
    let mut scratch = BodyScratch::default();
    let facts = decode_body(body, BodyOptions::new(&config, limit), &mut scratch, &mut out);
    let resource = out.resource(&Default::default());
    out.finish_record(Head {
        resource,
        stream: StreamId::default(),
        position: Position::default(),
        time: 0,
        observed: 0,
        severity: facts.severity,
        trace_id: None,
        span_id: None,
    });
    let batch = out.finish().unwrap();
    let fields = batch.column_by_name("fields").unwrap().as_map();
    let keys = fields.keys().as_dictionary::<UInt16Type>();
    let names = keys.values().as_string::<i32>();
    let values = fields.values().as_string::<i32>();
    let pairs = (0..fields.values().len())
        .map(|i| format!("{}={}", names.value(keys.key(i).unwrap()), values.value(i)))
        .collect();
    (facts, pairs)
}

fn check(body: &str, severity: u8, fields: &[&str]) {
    let (facts, found) = parse(body);
    assert_eq!(
        (facts.severity, found.as_slice()),
        (severity, fields.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()),
        "{body}"
    );
}

#[test]
fn json_is_flattened() {
    check(r#"{"level":"info","msg":"hi","n":1.50,"ok":true}"#, 9, &["msg=hi", "n=1.50", "ok=true"]);
    check(
        r#"{"a":{"b":{"c":"d"},"e":2},"f":[1,{"x":"]"}],"g":{}}"#,
        0,
        &["a.b.c=d", "a.e=2", r#"f=[1,{"x":"]"}]"#],
    );
    check(r#"{"a":null,"b":"","c":"x","d":-1e5}"#, 0, &["c=x", "d=-1e5"]);
    check(r#"  { "a" : "b" , "c" : { } , "d" : 1 }  "#, 0, &["a=b", "d=1"]);
    check(r#"{"a\"b":"c\nd\u00fc\ud83d\ude00\ud800"}"#, 0, &["a\"b=c\ndü😀\u{fffd}"]);
    check(r#"{"k":{"a\tb":{"c":1}}}"#, 0, &["k.a\tb.c=1"]);
    check(r#"{"log":{"level":"ERROR","logger":"x"}}"#, 17, &["log.logger=x"]);
    check("{}", 0, &[]);
    check("{\n  \"a\": 1\n}", 0, &["a=1"]);
}

#[test]
fn json_beyond_the_depth_is_kept_as_text() {
    check(
        r#"{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":{"9":{"10":1}}}}}}}},"z":2}}"#,
        0,
        &[r#"1.2.3.4.5.6.7.8={"9":{"10":1}}"#, "1.z=2"],
    );
}

#[test]
fn what_is_no_json_leaves_no_field() {
    for body in [
        r#"{"a":1} x"#,
        r#"{"a":1"#,
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        r#"{"a":"b}"#,
        r#"{a:1}"#,
        "{",
        r#"{"a":1}}"#,
        r#"{"a":tru}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":[1}"#,
        r#"{"level":"error","a":"#,
        r#"{"a":{"b":1}"#,
    ] {
        check(body, 0, &[]);
    }
    check(r#"{"level":"x"} ERROR: torn"#, 17, &[]);
}

#[test]
fn a_level_is_taken_out_where_it_is_one() {
    check(r#"{"level":30,"msg":"x"}"#, 9, &["msg=x"]);
    check(r#"{"level":"high","msg":"x"}"#, 0, &["level=high", "msg=x"]);
    check(r#"{"severity":"WARNING","level":"info"}"#, 13, &["level=info"]);
    check(r#"{"levelname":"CRITICAL","levelno":50}"#, 18, &["levelno=50"]);
    check(r#"{"PRIORITY":"3","MESSAGE":"x"}"#, 17, &["MESSAGE=x"]);
    check(r#"{"priority":"1","a":"b"}"#, 0, &["priority=1", "a=b"]);
    check(
        r#"{"t":{"$date":"2026-11-21T01:02:03Z"},"s":"W","c":"NETWORK"}"#,
        13,
        &["t.$date=2026-11-21T01:02:03Z", "c=NETWORK"],
    );
    check(r#"{"severity_number":21}"#, 21, &[]);
    check(r#"{"status":500}"#, 0, &["status=500"]);
}

#[test]
fn trace_ids_go_to_their_columns() {
    let (facts, fields) = parse(
        r#"{"traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","span_id":"00f067aa0ba902b7","trace_id":"short"}"#,
    );
    assert_eq!(facts.trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(facts.span_id(), Some("00f067aa0ba902b7"));
    assert_eq!(fields, ["trace_id=short"]);
    let (facts, fields) = parse(r#"{"trace_id":"00000000000000000000000000000000"}"#);
    assert_eq!((facts.trace_id(), fields.len()), (None, 1));
}

#[test]
fn a_time_is_taken_where_one_is_asked_for() {
    let config = ParseConfig::default();
    let cases = [
        (r#"{"ts":1795262400.25,"a":1}"#, 1_795_262_400_250_000_000i64),
        (r#"{"time":"2026-11-21T12:00:00.5Z"}"#, 1_795_262_400_500_000_000),
        (r#"{"@timestamp":"2026-11-21 12:00:00,001"}"#, 1_795_262_400_001_000_000),
        (r#"{"timestamp":1795262400123}"#, 1_795_262_400_123_000_000),
        (r#"{"t":{"$date":"2026-11-21T12:00:00.000+00:00"}}"#, 1_795_262_400_000_000_000),
        ("time=\"2026-11-21T12:00:00Z\" level=info msg=x", 1_795_262_400_000_000_000),
    ];
    for (body, time) in cases {
        let mut clock = Clock::new(&jiff::tz::TimeZone::UTC);
        let options = BodyOptions { parse: &config, fields_limit: 9, clock: Some(&mut clock) };
        let mut out = LogBatchBuilder::default();
        let facts = decode_body(body, options, &mut BodyScratch::default(), &mut out);
        assert_eq!(facts.time, Some(time), "{body}");
    }
    check(r#"{"ts":1795262400,"a":1}"#, 0, &["ts=1795262400", "a=1"]);
}

#[test]
fn logfmt_gives_its_pairs() {
    check(
        r#"level=warn msg="a \"b\" c" dur=1.5ms err= x=1"#,
        13,
        &[r#"msg=a "b" c"#, "dur=1.5ms", "x=1"],
    );
    check(
        "ts=2026-11-21T01:02:03Z caller=a.go:1 level=error msg=failed",
        17,
        &["ts=2026-11-21T01:02:03Z", "caller=a.go:1", "msg=failed"],
    );
    check("a=b", 0, &["a=b"]);
    check("level=info msg=hello world a=b", 9, &["msg=hello", "a=b"]);
    check(r#"a="b c=d"#, 0, &["a=\"b", "c=d"]);
    // Not logfmt.
    check("x=1 is an equation of two sides", 0, &[]);
    check("see https://a.b/?c=d e=f", 0, &[]);
    check("=a b=c", 0, &[]);
}

#[test]
fn klog_gives_its_header() {
    check(
        "E1121 01:02:03.000123    1234 pod_workers.go:191] Error syncing pod",
        17,
        &["thread=1234", "file=pod_workers.go", "line=191"],
    );
    check(
        r#"I1121 01:02:03.000123       1 a.go:12] "Started container" pod="ns/p" err="x \"y\"""#,
        9,
        &["thread=1", "file=a.go", "line=12", "pod=ns/p", "err=x \"y\""],
    );
    check("I1121 is a room", 0, &[]);
}

#[test]
fn syslog_gives_host_and_tag() {
    check(
        "Nov 21 01:02:03 host sshd[24200]: Invalid user x",
        0,
        &["host=host", "app=sshd", "pid=24200"],
    );
    check(
        "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: failure; a=1",
        0,
        &["host=combo", "app=sshd(pam_unix)", "pid=19939"],
    );
    check("Nov 21 01:02:03 host kernel: [1.2] x", 0, &["host=host", "app=kernel"]);
    check("Nov 21 01:02:03 host app[1]: error: kex", 17, &["host=host", "app=app", "pid=1"]);
    check(
        r#"Nov 21 01:02:03 h app[1]: {"level":"warn","a":"b"}"#,
        13,
        &["host=h", "app=app", "pid=1", "a=b"],
    );
    check(
        "2026-11-21T01:02:03.123456+00:00 h systemd[1]: Started x",
        0,
        &["host=h", "app=systemd", "pid=1"],
    );
    check("2026-11-21T01:02:03Z INFO main: started", 9, &[]);
    check("<13>Nov 21 01:02:03 h app[7]: x", 10, &["facility=user", "host=h", "app=app", "pid=7"]);
    check("<0>app: x", 21, &["facility=kern", "app=app"]);
    check(
        r#"<165>1 2026-11-21T01:02:03.003Z h evntslog 8 ID47 [a@1 iut="3" s="x\"y\]"][b@2 c="d"] An event"#,
        10,
        &[
            "facility=local4",
            "host=h",
            "app=evntslog",
            "pid=8",
            "msgid=ID47",
            "a@1.iut=3",
            "a@1.s=x\"y]",
            "b@2.c=d",
        ],
    );
    check(
        "<34>1 2026-11-21T01:02:03.003Z h su - ID47 - \u{feff}'su root' failed",
        18,
        &["facility=auth", "host=h", "app=su", "msgid=ID47"],
    );
    check("<999>x", 0, &[]);
    check("<b>bold</b>", 0, &[]);
}

#[test]
fn access_logs_give_the_request() {
    check(
        r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326"#,
        0,
        &[
            "remote_addr=127.0.0.1",
            "remote_user=frank",
            "method=GET",
            "path=/apache_pb.gif",
            "protocol=HTTP/1.0",
            "status=200",
            "bytes=2326",
        ],
    );
    check(
        r#"::1 - - [10/Oct/2000:13:55:36 -0700] "POST /a b?c=d HTTP/1.1" 500 - "-" "Mozilla/5.0 \"x\"" "10.1.1.1, 10.2.2.2" 0.005"#,
        0,
        &[
            "remote_addr=::1",
            "method=POST",
            "path=/a b?c=d",
            "protocol=HTTP/1.1",
            "status=500",
            "user_agent=Mozilla/5.0 \\\"x\\\"",
            "x_forwarded_for=10.1.1.1, 10.2.2.2",
            "request_time=0.005",
        ],
    );
    check(
        r#"10.0.0.1 - - [21/Nov/2026:01:02:03 +0000] "GET / HTTP/2.0" 200 15 "http://a/" "curl/8" 123 0.004 [ns-svc-80] [] 10.1.0.5:80 15 0.004 200 4f2a"#,
        0,
        &[
            "remote_addr=10.0.0.1",
            "method=GET",
            "path=/",
            "protocol=HTTP/2.0",
            "status=200",
            "bytes=15",
            "referer=http://a/",
            "user_agent=curl/8",
            "request_length=123",
            "request_time=0.004",
            "proxy_upstream_name=ns-svc-80",
            "upstream_addr=10.1.0.5:80",
            "upstream_response_length=15",
            "upstream_response_time=0.004",
            "upstream_status=200",
            "req_id=4f2a",
        ],
    );
    check(
        r#"1.2.3.4 - - [21/Nov/2026:01:02:03 +0000] "\x16\x03" 400 157 "-" "-""#,
        0,
        &["remote_addr=1.2.3.4", "path=\\x16\\x03", "status=400", "bytes=157"],
    );
    check("10.0.0.1 [x] says hello", 0, &[]);
    check(r#"1.2.3.4 - - [21/Nov/2026:01:02:03 +0000] "GET / HTTP/1.1" ERROR 157"#, 17, &[]);
}

#[test]
fn fields_are_limited_in_number_and_name() {
    let (facts, fields) = parse_with(r#"{"a":1,"b":2,"c":3}"#, 2);
    assert_eq!((facts.dropped, fields.len()), (1, 2));
    let long = format!(r#"{{"{}":1,"n":{{"{}":2}}}}"#, "x".repeat(129), "ü".repeat(80));
    let (facts, fields) = parse(&long);
    assert_eq!((facts.dropped, fields.len()), (2, 0));
}
