//! `sort`: rows in order, all of them or the first ones.
//!
//! Each row gets a key of bytes ([`super::order`]); rows are ordered by comparing keys. With a limit, only what may still be among
//! the first is kept: once enough rows were seen, the worst kept key is a bar that most rows do not pass, and what passed is cut
//! back whenever it has grown to several times the limit. When the first key is the record's own time, the bar goes
//! to the store as a [`TimeBound`], and what lies beyond it is not even read.
//!
//! Equal times are told apart by stream and position, in the direction of the time: newest first is oldest first read backwards.

use std::any::Any;
use std::sync::Arc;

use arrow_array::{Array, UInt32Array};
use arrow_buffer::BooleanBuffer;
use rookery_core::Result;
use rookery_core::logs::fields;
use rookery_core::rows::{Column, Rows, dictionary_values};
use rookery_core::store::{Budget, TimeBound};

use super::columns::{self, Interleaver, is_hidden};
use super::order;
use super::pipeline::{BATCH_ROWS, Breaker, Emit, Partial, Reservation, same};
use super::position::{HIDDEN_TIME, Places};
use crate::logsql::ast;

/// The order to bring rows into, and which of them to give out.
pub(crate) struct SortSpec {
    /// As the query says.
    pub pipe: ast::Sort,
    /// Whether equal rows are told apart by stream and position, and whether the last comes first.
    pub ties: Option<bool>,
    /// Told of the time that a row must have to matter, when the first key is the record's own time.
    pub bound: Option<Arc<TimeBound>>,
    /// Sort by the hidden copy of the record's time, not by a field.
    pub by_hidden_time: bool,
    /// For what is kept.
    pub budget: Arc<Budget>,
}

impl SortSpec {
    /// The newest `limit` rows, newest first, by the hidden copy of their time.
    pub(crate) fn newest(limit: u64, bound: Arc<TimeBound>, budget: Arc<Budget>) -> Self {
        let key = ast::SortKey { field: columns::name(HIDDEN_TIME), descending: true };
        let pipe = ast::Sort {
            by: vec![key],
            partition_by: Vec::new(),
            offset: 0,
            limit: Some(limit),
            rank: None,
        };
        Self { pipe, ties: Some(true), bound: Some(bound), by_hidden_time: true, budget }
    }

    /// How many rows of one partition can matter.
    fn keep(&self) -> Option<usize> {
        self.pipe.limit.map(|limit| limit.saturating_add(self.pipe.offset) as usize)
    }

    fn descending(&self) -> bool {
        self.pipe.by.first().is_some_and(|key| key.descending)
    }
}

/// The breaker of `sort`.
pub(crate) struct Sort(pub Arc<SortSpec>);

impl Breaker for Sort {
    fn start(&self) -> Box<dyn Partial> {
        Box::new(Sorting {
            spec: self.0.clone(),
            batches: Vec::new(),
            arena: Vec::new(),
            entries: Vec::new(),
            bar: None,
            time_bar: None,
            kept: 0,
            reservation: Reservation::new(&self.0.budget),
        })
    }
}

/// Where a row is, and its key in the arena.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    /// The end of the part of the key that says the partition.
    partition: u32,
    len: u32,
    batch: u32,
    row: u32,
}

impl Entry {
    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start..self.start + self.len as usize]
    }

    fn partition<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start..self.start + self.partition as usize]
    }
}

struct Sorting {
    spec: Arc<SortSpec>,
    batches: Vec<Rows>,
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// A key that is not below this cannot matter.
    bar: Option<Vec<u8>>,
    /// The same as a time, when the first key is one.
    time_bar: Option<i64>,
    /// How many entries the last cut left.
    kept: usize,
    reservation: Reservation,
}

/// How many rows more than can matter are gathered before they are cut back.
const SLACK_ROWS: usize = 1024;

