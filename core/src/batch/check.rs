//! Whether a batch that came from outside keeps what [`Batch`] promises.

use std::collections::HashMap;

use super::split::Rows;
use super::{Batch, Fate};
use crate::{Error, Position, Result, StreamId, logs};

/// What the rows of one stream are held against.
#[derive(Default)]
struct Stream {
    /// First byte and first byte after, in order.
    kept: Vec<(Position, Position)>,
    /// In which of them the last row was.
    at: usize,
    last: Option<Position>,
}

impl Batch {
    /// Checks that the columns are those of logs, that no range ends before it starts, and that each row lies in a kept range of its stream, behind the row
    /// before it.
    ///
    /// # Errors
    /// `corrupt`, with what is wrong.
    pub fn check(&self) -> Result<()> {
        if self.records.schema() != logs::schema() {
            return Err(Error::corrupt("the columns of the batch are not those of logs"));
        }
        let mut streams: HashMap<StreamId, Stream> = HashMap::new();
        for range in &self.ranges {
            if range.end < range.start {
                return Err(Error::corrupt(format!(
                    "a range of stream {} ends before it starts",
                    range.stream
                )));
            }
            if range.fate == Fate::Kept {
                let start = Position { generation: range.generation, offset: range.start };
                let stream = streams.entry(range.stream).or_default();
                stream.kept.push((start, range.end_position()));
            }
        }
        for stream in streams.values_mut() {
            stream.kept.sort_unstable();
        }
        let rows = Rows::of(&self.records)?;
        let mut row = 0;
        while row < self.records.num_rows() {
            let id = rows.stream(row);
            let stray = |at: Position| {
                Error::corrupt(format!(
                    "a record of stream {id} at {}:{} is in no range of the batch, or out of order",
                    at.generation, at.offset
                ))
            };
            let stream = streams.get_mut(&id).ok_or_else(|| stray(rows.position(row)))?;
            // Rows of one stream mostly stand together.
            while row < self.records.num_rows() && rows.stream(row) == id {
                let at = rows.position(row);
                if !stream.takes(at) {
                    return Err(stray(at));
                }
                row += 1;
            }
        }
        Ok(())
    }
}

impl Stream {
    fn takes(&mut self, at: Position) -> bool {
        if self.last.is_some_and(|last| last >= at) {
            return false;
        }
        self.last = Some(at);
        while let Some((start, end)) = self.kept.get(self.at) {
            if at < *end {
                return *start <= at;
            }
            self.at += 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Tenant;
    use crate::batch::Range;
    use crate::logs::Resource;
    use crate::logs::builder::{Head, LogBatchBuilder};

    fn batch(rows: &[(u8, u64)], ranges: &[(u8, u64, u64)]) -> Batch {
        let mut builder = LogBatchBuilder::default();
        let resource = builder.resource(&Arc::new(Resource::default()));
        for (stream, offset) in rows {
            builder.push_body("x");
            builder.finish_record(Head {
                resource,
                stream: StreamId([*stream; 16]),
                position: Position { generation: 7, offset: *offset },
                time: 0,
                observed: 0,
                severity: 0,
                trace_id: None,
                span_id: None,
            });
        }
        let range = |&(stream, start, end): &(u8, u64, u64)| Range {
            stream: StreamId([stream; 16]),
            generation: 7,
            start,
            end,
            records: 0,
            after: Position::default(),
            fate: Fate::Kept,
        };
        Batch {
            tenant: Tenant::default(),
            collector: "node".into(),
            records: builder.finish().unwrap(),
            ranges: ranges.iter().map(range).collect(),
        }
    }

    #[test]
    fn rows_must_lie_in_kept_ranges_in_order() {
        let ranges = &[(1, 0, 10), (2, 5, 9), (1, 20, 30)];
        batch(&[], ranges).check().unwrap();
        batch(&[(1, 0), (1, 9), (2, 5), (1, 20), (2, 8)], ranges).check().unwrap();
        for stray in [(1, 10), (1, 19), (1, 30), (2, 4), (3, 0)] {
            let error = batch(&[stray], ranges).check().unwrap_err();
            assert_eq!(error.kind(), crate::Kind::Corrupt, "{stray:?}");
        }
        assert!(batch(&[(1, 5), (1, 5)], ranges).check().is_err());
        assert!(batch(&[(1, 5), (2, 5), (1, 4)], ranges).check().is_err());
        assert!(batch(&[], &[(1, 5, 4)]).check().is_err());
    }

    #[test]
    fn a_shed_range_holds_no_rows_and_other_columns_are_refused() {
        let mut shed = batch(&[(1, 5)], &[(1, 0, 10)]);
        shed.ranges[0].fate = Fate::Shed("rate_limit".into());
        assert!(shed.check().is_err());
        let mut other = batch(&[(1, 5)], &[(1, 0, 10)]);
        other.records = other.records.project(&[0, 1, 2, 3, 4]).unwrap();
        assert!(other.check().is_err());
    }
}
