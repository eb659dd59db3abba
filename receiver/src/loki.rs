//! `POST /loki/api/v1/push`: Loki's push API, as promtail, Alloy, Fluent Bit, Vector and Docker's driver speak it.
//!
//! Two forms, told apart by `Content-Type`: JSON (`{"streams":[{"stream":{…},"values":[["<ns>","line",{…}]]}]}`), and else protocol
//! buffers (`logproto.PushRequest` of Loki's pkg/push/push.proto) in Snappy's block format. Structured metadata become fields, labels the
//! stream; a label without the name of a column is a field too, so that it is found by its bare name.
//!
//! A success is 204. An error is text, because that is what clients print: 400 for what will never be taken (they drop it), 429 and 5xx
//! for what should be sent again. Entries that cannot be stored are named by a 400; the others of the request are stored.

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rookery_core::logs::RESOURCE_FIELDS;
use rookery_core::{Error, Result, json, severity, time};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::body::Packing;
use crate::door::Door;
use crate::draft::{Drafter, Record, StreamNumber};
use crate::jsonline::{packing, with_status};
use crate::wire::{Value, every, fields, last};

/// Takes a push.
pub(crate) async fn push(State(door): State<Door>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answer = take(&door, &head.headers, body).await;
    answer.unwrap_or_else(|error| with_status(&error, format!("{error}\n")))
}

async fn take(door: &Door, headers: &HeaderMap, body: Body) -> Result<Response> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.trim_start().starts_with("application/json"));
    // Clients that send protocol buffers do not say that they are packed.
    let packing = match packing(headers)? {
        Packing::None if !is_json => Packing::Snappy,
        named => named,
    };
    let intake = door.admit(headers, body, packing).await?;
    let decode = if is_json { from_json } else { protobuf };
    let ((), drafts, outcome) = door.store(intake, "push", decode).await?;
    let stored = outcome.records();
    if let Some(error) = outcome.failed {
        return Err(error);
    }
    match drafts.refusals.first() {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some((number, why)) => Err(Error::invalid(format!(
            "entry {number} {why}; {} entries are refused, the other {stored} are stored: do not send them again",
            drafts.refused
        ))),
    }
}

/// Reads a `PushRequest`: streams (1) of labels (1) and entries (2); an entry is a time (1), a line (2) and metadata (3).
pub(crate) fn protobuf(body: &[u8], drafter: &mut Drafter) -> Result<()> {
    let (mut number, mut ids) = (0, Ids::default());
    for field in fields(body) {
        let (1, stream) = field? else { continue };
        let stream = stream.bytes();
        let mut labels = Cow::default();
        for field in fields(stream) {
            if let (1, value) = field? {
                labels = value.text();
            }
        }
        let named = stream_named(&labels, drafter);
        for entry in every(stream, 2) {
            number += 1;
            let entry = entry.bytes();
            for field in fields(entry) {
                if let (3, pair) = field? {
                    fields(pair.bytes()).try_for_each(|field| field.map(drop))?;
                }
            }
            let Some(stream) = named else {
                drafter.refuse(number, "has labels that are not {name=\"value\", …}")?;
                continue;
            };
            let line = last(entry, 2).map(Value::text).unwrap_or_default();
            let time = last(entry, 1).and_then(|stamp| timestamp(stamp.bytes()));
            let metadata = |take: &mut Take<'_>| {
                for pair in every(entry, 3).map(Value::bytes) {
                    let part = |number| last(pair, number).map(Value::text).unwrap_or_default();
                    take(&part(1), &part(2));
                }
            };
            add(
                drafter,
                number,
                &Entry { stream, time, line: &line, metadata: &metadata },
                &mut ids,
            )?;
        }
    }
    Ok(())
}

/// `google.protobuf.Timestamp` in nanoseconds; `None` for the epoch, which is what a sender without a time sends.
fn timestamp(message: &[u8]) -> Option<i64> {
    let part = |number| last(message, number).map_or(0, |part| part.number() as i64);
    let nanos = part(1).checked_mul(time::SECOND)?.checked_add(part(2))?;
    (nanos != 0).then_some(nanos)
}

/// What takes a name and its value.
type Take<'a> = dyn FnMut(&str, &str) + 'a;

/// The ids of one entry; buffers are used again for the next.
#[derive(Default)]
struct Ids {
    trace: String,
    span: String,
}

struct Entry<'a> {
    stream: StreamNumber,
    time: Option<i64>,
    line: &'a str,
    /// Gives the structured metadata.
    metadata: &'a dyn Fn(&mut Take<'_>),
}

