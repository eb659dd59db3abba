//! The index of a part: what a query reads before it touches the Parquet file.
//!
//! It holds the streams and their resources as *runs* of rows, so that every filter on a resource, a label or a stream is decided
//! once a resource and then for whole ranges of rows, and so that these columns are answered without reading them from Parquet; and for each
//! granule its times, severities, fields, ranges of numbers, and the filter of its words ([`super::fuse`]).
//!
//! ```text
//! 0        "RKIX", version (2), three zero bytes
//! 8        the word filters, one after the other
//! m        the rest as one zstd frame, see [`PartIndex::encode`]
//! end-28   m (8), length of the frame (8), xxh3-64 of everything before (8), "RKIX"; little endian
//! ```
//!
//! A word filter is asked in place, three bytes a probe; only the rest is held in memory.

use std::sync::Arc;

use rookery_core::logs::RESOURCE_COLUMNS;
use rookery_core::{Error, Result, StreamId};
use xxhash_rust::xxh3::xxh3_64;

use super::plan::{FieldColumn, FieldKind};
use crate::wire::{Reader, put_i64, put_str, put_u64};

const MAGIC: &[u8; 4] = b"RKIX";
/// Version 1 knows of no [`STEPS`] and no bytes of texts.
const VERSION: u8 = 2;
/// The kind of a column of numbers that has steps.
const STEPS: u8 = 3;
const HEADER_BYTES: usize = 8;
const FOOTER_BYTES: usize = 28;
/// The most that the compressed rest may grow to; an index of a thousand million records is smaller.
const META_LIMIT_BYTES: usize = 1 << 30;

/// What a run of rows shares: a stream and its resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PartResource {
    pub(crate) stream: StreamId,
    /// In the order of [`RESOURCE_COLUMNS`].
    pub(crate) columns: [Arc<str>; RESOURCE_COLUMNS.len()],
    pub(crate) labels: Vec<(Arc<str>, Arc<str>)>,
    /// The labels as one JSON object, empty without labels.
    pub(crate) labels_json: Arc<str>,
}

impl PartResource {
    /// A resource from its parts.
    pub(crate) fn new(
        stream: StreamId,
        columns: [Arc<str>; RESOURCE_COLUMNS.len()],
        labels: Vec<(Arc<str>, Arc<str>)>,
    ) -> Self {
        let json = if labels.is_empty() {
            String::new()
        } else {
            let pair = |(k, v): &(Arc<str>, Arc<str>)| (k.to_string(), v.as_ref().into());
            serde_json::Value::Object(labels.iter().map(pair).collect()).to_string()
        };
        Self { stream, columns, labels, labels_json: json.into() }
    }

    /// The text of a resource column; the one after the last is the labels.
    pub(crate) fn text(&self, column: usize) -> &str {
        self.columns.get(column).unwrap_or(&self.labels_json)
    }

    /// The value of a label, empty without it.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(k, _)| k.as_ref() == name).map_or("", |(_, v)| v)
    }

    fn size_bytes(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(k, v)| k.len() + v.len() + 64).sum();
        self.columns.iter().map(|c| c.len() + 32).sum::<usize>() + labels + 64
    }
}

/// Neighbouring rows of one resource and one generation, with rising offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Index into the part's resources.
    pub(crate) resource: u32,
    pub(crate) generation: u64,
    pub(crate) rows: u64,
    pub(crate) first_offset: u64,
    pub(crate) last_offset: u64,
}

/// A field that a granule has; for numbers the smallest and the largest, for texts which bytes they have (`min` is a
/// [`super::body::search::byte_mask`], 0 when it is not known).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Present {
    /// Index into the part's field columns.
    pub(crate) column: u16,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

