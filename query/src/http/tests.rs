//! The API over real connections: a server in this process, a client that writes to a socket, and a store in memory.

mod memory;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rookery_core::Tenant;
use rookery_core::store::Store;
use rookery_core::units::Span;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use self::memory::{EndlessStore, MemoryStore};
use super::router;
use crate::config::QueryConfig;
use crate::exec::Engine;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    store: Arc<MemoryStore>,
    closing: CancellationToken,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Server {
    /// A server over a store that can be filled.
    async fn start() -> Self {
        Self::with(QueryConfig::default()).await
    }

    async fn with(query: QueryConfig) -> Self {
        let store = Arc::new(MemoryStore::default());
        let server = Self::over(store.clone(), query).await;
        Self { store, ..server }
    }

    async fn over(store: Arc<dyn Store>, query: QueryConfig) -> Self {
        let engine = Arc::new(Engine::new(store, query.clone()));
        let closing = CancellationToken::new();
        let routes = router(engine, query, closing.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, store: Arc::default(), closing }
    }

    /// Stores JSON lines of the tenant of those who name none; each app is a stream.
    fn keep(&self, lines: &str) {
        self.store.keep(Tenant::default(), lines);
    }

    async fn open(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = if method == "POST" {
            format!("content-length: {}\r\n", body.len())
        } else {
            String::new()
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream
    }

    async fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.open(method, target, headers, body).await;
        let mut raw = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut raw)).await.unwrap().unwrap();
        parse(&raw)
    }

    async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", b"").await
    }

    /// Some records of two streams.
    async fn filled() -> Self {
        let server = Self::start().await;
        let lines: String = (0..10)
            .map(|i| {
                let (app, level) = if i % 2 == 0 { ("web", "info") } else { ("db", "error") };
                format!(
                    "{{\"_time\":\"2026-11-21T10:00:0{i}Z\",\"_msg\":\"message {i}\",\"app\":\"{app}\",\"level\":\"{level}\",\"n\":{i}}}\n"
                )
            })
            .collect();
        server.keep(&lines);
        server
    }
}

/// Takes an answer apart; a body in chunks is put together. A body that breaks off is what came of it.
fn parse(raw: &[u8]) -> Answer {
    let at = raw.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(raw[..at].to_vec()).unwrap().to_lowercase();
    let status = head[9..12].parse().unwrap();
    let mut rest = &raw[at + 4..];
    let mut body = Vec::new();
    if !head.contains("transfer-encoding: chunked") {
        body = rest.to_vec();
    } else {
        while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
            let length =
                usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            let chunk = rest.get(end + 2..end + 2 + length).unwrap_or(b"");
            body.extend_from_slice(chunk);
            rest = rest.get(end + 4 + length..).unwrap_or(b"");
        }
    }
    Answer { status, head, body }
}

