//! `uniq`, `top`, `field_values`: different sets of values and how often each was seen.

use std::any::Any;
use std::sync::Arc;

use rookery_core::Result;
use rookery_core::filter::FieldName;
use rookery_core::rows::{Column, Rows};
use rookery_core::store::Budget;

use super::bucket::Bucket;
use super::columns::{self, TextBuilder};
use super::group::{Codes, Groups};
use super::order;
use super::pipeline::{BATCH_ROWS, Breaker, Emit, Partial, Reservation, same};
use super::stages::pack;
use rookery_core::json;

/// What to count, and what to give out.
pub(crate) struct TallySpec {
    /// Sets of values of these fields; of all fields when there is none.
    pub by: Vec<FieldName>,
    /// Where the count is written, if it is.
    pub hits: Option<FieldName>,
    /// Which of the sets.
    pub choice: Choice,
    /// For what is kept.
    pub budget: Arc<Budget>,
}

/// Which sets of values to give out.
pub(crate) enum Choice {
    /// At most so many; when there are more, any of them, with a count of 0.
    Any(Option<u64>),
    /// The most frequent, with their place.
    Top(u64, Option<FieldName>),
}

/// The breaker of `uniq`, `top` and `field_values`.
pub(crate) struct Tally(pub Arc<TallySpec>);

/// The column that stands for a whole record.
const WHOLE: &str = "\0whole";

impl Breaker for Tally {
    fn start(&self) -> Box<dyn Partial> {
        let by: Vec<(String, Bucket)> = if self.0.by.is_empty() {
            vec![(WHOLE.into(), Bucket::Exact)]
        } else {
            self.0.by.iter().map(|field| (field.to_string(), Bucket::Exact)).collect()
        };
        Box::new(Counting {
            spec: self.0.clone(),
            groups: Groups::new(&by),
            counts: Vec::new(),
            reservation: Reservation::new(&self.0.budget),
        })
    }
}

struct Counting {
    spec: Arc<TallySpec>,
    groups: Groups,
    counts: Vec<u64>,
    reservation: Reservation,
}

/// Adds the rows of a batch to the counts of their groups.
pub(crate) fn count(codes: &Codes<'_>, rows: usize, groups: usize, counts: &mut Vec<u64>) {
    counts.resize(groups.max(counts.len()), 0);
    match codes {
        Codes::One(group) => counts[*group as usize] += rows as u64,
        Codes::Each(codes) => {
            for group in *codes {
                counts[*group as usize] += 1;
            }
        }
    }
}

impl Counting {
    /// Whether there are more sets than may be given out.
    fn overflows(&self) -> bool {
        matches!(self.spec.choice, Choice::Any(Some(limit)) if self.groups.len() as u64 > limit)
    }
}

impl Partial for Counting {
    fn push(&mut self, mut rows: Rows) -> Result<bool> {
        if self.spec.by.is_empty() {
            let whole = whole_records(&rows)?;
            rows.columns = vec![(columns::name(WHOLE), whole)];
        }
        self.groups.encode(&rows);
        count(&self.groups.codes(), rows.len, self.groups.len(), &mut self.counts);
        self.reservation.set((self.groups.size_bytes() + self.counts.capacity() * 8) as u64)?;
        Ok(!self.overflows())
    }

    fn merge(&mut self, other: Box<dyn Partial>) -> Result<()> {
        let other = same::<Self>(other);
        let map = self.groups.merge(&other.groups);
        self.counts.resize(self.groups.len(), 0);
        for (group, count) in map.into_iter().zip(&other.counts) {
            self.counts[group as usize] += count;
        }
        drop(other);
        self.reservation.set((self.groups.size_bytes() + self.counts.capacity() * 8) as u64)
    }

    fn finish(mut self: Box<Self>, emit: &mut Emit<'_>) -> Result<()> {
        self.counts.resize(self.groups.len(), 0);
        let mut chosen: Vec<u32> = (0..self.groups.len() as u32).collect();
        let mut rank = None;
        match &self.spec.choice {
            Choice::Any(limit) => {
                if self.overflows() {
                    chosen.truncate(limit.unwrap_or(u64::MAX) as usize);
                    self.counts.fill(0);
                }
            }
            Choice::Top(limit, place) => {
                self.order(&mut chosen, *limit as usize);
                rank.clone_from(place);
            }
        }
        for (chunk_at, chunk) in chosen.chunks(BATCH_ROWS).enumerate() {
            let mut rows = self.rows(chunk)?;
            if let Some(hits) = &self.spec.hits {
                let counts = chunk.iter().map(|group| self.counts[*group as usize]);
                rows.columns.push((hits.clone(), columns::uint_column(counts)));
            }
            if let Some(rank) = &rank {
                let first = (chunk_at * BATCH_ROWS + 1) as u64;
                let places = columns::uint_column(first..first + chunk.len() as u64);
                rows.columns.push((rank.clone(), places));
            }
            if !emit(rows)? {
                break;
            }
        }
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Counting {
    /// The most frequent first, of equal ones the smaller values; and only so many.
    fn order(&self, chosen: &mut Vec<u32>, limit: usize) {
        let hits = |group: u32| self.counts[group as usize];
        if chosen.len() > limit {
            // Keys are made only for those that can be among the first: as frequent as the last of them.
            let mut counts: Vec<u64> = chosen.iter().map(|group| hits(*group)).collect();
            let at = limit.saturating_sub(1);
            let (_, least, _) = counts.select_nth_unstable_by(at, |a, b| b.cmp(a));
            let least = *least;
            chosen.retain(|group| hits(*group) >= least);
        }
        let width = self.spec.by.len().max(1);
        chosen.sort_by_cached_key(|group| {
            let mut key = (u64::MAX - hits(*group)).to_be_bytes().to_vec();
            for field in 0..width {
                order::push_key(&mut key, self.groups.value(*group as usize, field), false);
            }
            key
        });
        chosen.truncate(limit);
    }

    fn rows(&self, groups: &[u32]) -> Result<Rows> {
        if !self.spec.by.is_empty() {
            let columns = self.groups.columns(groups);
            let named = self.spec.by.iter().cloned().zip(columns);
            return Ok(Rows { len: groups.len(), columns: named.collect() });
        }
        let whole = columns::text_column(groups.iter().map(|g| self.groups.value(*g as usize, 0)));
        let fields = columns::unpack(&whole, None, &mut |text, sink| {
            json::flatten(text, &mut |name, value| sink.field(name, value));
        })?;
        let columns = fields.into_iter().map(|(name, column)| (columns::name(&name), column));
        Ok(Rows { len: groups.len(), columns: columns.collect() })
    }
}

/// Each record as a JSON object of its fields in the order of their names.
fn whole_records(rows: &Rows) -> Result<Column> {
    let mut fields = pack::chosen(rows, &[]);
    fields.sort_unstable_by_key(|(name, _)| *name);
    let mut builder = TextBuilder::new(rows.len);
    let (mut out, mut scratch) = (String::new(), String::new());
    for row in 0..rows.len {
        out.clear();
        pack::push_object(&mut out, &fields, row, &mut scratch);
        builder.push(&out);
    }
    builder.finish()
}
