//! The thread behind the producer: opens sessions, serves their callbacks, replaces one that is over, and moves to another partition when it may.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rookery_core::{Error, Result};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::route::{Choice, Route, RouteFile, choose};
use super::session::Session;
use crate::client::whole_millis;
use crate::offsets::Offsets;
use crate::topic_id::topic_id;

/// How often a stop and the end of a session are noticed; callbacks come at once.
const TICK: Duration = whole_millis(100);

/// How long one question to the brokers may take.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// The pause between attempts to open a session.
const PAUSE: Duration = Duration::from_millis(500);

/// How long senders may be held up for a move to another partition.
const MOVE_LIMIT: Duration = Duration::from_secs(5);

/// A group that is further behind than this many messages will not be there within [`MOVE_LIMIT`].
const MOVE_LAG: u64 = 64;

/// The thread; it ends when this is dropped.
pub(crate) struct Supervisor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Thread {
    inner: Arc<Inner>,
    collector: String,
    file: RouteFile,
    stop: Arc<AtomicBool>,
}

impl Supervisor {
    /// Starts the thread, and returns when the first session is open.
    ///
    /// # Errors
    /// `cancelled`, and what is wrong with the settings.
    pub(crate) async fn start(
        inner: Arc<Inner>,
        collector: &str,
        state_dir: Option<PathBuf>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = Thread {
            inner,
            collector: collector.to_owned(),
            file: RouteFile::new(state_dir.as_deref()),
            stop: stop.clone(),
        };
        let (opened, first) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("kafka-producer".into())
            .spawn(move || thread.run(opened))
            .map_err(|e| Error::io("start the thread of Kafka's producer", e))?;
        let this = Self { stop, thread: Some(thread) };
        let gone = |_| Err(Error::unavailable("the thread of Kafka's producer ended at once"));
        tokio::select! {
            () = cancel.cancelled() => {
                this.stop();
                Err(Error::cancelled("the process stops before Kafka was there"))
            }
            opened = first => opened.unwrap_or_else(gone).map(|()| this),
        }
    }

    /// Asks the thread to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Thread {
    fn run(self, opened: oneshot::Sender<Result<()>>) {
        let mut opened = Some(opened);
        while !self.stops() {
            match self.open() {
                Ok((session, choice)) => {
                    let session = Arc::new(session);
                    self.inner.set_session(session.clone());
                    if let Some(opened) = opened.take() {
                        let _ = opened.send(Ok(()));
                    }
                    self.serve(&session, choice);
                }
                Err(error) if error.kind().is_retryable() || opened.is_none() => {
                    tracing::warn!(brokers = self.inner.config.bootstrap(), topic = self.inner.config.topic, %error, "waiting for Kafka");
                    std::thread::park_timeout(PAUSE);
                }
                Err(error) => {
                    if let Some(opened) = opened.take() {
                        let _ = opened.send(Err(error));
                    }
                    return;
                }
            }
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn open(&self) -> Result<(Session, Choice)> {
        // Of the partition nothing hangs before the route is known.
        let probe = Session::open(&self.inner.config, 0, self.inner.stats.clone())?;
        let choice = self.look(&probe)?;
        let partition = choice.route().partition(&self.collector);
        probe.drain();
        probe.go_on(partition);
        self.file.write(choice.route())?;
        Ok((probe, choice))
    }

    /// What the topic is now, and what follows.
    fn look(&self, session: &Session) -> Result<Choice> {
        let topic = &self.inner.config.topic;
        let client = session.client().ok_or_else(|| Error::internal("a closed session"))?;
        let id = topic_id(client, topic, ASK_LIMIT)?;
        let metadata = client
            .fetch_metadata(Some(topic), ASK_LIMIT)
            .map_err(|e| crate::client::error(format!("ask for the topic {topic:?}"), e))?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if partitions == 0 {
            return Err(Error::unavailable(format!("the topic {topic:?} has no partitions")));
        }
        let now = Route { topic: topic.clone(), id, partitions: partitions as u32 };
        Ok(choose(self.file.read()?.as_ref(), &now))
    }

    /// Serves a session until it is over or the process stops.
    fn serve(&self, session: &Session, mut choice: Choice) {
        let interval = self.inner.config.partitions_interval.0;
        // Not at once: what a process before this one sent may still be on its way.
        let mut next_look = Instant::now() + interval;
        while !self.stops() && !session.is_over() {
            session.poll(TICK);
            if Instant::now() < next_look {
                continue;
            }
            next_look = Instant::now() + interval;
            match self.look_again(session, &choice) {
                Ok(new) => choice = new,
                Err(error) => tracing::debug!(%error, "the topic could not be looked at"),
            }
        }
        session.end(&Error::unavailable("the connection to Kafka ended"), ASK_LIMIT);
    }

    fn look_again(&self, session: &Session, choice: &Choice) -> Result<Choice> {
        let route = choice.route().clone();
        let now = match self.look(session)? {
            // Without a file nothing is kept but here.
            Choice::Take(now) => choose(Some(&route), &now),
            stay @ Choice::Stay { .. } => stay,
        };
        let Choice::Stay { grown, .. } = now else { return Ok(now) };
        let moved = Route { partitions: grown, ..route.clone() };
        let (old, new) = (route.partition(&self.collector), moved.partition(&self.collector));
        if old != new && !self.is_read(session, old)? {
            return Ok(now);
        }
        // Senders are held up from here on, if the partition changes.
        self.file.write(&moved)?;
        session.go_on(new);
        tracing::info!(
            from = old,
            to = new,
            partitions = grown,
            "the topic has more partitions: this collector goes on in its place among them"
        );
        Ok(Choice::Take(moved))
    }

    /// Whether all that is in a partition was read and committed. When it was, senders are held up when this returns.
    fn is_read(&self, session: &Session, partition: u32) -> Result<bool> {
        let offsets = Offsets::connect(&self.inner.config)?;
        let topic = &self.inner.config.topic;
        let lag = |limit| {
            let frontier = offsets.of(topic, &[partition], limit)?;
            let frontier = frontier.first().copied();
            Ok::<u64, Error>(frontier.map_or(u64::MAX, |f| f.end.saturating_sub(f.acknowledged)))
        };
        if lag(ASK_LIMIT)? > MOVE_LAG {
            return Ok(false);
        }
        session.drain();
        let until = Instant::now() + MOVE_LIMIT;
        let read = loop {
            session.poll(TICK);
            if session.is_over() || Instant::now() >= until {
                break Ok(false);
            }
            if !session.is_empty() {
                continue;
            }
            match lag(MOVE_LIMIT) {
                Ok(0) => break Ok(true),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        if !matches!(read, Ok(true)) {
            session.go_on(partition);
        }
        read
    }
}
