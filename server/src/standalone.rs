//! All stages in one process: collector → queue → ingester → store ← query, started in this order from the far end and stopped
//! in reverse, so that what was read is stored before the process ends.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rookery_collector::{Collector, CollectorConfig, CollectorView};
use rookery_core::Tenant;
use rookery_core::queue::memory::{MemoryQueue, memory_queue};
use rookery_core::store::{Accounts, Store};
use rookery_ingester::Ingester;
use rookery_parquet::{ParquetConfig, ParquetStore};
use rookery_query::exec::Engine;
use rookery_query::http::{RouterOptions, router_with};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::cli::{DemoArgs, StandaloneArgs};
use crate::config::Config;
use crate::metrics::{self, Sample};
use crate::sources;

/// How long a stop may take before what is left is left to the next start, which reads it again.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// How long open connections may go on when the process stops.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// `rookery standalone`
pub(crate) fn main(args: &StandaloneArgs) -> Result<ExitCode> {
    let config = configure(args)?;
    start_log(&config.log)?;
    runtime()?.block_on(run(config, CancellationToken::new()))?;
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
    let stop = CancellationToken::new();
    let writer = std::thread::Builder::new().name("demo".into()).spawn({
        let (stop, rate) = (stop.clone(), args.rate);
        move || crate::demo::run(&pods, rate, &stop)
    })?;
    let outcome = runtime()?.block_on(run(config, stop.clone()));
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

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the threads of the process")
}

fn start_log(filter: &str) -> Result<()> {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::try_new(filter).with_context(|| {
        format!(
            "`log: {filter}` is not a level or a filter: write error, warn, info, debug or trace"
        )
    })?;
    let terminal = std::io::stderr().is_terminal();
    // A second call (a test in one process) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .try_init();
    Ok(())
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

fn default_data_dir() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/rookery".into());
    }
    let home = std::env::var_os("HOME")
        .context("there is no home folder: say where to keep the data with --data-dir")?;
    let share = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    Ok(share.unwrap_or_else(|| Path::new(&home).join(".local/share")).join("rookery"))
}

/// Holds the data folder for this process alone.
fn lock(data_dir: &Path) -> Result<File> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot make the folder {}", data_dir.display()))?;
    let path = data_dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => bail!(
            "another Rookery runs on {}: stop it, or choose another folder with --data-dir",
            data_dir.display()
        ),
    }
}

/// Runs until a signal or `stop`.
async fn run(config: Config, stop: CancellationToken) -> Result<()> {
    let data_dir = config.data_dir.clone().context("no data folder was chosen")?;
    let _lock = lock(&data_dir)?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another Rookery running? Choose another address with --listen",
            config.listen
        )
    })?;
    let address = listener.local_addr().context("the listener has no address")?;

    let store_config = config.store.clone();
    let opened = tokio::task::spawn_blocking(move || ParquetStore::open(store_config)).await?;
    let store: Arc<ParquetStore> = Arc::new(opened?);
    let (queue, subscription) = memory_queue(config.queue_limit.as_usize());
    let ingester_stats = Arc::new(rookery_ingester::Stats::default());
    let ingester = Ingester::new(store.clone(), config.ingester.clone(), ingester_stats.clone());
    let halt = CancellationToken::new();
    let mut ingesting = tokio::spawn(ingester.run(Box::new(subscription), halt.clone()));

    // It goes on at its own checkpoint, which may be older than what is stored: what it reads again has the same positions and is
    // dropped. One account of what is new, the store's, is enough.
    let collector =
        Collector::start(config.collector.clone(), Arc::new(queue.clone()), None, &halt)?;
    let engine = Arc::new(Engine::new(store.clone(), config.query.clone()));

    let service = Arc::new(api::Service {
        store: store.clone(),
        tenant: Tenant::new(&config.collector.tenant)?,
        data_dir: data_dir.display().to_string(),
        started: Instant::now(),
        read_states: Box::new({
            let view = collector.view();
            move || view.read_states()
        }),
        registry: metrics::registry({
            let (view, store, queue) = (collector.view(), store.clone(), queue.clone());
            move || samples(&view, &ingester_stats, &store, &queue)
        }),
    });
    let closing = CancellationToken::new();
    let marks = store
        .accounts(Accounts::All)
        .await?
        .into_iter()
        .map(|account| (account.stream, account.mark));
    let options = RouterOptions { closing: closing.clone(), marks: marks.collect() };
    let select = router_with(
        engine,
        Arc::new(queue.clone()),
        config.query.clone(),
        config.insert.clone(),
        options,
    );
    let routes = api::router(service).merge(select).fallback(crate::web::serve);
    let serving = tokio::spawn(serve(listener, routes, closing.clone()));

    announce(&config, &data_dir, address);
    let failed = tokio::select! {
        () = stopped(&stop) => None,
        ended = &mut ingesting => Some(ended),
    };
    if let Some(ended) = failed {
        ended.context("the ingester ended in a panic")??;
        bail!("the ingester ended, though nobody asked it to");
    }
    eprintln!("stopping: storing what was read");
    closing.cancel();
    let finish = async {
        if let Err(error) = collector.stop(STOP_LIMIT / 2).await {
            tracing::warn!(%error, "the collector did not end in time");
        }
        serving.await.context("the HTTP server ended in a panic")??;
        queue.close();
        ingesting.await.context("the ingester ended in a panic")??;
        store.close().await?;
        Ok::<(), anyhow::Error>(())
    };
    if let Ok(outcome) = tokio::time::timeout(STOP_LIMIT, finish).await {
        return outcome;
    }
    halt.cancel();
    tracing::warn!("not all was stored within {STOP_LIMIT:?}; the next start reads the rest again");
    Ok(())
}

/// Serves until `closing`, and then until the connections that are open end by themselves or the limit has passed.
async fn serve(
    listener: TcpListener,
    routes: axum::Router,
    closing: CancellationToken,
) -> Result<()> {
    let drain = closing.clone();
    let serving = axum::serve(listener, routes)
        .with_graceful_shutdown(async move { drain.cancelled().await });
    let late = async {
        closing.cancelled().await;
        tokio::time::sleep(CLOSE_LIMIT).await;
    };
    tokio::select! {
        served = serving => served.context("the HTTP server failed"),
        () = late => Ok(()),
    }
}

async fn stopped(stop: &CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(_) => return stop.cancelled().await,
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
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
    let collected = collector.counters().samples().into_iter().map(|sample| Sample {
        name: format!("rookery_collector_{}", sample.name),
        label: sample.label,
        help: sample.help,
        is_counter: sample.is_counter,
        value: sample.value,
    });
    let usage = store.usage();
    collected
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
