//! `min`, `max`, `row_min`, `row_max`, `row_any`: the smallest and the largest value, and the records that have them.

use std::any::Any;
use std::cmp::Ordering;

use arrow_array::Array;
use rookery_core::Result;
use rookery_core::filter::FieldName;
use rookery_core::rows::{Column, dictionary_values};
use rookery_core::time;

use super::{Accumulator, Input, grow, same_kind};
use crate::exec::stages::pack;
use crate::exec::{number, order};
use crate::logsql::ast::FieldPattern;

/// Where a value stands before texts are compared: the classes of [`order`], in their order.
#[derive(Clone, Copy, Default)]
enum Rank {
    /// There is no value.
    #[default]
    Empty,
    Number(f64),
    Time(i64),
    Text,
}

impl Rank {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            Self::Empty
        } else if let Some(value) = number::number(text) {
            Self::Number(value)
        } else if let Some(nanos) = number::rfc3339_nanos(text) {
            Self::Time(nanos)
        } else {
            Self::Text
        }
    }

    fn class(self) -> u8 {
        match self {
            Self::Empty => 0,
            Self::Number(_) => 1,
            Self::Time(_) => 2,
            Self::Text => 3,
        }
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(&b),
            (Self::Time(a), Self::Time(b)) => a.cmp(&b),
            _ => self.class().cmp(&other.class()),
        }
    }
}

/// The best value so far.
#[derive(Default)]
struct Best {
    rank: Rank,
    text: String,
    key: Vec<u8>,
}

/// Buffers for looking at candidates.
#[derive(Default)]
struct Scratch {
    text: String,
    key: Vec<u8>,
    /// Bytes that the best values have grown by.
    grown: isize,
}

impl Best {
    /// Whether the candidate is better, and then it is taken. Its text is only made when its rank does not decide.
    fn offer(
        &mut self,
        rank: Rank,
        largest: bool,
        scratch: &mut Scratch,
        text: impl FnOnce(&mut String),
    ) -> bool {
        if matches!(rank, Rank::Empty) {
            return false;
        }
        let mut decided = rank.compare(self.rank);
        if matches!(self.rank, Rank::Empty) {
            decided = if largest { Ordering::Greater } else { Ordering::Less };
        }
        let worse = if largest { Ordering::Less } else { Ordering::Greater };
        if decided == worse {
            return false;
        }
        scratch.text.clear();
        text(&mut scratch.text);
        if decided == Ordering::Equal {
            if scratch.text == self.text {
                return false;
            }
            scratch.key.clear();
            order::push_key(&mut scratch.key, &scratch.text, false);
            let compared = scratch.key.cmp(&self.key);
            if compared == worse || compared == Ordering::Equal {
                return false;
            }
        }
        self.rank = rank;
        scratch.grown -= self.size();
        std::mem::swap(&mut self.text, &mut scratch.text);
        self.key.clear();
        order::push_key(&mut self.key, &self.text, false);
        scratch.grown += self.size();
        true
    }

    fn size(&self) -> isize {
        (self.text.capacity() + self.key.capacity()) as isize
    }
}

/// Offers each row's value of a column to its group's best; calls `taken(row, group)` when it is taken. The answer is how many
/// bytes more the best values hold.
fn offer_column(
    column: &Column,
    input: &Input<'_>,
    best: &mut [Best],
    largest: bool,
    taken: &mut dyn FnMut(usize, usize),
) -> isize {
    let mut scratch = Scratch::default();
    let mut offer = |row: usize, group: usize, rank: Rank, text: &dyn Fn(&mut String)| {
        if best[group].offer(rank, largest, &mut scratch, text) {
            taken(row, group);
        }
    };
    match column {
        Column::Const { value, .. } => {
            let rank = Rank::of(value);
            input.each(|row, group| offer(row, group, rank, &|out| out.push_str(value)));
        }
        Column::Dict(a) => {
            let values = dictionary_values(a);
            let ranks: Vec<Rank> = values.iter().map(|v| Rank::of(v.unwrap_or(""))).collect();
            input.each(|row, group| {
                if let Some(key) = a.key(row) {
                    offer(row, group, ranks[key], &|out| out.push_str(values.value(key)));
                }
            });
        }
        Column::Time(a) if a.null_count() == 0 => input.each(|row, group| {
            let nanos = a.value(row);
            offer(row, group, Rank::Time(nanos), &|out| time::write_rfc3339(out, nanos));
        }),
        Column::Int(a) => input.each(|row, group| {
            if a.is_null(row) {
                return;
            }
            let value = a.value(row);
            offer(row, group, Rank::Number(value as f64), &|out| out.push_str(&value.to_string()));
        }),
        Column::UInt(a) => input.each(|row, group| {
            if a.is_null(row) {
                return;
            }
            let value = a.value(row);
            offer(row, group, Rank::Number(value as f64), &|out| out.push_str(&value.to_string()));
        }),
        other => {
            let mut buffer = String::new();
            input.each(|row, group| {
                let text = other.text(row, &mut buffer);
                offer(row, group, Rank::of(text), &|out| out.push_str(text));
            });
        }
    }
    scratch.grown
}

