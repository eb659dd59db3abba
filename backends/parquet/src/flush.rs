//! From memory to parts: batches of one tenant, in the order in which they came, become one sorted part a day.
//!
//! Rows are not sorted one by one: they come as runs of one stream in order, so runs are sorted, and only where positions of
//! two runs overlap (which no collector does) the rows of those runs are.

use std::path::Path;
use std::sync::Arc;

use arrow_array::Array;
use hashbrown::HashMap;
use rookery_core::time::DAY;
use rookery_core::{Result, StreamId, Tenant};

use crate::memory::MemoryBatch;
use crate::part::PartInfo;
use crate::part::body::BodyPlan;
use crate::part::body::cut::Cutter;
use crate::part::granule::GranuleBuilder;
use crate::part::index::{PartResource, Run};
use crate::part::plan::{self, FieldColumn, FieldCount};
use crate::part::words::WordSet;
use crate::part::write::{NewPart, PartWriter};

/// How hard a part is compressed that will soon be merged.
const ZSTD_LEVEL: i32 = 1;

/// One body in this many is cut to see what bodies need.
const SAMPLED: usize = 16;

/// Rows of one batch that stay together: one stream, generation, resource and day, offsets rising.
#[derive(Debug, Clone)]
struct Piece {
    day: i64,
    stream: StreamId,
    generation: u64,
    first_offset: u64,
    last_offset: u64,
    batch: u32,
    start: u32,
    rows: u32,
    resource: Arc<PartResource>,
}

/// Writes the batches as parts, numbered by `next_id`.
///
/// # Errors
/// When a part cannot be written; those that were are named in no manifest, and are removed at the next open.
pub(crate) fn flush(
    directory: &Path,
    tenant: &Tenant,
    batches: &[Arc<MemoryBatch>],
    mut next_id: impl FnMut() -> u64,
) -> Result<Vec<PartInfo>> {
    let mut pieces = Vec::new();
    let mut resources = Resources::default();
    for (number, batch) in batches.iter().enumerate() {
        cut(batch, number as u32, &mut resources, &mut pieces);
    }
    let key = |p: &Piece| (p.day, p.stream, p.generation, p.first_offset);
    pieces.sort_by_key(key);
    let pieces = part_overlapping(pieces, batches);
    let mut parts = Vec::new();
    for day in pieces.chunk_by(|a, b| a.day == b.day) {
        parts.push(write_day(directory, tenant, day, batches, next_id())?);
    }
    Ok(parts)
}

/// The distinct resources of a flush.
#[derive(Default)]
struct Resources {
    by_stream: HashMap<StreamId, Vec<Arc<PartResource>>>,
}

impl Resources {
    fn get(&mut self, batch: &MemoryBatch, row: usize, stream: StreamId) -> Arc<PartResource> {
        let known = self.by_stream.entry(stream).or_default();
        let same = |r: &&Arc<PartResource>| {
            let columns = &r.columns;
            let labels = batch.labels.entries(row).map(|e| batch.labels.entry(e));
            (0..columns.len()).all(|c| batch.resource_text(c, row) == columns[c].as_ref())
                && labels.eq(r.labels.iter().map(|(k, v)| (k.as_ref(), v.as_ref())))
        };
        if let Some(found) = known.iter().find(same) {
            return found.clone();
        }
        let labels = batch.labels.entries(row).map(|e| batch.labels.entry(e));
        let resource = Arc::new(PartResource::new(
            stream,
            std::array::from_fn(|c| batch.resource_text(c, row).into()),
            labels.map(|(k, v)| (k.into(), v.into())).collect(),
        ));
        known.push(resource.clone());
        resource
    }
}

