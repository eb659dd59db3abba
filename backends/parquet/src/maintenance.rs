//! The thread that keeps the store in shape: it removes what retention ended, and merges small parts.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rookery_core::Result;
use rookery_core::time::DAY;

use crate::manifest::Manifest;
use crate::merge;
use crate::part::PartInfo;
use crate::state::{PartChange, Phase, Shared};
use crate::stats::Stats;

/// How often the age of parts is looked at when nothing else happens.
const TICK: Duration = Duration::from_secs(10);

/// Runs until the store stops.
pub(crate) fn run(shared: &Arc<Shared>) {
    // Lower than what answers people and what takes records in; on Linux this is for this thread alone.
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "merges run at the priority of everything else");
    }
    loop {
        if let Err(error) = retire(shared) {
            tracing::warn!(%error, "retention could not be applied; it is tried again");
        }
        let merged = shared.config.merge.enabled && merge_once(shared);
        let state = shared.state.lock();
        if state.phase != Phase::Open {
            return;
        }
        if !merged {
            drop(shared.changed.wait_timeout(state, TICK));
        }
    }
}

/// Merges once; whether there may be more to merge.
fn merge_once(shared: &Arc<Shared>) -> bool {
    match merge::run_one(shared) {
        Ok(merged) => merged,
        Err(error) if error.kind() == rookery_core::Kind::Cancelled => false,
        Err(error) => {
            shared.stats.add(&shared.stats.merge_failures, 1);
            tracing::warn!(%error, "parts could not be merged; it is tried again, nothing is lost");
            false
        }
    }
}

/// The parts that retention ends now: too old, or the oldest days of what is too much.
pub(crate) fn expired(parts: &[PartInfo], oldest: i64, limit_bytes: u64) -> Vec<u64> {
    let mut total: u64 = parts.iter().map(PartInfo::bytes).sum();
    let mut by_age: Vec<&PartInfo> = parts.iter().collect();
    by_age.sort_by_key(|part| (part.day, part.max_time, part.id));
    let mut ended = Vec::new();
    for part in by_age {
        if part.max_time < oldest || total > limit_bytes {
            total -= part.bytes();
            ended.push(part.id);
        }
    }
    ended
}

/// Removes what retention ended.
///
/// # Errors
/// When the manifest cannot be written.
pub(crate) fn retire(shared: &Arc<Shared>) -> Result<()> {
    let age = i64::try_from(shared.config.retention.age.0.as_nanos()).unwrap_or(i64::MAX);
    let oldest = (shared.clock)().saturating_sub(age);
    let parts = shared.catalog.lock().parts.clone();
    let ended = expired(&parts, oldest, shared.total_limit_bytes);
    if ended.is_empty() {
        return Ok(());
    }
    let records: u64 = parts.iter().filter(|p| ended.contains(&p.id)).map(|p| p.rows).sum();
    tracing::info!(parts = ended.len(), records, "retention removes parts");
    shared.stats.add(&shared.stats.retired_parts, ended.len() as u64);
    shared.stats.add(&shared.stats.retired_records, records);
    shared.commit(PartChange { remove: ended, ..PartChange::default() })?;
    remove_empty_folders(&shared.directory);
    Ok(())
}

/// Removes folders of days and tenants without a part, as far as there are any.
fn remove_empty_folders(directory: &Path) {
    let folders = |path: &Path| {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    for tenant in folders(&directory.join("parts")) {
        for day in folders(&tenant) {
            // Fails when it is not empty, which is the test.
            let _ = fs::remove_dir(&day);
        }
        let _ = fs::remove_dir(&tenant);
    }
}

/// Takes parts out of the manifest whose files are missing or have another size, and sets aside what is left of them. The rest
/// of the store works on; the loss is logged and counted.
///
/// # Errors
/// When the manifest cannot be written.
pub(crate) fn quarantine(manifest: &mut Manifest, directory: &Path, stats: &Stats) -> Result<()> {
    let whole = |part: &PartInfo| {
        let size = |path| fs::metadata(path).map(|m| m.len()).ok();
        size(part.data_path(directory)) == Some(part.data_bytes)
            && size(part.index_path(directory)) == Some(part.index_bytes)
    };
    let (good, bad) = manifest.parts.drain(..).partition::<Vec<_>, _>(|part| whole(part));
    manifest.parts = good;
    if bad.is_empty() {
        return Ok(());
    }
    for part in &bad {
        tracing::error!(
            part = %part.data_path(directory).display(), records = part.rows, day = part.day * DAY,
            "a part is missing or cut; its records cannot be searched; what is left of it is kept as .corrupt"
        );
        for path in [part.data_path(directory), part.index_path(directory)] {
            let _ = fs::rename(&path, crate::disk::with_suffix(&path, "corrupt"));
        }
    }
    stats.add(&stats.quarantined_parts, bad.len() as u64);
    manifest.write(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: u64, day: i64, bytes: u64) -> PartInfo {
        PartInfo {
            id,
            tenant: rookery_core::Tenant::default(),
            day,
            rows: 1,
            data_bytes: bytes,
            index_bytes: 0,
            min_time: day * DAY,
            max_time: day * DAY + 5,
            level: 0,
        }
    }

    #[test]
    fn what_is_too_old_goes_and_of_what_is_too_much_the_oldest_days() {
        let parts = [part(1, 7, 10), part(2, 5, 10), part(3, 6, 10), part(4, 8, 10)];
        assert_eq!(expired(&parts, i64::MIN, 40), [0u64; 0]);
        assert_eq!(expired(&parts, i64::MIN, 39), [2]);
        assert_eq!(expired(&parts, i64::MIN, 15), [2, 3, 1]);
        assert_eq!(expired(&parts, 5 * DAY + 5, 40), [0u64; 0]);
        assert_eq!(expired(&parts, 5 * DAY + 6, 40), [2]);
    }
}
