//! (a) Files → batches: the collector alone, in this process, its batches counted and acknowledged at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rookery_collector::config::PodsConfig;
use rookery_collector::{Collector, CollectorConfig};
use rookery_core::queue::memory::memory_queue;
use rookery_core::queue::{Event, Subscription};
use tokio_util::sync::CancellationToken;

use super::limit::Limit;
use crate::dataset::Dataset;
use crate::machine;
use crate::results::Results;

/// The queue's limit in the shipped configuration.
const QUEUE_BYTES: usize = 32 << 20;

/// No batch for so long means that something is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Reads all files once.
pub(crate) fn run(dataset: &Dataset, limit: Limit, results: &mut Results) -> Result<()> {
    let own = std::process::id();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let before = machine::cpu_seconds(own)?;
    let counted = runtime.block_on(read(dataset))?;
    let cpu = (machine::cpu_seconds(own)? - before).max(0.01);
    if counted != dataset.lines {
        bail!("{counted} records came of {} lines", dataset.lines);
    }
    let lines = counted as f64 / cpu;
    let part = lines / limit.lines_a_second;
    results.add(
        "a",
        "files → batches, a core",
        format!(
            "{:.0} thousand lines/s, {:.0} MB/s",
            lines / 1e3,
            dataset.bytes as f64 / cpu / 1e6
        ),
        format!("{part:.2} of the limit; {:.2} of the goal, 600 thousand lines/s", lines / 600e3),
    );
    Ok(())
}

async fn read(dataset: &Dataset) -> Result<u64> {
    let state = tempfile::tempdir()?;
    let config = CollectorConfig {
        state_dir: state.path().to_owned(),
        pods: Some(PodsConfig { directory: dataset.folder.clone(), ..PodsConfig::default() }),
        ..CollectorConfig::default()
    };
    let (queue, mut subscription) = memory_queue(QUEUE_BYTES);
    let collector = Collector::start(config, Arc::new(queue), &CancellationToken::new())?;
    let mut counted = 0;
    while counted < dataset.lines {
        let next = tokio::time::timeout(STUCK_AFTER, subscription.next()).await;
        let event = next.with_context(|| format!("no batch after {counted} records"))??;
        match event {
            Some(Event::Delivered(delivery)) => {
                counted += delivery.batch.records.num_rows() as u64;
                subscription.acknowledge(&[delivery.id]).await?;
            }
            Some(_) => {}
            None => break,
        }
    }
    collector.stop(STUCK_AFTER).await?;
    Ok(counted)
}
