//! Groups: which rows have the same values in some fields.
//!
//! A value of a field gets a *code*, a small number, by an [`Interner`] that keeps each different text once in an arena. A
//! dictionary's entries are looked up once per batch and only when a row uses them, whole numbers and times by number, a run of
//! equal values once. A tuple of codes gets the *group* by folding it pairwise through maps from two codes to one. So no row
//! costs an allocation, and most cost no hash of a text.
//!
//! Each worker has a [`Groups`] of its own; [`Groups::merge`] translates the groups of one into those of another by text.

use arrow_array::{Array, StringArray};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use rookery_core::rows::{Column, Rows, dictionary_values};

use super::bucket::Bucket;
use super::columns;

/// A map with the quick hash that does not resist chosen keys; used for numbers that we made ourselves.
pub(crate) type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A set with the same hash.
pub(crate) type FastSet<K> = hashbrown::HashSet<K, foldhash::fast::RandomState>;

/// Different texts, each once, numbered in the order in which they came.
pub(crate) struct Interner {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    hashes: Vec<u64>,
    table: HashTable<u32>,
    state: FixedState,
    /// The number of the empty text.
    empty: Option<u32>,
}

impl Default for Interner {
    fn default() -> Self {
        let seed = rookery_core::time::now() as u64;
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            hashes: Vec::new(),
            table: HashTable::new(),
            state: FixedState::with_seed(seed),
            empty: None,
        }
    }
}

impl Interner {
    /// The number of a text.
    ///
    /// The empty one is told by its length alone: comparing nothing as bytes reads, with a mask of nothing, at an address
    /// that need not exist, which costs a processor more than a hundred nanoseconds.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        match self.empty {
            Some(empty) if text.is_empty() => empty,
            _ => {
                let at = self.find_or_insert(text);
                if text.is_empty() {
                    self.empty = Some(at);
                }
                at
            }
        }
    }

    fn find_or_insert(&mut self, text: &str) -> u32 {
        use std::hash::{BuildHasher as _, Hasher as _};
        let mut hasher = self.state.build_hasher();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        let (bytes, ends) = (&self.bytes, &self.ends);
        let found = self.table.find(hash, |at| slice(bytes, ends, *at) == text.as_bytes());
        if let Some(at) = found {
            return *at;
        }
        let at = self.ends.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len());
        self.hashes.push(hash);
        let hashes = &self.hashes;
        self.table.insert_unique(hash, at, |at| hashes[*at as usize]);
        at
    }

    /// The text of a number.
    pub(crate) fn text(&self, at: u32) -> &str {
        let text = std::str::from_utf8(slice(&self.bytes, &self.ends, at));
        text.expect("only whole texts are interned")
    }

    /// How many texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// About how many bytes it holds.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 16 + self.table.capacity() * 5
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[usize], at: u32) -> &'a [u8] {
    let at = at as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] };
    &bytes[start..ends[at]]
}

/// The codes of the rows of one batch.
pub(crate) enum Codes<'a> {
    /// All rows have this one.
    One(u32),
    /// One for each row.
    Each(&'a [u32]),
}

impl Codes<'_> {
    /// The code of a row.
    #[inline]
    pub(crate) fn of(&self, row: usize) -> u32 {
        match self {
            Self::One(code) => *code,
            Self::Each(codes) => codes[row],
        }
    }
}

/// The codes of one field's values, over all batches of one worker.
pub(crate) struct Coder {
    bucket: Bucket,
    texts: Interner,
    signed: FastMap<i64, u32>,
    unsigned: FastMap<u64, u32>,
    rows: Vec<u32>,
    one: Option<u32>,
    scratch: String,
    bucketed: String,
}

const UNSEEN: u32 = u32::MAX;