/// What is known of a granule without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granule {
    pub(crate) rows: u32,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    /// One bit for each severity number that occurs.
    pub(crate) severities: u32,
    /// Whether any record has a field without a column.
    pub(crate) has_rest: bool,
    /// Whether any record has a trace or span id.
    pub(crate) has_trace: bool,
    /// The fields that any of the records has, by rising column.
    pub(crate) fields: Vec<Present>,
    /// Where the word filter lies in the file, and its length; zero without one.
    pub(crate) words_at: u64,
    pub(crate) words_len: u32,
}

/// The index of a part, without the word filters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PartIndex {
    pub(crate) columns: Vec<FieldColumn>,
    /// Names of fields without a column, with how often they occur (the most frequent ones).
    pub(crate) rest: Vec<(Arc<str>, u64)>,
    pub(crate) resources: Vec<PartResource>,
    /// In the order of the rows.
    pub(crate) runs: Vec<Run>,
    /// How many granules each row group has.
    pub(crate) row_groups: Vec<u32>,
    pub(crate) granules: Vec<Granule>,
}

impl PartIndex {
    /// The file: `filters` are the word filters, already at the places that the granules name (see [`filters_start`]).
    pub(crate) fn encode(&self, filters: &[u8]) -> Result<Vec<u8>> {
        let mut meta = Vec::new();
        put_u64(&mut meta, self.columns.len() as u64);
        for column in &self.columns {
            put_str(&mut meta, &column.name);
            meta.push(if column.has_steps { STEPS } else { column.kind as u8 });
            put_u64(&mut meta, column.values);
        }
        put_u64(&mut meta, self.rest.len() as u64);
        for (name, values) in &self.rest {
            put_str(&mut meta, name);
            put_u64(&mut meta, *values);
        }
        put_u64(&mut meta, self.resources.len() as u64);
        for resource in &self.resources {
            put_resource(&mut meta, resource);
        }
        put_u64(&mut meta, self.runs.len() as u64);
        for run in &self.runs {
            for number in [run.resource.into(), run.generation, run.rows, run.first_offset] {
                put_u64(&mut meta, number);
            }
            put_u64(&mut meta, run.last_offset.wrapping_sub(run.first_offset));
        }
        put_u64(&mut meta, self.row_groups.len() as u64);
        self.row_groups.iter().for_each(|&granules| put_u64(&mut meta, granules.into()));
        put_u64(&mut meta, self.granules.len() as u64);
        self.granules.iter().for_each(|granule| put_granule(&mut meta, granule));
        let frame = zstd::bulk::compress(&meta, 3)
            .map_err(|e| Error::internal("an index could not be compressed").because(e))?;
        let mut out = Vec::with_capacity(HEADER_BYTES + filters.len() + frame.len() + FOOTER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(filters);
        let at = out.len() as u64;
        out.extend_from_slice(&frame);
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(&(frame.len() as u64).to_le_bytes());
        let checksum = xxh3_64(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(MAGIC);
        Ok(out)
    }

    /// Reads a whole file back.
    ///
    /// # Errors
    /// `corrupt` when it is not what was written, `conflict` when it is of a later version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt = || Error::corrupt("an index is not what was written");
        let body = bytes.len().checked_sub(FOOTER_BYTES).filter(|&l| l >= HEADER_BYTES);
        let (body, footer) = bytes.split_at(body.ok_or_else(corrupt)?);
        let number = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().expect("eight"));
        let checked = &bytes[..bytes.len() - 12];
        if &footer[24..] != MAGIC || &bytes[..4] != MAGIC || xxh3_64(checked) != number(16) {
            return Err(corrupt());
        }
        if !(1..=VERSION).contains(&bytes[4]) {
            return Err(Error::conflict(format!(
                "an index has version {}, this program reads up to {VERSION}: run a later release",
                bytes[4]
            )));
        }
        let frame =
            usize::try_from(number(0)).ok().and_then(|at| body.get(at..)).ok_or_else(corrupt)?;
        if frame.len() as u64 != number(8) {
            return Err(corrupt());
        }
        let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
        let size = size.and_then(|s| usize::try_from(s).ok()).filter(|&s| s <= META_LIMIT_BYTES);
        let meta = zstd::bulk::decompress(frame, size.ok_or_else(corrupt)?)
            .map_err(|e| corrupt().because(e))?;
        Self::decode_content(&meta, body.len() as u64)
    }

