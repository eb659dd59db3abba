//! A text that is looked for: a phrase, a prefix or a substring, in one value or in a whole column at once.

use arrow_array::{Array, StringArray};
use memchr::memmem::Finder;

use super::selection::{Marks, Selection};
use crate::tokens::{is_word_after, is_word_before, is_word_char};

/// A non-empty text, and at which of its ends a word must not go on.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    finder: Finder<'static>,
    ends_word_before: bool,
    ends_word_after: bool,
}

impl Needle {
    /// Found as whole words; none for the empty text.
    pub(super) fn phrase(text: &str) -> Option<Self> {
        Self::new(text, true, true)
    }

    /// Found at the start of a word; none for the empty text.
    pub(super) fn prefix(text: &str) -> Option<Self> {
        Self::new(text, true, false)
    }

    /// Found anywhere; none for the empty text.
    pub(super) fn substring(text: &str) -> Option<Self> {
        Self::new(text, false, false)
    }

    fn new(text: &str, before: bool, after: bool) -> Option<Self> {
        let (first, last) = (text.chars().next()?, text.chars().next_back()?);
        Some(Self {
            finder: Finder::new(text).into_owned(),
            ends_word_before: before && is_word_char(first),
            ends_word_after: after && is_word_char(last),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.finder.needle().len()
    }

    pub(super) fn text(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Whether the needle is in the text.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.find(text, 0).is_some()
    }

    /// Where the needle first lies at or after `from`. Words are judged by the whole text.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(found) = self.finder.find(text.get(at..)?) {
            at += found;
            if self.fits(text, at) {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// Whether no word goes on over the ends of the needle when it lies at `at`.
    pub(super) fn fits(&self, text: &[u8], at: usize) -> bool {
        !(self.ends_word_before && is_word_before(text, at)
            || self.ends_word_after && is_word_after(text, at + self.len()))
    }

    /// The rows of `live` that hold the needle. `values` are the bytes of the column's values, or others of the same
    /// length in their place (letters in lower case).
    ///
    /// The values of a column lie one after the other, so one search runs over all of them, and a hit is brought to its
    /// row through the offsets; a hit that lies over two rows is none.
    pub(super) fn search(
        &self,
        column: &StringArray,
        values: &[u8],
        live: &Selection,
    ) -> Selection {
        let offsets = column.value_offsets();
        let end = offsets[column.len()] as usize;
        let mut marks = Marks::new(column.len());
        let (mut at, mut row) = (offsets[0] as usize, 0);
        while at < end
            && let Some(found) = self.finder.find(&values[at..end])
        {
            at += found;
            while offsets[row + 1] as usize <= at {
                row += 1;
            }
            let (row_start, row_end) = (offsets[row] as usize, offsets[row + 1] as usize);
            if !live.contains(row) || column.is_null(row) {
                at = row_end;
            } else if at + self.len() <= row_end
                && self.fits(&values[row_start..row_end], at - row_start)
            {
                marks.set(row);
                at = row_end;
            } else {
                at += 1;
            }
        }
        marks.into()
    }
}
