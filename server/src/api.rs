//! Rookery's own endpoints: status, ledger, metrics, health.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use rookery_core::ledger::ReadState;
use rookery_core::store::{Accounts, Store};
use rookery_core::{BoxFuture, Error, Result, Tenant};
use serde_json::json;

/// Says whether the process could do its work now.
pub(crate) type IsReady = Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// What the endpoints read.
pub(crate) struct Service {
    /// Which role the process has.
    pub(crate) role: &'static str,
    /// The store, where the role has one.
    pub(crate) store: Option<Arc<dyn Store>>,
    /// Whose ledger is shown.
    pub(crate) tenant: Tenant,
    /// Where the data is, for a person.
    pub(crate) place: String,
    /// When the process started.
    pub(crate) started: Instant,
    /// How far the collector has read, where it runs in this process.
    pub(crate) read_states: Option<Box<dyn Fn() -> Vec<ReadState> + Send + Sync>>,
    /// Whether the process could do its work now.
    pub(crate) is_ready: IsReady,
    /// The numbers of all parts.
    pub(crate) registry: Registry,
}

/// The routes of the service.
pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/api/status", get(status))
        .route("/api/ledger", get(ledger))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(service)
}

async fn status(State(service): State<Arc<Service>>) -> Response {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "role": service.role,
        "data_dir": service.place,
        "tenant": service.tenant.as_str(),
        "uptime_seconds": service.started.elapsed().as_secs_f64(),
    }))
    .into_response()
}

async fn ledger(State(service): State<Arc<Service>>) -> Response {
    let Some(store) = &service.store else {
        let role = service.role;
        return failed(&Error::not_found(format!(
            "a process in the role `{role}` has no ledger: ask one in the role `query`"
        )));
    };
    // First the collector, then the store: what is acknowledged in between can only make the store's mark higher.
    let states = service.read_states.as_ref().map(|states| states()).unwrap_or_default();
    match store.accounts(Accounts::Tenant(service.tenant.clone())).await {
        Ok(accounts) => {
            Json(crate::ledger::join(&service.tenant, accounts, states)).into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn ready(State(service): State<Arc<Service>>) -> Response {
    match (service.is_ready)().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => failed(&error),
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    counted(&service.registry)
}

/// What the registry's parts count, in the OpenMetrics text format.
pub(crate) fn counted(registry: &Registry) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => failed(&Error::internal("the metrics cannot be printed")),
    }
}

fn failed(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.kind().http_status())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": error.to_string(), "kind": error.kind().name() })))
        .into_response()
}
