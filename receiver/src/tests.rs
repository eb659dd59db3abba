//! The ways in, as their clients see them, in front of a queue that keeps what it gets.

use std::io::Write as _;
use std::sync::Mutex;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use rookery_core::batch::Batch;
use rookery_core::queue::{Receipt, receipt};
use rookery_core::units::{Bytes, Span};
use rookery_core::{BoxFuture, Error, Position, StreamId};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

/// What a queue for tests says to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// It has it.
    #[default]
    Stores,
    /// It takes it, and then cannot store it.
    Fails,
    /// It does not take it.
    Refuses,
    /// It takes it and says nothing.
    Hangs,
}

/// Keeps the batches that it acknowledged.
#[derive(Default)]
pub(crate) struct Keep {
    pub(crate) batches: Mutex<Vec<Batch>>,
    pub(crate) mood: Mutex<Mood>,
    hanging: Mutex<Vec<rookery_core::queue::Acknowledger>>,
}

impl Queue for Keep {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>> {
        Box::pin(async move {
            let (acknowledger, receipt) = receipt();
            let away = || Error::unavailable("the queue is away");
            match *self.mood.lock().unwrap() {
                Mood::Refuses => return Err(away()),
                Mood::Fails => acknowledger.resolve(Err(away())),
                Mood::Hangs => self.hanging.lock().unwrap().push(acknowledger),
                Mood::Stores => {
                    self.batches.lock().unwrap().push(batch);
                    acknowledger.resolve(Ok(()));
                }
            }
            Ok(receipt)
        })
    }
}

/// One record, as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) tenant: String,
    pub(crate) time: i64,
    pub(crate) body: String,
    pub(crate) tags: String,
    pub(crate) stream: StreamId,
    pub(crate) position: Position,
    pub(crate) severity: u8,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) columns: Vec<(String, String)>,
    pub(crate) trace_id: Option<String>,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn column(&self, name: &str) -> &str {
        self.columns.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }
}

pub(crate) fn seen(batch: &Batch) -> Vec<Seen> {
    let records = &batch.records;
    let column = |name: &str| records.column_by_name(name).unwrap();
    let word = |name: &str, row: usize| {
        let dictionary = column(name).as_dictionary::<UInt32Type>();
        dictionary.values().as_string::<i32>().value(dictionary.key(row).unwrap()).to_owned()
    };
    let number = |name: &str, row: usize| column(name).as_primitive::<UInt64Type>().value(row);
    let one = |row: usize| {
        let own = column("fields").as_map().value(row);
        let names = own.column(0).as_dictionary::<UInt16Type>();
        let name = |i: usize| names.values().as_string::<i32>().value(names.key(i).unwrap());
        let value = |i: usize| own.column(1).as_string::<i32>().value(i);
        let traces = column("trace_id").as_string::<i32>();
        let texts = rookery_core::logs::RESOURCE_COLUMNS;
        Seen {
            tenant: batch.tenant.to_string(),
            time: column("time").as_primitive::<TimestampNanosecondType>().value(row),
            body: column("body").as_string::<i32>().value(row).to_owned(),
            tags: word("stream_tags", row),
            stream: StreamId(
                column("stream").as_fixed_size_binary().value(row).try_into().unwrap(),
            ),
            position: Position {
                generation: number("generation", row),
                offset: number("offset", row),
            },
            severity: column("severity").as_primitive::<arrow_array::types::UInt8Type>().value(row),
            fields: (0..names.len()).map(|i| (name(i).to_owned(), value(i).to_owned())).collect(),
            columns: texts.iter().map(|name| ((*name).to_owned(), word(name, row))).collect(),
            trace_id: arrow_array::Array::is_valid(traces, row)
                .then(|| traces.value(row).to_owned()),
        }
    };
    (0..records.num_rows()).map(one).collect()
}

