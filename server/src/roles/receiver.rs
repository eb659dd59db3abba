//! `rookery receiver`: what other programs push, into Kafka.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use rookery_core::Tenant;
use rookery_receiver::{Receivers, Start, next_generation};
use tokio_util::sync::CancellationToken;

use super::late::LateKafka;
use super::{announce, configure};
use crate::api;
use crate::cli::RoleArgs;
use crate::config::Config;
use crate::metrics;
use crate::process::{
    CLOSE_LIMIT, STOP_LIMIT, default_data_dir, finish, listen, lock, runtime, serve, start_log,
    stop_at_signals, until_stopped,
};
use crate::receiving;
use crate::reload::{Listening, Reload};

/// `rookery receiver`
pub(crate) fn main(args: &RoleArgs) -> Result<ExitCode> {
    let config = configure(args)?;
    let log = start_log(&config.log)?;
    let args = args.clone();
    let reload = Reload::new(config.clone(), log, move || configure(&args));
    runtime()?.block_on(async { run(config, reload.listening()?, stop_at_signals()?).await })?;
    Ok(ExitCode::SUCCESS)
}

async fn run(config: Config, reload: Listening, stop: CancellationToken) -> Result<()> {
    let data_dir = match config.data_dir.clone() {
        Some(dir) => dir,
        None => default_data_dir()?,
    };
    let folder = data_dir.join("receiver");
    let _lock = lock(&folder)?;
    let (listener, address) = listen(config.listen).await?;
    let (halt, closing) = (CancellationToken::new(), CancellationToken::new());
    // Two receivers of one name would give the same positions to different records.
    let name = match &config.receiver.name {
        Some(name) => name.clone(),
        None => config.collector.node_name(),
    };
    let (queue, mut connecting) =
        LateKafka::open(config.kafka.clone(), &name, Some(folder.clone()), &halt)?;
    let start = Start { after: next_generation(&folder.join("generation"))?, ..Start::default() };
    let receivers = Receivers::new(config.receiver.clone(), &name, queue.clone(), start)?;
    let listeners = receivers.start_listeners().await?;
    let service = Arc::new(api::Service {
        role: "receiver",
        store: None,
        tenant: Tenant::default(),
        place: folder.display().to_string(),
        started: Instant::now(),
        read_states: None,
        is_ready: queue.is_ready(),
        registry: metrics::registry({
            let (receivers, queue) = (receivers.clone(), queue.clone());
            move || receiving::samples(&receivers).chain(queue.samples()).collect()
        }),
    });
    let loopback = address.ip().is_loopback();
    let routes = api::router(service).merge(receivers.router(loopback));
    let mut serving = tokio::spawn(serve(listener, routes, closing.clone()));
    announce("receiver", address, &[("kafka", config.kafka.bootstrap()), ("name", name)]);
    receiving::announce(&receivers, &listeners, address);
    let reloading = tokio::spawn(reload.run());
    let mut tasks =
        [("the connection to Kafka", &mut connecting), ("the HTTP server", &mut serving)];
    let stopped = until_stopped(&stop, &mut tasks).await;
    reloading.abort();
    stopped?;
    closing.cancel();
    finish(async {
        serving.await.context("the HTTP server ended in a panic")??;
        listeners.stop(CLOSE_LIMIT).await;
        queue.close(STOP_LIMIT / 2).await;
        Ok(())
    })
    .await?;
    halt.cancel();
    Ok(())
}