fn add(drafter: &mut Drafter, number: u64, entry: &Entry<'_>, ids: &mut Ids) -> Result<()> {
    let resource = drafter.resource(entry.stream).clone();
    let mut level = 0;
    ids.trace.clear();
    ids.span.clear();
    let mut bytes = entry.line.len() + 1;
    let mut look = |name: &str, value: &str| match name {
        "level" | "detected_level" | "severity" | "severity_text" if level == 0 => {
            level = severity::of_value(value.as_bytes());
        }
        "trace_id" | "traceID" => value.clone_into(&mut ids.trace),
        "span_id" | "spanID" => value.clone_into(&mut ids.span),
        _ => {}
    };
    (entry.metadata)(&mut |name, value| {
        bytes += name.len() + value.len();
        look(name, value);
    });
    resource.labels.iter().for_each(|(name, value)| look(name, value));
    let record = Record {
        stream: entry.stream,
        time: entry.time,
        body: entry.line,
        severity: level,
        trace_id: Some(&ids.trace),
        span_id: Some(&ids.span),
        bytes: bytes as u64,
    };
    let added = drafter.add(&record, |fields| {
        (entry.metadata)(&mut |name, value| {
            if !matches!(name, "trace_id" | "span_id") {
                fields.put(name, value);
            }
        });
        for (name, value) in &resource.labels {
            if !RESOURCE_FIELDS.contains(&name.as_str()) {
                fields.put(name, value);
            }
        }
    })?;
    added.or_else(|why| drafter.refuse(number, why))
}

/// The stream of labels as text; `None` when the text is not one of labels.
fn stream_named(text: &str, drafter: &mut Drafter) -> Option<StreamNumber> {
    let labels = parse_labels(text)?;
    Some(drafter.stream(text.as_bytes(), || labels))
}

/// `{name="value", other="…"}`, with values quoted as in Go.
fn parse_labels(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let mut labels = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return after.trim().is_empty().then_some(labels);
        }
        let (name, after) = rest.split_once('=')?;
        let (value, used) = json::unquote_prefix(after.trim_start())?;
        labels.push((name.trim().to_owned(), value.into_owned()));
        rest = after.trim_start()[used..].trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// Reads the JSON form.
pub(crate) fn from_json(body: &[u8], drafter: &mut Drafter) -> Result<()> {
    let push: Push<'_> = serde_json::from_slice(body).map_err(|e| {
        Error::invalid("the request is not JSON as Loki's push API has it").because(e)
    })?;
    let (mut number, mut ids) = (0, Ids::default());
    let mut key = String::new();
    for stream in &push.streams {
        key.clear();
        for (name, value) in &stream.labels.0 {
            key.extend([&name.0, "\0", &value.0, "\0"]);
        }
        let labels = || stream.labels.0.iter().map(|(n, v)| (n.0.to_string(), v.0.to_string()));
        let named = drafter.stream(key.as_bytes(), || labels().collect());
        for value in &stream.values {
            number += 1;
            let Ok(nanos) = value.time.0.parse::<i64>() else {
                drafter.refuse(number, "has a time that is not a count of nanoseconds")?;
                continue;
            };
            let metadata = |take: &mut Take<'_>| {
                value.metadata.0.iter().for_each(|(name, value)| take(&name.0, &value.0));
            };
            let time = (nanos != 0).then_some(nanos);
            let entry = Entry { stream: named, time, line: &value.line.0, metadata: &metadata };
            add(drafter, number, &entry, &mut ids)?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow)]
    streams: Vec<Stream<'a>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, rename = "stream", default)]
    labels: Pairs<'a>,
    #[serde(borrow)]
    values: Vec<Line<'a>>,
}

/// A text that is borrowed where it holds no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// `["<ns>", "line"]` or `["<ns>", "line", {…}]`.
struct Line<'a> {
    time: Text<'a>,
    line: Text<'a>,
    metadata: Pairs<'a>,
}

