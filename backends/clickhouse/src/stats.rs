//! What the store counts. The names in `/metrics` are `rookery_clickhouse_<field>`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counters that only grow, since the process started.
#[derive(Debug, Default)]
pub struct Stats {
    /// Blocks committed.
    pub blocks: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Inserts of records; one for each day that a block touches.
    pub inserts: AtomicU64,
    /// Bytes of them, as sent.
    pub insert_bytes: AtomicU64,
    /// Time spent in them, in microseconds.
    pub insert_micros: AtomicU64,
    /// Blocks of which an earlier try was looked for in the server.
    pub recoveries: AtomicU64,
    /// Inserts that had taken place without an answer, and were not made again.
    pub found_inserts: AtomicU64,
    /// Blocks refused because a later claim owns their partition.
    pub fenced: AtomicU64,
    /// Claims made.
    pub claims: AtomicU64,
    /// Time spent in them, in microseconds.
    pub claim_micros: AtomicU64,
    /// Inserts that were ended in the server, for a claim or another try.
    pub killed_inserts: AtomicU64,
    /// Records that were found stored without an account at a claim.
    pub unaccounted_records: AtomicU64,
    /// Scans whose filter the server decided whole.
    pub scans_whole: AtomicU64,
    /// Scans of which the server left records out, and the rest was decided above it.
    pub scans_part: AtomicU64,
    /// Scans whose filter was decided above the server alone.
    pub scans_above: AtomicU64,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn time(counter: &AtomicU64, since: Instant) {
        Self::add(counter, u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
    }

    /// Every counter with its name and what it means.
    pub fn counters(&self) -> [(&'static str, &'static str, u64); 15] {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        [
            ("blocks", "Blocks committed", get(&self.blocks)),
            ("records", "Records in them", get(&self.records)),
            (
                "inserts",
                "Inserts of records, one for each day that a block touches",
                get(&self.inserts),
            ),
            ("insert_bytes", "Bytes of inserts, as sent", get(&self.insert_bytes)),
            ("insert_micros", "Time spent in inserts, in microseconds", get(&self.insert_micros)),
            ("recoveries", "Blocks of which an earlier try was looked for", get(&self.recoveries)),
            (
                "found_inserts",
                "Inserts that had taken place without an answer and were not made again",
                get(&self.found_inserts),
            ),
            (
                "fenced",
                "Blocks refused because a later claim owns their partition",
                get(&self.fenced),
            ),
            ("claims", "Claims made", get(&self.claims)),
            ("claim_micros", "Time spent in claims, in microseconds", get(&self.claim_micros)),
            (
                "killed_inserts",
                "Inserts that were ended in the server, for a claim or another try",
                get(&self.killed_inserts),
            ),
            (
                "unaccounted_records",
                "Records that were found stored without an account at a claim",
                get(&self.unaccounted_records),
            ),
            ("scans_whole", "Scans whose filter the server decided whole", get(&self.scans_whole)),
            (
                "scans_part",
                "Scans of which the server left records out, and the rest was decided above it",
                get(&self.scans_part),
            ),
            (
                "scans_above",
                "Scans whose filter was decided above the server alone",
                get(&self.scans_above),
            ),
        ]
    }
}