/// `min` and `max`.
pub(super) struct Extreme {
    fields: Vec<FieldPattern>,
    largest: bool,
    best: Vec<Best>,
    bytes: isize,
}

impl Extreme {
    pub(super) fn new(fields: &[FieldPattern], largest: bool) -> Self {
        Self { fields: fields.to_vec(), largest, best: Vec::new(), bytes: 0 }
    }
}

impl Accumulator for Extreme {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.best, input.groups);
        for column in input.columns(&self.fields) {
            self.bytes += offer_column(column, input, &mut self.best, self.largest, &mut |_, _| {});
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.best, groups);
        let mut scratch = Scratch::default();
        for (theirs, group) in same_kind::<Self>(other).best.iter().zip(map) {
            let mine = &mut self.best[*group as usize];
            mine.offer(theirs.rank, self.largest, &mut scratch, |out| out.push_str(&theirs.text));
        }
        self.bytes += scratch.grown;
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        if let Some(best) = self.best.get(group) {
            out.push_str(&best.text);
        }
    }

    fn size_bytes(&self) -> usize {
        self.best.capacity() * size_of::<Best>() + self.bytes.unsigned_abs()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// `row_any`, `row_min`, `row_max`.
pub(super) struct RowOf {
    by: Option<FieldName>,
    largest: bool,
    fields: Vec<FieldPattern>,
    best: Vec<Best>,
    objects: Vec<Option<String>>,
    /// The rows taken from the present batch, by group.
    taken: Vec<(usize, usize)>,
    bytes: isize,
}

impl RowOf {
    pub(super) fn new(by: Option<&FieldName>, largest: bool, fields: &[FieldPattern]) -> Self {
        Self {
            by: by.cloned(),
            largest,
            fields: fields.to_vec(),
            best: Vec::new(),
            objects: Vec::new(),
            taken: Vec::new(),
            bytes: 0,
        }
    }
}

impl Accumulator for RowOf {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.best, input.groups);
        grow(&mut self.objects, input.groups);
        self.taken.clear();
        let Self { by, best, taken, objects, bytes, .. } = self;
        match by {
            Some(by) => {
                if let Some(column) = input.rows.column(by) {
                    let mut take = |row, group| taken.push((group, row));
                    *bytes += offer_column(column, input, best, self.largest, &mut take);
                }
            }
            None => {
                let mut last = usize::MAX;
                input.each(|row, group| {
                    if group != last && objects[group].is_none() {
                        taken.push((group, row));
                    }
                    last = group;
                });
            }
        }
        // The last row taken for a group is the one that counts; for `row_any` any of them is.
        taken.sort_by_key(|(group, _)| *group);
        let columns = pack::chosen(input.rows, &self.fields);
        let mut scratch = String::new();
        for (at, (group, row)) in taken.iter().enumerate() {
            if taken.get(at + 1).is_some_and(|(next, _)| next == group) {
                continue;
            }
            let mut object = String::new();
            pack::push_object(&mut object, &columns, *row, &mut scratch);
            *bytes += object.len() as isize;
            if let Some(old) = objects[*group].replace(object) {
                *bytes -= old.len() as isize;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.best, groups);
        grow(&mut self.objects, groups);
        let other = same_kind::<Self>(other);
        let mut scratch = Scratch::default();
        for ((theirs, object), group) in other.best.iter().zip(other.objects).zip(map) {
            let group = *group as usize;
            let better = match self.by {
                None => self.objects[group].is_none(),
                Some(_) => {
                    let text = |out: &mut String| out.push_str(&theirs.text);
                    self.best[group].offer(theirs.rank, self.largest, &mut scratch, text)
                }
            };
            if better && object.is_some() {
                self.bytes += object.as_ref().map_or(0, String::len) as isize;
                self.objects[group] = object;
            }
        }
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        match self.objects.get(group) {
            Some(Some(object)) => out.push_str(object),
            _ => out.push_str("{}"),
        }
    }

    fn size_bytes(&self) -> usize {
        self.bytes.unsigned_abs()
            + self.objects.capacity() * size_of::<Option<String>>()
            + self.best.capacity() * size_of::<Best>()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
