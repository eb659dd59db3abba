//! A set of rows that are still undecided: what the tests of a conjunction narrow, one after the other.

use arrow_buffer::{BooleanBuffer, Buffer, bit_util};

/// When fewer than one row in this many is left, rows are tested one by one, not the column as a whole.
const SPARSE: usize = 4;

/// Some rows of `len`; `bits` is absent while it is all of them.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    len: usize,
    count: usize,
    bits: Option<BooleanBuffer>,
}

impl Selection {
    pub(super) fn all(len: usize) -> Self {
        Self { len, count: len, bits: None }
    }

    pub(super) fn none(len: usize) -> Self {
        Self { len, count: 0, bits: Some(BooleanBuffer::new_unset(len)) }
    }

    pub(super) fn from_bits(bits: BooleanBuffer) -> Self {
        Self { len: bits.len(), count: bits.count_set_bits(), bits: Some(bits) }
    }

    pub(super) fn into_bits(self) -> BooleanBuffer {
        self.bits.unwrap_or_else(|| BooleanBuffer::new_set(self.len))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_all(&self) -> bool {
        self.count == self.len
    }

    /// Whether so few rows are left that each is better tested by itself.
    pub(super) fn is_sparse(&self) -> bool {
        self.count < self.len / SPARSE
    }

    pub(super) fn contains(&self, row: usize) -> bool {
        self.bits.as_ref().is_none_or(|bits| bits.value(row))
    }

    /// The rows of this set that pass.
    pub(super) fn keep(&self, mut pass: impl FnMut(usize) -> bool) -> Self {
        match &self.bits {
            _ if self.is_empty() => Self::none(self.len),
            Some(bits) if !self.is_all() => {
                let mut marks = Marks::new(self.len);
                for row in bits.set_indices() {
                    if pass(row) {
                        marks.set(row);
                    }
                }
                marks.into()
            }
            _ => Self::from_bits(BooleanBuffer::collect_bool(self.len, pass)),
        }
    }

    /// All of the rows, or none of them.
    pub(super) fn keep_if(&self, pass: bool) -> Self {
        if pass { self.clone() } else { Self::none(self.len) }
    }

    /// The rows that are in one of the sets.
    pub(super) fn or(&self, other: &Self) -> Self {
        match (&self.bits, &other.bits) {
            (None, _) => self.clone(),
            (_, None) => other.clone(),
            (Some(a), Some(b)) => Self::from_bits(a | b),
        }
    }

    /// The rows of this set that are not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        match (&self.bits, &other.bits) {
            (_, None) => Self::none(self.len),
            (None, Some(b)) => Self::from_bits(!b),
            (Some(a), Some(b)) => Self::from_bits(a & &!b),
        }
    }
}

/// A set of rows in the making.
pub(super) struct Marks {
    len: usize,
    bytes: Vec<u8>,
}

impl Marks {
    pub(super) fn new(len: usize) -> Self {
        Self { len, bytes: vec![0; len.div_ceil(8)] }
    }

    pub(super) fn set(&mut self, row: usize) {
        bit_util::set_bit(&mut self.bytes, row);
    }
}

impl From<Marks> for Selection {
    fn from(marks: Marks) -> Self {
        Self::from_bits(BooleanBuffer::new(Buffer::from_vec(marks.bytes), 0, marks.len))
    }
}
