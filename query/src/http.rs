//! Log search over HTTP, under the paths and in the forms that clients of LogsQL expect.
//!
//! A handler reads parameters ([`parameters`]), makes a query, runs it on the [`Engine`] with the caller's scope, and prints what
//! comes ([`json`]). It never filters results: what a caller may see is in the scope, and the scope is in the plan.
//!
//! | path | module |
//! |---|---|
//! | `/select/logsql/query`, `/tail` | [`select`] |
//! | `/select/logsql/hits`, `/field_names`, `/field_values`, `/facets`, `/streams`, `/stream_*` | [`values`] |
//! | `/select/logsql/stats_query`, `/stats_query_range` | [`prometheus`] |
//! | `/insert/jsonline` | [`insert`] |

mod error;
mod json;
mod parameters;

mod insert;
mod prometheus;
mod select;
mod values;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use rookery_core::queue::Queue;
use tokio::sync::Semaphore;

pub use insert::InsertConfig;

use crate::{Engine, QueryConfig};

/// What the handlers share.
struct Service {
    engine: Arc<Engine>,
    config: QueryConfig,
    insert: InsertConfig,
    pushes: insert::Pushes,
    /// Live tails that may run at one time.
    tails: Arc<Semaphore>,
}

/// The routes of log search and of pushed JSON lines.
pub fn router(engine: Arc<Engine>, queue: Arc<dyn Queue>, config: QueryConfig, insert: InsertConfig) -> Router {
    let service = Arc::new(Service {
        engine,
        tails: Arc::new(Semaphore::new(config.tail_sessions)),
        pushes: insert::Pushes::new(queue),
        config,
        insert,
    });
    Router::new()
        .route("/select/logsql/query", get(select::query).post(select::query))
        .route("/select/logsql/tail", get(select::tail).post(select::tail))
        .route("/select/logsql/hits", get(values::hits).post(values::hits))
        .route("/select/logsql/facets", get(values::facets).post(values::facets))
        .route("/select/logsql/field_names", get(values::field_names).post(values::field_names))
        .route("/select/logsql/field_values", get(values::field_values).post(values::field_values))
        .route("/select/logsql/streams", get(values::streams).post(values::streams))
        .route("/select/logsql/stream_ids", get(values::stream_ids).post(values::stream_ids))
        .route("/select/logsql/stream_field_names", get(values::stream_field_names).post(values::stream_field_names))
        .route("/select/logsql/stream_field_values", get(values::stream_field_values).post(values::stream_field_values))
        .route("/select/logsql/stats_query", get(prometheus::stats_query).post(prometheus::stats_query))
        .route("/select/logsql/stats_query_range", get(prometheus::stats_query_range).post(prometheus::stats_query_range))
        .route("/insert/jsonline", post(insert::jsonline))
        .with_state(service)
}
