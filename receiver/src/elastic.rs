//! `POST` and `PUT` `/_bulk`, `/{index}/_bulk`: Elasticsearch's bulk API, as Filebeat, Fluent Bit, Logstash, Vector, the OpenTelemetry Collector
//! and Elastic's own libraries speak it. What they ask before they send is answered in [`hello`].
//!
//! A body is lines in pairs: an action (`{"create":{"_index":"…"}}`, also `index`) and a document. The time is `@timestamp`, the message
//! `message`, the stream what says where the document is from: `_index`, host, service, Kubernetes' names, path. The parameters of
//! `/insert/jsonline` say it otherwise. Documents are only ever added: `update` and `delete` are refused item by item.
//!
//! The answer tells each item: 201, or 400 with the reason, or 429 where the queue did not take it, which clients send again. When nothing
//! could be stored, the whole request is answered with the status of the reason.

pub(crate) mod hello;

use std::fmt::Write as _;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use rookery_core::units::Bytes as Size;
use rookery_core::{Error, Result, json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::{Defaults, Document, Shape};
use crate::door::{Door, Outcome};
use crate::draft::Drafter;
use crate::jsonline::{packing, with_status};

/// What documents of agents have.
const DEFAULTS: Defaults<'_> = Defaults {
    time: &["@timestamp", "_time", "timestamp"],
    message: &["message", "_msg", "msg", "log", "event.original"],
    stream: &[
        INDEX,
        "host",
        "host.name",
        "service.name",
        "kubernetes.namespace",
        "kubernetes.namespace_name",
        "kubernetes.pod.name",
        "kubernetes.pod_name",
        "kubernetes.container.name",
        "kubernetes.container_name",
        "log.file.path",
    ],
};

/// The name of the index, as a member of the document.
const INDEX: &str = "_index";

/// By which clients know that they speak to Elasticsearch (they check it since 7.14).
const PRODUCT: (header::HeaderName, HeaderValue) = (
    header::HeaderName::from_static("x-elastic-product"),
    HeaderValue::from_static("Elasticsearch"),
);

/// How documents are read where nobody says it.
pub(crate) fn shape() -> Shape {
    Shape::read(&Uri::default(), &HeaderMap::new(), DEFAULTS)
}

/// `/_bulk` and `/{index}/_bulk`.
pub(crate) fn bulk() -> MethodRouter<Door> {
    let all = |State(door): State<Door>, request: Request| push(door, String::new(), request);
    post(all).put(all)
}

/// The same with the index in the path.
pub(crate) fn bulk_of_index() -> MethodRouter<Door> {
    let one = |State(door): State<Door>, Path(index): Path<String>, request: Request| {
        push(door, index, request)
    };
    post(one).put(one)
}

async fn push(door: Door, index: String, request: Request) -> Response {
    let answer = take(&door, index, request).await;
    answer.unwrap_or_else(|error| failure(&error))
}

/// `{"error":{"type":…,"reason":…},"status":…}`
pub(crate) fn failure(error: &Error) -> Response {
    let (kind, status) = (error.kind().name(), error.kind().http_status());
    let reason = error.to_string();
    let cause = json!({ "type": kind, "reason": reason });
    let body = json!({
        "error": { "type": kind, "reason": reason, "root_cause": [cause] },
        "status": status,
    });
    with_product(with_status(error, axum::Json(body)))
}

pub(crate) fn with_product(mut response: Response) -> Response {
    response.headers_mut().insert(PRODUCT.0, PRODUCT.1);
    response
}

