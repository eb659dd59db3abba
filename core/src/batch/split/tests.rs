use std::sync::Arc;

use arrow_array::Array;

use super::*;
use crate::Tenant;
use crate::batch::Fate;
use crate::ledger::StreamAccount;
use crate::logs::Resource;
use crate::logs::builder::{Head, LogBatchBuilder};

/// A small generator of numbers (xorshift), so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// One stream of a batch under construction.
struct Source {
    id: StreamId,
    resource: u32,
    ranges: Vec<Range>,
}

impl Source {
    fn next(&mut self, dice: &mut Dice, builder: &mut LogBatchBuilder) {
        let last = self.ranges.last().expect("each starts with a range");
        let at = Position { generation: last.generation, offset: last.end };
        match dice.roll(8) {
            0 => self.range(at.generation + 1 + dice.roll(3), 0, 0, Fate::Kept),
            1 => self.range(
                at.generation,
                at.offset,
                1 + dice.roll(50),
                Fate::Shed("spool_budget".into()),
            ),
            2 => self.range(
                at.generation,
                at.offset,
                1 + dice.roll(50),
                Fate::Lost("deleted_unread".into()),
            ),
            3 => self.range(at.generation, at.offset, dice.roll(3), Fate::Kept),
            _ => {
                if last.fate != Fate::Kept {
                    self.range(at.generation, at.offset, 0, Fate::Kept);
                }
                let range = self.ranges.last_mut().expect("it has one");
                // Blank lines before it, which are no records.
                let offset = range.end + dice.roll(2) * 3;
                range.end = offset + 1 + dice.roll(100);
                range.records += 1;
                builder.push_body(&format!("{}@{offset}", range.generation));
                let position = Position { generation: range.generation, offset };
                builder.finish_record(Head {
                    resource: self.resource,
                    stream: self.id,
                    position,
                    time: 1,
                    observed: 2,
                    severity: 9,
                    trace_id: None,
                    span_id: None,
                });
            }
        }
    }

    fn range(&mut self, generation: u64, start: u64, bytes: u64, fate: Fate) {
        let end = start + bytes;
        let after = self.ranges.last().map(Range::end_position).unwrap_or_default();
        let stream = self.id;
        self.ranges.push(Range { stream, generation, start, end, records: 0, fate, after });
    }
}

/// Some streams, their rows interleaved, with all that may happen to bytes.
fn batch(dice: &mut Dice) -> Batch {
    let mut builder = LogBatchBuilder::default();
    let mut sources: Vec<Source> = (0..=dice.roll(4))
        .map(|number| {
            let resource = Resource { pod: format!("pod-{number}"), ..Resource::default() };
            let id = StreamId([number as u8; 16]);
            let mut source =
                Source { id, resource: builder.resource(&Arc::new(resource)), ranges: Vec::new() };
            source.range(1, dice.roll(2) * 1_000, 0, Fate::Kept);
            source
        })
        .collect();
    for _ in 0..dice.roll(60) {
        let at = dice.roll(sources.len() as u64) as usize;
        sources[at].next(dice, &mut builder);
    }
    Batch {
        tenant: Tenant::default(),
        collector: "node-1".into(),
        records: builder.finish().unwrap(),
        ranges: sources.into_iter().flat_map(|source| source.ranges).collect(),
    }
}

fn rows_of(batch: &Batch) -> Vec<(StreamId, Position)> {
    let rows = Rows::of(&batch.records).unwrap();
    (0..batch.records.num_rows()).map(|row| (rows.stream(row), rows.position(row))).collect()
}

/// Each row lies in a kept range, in the order of its stream, and each kept range counts its rows.
fn is_whole(batch: &Batch) {
    let rows = rows_of(batch);
    for range in &batch.ranges {
        let inside = |(stream, at): &&(StreamId, Position)| {
            *stream == range.stream && (start_of(range)..range.end_position()).contains(at)
        };
        let inside = rows.iter().filter(inside).count() as u64;
        let kept = if range.fate == Fate::Kept { range.records } else { 0 };
        assert_eq!(inside, kept, "{range:?}");
    }
    assert_eq!(batch.ranges.iter().map(|r| r.records).sum::<u64>(), rows.len() as u64);
    for (stream, ..) in &rows {
        assert!(rows.iter().filter(|(s, _)| s == stream).is_sorted());
    }
}