impl Coder {
    /// For values cut into buckets.
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            texts: Interner::default(),
            signed: FastMap::default(),
            unsigned: FastMap::default(),
            rows: Vec::new(),
            one: None,
            scratch: String::new(),
            bucketed: String::new(),
        }
    }

    /// The different values so far, by code.
    pub(crate) fn texts(&self) -> &Interner {
        &self.texts
    }

    /// The code of a text that is already cut into its bucket.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        self.texts.intern(text)
    }

    /// The codes of the column that was encoded last.
    pub(crate) fn codes(&self) -> Codes<'_> {
        self.one.map_or(Codes::Each(&self.rows), Codes::One)
    }

    /// Finds the codes of a column's rows; a column of no rows has none.
    pub(crate) fn encode(&mut self, column: &Column) {
        self.rows.clear();
        self.one = None;
        match column {
            Column::Const { value, len } => {
                if *len > 0 {
                    self.one = Some(self.code(value));
                }
            }
            Column::Dict(a) => {
                let values = dictionary_values(a);
                let mut codes = vec![UNSEEN; values.len()];
                if a.null_count() == 0 {
                    for key in a.keys().values() {
                        let code =
                            self.entry(&mut codes[*key as usize], values.value(*key as usize));
                        self.rows.push(code);
                    }
                } else {
                    let mut missing = UNSEEN;
                    for key in a.keys() {
                        let (known, text) = match key {
                            Some(key) => (&mut codes[key as usize], values.value(key as usize)),
                            None => (&mut missing, ""),
                        };
                        let code = self.entry(known, text);
                        self.rows.push(code);
                    }
                }
            }
            Column::Time(a) if a.null_count() == 0 => self.encode_times(a.values()),
            Column::Int(a) => {
                let (mut empty, mut last) = (UNSEEN, None);
                for value in a {
                    let code = match (value, last) {
                        (None, _) => self.entry(&mut empty, ""),
                        (Some(value), Some((v, code))) if v == value => code,
                        (Some(value), _) => {
                            let code = self.signed_code(value);
                            last = Some((value, code));
                            code
                        }
                    };
                    self.rows.push(code);
                }
            }
            Column::UInt(a) => {
                let mut empty = UNSEEN;
                for value in a {
                    let code = match value {
                        None => self.entry(&mut empty, ""),
                        Some(value) => self.unsigned_code(value),
                    };
                    self.rows.push(code);
                }
            }
            Column::Text(a) => self.encode_texts(a),
            other => {
                let mut scratch = std::mem::take(&mut self.scratch);
                for row in 0..other.len() {
                    let code = self.code(other.text(row, &mut scratch));
                    self.rows.push(code);
                }
                self.scratch = scratch;
            }
        }
    }

    /// Neighbours are often equal. Empty values are not compared as bytes, see [`Interner::intern`].
    fn encode_texts(&mut self, array: &StringArray) {
        let mut empty = UNSEEN;
        let mut last: (&str, u32) = ("", UNSEEN);
        for value in array {
            let value = value.unwrap_or("");
            let code = if value.is_empty() {
                self.entry(&mut empty, "")
            } else if value.len() == last.0.len() && value == last.0 {
                last.1
            } else {
                last = (value, self.code(value));
                last.1
            };
            self.rows.push(code);
        }
    }

    /// Neighbouring records are close in time: most fall into the bucket of the one before.
    fn encode_times(&mut self, times: &[i64]) {
        let (mut start, mut end, mut code) = (0i64, 0i64, 0u32);
        for time in times {
            if *time < start || *time >= end {
                (start, end) = self.bucket.time_span(*time);
                code = self.time_code(start);
            }
            self.rows.push(code);
        }
    }

    /// The code of an entry of a dictionary, looked up when a row first uses it.
    fn entry(&mut self, known: &mut u32, text: &str) -> u32 {
        if *known == UNSEEN {
            *known = self.code(text);
        }
        *known
    }

    fn code(&mut self, text: &str) -> u32 {
        if matches!(self.bucket, Bucket::Exact) {
            return self.texts.intern(text);
        }
        let mut bucketed = std::mem::take(&mut self.bucketed);
        bucketed.clear();
        self.bucket.cut_text(text, &mut bucketed);
        let code = self.texts.intern(&bucketed);
        self.bucketed = bucketed;
        code
    }

    #[cold]
    fn time_code(&mut self, start: i64) -> u32 {
        self.scratch.clear();
        rookery_core::time::write_rfc3339(&mut self.scratch, start);
        self.texts.intern(&self.scratch)
    }

    fn signed_code(&mut self, value: i64) -> u32 {
        if let Some(code) = self.signed.get(&value) {
            return *code;
        }
        let code = self.code(&value.to_string());
        self.signed.insert(value, code);
        code
    }

    fn unsigned_code(&mut self, value: u64) -> u32 {
        if let Some(code) = self.unsigned.get(&value) {
            return *code;
        }
        let code = self.code(&value.to_string());
        self.unsigned.insert(value, code);
        code
    }

    /// About how many bytes it holds.
    pub(crate) fn size_bytes(&self) -> usize {
        self.texts.size_bytes() + self.signed.capacity() * 17 + self.unsigned.capacity() * 17
    }
}

