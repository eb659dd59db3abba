//! `POST /v1/logs`: OTLP over HTTP, as protocol buffers or JSON; over gRPC it is [`grpc`].
//!
//! A resource is a stream: its attributes are the labels, and those with a column (`k8s.namespace.name` …) fill it, see [`crate::resource`].
//! How records become rows is said in [`rows`]; JSON is made into protocol buffers first ([`transcode`]), so that OTLP is read in one way.
//!
//! The answer is `ExportLogsServiceResponse` in the form of the request; records that cannot be stored are its partial success. An
//! error is a `google.rpc.Status`. Clients send again after 429, 502, 503 and 504 and drop what got another status
//! (opentelemetry.io/docs/specs/otlp).

pub(crate) mod grpc;
pub(crate) mod rows;
pub(crate) mod transcode;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rookery_core::{Error, Result};
use serde_json::json;

use crate::door::{Door, Intake};
use crate::draft::Drafter;
use crate::jsonline::{packing, with_status};
use crate::wire::write;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// How many records could not be stored, and why the first could not.
pub(crate) struct Rejected {
    count: u64,
    why: String,
}

/// Takes a request.
pub(crate) async fn push(State(door): State<Door>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let kind = match kind.as_str() {
        PROTOBUF | "application/protobuf" => PROTOBUF,
        JSON => JSON,
        _ => {
            let text = "send application/x-protobuf or application/json\n";
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
        }
    };
    let answer = take(&door, &head.headers, body, kind == JSON).await;
    let (status, body) = match &answer {
        Ok(rejected) if kind == JSON => (None, print_json(rejected.as_ref())),
        Ok(rejected) => (None, print(rejected.as_ref())),
        Err(error) => (Some(error), status_of(error, kind == JSON)),
    };
    let body = ([(header::CONTENT_TYPE, kind)], body);
    status.map_or_else(|| body.clone().into_response(), |error| with_status(error, body.clone()))
}

async fn take(
    door: &Door,
    headers: &HeaderMap,
    body: Body,
    is_json: bool,
) -> Result<Option<Rejected>> {
    let intake = door.admit(headers, body, packing(headers)?).await?;
    store(door, intake, is_json).await
}

/// Stores the records of an `ExportLogsServiceRequest`.
async fn store(door: &Door, intake: Intake, is_json: bool) -> Result<Option<Rejected>> {
    let decode = move |body: &[u8], drafter: &mut Drafter| {
        if is_json {
            rows::read(&transcode::from_json(body)?, drafter)
        } else {
            rows::read(body, drafter)
        }
    };
    let ((), drafts, outcome) = door.store(intake, "otlp", decode).await?;
    if let Some(error) = outcome.failed {
        return Err(error);
    }
    let first = drafts.refusals.first();
    Ok(first.map(|(number, why)| Rejected {
        count: drafts.refused,
        why: format!("log record {number} {why}"),
    }))
}

/// `ExportLogsServiceResponse`: partial success (1) of rejected records (1) and a message (2).
fn print(rejected: Option<&Rejected>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(rejected) = rejected {
        write::message(&mut out, 1, |partial| {
            write::number(partial, 1, rejected.count);
            write::bytes(partial, 2, rejected.why.as_bytes());
        });
    }
    out
}

fn print_json(rejected: Option<&Rejected>) -> Vec<u8> {
    let partial = rejected.map_or_else(
        || json!({}),
        |rejected| {
            json!({ "rejectedLogRecords": rejected.count.to_string(), "errorMessage": rejected.why })
        },
    );
    json!({ "partialSuccess": partial }).to_string().into_bytes()
}

/// `google.rpc.Status`: a code (1) and a message (2).
fn status_of(error: &Error, is_json: bool) -> Vec<u8> {
    let (code, message) = (grpc::code(error.kind()), error.to_string());
    if is_json {
        return json!({ "code": code, "message": message }).to_string().into_bytes();
    }
    let mut out = Vec::new();
    write::number(&mut out, 1, code.into());
    write::bytes(&mut out, 2, message.as_bytes());
    out
}

#[cfg(test)]
mod tests;
