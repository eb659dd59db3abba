//! From batches to blocks: a pure step over accounts.
//!
//! A [`Blocks`] holds the accounts as they will be when all that was given to it is stored, and the blocks that are not taken yet.
//! When a block cannot be stored, all of it is thrown away, and a new one starts from the store.
//!
//! Rows are not sorted here. They arrive in the order of their streams, and the store sorts once, where it writes sorted
//! files; sorting twice would cost time and change nothing.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array as _, BooleanArray, RecordBatch};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rookery_core::batch::{Batch, Block, Fate, Origin, Range};
use rookery_core::ledger::{REASON_GAP, REASON_GAP_OVER_FILES, StreamAccount};
use rookery_core::{Error, Position, Result, StreamId, Tenant};

type Accounts = HashMap<StreamId, StreamAccount, FixedState>;

/// The block under construction, one for each tenant, and the accounts that it leads to.
#[derive(Default)]
pub struct Blocks {
    accounts: Accounts,
    /// Records that are stored without an account: they are counted as stored, and not stored again.
    unaccounted: Arc<HashSet<(StreamId, Position)>>,
    blocks: Vec<Block>,
    rows: usize,
    bytes: usize,
}

/// What one batch added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Added {
    /// Records that are new.
    pub records: u64,
    /// Records that the store had.
    pub duplicates: u64,
    /// Bytes that nothing answered for.
    pub gap_bytes: u64,
}

/// The identity columns of a batch.
struct Positions<'a> {
    stream: &'a arrow_array::FixedSizeBinaryArray,
    generation: &'a [u64],
    offset: &'a [u64],
    tags: &'a arrow_array::DictionaryArray<UInt32Type>,
}

impl<'a> Positions<'a> {
    fn of(records: &'a RecordBatch) -> Result<Self> {
        let column = |name: &str| {
            records
                .column_by_name(name)
                .ok_or_else(|| Error::corrupt(format!("a batch of logs has no column {name:?}")))
        };
        let wrong =
            |name: &str| Error::corrupt(format!("the column {name:?} of a batch has another type"));
        let numbers = |name: &str| {
            let array =
                column(name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong(name))?;
            Ok::<&'a [u64], Error>(array.values())
        };
        Ok(Self {
            stream: column("stream")?.as_fixed_size_binary_opt().ok_or_else(|| wrong("stream"))?,
            generation: numbers("generation")?,
            offset: numbers("offset")?,
            tags: column("stream_tags")?.as_dictionary_opt().ok_or_else(|| wrong("stream_tags"))?,
        })
    }

    fn rows(&self) -> usize {
        self.offset.len()
    }

    fn at(&self, row: usize) -> Position {
        Position { generation: self.generation[row], offset: self.offset[row] }
    }

    fn tags_of(&self, stream: StreamId) -> Option<Arc<str>> {
        let row = (0..self.rows()).find(|&row| self.stream.value(row) == stream.0)?;
        let texts = self.tags.values().as_string_opt::<i32>()?;
        Some(texts.value(self.tags.key(row)?).into())
    }

    /// The names of a stream of which a batch has no record: a loss alone.
    fn only_tags(&self) -> Option<Arc<str>> {
        let texts = self.tags.values().as_string_opt::<i32>()?;
        (self.rows() == 0 && texts.len() == 1).then(|| texts.value(0).into())
    }

    /// How many records of the range start at or after `from`.
    fn records_from(&self, range: &Range, from: u64) -> u64 {
        let inside = |row: &usize| {
            self.generation[*row] == range.generation
                && (from..range.end).contains(&self.offset[*row])
                && self.stream.value(*row) == range.stream.0
        };
        (0..self.rows()).filter(inside).count() as u64
    }
}

impl Blocks {
    /// Starts from what the store has, and from the records that it has and no account answers for.
    pub fn new(
        accounts: Vec<StreamAccount>,
        unaccounted: Arc<HashSet<(StreamId, Position)>>,
    ) -> Self {
        let accounts = accounts.into_iter().map(|account| (account.stream, account)).collect();
        Self { accounts, unaccounted, ..Self::default() }
    }

    /// The streams of a batch that are not known here, and those with a hole before the batch.
    pub fn strangers(&self, batch: &Batch) -> Vec<StreamId> {
        let mut streams: Vec<StreamId> = Vec::new();
        self.walk(batch, |account, stream, has_hole| {
            if account.is_none() || has_hole {
                streams.push(stream);
            }
        });
        streams
    }

    /// Whether something that was sent before the batch is missing.
    pub fn has_hole(&self, batch: &Batch) -> bool {
        let mut found = false;
        self.walk(batch, |_, _, has_hole| found |= has_hole);
        found
    }

