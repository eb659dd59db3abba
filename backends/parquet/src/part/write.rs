//! Writes a part: granule by granule into the Parquet file, then the index.
//!
//! Both files are written under a temporary name, synced, then renamed; the manifest lists them afterwards. What a stop in between
//! leaves is removed at the next open.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt8Type};
use arrow_array::{Array, RecordBatch};
use hashbrown::HashMap;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use rookery_core::logs::RESOURCE_COLUMNS;
use rookery_core::{Error, Result, Tenant};

use super::granule::{GranuleBuilder, LABELS, SealedGranule};
use super::index::{Granule, PartIndex, PartResource, Present, Run, filters_start};
use super::plan::{FieldColumn, FieldKind};
use super::words::WordSet;
use super::{GRANULE_BYTES, GRANULE_ROWS, PartInfo, ROW_GROUP_GRANULES, body, folder};
use crate::disk;
use body::search::byte_mask;

/// A dictionary beyond this has too many values to pay.
const DICTIONARY_LIMIT_BYTES: usize = 128 << 10;
/// A row group of fewer granules when it reaches this size in memory.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// What a new part is.
pub(crate) struct NewPart {
    pub(crate) id: u64,
    pub(crate) tenant: Tenant,
    pub(crate) day: i64,
    pub(crate) level: u32,
    pub(crate) columns: Vec<FieldColumn>,
    pub(crate) rest: Vec<(Arc<str>, u64)>,
    /// The columns of the bodies.
    pub(crate) bodies: body::BodyPlan,
    /// How hard to compress.
    pub(crate) zstd_level: i32,
}

/// A part under construction. Dropping it removes what was written.
pub(crate) struct PartWriter {
    part: NewPart,
    path: PathBuf,
    writer: Option<ArrowWriter<BufWriter<File>>>,
    index: PartIndex,
    by_resource: HashMap<Arc<PartResource>, u32>,
    filters: Vec<u8>,
    words: WordSet,
    granule: GranuleBuilder,
    in_group: u32,
    done: bool,
}

fn io_error(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let error = error.into();
    // The kind of an I/O failure is inside: a full disk must be told apart.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Error::io(format!("write the part {}", path.display()), io.kind().into());
        }
        cause = inner.source();
    }
    Error::internal(format!("cannot write the part {}", path.display())).because(error)
}

fn properties(part: &NewPart) -> Result<WriterProperties> {
    let columns = &part.columns;
    let level = ZstdLevel::try_new(part.zstd_level)
        .map_err(|e| Error::internal("the compression level does not exist").because(e))?;
    let mut builder = WriterProperties::builder()
        .set_created_by("rookery".into())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(GRANULE_ROWS)
        .set_write_batch_size(GRANULE_ROWS / 8)
        .set_dictionary_page_size_limit(DICTIONARY_LIMIT_BYTES)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![body::metadata()]));
    for name in ["time", "observed", "offset"] {
        let path = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_statistics_enabled(path, EnabledStatistics::Chunk);
    }
    // Constant over long runs, they are a few bytes a page; a compressor for each would cost more than all of the rest of them.
    for name in RESOURCE_COLUMNS.iter().chain(&["generation", LABELS]) {
        let path = ColumnPath::from(*name);
        builder = builder.set_column_compression(path, Compression::UNCOMPRESSED);
    }
    for name in ["trace_id", "span_id"] {
        let path = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    for column in columns {
        let path = ColumnPath::from(vec![column.column_name()]);
        let encoding = match column.kind {
            FieldKind::Time => Encoding::DELTA_BINARY_PACKED,
            FieldKind::Int if column.has_steps => Encoding::DELTA_BINARY_PACKED,
            // The high bytes are mostly the same and the low ones skewed, and zstd counts bytes, not bits.
            FieldKind::Int => Encoding::BYTE_STREAM_SPLIT,
            FieldKind::Dictionary | FieldKind::Text => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        };
        builder = builder
            .set_column_dictionary_enabled(path.clone(), column.kind == FieldKind::Dictionary)
            .set_column_encoding(path, encoding);
    }
    Ok(body::properties(part.bodies, builder).build())
}