fn cut(batch: &MemoryBatch, number: u32, resources: &mut Resources, pieces: &mut Vec<Piece>) {
    let times = batch.time.values();
    let (generations, offsets) = (batch.generation.values(), batch.offset.values());
    let stream = |row: usize| {
        StreamId(batch.stream.value(row).try_into().expect("the type has sixteen bytes"))
    };
    let starts = |row: usize| {
        row == 0
            || times[row].div_euclid(DAY) != times[row - 1].div_euclid(DAY)
            || generations[row] != generations[row - 1]
            || offsets[row] <= offsets[row - 1]
            || batch.stream.value(row) != batch.stream.value(row - 1)
            || !batch.same_resource_as_before(row)
    };
    let mut start = 0;
    for row in 1..=batch.rows {
        if row < batch.rows && !starts(row) {
            continue;
        }
        pieces.push(Piece {
            day: times[start].div_euclid(DAY),
            stream: stream(start),
            generation: generations[start],
            first_offset: offsets[start],
            last_offset: offsets[row - 1],
            batch: number,
            start: start as u32,
            rows: (row - start) as u32,
            resource: resources.get(batch, start, stream(start)),
        });
        start = row;
    }
}

/// Cuts pieces whose positions overlap into single rows and sorts those.
fn part_overlapping(pieces: Vec<Piece>, batches: &[Arc<MemoryBatch>]) -> Vec<Piece> {
    let overlaps = |a: &Piece, b: &Piece| {
        (a.day, a.stream, a.generation) == (b.day, b.stream, b.generation)
            && b.first_offset <= a.last_offset
    };
    if !pieces.windows(2).any(|pair| overlaps(&pair[0], &pair[1])) {
        return pieces;
    }
    let mut rows: Vec<Piece> = Vec::with_capacity(pieces.len());
    for same in
        pieces.chunk_by(|a, b| (a.day, a.stream, a.generation) == (b.day, b.stream, b.generation))
    {
        if !same.windows(2).any(|pair| overlaps(&pair[0], &pair[1])) {
            rows.extend_from_slice(same);
            continue;
        }
        let from = rows.len();
        for piece in same {
            let offsets = batches[piece.batch as usize].offset.values();
            rows.extend((piece.start..piece.start + piece.rows).map(|start| {
                let offset = offsets[start as usize];
                Piece { start, rows: 1, first_offset: offset, last_offset: offset, ..piece.clone() }
            }));
        }
        rows[from..].sort_by_key(|piece| piece.first_offset);
    }
    rows
}

fn write_day(
    directory: &Path,
    tenant: &Tenant,
    pieces: &[Piece],
    batches: &[Arc<MemoryBatch>],
    id: u64,
) -> Result<PartInfo> {
    let (columns, rest) = plan::choose(count_fields(pieces, batches));
    // By batch, which column each name of its dictionary has.
    let by_batch: Vec<Vec<Option<usize>>> = batches
        .iter()
        .map(|batch| {
            let names = &batch.fields.names;
            (0..names.len()).map(|i| plan::column(&columns, names.value(i))).collect()
        })
        .collect();
    let bodies = plan_bodies(pieces, batches, &columns, &by_batch);
    let part = NewPart {
        id,
        tenant: tenant.clone(),
        day: pieces[0].day,
        level: 0,
        columns,
        rest,
        bodies,
        zstd_level: ZSTD_LEVEL,
    };
    let mut writer = PartWriter::create(directory, part)?;
    for piece in pieces {
        let number = piece.batch as usize;
        write_piece(&mut writer, piece, &batches[number], &by_batch[number])?;
    }
    writer.finish()
}

fn count_fields(pieces: &[Piece], batches: &[Arc<MemoryBatch>]) -> HashMap<Arc<str>, FieldCount> {
    let mut slots: HashMap<Arc<str>, usize> = HashMap::new();
    let mut counts: Vec<FieldCount> = Vec::new();
    let mut by_batch: Vec<Option<Vec<usize>>> = vec![None; batches.len()];
    for piece in pieces {
        let batch = &batches[piece.batch as usize];
        let names = &batch.fields.names;
        let slots = by_batch[piece.batch as usize].get_or_insert_with(|| {
            (0..names.len())
                .map(|i| {
                    *slots.entry(names.value(i).into()).or_insert_with(|| {
                        counts.push(FieldCount::default());
                        counts.len() - 1
                    })
                })
                .collect()
        });
        let keys = batch.fields.keys.values();
        let (start, end) = (piece.start as usize, (piece.start + piece.rows - 1) as usize);
        for entry in batch.fields.entries(start).start..batch.fields.entries(end).end {
            let value = batch.fields.values.value(entry);
            if !value.is_empty() {
                counts[slots[usize::from(keys[entry])]].add(value);
            }
        }
    }
    let mut counts: Vec<_> = counts.into_iter().map(Some).collect();
    let mut named: HashMap<_, _> = slots
        .into_iter()
        .map(|(name, slot)| (name, counts[slot].take().expect("each slot has one name")))
        .collect();
    named.retain(|_, count| count.values > 0);
    named
}