impl Partial for Sorting {
    fn push(&mut self, rows: Rows) -> Result<bool> {
        if self.spec.keep() == Some(0) {
            return Ok(false);
        }
        let Some(rows) = self.pass_time_bar(rows)? else { return Ok(true) };
        if self.spec.pipe.by.is_empty() {
            // By all fields: their names are known at the end.
            self.reservation.add(columns::size_bytes(&rows))?;
            self.batches.push(rows);
            return Ok(true);
        }
        self.add(rows)?;
        self.cut_if_grown()?;
        Ok(true)
    }

    fn merge(&mut self, other: Box<dyn Partial>) -> Result<()> {
        let other = same::<Self>(other);
        let (batches, base) = (self.batches.len() as u32, self.arena.len());
        self.reservation.add(other.arena.len() as u64)?;
        self.batches.extend(other.batches);
        self.arena.extend_from_slice(&other.arena);
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            start: entry.start + base,
            batch: entry.batch + batches,
            ..*entry
        }));
        let held: u64 = self.batches.iter().map(columns::size_bytes).sum();
        drop(other.reservation);
        self.reservation.set(held + self.key_bytes())
    }

    fn finish(mut self: Box<Self>, emit: &mut Emit<'_>) -> Result<()> {
        if self.spec.pipe.by.is_empty() {
            self.key_by_all_fields()?;
        }
        let order = self.select();
        let source = Interleaver::new(&self.batches);
        for chunk in order.chunks(BATCH_ROWS) {
            let picks: Vec<(u32, u32)> = chunk.iter().map(|(e, _)| (e.batch, e.row)).collect();
            let mut rows = source.rows(&picks)?;
            if let Some(rank) = &self.spec.pipe.rank {
                columns::remove(&mut rows, rank);
                let ranks = columns::uint_column(chunk.iter().map(|(_, rank)| *rank));
                rows.columns.push((rank.clone(), ranks));
            }
            if !emit(rows)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Sorting {
    fn key_bytes(&self) -> u64 {
        (self.arena.capacity() + self.entries.capacity() * size_of::<Entry>()) as u64
    }

    /// The rows whose time may still matter; `None` when there is none.
    fn pass_time_bar(&self, rows: Rows) -> Result<Option<Rows>> {
        let Some(bar) = self.time_bar else { return Ok(Some(rows)) };
        let field = if self.spec.by_hidden_time { HIDDEN_TIME } else { fields::TIME };
        let Some(Column::Time(times)) = rows.column(field) else { return Ok(Some(rows)) };
        let values = times.values();
        let passes = if self.spec.descending() {
            BooleanBuffer::collect_bool(rows.len, |row| values[row] >= bar)
        } else {
            BooleanBuffer::collect_bool(rows.len, |row| values[row] <= bar)
        };
        match passes.count_set_bits() {
            0 => Ok(None),
            all if all == rows.len => Ok(Some(rows)),
            _ => rows.filter(&passes).map(Some),
        }
    }

    fn add(&mut self, rows: Rows) -> Result<()> {
        let spec = self.spec.clone();
        let keys = RowKeys::new(&rows, &spec);
        let batch = self.batches.len() as u32;
        let first = self.entries.len();
        let mut scratch = String::new();
        for row in 0..rows.len {
            let start = self.arena.len();
            let partition = keys.push(row, &mut self.arena, &mut scratch);
            if self.bar.as_ref().is_some_and(|bar| self.arena[start..] >= bar[..]) {
                self.arena.truncate(start);
                continue;
            }
            let len = (self.arena.len() - start) as u32;
            self.entries.push(Entry { start, partition, len, batch, row: row as u32 });
        }
        drop(keys);
        let passed = self.entries.len() - first;
        if passed == 0 {
            return Ok(());
        }
        let rows = if passed * 2 < rows.len {
            // Do not hold a batch for a few rows of it.
            let indexes =
                UInt32Array::from_iter_values(self.entries[first..].iter().map(|e| e.row));
            for (row, entry) in self.entries[first..].iter_mut().enumerate() {
                entry.row = row as u32;
            }
            rows.take(&indexes)?
        } else {
            rows
        };
        self.reservation.add(columns::size_bytes(&rows) + (passed * size_of::<Entry>()) as u64)?;
        self.batches.push(rows);
        Ok(())
    }

    fn cut_if_grown(&mut self) -> Result<()> {
        let Some(keep) = self.spec.keep() else { return Ok(()) };
        let partitions = !self.spec.pipe.partition_by.is_empty();
        let enough = if partitions { self.kept * 2 } else { keep.saturating_mul(4) };
        if self.entries.len() < enough.max(SLACK_ROWS.min(keep.saturating_mul(64))) {
            return Ok(());
        }
        if partitions {
            self.entries.sort_unstable_by(|a, b| a.key(&self.arena).cmp(b.key(&self.arena)));
            self.keep_first_of_partitions(keep);
        } else {
            let arena = &self.arena;
            self.entries.select_nth_unstable_by(keep - 1, |a, b| a.key(arena).cmp(b.key(arena)));
            self.entries.truncate(keep);
            let worst = self.entries[keep - 1];
            self.bar = Some(worst.key(&self.arena).to_vec());
            self.raise_time_bar(worst);
        }
        self.compact()
    }

    fn keep_first_of_partitions(&mut self, keep: usize) {
        let mut count = 0;
        let mut last: Option<Entry> = None;
        let arena = &self.arena;
        self.entries.retain(|entry| {
            let again = last.is_some_and(|l| l.partition(arena) == entry.partition(arena));
            count = if again { count + 1 } else { 1 };
            last = Some(*entry);
            count <= keep
        });
    }

    /// Lets the store know the time of the worst row that still matters.
    fn raise_time_bar(&mut self, worst: Entry) {
        let Some(bound) = &self.spec.bound else { return };
        let field = if self.spec.by_hidden_time { HIDDEN_TIME } else { fields::TIME };
        let rows = &self.batches[worst.batch as usize];
        let Some(Column::Time(times)) = rows.column(field) else { return };
        let time = times.value(worst.row as usize);
        if self.spec.descending() {
            bound.raise_min(time);
        } else {
            bound.lower_max(time);
        }
        self.time_bar = Some(time);
    }

    /// Leaves only the rows and keys of the entries.
    fn compact(&mut self) -> Result<()> {
        let picks: Vec<(u32, u32)> = self.entries.iter().map(|e| (e.batch, e.row)).collect();
        let rows = Interleaver::new(&self.batches).rows(&picks)?;
        let mut arena = Vec::with_capacity(self.entries.iter().map(|e| e.len as usize).sum());
        for (row, entry) in self.entries.iter_mut().enumerate() {
            let start = arena.len();
            arena.extend_from_slice(entry.key(&self.arena));
            *entry = Entry { start, batch: 0, row: row as u32, ..*entry };
        }
        self.arena = arena;
        self.kept = self.entries.len();
        let held = columns::size_bytes(&rows);
        self.batches = vec![rows];
        self.reservation.set(held + self.key_bytes())
    }

    fn key_by_all_fields(&mut self) -> Result<()> {
        let names =
            self.batches.iter().flat_map(|rows| rows.columns.iter().map(|(n, _)| n.clone()));
        let mut names: Vec<_> = names.filter(|n| !is_hidden(n)).collect();
        names.sort_unstable();
        names.dedup();
        let by = names.into_iter().map(|field| ast::SortKey { field, descending: false });
        let pipe = ast::Sort { by: by.collect(), ..self.spec.pipe.clone() };
        self.spec = Arc::new(SortSpec {
            pipe,
            ties: None,
            bound: None,
            by_hidden_time: false,
            budget: self.spec.budget.clone(),
        });
        for rows in std::mem::take(&mut self.batches) {
            self.add(rows)?;
        }
        Ok(())
    }

    /// The entries to give out, in order, each with its place.
    fn select(&mut self) -> Vec<(Entry, u64)> {
        let Self { entries, arena, spec, .. } = self;
        entries.sort_unstable_by(|a, b| {
            a.key(arena).cmp(b.key(arena)).then((a.batch, a.row).cmp(&(b.batch, b.row)))
        });
        let (offset, limit) = (spec.pipe.offset, spec.pipe.limit.unwrap_or(u64::MAX));
        let mut out = Vec::new();
        let mut place = 0u64;
        let mut last: Option<Entry> = None;
        for entry in entries.iter() {
            let again = last.is_some_and(|l| l.partition(arena) == entry.partition(arena));
            place = if again { place + 1 } else { 1 };
            last = Some(*entry);
            if place > offset && place - offset <= limit {
                out.push((*entry, place));
            }
        }
        out
    }
}

/// The keys of the rows of one batch.
struct RowKeys<'a> {
    partition: Vec<KeyColumn<'a>>,
    by: Vec<KeyColumn<'a>>,
    ties: Option<(Places<'a>, bool)>,
}

/// A column to make keys of.
enum KeyColumn<'a> {
    /// No row has a value.
    Same(Vec<u8>),
    /// A key for each entry; that of a missing value last.
    Entries(&'a UInt32Array, Vec<Vec<u8>>),
    /// Row by row.
    Rows(&'a Column, bool),
}

impl<'a> KeyColumn<'a> {
    fn new(column: Option<&'a Column>, descending: bool) -> Self {
        let of = |text: &str| {
            let mut key = Vec::new();
            order::push_key(&mut key, text, descending);
            key
        };
        match column {
            None => Self::Same(of("")),
            Some(Column::Const { value, .. }) => Self::Same(of(value)),
            Some(Column::Dict(a)) if a.values().len() <= a.len() => {
                let mut keys: Vec<Vec<u8>> =
                    dictionary_values(a).iter().map(|v| of(v.unwrap_or(""))).collect();
                keys.push(of(""));
                Self::Entries(a.keys(), keys)
            }
            Some(column) => Self::Rows(column, descending),
        }
    }

    fn push(&self, row: usize, out: &mut Vec<u8>, scratch: &mut String) {
        match self {
            Self::Same(key) => out.extend_from_slice(key),
            Self::Entries(codes, keys) => {
                let missing = keys.len() - 1;
                let at = if codes.is_valid(row) { codes.value(row) as usize } else { missing };
                out.extend_from_slice(&keys[at]);
            }
            Self::Rows(column, descending) => {
                order::push_row_key(out, column, row, *descending, scratch);
            }
        }
    }
}

impl<'a> RowKeys<'a> {
    fn new(rows: &'a Rows, spec: &SortSpec) -> Self {
        let partition = spec.pipe.partition_by.iter();
        let by = spec.pipe.by.iter();
        Self {
            partition: partition.map(|f| KeyColumn::new(rows.column(f), false)).collect(),
            by: by.map(|key| KeyColumn::new(rows.column(&key.field), key.descending)).collect(),
            ties: spec.ties.and_then(|last_first| Some((Places::new(rows)?, last_first))),
        }
    }

    /// Appends the key of a row; the answer is how much of it says the partition.
    fn push(&self, row: usize, out: &mut Vec<u8>, scratch: &mut String) -> u32 {
        let start = out.len();
        for column in &self.partition {
            column.push(row, out, scratch);
        }
        let partition = (out.len() - start) as u32;
        for column in &self.by {
            column.push(row, out, scratch);
        }
        if let Some((places, last_first)) = &self.ties {
            let (stream, position) = places.at(row);
            order::push_fixed(out, &stream.0, *last_first);
            order::push_fixed(out, &position.generation.to_be_bytes(), *last_first);
            order::push_fixed(out, &position.offset.to_be_bytes(), *last_first);
        }
        partition
    }
}
