//! What travels from a collector to a store: columns, and the account of what they cover.
//!
//! A [`Batch`] leaves a collector; a [`Block`] is what remains of some batches after duplicates were dropped, and is what
//! a store writes in one atomic act. Both say, stream by stream, which bytes of which generation they answer for.

mod check;
mod split;

use std::sync::Arc;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::{Position, StreamId, Tenant};

/// Some bytes of one generation, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Whose.
    pub stream: StreamId,
    /// In which file of the chain.
    pub generation: u64,
    /// The first byte, in the decompressed file.
    pub start: u64,
    /// The first byte after.
    pub end: u64,
    /// How many records start inside; for what was lost or shed, as far as it is known.
    pub records: u64,
    /// Where the range before this one ended, as its sender knows it; the default where nothing came before. It is what shows a
    /// loss over whole files: what lies between a stream's mark and this was sent and never arrived.
    pub after: Position,
    /// What became of them.
    pub fate: Fate,
}

impl Range {
    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Where the range ends.
    pub fn end_position(&self) -> Position {
        Position { generation: self.generation, offset: self.end }
    }
}

/// What became of some bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Their records are in the batch.
    Kept,
    /// They were given up by a limit or a rule that was asked for; the reason is its name.
    Shed(Reason),
    /// They could not be had; the reason says why.
    Lost(Reason),
}

/// A short name of why, for example `spool_budget`, `rate_limit`, `gap`, `deleted_unread`.
pub type Reason = std::borrow::Cow<'static, str>;

/// Records of one signal from one collector, in the order in which they are to be stored.
///
/// Of one stream, rows and ranges are in the order of the stream, and ranges meet without a hole, also between one
/// batch and the next: what is missing between them is a gap, and the ingester says so.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Whose data.
    pub tenant: Tenant,
    /// Who sends it: the node's name, or the name of a receiving process.
    pub collector: Arc<str>,
    /// The records, in the schema of [`crate::logs::schema`].
    pub records: RecordBatch,
    /// What the batch answers for.
    pub ranges: Vec<Range>,
}

impl Batch {
    /// About how many bytes it takes in memory; what a queue's limit counts.
    pub fn size_bytes(&self) -> usize {
        // Dictionaries may be shared between batches; counting them again errs on the safe side.
        held_bytes(&self.records) + self.ranges.len() * size_of::<Range>()
    }
}

/// The memory that records hold, in bytes, each piece of it once: the columns of a batch that came as one message all lie in the same piece,
/// which Arrow's own sum counts for every one of them.
pub fn held_bytes(records: &RecordBatch) -> usize {
    let mut arrays: Vec<_> = records.columns().iter().map(|column| column.to_data()).collect();
    let mut pieces = Vec::new();
    while let Some(array) = arrays.pop() {
        let nulls = array.nulls().map(arrow_buffer::NullBuffer::buffer);
        let buffers = array.buffers().iter().chain(nulls);
        pieces.extend(buffers.map(|buffer| (buffer.data_ptr(), buffer.capacity())));
        arrays.extend(array.child_data().iter().cloned());
    }
    pieces.sort_unstable();
    pieces.dedup();
    pieces.into_iter().map(|(_, bytes)| bytes).sum()
}

/// What a store writes in one atomic act: records of one tenant without duplicates, and their account.
#[derive(Debug, Clone)]
pub struct Block {
    /// Whose data.
    pub tenant: Tenant,
    /// Who writes it, and as which block of theirs.
    pub origin: Origin,
    /// The records, in the order of their streams, in the schema of [`crate::logs::schema`].
    pub records: Vec<RecordBatch>,
    /// The account: ranges that start at or after the stream's mark, gaps filled in as lost, duplicates counted.
    pub entries: Vec<Entry>,
}

impl Block {
    /// How many records.
    pub fn len(&self) -> usize {
        self.records.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there is neither a record nor an entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.len() == 0
    }
}

/// The name of a block: the same block has the same name at every try, and no other block ever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Origin {
    /// The partition of the queue that it came from.
    pub partition: u32,
    /// The claim under which it is written, see [`crate::store::Claim`].
    pub epoch: u64,
    /// Which block of that partition and claim; grows, from 0.
    pub sequence: u32,
}

/// One line of the account of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What is newly covered. It may be empty when all of it was a duplicate.
    pub range: Range,
    /// Records that had been stored before and were dropped.
    pub duplicates: u64,
    /// Bytes that had been covered before.
    pub duplicate_bytes: u64,
    /// The names that the stream had when the entry was made, for a person; the same text as the column `stream_tags`.
    pub tags: Arc<str>,
}
