//! `count`, `rate`, `count_empty`, `count_uniq`, `count_uniq_hash`, `sum_len`.

use std::any::Any;

use arrow_array::Array;
use arrow_buffer::BooleanBuffer;
use rookery_core::Result;
use rookery_core::rows::{Column, dictionary_values};
use xxhash_rust::xxh3::xxh3_64;

use super::{Accumulator, Input, grow, same_kind, write_rate};
use crate::exec::bucket::Bucket;
use crate::exec::columns;
use crate::exec::group::{Coder, Codes, FastSet, Pairs};
use crate::exec::stages::fields::non_empty;
use crate::exec::stages::rows::mix;
use crate::logsql::ast::FieldPattern;

/// `count` and `rate`.
pub(super) struct Count {
    fields: Vec<FieldPattern>,
    /// Whether a rate is asked for, and the seconds of its span.
    rate: Option<Option<f64>>,
    counts: Vec<u64>,
}

impl Count {
    pub(super) fn new(fields: &[FieldPattern], rate: Option<Option<f64>>) -> Self {
        // `count(*)` counts records, as `count()` does.
        let all = |p: &FieldPattern| matches!(p, FieldPattern::Prefix(prefix) if prefix.is_empty());
        let fields = if fields.iter().any(all) { Vec::new() } else { fields.to_vec() };
        Self { fields, rate, counts: Vec::new() }
    }
}

/// The rows in which one of the columns has a text.
fn any_text(input: &Input<'_>, fields: &[FieldPattern]) -> BooleanBuffer {
    let mut any = BooleanBuffer::new_unset(input.rows.len);
    for column in input.columns(fields) {
        any = &any | &non_empty(column);
    }
    any
}

