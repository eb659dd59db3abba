//! `filter`, `limit`, `offset`, `sample`: which rows go on.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow_buffer::BooleanBuffer;
use rookery_core::Result;
use rookery_core::filter::Filter;
use rookery_core::rows::Rows;

use crate::exec::pipeline::Stage;

/// `filter`.
pub(crate) struct Where(pub Filter);

impl Stage for Where {
    fn apply(&self, rows: Rows) -> Result<Rows> {
        let selection = super::matching(&self.0, &rows)?;
        if selection.count_set_bits() == rows.len { Ok(rows) } else { rows.filter(&selection) }
    }
}

/// `limit`: of all rows that any thread brings.
pub(crate) struct Limit {
    left: AtomicU64,
}

impl Limit {
    /// At most `rows`.
    pub(crate) fn new(rows: u64) -> Self {
        Self { left: AtomicU64::new(rows) }
    }
}

/// Takes at most `wanted` from a counter and says how many it got.
fn take(counter: &AtomicU64, wanted: u64) -> u64 {
    let taken = counter.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        (left > 0).then(|| left.saturating_sub(wanted))
    });
    taken.map_or(0, |before| before.min(wanted))
}

impl Stage for Limit {
    fn apply(&self, rows: Rows) -> Result<Rows> {
        let got = take(&self.left, rows.len as u64) as usize;
        if got == rows.len { Ok(rows) } else { rows.slice(0, got) }
    }

    fn done(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// `offset`: skips rows, whichever come first.
pub(crate) struct Offset {
    left: AtomicU64,
}

impl Offset {
    /// Skips `rows`.
    pub(crate) fn new(rows: u64) -> Self {
        Self { left: AtomicU64::new(rows) }
    }
}

impl Stage for Offset {
    fn apply(&self, rows: Rows) -> Result<Rows> {
        let skip = take(&self.left, rows.len as u64) as usize;
        if skip == 0 { Ok(rows) } else { rows.slice(skip, rows.len - skip) }
    }
}

/// `sample`: about one row in so many.
pub(crate) struct Sample {
    one_in: u64,
    state: AtomicU64,
}

impl Sample {
    /// One row in `one_in`.
    pub(crate) fn new(one_in: u64, seed: u64) -> Self {
        Self { one_in: one_in.max(1), state: AtomicU64::new(seed) }
    }
}

impl Stage for Sample {
    fn apply(&self, rows: Rows) -> Result<Rows> {
        let seed = self.state.fetch_add(rows.len as u64, Ordering::Relaxed);
        let chosen = BooleanBuffer::collect_bool(rows.len, |row| {
            mix(seed.wrapping_add(row as u64)).is_multiple_of(self.one_in)
        });
        rows.filter(&chosen)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
