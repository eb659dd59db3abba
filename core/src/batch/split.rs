//! A batch cut in two, for a queue whose messages have a limit.
//!
//! ```text
//! rows      a1 a2 b1 | a3 b2          a3 is the first row of stream a behind the cut, b2 that of b
//! ranges    a [0, 90)    b [0, 50)
//! first     a [0, 60)    b [0, 20)    what lies before the start of a3, and before that of b2
//! second    a [60, 90)   b [20, 50)
//! ```
//!
//! Pure, and no column is copied: both halves are slices of the same buffers.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{FixedSizeBinaryArray, RecordBatch};

use super::{Batch, Range};
use crate::{Error, Position, Result, StreamId};

impl Batch {
    /// Cuts the batch before a row: the first `row` rows (all, when there are fewer), and the rest.
    ///
    /// The ranges of both together are the ranges of the whole, byte for byte, in its order; one that holds rows of both is cut at the first byte
    /// of its first row behind the cut, and its count of records is shared out. A stream without a row behind the cut is wholly in the first half.
    /// So when the batch keeps what [`Batch`] promises, each half does, and the second continues the first.
    ///
    /// Send the halves in this order, and call the batch safe only when both are: who reads a file again from the cut may meet the later lines
    /// of a record that starts before it.
    ///
    /// The halves share their columns with the whole, so [`Batch::size_bytes`] is about that of the whole; what a half takes as a message
    /// is known when it is encoded.
    ///
    /// # Errors
    /// `corrupt` when the records are not in the schema of [`crate::logs::schema`].
    pub fn split_at_row(self, row: usize) -> Result<(Self, Self)> {
        let row = row.min(self.records.num_rows());
        let rows = Rows::of(&self.records)?;
        let cuts = rows.first_of_each_stream(row);
        let mut first: Vec<Range> = Vec::with_capacity(self.ranges.len());
        let mut second = Vec::with_capacity(self.ranges.len());
        let mut shared: HashMap<StreamId, Shared> = HashMap::new();
        for range in self.ranges {
            let cut = cuts.get(&range.stream).filter(|cut| **cut < range.end_position());
            match cut {
                None => first.push(range),
                Some(cut) if *cut <= start_of(&range) => second.push(range),
                Some(cut) => {
                    let places = Shared { first: first.len(), second: second.len(), kept: 0 };
                    shared.insert(range.stream, places);
                    second.push(Range { start: cut.offset, after: *cut, ..range.clone() });
                    first.push(Range { end: cut.offset, ..range });
                }
            }
        }
        for before in 0..row {
            if let Some(range) = shared.get_mut(&rows.stream(before)) {
                range.kept += u64::from(rows.position(before) >= start_of(&first[range.first]));
            }
        }
        for range in shared.values() {
            let (first, second) = (&mut first[range.first], &mut second[range.second]);
            first.records = second.records.min(range.kept);
            second.records -= first.records;
        }
        let rest = self.records.num_rows() - row;
        let second = Self {
            tenant: self.tenant.clone(),
            collector: self.collector.clone(),
            records: self.records.slice(row, rest),
            ranges: second,
        };
        let records = self.records.slice(0, row);
        Ok((Self { records, ranges: first, ..self }, second))
    }
}

/// A range that has rows of both halves.
struct Shared {
    /// Its places in the ranges of the halves.
    first: usize,
    second: usize,
    /// How many of its rows are in the first half.
    kept: u64,
}

fn start_of(range: &Range) -> Position {
    Position { generation: range.generation, offset: range.start }
}

/// The columns that say what a row is.
pub(super) struct Rows<'a> {
    stream: &'a FixedSizeBinaryArray,
    generation: &'a [u64],
    offset: &'a [u64],
}

impl<'a> Rows<'a> {
    pub(super) fn of(records: &'a RecordBatch) -> Result<Self> {
        let wrong =
            |name| Error::corrupt(format!("a batch of logs has no column {name:?} of its type"));
        let column = |name| records.column_by_name(name).ok_or_else(|| wrong(name));
        let numbers = |name| {
            let array = column(name)?.as_primitive_opt::<UInt64Type>();
            Ok::<&'a [u64], Error>(array.ok_or_else(|| wrong(name))?.values())
        };
        let stream = column("stream")?.as_fixed_size_binary_opt();
        Ok(Self {
            stream: stream.filter(|s| s.value_length() == 16).ok_or_else(|| wrong("stream"))?,
            generation: numbers("generation")?,
            offset: numbers("offset")?,
        })
    }

    pub(super) fn stream(&self, row: usize) -> StreamId {
        StreamId(self.stream.value(row).try_into().expect("the column is of 16 bytes"))
    }

    pub(super) fn position(&self, row: usize) -> Position {
        Position { generation: self.generation[row], offset: self.offset[row] }
    }

    /// Where each stream's first row at or after `from` starts.
    fn first_of_each_stream(&self, from: usize) -> HashMap<StreamId, Position> {
        let mut found = HashMap::new();
        for row in from..self.offset.len() {
            found.entry(self.stream(row)).or_insert_with(|| self.position(row));
        }
        found
    }
}

#[cfg(test)]
mod tests;