/// Receivers in front of a queue that keeps.
pub(crate) struct Bench {
    pub(crate) receivers: Receivers,
    pub(crate) queue: Arc<Keep>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(ReceiverConfig::default(), Start::default())
    }

    pub(crate) fn with(config: ReceiverConfig, start: Start) -> Self {
        let queue = Arc::new(Keep::default());
        let receivers = Receivers::new(config, "r", queue.clone(), start).unwrap();
        Self { receivers, queue }
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.receivers.router(true).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(body.into()).unwrap()).await
    }

    async fn push(&self, parameters: &str, lines: &str) -> Answer {
        self.post(&format!("/insert/jsonline?{parameters}"), &[], lines.to_owned()).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.queue.batches.lock().unwrap().iter().flat_map(seen).collect()
    }

    pub(crate) fn count(&self, name: &str, protocol: Protocol) -> u64 {
        let counters = self.receivers.stats().counters();
        counters.iter().find(|c| c.0 == name && c.1.1 == protocol.name()).unwrap().3
    }
}

#[tokio::test]
async fn pushes_may_be_compressed_and_wrong_lines_are_told() {
    let bench = Bench::new();
    let line = "{\"_msg\":\"hello\"}\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(line.as_bytes()).unwrap();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(line.as_bytes()).unwrap();
    let zstd = zstd::encode_all(line.as_bytes(), 1).unwrap();
    for (encoding, body) in
        [("gzip", gzip.finish().unwrap()), ("deflate", deflate.finish().unwrap()), ("zstd", zstd)]
    {
        let answer = bench.post("/insert/jsonline", &[("content-encoding", encoding)], body).await;
        assert_eq!(answer.status, 200, "{encoding}");
    }
    let answer = bench.push("", "{\"_msg\":\"a\"}\nnonsense\n{\"_msg\":\"b\"}\n[]\n").await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(
        (&body["stored"], &body["wrong"], &body["line"], &body["lines"]),
        (&json!(2), &json!(2), &json!(2), &json!([2, 4]))
    );
    assert_eq!(bench.seen().len(), 5, "the right ones are stored");
    assert_eq!(bench.push("", "").await.json(), json!({ "stored": 0 }));
    assert_eq!(bench.count("records", Protocol::Jsonline), 5);
    assert_eq!(bench.count("refused_records", Protocol::Jsonline), 2);
}

#[tokio::test]
async fn pushes_have_limits_that_name_themselves() {
    let config = ReceiverConfig {
        request_limit: Bytes(1000),
        line_limit: Bytes(100),
        records_limit: 4,
        streams_limit: 2,
        ..ReceiverConfig::default()
    };
    let bench = Bench::with(config, Start::default());
    let says = |answer: &Answer, limit: &str| {
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(limit), "{error}");
    };
    let answer = bench.push("", &"x".repeat(1001)).await;
    assert_eq!(answer.status, 413);
    says(&answer, "receiver.request_limit");
    says(
        &bench.push("", &format!("{{\"a\":\"{}\"}}", "x".repeat(100))).await,
        "receiver.line_limit",
    );
    let answer = bench.push("", &"{}\n".repeat(5)).await;
    assert_eq!(answer.status, 413);
    says(&answer, "receiver.records_limit");
    let answer = bench.push("_stream_fields=a", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["stored"]), (413, &json!(0)));
    says(&answer, "receiver.streams_limit");
    assert_eq!(bench.push("_stream_fields=a", "{\"a\":1}\n{\"a\":2}\n").await.status, 200);
    assert_eq!(bench.push("_stream_fields=a", "{\"a\":3}\n").await.status, 413);
    assert_eq!(bench.count("too_large", Protocol::Jsonline), 4);
}

#[tokio::test]
async fn success_is_answered_only_when_the_queue_has_acknowledged() {
    let bench = Bench::with(
        ReceiverConfig {
            store_limit: Span::millis(20),
            concurrency: 1,
            ..ReceiverConfig::default()
        },
        Start::default(),
    );
    for mood in [Mood::Fails, Mood::Refuses] {
        *bench.queue.mood.lock().unwrap() = mood;
        let answer = bench.push("", "{\"_msg\":\"a\"}").await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["stored"]),
            (503, &json!(0)),
            "{mood:?}"
        );
        assert_eq!(answer.headers["retry-after"], "1");
    }
    *bench.queue.mood.lock().unwrap() = Mood::Hangs;
    let answer = bench.push("", "{\"_msg\":\"a\"}").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("receiver.store_limit"), "{}", answer.text());
    // What still waits for its answer holds its place.
    let answer = bench.push("", "{\"_msg\":\"a\"}").await;
    assert_eq!(answer.status, 429);
    assert!(answer.text().contains("receiver.concurrency"), "{}", answer.text());
    assert_eq!(bench.count("failed", Protocol::Jsonline), 3);
    assert_eq!(bench.count("throttled", Protocol::Jsonline), 1);
}