async fn take(door: &Door, index: String, request: Request) -> Result<Response> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let shape = Shape::read(&head.uri, &head.headers, DEFAULTS);
    let packing = packing(&head.headers)?;
    let intake = door.admit(&head.headers, Body::new(body), packing).await?;
    let limit = door.shared.config.line_limit;
    let decode =
        move |body: &[u8], drafter: &mut Drafter| read(body, &index, &shape, limit, drafter);
    let (items, drafts, outcome) = door.store(intake, "push", decode).await?;
    if outcome.records() == 0
        && let Some(error) = outcome.failed
    {
        return Err(error);
    }
    let refusals = drafts.refusals.iter().map(|(number, why)| (*number, why.as_ref()));
    let body = print(&items, refusals, &outcome, started.elapsed().as_millis());
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok(with_product((kind, body).into_response()))
}

/// One item of the answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Item {
    action: Action,
    index: String,
    id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Index,
    Update,
    Delete,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// What an action says of its document. Other members (a pipeline, a routing) change nothing here.
#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id")]
    id: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Create(Option<Meta>),
    Index(Option<Meta>),
    Update(Option<Meta>),
    Delete(Option<Meta>),
}

/// Reads the pairs of a body. Item numbers count from 0.
pub(crate) fn read(
    body: &[u8],
    index: &str,
    shape: &Shape,
    limit: Size,
    drafter: &mut Drafter,
) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut document = Document::default();
    let mut lines = body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(line).map_err(|e| {
            let what = "is not an action {\"create\":{…}} of the bulk API";
            Error::invalid(format!("line {} {what}; nothing is stored", number + 1)).because(e)
        })?;
        let (action, meta) = match line {
            Line::Create(meta) => (Action::Create, meta),
            Line::Index(meta) => (Action::Index, meta),
            Line::Update(meta) => (Action::Update, meta),
            Line::Delete(meta) => (Action::Delete, meta),
        };
        let meta = meta.unwrap_or_default();
        let item = Item {
            action,
            index: meta.index.unwrap_or_else(|| index.to_owned()),
            id: meta.id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)),
        };
        let at = items.len() as u64;
        let raw = if action == Action::Delete { None } else { lines.next().map(|(_, raw)| raw) };
        let added = match (action, raw) {
            (Action::Update | Action::Delete, _) => {
                Err("is not done here: log records are only added, with create or index".into())
            }
            (_, None | Some(b"")) => Err("has no document".into()),
            (_, Some(raw)) => document.add(raw, shape, &[(INDEX, &item.index)], limit, drafter)?,
        };
        if let Err(why) = added {
            drafter.refuse(at, why)?;
        }
        items.push(item);
    }
    Ok(items)
}

