//! Merges parts of one tenant and one day into larger ones, in the background.
//!
//! **What is merged.** Parts of a day are put into tiers by size, a tier being sixteen times the one below. When a tier has
//! [`crate::config::Merge::fan_in`] parts, or a day is over and has more than one part, the smallest are merged; a part never grows beyond
//! [`crate::config::Merge::part_limit`]. So a record is rewritten about once for every factor of sixteen of a day's data.
//!
//! **How.** The parts' runs (a stream, a generation, rising offsets) are sorted, and each part is read once from its start to its
//! end, a granule at a time, because its own runs are in that order already. Memory is a granule for each part, and a row group for
//! the new one. Nothing is sorted by row: parts hold disjoint ranges of positions, since a position is stored once. Should two runs
//! overlap all the same, the merged part has both, one after the other; queries do not depend on the order.
//!
//! **When.** By one thread of low priority; while scans run it waits between granules, each time a bounded time, so that it goes on at a
//! tenth of its speed at worst.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rookery_core::time::DAY;
use rookery_core::{Error, Result, Tenant};

use crate::fault;
use crate::part::body::BodyPlan;
use crate::part::plan::{self, FieldColumn, FieldKind};
use crate::part::read::OpenPart;
use crate::part::write::{NewPart, PartWriter};
use crate::part::{Part, PartInfo};
use crate::state::{PartChange, Phase, Shared};

mod source;

use source::Source;

/// How hard merged parts are compressed.
const ZSTD_LEVEL: i32 = 1;
/// How long a merge waits between two granules while scans run.
const COURTESY: Duration = Duration::from_millis(20);
/// Parts smaller than this are in the lowest tier.
const FIRST_TIER_BYTES: u64 = 1 << 20;
/// How long after its end a day is merged into as few parts as may be; late records have come by then.
const DAY_REST: i64 = DAY / 24;

/// Merges once, if there is something to merge; whether it did.
///
/// # Errors
/// When parts cannot be read or written, `cancelled` when the store closes meanwhile; then everything is as before.
pub(crate) fn run_one(shared: &Arc<Shared>) -> Result<bool> {
    let parts = shared.catalog.lock().parts.clone();
    let now = (shared.clock)();
    let config = &shared.config.merge;
    let Some(chosen) = choose(&parts, config.fan_in, config.part_limit.0, now) else {
        return Ok(false);
    };
    let started = Instant::now();
    let merged = merge(shared, &chosen, &|| pause(shared))?;
    let (rows, bytes) = (merged.rows, merged.bytes());
    fault::point("after merge");
    let remove = chosen.iter().map(|part| part.id).collect();
    shared.commit(PartChange { add: vec![merged], remove, flushed: None })?;
    let stats = &shared.stats;
    stats.add(&stats.merges, 1);
    stats.add(&stats.merged_records, rows);
    stats.add(&stats.merge_micros, started.elapsed().as_micros() as u64);
    tracing::debug!(parts = chosen.len(), rows, bytes, "parts were merged");
    Ok(true)
}

/// Waits a little while scans run.
///
/// # Errors
/// `cancelled` when the store closes.
fn pause(shared: &Shared) -> Result<()> {
    let state = shared.state.lock();
    let state = match shared.scans.load(Ordering::Relaxed) {
        0 => state,
        _ => shared.changed.wait_timeout(state, COURTESY),
    };
    match state.phase {
        Phase::Open => Ok(()),
        Phase::Closing | Phase::Stopping => Err(Error::cancelled("the store closes")),
    }
}

fn tier(bytes: u64) -> u32 {
    (bytes / FIRST_TIER_BYTES).max(1).ilog2() / 4
}

