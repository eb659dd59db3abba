//! `rookery collector`: the logs of this machine into Kafka.
//!
//! Reading begins at once, whether the brokers are there or not: files are found, opened and held while they are waited for.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rookery_collector::{Collector, CollectorConfig};
use rookery_core::Tenant;
use tokio_util::sync::CancellationToken;

use super::late::LateKafka;
use super::{announce, configure};
use crate::api;
use crate::cli::RoleArgs;
use crate::config::Config;
use crate::metrics::{self, Sample};
use crate::process::{
    STOP_LIMIT, finish, listen, lock, serve, start_log, stop_at_signals, until_stopped,
};
use crate::reload::{Listening, Reload};
use crate::sources;

/// `rookery collector`
pub(crate) fn main(args: &RoleArgs) -> Result<ExitCode> {
    rookery_collector::process::keep_small();
    let config = complete(args)?;
    let log = start_log(&config.log)?;
    let args = args.clone();
    let reload = Reload::new(config.clone(), log, move || complete(&args));
    let runtime = rookery_collector::process::runtime()?;
    runtime.block_on(async { run(config, reload.listening()?, stop_at_signals()?).await })?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration; without a word about what to collect, it is this machine.
fn complete(args: &RoleArgs) -> Result<Config> {
    let mut config = configure(args)?;
    if config.collector.files.is_empty() && config.collector.pods.is_none() {
        sources::of_this_machine(&mut config.collector);
    }
    if let Some(dir) = &config.data_dir
        && config.collector.state_dir == CollectorConfig::default().state_dir
    {
        config.collector.state_dir = dir.join("collector");
    }
    Ok(config)
}

async fn run(config: Config, reload: Listening, stop: CancellationToken) -> Result<()> {
    let state_dir = config.collector.state_dir.clone();
    let _lock = lock(&state_dir)?;
    let (listener, address) = listen(config.listen).await?;
    let (halt, closing) = (CancellationToken::new(), CancellationToken::new());
    let node = config.collector.node_name();
    let (queue, mut connecting) =
        LateKafka::open(config.kafka.clone(), &node, Some(state_dir.clone()), &halt)?;
    let running = Running::start(&config.collector, queue.clone(), &halt)?;

    let service = Arc::new(api::Service {
        role: "collector",
        store: None,
        tenant: Tenant::new(&config.collector.tenant)?,
        place: state_dir.display().to_string(),
        started: Instant::now(),
        read_states: None,
        is_ready: queue.is_ready(),
        registry: metrics::registry({
            let (running, queue) = (running.clone(), queue.clone());
            move || running.samples().into_iter().chain(queue.samples()).collect()
        }),
    });
    let mut serving = tokio::spawn(serve(listener, api::router(service), closing.clone()));
    let mut lines = vec![("kafka", config.kafka.bootstrap())];
    lines.extend(sources::describe(&config.collector).into_iter().map(|source| ("logs", source)));
    announce("collector", address, &lines);

    let changed = running.clone();
    let reload = reload.with("collector", move |config| changed.change(&config.collector));
    let reloading = tokio::spawn(reload.run());
    let mut tasks =
        [("the connection to Kafka", &mut connecting), ("the HTTP server", &mut serving)];
    let stopped = until_stopped(&stop, &mut tasks).await;
    reloading.abort();
    stopped?;
    closing.cancel();
    finish(async {
        if let Some(collector) = running.take()
            && let Err(error) = collector.stop(STOP_LIMIT / 2).await
        {
            tracing::warn!(%error, "the collector did not end in time");
        }
        queue.close(STOP_LIMIT / 4).await;
        serving.await.context("the HTTP server ended in a panic")?
    })
    .await?;
    halt.cancel();
    Ok(())
}

/// The collector that runs now: with a changed configuration another takes its place, and goes on at its checkpoint.
#[derive(Clone)]
struct Running {
    present: Arc<Mutex<Option<Collector>>>,
    node: Arc<str>,
    queue: Arc<LateKafka>,
    halt: CancellationToken,
}

impl Running {
    fn start(
        config: &CollectorConfig,
        queue: Arc<LateKafka>,
        halt: &CancellationToken,
    ) -> Result<Self> {
        let collector = Collector::start(config.clone(), queue.clone(), halt)?;
        let present = Arc::new(Mutex::new(Some(collector)));
        Ok(Self { present, node: config.node_name().into(), queue, halt: halt.clone() })
    }

    fn change(&self, config: &CollectorConfig) -> Result<()> {
        config.check()?;
        // Batches under another name would take another way, and might overtake those under this one.
        ensure!(
            config.node_name() == *self.node,
            "`collector.node` cannot change while it runs: stop the process, wait until what it sent is stored, start it again"
        );
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        // It ends as in a crash: what was not acknowledged is read again, by the next one.
        drop(present.take());
        let next = Collector::start(config.clone(), self.queue.clone(), &self.halt);
        *present = Some(next.context("start the collector with its new configuration")?);
        Ok(())
    }

    fn take(&self) -> Option<Collector> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn samples(&self) -> Vec<Sample> {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.as_ref().map(|collector| metrics::collector(&collector.view())).unwrap_or_default()
    }
}
