//! All stages in one process: collector → queue → ingester → store ← query, started in this order from the far end and stopped
//! in reverse, so that what was read is stored before the process ends.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rookery_collector::{Collector, CollectorConfig, CollectorView};
use rookery_core::Tenant;
use rookery_core::queue::memory::{MemoryQueue, memory_queue};
use rookery_core::store::{Accounts, Store};
use rookery_ingester::Ingester;
use rookery_parquet::{ParquetConfig, ParquetStore};
use rookery_query::exec::Engine;
use rookery_receiver::{Listeners, Receivers, Start};
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::cli::{DemoArgs, StandaloneArgs};
use crate::config::Config;
use crate::metrics::{self, Sample};
use crate::process::{
    self, STOP_LIMIT, default_data_dir, finish, listen, lock, runtime, serve, start_log,
    stop_at_signals, until_stopped,
};
use crate::receiving;
use crate::reload::Reload;
use crate::sources;

/// `rookery standalone`
pub(crate) fn main(args: &StandaloneArgs) -> Result<ExitCode> {
    let config = configure(args)?;
    let log = start_log(&config.log)?;
    // Flags stand above the file at every reading, so what they say never differs.
    let reload = Reload::new(config.clone(), log, {
        let args = args.clone();
        move || configure(&args)
    });
    runtime()?.block_on(async {
        tokio::spawn(reload.listening()?.run());
        run(config, stop_at_signals()?).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `rookery demo`
pub(crate) fn demo(args: &DemoArgs) -> Result<ExitCode> {
    let (dir, remove) = match &args.dir {
        Some(dir) => (dir.clone(), false),
        None => (std::env::temp_dir().join(format!("rookery-demo-{}", std::process::id())), true),
    };
    let pods = dir.join("pods");
    std::fs::create_dir_all(&pods)
        .with_context(|| format!("cannot make the folder {}", pods.display()))?;
    let standalone = StandaloneArgs {
        data_dir: Some(dir.join("data")),
        pod_logs: Some(pods.clone()),
        listen: args.listen,
        ..StandaloneArgs::default()
    };
    let config = configure(&standalone)?;
    start_log(&config.log)?;
    eprintln!("demo: writing {} lines a second of pods' logs into {}", args.rate, pods.display());
    let runtime = runtime()?;
    let stop = {
        let _entered = runtime.enter();
        stop_at_signals()?
    };
    let writer = std::thread::Builder::new().name("demo".into()).spawn({
        let (stop, rate) = (stop.clone(), args.rate);
        move || crate::demo::run(&pods, rate, &stop)
    })?;
    let outcome = runtime.block_on(run(config, stop.clone()));
    stop.cancel();
    let written = writer.join();
    if remove {
        std::fs::remove_dir_all(&dir)
            .with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    outcome?;
    match written {
        Ok(result) => result.context("the demo's writer failed")?,
        Err(_) => bail!("the demo's writer ended in a panic"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration with the flags on top, and with everything filled in that depends on the machine.
fn configure(args: &StandaloneArgs) -> Result<Config> {
    let mut config = Config::load(args.config.as_deref())?;
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    let data_dir = match args.data_dir.clone().or(config.data_dir.take()) {
        Some(dir) => dir,
        None => default_data_dir()?,
    };
    let flags = !args.logs.is_empty() || args.pod_logs.is_some();
    if flags {
        sources::only(&mut config.collector, &args.logs, args.pod_logs.as_deref())?;
    } else if config.collector.files.is_empty() && config.collector.pods.is_none() {
        sources::of_this_machine(&mut config.collector);
    }
    // What was not placed by configuration lies in the data folder.
    if config.collector.state_dir == CollectorConfig::default().state_dir {
        config.collector.state_dir = data_dir.join("collector");
    }
    if config.store.directory == ParquetConfig::default().directory {
        config.store.directory = data_dir.join("store");
    }
    config.data_dir = Some(data_dir);
    Ok(config)
}

/// Runs until a signal or `stop`.
async fn run(config: Config, stop: CancellationToken) -> Result<()> {
    let data_dir = config.data_dir.clone().context("no data folder was chosen")?;
    let _lock = lock(&data_dir)?;
    let (listener, address) = listen(config.listen).await?;

    let store_config = config.store.clone();
    let opened = tokio::task::spawn_blocking(move || ParquetStore::open(store_config)).await?;
    let store: Arc<ParquetStore> = Arc::new(opened?);
    let (queue, subscription) = memory_queue(config.queue_limit.as_usize());
    let ingester_stats = Arc::new(rookery_ingester::Stats::default());
    let ingester = Ingester::new(store.clone(), config.ingester.clone(), ingester_stats.clone());
    let halt = CancellationToken::new();
    let mut ingesting = tokio::spawn({
        let halt = halt.clone();
        async move { Ok(ingester.run(Box::new(subscription), halt).await?) }
    });

    // It goes on at its own checkpoint, which may be older than what is stored: what it reads again has the same positions and is
    // dropped. One account of what is new, the store's, is enough.
    let collector = Collector::start(config.collector.clone(), Arc::new(queue.clone()), &halt)?;
    let engine = Arc::new(Engine::new(store.clone(), config.query.clone()));

    let (receivers, listeners) = receive(&config, store.as_ref(), queue.clone()).await?;

    let service = Arc::new(api::Service {
        role: "standalone",
        store: Some(store.clone()),
        tenant: Tenant::new(&config.collector.tenant)?,
        place: data_dir.display().to_string(),
        started: Instant::now(),
        read_states: Some(Box::new({
            let view = collector.view();
            move || view.read_states()
        })),
        is_ready: Box::new({
            let store = store.clone();
            move || {
                let store = store.clone();
                Box::pin(
                    async move { store.accounts(Accounts::Streams(Vec::new())).await.map(drop) },
                )
            }
        }),
        registry: metrics::registry({
            let (view, store, queue) = (collector.view(), store.clone(), queue.clone());
            let receivers = receivers.clone();
            move || {
                let mut samples = samples(&view, &ingester_stats, &store, &queue);
                samples.extend(receiving::samples(&receivers));
                samples
            }
        }),
    });
    let closing = CancellationToken::new();
    let select = rookery_query::http::router(engine, config.query.clone(), closing.clone());
    let routes = api::router(service)
        .merge(select)
        .merge(receiving::routes(&receivers, address))
        .fallback(crate::web::serve);
    let serving = tokio::spawn(serve(listener, routes, closing.clone()));

    announce(&config, &data_dir, address);
    receiving::announce(&receivers, &listeners, address);
    until_stopped(&stop, &mut [("the ingester", &mut ingesting)]).await?;
    closing.cancel();
    let finished = finish(async {
        if let Err(error) = collector.stop(STOP_LIMIT / 2).await {
            tracing::warn!(%error, "the collector did not end in time");
        }
        serving.await.context("the HTTP server ended in a panic")??;
        listeners.stop(process::CLOSE_LIMIT).await;
        queue.close();
        ingesting.await.context("the ingester ended in a panic")??;
        store.close().await?;
        Ok(())
    });
    if !finished.await? {
        halt.cancel();
    }
    Ok(())
}

/// What takes pushes, and its further addresses. Pushed streams go on above their marks, whatever the clock says.
async fn receive(
    config: &Config,
    store: &ParquetStore,
    queue: MemoryQueue,
) -> Result<(Receivers, Listeners)> {
    let accounts = store.accounts(Accounts::All).await?.into_iter();
    let marks = accounts.map(|account| (account.stream, account.mark)).collect();
    let start = Start { marks, ..Start::default() };
    let receivers = Receivers::new(config.receiver.clone(), "push", Arc::new(queue), start)?;
    let listeners = receivers.start_listeners().await?;
    Ok((receivers, listeners))
}

fn announce(config: &Config, data_dir: &Path, address: SocketAddr) {
    eprintln!("rookery {}", env!("CARGO_PKG_VERSION"));
    eprintln!("  data   {}", data_dir.display());
    for source in sources::describe(&config.collector) {
        eprintln!("  logs   {source}");
    }
    eprintln!("  page   http://{address}/");
    if !address.ip().is_loopback() {
        eprintln!(
            "  note   {address} is not loopback, and there is no authentication: who reaches it reads all logs"
        );
    }
}

fn samples(
    collector: &CollectorView,
    ingester: &rookery_ingester::Stats,
    store: &ParquetStore,
    queue: &MemoryQueue,
) -> Vec<Sample> {
    let usage = store.usage();
    metrics::collector(collector)
        .into_iter()
        .chain(metrics::counters("ingester", ingester.counters()))
        .chain(metrics::counters("store", store.stats().list()))
        .chain([
            metrics::gauge("store_parts", "Parts", usage.parts as u64),
            metrics::gauge("store_part_records", "Records in parts", usage.part_records),
            metrics::gauge(
                "store_part_bytes",
                "Bytes of parts and their indexes",
                usage.part_bytes,
            ),
            metrics::gauge("store_index_bytes", "Bytes of the indexes of parts", usage.index_bytes),
            metrics::gauge(
                "store_memory_records",
                "Records that are in memory and in the log",
                usage.memory_records,
            ),
            metrics::gauge("store_memory_bytes", "Bytes of records in memory", usage.memory_bytes),
            metrics::gauge("store_streams", "Streams that have an account", usage.streams as u64),
            metrics::gauge(
                "queue_held_bytes",
                "Bytes that are accepted and not stored",
                queue.held_bytes() as u64,
            ),
        ])
        .collect()
}
