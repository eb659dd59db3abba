//! The store: opening a folder, and the four calls of [`Store`].

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rookery_core::batch::Block;
use rookery_core::ledger::StreamAccount;
use rookery_core::store::{Accounts as Which, Partition, ScanRequest, Store};
use rookery_core::{BoxFuture, Error, Result, Scope, time};
use tokio::sync::{Semaphore, oneshot};

use crate::accounts::Accounts;
use crate::append::{Appender, Request, WAITING_LIMIT};
use crate::config::ParquetConfig;
use crate::disk;
use crate::log::Log;
use crate::manifest::Manifest;
use crate::memory::MemoryBatch;
use crate::part::read::PartCache;
use crate::part::{Part, PartInfo};
use crate::scan;
use crate::state::{Clock, Phase, Shared, State};
use crate::stats::Stats;
use crate::sync::{Condvar, Mutex};
use crate::{background, maintenance, merge};

/// The embedded store. See the crate's documentation.
///
/// Dropping it ends its threads at once; the log keeps what is not in a part. [`Store::close`] writes everything first.
pub struct ParquetStore {
    shared: Arc<Shared>,
    requests: Mutex<Option<SyncSender<Request>>>,
    permits: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the store is used, against a second process.
    _lock: std::fs::File,
}

impl std::fmt::Debug for ParquetStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetStore({})", self.shared.directory.display())
    }
}

/// How the store is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// How many parts.
    pub parts: usize,
    /// Records in parts.
    pub part_records: u64,
    /// Bytes of parts and their indexes.
    pub part_bytes: u64,
    /// Bytes of those that are indexes.
    pub index_bytes: u64,
    /// Records in memory.
    pub memory_records: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Streams with an account.
    pub streams: usize,
}

impl ParquetStore {
    /// Opens the store in a folder, or makes one there: reads the manifest, removes what never happened, reads the log.
    ///
    /// # Errors
    /// `conflict` when another process has the folder, `corrupt` when the manifest or the accounts are damaged, `invalid` for a
    /// configuration that cannot work, and when the folder cannot be used.
    pub fn open(config: ParquetConfig) -> Result<Self> {
        Self::open_with_clock(config, Arc::new(time::now))
    }

