//! Log search over HTTP, under the paths and in the forms that clients of LogsQL expect.
//!
//! A handler reads parameters (`parameters`), makes a query, runs it on the [`Engine`] with the caller's scope, and prints what
//! comes (`json`). It never filters results: what a caller may see is in the scope, and the scope is in the plan. A caller that
//! goes away drops the answer, and with it the query.
//!
//! | path | module |
//! |---|---|
//! | `/select/logsql/query` | `select` |
//! | `/select/logsql/tail` | `tail` |
//! | `/select/logsql/hits`, `/field_names`, `/field_values`, `/facets`, `/streams`, `/stream_*` | `values` |
//! | `/select/logsql/stats_query`, `/stats_query_range` | `prometheus` |
//!
//! Every path of `/select` takes its parameters from the address and, with POST, from a form: `query`, `start`, `end`, `time`
//! (what `_time:5m` counts from; else `end`, else now), `timeout`, `extra_filters`, `extra_stream_filters`. The headers
//! `AccountID` and `ProjectID` name the tenant. A failure is told as `error` says.

mod error;
mod json;
mod parameters;

mod prometheus;
mod select;
mod tail;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get};
use rookery_core::rows::Rows;
use rookery_core::{Error, Result, TimeRange};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::QueryConfig;
use crate::exec::{Engine, Request, RowStream};
use crate::logsql::Query;
use parameters::Parameters;

/// The most rows of an answer that is one JSON document: it is held whole before it is sent.
const DOCUMENT_ROWS_LIMIT: usize = 1_000_000;

/// What the handlers share.
struct Service {
    engine: Arc<Engine>,
    config: QueryConfig,
    /// Live tails that may run at one time.
    tails: Arc<Semaphore>,
    /// Cancelled when the server stops.
    closing: CancellationToken,
}

/// The routes of log search. When `closing` is cancelled, live tails end and queries stop, so that a server can stop gracefully.
pub fn router(engine: Arc<Engine>, config: QueryConfig, closing: CancellationToken) -> Router {
    let tails = Arc::new(Semaphore::new(config.tail_sessions));
    let service = Arc::new(Service { engine, tails, config, closing });
    Router::new()
        .route("/select/logsql/query", read(select::query))
        .route("/select/logsql/tail", read(tail::tail))
        .route("/select/logsql/hits", read(values::hits))
        .route("/select/logsql/facets", read(values::facets))
        .route("/select/logsql/field_names", read(values::field_names))
        .route("/select/logsql/field_values", read(values::field_values))
        .route("/select/logsql/streams", read(values::streams))
        .route("/select/logsql/stream_ids", read(values::stream_ids))
        .route("/select/logsql/stream_field_names", read(values::stream_field_names))
        .route("/select/logsql/stream_field_values", read(values::stream_field_values))
        .route("/select/logsql/stats_query", read(prometheus::stats_query))
        .route("/select/logsql/stats_query_range", read(prometheus::stats_query_range))
        .with_state(service)
}

/// A path that is asked with GET, or with POST and a form.
fn read<H, T>(handler: H) -> MethodRouter<Arc<Service>>
where
    H: Handler<T, Arc<Service>> + Clone,
    T: 'static,
{
    get(handler.clone()).post(handler)
}

impl Service {
    /// Starts a query with the caller's scope and times; with `newest`, only the latest so many records.
    async fn run(
        &self,
        parameters: &Parameters,
        query: Query,
        newest: Option<u64>,
    ) -> Result<RowStream> {
        self.run_in(parameters, query, newest, parameters.window()?).await
    }

    async fn run_in(
        &self,
        parameters: &Parameters,
        query: Query,
        newest: Option<u64>,
        window: TimeRange,
    ) -> Result<RowStream> {
        let request = Request {
            window,
            newest,
            timeout: parameters.timeout()?,
            now: parameters.now()?,
            cancel: self.closing.child_token(),
            ..Request::new(query, parameters.scope())
        };
        self.engine.run(request).await
    }

    /// The whole answer of a query, for one JSON document.
    async fn collect(&self, parameters: &Parameters, query: Query) -> Result<Vec<Rows>> {
        let mut stream = self.run(parameters, query, None).await?;
        let mut batches = Vec::new();
        let mut count = 0;
        while let Some(rows) = stream.next().await.transpose()? {
            count += rows.len;
            if count > DOCUMENT_ROWS_LIMIT {
                return Err(Error::too_large(format!(
                    "the answer has more than {DOCUMENT_ROWS_LIMIT} values, the most that one document takes: give a `limit`, \
                     narrow the time or the filter, or ask /select/logsql/query, which streams"
                )));
            }
            batches.push(rows);
        }
        Ok(batches)
    }
}
