//! What a template alone says of a test of its bodies, so that most bodies are never rebuilt.
//!
//! No slot begins or ends inside of a word. So a text that is looked for and that lies within one piece of a body (a text of the template, or a
//! value) is found in that piece alone, with the same words around it. It can lie over the end of a piece only where an end of the
//! template's text fits to an end of it, and that is seen in the template; such bodies are rebuilt.

use std::sync::Arc;

use arrow_array::StringArray;
use arrow_buffer::BooleanBuffer;
use hashbrown::HashMap;
use rookery_core::Result;
use rookery_core::filter::eval::{Predicate, needed_literals};
use rookery_core::filter::{Filter, Test};
use rookery_core::rows::{Column, Rows};
use rookery_core::tokens::{is_word_after, is_word_before, is_word_char, within_words};

use super::template::{Format, Slot, Template};
use super::{Kind, TEMPLATES_LIMIT};
use crate::sync::Mutex;

/// A test of bodies that templates can help to decide, made ready.
#[derive(Debug)]
pub(crate) struct BodyTest {
    /// What a body must pass.
    whole: Predicate,
    /// Texts of which a body that passes holds one; empty for [`Pieces::Word`].
    needles: Vec<String>,
    /// What is asked of single pieces.
    of_piece: Predicate,
    pieces: Pieces,
    /// Whether a number can pass.
    pub(crate) numbers: bool,
    /// What the templates said that were asked, by where they lie in memory; they are held so that they stay there.
    verdicts: Mutex<HashMap<usize, Known>>,
}

/// A template, and what it said.
type Known = (Arc<Template>, Arc<Verdict>);

/// What a text is called when it is tested.
const PIECE: &str = "piece";

fn predicate(any_of: impl IntoIterator<Item = Test>) -> Result<Predicate> {
    let filters = any_of.into_iter().map(|test| Filter::Field { field: PIECE.into(), test });
    Predicate::new(&Filter::Or(filters.collect()))
}

fn passing(predicate: &Predicate, texts: Column) -> Result<BooleanBuffer> {
    predicate.evaluate(&mut Rows { len: texts.len(), columns: vec![(PIECE.into(), texts)] })
}

/// What the answers of single pieces mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// A body passes when one of its pieces does.
    Word,
    /// The same, unless a needle lies over the end of a piece.
    Needle,
    /// A body whose pieces do not pass does not; another must be rebuilt and tested.
    Hint,
}

/// What a template says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No body passes.
    None,
    /// Every body passes.
    All,
    /// A body passes when the value of one of these slots passes the test of a piece.
    Slots(Vec<usize>),
    /// A body may pass when the value of one of these slots passes the test of a piece.
    MaybeSlots(Vec<usize>),
    /// Any body may pass.
    Maybe,
}

