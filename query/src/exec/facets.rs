//! `facets` and `field_names`: what values and what fields there are.

use std::any::Any;
use std::sync::Arc;

use hashbrown::HashMap;
use rookery_core::Result;
use rookery_core::filter::FieldName;
use rookery_core::rows::{Column, Rows};
use rookery_core::store::Budget;

use super::bucket::Bucket;
use super::columns::{self, is_hidden};
use super::group::Coder;
use super::order;
use super::pipeline::{Breaker, Emit, Partial, Reservation, same};
use super::stages::fields::non_empty;
use super::tally::count;
use crate::logsql::ast;

/// The breaker of `facets`.
pub(crate) struct Facets {
    /// The limits.
    pub pipe: ast::Facets,
    /// For what is kept.
    pub budget: Arc<Budget>,
}

impl Breaker for Facets {
    fn start(&self) -> Box<dyn Partial> {
        Box::new(Counting {
            pipe: self.pipe.clone(),
            fields: Vec::new(),
            places: HashMap::new(),
            rows: 0,
            reservation: Reservation::new(&self.budget),
        })
    }

    /// Fields with too many values show it in so many rows, and are the expensive ones to read.
    fn probe_rows(&self) -> Option<usize> {
        Some((self.pipe.max_values_per_field as usize).saturating_mul(4))
    }
}

/// The values of one field; `None` once there were too many, or a too long one.
type Values = Option<(Coder, Vec<u64>)>;

struct Counting {
    pipe: ast::Facets,
    fields: Vec<(FieldName, Values)>,
    places: HashMap<FieldName, usize>,
    rows: u64,
    reservation: Reservation,
}

impl Counting {
    fn place(&mut self, name: &FieldName) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.fields.len();
        self.fields.push((name.clone(), Some((Coder::new(Bucket::Exact), Vec::new()))));
        self.places.insert(name.clone(), place);
        place
    }

    /// Whether the values from number `from` on keep the limits.
    fn fits(&self, coder: &Coder, from: usize) -> bool {
        let texts = coder.texts();
        // The empty value is none.
        let values = texts.len() as u64;
        values <= self.pipe.max_values_per_field + 1
            && (from..texts.len())
                .all(|code| texts.text(code as u32).len() as u64 <= self.pipe.max_value_len)
    }

    fn account(&mut self) -> Result<()> {
        let held = self.fields.iter().filter_map(|(_, values)| values.as_ref());
        let held: usize = held.map(|(c, n)| c.size_bytes() + n.capacity() * 8).sum();
        self.reservation.set(held as u64)
    }
}

impl Partial for Counting {
    fn push(&mut self, rows: Rows) -> Result<bool> {
        self.rows += rows.len as u64;
        for (name, column) in &rows.columns {
            if is_hidden(name) {
                continue;
            }
            let place = self.place(name);
            let Some((mut coder, mut counts)) = self.fields[place].1.take() else { continue };
            let before = coder.texts().len();
            coder.encode(column);
            if self.fits(&coder, before) {
                count(&coder.codes(), rows.len, coder.texts().len(), &mut counts);
                self.fields[place].1 = Some((coder, counts));
            }
        }
        self.account()?;
        Ok(true)
    }

    fn merge(&mut self, other: Box<dyn Partial>) -> Result<()> {
        let other = same::<Self>(other);
        self.rows += other.rows;
        for (name, theirs) in other.fields {
            let place = self.place(&name);
            let Some((mut coder, mut counts)) = self.fields[place].1.take() else { continue };
            let Some((texts, hits)) = theirs else { continue };
            let before = coder.texts().len();
            for (code, hits) in hits.iter().enumerate() {
                let mine = coder.intern(texts.texts().text(code as u32)) as usize;
                counts.resize(coder.texts().len().max(counts.len()), 0);
                counts[mine] += hits;
            }
            if self.fits(&coder, before) {
                self.fields[place].1 = Some((coder, counts));
            }
        }
        drop(other.reservation);
        self.account()
    }

    fn useless(&self) -> Vec<FieldName> {
        let useless = self.fields.iter().filter(|(_, values)| values.is_none());
        useless.map(|(name, _)| name.clone()).collect()
    }

    fn finish(mut self: Box<Self>, emit: &mut Emit<'_>) -> Result<()> {
        self.fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let (mut names, mut values, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        for (name, found) in &self.fields {
            let Some((coder, counts)) = found else { continue };
            let texts = coder.texts();
            let mut known: Vec<(u64, &str)> = (0..counts.len())
                .map(|code| (counts[code], texts.text(code as u32)))
                .filter(|(_, text)| !text.is_empty())
                .collect();
            let too_many = known.len() as u64 > self.pipe.max_values_per_field;
            let constant = known.len() == 1 && known[0].0 == self.rows;
            if too_many || constant && !self.pipe.keep_const_fields {
                continue;
            }
            known.sort_by_cached_key(|(hits, text)| (u64::MAX - hits, order::key(text)));
            for (count, text) in known.into_iter().take(self.pipe.limit as usize) {
                names.push(name.clone());
                values.push(text);
                hits.push(count);
            }
        }
        let rows = Rows {
            len: names.len(),
            columns: vec![
                (columns::name("field_name"), columns::text_column(names)),
                (columns::name("field_value"), columns::text_column(values)),
                (columns::name("hits"), columns::uint_column(hits)),
            ],
        };
        if rows.len > 0 {
            emit(rows)?;
        }
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// The breaker of `field_names`.
pub(crate) struct FieldNames;

impl Breaker for FieldNames {
    fn start(&self) -> Box<dyn Partial> {
        Box::new(Names { hits: HashMap::new() })
    }
}

struct Names {
    hits: HashMap<FieldName, u64>,
}

impl Partial for Names {
    fn push(&mut self, rows: Rows) -> Result<bool> {
        for (name, column) in &rows.columns {
            if is_hidden(name) {
                continue;
            }
            let hits = match column {
                Column::Const { value, .. } if value.is_empty() => 0,
                Column::Const { .. } => rows.len as u64,
                other => non_empty(other).count_set_bits() as u64,
            };
            if hits > 0 {
                *self.hits.entry_ref(name).or_insert(0) += hits;
            }
        }
        Ok(true)
    }

    fn merge(&mut self, other: Box<dyn Partial>) -> Result<()> {
        for (name, hits) in same::<Self>(other).hits {
            *self.hits.entry(name).or_insert(0) += hits;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, emit: &mut Emit<'_>) -> Result<()> {
        let mut found: Vec<(FieldName, u64)> = self.hits.into_iter().collect();
        found.sort_unstable();
        let columns = vec![
            (columns::name("name"), columns::text_column(found.iter().map(|(name, _)| name))),
            (columns::name("hits"), columns::uint_column(found.iter().map(|(_, hits)| *hits))),
        ];
        if !found.is_empty() {
            emit(Rows { len: found.len(), columns })?;
        }
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