/// The parts that are merged next, if any: of one tenant and one day.
pub(crate) fn choose(
    parts: &[PartInfo],
    fan_in: usize,
    limit_bytes: u64,
    now: i64,
) -> Option<Vec<PartInfo>> {
    let mut days: BTreeMap<(&Tenant, i64), Vec<&PartInfo>> = BTreeMap::new();
    for part in parts {
        days.entry((&part.tenant, part.day)).or_default().push(part);
    }
    // The newest day first: it is searched most.
    let mut days: Vec<_> = days.into_iter().collect();
    days.sort_by_key(|((_, day), _)| std::cmp::Reverse(*day));
    for ((_, day), mut parts) in days {
        parts.sort_by_key(|part| (part.bytes(), part.id));
        let is_over = (day + 1).saturating_mul(DAY).saturating_add(DAY_REST) < now;
        let least = if is_over { 2 } else { fan_in };
        let together = |parts: &[&PartInfo]| -> Option<Vec<PartInfo>> {
            let mut bytes = 0;
            let fit = parts.iter().take(fan_in).take_while(|part| {
                bytes += part.bytes();
                bytes <= limit_bytes
            });
            let fit: Vec<PartInfo> = fit.map(|part| (*part).clone()).collect();
            (fit.len() >= least.min(parts.len()).max(2)).then_some(fit)
        };
        let found = match is_over {
            true => together(&parts),
            false => parts
                .chunk_by(|a, b| tier(a.bytes()) == tier(b.bytes()))
                .filter(|same| same.len() >= fan_in)
                .find_map(together),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// A run of one of the parts.
struct SourceRun {
    source: usize,
    /// Its number in that part.
    run: usize,
}

/// Writes the parts as one. `pause` is called between granules and may end the merge.
///
/// # Errors
/// When a part cannot be read or the new one written, and those of `pause`.
pub(crate) fn merge(
    shared: &Shared,
    chosen: &[PartInfo],
    pause: &dyn Fn() -> Result<()>,
) -> Result<PartInfo> {
    let opened = chosen.iter().map(|info| {
        // Not by way of the cache: a merge must not push out what queries use.
        let part = Arc::new(Part::new(info.clone(), shared.directory.clone()));
        OpenPart::open(part).map(Arc::new)
    });
    let opened: Vec<Arc<OpenPart>> = opened.collect::<Result<_>>()?;
    let (columns, rest) = unite(&opened);
    let mut bodies = BodyPlan::default();
    for part in &opened {
        let stored = part.bodies()?;
        bodies = bodies.unite(stored.plan);
        if stored.version == 1 {
            // They are cut only now, so what they need is not known.
            bodies = BodyPlan::MOST;
        }
    }
    let part = NewPart {
        id: shared.next_part(),
        tenant: chosen[0].tenant.clone(),
        day: chosen[0].day,
        level: chosen.iter().map(|info| info.level).max().unwrap_or(0) + 1,
        columns,
        rest,
        bodies,
        zstd_level: ZSTD_LEVEL,
    };
    let mut writer = PartWriter::create(&shared.directory, part)?;
    let mut sources =
        opened.iter().map(|part| Source::new(part, &writer)).collect::<Result<Vec<_>>>()?;
    for SourceRun { source, run } in order(&opened) {
        sources[source].copy_run(run, &mut writer, pause)?;
    }
    writer.finish()
}

/// The runs of all parts in the order of the merged part. Of one part they stay in its own order, whatever that is: it is
/// read from its start to its end.
fn order(parts: &[Arc<OpenPart>]) -> Vec<SourceRun> {
    let key = |source: usize, run: usize| {
        let index = &parts[source].index;
        let run = index.runs.get(run)?;
        let stream = index.resources[run.resource as usize].stream;
        Some((stream, run.generation, run.first_offset, source))
    };
    let mut next = vec![0; parts.len()];
    let mut runs = Vec::new();
    while let Some((.., source)) = (0..parts.len()).filter_map(|s| key(s, next[s])).min() {
        runs.push(SourceRun { source, run: next[source] });
        next[source] += 1;
    }
    runs
}

/// The columns of the merged part: of each field the kind that holds all values, and the most frequent names.
fn unite(parts: &[Arc<OpenPart>]) -> (Vec<FieldColumn>, Vec<(Arc<str>, u64)>) {
    let mut fields: BTreeMap<Arc<str>, FieldColumn> = BTreeMap::new();
    let mut add = |name: &Arc<str>, kind: FieldKind, has_steps: bool, values: u64| {
        let known = fields.entry(name.clone()).or_insert(FieldColumn {
            name: name.clone(),
            kind,
            has_steps,
            values: 0,
        });
        known.values += values;
        known.kind = wider(known.kind, kind);
        known.has_steps &= has_steps && known.kind == FieldKind::Int;
    };
    for part in parts {
        for column in &part.index.columns {
            add(&column.name, column.kind, column.has_steps, column.values);
        }
        for (name, values) in &part.index.rest {
            // What they look like is not known; a column of texts holds anything.
            add(name, FieldKind::Dictionary, false, *values);
        }
    }
    plan::most_frequent(fields.into_values().collect())
}

fn wider(a: FieldKind, b: FieldKind) -> FieldKind {
    use FieldKind::{Dictionary, Int, Text, Time};
    match (a, b) {
        (Int, Int) => Int,
        (Time, Time) => Time,
        // Neither holds the other, and times differ from each other.
        (Time, _) | (_, Time) | (Text, _) | (_, Text) => Text,
        (Dictionary, _) | (_, Dictionary) => Dictionary,
    }
}

#[cfg(test)]
mod tests;