impl Accumulator for Count {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.counts, input.groups);
        let filled = (!self.fields.is_empty()).then(|| any_text(input, &self.fields));
        let selection = match (filled, input.selection) {
            (None, None) => {
                if let Codes::One(group) = input.codes {
                    self.counts[group as usize] += input.rows.len as u64;
                } else {
                    input.each(|_, group| self.counts[group] += 1);
                }
                return Ok(());
            }
            (Some(filled), Some(selection)) => &filled & selection,
            (Some(only), None) => only,
            (None, Some(only)) => only.clone(),
        };
        match &input.codes {
            Codes::One(group) => {
                self.counts[*group as usize] += selection.count_set_bits() as u64;
            }
            Codes::Each(codes) => {
                for row in selection.set_indices() {
                    self.counts[codes[row] as usize] += 1;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        merge_counts(&mut self.counts, &same_kind::<Self>(other).counts, map, groups);
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        let count = self.counts.get(group).copied().unwrap_or(0);
        write_rate(out, count as f64, self.rate.flatten());
    }

    fn column(&mut self, groups: &[u32]) -> Result<Column> {
        if self.rate.is_some() {
            let mut builder = columns::TextBuilder::new(groups.len());
            let mut out = String::new();
            for group in groups {
                out.clear();
                self.write(*group as usize, &mut out);
                builder.push(&out);
            }
            return builder.finish();
        }
        Ok(count_column(&self.counts, groups))
    }

    fn size_bytes(&self) -> usize {
        self.counts.capacity() * 8
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn merge_counts(mine: &mut Vec<u64>, theirs: &[u64], map: &[u32], groups: usize) {
    grow(mine, groups);
    for (count, group) in theirs.iter().zip(map) {
        mine[*group as usize] += count;
    }
}

fn count_column(counts: &[u64], groups: &[u32]) -> Column {
    let of = |group: &u32| counts.get(*group as usize).copied().unwrap_or(0);
    columns::uint_column(groups.iter().map(of))
}

/// `count_empty`.
pub(super) struct CountEmpty {
    fields: Vec<FieldPattern>,
    counts: Vec<u64>,
}

impl CountEmpty {
    pub(super) fn new(fields: &[FieldPattern]) -> Self {
        Self { fields: fields.to_vec(), counts: Vec::new() }
    }
}

impl Accumulator for CountEmpty {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.counts, input.groups);
        let filled = any_text(input, &self.fields);
        input.each(|row, group| self.counts[group] += u64::from(!filled.value(row)));
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        merge_counts(&mut self.counts, &same_kind::<Self>(other).counts, map, groups);
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        write_rate(out, self.counts.get(group).copied().unwrap_or(0) as f64, None);
    }

    fn column(&mut self, groups: &[u32]) -> Result<Column> {
        Ok(count_column(&self.counts, groups))
    }

    fn size_bytes(&self) -> usize {
        self.counts.capacity() * 8
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// `sum_len`.
pub(super) struct SumLength {
    fields: Vec<FieldPattern>,
    sums: Vec<u64>,
}

impl SumLength {
    pub(super) fn new(fields: &[FieldPattern]) -> Self {
        Self { fields: fields.to_vec(), sums: Vec::new() }
    }
}

impl Accumulator for SumLength {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.sums, input.groups);
        for column in input.columns(&self.fields) {
            match column {
                Column::Const { value, .. } => {
                    input.each(|_, group| self.sums[group] += value.len() as u64);
                }
                Column::Text(a) if a.null_count() == 0 => {
                    let offsets = a.value_offsets();
                    input.each(|row, group| {
                        self.sums[group] += (offsets[row + 1] - offsets[row]) as u64;
                    });
                }
                Column::Dict(a) => {
                    let lengths: Vec<u64> =
                        dictionary_values(a).iter().map(|v| v.map_or(0, str::len) as u64).collect();
                    let of = |row| a.key(row).map_or(0, |key| lengths[key]);
                    input.each(|row, group| self.sums[group] += of(row));
                }
                other => {
                    let mut scratch = String::new();
                    input.each(|row, group| {
                        self.sums[group] += other.text(row, &mut scratch).len() as u64;
                    });
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        merge_counts(&mut self.sums, &same_kind::<Self>(other).sums, map, groups);
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        write_rate(out, self.sums.get(group).copied().unwrap_or(0) as f64, None);
    }

    fn column(&mut self, groups: &[u32]) -> Result<Column> {
        Ok(count_column(&self.sums, groups))
    }

    fn size_bytes(&self) -> usize {
        self.sums.capacity() * 8
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// `count_uniq`: the values get codes, tuples of codes are folded into one, and the pairs of group and tuple are a set.
pub(super) struct CountUniq {
    fields: Vec<FieldPattern>,
    limit: u64,
    /// One for each field by name; with prefixes (or all fields), one for the whole object of fields.
    coders: Vec<Coder>,
    folds: Vec<Pairs>,
    tuples: Vec<u32>,
    seen: FastSet<u64>,
    counts: Vec<u64>,
}

impl CountUniq {
    pub(super) fn new(fields: &[FieldPattern], limit: Option<u64>) -> Self {
        let by_name =
            !fields.is_empty() && fields.iter().all(|f| matches!(f, FieldPattern::Name(_)));
        let width = if by_name { fields.len() } else { 1 };
        let mut coders: Vec<Coder> = (0..width).map(|_| Coder::new(Bucket::Exact)).collect();
        for coder in &mut coders {
            // The empty text has code 0 everywhere.
            coder.intern("");
        }
        Self {
            fields: fields.to_vec(),
            limit: limit.unwrap_or(u64::MAX),
            coders,
            folds: (1..width).map(|_| Pairs::default()).collect(),
            tuples: Vec::new(),
            seen: FastSet::default(),
            counts: Vec::new(),
        }
    }

    fn insert(&mut self, group: usize, value: u32) {
        if self.counts[group] < self.limit
            && self.seen.insert((group as u64) << 32 | u64::from(value))
        {
            self.counts[group] += 1;
        }
    }

    /// The code of a tuple; `None` when all of it is empty.
    fn fold(&mut self, tuple: &[u32]) -> Option<u32> {
        if tuple.iter().all(|code| *code == 0) {
            return None;
        }
        let mut code = tuple[0];
        let mut new = false;
        for (pairs, next) in self.folds.iter_mut().zip(&tuple[1..]) {
            (code, new) = pairs.code(code, *next);
        }
        if new {
            self.tuples.extend_from_slice(tuple);
        }
        Some(code)
    }

    fn encode(&mut self, input: &Input<'_>) {
        let empty = Column::constant("", input.rows.len);
        let by_name = self.coders.len() == self.fields.len()
            && self.fields.iter().all(|f| matches!(f, FieldPattern::Name(_)));
        if !by_name {
            self.coders[0].encode(&objects(input, &self.fields));
            return;
        }
        for (coder, field) in self.coders.iter_mut().zip(&self.fields) {
            let FieldPattern::Name(name) = field else { continue };
            coder.encode(input.rows.column(name).unwrap_or(&empty));
        }
    }
}

/// The fields of each row as one text; empty when they are all empty.
fn objects(input: &Input<'_>, fields: &[FieldPattern]) -> Column {
    let mut chosen = crate::exec::stages::pack::chosen(input.rows, fields);
    chosen.sort_unstable_by_key(|(name, _)| *name);
    let mut scratch = String::new();
    columns::text_column((0..input.rows.len).map(|row| {
        let mut out = String::new();
        crate::exec::stages::pack::push_object(&mut out, &chosen, row, &mut scratch);
        if out == "{}" { String::new() } else { out }
    }))
}

impl Accumulator for CountUniq {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.counts, input.groups);
        self.encode(input);
        let width = self.coders.len();
        let mut tuple = vec![0u32; width];
        let mut last = (usize::MAX, vec![u32::MAX; width]);
        let mut fresh: Vec<(usize, u32)> = Vec::new();
        // The codes are borrowed from the coders, so what is new is gathered first.
        let coders = std::mem::take(&mut self.coders);
        let codes: Vec<Codes<'_>> = coders.iter().map(Coder::codes).collect();
        input.each(|row, group| {
            for (slot, code) in tuple.iter_mut().zip(&codes) {
                *slot = code.of(row);
            }
            if last.0 == group && last.1 == tuple {
                return;
            }
            last.0 = group;
            last.1.copy_from_slice(&tuple);
            if let Some(code) = self.fold(&tuple) {
                fresh.push((group, code));
            }
        });
        drop(codes);
        self.coders = coders;
        for (group, code) in fresh {
            self.insert(group, code);
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        let other = same_kind::<Self>(other);
        grow(&mut self.counts, groups);
        let texts: Vec<Vec<u32>> = self
            .coders
            .iter_mut()
            .zip(&other.coders)
            .map(|(mine, theirs)| {
                let texts = theirs.texts();
                (0..texts.len() as u32).map(|code| mine.intern(texts.text(code))).collect()
            })
            .collect();
        let width = self.coders.len();
        let codes: Vec<Option<u32>> = if width == 1 {
            texts[0].iter().map(|code| Some(*code)).collect()
        } else {
            let tuples = other.tuples.chunks_exact(width);
            tuples
                .map(|tuple| {
                    let tuple: Vec<u32> =
                        tuple.iter().zip(&texts).map(|(code, map)| map[*code as usize]).collect();
                    self.fold(&tuple)
                })
                .collect()
        };
        for pair in &other.seen {
            let (group, value) = ((pair >> 32) as usize, (pair & u64::from(u32::MAX)) as usize);
            if let Some(code) = codes[value] {
                self.insert(map[group] as usize, code);
            }
        }
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        write_rate(out, self.counts.get(group).copied().unwrap_or(0) as f64, None);
    }

    fn column(&mut self, groups: &[u32]) -> Result<Column> {
        Ok(count_column(&self.counts, groups))
    }

    fn size_bytes(&self) -> usize {
        self.coders.iter().map(Coder::size_bytes).sum::<usize>()
            + self.folds.iter().map(Pairs::size_bytes).sum::<usize>()
            + self.tuples.capacity() * 4
            + self.seen.capacity() * 9
            + self.counts.capacity() * 8
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// `count_uniq_hash`: as `count_uniq`, but of a set of values only their 64-bit hash is kept. Two sets of `n` values are taken
/// for one with a chance of about `n² / 2⁶⁵`.
pub(super) struct CountUniqHash {
    fields: Vec<FieldPattern>,
    limit: u64,
    seen: FastSet<(u32, u64)>,
    counts: Vec<u64>,
}

impl CountUniqHash {
    pub(super) fn new(fields: &[FieldPattern], limit: Option<u64>) -> Self {
        Self {
            fields: fields.to_vec(),
            limit: limit.unwrap_or(u64::MAX),
            seen: FastSet::default(),
            counts: Vec::new(),
        }
    }

    fn insert(&mut self, group: usize, hash: u64) {
        if self.counts[group] < self.limit && self.seen.insert((group as u32, hash)) {
            self.counts[group] += 1;
        }
    }
}

/// Joins the hash of each row's text into `out`; the empty text leaves it as it is.
fn join_hashes(column: &Column, field: u64, out: &mut [u64]) {
    let hash = |text: &str| if text.is_empty() { 0 } else { mix(xxh3_64(text.as_bytes()) ^ field) };
    match column {
        Column::Const { value, .. } => {
            let add = hash(value);
            out.iter_mut().for_each(|h| *h = h.wrapping_add(add));
        }
        Column::Dict(a) => {
            let entries: Vec<u64> =
                dictionary_values(a).iter().map(|v| v.map_or(0, hash)).collect();
            for (h, key) in out.iter_mut().zip(a.keys()) {
                *h = h.wrapping_add(key.map_or(0, |key| entries[key as usize]));
            }
        }
        other => {
            let mut scratch = String::new();
            for (row, h) in out.iter_mut().enumerate() {
                *h = h.wrapping_add(hash(other.text(row, &mut scratch)));
            }
        }
    }
}

impl Accumulator for CountUniqHash {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.counts, input.groups);
        let mut hashes = vec![0u64; input.rows.len];
        for (name, column) in crate::exec::stages::pack::chosen(input.rows, &self.fields) {
            join_hashes(column, xxh3_64(name.as_bytes()), &mut hashes);
        }
        input.each(|row, group| {
            if hashes[row] != 0 {
                self.insert(group, hashes[row]);
            }
        });
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.counts, groups);
        for (group, hash) in same_kind::<Self>(other).seen {
            self.insert(map[group as usize] as usize, hash);
        }
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        write_rate(out, self.counts.get(group).copied().unwrap_or(0) as f64, None);
    }

    fn column(&mut self, groups: &[u32]) -> Result<Column> {
        Ok(count_column(&self.counts, groups))
    }

    fn size_bytes(&self) -> usize {
        self.seen.capacity() * 17 + self.counts.capacity() * 8
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