/// The members of an object, in their order.
#[derive(Default)]
struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Line<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[\"nanoseconds\", \"line\"] with an optional object of metadata")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
                use serde::de::Error as _;
                let missing = |at| A::Error::invalid_length(at, &Parts);
                let time = parts.next_element()?.ok_or_else(|| missing(0))?;
                let line = parts.next_element()?.ok_or_else(|| missing(1))?;
                let metadata = parts.next_element()?.unwrap_or_default();
                Ok(Line { time, line, metadata })
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = members.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use crate::tests::{Bench, Mood};
    use crate::wire::write;

    const PATH: &str = "/loki/api/v1/push";

    fn request(labels: &str, line: &[u8], metadata: &[(&str, &str)]) -> Vec<u8> {
        let pair = |out: &mut Vec<u8>, (name, value): &(&str, &str)| {
            write::bytes(out, 1, name.as_bytes());
            write::bytes(out, 2, value.as_bytes());
        };
        let mut entry = Vec::new();
        write::message(&mut entry, 1, |stamp| {
            write::number(stamp, 1, 1_795_255_200);
            write::number(stamp, 2, 5);
        });
        write::bytes(&mut entry, 2, line);
        for metadata in metadata {
            write::message(&mut entry, 3, |out| pair(out, metadata));
        }
        let mut out = Vec::new();
        write::message(&mut out, 1, |stream| {
            write::bytes(stream, 1, labels.as_bytes());
            write::bytes(stream, 2, &entry);
        });
        out
    }

    fn packed(raw: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(raw).unwrap()
    }

    #[tokio::test]
    async fn both_forms_give_the_same_record() {
        let bench = Bench::new();
        let labels = "{namespace=\"prod\", app=\"web\", quoted=\"a\\\"b\"}";
        let metadata = [("level", "warn"), ("trace_id", "abc")];
        let body = packed(&request(labels, b"hello \xff", &metadata));
        let kind = [("content-type", "application/x-protobuf")];
        assert_eq!(bench.post(PATH, &kind, body).await.status, 204);
        let text = r#"{"streams":[{"values":[["1795255200000000005","hello \ufffd",{"level":"warn","trace_id":"abc"}]],
            "stream":{"app":"web","quoted":"a\"b","namespace":"prod"}}]}"#;
        let kind = [("content-type", "application/json; charset=utf-8")];
        assert_eq!(bench.post(PATH, &kind, text).await.status, 204);
        let seen = bench.seen();
        assert_eq!((seen[0].stream, &seen[0].fields), (seen[1].stream, &seen[1].fields));
        assert_eq!(seen[0].time, 1_795_255_200_000_000_005);
        for record in &seen {
            assert_eq!((record.body.as_str(), record.severity), ("hello \u{fffd}", 13));
            assert_eq!(record.tags, r#"{app="web",namespace="prod",quoted="a\"b"}"#);
            assert_eq!(record.column("namespace"), "prod");
            assert_eq!(record.field("app"), Some("web"), "found by its bare name");
            assert_eq!(
                (record.field("namespace"), record.trace_id.as_deref()),
                (None, Some("abc"))
            );
        }
        assert_eq!(bench.count("records", Protocol::Loki), 2);
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_as_text_and_what_can_be_tried_again_is_a_5xx() {
        let bench = Bench::new();
        let json = [("content-type", "application/json")];
        for wrong in ["", "{", "[]", r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#] {
            let answer = bench.post(PATH, &json, wrong).await;
            assert_eq!(answer.status, 400, "{wrong}");
            assert!(answer.text().contains("Loki"), "{}", answer.text());
        }
        let half = r#"{"streams":[{"stream":{"a":"b"},"values":[["x","bad"],["1","good"]]}]}"#;
        let answer = bench.post(PATH, &json, half).await;
        assert_eq!((answer.status.as_u16(), bench.seen().len()), (400, 1));
        assert!(answer.text().starts_with("entry 1 has a time"), "{}", answer.text());
        let labels = packed(&request("app=web", b"x", &[]));
        assert!(bench.post(PATH, &[], labels).await.text().contains("labels"));
        for wrong in [b"not snappy".to_vec(), packed(b"not protobuf")] {
            assert_eq!(bench.post(PATH, &[], wrong).await.status, 400);
        }
        *bench.queue.mood.lock().unwrap() = Mood::Fails;
        let answer = bench.post(PATH, &[], packed(&request("{a=\"b\"}", b"x", &[]))).await;
        assert_eq!(
            (answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()),
            (503, "1")
        );
    }

    #[test]
    fn labels_are_read_as_go_writes_them() {
        let pairs = |text: &str| {
            parse_labels(text)
                .map(|pairs| pairs.iter().map(|(n, v)| format!("{n}={v};")).collect::<String>())
        };
        assert_eq!(
            pairs(r#"{a="x", b="y\n\"z\"",c=`raw\`}"#).as_deref(),
            Some("a=x;b=y\n\"z\";c=raw\\;")
        );
        assert_eq!(pairs(" {} ").as_deref(), Some(""));
        for wrong in ["", "{", "{a}", "{a=b}", "{a=\"b\"", "{a=\"b\" c=\"d\"}", "{a=\"b\"}x"] {
            assert_eq!(pairs(wrong), None, "{wrong}");
        }
    }
}
