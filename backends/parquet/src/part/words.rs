//! The distinct words of a granule: gathered as hashes, turned into a filter.
//!
//! The words are those of the body and of every text field of the records, in one filter: fields are mostly cut out of the body, so
//! they add little, and a question for a word of a field can be answered too. Numbers of int64 columns are not in it; those have
//! a smallest and a largest value.

use rookery_core::tokens;
use xxhash_rust::xxh3::xxh3_64;

use super::fuse;

/// The hash of a word in a filter; part of the format.
pub(crate) fn hash(word: &str) -> u64 {
    // Zero marks an empty slot below.
    xxh3_64(word.as_bytes()).max(1)
}

/// How many of the latest words are kept apart: most words of a log line were in the line before.
const RECENT: usize = 1024;

/// The words of one granule.
#[derive(Debug)]
pub(crate) struct WordSet {
    recent: Box<[u64; RECENT]>,
    /// The same for whole values of fields.
    recent_values: Box<[u64; RECENT]>,
    slots: Vec<u64>,
    count: usize,
    distinct: Vec<u64>,
    scratch: fuse::Scratch,
}

impl Default for WordSet {
    fn default() -> Self {
        Self {
            recent: Box::new([0; RECENT]),
            recent_values: Box::new([0; RECENT]),
            slots: vec![0; 1 << 14],
            count: 0,
            distinct: Vec::new(),
            scratch: fuse::Scratch::default(),
        }
    }
}

impl WordSet {
    /// Adds the words of a text.
    pub(crate) fn add(&mut self, text: &str) {
        tokens::for_each_word(text, |word| self.insert(hash(word)));
    }

    /// Adds the words of the value of a field: most values were there before, and then their words are not looked for again.
    pub(crate) fn add_value(&mut self, value: &str) {
        let hash = hash(value);
        let recent = &mut self.recent_values[hash as usize % RECENT];
        if *recent != hash {
            *recent = hash;
            self.add(value);
        }
    }

    fn insert(&mut self, hash: u64) {
        let recent = &mut self.recent[hash as usize % RECENT];
        if *recent == hash {
            return;
        }
        *recent = hash;
        if self.count * 2 >= self.slots.len() {
            self.grow();
        }
        if place(&mut self.slots, hash) {
            self.count += 1;
        }
    }

    fn grow(&mut self) {
        let mut larger = vec![0; self.slots.len() * 2];
        for &hash in self.slots.iter().filter(|&&h| h != 0) {
            place(&mut larger, hash);
        }
        self.slots = larger;
    }

    /// The filter of all words since the last call, empty when there can be none; starts again.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.distinct.clear();
        self.distinct.extend(self.slots.iter().filter(|&&h| h != 0));
        self.slots.fill(0);
        self.recent.fill(0);
        self.recent_values.fill(0);
        self.count = 0;
        fuse::build(&self.distinct, &mut self.scratch).unwrap_or_default()
    }
}

/// Puts a hash into a table that has room; whether it is new.
fn place(slots: &mut [u64], hash: u64) -> bool {
    let mask = slots.len() - 1;
    // The low bits choose the place among the recent ones; the high bits are independent of them.
    let mut at = (hash >> 20) as usize & mask;
    loop {
        match slots[at] {
            0 => {
                slots[at] = hash;
                return true;
            }
            found if found == hash => return false,
            _ => at = (at + 1) & mask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_every_word_and_starts_again() {
        let mut set = WordSet::default();
        let text: String = (0..30_000).map(|i| format!("w{i} ")).collect();
        for round in 0..2 {
            set.add(&text);
            set.add("w5 again");
            assert_eq!(set.count, 30_001, "round {round}");
            let filter = set.finish();
            let shape = fuse::Shape::read(&filter).unwrap();
            let has = |word: &str| {
                let places = shape.places(hash(word));
                shape.matches(hash(word), places.map(|p| filter[fuse::HEADER_BYTES + p]))
            };
            assert!((0..30_000).all(|i| has(&format!("w{i}"))) && has("again"));
            assert!(!has("w30001") || !has("w30002") || !has("w30003"));
        }
    }
}