/// The answer: `{"took":…,"errors":…,"items":[…]}`.
///
/// Items that were not refused are the records of the drafts, in their order.
fn print<'a>(
    items: &[Item],
    refusals: impl Iterator<Item = (u64, &'a str)>,
    outcome: &Outcome,
    took: u128,
) -> String {
    let mut refusals = refusals.peekable();
    let failed = outcome.failed.as_ref().map(ToString::to_string);
    let mut drafts = outcome.drafts.iter().flat_map(|draft| {
        std::iter::repeat_n(draft.stored, usize::try_from(draft.records).unwrap_or(usize::MAX))
    });
    let mut listed = String::with_capacity(items.len() * 64);
    let mut errors = false;
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            listed.push(',');
        }
        let refused = refusals.next_if(|(refused, _)| *refused == number as u64);
        let (status, why) = match refused {
            Some((_, why)) => {
                (400, Some(("document_parsing_exception", format!("the item {why}"))))
            }
            None if drafts.next().unwrap_or(false) => (201, None),
            None => {
                let why = failed.clone().unwrap_or_else(|| "it was not stored".into());
                (429, Some(("es_rejected_execution_exception", why)))
            }
        };
        errors |= why.is_some();
        let _ = write!(listed, "{{\"{}\":{{\"_index\":", item.action.name());
        json::push_string(&mut listed, &item.index);
        if let Some(id) = &item.id {
            listed.push_str(",\"_id\":");
            json::push_string(&mut listed, id);
        }
        let _ = write!(listed, ",\"status\":{status}");
        match why {
            None => listed.push_str(",\"result\":\"created\"}}"),
            Some((kind, reason)) => {
                let _ = write!(listed, ",\"error\":{{\"type\":\"{kind}\",\"reason\":");
                json::push_string(&mut listed, &reason);
                listed.push_str("}}}");
            }
        }
    }
    format!("{{\"took\":{took},\"errors\":{errors},\"items\":[{listed}]}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Settled;
    use crate::tests::{Bench, Mood};

    #[tokio::test]
    async fn documents_are_stored_and_each_item_is_told() {
        let bench = Bench::new();
        let body = r#"{"create":{"_index":"logs-app"}}
{"@timestamp":"2026-11-21T10:00:00.5Z","message":"hello","log":{"level":"error"},"kubernetes":{"namespace":"prod","pod":{"name":"web-1"}},"trace":{"id":"abc"}}
{"index":{"_id":7}}
{"@timestamp":1795255200000,"n":1}
{"delete":{"_index":"x","_id":"1"}}
{"update":{"_index":"x","_id":"1"}}
{"doc":{"a":1}}
{"create":{}}
nonsense
"#;
        let answer = bench.post("/by-path/_bulk?filter_path=errors", &[], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch");
        let told = answer.json();
        assert_eq!(told["errors"], true);
        let item = |n: usize, action: &str| &told["items"][n][action];
        assert_eq!(
            *item(0, "create"),
            json!({"_index":"logs-app","status":201,"result":"created"})
        );
        assert_eq!(item(1, "index")["_id"], "7");
        assert_eq!(item(1, "index")["_index"], "by-path");
        for (n, action) in [(2, "delete"), (3, "update"), (4, "create")] {
            assert_eq!(item(n, action)["status"], 400);
        }
        let seen = bench.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].body.as_str(), seen[0].severity), ("hello", 17));
        assert_eq!(seen[0].time, 1_795_255_200_500_000_000);
        assert_eq!((seen[0].column("namespace"), seen[0].column("pod")), ("prod", "web-1"));
        assert_eq!(seen[0].field("kubernetes.pod.name"), Some("web-1"));
        assert_eq!(
            (seen[0].field("_index"), seen[0].trace_id.as_deref()),
            (Some("logs-app"), Some("abc"))
        );
        assert_eq!(seen[1].body, r#"{"@timestamp":1795255200000,"n":1}"#);
        assert_eq!(seen[1].time, 1_795_255_200_000_000_000);
    }

    #[tokio::test]
    async fn what_the_queue_did_not_take_is_to_be_sent_again() {
        let bench = Bench::new();
        let pair = "{\"create\":{\"_index\":\"a\"}}\n{\"message\":\"x\"}\n";
        *bench.queue.mood.lock().unwrap() = Mood::Fails;
        let answer = bench.post("/_bulk", &[], pair).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (503, &json!(503)));
        let answer =
            bench.post("/_bulk", &[], "{\"create\":{\"_index\":\"a\"}}\n{}\nnonsense\n").await;
        assert_eq!((answer.status.as_u16(), bench.seen().len()), (400, 0));
        assert!(answer.json()["error"]["reason"].as_str().unwrap().contains("line 3"));
        let outcome = Outcome {
            drafts: [true, false].map(|stored| Settled { records: 1, stored }).to_vec(),
            failed: Some(Error::unavailable("away")),
        };
        let item = || Item { action: Action::Create, index: "a".into(), id: None };
        let text = print(&[item(), item(), item()], [(1, "is bad")].into_iter(), &outcome, 3);
        let told: Value = serde_json::from_str(&text).unwrap();
        let status: Vec<_> = (0..3).map(|n| told["items"][n]["create"]["status"].clone()).collect();
        assert_eq!((status, &told["took"]), (vec![json!(201), json!(400), json!(429)], &json!(3)));
        assert_eq!(told["items"][2]["create"]["error"]["reason"], "away");
    }
}