    /// Reads what is in the compressed frame of a file whose word filters end at `filters_end` at the latest.
    pub(crate) fn decode_content(content: &[u8], filters_end: u64) -> Result<Self> {
        let index = Self::decode_meta(&mut Reader::new(content))?;
        index.check(filters_end)?;
        Ok(index)
    }

    fn decode_meta(reader: &mut Reader<'_>) -> Result<Self> {
        let mut index = Self::default();
        for _ in 0..reader.count()? {
            let (name, kind, values) = (reader.str()?.into(), reader.u8()?, reader.u64()?);
            let has_steps = kind == STEPS;
            let kind = match kind {
                0 | STEPS => FieldKind::Int,
                1 => FieldKind::Dictionary,
                2 => FieldKind::Text,
                4 => FieldKind::Time,
                _ => return Err(Error::corrupt("an index has a field of an unknown kind")),
            };
            index.columns.push(FieldColumn { name, kind, has_steps, values });
        }
        for _ in 0..reader.count()? {
            index.rest.push((reader.str()?.into(), reader.u64()?));
        }
        for _ in 0..reader.count()? {
            index.resources.push(resource(reader)?);
        }
        for _ in 0..reader.count()? {
            let (resource, generation) = (reader.u32()?, reader.u64()?);
            let (rows, first_offset) = (reader.u64()?, reader.u64()?);
            let last_offset = first_offset.wrapping_add(reader.u64()?);
            index.runs.push(Run { resource, generation, rows, first_offset, last_offset });
        }
        for _ in 0..reader.count()? {
            index.row_groups.push(reader.u32()?);
        }
        for _ in 0..reader.count()? {
            index.granules.push(granule(reader)?);
        }
        Ok(index)
    }

    /// Checks every reference, so that a reader may follow them.
    fn check(&self, filters_end: u64) -> Result<()> {
        let resources = self.resources.len() as u32;
        let in_runs = self.runs.iter().try_fold(0u64, |sum, run| sum.checked_add(run.rows));
        let in_granules: u64 = self.granules.iter().map(|g| u64::from(g.rows)).sum();
        let grouped: u64 = self.row_groups.iter().map(|&n| u64::from(n)).sum();
        let sound = self.runs.iter().all(|run| run.resource < resources)
            && in_runs == Some(in_granules)
            && grouped == self.granules.len() as u64
            && self.granules.iter().all(|granule| {
                let end = granule.words_at.checked_add(granule.words_len.into());
                end.is_some_and(|end| end <= filters_end)
                    && granule.fields.iter().all(|f| usize::from(f.column) < self.columns.len())
            });
        if sound { Ok(()) } else { Err(Error::corrupt("an index contradicts itself")) }
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn size_bytes(&self) -> usize {
        let granules = self.granules.iter();
        self.columns.len() * 64
            + self.rest.len() * 64
            + self.resources.iter().map(PartResource::size_bytes).sum::<usize>()
            + self.runs.len() * size_of::<Run>()
            + granules.map(|g| size_of::<Granule>() + g.fields.len() * 24).sum::<usize>()
    }

    /// The column of a field.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.binary_search_by(|column| column.name.as_ref().cmp(name)).ok()
    }
}

/// Where the first word filter lies in the file.
pub(crate) const fn filters_start() -> u64 {
    HEADER_BYTES as u64
}

fn put_resource(out: &mut Vec<u8>, resource: &PartResource) {
    out.extend_from_slice(&resource.stream.0);
    resource.columns.iter().for_each(|text| put_str(out, text));
    put_u64(out, resource.labels.len() as u64);
    for (name, value) in &resource.labels {
        put_str(out, name);
        put_str(out, value);
    }
}

