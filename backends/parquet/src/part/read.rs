//! An opened part: its index in memory, its files at hand, and reads of some columns of some rows.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{Field, Schema, SchemaRef};
use bytes::Bytes;
use hashbrown::HashMap;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use rookery_core::{Error, Result};

use super::body::{self, BodyPlan, rebuild::Rebuilder};
use super::index::{Granule, PartIndex};
use super::plan::{FieldColumn, FieldKind};
use super::{Part, fuse, words};
use crate::sync::Mutex;

/// A file that is read at places.
#[derive(Debug, Clone)]
struct PartFile {
    file: Arc<File>,
    length: u64,
}

impl Length for PartFile {
    fn len(&self) -> u64 {
        self.length
    }
}

/// Reads on from a place; the reader of pages reads headers through it, a few bytes at a time.
struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(out, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl ChunkReader for PartFile {
    type T = std::io::BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(std::io::BufReader::new(From { file: self.file.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // A damaged length must not make us ask for more memory than the file has.
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}")));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A part whose index is in memory.
#[derive(Debug)]
pub(crate) struct OpenPart {
    pub(crate) part: Arc<Part>,
    pub(crate) index: PartIndex,
    /// The row with which each granule starts, and the count of all rows at the end.
    pub(crate) granule_starts: Vec<u64>,
    /// The row with which each run starts, and the count of all rows at the end.
    pub(crate) run_starts: Vec<u64>,
    /// The first granule of each row group, and the count of granules at the end.
    pub(crate) group_starts: Vec<usize>,
    index_file: File,
    data: PartFile,
    footer: Mutex<Option<Footer>>,
    /// Rebuilds the part's bodies.
    pub(crate) rebuilder: Rebuilder,
}

/// Which rows of a stretch to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick<'a> {
    /// All.
    All,
    /// Those whose bit is set.
    Mask(&'a BooleanBuffer),
}

fn starts(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sum = 0;
    let mut starts = vec![0];
    starts.extend(counts.map(|count| {
        sum += count;
        sum
    }));
    starts
}

fn damaged(part: &Part, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::corrupt(format!(
        "the part {} cannot be read: it is set aside at the next start if it is gone or cut; restore it from a backup or remove it",
        part.data_path().display()
    ))
    .because(error)
}

/// How a part stores its bodies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bodies {
    pub(crate) version: u8,
    pub(crate) plan: BodyPlan,
}

impl Bodies {
    /// The columns that hold bodies and nothing else.
    pub(crate) fn columns(self) -> Vec<String> {
        let template = (self.version > 1).then(|| body::TEMPLATE.to_owned());
        let own = self.plan.columns().map(|(_, name)| name);
        template.into_iter().chain([body::COLUMN.to_owned()]).chain(own).collect()
    }
}

/// The Parquet file's own description.
#[derive(Debug, Clone)]
struct Footer {
    metadata: ArrowReaderMetadata,
    bodies: Bodies,
}

/// The schema in which the columns are asked for: dictionaries where they were written as such.
fn read_schema(written: &Schema, fields: &[FieldColumn]) -> SchemaRef {
    let dictionary = body::dictionary_type();
    let kinds: HashMap<String, FieldKind> =
        fields.iter().map(|column| (column.column_name(), column.kind)).collect();
    let columns = written.fields().iter().map(|field| match kinds.get(field.name()) {
        Some(FieldKind::Dictionary) => Field::new(field.name(), dictionary.clone(), true).into(),
        _ => field.clone(),
    });
    Arc::new(Schema::new(columns.collect::<Vec<_>>()))
}

impl OpenPart {
    /// Reads the index of a part.
    ///
    /// # Errors
    /// `corrupt` when a file is missing or not what was written.
    pub(crate) fn open(part: Arc<Part>) -> Result<Self> {
        let open = |path: &std::path::Path| File::open(path).map_err(|e| damaged(&part, e));
        let index_file = open(&part.index_path())?;
        let data = open(&part.data_path())?;
        let mut bytes = vec![0; usize::try_from(part.info.index_bytes).unwrap_or(0)];
        index_file.read_exact_at(&mut bytes, 0).map_err(|e| damaged(&part, e))?;
        let index = PartIndex::decode(&bytes).map_err(|e| damaged(&part, e))?;
        let length = data.metadata().map_err(|e| damaged(&part, e))?.len();
        let groups = starts(index.row_groups.iter().map(|&n| n.into()));
        Ok(Self {
            granule_starts: starts(index.granules.iter().map(|g| g.rows.into())),
            run_starts: starts(index.runs.iter().map(|run| run.rows)),
            group_starts: groups.into_iter().map(|n| n as usize).collect(),
            index,
            index_file,
            data: PartFile { file: Arc::new(data), length },
            footer: Mutex::new(None),
            rebuilder: Rebuilder::default(),
            part,
        })
    }

    /// About how many bytes it takes in memory, the Parquet footer included whether it was read or not.
    pub(crate) fn size_bytes(&self) -> usize {
        // A column chunk takes about 300 bytes, and about 30 for each of its pages.
        let chunks = (self.index.columns.len() + 24) * self.index.row_groups.len();
        self.index.size_bytes() + chunks * 600 + 4096
    }

    /// The rows of a stretch of granules.
    pub(crate) fn rows_of(&self, granules: &Range<usize>) -> Range<u64> {
        self.granule_starts[granules.start]..self.granule_starts[granules.end]
    }

    /// Whether a granule may hold a word.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn may_hold(&self, granule: &Granule, word: &str) -> Result<bool> {
        if granule.words_len == 0 {
            return Ok(true);
        }
        let failed = |e| damaged(&self.part, e);
        let mut header = [0; fuse::HEADER_BYTES];
        self.index_file.read_exact_at(&mut header, granule.words_at).map_err(failed)?;
        let shape = fuse::Shape::read(&header)?;
        let start = granule.words_at + fuse::HEADER_BYTES as u64;
        let hash = words::hash(word);
        let mut prints = [0; 3];
        for (print, place) in prints.iter_mut().zip(shape.places(hash)) {
            let at = start + place as u64;
            self.index_file.read_exact_at(std::slice::from_mut(print), at).map_err(failed)?;
        }
        Ok(shape.matches(hash, prints))
    }

    /// How it stores its bodies.
    ///
    /// # Errors
    /// `corrupt` when the file is not what was written, `conflict` when it is of a later version.
    pub(crate) fn bodies(&self) -> Result<Bodies> {
        Ok(self.footer()?.bodies)
    }

    /// Whether the Parquet file has a column.
    ///
    /// # Errors
    /// As [`Self::bodies`].
    pub(crate) fn has_column(&self, name: &str) -> Result<bool> {
        Ok(self.footer()?.metadata.schema().index_of(name).is_ok())
    }

    /// An error about the content of the part, with its name.
    pub(crate) fn damaged(&self, error: Error) -> Error {
        damaged(&self.part, error)
    }

    fn footer(&self) -> Result<Footer> {
        let mut footer = self.footer.lock();
        if let Some(found) = footer.as_ref() {
            return Ok(found.clone());
        }
        let options = ArrowReaderOptions::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required);
        let failed = |e: ParquetError| damaged(&self.part, e);
        let written = ArrowReaderMetadata::load(&self.data, options.clone()).map_err(failed)?;
        let described = written.metadata().file_metadata().key_value_metadata();
        let version = body::version(described).map_err(|e| self.damaged(e))?;
        if written.metadata().num_row_groups() != self.index.row_groups.len() {
            return Err(damaged(&self.part, "its index belongs to another file"));
        }
        let schema = read_schema(written.schema(), &self.index.columns);
        let metadata = ArrowReaderMetadata::try_new(
            written.metadata().clone(),
            options.with_schema(schema.clone()),
        )
        .map_err(failed)?;
        let bodies = Bodies { version, plan: BodyPlan::of(&schema) };
        let found = Footer { metadata, bodies };
        *footer = Some(found.clone());
        Ok(found)
    }

    /// Reads columns, named as in the Parquet schema, of the picked rows of a stretch of granules of one row group. The order of the
    /// arrays is that of the names.
    ///
    /// # Errors
    /// `corrupt` when the file is not what was written.
    pub(crate) fn read(
        &self,
        names: &[&str],
        granules: &Range<usize>,
        pick: Pick<'_>,
    ) -> Result<Vec<ArrayRef>> {
        let failed = |e: ParquetError| damaged(&self.part, e);
        let footer = self.footer()?.metadata;
        let group = self.group_starts.partition_point(|&start| start <= granules.start) - 1;
        let base = self.granule_starts[self.group_starts[group]];
        let rows = self.rows_of(granules);
        let (skip, count) = ((rows.start - base) as usize, (rows.end - rows.start) as usize);
        let selection = select(skip, count, pick);
        let picked = selection.row_count();
        let mask = self.projection(&footer, names)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.data.clone(), footer)
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_row_selection(selection)
            .with_batch_size(picked.max(1))
            .build()
            .map_err(failed)?;
        let batches: Vec<RecordBatch> =
            reader.collect::<Result<_, _>>().map_err(|e| damaged(&self.part, e))?;
        let read: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if read != picked {
            return Err(damaged(&self.part, format!("{read} rows instead of {picked}")));
        }
        names.iter().map(|name| one_array(&batches, name)).collect()
    }

    fn projection(&self, footer: &ArrowReaderMetadata, names: &[&str]) -> Result<ProjectionMask> {
        let schema = footer.schema();
        let roots = names
            .iter()
            .map(|name| schema.index_of(name))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| damaged(&self.part, e))?;
        Ok(ProjectionMask::roots(footer.parquet_schema(), roots))
    }

    /// The compressed bytes of each Parquet column.
    ///
    /// # Errors
    /// `corrupt` when the footer cannot be read.
    pub(crate) fn bytes_by_column(&self) -> Result<Vec<(String, u64)>> {
        let footer = self.footer()?.metadata;
        let groups = footer.metadata().row_groups().iter();
        let chunks = groups.flat_map(RowGroupMetaData::columns);
        Ok(chunks
            .map(|chunk| (chunk.column_path().string(), chunk.compressed_size().max(0) as u64))
            .collect())
    }

    /// Reads all rows from the first to the last, some columns, in batches.
    ///
    /// # Errors
    /// `corrupt` when the file is not what was written.
    pub(crate) fn read_through(
        &self,
        names: &[&str],
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let footer = self.footer()?.metadata;
        let mask = self.projection(&footer, names)?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.data.clone(), footer)
            .with_projection(mask)
            .with_batch_size(batch_rows)
            .build()
            .map_err(|e| damaged(&self.part, e))
    }
}