/// Maps two codes to one.
#[derive(Default)]
pub(crate) struct Pairs {
    codes: FastMap<u64, u32>,
}

impl Pairs {
    /// The code of a pair, and whether it is new.
    #[inline]
    pub(crate) fn code(&mut self, a: u32, b: u32) -> (u32, bool) {
        let next = self.codes.len() as u32;
        let code = *self.codes.entry(u64::from(a) << 32 | u64::from(b)).or_insert(next);
        (code, code == next)
    }

    /// About how many bytes it holds.
    pub(crate) fn size_bytes(&self) -> usize {
        self.codes.capacity() * 17
    }
}

/// The groups of rows by some fields.
pub(crate) struct Groups {
    fields: Vec<String>,
    coders: Vec<Coder>,
    /// `folds[i]` joins the code of the first `i + 1` fields with that of the next.
    folds: Vec<Pairs>,
    /// The codes of each group, field by field; only with more than one field.
    tuples: Vec<u32>,
    ids: Vec<u32>,
    one: Option<u32>,
    count: usize,
}

impl Groups {
    /// Groups by these fields; without a field, one group of all.
    pub(crate) fn new(by: &[(String, Bucket)]) -> Self {
        Self {
            fields: by.iter().map(|(field, _)| field.clone()).collect(),
            coders: by.iter().map(|(_, bucket)| Coder::new(bucket.clone())).collect(),
            folds: (1..by.len()).map(|_| Pairs::default()).collect(),
            tuples: Vec::new(),
            ids: Vec::new(),
            one: None,
            count: usize::from(by.is_empty()),
        }
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        if self.coders.len() == 1 { self.coders[0].texts.len() } else { self.count }
    }

    /// The groups of the rows of the batch that was encoded last.
    pub(crate) fn codes(&self) -> Codes<'_> {
        match self.coders.as_slice() {
            [] => Codes::One(0),
            [only] => only.codes(),
            _ => self.one.map_or(Codes::Each(&self.ids), Codes::One),
        }
    }

    /// Finds the groups of the rows of a batch.
    pub(crate) fn encode(&mut self, rows: &Rows) {
        let empty = Column::constant("", rows.len);
        for (coder, field) in self.coders.iter_mut().zip(&self.fields) {
            coder.encode(rows.column(field).unwrap_or(&empty));
        }
        if self.coders.len() < 2 || rows.len == 0 {
            return;
        }
        let codes: Vec<Codes<'_>> = self.coders.iter().map(Coder::codes).collect();
        self.one = None;
        self.ids.clear();
        if codes.iter().all(|c| matches!(c, Codes::One(_))) {
            let tuple: Vec<u32> = codes.iter().map(|c| c.of(0)).collect();
            self.one = Some(fold(&mut self.folds, &mut self.tuples, &mut self.count, &tuple));
            return;
        }
        let mut last = vec![UNSEEN; codes.len()];
        let mut tuple = vec![0; codes.len()];
        let mut id = 0;
        for row in 0..rows.len {
            for (slot, code) in tuple.iter_mut().zip(&codes) {
                *slot = code.of(row);
            }
            if tuple != last {
                id = fold(&mut self.folds, &mut self.tuples, &mut self.count, &tuple);
                last.copy_from_slice(&tuple);
            }
            self.ids.push(id);
        }
    }

    /// The value of the `field`-th field of a group.
    pub(crate) fn value(&self, group: usize, field: usize) -> &str {
        let code = if self.coders.len() == 1 {
            group as u32
        } else {
            self.tuples[group * self.coders.len() + field]
        };
        self.coders[field].texts.text(code)
    }

    /// Takes over the groups of another; the answer says which group each of them is here.
    pub(crate) fn merge(&mut self, other: &Self) -> Vec<u32> {
        if self.coders.is_empty() {
            return vec![0];
        }
        let translate = |mine: &mut Coder, theirs: &Coder| -> Vec<u32> {
            (0..theirs.texts.len() as u32).map(|c| mine.intern(theirs.texts.text(c))).collect()
        };
        let codes: Vec<Vec<u32>> =
            self.coders.iter_mut().zip(&other.coders).map(|(a, b)| translate(a, b)).collect();
        if let [only] = codes.as_slice() {
            return only.clone();
        }
        let width = self.coders.len();
        let tuples = other.tuples.chunks_exact(width);
        let groups = tuples.map(|tuple| {
            let tuple: Vec<u32> =
                tuple.iter().zip(&codes).map(|(c, map)| map[*c as usize]).collect();
            fold(&mut self.folds, &mut self.tuples, &mut self.count, &tuple)
        });
        groups.collect()
    }

    /// The fields' values of some groups, as columns.
    pub(crate) fn columns(&self, groups: &[u32]) -> Vec<Column> {
        let of =
            |field| columns::text_column(groups.iter().map(|g| self.value(*g as usize, field)));
        (0..self.coders.len()).map(of).collect()
    }

    /// About how many bytes it holds.
    pub(crate) fn size_bytes(&self) -> usize {
        self.coders.iter().map(Coder::size_bytes).sum::<usize>()
            + self.folds.iter().map(Pairs::size_bytes).sum::<usize>()
            + self.tuples.capacity() * 4
    }
}

