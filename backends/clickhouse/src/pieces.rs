//! From a block to what is inserted: one piece for each day and retention, since one insert makes one part only within one partition of
//! the table; so late records lie in inserts of their own.
//!
//! Columns travel as they are: the server takes dictionaries, maps with dictionaries as keys, and fixed binaries. A batch whose records
//! all lie in one piece is not copied.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt32Type};
use arrow_array::{BooleanArray, RecordBatch};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use rookery_core::{Error, Result, Tenant, time};

use crate::config::Retention;

/// Which partition of the table: days since the epoch, and the days for which it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Piece {
    /// The day on which its records were printed, UTC.
    pub(crate) day: i32,
    /// Their retention.
    pub(crate) keep_days: u16,
}

/// The records of one insert.
pub(crate) type Pieces = BTreeMap<Piece, Vec<RecordBatch>>;

/// Cuts batches into pieces; the order of the records stays.
///
/// # Errors
/// `corrupt` when a batch is not one of logs.
pub(crate) fn cut(
    tenant: &Tenant,
    batches: &[RecordBatch],
    retention: &Retention,
) -> Result<Pieces> {
    let mut pieces = Pieces::new();
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        let places = places(tenant, batch, retention)?;
        let first = places[0];
        if places.iter().all(|place| *place == first) {
            pieces.entry(first).or_default().push(batch.clone());
            continue;
        }
        let mut distinct: Vec<Piece> = places.clone();
        distinct.sort_unstable();
        distinct.dedup();
        for piece in distinct {
            let inside: BooleanArray = places.iter().map(|place| Some(*place == piece)).collect();
            pieces.entry(piece).or_default().push(filter_record_batch(batch, &inside)?);
        }
    }
    Ok(pieces)
}

/// The piece of each record.
fn places(tenant: &Tenant, batch: &RecordBatch, retention: &Retention) -> Result<Vec<Piece>> {
    let wrong =
        |name: &str| Error::corrupt(format!("a block of logs has no proper column {name:?}"));
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| wrong(name));
    let times = column("time")?
        .as_primitive_opt::<TimestampNanosecondType>()
        .ok_or_else(|| wrong("time"))?;
    let projects =
        column("project")?.as_dictionary_opt::<UInt32Type>().ok_or_else(|| wrong("project"))?;
    let names = projects.values().as_string_opt::<i32>().ok_or_else(|| wrong("project"))?;
    let of_tenant = retention.tenants.get(tenant.as_str()).unwrap_or(&retention.default);
    let keep: Vec<u16> = names
        .iter()
        .map(|name| retention.projects.get(name.unwrap_or_default()).unwrap_or(of_tenant))
        .map(|span| days(span.0))
        .collect();
    let otherwise = days(of_tenant.0);
    let day = |time: &i64| i32::try_from(time.div_euclid(time::DAY)).unwrap_or_default();
    let of_row = |(row, time): (usize, &i64)| Piece {
        day: day(time),
        keep_days: projects.key(row).and_then(|key| keep.get(key)).copied().unwrap_or(otherwise),
    };
    Ok(times.values().iter().enumerate().map(of_row).collect())
}

/// Whole days, at least one.
fn days(span: std::time::Duration) -> u16 {
    let days = span.as_secs().div_ceil(24 * 3600).max(1);
    // 179 years; the table's days end in 2299.
    u16::try_from(days).unwrap_or(u16::MAX)
}

/// Batches as an Arrow IPC stream, its buffers compressed with lz4, in pieces of a batch each.
///
/// # Errors
/// When a batch cannot be encoded.
pub(crate) fn encode(batches: &[RecordBatch]) -> Result<Vec<Bytes>> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &first.schema(), options)?;
    let mut pieces = Vec::with_capacity(batches.len() + 1);
    for batch in batches {
        writer.write(batch)?;
        pieces.push(Bytes::from(std::mem::take(writer.get_mut())));
    }
    writer.finish()?;
    pieces.push(Bytes::from(std::mem::take(writer.get_mut())));
    Ok(pieces)
}

/// How many records a piece has.
pub(crate) fn rows(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

/// What of the pieces is not there yet, by what the server counted.
///
/// # Errors
/// `corrupt` when a piece is there in part, or records are there that the block has not: an insert is there as a whole or not at all.
pub(crate) fn missing(pieces: Pieces, there: &HashMap<Piece, u64>) -> Result<Pieces> {
    let mut missing = Pieces::new();
    let known = there.keys().all(|piece| pieces.contains_key(piece));
    for (piece, batches) in pieces {
        match there.get(&piece) {
            None => {
                missing.insert(piece, batches);
            }
            Some(count) if *count == rows(&batches) => {}
            Some(count) => return Err(torn(*count, rows(&batches))),
        }
    }
    if known { Ok(missing) } else { Err(torn(rows_of(there), 0)) }
}

fn rows_of(there: &HashMap<Piece, u64>) -> u64 {
    there.values().sum()
}

fn torn(found: u64, expected: u64) -> Error {
    Error::corrupt(format!(
        "a block that is tried again has {expected} records in ClickHouse's logs where {found} were found: two writers used one claim"
    ))
}

#[cfg(test)]
mod tests;