fn select(skip: usize, count: usize, pick: Pick<'_>) -> RowSelection {
    match pick {
        Pick::All => vec![RowSelector::skip(skip), RowSelector::select(count)].into(),
        Pick::Mask(mask) => {
            let ranges = mask.set_slices().map(|(start, end)| skip + start..skip + end);
            RowSelection::from_consecutive_ranges(ranges, skip + count)
        }
    }
}

fn one_array(batches: &[RecordBatch], name: &str) -> Result<ArrayRef> {
    let missing = || Error::internal(format!("the column {name} was asked for and not read"));
    let arrays: Vec<&dyn arrow_array::Array> = batches
        .iter()
        .map(|batch| batch.column_by_name(name).map(AsRef::as_ref).ok_or_else(missing))
        .collect::<Result<_>>()?;
    match arrays.as_slice() {
        [_] => Ok(batches[0].column_by_name(name).ok_or_else(missing)?.clone()),
        [] => Err(missing()),
        several => Ok(arrow_select::concat::concat(several)?),
    }
}

/// The opened parts that are kept between queries, least recently used first to go.
#[derive(Debug)]
pub(crate) struct PartCache {
    limit_bytes: usize,
    inner: Mutex<CacheInner>,
}

#[derive(Debug, Default)]
struct CacheInner {
    parts: HashMap<u64, (Arc<OpenPart>, u64)>,
    bytes: usize,
    clock: u64,
}

