//! `opentelemetry.proto.collector.logs.v1.LogsService/Export`: OTLP over gRPC, one call with one message each way.
//!
//! gRPC is a POST over HTTP/2 whose body is a flag, a length and a message, and whose outcome is in the trailers
//! (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md). Hyper speaks HTTP/2; what is left for one unary call is less than a library for it would
//! bring along. Codes that OTLP's clients send again: unavailable and deadline exceeded.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response as HttpResponse, header};
use axum::response::Response;
use http_body_util::{BodyExt as _, Full};
use rookery_core::{Error, Kind, Result};

use crate::body::Packing;
use crate::door::Door;

/// The path of the call.
pub(crate) const PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Before each message: whether it is packed, and its length.
const PREFIX_BYTES: usize = 5;

/// Takes a call.
pub(crate) async fn export(State(door): State<Door>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answer = take(&door, &head.headers, body).await;
    let (message, trailers) = match answer {
        Ok(message) => (framed(&message), status(0, "")),
        Err(error) => (Vec::new(), status(code(error.kind()), &error.to_string())),
    };
    let body = Full::new(Bytes::from(message)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = HttpResponse::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn take(door: &Door, headers: &HeaderMap, body: Body) -> Result<Vec<u8>> {
    let mut intake = door.admit(headers, body, Packing::None).await?;
    let named = headers.get("grpc-encoding").and_then(|value| value.to_str().ok());
    let packing = Packing::named(named.unwrap_or(""))?;
    let wrong = || Error::invalid("the call is not one message of gRPC");
    let (prefix, message) = intake.body.split_at_checked(PREFIX_BYTES).ok_or_else(wrong)?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if message.len() as u64 != u64::from(length) {
        return Err(wrong());
    }
    let is_packed = prefix[0] != 0;
    intake.body.drain(..PREFIX_BYTES);
    if is_packed {
        intake = door.unpack(intake, packing).await?;
    }
    let rejected = super::store(door, intake, false).await?;
    Ok(super::print(rejected.as_ref()))
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// The code of gRPC for a kind of error (google.rpc.Code).
pub(super) fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Cancelled => 1,
        Kind::Invalid => 3,
        Kind::Timeout => 4,
        Kind::NotFound => 5,
        Kind::Forbidden => 7,
        // Without a time to wait this one is not sent again, which is right for what is too large.
        Kind::TooLarge => 8,
        Kind::Conflict => 10,
        Kind::Throttled | Kind::Unavailable => 14,
        Kind::Unauthenticated => 16,
        _ => 13,
    }
}

/// The trailers that end a call.
fn status(code: u8, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(u16::from(code)));
    if !message.is_empty() {
        let text: String = message.bytes().map(escaped).collect();
        if let Ok(value) = HeaderValue::from_str(&text) {
            trailers.insert(MESSAGE, value);
        }
    }
    trailers
}

/// A byte of `grpc-message`: printable ASCII as it is, all else in percent.
fn escaped(byte: u8) -> String {
    match byte {
        b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}
