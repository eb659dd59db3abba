//! Where a record is: its stream, generation and offset, read out of hidden columns of whatever form.

use arrow_array::{Array, FixedSizeBinaryArray, UInt64Array};
use rookery_core::rows::{Column, Rows};
use rookery_core::{Position, StreamId};

/// The hidden copy of the record's time.
pub(crate) const HIDDEN_TIME: &str = "\0time";
/// The hidden copy of the stream's id.
pub(crate) const HIDDEN_STREAM: &str = "\0stream";
/// The hidden copy of the position's generation.
pub(crate) const HIDDEN_GENERATION: &str = "\0generation";
/// The hidden copy of the position's offset.
pub(crate) const HIDDEN_OFFSET: &str = "\0offset";

/// The places of the records of one batch.
pub(crate) struct Places<'a> {
    stream: Ids<'a>,
    generation: Numbers<'a>,
    offset: Numbers<'a>,
}

enum Ids<'a> {
    One(StreamId),
    Each(&'a FixedSizeBinaryArray),
    Texts(&'a Column),
}

enum Numbers<'a> {
    One(u64),
    Each(&'a UInt64Array),
    Texts(&'a Column),
}

impl<'a> Places<'a> {
    /// Of a batch that has the hidden columns; `None` when it has not.
    pub(crate) fn new(rows: &'a Rows) -> Option<Self> {
        let stream = match rows.column(HIDDEN_STREAM)? {
            Column::Const { value, .. } => Ids::One(value.parse().unwrap_or_default()),
            Column::Hex(a) if a.value_length() == 16 => Ids::Each(a),
            other => Ids::Texts(other),
        };
        let numbers = |column: &'a Column| match column {
            Column::Const { value, .. } => Numbers::One(value.parse().unwrap_or(0)),
            Column::UInt(a) => Numbers::Each(a),
            other => Numbers::Texts(other),
        };
        Some(Self {
            stream,
            generation: numbers(rows.column(HIDDEN_GENERATION)?),
            offset: numbers(rows.column(HIDDEN_OFFSET)?),
        })
    }

    /// The place of a row; zeros where the record does not say.
    pub(crate) fn at(&self, row: usize) -> (StreamId, Position) {
        let stream = match &self.stream {
            Ids::One(id) => *id,
            Ids::Each(a) if a.is_valid(row) => {
                StreamId(a.value(row).try_into().unwrap_or_default())
            }
            Ids::Each(_) => StreamId::default(),
            Ids::Texts(column) => column.text(row, &mut String::new()).parse().unwrap_or_default(),
        };
        let position =
            Position { generation: self.generation.at(row), offset: self.offset.at(row) };
        (stream, position)
    }
}

impl Numbers<'_> {
    fn at(&self, row: usize) -> u64 {
        match self {
            Self::One(value) => *value,
            Self::Each(a) if a.is_valid(row) => a.value(row),
            Self::Each(_) => 0,
            Self::Texts(column) => column.text(row, &mut String::new()).parse().unwrap_or(0),
        }
    }
}
