//! The queue of a role that starts before its brokers: it takes batches once they are there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rookery_core::batch::Batch;
use rookery_core::queue::{Queue, Receipt};
use rookery_core::{BoxFuture, Error};
use rookery_kafka::{KafkaConfig, KafkaQueue};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::IsReady;
use crate::metrics::{self, Sample};

/// A Kafka queue that may not be connected yet: until it is, a `send` waits.
pub(crate) struct LateKafka {
    queue: watch::Receiver<Option<Arc<KafkaQueue>>>,
    brokers: String,
    stats: Arc<rookery_kafka::Stats>,
}

impl LateKafka {
    /// Begins to connect; the task ends only when it cannot be done, or at `cancel`.
    ///
    /// # Errors
    /// When the configuration cannot be right.
    pub(crate) fn open(
        config: KafkaConfig,
        sender: &str,
        state_dir: Option<PathBuf>,
        cancel: &CancellationToken,
    ) -> Result<(Arc<Self>, JoinHandle<Result<()>>)> {
        config.check()?;
        let (connected, queue) = watch::channel(None);
        let stats = Arc::new(rookery_kafka::Stats::default());
        let late = Arc::new(Self { queue, brokers: config.bootstrap(), stats: stats.clone() });
        let (sender, cancel) = (sender.to_owned(), cancel.clone());
        let task = tokio::spawn(async move {
            let queue = KafkaQueue::open(config, &sender, state_dir, stats, &cancel).await?;
            connected.send_replace(Some(Arc::new(queue)));
            cancel.cancelled().await;
            Ok(())
        });
        Ok((late, task))
    }

    fn queue(&self) -> Option<Arc<KafkaQueue>> {
        self.queue.borrow().clone()
    }

    /// Whether batches can be sent now.
    pub(crate) fn is_ready(self: &Arc<Self>) -> IsReady {
        let late = self.clone();
        Box::new(move || {
            let outcome = match late.queue() {
                Some(_) => Ok(()),
                None => Err(Error::unavailable(format!("waiting for Kafka at {}", late.brokers))),
            };
            Box::pin(async move { outcome })
        })
    }

    /// Waits until everything that was sent is acknowledged, at most so long.
    pub(crate) async fn close(&self, limit: Duration) {
        if let Some(queue) = self.queue()
            && !queue.close(limit).await
        {
            tracing::warn!(
                "Kafka did not confirm all messages in time; they are sent again by the next start"
            );
        }
    }

    /// What the queue counts.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        metrics::kafka(&self.stats).collect()
    }
}

impl Queue for LateKafka {
    fn send(&self, batch: Batch) -> BoxFuture<'_, rookery_core::Result<Receipt>> {
        // A queue that is there is asked at once: it counts from this call, not from the first poll.
        if let Some(queue) = self.queue() {
            let sending = Box::pin(async move { queue.send(batch).await });
            return sending;
        }
        let mut late = self.queue.clone();
        Box::pin(async move {
            let connected = late.wait_for(Option::is_some).await;
            let queue = connected.ok().and_then(|queue| queue.clone());
            let gone = || Error::unavailable("the queue is closed: the process is stopping");
            queue.ok_or_else(gone)?.send(batch).await
        })
    }
}