    /// Calls `visit` for the first range of each stream of a batch: those after it follow it.
    fn walk(&self, batch: &Batch, mut visit: impl FnMut(Option<&StreamAccount>, StreamId, bool)) {
        let mut seen: HashSet<StreamId, FixedState> = HashSet::default();
        for range in &batch.ranges {
            if !seen.insert(range.stream) {
                continue;
            }
            let account = self.accounts.get(&range.stream);
            let has_hole = match account {
                Some(account) => account.missing_before(range).next().is_some(),
                None => range.start > 0 || range.after != Position::default(),
            };
            visit(account, range.stream, has_hole);
        }
    }

    /// Takes over the store's account of a stream, unless the present one is further.
    pub fn refresh(&mut self, account: StreamAccount) {
        let present = self.accounts.get(&account.stream);
        if present.is_none_or(|present| present.mark < account.mark) {
            self.accounts.insert(account.stream, account);
        }
    }

    /// How many records wait to be stored.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes wait to be stored.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Admits a batch: what the store has is dropped, what is missing is written down.
    ///
    /// # Errors
    /// `corrupt` when the batch is not one of logs; nothing was added.
    pub fn add(&mut self, batch: Batch, at: i64) -> Result<Added> {
        let size = batch.size_bytes();
        let positions = Positions::of(&batch.records)?;
        let mut added = Added::default();
        let mut entries = Vec::with_capacity(batch.ranges.len());
        // The marks as they were before this batch, of streams of which something came again.
        let mut marks: HashMap<StreamId, Position, FixedState> = HashMap::default();
        let is_one = batch.ranges.len() == 1;
        for range in &batch.ranges {
            let account = self.account(&batch.tenant, range.stream);
            let tags = || {
                let of_records = positions.tags_of(range.stream);
                of_records.or_else(|| positions.only_tags().filter(|_| is_one))
            };
            if account.tags.is_empty()
                && let Some(tags) = tags()
            {
                account.tags = tags;
            }
            let before = account.mark;
            for entry in account.admit(range, |from| positions.records_from(range, from)) {
                account.apply(&entry, at);
                if entry.duplicate_bytes > 0 {
                    marks.entry(range.stream).or_insert(before);
                }
                added.duplicates += entry.duplicates;
                match &entry.range.fate {
                    Fate::Kept => added.records += entry.range.records,
                    Fate::Lost(reason) if [REASON_GAP, REASON_GAP_OVER_FILES].contains(reason) => {
                        added.gap_bytes += entry.range.bytes();
                    }
                    _ => {}
                }
                entries.push(entry);
            }
        }
        let records = if marks.is_empty() && self.unaccounted.is_empty() {
            batch.records
        } else {
            without(&batch.records, &positions, &marks, &self.unaccounted)?
        };
        self.rows += records.num_rows();
        self.bytes += size;
        let block = self.block(&batch.tenant);
        block.entries.extend(entries);
        if records.num_rows() > 0 {
            block.records.push(records);
        }
        Ok(added)
    }

    /// What is to be stored now.
    pub fn take(&mut self) -> Vec<Block> {
        self.rows = 0;
        self.bytes = 0;
        std::mem::take(&mut self.blocks)
    }

    fn account(&mut self, tenant: &Tenant, stream: StreamId) -> &mut StreamAccount {
        let fresh = || StreamAccount::new(tenant.clone(), stream, "".into());
        self.accounts.entry(stream).or_insert_with(fresh)
    }

    fn block(&mut self, tenant: &Tenant) -> &mut Block {
        let found = self.blocks.iter().position(|block| block.tenant == *tenant);
        let index = found.unwrap_or_else(|| {
            let empty = Block {
                tenant: tenant.clone(),
                origin: Origin::default(),
                records: Vec::new(),
                entries: Vec::new(),
            };
            self.blocks.push(empty);
            self.blocks.len() - 1
        });
        &mut self.blocks[index]
    }
}

/// The records at or after the marks of their streams, without those that are stored already.
fn without(
    records: &RecordBatch,
    positions: &Positions<'_>,
    marks: &HashMap<StreamId, Position, FixedState>,
    unaccounted: &HashSet<(StreamId, Position)>,
) -> Result<RecordBatch> {
    let is_new = |row: usize| {
        let stream: [u8; 16] = positions.stream.value(row).try_into().unwrap_or_default();
        let (stream, at) = (StreamId(stream), positions.at(row));
        marks.get(&stream).is_none_or(|mark| at >= *mark) && !unaccounted.contains(&(stream, at))
    };
    let selection: BooleanArray = (0..positions.rows()).map(|row| Some(is_new(row))).collect();
    Ok(arrow_select::filter::filter_record_batch(records, &selection)?)
}

#[cfg(test)]
pub(crate) mod tests;
