//! A failure as a response: `{"error": "…", "kind": "…", "position": 17, "expected": "…"}`.

use axum::Json;
use axum::http::StatusCode;
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
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body)).into_response();
        if self.kind.is_retryable() {
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}
