//! A failure as a response: `{"error": "…", "kind": "…", "position": 17, "expected": "…"}`, with the status of its kind.
//!
//! `position` is a byte of the parameter `query` (or of the one that `parameter` names), `expected` what could stand there. The paths
//! that speak for Prometheus add its `status` and `errorType`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rookery_core::{Error, Kind};
use serde_json::{Value, json};

use crate::logsql::ParseError;

/// What a handler answers when it cannot answer.
pub(super) struct Failure {
    kind: Kind,
    body: Value,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let body = json!({ "error": error.to_string(), "kind": error.kind().name() });
        Self { kind: error.kind(), body }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        let body = json!({
            "error": error.to_string(),
            "kind": Kind::Invalid.name(),
            "position": error.position,
            "expected": error.expected,
        });
        Self { kind: Kind::Invalid, body }
    }
}

impl Failure {
    /// The same failure with another member in its body.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body[name] = value.into();
        self
    }

    /// The same failure as Prometheus' HTTP API tells it.
    pub(super) fn for_prometheus(self) -> Self {
        let error_type = match self.kind {
            Kind::Invalid | Kind::TooLarge => "bad_data",
            Kind::Timeout => "timeout",
            Kind::Cancelled => "canceled",
            Kind::NotFound => "not_found",
            Kind::Throttled | Kind::Unavailable => "unavailable",
            _ => "internal",
        };
        self.with("status", "error").with("errorType", error_type)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::warn!(kind = self.kind.name(), error = %self.body["error"], "a request failed");
        }
        let mut response = (status, Json(self.body)).into_response();
        if self.kind.is_retryable() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
