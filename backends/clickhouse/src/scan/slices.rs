//! A span of time cut into slices, for a caller that keeps the newest or the oldest records.
//!
//! The slices follow each other without a gap from one end of the span to the other, whatever is known of the data. How wide they
//! are is taken from how many records each day has: the first slice holds a few thousand, each next one several times as many. So the
//! newest hundred of a common word are found in one or two small slices, and a rare word costs few statements.

use rookery_core::TimeRange;

/// How many records the first slice is made to hold, all tenants together, about.
const FIRST_RECORDS: u64 = 8_192;

/// How many times as many the next one holds.
const GROWTH: u64 = 8;

/// The records of a day, or of whatever the server keeps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first time.
    pub(crate) min: i64,
    /// The last time.
    pub(crate) max: i64,
    /// How many records.
    pub(crate) rows: u64,
}

/// The slices of a span.
#[derive(Debug)]
pub(crate) struct Slices {
    left: TimeRange,
    /// The one that comes next last.
    extents: Vec<Extent>,
    newest_first: bool,
    records: u64,
}

impl Slices {
    /// The whole span at once.
    pub(crate) fn whole(span: TimeRange) -> Self {
        Self { left: span, extents: Vec::new(), newest_first: false, records: 0 }
    }

    /// The slices of a span of data like this.
    pub(crate) fn new(span: TimeRange, extents: &[Extent], newest_first: bool) -> Self {
        let inside = extents.iter().filter(|e| e.rows > 0 && span.overlaps(e.min, e.max));
        let mut extents: Vec<Extent> = inside.map(|extent| extent.cut(span)).collect();
        extents.sort_unstable_by_key(|e| if newest_first { e.max } else { -e.min });
        Self { left: span, extents, newest_first, records: FIRST_RECORDS }
    }

    /// What is left, at the end that comes first.
    pub(crate) fn next(&mut self) -> Option<TimeRange> {
        if self.left.is_empty() {
            return None;
        }
        let mut wanted = self.records;
        self.records = self.records.saturating_mul(GROWTH);
        while let Some(mut extent) = self.extents.pop() {
            let rows = extent.rows;
            if rows <= wanted {
                wanted -= rows;
                if wanted > 0 {
                    continue;
                }
            }
            let width = (i128::from(extent.max) - i128::from(extent.min))
                * i128::from(wanted.min(rows))
                / i128::from(rows);
            let width = i64::try_from(width).unwrap_or(i64::MAX).max(1);
            let at = if self.newest_first {
                extent.max = extent.max.saturating_sub(width);
                extent.max
            } else {
                extent.min = extent.min.saturating_add(width);
                extent.min
            };
            if !(self.left.start < at && at < self.left.end) {
                continue;
            }
            extent.rows = rows.saturating_sub(wanted);
            if extent.rows > 0 && extent.min < extent.max {
                self.extents.push(extent);
            }
            let cut = if self.newest_first {
                TimeRange { start: at, end: std::mem::replace(&mut self.left.end, at) }
            } else {
                TimeRange { start: std::mem::replace(&mut self.left.start, at), end: at }
            };
            return Some(cut);
        }
        let last = self.left;
        self.left.start = self.left.end;
        Some(last)
    }
}

impl Extent {
    /// The part inside of a span, as if the records lay evenly.
    fn cut(mut self, span: TimeRange) -> Self {
        let all = (i128::from(self.max) - i128::from(self.min)).max(1);
        self.min = self.min.max(span.start);
        self.max = self.max.min(span.end - 1);
        let part = (i128::from(self.max) - i128::from(self.min)).clamp(0, all);
        self.rows = u64::try_from(i128::from(self.rows) * part / all).unwrap_or(self.rows).max(1);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut slices: Slices) -> Vec<TimeRange> {
        std::iter::from_fn(|| slices.next()).collect()
    }

    #[test]
    fn slices_hold_each_instant_once_in_order_and_grow() {
        let extents = [
            Extent { min: 0, max: 1_000_000, rows: 1_000_000 },
            Extent { min: 2_000_000, max: 2_000_100, rows: 100_000 },
        ];
        for span in [
            TimeRange::ALL,
            TimeRange { start: 500, end: 2_000_050 },
            TimeRange { start: 5_000_000, end: 6_000_000 },
        ] {
            for newest_first in [true, false] {
                let mut slices = all(Slices::new(span, &extents, newest_first));
                assert!(slices.len() < 8, "{slices:?}");
                if newest_first {
                    slices.reverse();
                }
                assert_eq!(slices.first().unwrap().start, span.start);
                assert_eq!(slices.last().unwrap().end, span.end);
                assert!(slices.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(slices.iter().all(|slice| !slice.is_empty()));
            }
        }
        let newest = all(Slices::new(TimeRange::ALL, &extents, true));
        assert!(newest[0].start > 2_000_080, "{newest:?}");
        assert_eq!(all(Slices::whole(TimeRange { start: 1, end: 2 })).len(), 1);
    }

    #[test]
    fn records_that_share_one_instant_end_the_slicing() {
        let extents = [Extent { min: 7, max: 7, rows: 1 << 40 }];
        assert!(all(Slices::new(TimeRange::ALL, &extents, true)).len() <= 2);
    }
}
