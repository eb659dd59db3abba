//! What the collector counts about itself. Every limit that acts, and every fallback, is here.

use std::sync::atomic::{AtomicU64, Ordering};

use rookery_core::batch::Fate;

/// A number that only grows, or a level that is set.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Sets it.
    pub(crate) fn set(&self, level: u64) {
        self.0.store(level, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter for an exporter: its name without a prefix, a label if it has one, what it counts, whether it only grows, its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// For example `bytes`, `lost_bytes`.
    pub name: &'static str,
    /// For example `("reason", "deleted_unread")`.
    pub label: Option<(&'static str, &'static str)>,
    /// What it counts.
    pub help: &'static str,
    /// Whether it only grows.
    pub is_counter: bool,
    /// Its value.
    pub value: u64,
}

macro_rules! counters {
    ($($name:ident: $counter:literal, $help:literal;)*) => {
        /// What a collector counts about itself.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $help] pub $name: Count,)*
            /// Bytes given up, by reason, in the order of [`REASONS`].
            pub given_up_bytes: [Count; REASONS.len()],
        }

        impl Counters {
            /// All of them, for an exporter.
            pub fn samples(&self) -> Vec<Sample> {
                let mut samples = vec![$(Sample {
                    name: stringify!($name),
                    label: None,
                    help: $help,
                    is_counter: $counter,
                    value: self.$name.get(),
                },)*];
                for ((name, reason), count) in REASONS.into_iter().zip(&self.given_up_bytes) {
                    samples.push(Sample {
                        name,
                        label: Some(("reason", reason)),
                        help: "Bytes that were given up or could not be had, by reason; the ledger has the ranges.",
                        is_counter: true,
                        value: count.get(),
                    });
                }
                samples
            }
        }
    };
}

/// The reasons for which the collector itself gives bytes up, and under which name they are counted.
pub const REASONS: [(&str, &str); 7] = [
    ("shed_bytes", SPOOL_BUDGET),
    ("shed_bytes", START_AT_END),
    ("shed_bytes", HOLE),
    ("lost_bytes", DELETED_UNREAD),
    ("lost_bytes", TRUNCATED_UNREAD),
    ("lost_bytes", UNREADABLE),
    ("lost_bytes", DAMAGED_GZIP),
];

/// The queue was away for longer than the spool's limit allowed to keep files.
pub const SPOOL_BUDGET: &str = "spool_budget";
/// The configuration says to start at the end.
pub const START_AT_END: &str = "start_at_end";
/// The zeros at the start of a file that was truncated under a writer that kept its offset: nobody wrote them.
pub const HOLE: &str = "hole";
/// The file was deleted while the collector was down.
pub const DELETED_UNREAD: &str = "deleted_unread";
/// The file was truncated before it was read to its end, and no copy of it was found.
pub const TRUNCATED_UNREAD: &str = "truncated_unread";
/// The file's system does not give the bytes.
pub const UNREADABLE: &str = "unreadable";
/// A compressed file is damaged, or was cut short. The range is as long as its trailer says, where that can be; else only what is known, a byte
/// at least.
pub const DAMAGED_GZIP: &str = "damaged_gzip";

counters! {
    bytes: true, "Decompressed bytes read and passed over.";
    records: true, "Records decoded.";
    batches: true, "Batches that are safe in the queue.";
    send_retries: true, "Batches sent again after the queue failed.";
    reads: true, "Read calls.";
    chains: false, "Chains that have files.";
    files_open: false, "Files held open.";
    files_begun: true, "Files whose reading began.";
    files_copied: true, "Copies of a file that was read already (compressed, or by copytruncate); not read again.";
    files_older: true, "Files older than what the checkpoint covers; not read.";
    files_binary: true, "Files that are not text; not read.";
    unreadable: true, "Times that a file could not be opened or read.";
    truncations: true, "Files that were truncated in place.";
    generations_moved: true, "Files whose first record is not younger than that of the file before; numbered after it instead.";
    long_lines: true, "Lines over the record limit.";
    late_bytes: true, "Bytes written to a rotated file after its successor was begun.";
    truncated: true, "Records cut to the record limit.";
    invalid_utf8: true, "Records in which invalid UTF-8 was replaced.";
    time_fallback: true, "Records that got the time of collection, because no time was found.";
    watch_overflows: true, "Times that changes came faster than they could be told; everything was looked at again.";
    checkpoints: true, "Checkpoints written.";
    checkpoint_errors: true, "Checkpoints that could not be written.";
    spool_links: false, "Hard links held in the spool.";
    spool_bytes: false, "Bytes of files that only the collector keeps.";
}

impl Counters {
    /// Counts what became of bytes that are not kept.
    pub(crate) fn give_up(&self, fate: &Fate, bytes: u64) {
        let (Fate::Shed(reason) | Fate::Lost(reason)) = fate else { return };
        if let Some(at) = REASONS.iter().position(|(_, known)| known == reason) {
            self.given_up_bytes[at].add(bytes);
        }
    }
}