fn texts(lines: &[Value], field: &str) -> Vec<String> {
    lines.iter().map(|line| line[field].as_str().unwrap_or("").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_found_by_filters_windows_and_forms() {
    let server = Server::filled().await;
    let answer = server.get("/select/logsql/query?query=app:web+n:%3E%3D4&limit=100").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/stream+json"), "{}", answer.head);
    let lines = answer.lines();
    assert_eq!(texts(&lines, "_msg"), ["message 8", "message 6", "message 4"]);
    assert_eq!(lines[0]["_stream"], "{app=\"web\"}");
    assert_eq!(lines[0]["_time"], "2026-11-21T10:00:08Z");
    assert!(lines[0].get("_offset").is_none());

    let form = "query=*+%7C+fields+_msg,_offset&limit=2&offset=1";
    let kind = "content-type: application/x-www-form-urlencoded\r\n";
    let answer = server.send("POST", "/select/logsql/query", kind, form.as_bytes()).await;
    assert_eq!(texts(&answer.lines(), "_msg"), ["message 8", "message 7"]);
    assert!(answer.lines()[0].get("_offset").is_some(), "a field that is named is printed");

    let all = server.get("/select/logsql/query?query=*").await;
    assert_eq!(all.lines().len(), 10);
    let window =
        "/select/logsql/query?query=*&start=2026-11-21T10:00:03Z&end=2026-11-21T10:00:05Z&limit=9";
    assert_eq!(
        texts(&server.get(window).await.lines(), "_msg"),
        ["message 5", "message 4", "message 3"]
    );
    let extra = "/select/logsql/query?query=*&limit=9&extra_filters=n:%3C2&extra_stream_filters=%7Bapp%3D%22db%22%7D";
    assert_eq!(texts(&server.get(extra).await.lines(), "_msg"), ["message 1"]);
    let counted = "/select/logsql/query?query=*+%7C+stats+by+(app)+count()+n+%7C+sort+by+(app)";
    assert_eq!(
        server.get(counted).await.lines(),
        [json!({ "app": "db", "n": "5" }), json!({ "app": "web", "n": "5" })]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_see_their_own() {
    let server = Server::start().await;
    server.store.keep(Tenant::new("12:34").unwrap(), "{\"_msg\":\"secret\"}");
    let ask =
        |headers: &'static str| server.send("GET", "/select/logsql/query?query=*", headers, b"");
    assert!(ask("").await.lines().is_empty());
    assert!(ask("AccountID: 12\r\n").await.lines().is_empty());
    assert_eq!(ask("AccountID: 12\r\nProjectID: 34\r\n").await.lines().len(), 1);
    assert_eq!(ask("AccountID: x\r\n").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_where_and_what() {
    let server = Server::start().await;
    let answer = server.get("/select/logsql/query?query=a+%7C+lmit+5").await;
    let body = answer.json();
    assert_eq!(answer.status, 400);
    assert_eq!((&body["kind"], &body["position"]), (&json!("invalid"), &json!(4)));
    assert!(body["error"].as_str().unwrap().contains("`limit`"), "{body}");
    assert!(body["expected"].as_str().unwrap().contains("pipe"), "{body}");
    for target in [
        "/select/logsql/query",
        "/select/logsql/query?query=*&limit=x",
        "/select/logsql/query?query=*&start=yesterday",
        "/select/logsql/query?query=%zz",
        "/select/logsql/hits?query=*&step=0s",
        "/select/logsql/field_values?query=*",
        "/select/logsql/tail?query=*+%7C+stats+count()",
        "/select/logsql/query?query=*+%7C+limit+1+%7C+stream_context+before+1",
    ] {
        let answer = server.get(target).await;
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.json()["kind"], "invalid", "{target}");
    }
    let answer = server.get("/select/logsql/stats_query?query=*").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        (&answer.json()["status"], &answer.json()["errorType"]),
        (&json!("error"), &json!("bad_data"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_data_is_counted() {
    let server = Server::filled().await;
    let hits = server.get("/select/logsql/hits?query=*&step=5s&field=app&field=level").await.json();
    let series = |app: &str, level: &str, values: [u64; 2]| {
        let times = ["2026-11-21T10:00:00Z", "2026-11-21T10:00:05Z"];
        json!({ "fields": { "app": app, "level": level }, "timestamps": times, "values": values, "total": values[0] + values[1] })
    };
    assert_eq!(
        hits,
        json!({ "hits": [series("db", "error", [2, 3]), series("web", "info", [3, 2])] })
    );
    let rest =
        server.get("/select/logsql/hits?query=*&step=1h&field=n&fields_limit=1").await.json();
    assert_eq!(rest["hits"][1]["fields"], json!({}));
    assert_eq!((&rest["hits"][0]["total"], &rest["hits"][1]["total"]), (&json!(1), &json!(9)));

    let names = server.get("/select/logsql/field_names?query=level:error").await.json();
    let name = |name: &str| json!({ "value": name, "hits": 5 });
    for expected in ["_time", "_msg", "_stream", "_stream_id", "app", "level", "n"] {
        assert!(
            names["values"].as_array().unwrap().contains(&name(expected)),
            "{expected}: {names}"
        );
    }
    let values = server.get("/select/logsql/field_values?query=n:%3E0&field=level").await.json();
    assert_eq!(
        values,
        json!({ "values": [{ "value": "error", "hits": 5 }, { "value": "info", "hits": 4 }] })
    );
    let streams = server.get("/select/logsql/streams?query=n:%3E0").await.json();
    assert_eq!(streams["values"][0], json!({ "value": "{app=\"db\"}", "hits": 5 }));
    let ids = server.get("/select/logsql/stream_ids?query=*").await.json();
    assert_eq!(ids["values"].as_array().unwrap().len(), 2);
    let tags = server.get("/select/logsql/stream_field_names?query=*").await.json();
    assert_eq!(tags, json!({ "values": [{ "value": "app", "hits": 10 }] }));
    let tag = server
        .get("/select/logsql/stream_field_values?query=n:%3C3&field=app&limit=1")
        .await
        .json();
    assert_eq!(tag, json!({ "values": [{ "value": "web", "hits": 2 }] }));
    let facets = server.get("/select/logsql/facets?query=*+%7C+limit+1&limit=1").await.json();
    let level = facets["facets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|facet| facet["field_name"] == "level")
        .unwrap();
    assert_eq!(level["values"], json!([{ "field_value": "error", "hits": 5 }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_have_the_form_of_prometheus() {
    let server = Server::filled().await;
    let one =
        "/select/logsql/stats_query?query=*+%7C+stats+by+(app)+count()+n&time=2026-11-21T10:00:10Z";
    let answer = server.get(one).await.json();
    let sample = |app: &str| json!({ "metric": { "__name__": "n", "app": app }, "value": [1_795_255_210, "5"] });
    assert_eq!(
        (&answer["status"], &answer["data"]["resultType"]),
        (&json!("success"), &json!("vector"))
    );
    let result = answer["data"]["result"].as_array().unwrap();
    assert!(
        result.len() == 2 && result.contains(&sample("db")) && result.contains(&sample("web")),
        "{answer}"
    );
    let range = "/select/logsql/stats_query_range?query=app:web+%7C+stats+by+(app)+sum(n)+s,+count()&step=5s";
    let answer = server.get(range).await.json();
    let series = |name: &str, values: [(u64, &str); 2]| json!({ "metric": { "__name__": name, "app": "web" }, "values": values });
    let expected = [
        series("count(*)", [(1_795_255_200, "3"), (1_795_255_205, "2")]),
        series("s", [(1_795_255_200, "6"), (1_795_255_205, "14")]),
    ];
    assert_eq!(answer["data"]["result"], json!(expected));
}

/// Reads from a tail until a text has come.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&got).contains(wanted) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "the tail ended: {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&got).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_sends_what_comes_once_and_frees_its_place_when_the_client_leaves() {
    let query =
        QueryConfig { tail_sessions: 1, tail_interval: Span::millis(50), ..QueryConfig::default() };
    let server = Server::with(query).await;
    server.keep("{\"_msg\":\"before\"}\n");
    let target = "/select/logsql/tail?query=*+%7C+fields+_msg&start_offset=1h";
    let mut tail = server.open("GET", target, "", b"").await;
    let mut seen = read_until(&mut tail, "before").await;
    for i in 0..5 {
        server.keep(&format!("{{\"_msg\":\"live {i}\"}}\n"));
        seen += &read_until(&mut tail, &format!("live {i}")).await;
    }
    for text in ["before", "live 0", "live 4"] {
        assert_eq!(seen.matches(&format!("{{\"_msg\":\"{text}\"}}\n")).count(), 1, "{seen}");
    }
    let refused = server.get(target).await;
    assert_eq!(refused.status, 429);
    assert!(refused.json()["error"].as_str().unwrap().contains("query.tail_sessions"));
    drop(tail);
    let whole = target.replace("+%7C+fields+_msg", "");
    let again = tokio::time::timeout(PATIENCE, async {
        loop {
            let mut tail = server.open("GET", &whole, "", b"").await;
            let mut head = [0; 12];
            tail.read_exact(&mut head).await.unwrap();
            if head.ends_with(b"200") {
                return tail;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut tail = again.await.expect("the place is free again");
    let seen = read_until(&mut tail, "live 4").await;
    assert!(seen.contains("_stream_id") && !seen.contains("_offset"), "{seen}");
    server.closing.cancel();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tail.read_to_end(&mut rest))
        .await
        .expect("a stop ends the tail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_stops_its_query() {
    let store = EndlessStore::default();
    let (started, ended) = (store.started.clone(), store.ended.clone());
    let query = QueryConfig { threads: 1, ..QueryConfig::default() };
    let server = Server::over(Arc::new(store), query).await;
    // Once while rows are streamed, once while nothing has been sent yet.
    for target in ["/select/logsql/query?query=*", "/select/logsql/query?query=*+%7C+stats+count()"]
    {
        let mut stream = server.open("GET", target, "", b"").await;
        tokio::time::timeout(PATIENCE, started.notified()).await.expect("the scan started");
        if !target.contains("stats") {
            read_until(&mut stream, "endless").await;
        }
        drop(stream);
        tokio::time::timeout(PATIENCE, ended.notified()).await.expect("the scan ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_queries_name_themselves() {
    let query = QueryConfig {
        concurrency: 1,
        queue_wait: Span::millis(200),
        rows_limit: 5000,
        ..QueryConfig::default()
    };
    let store = EndlessStore::default();
    let started = store.started.clone();
    let server = Server::over(Arc::new(store), query).await;
    let count = "/select/logsql/query?query=*+%7C+stats+count()";
    let answer = server.get(&format!("{count}&timeout=50ms")).await;
    tokio::time::timeout(PATIENCE, started.notified()).await.expect("the scan started");
    assert_eq!((answer.status, &answer.json()["kind"]), (503, &json!("timeout")));
    assert!(
        answer.json()["error"].as_str().unwrap().contains("query.timeout"),
        "{}",
        answer.json()
    );

    let held = server.open("GET", count, "", b"").await;
    tokio::time::timeout(PATIENCE, started.notified()).await.expect("the other has its turn");
    let refused = server.get(count).await;
    assert_eq!(refused.status, 429);
    assert!(refused.json()["error"].as_str().unwrap().contains("query.concurrency"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_has_no_end() {
    let query = QueryConfig { rows_limit: 5000, ..QueryConfig::default() };
    let server = Server::over(Arc::new(EndlessStore::default()), query).await;
    let mut stream = server.open("GET", "/select/logsql/query?query=*", "", b"").await;
    let mut raw = Vec::new();
    // The connection is closed without the last, empty chunk; that may also show as a reset.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut raw)).await.unwrap();
    assert!(raw.starts_with(b"HTTP/1.1 200"));
    assert!(!raw.ends_with(b"0\r\n\r\n"), "a part must not look like the whole");
}