/// What is covered of one stream: ranges that meet and have one fate are joined, empty ones are left out.
fn covered(batches: &[&Batch], stream: StreamId) -> Vec<Range> {
    let mut all: Vec<Range> = Vec::new();
    let ranges = batches.iter().flat_map(|b| &b.ranges).filter(|r| r.stream == stream);
    for range in ranges.filter(|range| range.bytes() > 0) {
        match all.last_mut() {
            Some(last) if last.end_position() == start_of(range) && last.fate == range.fate => {
                last.end = range.end;
                last.records += range.records;
            }
            _ => all.push(range.clone()),
        }
    }
    all
}

fn account_of(batches: &[&Batch], stream: StreamId) -> StreamAccount {
    let mut account = StreamAccount::new(Tenant::default(), stream, "{}".into());
    for range in batches.iter().flat_map(|b| &b.ranges).filter(|r| r.stream == stream) {
        for entry in account.admit(range, |_| panic!("nothing comes twice: {range:?}")) {
            account.apply(&entry, 0);
        }
    }
    account.events.clear();
    account
}

#[test]
fn the_halves_are_the_whole_wherever_it_is_cut() {
    for seed in 1..2_000 {
        let mut dice = Dice(seed | seed << 40);
        let whole = batch(&mut dice);
        is_whole(&whole);
        let row = dice.roll(whole.records.num_rows() as u64 + 2) as usize;
        let (first, second) = whole.clone().split_at_row(row).unwrap();
        assert_eq!(first.records.num_rows(), row.min(whole.records.num_rows()), "seed {seed}");
        is_whole(&first);
        is_whole(&second);
        let rows = [rows_of(&first), rows_of(&second)].concat();
        assert_eq!(rows, rows_of(&whole), "seed {seed}");
        for stream in whole.ranges.iter().map(|r| r.stream) {
            let halves = covered(&[&first, &second], stream);
            assert_eq!(halves, covered(&[&whole], stream), "seed {seed}");
            let halves = account_of(&[&first, &second], stream);
            assert_eq!(halves, account_of(&[&whole], stream), "seed {seed}");
        }
    }
}

#[test]
fn cut_down_to_single_rows_it_is_still_the_whole() {
    let mut dice = Dice(7);
    let whole = (0..).map(|_| batch(&mut dice)).find(|b| b.records.num_rows() > 30).unwrap();
    let mut rest = whole.clone();
    let mut parts = Vec::new();
    while rest.records.num_rows() > 1 {
        let (first, second) = rest.split_at_row(1).unwrap();
        is_whole(&first);
        parts.push(first);
        rest = second;
    }
    parts.push(rest);
    let parts: Vec<&Batch> = parts.iter().collect();
    for stream in whole.ranges.iter().map(|r| r.stream) {
        assert_eq!(account_of(&parts, stream), account_of(&[&whole], stream));
    }
}

#[test]
fn no_column_is_copied() {
    let mut dice = Dice(3);
    let whole = (0..).map(|_| batch(&mut dice)).find(|b| b.records.num_rows() > 10).unwrap();
    let (first, second) = whole.clone().split_at_row(5).unwrap();
    let body = |batch: &Batch| {
        let text = batch.records.column_by_name("body").unwrap().as_string::<i32>().clone();
        (text.value(0).to_owned(), text.values().as_ptr())
    };
    let (text, buffer) = body(&whole);
    assert_eq!(body(&first), (text, buffer));
    assert_eq!(body(&second).1, buffer);
    let text = whole.records.column_by_name("body").unwrap().as_string::<i32>().value(5).to_owned();
    assert_eq!(body(&second).0, text);
    assert_eq!(
        second.records.column_by_name("fields").unwrap().len(),
        whole.records.num_rows() - 5
    );
}

#[test]
fn what_is_not_a_batch_of_logs_is_refused() {
    let records = RecordBatch::new_empty(Arc::new(arrow_schema::Schema::empty()));
    let wrong =
        Batch { tenant: Tenant::default(), collector: "n".into(), records, ranges: Vec::new() };
    let error = wrong.split_at_row(0).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Corrupt, "{error}");
}
