//! What the store says of itself: counters, by name and meaning.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub struct Stats {
    /// Blocks appended.
    pub blocks: AtomicU64,
    /// Records appended.
    pub records: AtomicU64,
    /// Bytes written to the log.
    pub log_bytes: AtomicU64,
    /// Calls of fsync for the log.
    pub fsyncs: AtomicU64,
    /// Appends refused because the disk was nearly full.
    pub disk_full_refusals: AtomicU64,
    /// Appends that waited until parts were written.
    pub waits_for_flush: AtomicU64,
    /// Writes of the memory table as parts.
    pub flushes: AtomicU64,
    /// Time spent in them, in microseconds.
    pub flush_micros: AtomicU64,
    /// Writes of the memory table that failed and were tried again.
    pub flush_failures: AtomicU64,
    /// Merges of parts.
    pub merges: AtomicU64,
    /// Records written by merges.
    pub merged_records: AtomicU64,
    /// Time spent in merges, in microseconds.
    pub merge_micros: AtomicU64,
    /// Merges that failed and were tried again.
    pub merge_failures: AtomicU64,
    /// Parts removed by retention.
    pub retired_parts: AtomicU64,
    /// Records removed by retention.
    pub retired_records: AtomicU64,
    /// Bytes of torn frames cut off the log at open.
    pub torn_bytes: AtomicU64,
    /// Bytes of broken frames set aside at open.
    pub corrupt_bytes: AtomicU64,
    /// Parts that were missing or damaged, and were set aside.
    pub quarantined_parts: AtomicU64,
}

impl Stats {
    pub(crate) fn add(&self, counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Every counter: its name, what it counts, its value.
    pub fn list(&self) -> Vec<(&'static str, &'static str, u64)> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("blocks", "Blocks appended", get(&self.blocks)),
            ("records", "Records appended", get(&self.records)),
            ("log_bytes", "Bytes written to the log", get(&self.log_bytes)),
            ("fsyncs", "Calls of fsync for the log", get(&self.fsyncs)),
            (
                "disk_full_refusals",
                "Appends refused because the disk was nearly full",
                get(&self.disk_full_refusals),
            ),
            (
                "waits_for_flush",
                "Appends that waited until parts were written",
                get(&self.waits_for_flush),
            ),
            ("flushes", "Writes of the memory table as parts", get(&self.flushes)),
            ("flush_micros", "Time spent in flushes, in microseconds", get(&self.flush_micros)),
            (
                "flush_failures",
                "Flushes that failed and were tried again",
                get(&self.flush_failures),
            ),
            ("merges", "Merges of parts", get(&self.merges)),
            ("merged_records", "Records written by merges", get(&self.merged_records)),
            ("merge_micros", "Time spent in merges, in microseconds", get(&self.merge_micros)),
            (
                "merge_failures",
                "Merges that failed and were tried again",
                get(&self.merge_failures),
            ),
            ("retired_parts", "Parts removed by retention", get(&self.retired_parts)),
            ("retired_records", "Records removed by retention", get(&self.retired_records)),
            ("torn_bytes", "Bytes of torn frames cut off the log at open", get(&self.torn_bytes)),
            ("corrupt_bytes", "Bytes of broken frames set aside at open", get(&self.corrupt_bytes)),
            (
                "quarantined_parts",
                "Parts that were missing or damaged and set aside",
                get(&self.quarantined_parts),
            ),
        ]
    }
}