impl PartWriter {
    /// Starts a part in a store's folder.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn create(directory: &Path, part: NewPart) -> Result<Self> {
        let folder = folder(directory, &part.tenant, part.day);
        disk::create_folder(&folder)?;
        let path = folder.join(format!("{:016x}.parquet", part.id));
        let file = File::create(disk::temporary(&path)).map_err(|e| io_error(&path, e))?;
        let granule = GranuleBuilder::new(&part.columns, part.bodies);
        let properties = properties(&part)?;
        let writer =
            ArrowWriter::try_new(BufWriter::new(file), granule.schema().clone(), Some(properties))
                .map_err(|e| io_error(&path, e))?;
        let index = PartIndex {
            columns: part.columns.clone(),
            rest: part.rest.clone(),
            ..PartIndex::default()
        };
        Ok(Self {
            part,
            path,
            writer: Some(writer),
            index,
            by_resource: HashMap::new(),
            filters: Vec::new(),
            words: WordSet::default(),
            granule,
            in_group: 0,
            done: false,
        })
    }

    /// The number of a resource in this part.
    pub(crate) fn resource(&mut self, resource: &Arc<PartResource>) -> u32 {
        if let Some(&number) = self.by_resource.get(resource) {
            return number;
        }
        let number = self.index.resources.len() as u32;
        self.index.resources.push(resource.as_ref().clone());
        self.by_resource.insert(resource.clone(), number);
        number
    }

    /// The column of a field.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.granule.column(name)
    }

    /// How many more rows the granule takes when they have bodies that end at these offsets: at least one.
    pub(crate) fn room(&self, body_offsets: &[i32]) -> usize {
        let rows = (GRANULE_ROWS - self.granule.rows()).min(body_offsets.len() - 1);
        let bytes = GRANULE_BYTES.saturating_sub(self.granule.bytes()) as i64;
        let start = i64::from(body_offsets[0]);
        body_offsets[1..=rows].partition_point(|&end| i64::from(end) - start <= bytes).max(1)
    }

    /// The granule to which the next rows are added, and the set for their words.
    pub(crate) fn rows(&mut self) -> (&mut GranuleBuilder, &mut WordSet) {
        (&mut self.granule, &mut self.words)
    }

    /// Says that a run of rows is complete, and writes the granule when it is full.
    ///
    /// # Errors
    /// When writing fails.
    pub(crate) fn end_run(&mut self, run: Run) -> Result<()> {
        self.granule.add_run(run);
        if self.granule.rows() >= GRANULE_ROWS || self.granule.bytes() >= GRANULE_BYTES {
            self.seal()?;
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        if self.granule.rows() == 0 {
            return Ok(());
        }
        let SealedGranule { batch, runs, first_field } =
            self.granule.finish(&self.index.resources)?;
        for run in runs {
            self.add_run(run);
        }
        let words = self.words.finish();
        let words_at = filters_start() + self.filters.len() as u64;
        self.filters.extend_from_slice(&words);
        let fields = present(&batch, first_field, self.index.columns.len());
        let granule = describe(&batch, fields, words_at, words.len() as u32);
        self.index.granules.push(granule);
        self.in_group += 1;
        let writer = self.writer.as_mut().expect("the writer is there until the end");
        writer.write(&batch).map_err(|e| io_error(&self.path, e))?;
        if self.in_group as usize == ROW_GROUP_GRANULES
            || writer.in_progress_size() >= ROW_GROUP_BYTES
        {
            writer.flush().map_err(|e| io_error(&self.path, e))?;
            self.index.row_groups.push(std::mem::take(&mut self.in_group));
            self.granule.body.end_row_group();
        }
        Ok(())
    }

    fn add_run(&mut self, run: Run) {
        match self.index.runs.last_mut() {
            Some(last)
                if (last.resource, last.generation) == (run.resource, run.generation)
                    && last.last_offset < run.first_offset =>
            {
                last.rows += run.rows;
                last.last_offset = run.last_offset;
            }
            _ => self.index.runs.push(run),
        }
    }

    /// Makes the part durable under its final name.
    ///
    /// # Errors
    /// When writing fails; then nothing stays.
    pub(crate) fn finish(mut self) -> Result<PartInfo> {
        self.seal()?;
        if self.in_group > 0 {
            self.index.row_groups.push(std::mem::take(&mut self.in_group));
        }
        let mut writer = self.writer.take().expect("the writer is there until the end");
        let metadata = writer.finish().map_err(|e| io_error(&self.path, e))?;
        let file = writer.inner_mut();
        file.flush()
            .and_then(|()| file.get_ref().sync_all())
            .map_err(|e| io_error(&self.path, e))?;
        let data_bytes = file.get_ref().metadata().map_err(|e| io_error(&self.path, e))?.len();
        self.settle_kinds(&metadata);
        let index = self.index.encode(&self.filters)?;
        let index_path = self.path.with_extension("index");
        disk::replace(&index_path, &index)?;
        fs::rename(disk::temporary(&self.path), &self.path).map_err(|e| io_error(&self.path, e))?;
        disk::sync_folder(self.path.parent().expect("a part lies in a folder"))?;
        self.done = true;
        let times = |granule: &Granule| (granule.min_time, granule.max_time);
        let (mins, maxs): (Vec<i64>, Vec<i64>) = self.index.granules.iter().map(times).unzip();
        Ok(PartInfo {
            id: self.part.id,
            tenant: self.part.tenant.clone(),
            day: self.part.day,
            rows: self.index.granules.iter().map(|g| u64::from(g.rows)).sum(),
            data_bytes,
            index_bytes: index.len() as u64,
            min_time: mins.into_iter().min().unwrap_or(0),
            max_time: maxs.into_iter().max().unwrap_or(0),
            level: self.part.level,
        })
    }

    /// A column whose dictionary overflowed somewhere is read as plain texts.
    fn settle_kinds(&mut self, metadata: &ParquetMetaData) {
        let schema = self.granule.schema();
        for column in &mut self.index.columns {
            if column.kind != FieldKind::Dictionary {
                continue;
            }
            let name = column.column_name();
            let leaf = schema.index_of(&name).expect("every field column is in the schema");
            let pure = metadata.row_groups().iter().all(|group| is_dictionary(group.column(leaf)));
            if !pure {
                column.kind = FieldKind::Text;
            }
        }
    }
}

