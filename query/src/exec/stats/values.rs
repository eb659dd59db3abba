//! `values`, `uniq_values`, `json_values`: values and records as JSON arrays.

use std::any::Any;

use rookery_core::Result;
use rookery_core::rows::Column;

use super::{Accumulator, Input, grow, same_kind};
use crate::exec::bucket::Bucket;
use crate::exec::group::{Coder, FastSet};
use crate::exec::stages::pack;
use crate::exec::{columns, order};
use crate::logsql::ast::{FieldPattern, SortKey};
use rookery_core::json;

/// Texts joined by commas.
#[derive(Default)]
struct List {
    count: u64,
    json: String,
}

impl List {
    fn push(&mut self, write: impl FnOnce(&mut String)) {
        if self.count > 0 {
            self.json.push(',');
        }
        self.count += 1;
        write(&mut self.json);
    }
}

/// `values`.
pub(super) struct Values {
    fields: Vec<FieldPattern>,
    limit: u64,
    lists: Vec<List>,
    bytes: usize,
}

impl Values {
    pub(super) fn new(fields: &[FieldPattern], limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        Self { fields: fields.to_vec(), limit, lists: Vec::new(), bytes: 0 }
    }
}

impl Accumulator for Values {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.lists, input.groups);
        // A named field that the batch does not have is empty in each of its rows, and empty values belong to the list.
        let empty = Column::constant("", input.rows.len);
        let missing = self.fields.iter().filter(|pattern| match pattern {
            FieldPattern::Name(name) => input.rows.column(name).is_none(),
            FieldPattern::Prefix(_) => false,
        });
        let mut sources = input.columns(&self.fields);
        sources.extend(missing.map(|_| &empty));
        let (lists, limit) = (&mut self.lists, self.limit);
        let mut scratch = String::new();
        let mut added = 0;
        input.each(|row, group| {
            for column in &sources {
                let list = &mut lists[group];
                if list.count < limit {
                    let before = list.json.len();
                    list.push(|out| json::push_string(out, column.text(row, &mut scratch)));
                    added += list.json.len() - before;
                }
            }
        });
        self.bytes += added;
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.lists, groups);
        let other = same_kind::<Self>(other);
        for (theirs, group) in other.lists.into_iter().zip(map) {
            let mine = &mut self.lists[*group as usize];
            if mine.count == 0 {
                *mine = theirs;
            } else if theirs.count > 0 && mine.count + theirs.count <= self.limit {
                let count = theirs.count - 1;
                mine.push(|out| out.push_str(&theirs.json));
                mine.count += count;
            } else if theirs.count > 0 {
                let whole = format!("[{}]", theirs.json);
                let mut items = Vec::new();
                json::array_items(&whole, &mut |item| items.push(item));
                let room = self.limit.saturating_sub(mine.count) as usize;
                for item in items.iter().take(room) {
                    mine.push(|out| json::push_string(out, item));
                }
            }
        }
        self.bytes = self.lists.iter().map(|list| list.json.len()).sum();
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        out.push('[');
        if let Some(list) = self.lists.get(group) {
            out.push_str(&list.json);
        }
        out.push(']');
    }

    fn size_bytes(&self) -> usize {
        self.bytes + self.lists.capacity() * size_of::<List>()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// `uniq_values`.
pub(super) struct UniqValues {
    fields: Vec<FieldPattern>,
    limit: usize,
    coder: Coder,
    seen: FastSet<(u32, u32)>,
    values: Vec<Vec<u32>>,
}

impl UniqValues {
    pub(super) fn new(fields: &[FieldPattern], limit: Option<u64>) -> Self {
        let mut coder = Coder::new(Bucket::Exact);
        // The empty text has code 0.
        coder.intern("");
        Self {
            fields: fields.to_vec(),
            limit: limit.unwrap_or(u64::MAX) as usize,
            coder,
            seen: FastSet::default(),
            values: Vec::new(),
        }
    }
}

fn insert(
    seen: &mut FastSet<(u32, u32)>,
    values: &mut [Vec<u32>],
    limit: usize,
    group: usize,
    code: u32,
) {
    if code != 0 && values[group].len() < limit && seen.insert((group as u32, code)) {
        values[group].push(code);
    }
}

impl Accumulator for UniqValues {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.values, input.groups);
        for column in input.columns(&self.fields) {
            self.coder.encode(column);
            let codes = self.coder.codes();
            let mut last = (usize::MAX, 0);
            input.each(|row, group| {
                let code = codes.of(row);
                if last != (group, code) {
                    last = (group, code);
                    insert(&mut self.seen, &mut self.values, self.limit, group, code);
                }
            });
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.values, groups);
        let other = same_kind::<Self>(other);
        let texts = other.coder.texts();
        let codes: Vec<u32> =
            (0..texts.len() as u32).map(|code| self.coder.intern(texts.text(code))).collect();
        for (values, group) in other.values.iter().zip(map) {
            for code in values {
                let (group, code) = (*group as usize, codes[*code as usize]);
                insert(&mut self.seen, &mut self.values, self.limit, group, code);
            }
        }
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        let codes = self.values.get(group).map_or(&[][..], Vec::as_slice);
        let mut texts: Vec<&str> = codes.iter().map(|c| self.coder.texts().text(*c)).collect();
        texts.sort_by_cached_key(|text| order::key(text));
        out.push('[');
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            json::push_string(out, text);
        }
        out.push(']');
    }

    fn size_bytes(&self) -> usize {
        self.coder.size_bytes()
            + self.seen.capacity() * 9
            + self.seen.len() * 8
            + self.values.capacity() * size_of::<Vec<u32>>()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// `json_values`.
pub(super) struct JsonValues {
    fields: Vec<FieldPattern>,
    sort: Vec<SortKey>,
    limit: usize,
    records: Vec<Vec<(Vec<u8>, String)>>,
    bytes: usize,
}

impl JsonValues {
    pub(super) fn new(fields: &[FieldPattern], sort: &[SortKey], limit: Option<u64>) -> Self {
        Self {
            fields: fields.to_vec(),
            sort: sort.to_vec(),
            limit: limit.unwrap_or(u64::MAX) as usize,
            records: Vec::new(),
            bytes: 0,
        }
    }

    /// Leaves the first `limit` records of each group that has grown to twice as many.
    fn cut(&mut self) {
        let limit = self.limit;
        for records in &mut self.records {
            if records.len() / 2 > limit {
                records.sort();
                records.truncate(limit);
            }
        }
    }

    fn count_bytes(&mut self) {
        let each = |records: &Vec<(Vec<u8>, String)>| {
            records.iter().map(|(key, object)| key.len() + object.len() + 48).sum::<usize>()
        };
        self.bytes = self.records.iter().map(each).sum();
    }
}

impl Accumulator for JsonValues {
    fn update(&mut self, input: &Input<'_>) -> Result<()> {
        grow(&mut self.records, input.groups);
        let chosen = pack::chosen(input.rows, &self.fields);
        let by: Vec<(Column, bool)> = self
            .sort
            .iter()
            .map(|key| (columns::column_or_empty(input.rows, &key.field), key.descending))
            .collect();
        let (records, limit) = (&mut self.records, self.limit);
        let mut scratch = String::new();
        let mut added = 0;
        input.each(|row, group| {
            let records = &mut records[group];
            if by.is_empty() && records.len() >= limit {
                return;
            }
            let mut key = Vec::new();
            for (column, descending) in &by {
                order::push_row_key(&mut key, column, row, *descending, &mut scratch);
            }
            let mut object = String::new();
            pack::push_object(&mut object, &chosen, row, &mut scratch);
            added += key.len() + object.len() + 48;
            records.push((key, object));
        });
        self.bytes += added;
        if !self.sort.is_empty() && self.limit < usize::MAX {
            self.cut();
            self.count_bytes();
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn Accumulator>, map: &[u32], groups: usize) -> Result<()> {
        grow(&mut self.records, groups);
        let other = same_kind::<Self>(other);
        for (records, group) in other.records.into_iter().zip(map) {
            self.records[*group as usize].extend(records);
        }
        self.count_bytes();
        Ok(())
    }

    fn write(&mut self, group: usize, out: &mut String) {
        out.push('[');
        if let Some(records) = self.records.get_mut(group) {
            if !self.sort.is_empty() {
                records.sort();
            }
            for (at, (_, object)) in records.iter().take(self.limit).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(object);
            }
        }
        out.push(']');
    }

    fn size_bytes(&self) -> usize {
        self.bytes + self.records.capacity() * 24
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