    /// As [`Self::open`], with a clock that a test can move: it dates appends, and tells the age of memory and of parts.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with_clock(config: ParquetConfig, clock: Clock) -> Result<Self> {
        config.validate()?;
        disk::create_folder(&config.directory)?;
        let directory: Arc<Path> = config.directory.as_path().into();
        let lock = disk::lock(&directory)?;
        let stats = Stats::default();
        let mut manifest = Manifest::read(&directory)?;
        manifest.remove_strangers(&directory)?;
        maintenance::quarantine(&mut manifest, &directory, &stats)?;
        let accounts = match &manifest.accounts {
            Some(name) => Accounts::read(&directory.join(name))?,
            None => Accounts::default(),
        };
        let mut state = State { accounts, ..State::default() };
        for info in &manifest.parts {
            let table = state.tables.entry_ref(&info.tenant).or_default();
            table.parts.push(Arc::new(Part::new(info.clone(), directory.clone())));
        }
        let log = replay(&directory, &manifest, &mut state, &stats)?;
        let total_limit_bytes = total_limit(&config, &directory, &manifest.parts)?;
        let shared = Arc::new(Shared {
            total_limit_bytes,
            cache: PartCache::new(config.index_cache.as_usize()),
            config,
            directory,
            clock,
            catalog: Mutex::new(manifest),
            state: Mutex::new(state),
            changed: Condvar::default(),
            stats,
            scans: AtomicUsize::new(0),
        });
        let (sender, requests) = sync_channel(WAITING_LIMIT);
        let appender = Appender { shared: shared.clone(), log, requests, frames: Vec::new() };
        let flusher = shared.clone();
        let maintainer = shared.clone();
        let threads = vec![
            spawn("store-append", move || appender.run())?,
            spawn("store-flush", move || background::run_flusher(&flusher))?,
            spawn("store-maintain", move || maintenance::run(&maintainer))?,
        ];
        Ok(Self {
            shared,
            requests: Mutex::new(Some(sender)),
            permits: Arc::new(Semaphore::new(WAITING_LIMIT)),
            threads: Mutex::new(threads),
            _lock: lock,
        })
    }

    /// What the store counts of itself.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// How the store is filled.
    pub fn usage(&self) -> Usage {
        let state = self.shared.state.lock();
        let parts = || state.tables.values().flat_map(|table| &table.parts);
        let batches =
            || state.tables.values().flat_map(|table| table.active.iter().chain(&table.frozen));
        Usage {
            parts: parts().count(),
            part_records: parts().map(|part| part.info.rows).sum(),
            part_bytes: parts().map(|part| part.info.bytes()).sum(),
            index_bytes: parts().map(|part| part.info.index_bytes).sum(),
            memory_records: batches().map(|batch| batch.rows as u64).sum(),
            memory_bytes: batches().map(|batch| batch.bytes as u64).sum(),
            streams: state.accounts.len(),
        }
    }

    /// Merges until there is nothing left to merge: for a bench, and for a person who wants the smallest files now.
    ///
    /// # Errors
    /// When parts cannot be read or written.
    pub fn merge_all(&self) -> Result<()> {
        while merge::run_one(&self.shared)? {}
        Ok(())
    }

    /// Removes now what retention ended, instead of within seconds.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn apply_retention(&self) -> Result<()> {
        maintenance::retire(&self.shared)
    }

    /// The compressed bytes of each Parquet column over all parts, and of the indexes, the largest first.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub fn bytes_by_column(&self) -> Result<Vec<(String, u64)>> {
        let parts: Vec<Arc<Part>> =
            self.shared.state.lock().tables.values().flat_map(|t| t.parts.clone()).collect();
        let mut sums = std::collections::BTreeMap::new();
        for part in &parts {
            for (name, bytes) in self.shared.open(part)?.bytes_by_column()? {
                *sums.entry(name).or_insert(0) += bytes;
            }
            *sums.entry("(index)".to_owned()).or_insert(0) += part.info.index_bytes;
        }
        let mut sums: Vec<(String, u64)> = sums.into_iter().collect();
        sums.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Ok(sums)
    }

    async fn append_block(&self, block: Block) -> Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        let batches = block.records.iter().map(|batch| MemoryBatch::new(batch).map(Arc::new));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        let closed = || Error::unavailable("the store is closed");
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let (done, answer) = oneshot::channel();
        {
            let requests = self.requests.lock();
            let sender = requests.as_ref().ok_or_else(closed)?;
            // There is room: the channel is as long as there are permits.
            sender.try_send(Request { block, batches, done, permit }).map_err(|_| closed())?;
        }
        answer.await.map_err(|_| closed())?
    }

    async fn close_threads(&self, phase: Phase) -> Result<()> {
        let threads = self.stop(phase);
        let join = move || threads.into_iter().try_for_each(JoinHandle::join);
        tokio::task::spawn_blocking(join)
            .await
            .map_err(|e| Error::internal("the store could not be closed").because(e))?
            .map_err(|_| Error::internal("a thread of the store panicked"))?;
        let state = self.shared.state.lock();
        match &state.flush_failure {
            None => Ok(()),
            Some(reason) => Err(Error::unavailable(format!(
                "the last records could not be written as parts ({reason}); the log has them for the next start"
            ))),
        }
    }

    fn stop(&self, phase: Phase) -> Vec<JoinHandle<()>> {
        {
            let mut state = self.shared.state.lock();
            if state.phase == Phase::Open {
                state.phase = phase;
            }
        }
        drop(self.requests.lock().take());
        self.shared.changed.notify_all();
        std::mem::take(&mut self.threads.lock())
    }
}

impl Drop for ParquetStore {
    fn drop(&mut self) {
        // The folder is free for the next one only when no thread writes any more.
        for thread in self.stop(Phase::Stopping) {
            let _ = thread.join();
        }
    }
}

impl Store for ParquetStore {
    fn append(&self, block: Block) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.append_block(block))
    }

    fn accounts(&self, which: Which) -> BoxFuture<'_, Result<Vec<StreamAccount>>> {
        Box::pin(async move { Ok(self.shared.state.lock().accounts.list(&which)) })
    }

    fn scan(&self, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
        scan::scan(&self.shared, scope, request)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.close_threads(Phase::Closing))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|e| Error::io("start a thread of the store", e))
}

fn replay(directory: &Path, manifest: &Manifest, state: &mut State, stats: &Stats) -> Result<Log> {
    let (log, replay) = Log::open(&directory.join("log"), manifest.log_sequence, |frame| {
        let batches = frame.block.records.iter().map(|b| MemoryBatch::new(b).map(Arc::new));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        state.accounts.apply(&frame.block.tenant, &frame.block.entries, frame.at);
        state.push(&frame.block.tenant, batches, frame.at);
        Ok(())
    })?;
    stats.add(&stats.torn_bytes, replay.torn_bytes);
    stats.add(&stats.corrupt_bytes, replay.corrupt_bytes);
    if replay.frames > 0 {
        tracing::info!(frames = replay.frames, "the log was read into memory");
    }
    Ok(log)
}

fn total_limit(config: &ParquetConfig, directory: &Path, parts: &[PartInfo]) -> Result<u64> {
    if let Some(total) = config.retention.total {
        return Ok(total.0);
    }
    let used: u64 = parts.iter().map(PartInfo::bytes).sum();
    Ok((disk::free_bytes(directory)? + used) / 5 * 4)
}

#[cfg(test)]
mod tests;