fn resource(reader: &mut Reader<'_>) -> Result<PartResource> {
    let stream = StreamId(reader.array()?);
    let mut columns: [Arc<str>; RESOURCE_COLUMNS.len()] = std::array::from_fn(|_| "".into());
    for column in &mut columns {
        *column = reader.str()?.into();
    }
    let mut labels = Vec::new();
    for _ in 0..reader.count()? {
        labels.push((reader.str()?.into(), reader.str()?.into()));
    }
    Ok(PartResource::new(stream, columns, labels))
}

fn put_granule(out: &mut Vec<u8>, granule: &Granule) {
    put_u64(out, granule.rows.into());
    put_i64(out, granule.min_time);
    put_u64(out, granule.max_time.wrapping_sub(granule.min_time) as u64);
    put_u64(out, granule.severities.into());
    out.push(u8::from(granule.has_rest) | u8::from(granule.has_trace) << 1);
    put_u64(out, granule.fields.len() as u64);
    for field in &granule.fields {
        put_u64(out, field.column.into());
        put_i64(out, field.min);
        put_i64(out, field.max);
    }
    put_u64(out, granule.words_at);
    put_u64(out, granule.words_len.into());
}

fn granule(reader: &mut Reader<'_>) -> Result<Granule> {
    let (rows, min_time) = (reader.u32()?, reader.i64()?);
    let max_time = min_time.wrapping_add(reader.u64()? as i64);
    let (severities, flags) = (reader.u32()?, reader.u8()?);
    let mut fields = Vec::new();
    for _ in 0..reader.count()? {
        let column = u16::try_from(reader.u64()?)
            .map_err(|_| Error::corrupt("an index names an impossible field"))?;
        fields.push(Present { column, min: reader.i64()?, max: reader.i64()? });
    }
    Ok(Granule {
        rows,
        min_time,
        max_time,
        severities,
        has_rest: flags & 1 != 0,
        has_trace: flags & 2 != 0,
        fields,
        words_at: reader.u64()?,
        words_len: reader.u32()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> PartIndex {
        let names: [Arc<str>; 12] = std::array::from_fn(|i| format!("r{i}").into());
        let labels = vec![("app".into(), "x\"y".into())];
        let granule = |rows, words_at| Granule {
            rows,
            min_time: -5,
            max_time: i64::MAX,
            severities: 1 << 17,
            has_rest: true,
            has_trace: false,
            fields: vec![Present { column: 0, min: i64::MIN, max: 7 }],
            words_at,
            words_len: 3,
        };
        let run = Run { resource: 0, generation: 9, rows: 12, first_offset: 5, last_offset: 99 };
        PartIndex {
            columns: vec![FieldColumn {
                name: "status".into(),
                kind: FieldKind::Int,
                has_steps: true,
                values: 12,
            }],
            rest: vec![("odd".into(), 2)],
            resources: vec![PartResource::new(StreamId([3; 16]), names, labels)],
            runs: vec![run],
            row_groups: vec![2],
            granules: vec![granule(10, 8), granule(2, 11)],
        }
    }

    #[test]
    fn an_index_comes_back_and_every_change_is_seen() {
        let index = sample();
        let bytes = index.encode(b"abcdef").unwrap();
        assert_eq!(PartIndex::decode(&bytes).unwrap(), index);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(PartIndex::decode(&changed).is_err(), "byte {at}");
            assert!(PartIndex::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_index_that_contradicts_itself_is_corrupt() {
        let mut index = sample();
        index.runs[0].rows = 11;
        assert!(PartIndex::decode(&index.encode(b"abcdef").unwrap()).is_err());
        let mut index = sample();
        index.granules[1].words_len = 1000;
        assert!(PartIndex::decode(&index.encode(b"abcdef").unwrap()).is_err());
    }
}
