use super::super::testing::{answer, check, check_ordered, request};

const ABC: &str = r#"
    {"_msg":"abc","a":"2","b":"3"}
    {"_msg":"def","a":"1"}
    {"a":"3","b":"54"}"#;

const GROUPED: &str = r#"
    {"_msg":"abc","a":"1","b":"3"}
    {"_msg":"def","a":"1","c":"3"}
    {"a":"3","b":"5"}
    {"a":"3","b":"7"}"#;

#[test]
fn counts() {
    check("stats count() n", ABC, r#"{"n":"3"}"#);
    check("stats count(*) n", ABC, r#"{"n":"3"}"#);
    check("stats count(b) n", ABC, r#"{"n":"2"}"#);
    check("stats count(x, b) n", ABC, r#"{"n":"2"}"#);
    check("stats count(x) n", ABC, r#"{"n":"0"}"#);
    check("count() if (a:2) n, count() if (a:9) m", ABC, r#"{"n":"1","m":"0"}"#);
    check("stats count_empty(b) n, count_empty(a, b) m", ABC, r#"{"n":"1","m":"0"}"#);
    check(
        "stats by (a) count() n",
        GROUPED,
        r#"{"a":"1","n":"2"} 
        {"a":"3","n":"2"}"#,
    );
    check(
        "stats by (a, b) count() if (b:*) n",
        GROUPED,
        r#"
        {"a":"1","b":"3","n":"1"}
        {"a":"1","n":"0"}
        {"a":"3","b":"5","n":"1"}
        {"a":"3","b":"7","n":"1"}"#,
    );
    check("stats by (x) count() n", ABC, r#"{"n":"3"}"#);
    check(
        "filter a:none | stats count() n, sum(a) s, min(a) m, values(a) v",
        ABC,
        r#"{"n":"0","s":"NaN","v":"[]"}"#,
    );
    check("filter a:none | stats by (a) count() n", ABC, "");
}

#[test]
fn different_values() {
    check("stats count_uniq(a) n, count_uniq_hash(a) m", GROUPED, r#"{"n":"2","m":"2"}"#);
    check("stats count_uniq(a, b) n, count_uniq_hash(a, b) m", GROUPED, r#"{"n":"4","m":"4"}"#);
    check("stats count_uniq(c) n, count_uniq_hash(c) m", GROUPED, r#"{"n":"1","m":"1"}"#);
    check(
        "stats count_uniq(a, b) limit 2 n, count_uniq_hash(a, b) limit 3 m",
        GROUPED,
        r#"{"n":"2","m":"3"}"#,
    );
    check(
        "stats by (a) count_uniq(b) n, count_uniq_hash(b, c) m",
        GROUPED,
        r#"
        {"a":"1","n":"1","m":"2"}
        {"a":"3","n":"2","m":"2"}"#,
    );
    check(
        "stats uniq_values(b) v, uniq_values(x) w",
        GROUPED,
        r#"{"v":"[\"3\",\"5\",\"7\"]","w":"[]"}"#,
    );
    check(
        "stats by (a) uniq_values(a, b, c) v",
        GROUPED,
        r#"
        {"a":"1","v":"[\"1\",\"3\"]"}
        {"a":"3","v":"[\"3\",\"5\",\"7\"]"}"#,
    );
    check(
        "stats uniq_values(v) u",
        r#"
        {"v":"v1.10.9"}
        {"v":"v1.9.0"}
        {"v":"100ms"}
        {"v":"1.5s"}
        {"v":"7"}"#,
        r#"{"u":"[\"7\",\"100ms\",\"1.5s\",\"v1.9.0\",\"v1.10.9\"]"}"#,
    );
}

#[test]
fn numbers() {
    check(
        "stats sum(a) s, avg(a) m, sum(b) t, avg(b) n",
        ABC,
        r#"{"s":"6","m":"2","t":"57","n":"28.5"}"#,
    );
    check("stats sum(a, b) s, avg(*) m", ABC, r#"{"s":"63","m":"12.6"}"#);
    check("stats sum(_msg) s, avg(x) m, stddev(x) d", ABC, r#"{"s":"NaN","m":"NaN","d":"NaN"}"#);
    check(
        "stats by (a) sum(b) s, avg(b*) m",
        GROUPED,
        r#"
        {"a":"1","s":"3","m":"3"}
        {"a":"3","s":"12","m":"6"}"#,
    );
    check("stats sum_len(_msg) l, sum_len(a, b) m", ABC, r#"{"l":"6","m":"6"}"#);
    check(
        "stats stddev(v) d, sum(v) s",
        r#"
        {"v":"2"}
        {"v":"4"}
        {"v":"4"}
        {"v":"4"}
        {"v":"5"}
        {"v":"5"}
        {"v":"7"}
        {"v":"9"}"#,
        r#"{"d":"2","s":"40"}"#,
    );
    check(
        "stats sum(v) s",
        r#"
        {"v":"1KiB"}
        {"v":"0.5"}
        {"v":"word"}"#,
        r#"{"s":"1024.5"}"#,
    );
    check(
        "stats histogram(v) h",
        r#"
        {"v":"2"}
        {"v":"1.9"}
        {"v":"3.05"}
        {"v":"-1"}"#,
        r#"{"h":"[{\"vmrange\":\"1.896e+00...2.154e+00\",\"hits\":2},{\"vmrange\":\"2.783e+00...3.162e+00\",\"hits\":1}]"}"#,
    );
}

#[test]
fn extremes() {
    check("stats min(a) l, max(a) h", ABC, r#"{"l":"1","h":"3"}"#);
    check("fields a, b, _msg | stats min(b) l, max(*) h, min(x) e", ABC, r#"{"l":"3","h":"def"}"#);
    check(
        "stats min(v) l, max(v) h",
        r#"
        {"v":"10"}
        {"v":"9"}
        {"v":"-12.5"}
        {"v":"1KiB"}"#,
        r#"{"l":"-12.5","h":"1KiB"}"#,
    );
    check(
        "stats min(_time) l, max(_time) h",
        r#"
        {"_time":"2026-01-02T00:00:00Z"}
        {"_time":"2026-01-01T00:00:00.5Z"}
        {"_time":"2026-01-01T00:00:00Z"}"#,
        r#"{"l":"2026-01-01T00:00:00Z","h":"2026-01-02T00:00:00Z"}"#,
    );
    check(
        "fields a, b, _msg | stats row_max(a) x, row_min(a, a, b) y, row_max(x) z",
        ABC,
        r#"
        {"x":"{\"a\":\"3\",\"b\":\"54\"}","y":"{\"a\":\"1\"}","z":"{}"}"#,
    );
    check(
        "fields a, b | stats by (a) row_max(b) x",
        GROUPED,
        r#"
        {"a":"1","x":"{\"a\":\"1\",\"b\":\"3\"}"}
        {"a":"3","x":"{\"a\":\"3\",\"b\":\"7\"}"}"#,
    );
    check(
        "stats row_any(a) if (b:54) x, row_any(a) if (b:99) y",
        ABC,
        r#"{"x":"{\"a\":\"3\"}","y":"{}"}"#,
    );
}

#[test]
fn quantiles() {
    check(
        "stats quantile(0.9, a) x, quantile(0.9, b) y, quantile(0.5, x) z",
        ABC,
        r#"{"x":"3","y":"54"}"#,
    );
    check(
        "stats median(a) x, quantile(0, a) l, quantile(1, a) h",
        ABC,
        r#"{"x":"2","l":"1","h":"3"}"#,
    );
    check(
        "stats by (a) quantile(0.9, b) x",
        GROUPED,
        r#"
        {"a":"1","x":"3"}
        {"a":"3","x":"7"}"#,
    );
    check(
        "stats quantile(0.5, v) x, quantile(1, v) y",
        r#"
        {"v":"1.50"}
        {"v":"20ms"}
        {"v":"3"}
        {"v":"word"}"#,
        r#"{"x":"20ms","y":"word"}"#,
    );
}

#[test]
fn lists() {
    check(
        "filter a:1 | fields a, b | stats values(b) v, json_values() j",
        r#"
        {"a":"1","b":"x\"y"}
        {"a":"2"}"#,
        r#"{"v":"[\"x\\\"y\"]","j":"[{\"a\":\"1\",\"b\":\"x\\\"y\"}]"}"#,
    );
    check(
        "stats json_values(a) sort by (a desc) limit 2 j",
        ABC,
        r#"{"j":"[{\"a\":\"3\"},{\"a\":\"2\"}]"}"#,
    );
    check("stats values(x) limit 2 v", ABC, r#"{"v":"[\"\",\"\"]"}"#);
    check("filter a:3 | stats values(_msg) v", ABC, r#"{"v":"[\"\"]"}"#);
}

#[test]
fn rates_are_over_the_span_of_the_query() {
    let data = r#"
        {"_time":"2026-01-01T00:00:01Z","v":"10"}
        {"_time":"2026-01-01T00:01:01Z","v":"20"}"#;
    check("stats rate() r, rate_sum(v) s", data, r#"{"r":"2","s":"30"}"#);
    check(
        "_time:[2026-01-01T00:00:00Z, 2026-01-01T00:01:40Z) | stats rate() r, rate_sum(v) s",
        data,
        r#"{"r":"0.02","s":"0.3"}"#,
    );
    check(
        "stats by (_time:10s) rate() r",
        data,
        r#"
        {"_time":"2026-01-01T00:00:00Z","r":"0.1"}
        {"_time":"2026-01-01T00:01:00Z","r":"0.1"}"#,
    );
}

#[test]
fn buckets() {
    check(
        "stats by (x:1KiB) count() n",
        r#"
        {"x":"1023"}
        {"x":"1024"}
        {"x":"2047"}
        {"x":"no"}"#,
        r#"
        {"x":"0","n":"1"}
        {"x":"1024","n":"2"}
        {"x":"no","n":"1"}"#,
    );
    check(
        "stats by (ip:/24) count() n",
        r#"
        {"ip":"1.2.3.4"}
        {"ip":"1.2.3.255"}
        {"ip":"1.2.4.0"}"#,
        r#"
        {"ip":"1.2.3.0","n":"2"}
        {"ip":"1.2.4.0","n":"1"}"#,
    );
    let times = r#"
        {"_time":"2024-04-01T10:20:30Z","a":"1"}
        {"_time":"2024-04-01T23:20:30Z","a":"1"}
        {"_time":"2024-04-08T10:20:30Z","a":"2"}"#;
    check(
        "stats by (_time:1d) count() n",
        times,
        r#"
        {"_time":"2024-04-01T00:00:00Z","n":"2"}
        {"_time":"2024-04-08T00:00:00Z","n":"1"}"#,
    );
    check(
        "stats by (_time:1d offset 2h) count() n",
        times,
        r#"
        {"_time":"2024-03-31T22:00:00Z","n":"1"}
        {"_time":"2024-04-01T22:00:00Z","n":"1"}
        {"_time":"2024-04-07T22:00:00Z","n":"1"}"#,
    );
    check(
        "stats by (_time:week, a) count() n",
        times,
        r#"
        {"_time":"2024-04-01T00:00:00Z","a":"1","n":"2"}
        {"_time":"2024-04-08T00:00:00Z","a":"2","n":"1"}"#,
    );
    check("stats by (_time:month) count() n", times, r#"{"_time":"2024-04-01T00:00:00Z","n":"3"}"#);
}

#[test]
fn results_go_through_further_pipes() {
    check_ordered(
        "stats by (a) count() n, sum(b) s | sort by (s desc) | math s / n as m | fields a, m",
        GROUPED,
        r#"
        {"a":"3","m":"6"}
        {"a":"1","m":"1.5"}"#,
    );
    check(
        "stats by (a) count() n | stats count() groups, sum(n) rows",
        GROUPED,
        r#"{"groups":"2","rows":"4"}"#,
    );
    check("stats by (a) count() n | filter n:>2", GROUPED, "");
}

#[test]
fn many_groups_over_many_batches_come_together() {
    let data: String = (0..500)
        .map(|i| format!("{{\"a\":\"{}\",\"b\":\"{}\",\"v\":\"{i}\"}}\n", i % 7, i % 11))
        .collect();
    let want: std::collections::BTreeMap<(usize, usize), (usize, usize)> =
        (0..500).fold(Default::default(), |mut map, i| {
            let entry: &mut (usize, usize) = map.entry((i % 7, i % 11)).or_default();
            entry.0 += 1;
            entry.1 += i;
            map
        });
    let want: String = want
        .iter()
        .map(|((a, b), (n, s))| {
            format!("{{\"a\":\"{a}\",\"b\":\"{b}\",\"n\":\"{n}\",\"s\":\"{s}\"}}\n")
        })
        .collect();
    check("stats by (a, b) count() n, sum(v) s", &data, &want);
    let got =
        answer(&request("* | stats count_uniq(a, b) n, count_uniq(v) m"), &data, true).unwrap();
    assert_eq!(got, [r#"{"m":"500","n":"77"}"#]);
}
