use super::super::testing::{answer, check, check_ordered, request};

const ABC: &str = r#"
    {"a":"2","b":"3"}
    {"a":"2","b":"3"}
    {"a":"2","b":"54","c":"d"}"#;

#[test]
fn fields_are_kept_deleted_copied_and_renamed() {
    let data = r#"{"foo":"1","foo.x":"2","bar":"3"}"#;
    check("fields foo, zzz", data, r#"{"foo":"1"}"#);
    check("fields foo*", data, r#"{"foo":"1","foo.x":"2"}"#);
    check("delete foo*", data, r#"{"bar":"3"}"#);
    check("copy foo as bar, bar as baz", data, r#"{"foo":"1","foo.x":"2","bar":"1","baz":"1"}"#);
    check("rename foo as bar", data, r#"{"foo.x":"2","bar":"1"}"#);
    check("rename foo as foo", data, data);
    check("rename foo* as q*", data, r#"{"q":"1","q.x":"2","bar":"3"}"#);
    check("fields foo* | rename foo* as foofoo*", data, r#"{"foofoo":"1","foofoo.x":"2"}"#);
    check("copy foo* as q*", data, r#"{"foo":"1","foo.x":"2","bar":"3","q":"1","q.x":"2"}"#);
    check("fields foo.* | rename foo.* as *", data, r#"{"x":"2"}"#);
    check("fields bar | copy zzz as bar", data, r#"{}"#);
    check("fields foo, zzz | drop_empty_fields", data, r#"{"foo":"1"}"#);
    check("fields zzz | drop_empty_fields", data, "");
}

#[test]
fn rows_are_filtered_limited_and_sampled() {
    check("filter c:d", ABC, r#"{"a":"2","b":"54","c":"d"}"#);
    check("where b:>3 | fields b", ABC, r#"{"b":"54"}"#);
    let count = |query: &str| answer(&request(query), ABC, true).map(|lines| lines.len()).unwrap();
    assert_eq!(count("* | limit 2 | fields a"), 2);
    assert_eq!(count("* | offset 2 | fields a"), 1);
    assert_eq!(count("* | offset 9"), 0);
    assert_eq!(count("* | limit 0"), 0);
    check("sample 1 | stats count() n", ABC, r#"{"n":"3"}"#);
    let many = "{\"a\":\"1\"}\n".repeat(4000);
    let lines = answer(&request("* | sample 10 | stats count() n"), &many, true).unwrap();
    let sampled: usize = lines[0].split('"').nth(3).unwrap().parse().unwrap();
    assert!((250..550).contains(&sampled), "{sampled}");
}

#[test]
fn rows_are_sorted() {
    let data = r#"
        {"_msg":"abc","a":"2","b":"3"}
        {"_msg":"def","a":"1"}
        {"a":"2","b":"54"}"#;
    check_ordered(
        "sort by (a, b desc) | fields a, b",
        data,
        r#"
        {"a":"1"}
        {"a":"2","b":"54"}
        {"a":"2","b":"3"}"#,
    );
    check_ordered(
        "sort by (a, b) desc | fields a, b",
        data,
        r#"
        {"a":"2","b":"54"}
        {"a":"2","b":"3"}
        {"a":"1"}"#,
    );
    check_ordered(
        "sort by (a, b) offset 1 limit 1 rank x | fields b, x",
        data,
        r#"{"b":"3","x":"2"}"#,
    );
    check_ordered("sort by (a, b) desc offset 2 limit 100 | fields a", data, r#"{"a":"1"}"#);
    check_ordered(
        "sort | fields a, b",
        data,
        r#"
        {"a":"2","b":"54"}
        {"a":"2","b":"3"}
        {"a":"1"}"#,
    );
    check_ordered(
        "sort by (v)",
        r#"
        {"v":"a10"}
        {"v":"10"}
        {"v":"9"}
        {"v":"a9"}
        {"w":"1"}
        {"v":"1.5KB"}"#,
        r#"
        {"w":"1"}
        {"v":"9"}
        {"v":"10"}
        {"v":"1.5KB"}
        {"v":"a9"}
        {"v":"a10"}"#,
    );
    check_ordered(
        "sort by (a) limit 1 partition by (b)",
        r#"
        {"a":"foo","b":"x"}
        {"a":"bar","b":"x"}
        {"a":"xyz","b":"abc"}"#,
        r#"
        {"a":"xyz","b":"abc"}
        {"a":"bar","b":"x"}"#,
    );
    check_ordered("first 1 by (b) | fields b", ABC, r#"{"b":"3"}"#);
    check_ordered("last 1 by (b) | fields b", ABC, r#"{"b":"54"}"#);
}

#[test]
fn the_first_of_many_are_those_of_the_whole_order() {
    let value = |i: usize| i * 7919 % 5003;
    let data: String =
        (0..5003).map(|i| format!("{{\"v\":\"{}\",\"p\":\"{}\"}}\n", value(i), i % 2)).collect();
    let want: String = (0..5).map(|v| format!("{{\"v\":\"{v}\"}}\n")).collect();
    check_ordered("sort by (v) limit 5 | fields v", &data, &want);
    let want: String = (4993..4998).rev().map(|v| format!("{{\"v\":\"{v}\"}}\n")).collect();
    check_ordered("sort by (v desc) offset 5 limit 5 | fields v", &data, &want);
    let lines = answer(&request("* | sort by (v) | fields v"), &data, true).unwrap();
    assert_eq!(lines.len(), 5003);
    assert_eq!(lines[5002], r#"{"v":"5002"}"#);
    let lines = answer(&request("* | sort by (v) limit 2 partition by (p)"), &data, true).unwrap();
    assert_eq!(lines.len(), 4);
}

#[test]
fn different_values_are_listed_and_counted() {
    check("uniq by (a)", ABC, r#"{"a":"2"}"#);
    check(
        "uniq by (b) hits",
        ABC,
        r#"
        {"b":"3","hits":"2"}
        {"b":"54","hits":"1"}"#,
    );
    check(
        "uniq by (c) hits",
        ABC,
        r#"
        {"hits":"2"}
        {"c":"d","hits":"1"}"#,
    );
    check(
        "uniq by (a, b) hits",
        ABC,
        r#"
        {"a":"2","b":"3","hits":"2"}
        {"a":"2","b":"54","hits":"1"}"#,
    );
    check(
        "fields a, b | uniq by (a, b) with hits",
        ABC,
        r#"
        {"a":"2","b":"3","hits":"2"}
        {"a":"2","b":"54","hits":"1"}"#,
    );
    check(
        "uniq by (b) hits limit 2",
        ABC,
        r#"
        {"b":"3","hits":"2"}
        {"b":"54","hits":"1"}"#,
    );
    check("uniq by (b) hits limit 1 | fields hits", ABC, r#"{"hits":"0"}"#);
    check_ordered(
        "top 5 by (b)",
        ABC,
        r#"
        {"b":"3","hits":"2"}
        {"b":"54","hits":"1"}"#,
    );
    check_ordered("top 1 by (b) hits as n rank as r", ABC, r#"{"b":"3","n":"2","r":"1"}"#);
    check_ordered(
        "top 3 by (v)",
        r#"
        {"v":"10"}
        {"v":"9"}
        {"v":"x"}
        {"v":"b"}
        {"v":"x"}"#,
        r#"
        {"v":"x","hits":"2"}
        {"v":"9","hits":"1"}
        {"v":"10","hits":"1"}"#,
    );
    check(
        "field_values b",
        ABC,
        r#"
        {"b":"3","hits":"2"}
        {"b":"54","hits":"1"}"#,
    );
    check(
        "fields a, b, c | field_names",
        ABC,
        r#"
        {"name":"a","hits":"3"}
        {"name":"b","hits":"3"}
        {"name":"c","hits":"1"}"#,
    );
}

#[test]
fn facets_leave_out_what_says_little() {
    check(
        "fields a, b, c | facets",
        ABC,
        r#"
        {"field_name":"b","field_value":"3","hits":"2"}
        {"field_name":"b","field_value":"54","hits":"1"}
        {"field_name":"c","field_value":"d","hits":"1"}"#,
    );
    check(
        "fields a, b, c | facets 1 keep_const_fields",
        ABC,
        r#"
        {"field_name":"a","field_value":"2","hits":"3"}
        {"field_name":"b","field_value":"3","hits":"2"}
        {"field_name":"c","field_value":"d","hits":"1"}"#,
    );
    check(
        "fields a, b, c | facets max_values_per_field 1",
        ABC,
        r#"
        {"field_name":"c","field_value":"d","hits":"1"}"#,
    );
    check(
        "fields b, c | facets max_value_len 1",
        ABC,
        r#"
        {"field_name":"c","field_value":"d","hits":"1"}"#,
    );
}

#[test]
fn fields_are_extracted() {
    let line = r#"{"_msg":"foo=bar baz=\"x y=z\" a=b","aa":"foobar","abc":""}"#;
    check(
        "fields _msg, aa, abc | extract 'baz=<abc> a=<aa>' | delete _msg",
        line,
        r#"{"abc":"x y=z","aa":"b"}"#,
    );
    check(
        "extract 'baz=<abc> a=<aa>' keep_original_fields | delete _msg",
        line,
        r#"{"abc":"x y=z","aa":"foobar"}"#,
    );
    check("extract 'nope=<abc> a=<aa>' | delete _msg", line, "{}");
    check(
        "extract 'nope=<abc> a=<aa>' skip_empty_results | delete _msg",
        line,
        r#"{"aa":"foobar"}"#,
    );
    check("extract if (aa:none) 'a=<aa>' | delete _msg", line, r#"{"aa":"foobar"}"#);
    check("extract 'foo=<_> <plain:rest>' | fields rest", line, r#"{"rest":"baz=\"x y=z\" a=b"}"#);
    check(
        "extract '<a> &lt; <b>' from x | fields a, b",
        r#"{"x":"1 < 2"}"#,
        r#"{"a":"1","b":"2"}"#,
    );
    check(
        "extract 'foo=[<bar>]' from x | fields bar",
        r#"{"x":"a foo=[\"bc\",\"de\"]"}"#,
        r#"{"bar":"bc"}"#,
    );
    check(
        "extract '<ip> <_> <path> <_> <agent>' | delete _msg",
        r#"{"_msg":"1.2.3.4 GET /foo/bar?baz 404 \"Mozilla  foo\" some tail"}"#,
        r#"{"ip":"1.2.3.4","path":"/foo/bar?baz","agent":"Mozilla  foo"}"#,
    );
    check("extract_regexp 'a=(?P<aa>[a-z]+)$' | delete _msg", line, r#"{"aa":"b"}"#);
    check(
        "extract_regexp '(?P<ip>([0-9]+[.]){3}[0-9]+)' | fields ip",
        r#"
        {"_msg":"from 10.0.0.1 x"}
        {"_msg":"no"}"#,
        r#"
        {"ip":"10.0.0.1"}
        {}"#,
    );
}

#[test]
fn fields_are_unpacked() {
    let line =
        r#"{"_msg":"{\"foo\":\"bar\",\"z\":{\"q\":[1, 2]},\"a\":\"\"}","foo":"x","a":"old"}"#;
    check("unpack_json | delete _msg", line, r#"{"foo":"bar","z.q":"[1,2]"}"#);
    check(
        "unpack_json skip_empty_results | delete _msg",
        line,
        r#"{"foo":"bar","z.q":"[1,2]","a":"old"}"#,
    );
    check(
        "unpack_json keep_original_fields | delete _msg",
        line,
        r#"{"foo":"x","z.q":"[1,2]","a":"old"}"#,
    );
    check("unpack_json fields (foo, none) | delete _msg", line, r#"{"foo":"bar","a":"old"}"#);
    check(
        "unpack_json fields (z*) result_prefix 'p_' | delete _msg",
        line,
        r#"{"foo":"x","a":"old","p_z.q":"[1,2]"}"#,
    );
    check("unpack_json if (foo:none) | delete _msg", line, r#"{"foo":"x","a":"old"}"#);
    check("unpack_json from x", r#"{"x":"no json"}"#, r#"{"x":"no json"}"#);
    check(
        "unpack_json from x | fields a, b",
        r#"
        {"x":"{\"a\":1}"}
        {"x":"{\"b\":true}","a":"kept"}"#,
        r#"
        {"a":"1"}
        {"a":"kept","b":"true"}"#,
    );
    check(
        "unpack_logfmt | delete _msg",
        r#"{"_msg":"foo=bar baz=\"x y=z\" word a=b"}"#,
        r#"{"foo":"bar","baz":"x y=z","a":"b"}"#,
    );
    check(
        "unpack_logfmt fields (foo, none) result_prefix l. | delete _msg",
        r#"{"_msg":"foo=bar a=b","l.none":"x"}"#,
        r#"{"l.foo":"bar"}"#,
    );
    check("unpack_syslog | delete _msg", r#"{"_msg":"<165>Jan  3 12:08:33 host app[345]: hello"}"#,
        r#"{"level":"notice","priority":"165","facility_keyword":"local4","facility":"20","severity":"5","format":"rfc3164",
            "timestamp":"2027-01-03T12:08:33Z","hostname":"host","app_name":"app","proc_id":"345","message":"hello"}"#.replace('\n', "").as_str());
    check(
        "unpack_words from a as w",
        r#"{"a":"foo,bar foo"}"#,
        r#"{"a":"foo,bar foo","w":"[\"foo\",\"bar\",\"foo\"]"}"#,
    );
    check(
        "unpack_words from a as w drop_duplicates | fields w",
        r#"{"a":"foo,bar foo"}"#,
        r#"{"w":"[\"foo\",\"bar\"]"}"#,
    );
}

#[test]
fn arrays_are_unrolled() {
    check(
        "unroll a",
        r#"
        {"a":"[\"foo\",1,{\"baz\":\"x\"},[1,2],null]","q":"w"}
        {"a":"b","c":"d"}"#,
        r#"
        {"a":"foo","q":"w"}
        {"a":"1","q":"w"}
        {"a":"{\"baz\":\"x\"}","q":"w"}
        {"a":"[1,2]","q":"w"}
        {"a":"null","q":"w"}
        {"c":"d"}"#,
    );
    check(
        "unroll (t, v)",
        r#"
        {"t":"[1,2]","v":"[\"x\"]","o":"y"}"#,
        r#"
        {"t":"1","v":"x","o":"y"}
        {"t":"2","o":"y"}"#,
    );
    check(
        "unroll if (q:abc) (a)",
        r#"
        {"a":"asd","q":"w"}
        {"a":"[\"foo\",123]","q":"abc"}"#,
        r#"
        {"a":"asd","q":"w"}
        {"a":"foo","q":"abc"}
        {"a":"123","q":"abc"}"#,
    );
}

#[test]
fn texts_are_formatted_and_replaced() {
    let data = r#"{"foo":"abc","bar":"cde","x":"qwe"}"#;
    check(
        "format '{\"foo\":<q:foo>,\"bar\":\"<bar>\"}' as x | fields x",
        data,
        r#"{"x":"{\"foo\":\"abc\",\"bar\":\"cde\"}"}"#,
    );
    check("format '<foo>' as x keep_original_fields | fields x", data, r#"{"x":"qwe"}"#);
    check("format '<none>' as x skip_empty_results | fields x", data, r#"{"x":"qwe"}"#);
    check("format '<none>' as x | fields x", data, "{}");
    check("format if (foo:zzz) 'new' as x | fields x", data, r#"{"x":"qwe"}"#);
    check("format '<uc:foo>&lt;<bar>&gt;' | fields _msg", data, r#"{"_msg":"ABC<cde>"}"#);
    check(
        "format '<a>-<b>' as f | fields f",
        ABC,
        r#"
        {"f":"2-3"}
        {"f":"2-3"}
        {"f":"2-54"}"#,
    );
    check("replace ('_', '-') | fields _msg", r#"{"_msg":"a_b_c"}"#, r#"{"_msg":"a-b-c"}"#);
    check("replace ('_', '-') limit 1 | fields _msg", r#"{"_msg":"a_b_c"}"#, r#"{"_msg":"a-b_c"}"#);
    check(
        "replace if (k:x) ('_', '') at v | fields v",
        r#"
        {"v":"a_b","k":"x"}
        {"v":"a_b","k":"y"}"#,
        r#"
        {"v":"ab"}
        {"v":"a_b"}"#,
    );
    check(
        "replace_regexp ('foo(.+?)bar', 'q-$1-x')",
        r#"{"_msg":"abc foo a bar foobar foo b bar"}"#,
        r#"{"_msg":"abc q- a -x q-bar foo b -x"}"#,
    );
    check(
        "replace_regexp ('[_/]', '-') at v limit 1",
        r#"{"v":"a_bc_d/ef"}"#,
        r#"{"v":"a-bc_d/ef"}"#,
    );
    check(
        "collapse_nums prettify",
        r#"{"_msg":"2004-10-12T13:23:12Z from 12.34.56.78"}"#,
        r#"{"_msg":"<DATETIME> from <IP4>"}"#,
    );
}

#[test]
fn numbers_are_computed() {
    check(
        "eval b+1 as a, a*2 as b, b-10.5+c as c",
        r#"{"a":"v1","b":"2","c":"3"}"#,
        r#"{"a":"3","b":"6","c":"-1.5"}"#,
    );
    check(
        "math a / b default c as x | fields x",
        r#"
        {"a":"v1","b":"2","c":"3"}
        {"a":"0","b":"0","c":"3"}
        {"a":"3","b":"2"}
        {"a":"3","b":"foo"}"#,
        r#"
        {"x":"3"}
        {"x":"3"}
        {"x":"1.5"}
        {"x":"NaN"}"#,
    );
    check(
        "math round(exp(a), 0.01) as x, round(ln(a), 0.01) as y | fields x, y",
        r#"
        {"a":"0"}
        {"a":"1"}
        {"a":"2"}
        {"a":"z"}"#,
        r#"
        {"x":"1","y":"NaN"}
        {"x":"2.72","y":"0"}
        {"x":"7.39","y":"0.69"}
        {"x":"NaN","y":"NaN"}"#,
    );
    check(
        "math '2024-05-30T01:02:03Z' + 10e9 as t, 10m5s + 10e9 as d, '123.45.67.89' + 1000 as ip, t - t % s as r | fields t, d, ip, r",
        r#"{"s":"30m"}"#,
        r#"{"t":"1717030933000000000","d":"615000000000","ip":"2066564929","r":"1717030800000000000"}"#,
    );
    check(
        "math (ip & m or 0x1234) xor 5678 as x | fields x",
        r#"{"ip":"123.45.71.65","m":"0xffffff00"}"#,
        r#"{"x":"2066563354"}"#,
    );
    check(
        "math abs(-min(a,b)) as min, round(max(40*b/30,c)) as max | fields min, max",
        r#"{"a":"v1","b":"2","c":"3"}"#,
        r#"{"min":"2","max":"3"}"#,
    );
    check(
        "len(v) as l | fields l",
        r#"
        {"v":"größe"}
        {"w":"1"}"#,
        r#"
        {"l":"7"}
        {"l":"0"}"#,
    );
    check(
        "json_array_len(v) as l | fields l",
        r#"
        {"v":"[1,[2,3]]"}
        {"v":"x"}"#,
        r#"
        {"l":"2"}
        {"l":"0"}"#,
    );
    check(
        "hash(v) as h | stats count_uniq(h) n",
        r#"
        {"v":"x"}
        {"v":"x"}
        {"v":"y"}"#,
        r#"{"n":"2"}"#,
    );
}

#[test]
fn fields_are_packed() {
    let data = r#"{"foo":"abc","bar":"c d"}"#;
    check(
        "fields foo, bar | pack_json as j | fields j",
        data,
        r#"{"j":"{\"foo\":\"abc\",\"bar\":\"c d\"}"}"#,
    );
    check("pack_json fields (foo, none) as j | fields j", data, r#"{"j":"{\"foo\":\"abc\"}"}"#);
    check("pack_logfmt fields (foo, b*) as j | fields j", data, r#"{"j":"foo=abc bar=\"c d\""}"#);
}

#[test]
fn answers_are_joined_and_united() {
    let data = r#"
        {"app":"1","user":"x"}
        {"app":"1","user":"x"}
        {"app":"1","user":"y"}
        {"app":"2","user":"x"}
        {"app":"2","user":"z"}"#;
    let one = "filter app:1 | stats by (user) count() n";
    let two = "app:2 | stats by (user) count() m";
    check(
        &format!("{one} | join by (user) ({two})"),
        data,
        r#"
        {"user":"x","n":"2","m":"1"}
        {"user":"y","n":"1"}"#,
    );
    check(
        &format!("{one} | join by (user) ({two}) inner"),
        data,
        r#"{"user":"x","n":"2","m":"1"}"#,
    );
    check(
        &format!("{one} | join by (user) ({two}) prefix \"p.\""),
        data,
        r#"
        {"user":"x","n":"2","p.m":"1"}
        {"user":"y","n":"1"}"#,
    );
    check(
        "filter app:2 | join by (user) (app:1 | fields user, app) prefix q_",
        data,
        r#"
        {"app":"2","user":"x","q_app":"1"}
        {"app":"2","user":"x","q_app":"1"}
        {"app":"2","user":"z"}"#,
    );
    check(
        "filter user:y | union (app:2) | fields user",
        data,
        r#"
        {"user":"y"}
        {"user":"x"}
        {"user":"z"}"#,
    );
    check(
        "filter app:1 | union (app:2) | stats by (app) count() n",
        data,
        r#"
        {"app":"1","n":"3"}
        {"app":"2","n":"2"}"#,
    );
    check(
        "stats by (app) count() n | union (* | stats count() n)",
        data,
        r#"
        {"app":"1","n":"3"}
        {"app":"2","n":"2"}
        {"n":"5"}"#,
    );
    check(
        "filter user:in(app:2 | fields user) | fields app, user",
        data,
        r#"
        {"app":"1","user":"x"}
        {"app":"1","user":"x"}
        {"app":"2","user":"x"}
        {"app":"2","user":"z"}"#,
    );
    check("stats count() if (user:in(app:2 | keep user)) n", data, r#"{"n":"4"}"#);
}

#[test]
fn neighbours_of_a_stream_are_found() {
    let line = |i: usize, stream: &str, text: &str| {
        format!(
            "{{\"_time\":\"2026-01-01T00:{i:02}:00Z\",\"_stream\":\"{{s=\\\"{stream}\\\"}}\",\"_msg\":\"{text}\"}}\n"
        )
    };
    let mut data = String::new();
    for i in 0..20 {
        let text =
            if i == 5 || i == 7 || i == 15 { format!("panic {i}") } else { format!("line {i}") };
        data += &line(i, "a", &text);
        data += &line(i, "b", &format!("other {i}"));
    }
    let messages = |query: &str| -> Vec<String> {
        let lines = answer(&request(query), &data, true).unwrap();
        lines.iter().map(|line| line.split('"').nth(3).unwrap().to_string()).collect()
    };
    assert_eq!(
        messages("panic | stream_context before 1 after 2 | fields _msg"),
        [
            "line 4", "panic 5", "line 6", "panic 7", "line 8", "line 9", "---", "line 14",
            "panic 15", "line 16", "line 17"
        ]
    );
    assert_eq!(
        messages("panic | stream_context after 9 time_window 60s | fields _msg"),
        ["panic 5", "line 6", "panic 7", "line 8", "---", "panic 15", "line 16"]
    );
    assert_eq!(messages("'panic 5' | stream_context before 99 | fields _msg").len(), 6);
    assert_eq!(messages("nothing | stream_context before 99 | fields _msg").len(), 0);
    let whole = answer(&request("'panic 5' | stream_context before 1"), &data, true).unwrap();
    assert_eq!(
        whole[0],
        r#"{"_msg":"line 4","_stream":"{s=\"a\"}","_time":"2026-01-01T00:04:00Z"}"#
    );
}
