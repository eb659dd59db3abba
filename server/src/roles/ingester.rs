//! `rookery ingester`: from Kafka into ClickHouse, exactly once.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rookery_clickhouse::ClickHouseStore;
use rookery_core::store::Store;
use rookery_core::{Error, Kind, Tenant};
use rookery_ingester::Ingester;
use rookery_kafka::KafkaSubscription;
use tokio_util::sync::CancellationToken;

use super::{announce, configure};
use crate::api;
use crate::cli::RoleArgs;
use crate::config::Config;
use crate::metrics;
use crate::process::{finish, listen, runtime, serve, start_log, stop_at_signals, until_stopped};
use crate::receiving;
use crate::reload::{Listening, Reload};

/// How long an ingester that was fenced waits before it joins its group again: longer than one turn of the group.
const REJOIN: Duration = Duration::from_secs(1);

/// `rookery ingester`
pub(crate) fn main(args: &RoleArgs) -> Result<ExitCode> {
    let config = configure(args)?;
    config.kafka.check()?;
    config.clickhouse.validate()?;
    let log = start_log(&config.log)?;
    let args = args.clone();
    let reload = Reload::new(config.clone(), log, move || configure(&args));
    runtime()?.block_on(async { run(config, reload.listening()?, stop_at_signals()?).await })?;
    Ok(ExitCode::SUCCESS)
}

/// What the work has come to, for who asks.
#[derive(Default)]
struct Work {
    store: OnceLock<Arc<ClickHouseStore>>,
    /// Whether the brokers were reached and the group is joined.
    is_subscribed: AtomicBool,
    ingester: Arc<rookery_ingester::Stats>,
    kafka: Arc<rookery_kafka::Stats>,
}

async fn run(config: Config, reload: Listening, stop: CancellationToken) -> Result<()> {
    let (listener, address) = listen(config.listen).await?;
    let (halt, closing) = (CancellationToken::new(), CancellationToken::new());
    let work = Arc::new(Work::default());
    let service = Arc::new(api::Service {
        role: "ingester",
        store: None,
        tenant: Tenant::default(),
        place: config.clickhouse.url.clone(),
        started: Instant::now(),
        read_states: None,
        is_ready: work.is_ready(&config),
        registry: metrics::registry({
            let work = work.clone();
            move || work.samples()
        }),
    });
    let mut serving = tokio::spawn(serve(listener, api::router(service), closing.clone()));
    let lines = [("kafka", config.kafka.bootstrap()), ("store", config.clickhouse.url.clone())];
    announce("ingester", address, &lines);
    let reloading = tokio::spawn(reload.run());
    let mut working = tokio::spawn(work.clone().run(config, halt.clone()));
    let mut tasks = [("the ingester", &mut working), ("the HTTP server", &mut serving)];
    let stopped = until_stopped(&stop, &mut tasks).await;
    reloading.abort();
    stopped?;
    closing.cancel();
    halt.cancel();
    finish(async {
        working.await.context("the ingester ended in a panic")??;
        serving.await.context("the HTTP server ended in a panic")?
    })
    .await?;
    Ok(())
}

impl Work {
    /// Makes the schema, connects, and moves batches until `halt`.
    async fn run(self: Arc<Self>, config: Config, halt: CancellationToken) -> Result<()> {
        let store = async {
            rookery_clickhouse::migrate(&config.clickhouse).await?;
            ClickHouseStore::connect(config.clickhouse.clone()).await
        };
        let store = tokio::select! {
            () = halt.cancelled() => return Ok(()),
            store = store => Arc::new(store?),
        };
        let _ = self.store.set(store.clone());
        while !halt.is_cancelled() {
            let decoders = receiving::decoders(&config.kafka)?;
            let kafka = config.kafka.clone();
            let subscription =
                KafkaSubscription::open(kafka, decoders, self.kafka.clone(), &halt).await;
            let subscription = match subscription {
                Err(error) if error.kind() == Kind::Cancelled => break,
                subscription => subscription?,
            };
            self.is_subscribed.store(true, Ordering::Relaxed);
            let ingester =
                Ingester::new(store.clone(), config.ingester.clone(), self.ingester.clone());
            match ingester.run(Box::new(subscription), halt.clone()).await {
                // Somebody else has claimed a partition that this process believed to own: the group will say whose it is.
                Err(error) if error.kind() == Kind::Conflict => {
                    tracing::warn!(%error, "joining the group again");
                    tokio::time::sleep(REJOIN).await;
                }
                outcome => outcome?,
            }
        }
        store.close().await?;
        Ok(())
    }

    fn is_ready(self: &Arc<Self>, config: &Config) -> api::IsReady {
        let (work, url) = (self.clone(), config.clickhouse.url.clone());
        let brokers = config.kafka.bootstrap();
        Box::new(move || {
            let (work, url, brokers) = (work.clone(), url.clone(), brokers.clone());
            Box::pin(async move {
                let waiting = || Error::unavailable(format!("waiting for ClickHouse at {url}"));
                work.store.get().ok_or_else(waiting)?.ready().await?;
                let waiting = || Error::unavailable(format!("waiting for Kafka at {brokers}"));
                work.is_subscribed.load(Ordering::Relaxed).then_some(()).ok_or_else(waiting)
            })
        })
    }

    fn samples(&self) -> Vec<metrics::Sample> {
        let store = self.store.get().map(|store| store.stats().counters());
        metrics::counters("ingester", self.ingester.counters())
            .chain(metrics::kafka(&self.kafka))
            .chain(metrics::counters("clickhouse", store.into_iter().flatten()))
            .collect()
    }
}