#[tokio::test]
async fn tenants_are_those_of_tokens_where_there_are_tokens() {
    let bench = Bench::new();
    let line = "{\"_msg\":\"x\"}";
    let account = [("accountid", "12"), ("projectid", "34")];
    assert_eq!(bench.post("/insert/jsonline", &account, line).await.status, 200);
    assert_eq!(bench.seen()[0].tenant, "12:34");
    assert_eq!(bench.post("/insert/jsonline", &[("accountid", "x")], line).await.status, 400);

    let token = |name: &str, secret: &str, tenant: &str| TokenConfig {
        name: name.into(),
        hash: Hash::of(secret),
        tenant: rookery_core::Tenant::new(tenant).unwrap(),
        protocols: Vec::new(),
    };
    let tokens = vec![token("a", "one", "t1"), token("b", "two", "t2")];
    let bench =
        Bench::with(ReceiverConfig { tokens, ..ReceiverConfig::default() }, Start::default());
    let answer = bench.push("", line).await;
    assert_eq!(answer.status, 401);
    assert!(answer.headers.contains_key("www-authenticate"));
    let bearer = [("authorization", "Bearer two")];
    assert_eq!(bench.post("/insert/jsonline", &bearer, line).await.status, 200);
    assert_eq!(bench.seen()[0].tenant, "t2");
    assert_eq!(bench.count("unauthenticated", Protocol::Jsonline), 1);
}

#[tokio::test]
async fn an_address_that_others_reach_takes_nothing_without_a_token() {
    let bench = Bench::new();
    let request = Request::post("/insert/jsonline").body(Body::from("{\"a\":1}")).unwrap();
    let response = bench.receivers.router(false).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(bench.seen().is_empty());
}

#[tokio::test]
async fn positions_of_a_pushed_stream_grow_without_holes() {
    let bench = Bench::new();
    for i in 0..3 {
        let line = format!(
            "{{\"_time\":\"2026-11-21T10:00:00Z\",\"_msg\":\"{i}\",\"a\":\"x\"}}\n{{\"_time\":\"2026-11-21T10:00:00Z\",\"_msg\":\"{i}'\",\"a\":\"x\"}}\n"
        );
        assert_eq!(bench.push("_stream_fields=a", &line).await.status, 200);
    }
    let seen = bench.seen();
    let bodies: Vec<&str> = seen.iter().map(|record| record.body.as_str()).collect();
    assert_eq!(bodies, ["0", "0'", "1", "1'", "2", "2'"]);
    let offsets: Vec<u64> = seen.iter().map(|record| record.position.offset).collect();
    assert_eq!(offsets, [0, 52, 105, 157, 210, 262]);
    assert!(seen.iter().all(|record| record.position.generation == seen[0].position.generation));
    let batches = bench.queue.batches.lock().unwrap();
    let ranges: Vec<_> = batches.iter().map(|batch| &batch.ranges[0]).collect();
    assert_eq!(ranges[0].after, Position::default());
    assert_eq!(ranges[1].after, ranges[0].end_position(), "a batch says what it follows");
}

#[tokio::test]
async fn a_batch_that_the_queue_did_not_take_leaves_no_hole() {
    let bench = Bench::new();
    bench.push("", "{\"_msg\":\"a\"}").await;
    *bench.queue.mood.lock().unwrap() = Mood::Refuses;
    bench.push("", "{\"_msg\":\"b\"}").await;
    *bench.queue.mood.lock().unwrap() = Mood::Stores;
    bench.push("", "{\"_msg\":\"b\"}").await;
    let batches = bench.queue.batches.lock().unwrap();
    assert_eq!(batches[1].ranges[0].start, batches[0].ranges[0].end);
}
