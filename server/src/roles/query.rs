//! `rookery query`: search and the page over ClickHouse.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rookery_clickhouse::ClickHouseStore;
use rookery_core::store::Store;
use rookery_core::{Error, Tenant};
use rookery_query::exec::Engine;
use tokio_util::sync::CancellationToken;

use super::{announce, configure};
use crate::api;
use crate::cli::RoleArgs;
use crate::config::Config;
use crate::metrics;
use crate::process::{finish, listen, runtime, serve, start_log, stop_at_signals, until_stopped};
use crate::reload::{Listening, Reload};

/// `rookery query`
pub(crate) fn main(args: &RoleArgs) -> Result<ExitCode> {
    let config = configure(args)?;
    config.clickhouse.validate()?;
    let log = start_log(&config.log)?;
    let args = args.clone();
    let reload = Reload::new(config.clone(), log, move || configure(&args));
    runtime()?.block_on(async { run(config, reload.listening()?, stop_at_signals()?).await })?;
    Ok(ExitCode::SUCCESS)
}

/// What there is once the store was reached.
struct Reached {
    store: Arc<ClickHouseStore>,
    routes: Router,
}

type Waiting = Arc<OnceLock<Reached>>;

async fn run(config: Config, reload: Listening, stop: CancellationToken) -> Result<()> {
    let (listener, address) = listen(config.listen).await?;
    let closing = CancellationToken::new();
    let reached: Waiting = Arc::default();
    let url = config.clickhouse.url.clone();
    let routes = Router::new().fallback(ask).with_state((reached.clone(), url.clone()));
    let mut serving = tokio::spawn(serve(listener, routes, closing.clone()));
    announce("query", address, &[("store", url)]);
    let reloading = tokio::spawn(reload.run());
    let mut connecting = tokio::spawn(connect(config, reached.clone(), closing.clone()));
    let mut tasks =
        [("the connection to ClickHouse", &mut connecting), ("the HTTP server", &mut serving)];
    let stopped = until_stopped(&stop, &mut tasks).await;
    reloading.abort();
    stopped?;
    closing.cancel();
    finish(async {
        serving.await.context("the HTTP server ended in a panic")??;
        if let Some(reached) = reached.get() {
            reached.store.close().await?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// Connects, and makes the routes; ends at `closing`.
async fn connect(config: Config, reached: Waiting, closing: CancellationToken) -> Result<()> {
    let store = tokio::select! {
        () = closing.cancelled() => return Ok(()),
        store = ClickHouseStore::connect(config.clickhouse.clone()) => Arc::new(store?),
    };
    let engine = Arc::new(Engine::new(store.clone(), config.query.clone()));
    let service = Arc::new(api::Service {
        role: "query",
        store: Some(store.clone()),
        tenant: Tenant::new(&config.collector.tenant)?,
        place: config.clickhouse.url.clone(),
        started: Instant::now(),
        read_states: None,
        is_ready: Box::new({
            let store = store.clone();
            move || {
                let store = store.clone();
                Box::pin(async move { store.ready().await })
            }
        }),
        registry: metrics::registry({
            let store = store.clone();
            move || metrics::counters("clickhouse", store.stats().counters()).collect()
        }),
    });
    let select = rookery_query::http::router(engine, config.query.clone(), closing.clone());
    let routes = api::router(service).merge(select).fallback(crate::web::serve);
    let _ = reached.set(Reached { store, routes });
    closing.cancelled().await;
    Ok(())
}

/// Hands a request on once the store was reached; before, only health and metrics can be asked.
async fn ask(State((reached, url)): State<(Waiting, String)>, request: Request<Body>) -> Response {
    use tower::ServiceExt as _;
    match reached.get() {
        Some(reached) => reached.routes.clone().oneshot(request).await.into_response(),
        None if request.uri().path() == "/healthz" => "ok\n".into_response(),
        None if request.uri().path() == "/metrics" => api::counted(&metrics::registry(Vec::new)),
        None => {
            let error = Error::unavailable(format!("waiting for ClickHouse at {url}"));
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
        }
    }
}
