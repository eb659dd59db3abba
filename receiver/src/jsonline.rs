//! `POST /insert/jsonline`: records pushed as JSON lines. Parameters: [`Shape`].
//!
//! A line that is not a JSON object, has no readable time or is too long cannot be stored. The others of the request are, and the answer
//! is a 400 that names the first wrong lines and how many are stored: nothing that could be kept is lost, and nothing is dropped
//! in silence. A success is `{"stored": N}`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rookery_core::units::Bytes as Size;
use rookery_core::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::body::Packing;
use crate::document::{Document, JSON_LINES, Shape};
use crate::door::Door;
use crate::draft::Drafter;

/// Takes JSON lines.
pub(crate) async fn push(State(door): State<Door>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let shape = Shape::read(&head.uri, &head.headers, JSON_LINES);
    let answer = take(&door, &head.headers, body, shape).await;
    answer.unwrap_or_else(|error| failure(&error, json!({})))
}

async fn take(door: &Door, headers: &HeaderMap, body: Body, shape: Shape) -> Result<Response> {
    let intake = door.admit(headers, body, packing(headers)?).await?;
    let limit = door.shared.config.line_limit;
    let decode = move |body: &[u8], drafter: &mut Drafter| lines(body, &shape, limit, drafter);
    let ((), drafts, outcome) = door.store(intake, "push", decode).await?;
    let stored = outcome.records();
    if let Some(error) = outcome.failed {
        return Ok(failure(&error, json!({ "stored": stored })));
    }
    let Some((first, why)) = drafts.refusals.first() else {
        return Ok(Json(json!({ "stored": stored })).into_response());
    };
    let wrong = drafts.refused;
    let message = format!(
        "line {first} {why}; {wrong} lines are wrong, the other {stored} are stored: do not send them again"
    );
    let lines: Vec<u64> = drafts.refusals.iter().map(|(line, _)| *line).collect();
    let more = json!({ "stored": stored, "wrong": wrong, "line": first, "lines": lines });
    Ok(failure(&Error::invalid(message), more))
}

/// Makes records of all lines that are not blank.
pub(crate) fn lines(body: &[u8], shape: &Shape, limit: Size, drafter: &mut Drafter) -> Result<()> {
    let mut document = Document::default();
    for (index, raw) in body.split(|&byte| byte == b'\n').enumerate() {
        let raw = raw.trim_ascii();
        if raw.is_empty() {
            continue;
        }
        if let Err(why) = document.add(raw, shape, &[], limit, drafter)? {
            drafter.refuse(index as u64 + 1, why)?;
        }
    }
    Ok(())
}

/// How `Content-Encoding` says that a body is packed.
pub(crate) fn packing(headers: &HeaderMap) -> Result<Packing> {
    let named = headers.get(header::CONTENT_ENCODING);
    Packing::named(named.map_or("", |value| value.to_str().unwrap_or("?")))
}

/// `{"error": "…", "kind": "…", …}`, with the status of the kind.
pub(crate) fn failure(error: &Error, more: Value) -> Response {
    let mut body = more;
    body["error"] = error.to_string().into();
    body["kind"] = error.kind().name().into();
    with_status(error, Json(body))
}

/// A body with the status of an error, and the headers that go with it.
pub(crate) fn with_status(error: &Error, body: impl IntoResponse) -> Response {
    let status = StatusCode::from_u16(error.kind().http_status());
    let mut response = (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body).into_response();
    let headers = response.headers_mut();
    if error.kind().is_retryable() {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    if error.kind() == Kind::Unauthenticated {
        let ask = header::HeaderValue::from_static("Basic realm=\"rookery\"");
        headers.insert(header::WWW_AUTHENTICATE, ask);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::{Drafts, Limits, Owner};
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{TimestampNanosecondType, UInt32Type};
    use rookery_core::{Tenant, time};

    fn drafted(parameters: &str, body: &[u8]) -> Drafts {
        let owner = Owner { tenant: Tenant::default(), identity: vec!["r".into()], source: "push" };
        let limits = Limits { line: Size(200), records: 1_000_000, fields: 100, refusals: 20 };
        let mut drafter = Drafter::new(owner, limits, time::now());
        lines(body, &Shape::of_parameters(parameters), Size(200), &mut drafter).unwrap();
        drafter.finish().unwrap()
    }

    #[test]
    fn lines_become_records_of_their_streams() {
        let body = b"{\"t\":\"1970-01-01T00:00:05Z\",\"m\":\"hello\",\"app\":\"web\",\"host\":\"h1\",\"level\":\"warn\",\"n\":{\"x\":5}}\n\
            \n{\"host\":\"h1\",\"app\":\"web\",\"t\":\"6\"}\r\n{\"app\":\"db\",\"t\":5000000000}";
        let mut out = drafted(
            "_time_field=t&_msg_field=m&_stream_fields=host,app&ignore_fields=n.*&extra_fields=e=1",
            body,
        );
        assert_eq!((out.drafts.len(), out.refused), (1, 1), "6 is no time: {:?}", out.refusals);
        assert_eq!(out.refusals[0].0, 3);
        let draft = out.drafts.remove(0);
        assert_eq!(draft.offsets, [(0, 0), (1, 0)]);
        let records = &draft.records;
        let bodies = records.column_by_name("body").unwrap().as_string::<i32>();
        assert_eq!(bodies.value(0), "hello");
        assert_eq!(bodies.value(1), "{\"app\":\"db\",\"t\":5000000000}");
        let times =
            records.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>();
        assert_eq!(times.values().to_vec(), [5 * time::SECOND, 5_000_000_000 * time::SECOND]);
        let tags = records.column_by_name("stream_tags").unwrap().as_dictionary::<UInt32Type>();
        assert_eq!(tags.values().as_string::<i32>().value(0), "{app=\"web\",host=\"h1\"}");
        assert_ne!(draft.streams[0].id, draft.streams[1].id);
        let names = records.column_by_name("fields").unwrap().as_map();
        assert_eq!(names.value_length(0), 4, "e, app, host, level");
        assert_eq!(names.values().as_string::<i32>().value(0), "1");
    }

    #[test]
    fn a_tag_with_the_name_of_a_column_is_that_column_alone() {
        let out = drafted(
            "_stream_fields=namespace,app",
            b"{\"namespace\":\"prod\",\"app\":\"web\",\"path\":\"/x\"}",
        );
        let records = &out.drafts[0].records;
        let column = records.column_by_name("namespace").unwrap().as_dictionary::<UInt32Type>();
        assert_eq!(column.values().as_string::<i32>().value(0), "prod");
        let names = records.column_by_name("fields").unwrap().as_map();
        let texts = names.values().as_string::<i32>().iter().flatten().collect::<Vec<_>>();
        assert_eq!(texts, ["web", "/x"]);
    }

    #[test]
    fn wrong_lines_are_counted_and_named() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(300));
        let body = format!(
            "[1]\n{{\"a\":1}}\n{{\n{long}\n{{\"_time\":\"yesterday\"}}\n{{\"a\":\"\u{7f}\"}}\n"
        );
        let out = drafted("", body.as_bytes());
        let lines: Vec<u64> = out.refusals.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 4, 5]);
        assert_eq!(out.refusals[0].1, "is not a JSON object");
        assert_eq!(out.drafts[0].offsets.len(), 2);
        let many = drafted("", &b"x\n".repeat(50));
        assert_eq!((many.refused, many.refusals.len(), many.drafts.len()), (50, 20, 0));
        assert_eq!(drafted("", b"\xff\n").refused, 1);
    }
}