/// The most parts that are kept open: each takes two file descriptors.
const OPEN_PARTS_LIMIT: usize = 128;

impl PartCache {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, inner: Mutex::default() }
    }

    /// The opened part.
    ///
    /// # Errors
    /// `corrupt` when it cannot be opened.
    pub(crate) fn get(&self, part: &Arc<Part>) -> Result<Arc<OpenPart>> {
        let id = part.info.id;
        {
            let mut inner = self.inner.lock();
            inner.clock += 1;
            let now = inner.clock;
            if let Some((open, used)) = inner.parts.get_mut(&id) {
                *used = now;
                return Ok(open.clone());
            }
        }
        let open = Arc::new(OpenPart::open(part.clone())?);
        if !part.is_doomed() {
            self.insert(id, open.clone());
        }
        Ok(open)
    }

    fn insert(&self, id: u64, open: Arc<OpenPart>) {
        let mut inner = self.inner.lock();
        let now = inner.clock;
        inner.bytes += open.size_bytes();
        if let Some((old, _)) = inner.parts.insert(id, (open, now)) {
            inner.bytes -= old.size_bytes();
        }
        while inner.parts.len() > 1
            && (inner.bytes > self.limit_bytes || inner.parts.len() > OPEN_PARTS_LIMIT)
        {
            let oldest = inner.parts.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            inner.remove(oldest.expect("there is more than one"));
        }
    }

    /// Forgets a part.
    pub(crate) fn remove(&self, id: u64) {
        self.inner.lock().remove(id);
    }
}

impl CacheInner {
    fn remove(&mut self, id: u64) {
        if let Some((open, _)) = self.parts.remove(&id) {
            self.bytes -= open.size_bytes();
        }
    }
}
