//! The thread that writes frozen tables as parts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rookery_core::{Result, Tenant};

use crate::memory::MemoryBatch;
use crate::state::{PartChange, Phase, Shared};
use crate::{accounts, disk, fault, flush, log};

/// The first wait after a failed flush; it doubles up to [`RETRY_LIMIT`].
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest wait after a failed flush.
const RETRY_LIMIT: Duration = Duration::from_secs(10);
/// How often a thread without news looks at the state.
const TICK: Duration = Duration::from_secs(1);

/// Writes frozen tables until the store stops.
pub(crate) fn run_flusher(shared: &Arc<Shared>) {
    let mut retry = RETRY_FIRST;
    loop {
        let mut state = shared.state.lock();
        while state.frozen.is_none() && state.phase != Phase::Stopping {
            state = shared.changed.wait_timeout(state, TICK);
        }
        if state.frozen.is_none() || state.phase == Phase::Stopping {
            return;
        }
        drop(state);
        let started = Instant::now();
        match flush_frozen(shared) {
            Ok(()) => {
                retry = RETRY_FIRST;
                let stats = &shared.stats;
                stats.add(&stats.flushes, 1);
                stats.add(&stats.flush_micros, started.elapsed().as_micros() as u64);
            }
            Err(error) => {
                tracing::error!(%error, "parts could not be written; it is tried again, the log keeps the records");
                shared.stats.add(&shared.stats.flush_failures, 1);
                let mut state = shared.state.lock();
                state.flush_failure = Some(error.to_string());
                shared.changed.notify_all();
                if state.phase == Phase::Open {
                    drop(shared.changed.wait_timeout(state, retry));
                }
                retry = (retry * 2).min(RETRY_LIMIT);
            }
        }
    }
}

fn flush_frozen(shared: &Arc<Shared>) -> Result<()> {
    let state = shared.state.lock();
    let Some(frozen) = &state.frozen else { return Ok(()) };
    let (sequence, content) = (frozen.sequence, frozen.accounts.clone());
    let tables: Vec<(Tenant, Vec<Arc<MemoryBatch>>)> = state
        .tables
        .iter()
        .filter(|(_, table)| !table.frozen.is_empty())
        .map(|(tenant, table)| (tenant.clone(), table.frozen.clone()))
        .collect();
    drop(state);
    let mut add = Vec::new();
    for (tenant, batches) in &tables {
        let written = flush::flush(&shared.directory, tenant, batches, || shared.next_part());
        match written {
            Ok(parts) => add.extend(parts),
            Err(error) => {
                remove_parts(shared, &add);
                return Err(error);
            }
        }
        fault::point("after part");
    }
    let name = format!("accounts-{sequence:020}");
    let committed = accounts::write(&shared.directory.join(&name), &content).and_then(|()| {
        fault::point("after accounts");
        shared.commit(PartChange {
            add: add.clone(),
            flushed: Some((sequence, name)),
            ..PartChange::default()
        })
    });
    if let Err(error) = committed {
        remove_parts(shared, &add);
        return Err(error);
    }
    remove_old_accounts(shared);
    log::remove_stored(&shared.log_folder(), sequence).unwrap_or_else(
        |error| tracing::warn!(%error, "old log segments stay until the next flush"),
    );
    Ok(())
}

fn remove_parts(shared: &Shared, parts: &[crate::part::PartInfo]) {
    for part in parts {
        disk::remove_quietly(&part.data_path(&shared.directory));
        disk::remove_quietly(&part.index_path(&shared.directory));
    }
}

fn remove_old_accounts(shared: &Shared) {
    let current = shared.catalog.lock().accounts.clone();
    let Ok(files) = std::fs::read_dir(&shared.directory) else { return };
    for file in files.flatten() {
        let name = file.file_name();
        let name = name.to_str().unwrap_or("");
        if name.starts_with("accounts-") && Some(name) != current.as_deref() {
            disk::remove_quietly(&file.path());
        }
    }
}
