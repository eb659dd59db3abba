//! What the threads of the store share, and the two steps by which it changes as a whole: a freeze and a commit.
//!
//! A query takes the parts and the batches of its tenant under one lock, so it sees each record once: in the memory
//! table, in the frozen table that is being written, or in a part. Order of locks: `catalog`, then `state`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use rookery_core::{Error, Result, Tenant};

use crate::accounts::Accounts;
use crate::config::ParquetConfig;
use crate::disk;
use crate::manifest::Manifest;
use crate::memory::MemoryBatch;
use crate::part::read::{OpenPart, PartCache};
use crate::part::{Part, PartInfo};
use crate::stats::Stats;
use crate::sync::{Condvar, Mutex};

/// What the time is, in nanoseconds since the epoch. Tests move it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the threads of the store share.
pub(crate) struct Shared {
    pub(crate) config: ParquetConfig,
    pub(crate) directory: Arc<Path>,
    pub(crate) clock: Clock,
    /// Retention by size, resolved at open.
    pub(crate) total_limit_bytes: u64,
    pub(crate) catalog: Mutex<Manifest>,
    pub(crate) state: Mutex<State>,
    /// Something in `state` changed that a thread waits for.
    pub(crate) changed: Condvar,
    pub(crate) cache: PartCache,
    pub(crate) stats: Stats,
    /// Scans that are running; merges give way to them.
    pub(crate) scans: AtomicUsize,
}

/// What changes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) tables: HashMap<Tenant, Table>,
    pub(crate) accounts: Accounts,
    pub(crate) active_bytes: usize,
    /// When the oldest batch of the active tables came.
    pub(crate) active_since: Option<i64>,
    pub(crate) frozen: Option<Frozen>,
    /// Why the last flush failed, until one succeeds.
    pub(crate) flush_failure: Option<String>,
    pub(crate) phase: Phase,
}

/// One tenant's records.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) active: Vec<Arc<MemoryBatch>>,
    pub(crate) frozen: Vec<Arc<MemoryBatch>>,
    pub(crate) parts: Vec<Arc<Part>>,
}

/// What is being written as parts: all frames of the log up to a number.
pub(crate) struct Frozen {
    pub(crate) sequence: u64,
    /// The accounts as of that frame.
    pub(crate) accounts: Arc<Vec<u8>>,
}

/// How far the store is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Appends are welcome.
    #[default]
    Open,
    /// What is in memory is written, then the threads end.
    Closing,
    /// The threads end where they are; the log has everything.
    Stopping,
}

impl State {
    /// Adds a batch that is durable.
    pub(crate) fn push(&mut self, tenant: &Tenant, batches: Vec<Arc<MemoryBatch>>, at: i64) {
        self.active_bytes += batches.iter().map(|b| b.bytes).sum::<usize>();
        self.active_since.get_or_insert(at);
        self.tables.entry_ref(tenant).or_default().active.extend(batches);
    }

    /// Moves the active tables aside to be written. There must be no frozen ones.
    pub(crate) fn freeze(&mut self, sequence: u64) {
        debug_assert!(self.frozen.is_none(), "one freeze at a time");
        for table in self.tables.values_mut() {
            table.frozen = std::mem::take(&mut table.active);
        }
        self.active_bytes = 0;
        self.active_since = None;
        self.frozen = Some(Frozen { sequence, accounts: Arc::new(self.accounts.encode()) });
    }
}

/// How parts change.
#[derive(Default)]
pub(crate) struct PartChange {
    pub(crate) add: Vec<PartInfo>,
    pub(crate) remove: Vec<u64>,
    /// The flush that this ends: its frame number, and the file of the accounts.
    pub(crate) flushed: Option<(u64, String)>,
}

impl Shared {
    /// A number for a new part.
    pub(crate) fn next_part(&self) -> u64 {
        let mut manifest = self.catalog.lock();
        manifest.next_part += 1;
        manifest.next_part
    }

    /// Makes a change durable in the manifest, then visible to queries, in one step each.
    ///
    /// # Errors
    /// When the manifest cannot be written; then nothing changes.
    pub(crate) fn commit(&self, change: PartChange) -> Result<()> {
        let mut catalog = self.catalog.lock();
        let mut manifest = catalog.clone();
        manifest.parts.retain(|part| !change.remove.contains(&part.id));
        manifest.parts.extend(change.add.iter().cloned());
        if let Some((sequence, accounts)) = &change.flushed {
            manifest.log_sequence = *sequence;
            manifest.accounts = Some(accounts.clone());
        }
        crate::fault::point("before manifest");
        manifest.write(&self.directory)?;
        crate::fault::point("after manifest");
        *catalog = manifest;
        let mut state = self.state.lock();
        if change.flushed.is_some() {
            state.tables.values_mut().for_each(|table| table.frozen.clear());
            state.frozen = None;
            state.flush_failure = None;
        }
        for info in change.add {
            let table = state.tables.entry_ref(&info.tenant).or_default();
            table.parts.push(Arc::new(Part::new(info.clone(), self.directory.clone())));
        }
        let mut removed = Vec::new();
        if !change.remove.is_empty() {
            for table in state.tables.values_mut() {
                removed.extend(table.parts.extract_if(.., |p| change.remove.contains(&p.info.id)));
            }
        }
        drop(state);
        self.changed.notify_all();
        for part in removed {
            part.doom();
            self.cache.remove(part.info.id);
        }
        Ok(())
    }

    /// Where the log lies.
    pub(crate) fn log_folder(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Fails when so little is free on the disk that the rest is needed to write parts from the log.
    ///
    /// # Errors
    /// `unavailable`, saying what to do.
    pub(crate) fn check_free_disk(&self) -> Result<()> {
        let free = disk::free_bytes(&self.directory)?;
        if free >= self.config.min_free_disk.0 {
            return Ok(());
        }
        self.stats.add(&self.stats.disk_full_refusals, 1);
        Err(Error::unavailable(format!(
            "the disk of {} has {} MiB free and the store keeps {} MiB to work with: free some space, lower retention.total or \
             retention.age, or lower min_free_disk; what was refused is sent again by itself",
            self.directory.display(),
            free >> 20,
            self.config.min_free_disk.0 >> 20
        )))
    }

    /// The opened part.
    ///
    /// # Errors
    /// `corrupt` when it cannot be read.
    pub(crate) fn open(&self, part: &Arc<Part>) -> Result<Arc<OpenPart>> {
        self.cache.get(part)
    }

    /// Counts a running scan until the guard is dropped.
    pub(crate) fn scan_guard(self: &Arc<Self>) -> ScanGuard {
        self.scans.fetch_add(1, Ordering::Relaxed);
        ScanGuard(self.clone())
    }
}

/// A running scan.
pub(crate) struct ScanGuard(pub(crate) Arc<Shared>);

impl Drop for ScanGuard {
    fn drop(&mut self) {
        self.0.scans.fetch_sub(1, Ordering::Relaxed);
    }
}
