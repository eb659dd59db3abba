//! What writes while a fault is there: a few programs on every node, each known line by line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::faults::stream::{Kind, Stream};

/// How often the programs write.
const TICK: Duration = Duration::from_millis(10);

/// What happens to files of a fleet: everything that needs no look into the process that reads them.
const KINDS: [Kind; 4] =
    [Kind::Kubelet, Kind::Numbered, Kind::CopiedAndTruncated, Kind::Restarting];

/// Programs that write until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Stream>>>,
}

impl Load {
    /// Starts to write into new files below each node's folder. `run` makes their names new.
    ///
    /// # Errors
    /// When a file cannot be made.
    pub fn start(nodes: &[PathBuf], run: usize, seed: u64) -> Result<Self> {
        let mut streams = Vec::new();
        for (node, folder) in nodes.iter().enumerate() {
            for (place, kind) in KINDS.into_iter().enumerate() {
                let index = (run * nodes.len() + node) * KINDS.len() + place;
                let base = folder.join(if kind.is_pod() { "pods" } else { "logs" });
                streams.push(open(kind, index, &base, seed)?);
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("load".into());
        let thread = thread.spawn(move || write(streams, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Stops, and gives what was written.
    ///
    /// # Errors
    /// When a file could not be written.
    pub fn stop(self) -> Result<Vec<Stream>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the load panicked"))?
    }
}

fn open(kind: Kind, index: usize, base: &Path, seed: u64) -> Result<Stream> {
    let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(index as u64);
    Stream::open(kind, index, base, seed)
        .with_context(|| format!("begin to log in {}", base.display()))
}

fn write(mut streams: Vec<Stream>, stop: &AtomicBool) -> Result<Vec<Stream>> {
    while !stop.load(Ordering::Relaxed) {
        for stream in &mut streams {
            stream.write_some()?;
            stream.disturb(None)?;
        }
        thread::park_timeout(TICK);
    }
    for stream in &mut streams {
        stream.finish()?;
    }
    Ok(streams)
}