impl BodyTest {
    /// None for a test about which templates say nothing.
    ///
    /// # Errors
    /// Those of making a test ready.
    pub(crate) fn new(test: &Test) -> Result<Option<Self>> {
        let (needles, of_piece, pieces, numbers) = match test {
            Test::Phrase(text) | Test::Prefix(text) | Test::Substring(text) if !text.is_empty() => {
                (vec![text.clone()], vec![test.clone()], Pieces::Needle, could_be_number(text))
            }
            Test::Regexp(pattern) => {
                let pattern = pattern.regex().as_str();
                if let Some(within) = within_words(pattern) {
                    (Vec::new(), vec![test.clone()], Pieces::Word, within.digits)
                } else if let Some(needles) = needed_literals(pattern) {
                    // A space at an end would fit to the ends of many texts of templates.
                    let trim =
                        |needle: String| needle.trim_matches(|c: char| !is_word_char(c)).to_owned();
                    let needles: Vec<String> = needles.into_iter().map(trim).collect();
                    if needles.iter().any(String::is_empty) {
                        return Ok(None);
                    }
                    let of_piece = needles.iter().cloned().map(Test::Substring).collect();
                    let numbers = needles.iter().any(|needle| could_be_number(needle));
                    (needles, of_piece, Pieces::Hint, numbers)
                } else {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        };
        let verdicts = Mutex::default();
        let (whole, of_piece) = (predicate([test.clone()])?, predicate(of_piece)?);
        Ok(Some(Self { whole, needles, of_piece, pieces, numbers, verdicts }))
    }

    /// Which of some pieces pass the test of a piece.
    ///
    /// # Errors
    /// Those of evaluating it.
    pub(crate) fn pieces_that_pass(&self, pieces: Column) -> Result<BooleanBuffer> {
        passing(&self.of_piece, pieces)
    }

    /// Which of some bodies pass.
    ///
    /// # Errors
    /// Those of evaluating the test.
    pub(crate) fn bodies_that_pass(&self, bodies: Column) -> Result<BooleanBuffer> {
        passing(&self.whole, bodies)
    }

    /// What a template says.
    ///
    /// # Errors
    /// Those of evaluating the test.
    pub(crate) fn verdict(&self, template: &Arc<Template>) -> Result<Arc<Verdict>> {
        let place = Arc::as_ptr(template) as usize;
        if let Some((_, known)) = self.verdicts.lock().get(&place) {
            return Ok(known.clone());
        }
        let verdict = Arc::new(self.judge(template)?);
        let mut verdicts = self.verdicts.lock();
        if verdicts.len() >= TEMPLATES_LIMIT {
            verdicts.clear();
        }
        verdicts.insert(place, (template.clone(), verdict.clone()));
        Ok(verdict)
    }

    fn judge(&self, template: &Template) -> Result<Verdict> {
        let texts: StringArray = template.texts.iter().map(|text| Some(text.as_ref())).collect();
        let in_texts = self.pieces_that_pass(Column::Text(texts))?.count_set_bits() > 0;
        match (in_texts, self.pieces) {
            (true, Pieces::Hint) => return Ok(Verdict::Maybe),
            (true, _) => return Ok(Verdict::All),
            (false, _) => {}
        }
        if self.needles.iter().any(|needle| lies_over(needle, template)) {
            return Ok(Verdict::Maybe);
        }
        let slots = template.slots.iter().enumerate();
        let slots: Vec<usize> =
            slots.filter(|(_, slot)| self.may_pass(slot)).map(|(index, _)| index).collect();
        Ok(match (slots.is_empty(), self.pieces) {
            (true, _) => Verdict::None,
            (false, Pieces::Hint) => Verdict::MaybeSlots(slots),
            (false, _) => Verdict::Slots(slots),
        })
    }
}

impl BodyTest {
    /// Whether a text with no other bytes than these can pass as a piece. `bytes` is a [`byte_mask`].
    pub(crate) fn may_pass_with(&self, bytes: u64) -> bool {
        self.needles.is_empty()
            || self.needles.iter().any(|needle| byte_mask(needle.as_bytes()) & !bytes == 0)
    }

    /// Whether the value of a slot can pass, as far as its column and format tell.
    fn may_pass(&self, slot: &Slot) -> bool {
        let any = |fits: fn(u8) -> bool| {
            self.needles.is_empty() || self.needles.iter().any(|needle| needle.bytes().all(fits))
        };
        match slot.column.as_ref() {
            _ if is_number(slot) => self.numbers,
            "trace_id" | "span_id" => any(|b| b.is_ascii_hexdigit()),
            // One word, or a UUID.
            name if is_own(name, Kind::Text) => {
                any(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || !b.is_ascii())
            }
            _ => true,
        }
    }
}

/// Which bytes are in a text, one bit for four of them each.
pub(crate) fn byte_mask(text: &[u8]) -> u64 {
    let mut seen = [false; 256];
    for &byte in text {
        seen[usize::from(byte)] = true;
    }
    let bits = seen.iter().enumerate().filter(|(_, seen)| **seen);
    bits.fold(0, |mask, (byte, _)| mask | 1 << (byte & 63))
}

fn is_own(column: &str, kind: Kind) -> bool {
    let number = column.strip_prefix(kind.prefix());
    number.is_some_and(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether the value of a slot is surely printed from a number of ours: digits and what stands between them in times and addresses. The
/// column of a field may be of either type, so nothing is said of it.
fn is_number(slot: &Slot) -> bool {
    slot.format != Format::Plain || is_own(&slot.column, Kind::Number)
}

fn could_be_number(needle: &str) -> bool {
    needle.bytes().all(|b| b.is_ascii_digit() || b".:,-TZ".contains(&b))
}

/// Whether an occurrence of a needle can begin in one piece of a body and end in another.
fn lies_over(needle: &str, template: &Template) -> bool {
    let needle = needle.as_bytes();
    // Pieces end between words, so a needle can be cut only there.
    let is_cut = |at: usize| !(is_word_before(needle, at) && is_word_after(needle, at));
    let inner = 1..needle.len();
    let cuts: Vec<usize> = inner.filter(|&at| is_cut(at)).collect();
    let last = template.texts.len() - 1;
    template.texts.iter().enumerate().any(|(index, text)| {
        let text = text.as_bytes();
        let (left, right) = (index > 0, index < last);
        let is_inside = |at: usize| {
            let end = at + text.len();
            (at == 0 || left && is_cut(at)) && (end == needle.len() || right && is_cut(end))
        };
        match text {
            [] => left && right && !cuts.is_empty(),
            text => {
                right && cuts.iter().any(|&at| text.ends_with(&needle[..at]))
                    || left && cuts.iter().any(|&at| text.starts_with(&needle[at..]))
                    || needle.windows(text.len()).enumerate().any(|(at, piece)| {
                        piece == text && piece.len() < needle.len() && is_inside(at)
                    })
            }
        }
    })
}