/// Whether all values of a column chunk are keys of its dictionary. All columns before [`super::granule::REST`] have one leaf each,
/// so the index of a column is the index of its leaf.
fn is_dictionary(chunk: &parquet::file::metadata::ColumnChunkMetaData) -> bool {
    let encodings = chunk.encodings().collect::<Vec<_>>();
    !encodings.contains(&Encoding::DELTA_LENGTH_BYTE_ARRAY)
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        if !self.done {
            drop(self.writer.take());
            disk::remove_quietly(&disk::temporary(&self.path));
            disk::remove_quietly(&self.path.with_extension("index"));
        }
    }
}

fn present(batch: &RecordBatch, first_field: usize, count: usize) -> Vec<Present> {
    let mut fields = Vec::new();
    for column in 0..count {
        let array = batch.column(first_field + column);
        if array.null_count() == array.len() {
            continue;
        }
        let (mut min, mut max) = (0, 0);
        if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
            min = numbers.iter().flatten().min().unwrap_or(0);
            max = numbers.iter().flatten().max().unwrap_or(0);
        } else if array.data_type() == &super::stamp::data_type() {
            min = byte_mask(b"0123456789-:.TZ") as i64;
        } else if let Some(texts) = array.as_string_opt::<i32>() {
            let (start, end) = (texts.value_offsets()[0], texts.value_offsets()[texts.len()]);
            min = byte_mask(&texts.value_data()[start as usize..end as usize]) as i64;
        }
        fields.push(Present { column: column as u16, min, max });
    }
    fields
}

fn describe(batch: &RecordBatch, fields: Vec<Present>, words_at: u64, words_len: u32) -> Granule {
    let column = |name| batch.column_by_name(name).expect("a fixed column is in every batch");
    let times = column("time").as_primitive::<TimestampNanosecondType>().values();
    let severities = column("severity").as_primitive::<UInt8Type>().values();
    let rest = column(super::granule::REST).as_map();
    let has = |name: &'static str| column(name).null_count() < batch.num_rows();
    Granule {
        rows: batch.num_rows() as u32,
        min_time: times.iter().copied().min().unwrap_or(0),
        max_time: times.iter().copied().max().unwrap_or(0),
        // A severity beyond the known ones means nothing; it shares the last bit.
        severities: severities.iter().fold(0, |mask, &s| mask | 1 << s.min(31)),
        has_rest: !rest.entries().is_empty(),
        has_trace: has("trace_id") || has("span_id"),
        fields,
        words_at,
        words_len,
    }
}