/// How many columns the bodies need, as far as a part of them tells. A body that needs more has the rest of it as text.
fn plan_bodies(
    pieces: &[Piece],
    batches: &[Arc<MemoryBatch>],
    columns: &[FieldColumn],
    by_batch: &[Vec<Option<usize>>],
) -> BodyPlan {
    let names = columns.iter().map(|column| (column.name.as_ref(), true));
    let mut cutter = Cutter::new(names, BodyPlan::MOST);
    let mut plan = BodyPlan::default();
    let mut fields = Vec::new();
    let mut skip = 0;
    for piece in pieces {
        let batch = &batches[piece.batch as usize];
        let mut row = piece.start as usize + skip;
        let end = (piece.start + piece.rows) as usize;
        while row < end {
            fields.clear();
            for entry in batch.fields.entries(row) {
                let key = usize::from(batch.fields.keys.value(entry));
                let value = batch.fields.values.value(entry);
                let column = by_batch[piece.batch as usize][key];
                fields.extend(column.filter(|_| !value.is_empty()).map(|column| (column, value)));
            }
            cutter.cut(batch.body.value(row), &batch.record(row, &fields));
            plan = plan.unite(cutter.pieces.plan());
            row += SAMPLED;
        }
        skip = row - end;
    }
    plan
}

fn write_piece(
    writer: &mut PartWriter,
    piece: &Piece,
    batch: &MemoryBatch,
    columns: &[Option<usize>],
) -> Result<()> {
    let resource = writer.resource(&piece.resource);
    let (mut start, end) = (piece.start as usize, (piece.start + piece.rows) as usize);
    while start < end {
        let rows = writer.room(&batch.body.value_offsets()[start..=end]);
        let (granule, words) = writer.rows();
        append_rows(granule, words, batch, start..start + rows, columns)?;
        let offsets = batch.offset.values();
        writer.end_run(Run {
            resource,
            generation: piece.generation,
            rows: rows as u64,
            first_offset: offsets[start],
            last_offset: offsets[start + rows - 1],
        })?;
        start += rows;
    }
    Ok(())
}

fn append_rows(
    granule: &mut GranuleBuilder,
    words: &mut WordSet,
    batch: &MemoryBatch,
    rows: std::ops::Range<usize>,
    columns: &[Option<usize>],
) -> Result<()> {
    let first = granule.rows();
    let mut fields: Vec<(usize, &str)> = Vec::new();
    for (target, row) in (first..).zip(rows.clone()) {
        fields.clear();
        for entry in batch.fields.entries(row) {
            let value = batch.fields.values.value(entry);
            if value.is_empty() {
                continue;
            }
            let key = usize::from(batch.fields.keys.value(entry));
            match columns[key] {
                // A name that is there twice keeps its first value.
                Some(column) if !granule.put(column, target, value) => {}
                Some(column) => {
                    fields.push((column, value));
                    if granule.is_text(column) {
                        words.add_value(value);
                    }
                }
                None => {
                    granule.put_rest(batch.fields.names.value(key), value);
                    words.add_value(value);
                }
            }
        }
        granule.end_rest()?;
        granule.body.push(batch.body.value(row), &batch.record(row, &fields), words);
    }
    for (target, source) in
        [(&mut granule.trace_id, &batch.trace_id), (&mut granule.span_id, &batch.span_id)]
    {
        let ids = source.slice(rows.start, rows.len());
        if ids.null_count() == ids.len() {
            target.append_nulls(ids.len());
            continue;
        }
        for id in &ids {
            target.append_option(id);
            words.add(id.unwrap_or(""));
        }
    }
    granule.observed.extend_from_slice(&batch.observed.values()[rows.clone()]);
    granule.offset.extend_from_slice(&batch.offset.values()[rows.clone()]);
    granule.severity.extend_from_slice(&batch.severity.values()[rows.clone()]);
    granule.time.extend_from_slice(&batch.time.values()[rows]);
    Ok(())
}
