//! What the ingester counts. The names in `/metrics` are `rookery_ingester_<field>`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow, since the process started.
#[derive(Debug, Default)]
pub struct Stats {
    /// Batches taken from the queue.
    pub batches: AtomicU64,
    /// Blocks that the store has.
    pub blocks: AtomicU64,
    /// Records that the store has.
    pub records: AtomicU64,
    /// Records that came again and were dropped.
    pub duplicates: AtomicU64,
    /// Bytes that nothing answered for.
    pub gap_bytes: AtomicU64,
    /// Batches that waited for their predecessors.
    pub set_aside: AtomicU64,
    /// Calls of the store that failed and were made again.
    pub retries: AtomicU64,
    /// Time spent in appends, in microseconds.
    pub append_micros: AtomicU64,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Every counter with its name and what it means.
    pub fn counters(&self) -> [(&'static str, &'static str, u64); 8] {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        [
            ("batches", "Batches taken from the queue", get(&self.batches)),
            ("blocks", "Blocks that the store has", get(&self.blocks)),
            ("records", "Records that the store has", get(&self.records)),
            ("duplicates", "Records that came again and were dropped", get(&self.duplicates)),
            ("gap_bytes", "Bytes that nothing answered for", get(&self.gap_bytes)),
            ("set_aside", "Batches that waited for their predecessors", get(&self.set_aside)),
            ("retries", "Calls of the store that failed and were made again", get(&self.retries)),
            ("append_micros", "Time spent in appends, in microseconds", get(&self.append_micros)),
        ]
    }
}