/// The group of a tuple of codes; a new one is written down.
#[inline]
fn fold(folds: &mut [Pairs], tuples: &mut Vec<u32>, count: &mut usize, tuple: &[u32]) -> u32 {
    let (mut code, mut new) = (tuple[0], false);
    for (pairs, next) in folds.iter_mut().zip(&tuple[1..]) {
        (code, new) = pairs.code(code, *next);
    }
    if new {
        tuples.extend_from_slice(tuple);
        *count += 1;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::columns::{name, text_column, uint_column};

    fn rows(a: Column, b: Column) -> Rows {
        Rows { len: a.len(), columns: vec![(name("a"), a), (name("b"), b)] }
    }

    fn by(fields: &[&str]) -> Groups {
        let by: Vec<_> = fields.iter().map(|f| (f.to_string(), Bucket::Exact)).collect();
        Groups::new(&by)
    }

    fn values(groups: &Groups, codes: Vec<u32>, width: usize) -> Vec<Vec<String>> {
        let of = |g: u32| (0..width).map(|f| groups.value(g as usize, f).to_string()).collect();
        codes.into_iter().map(of).collect()
    }

    fn each(codes: &Codes<'_>, len: usize) -> Vec<u32> {
        (0..len).map(|row| codes.of(row)).collect()
    }

    #[test]
    fn equal_texts_are_one_group_whatever_the_form() {
        let mut groups = by(&["a", "b"]);
        let one = rows(uint_column([1, 2, 1]), text_column(["x", "x", "y"]));
        let two = rows(text_column(["1", "2", ""]), Column::constant("x", 3));
        groups.encode(&one);
        let first = each(&groups.codes(), 3);
        groups.encode(&two);
        let second = each(&groups.codes(), 3);
        assert_eq!((first[0], first[1]), (second[0], second[1]));
        assert_eq!(groups.len(), 4);
        assert_eq!(values(&groups, vec![second[2]], 2), [["", "x"]]);
    }

    #[test]
    fn groups_of_workers_merge_by_text() {
        let (mut mine, mut theirs) = (by(&["a", "b"]), by(&["a", "b"]));
        mine.encode(&rows(text_column(["p", "q"]), text_column(["1", "2"])));
        theirs.encode(&rows(text_column(["z", "q", "p"]), text_column(["9", "2", "2"])));
        let map = mine.merge(&theirs);
        assert_eq!(map[1], 1);
        assert_eq!(mine.len(), 4);
        assert_eq!(values(&mine, map, 2), [["z", "9"], ["q", "2"], ["p", "2"]]);
        assert_eq!(by(&[]).merge(&by(&[])), [0]);
    }
}
