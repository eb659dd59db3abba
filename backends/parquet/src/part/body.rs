//! The one door to how bodies are stored.
//!
//! Version 1: the whole text, in the Parquet column `body`. A later version may store a body once, as a skeleton and its typed
//! fields or as a template and its variables; nothing outside of this module may know.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use parquet::basic::Encoding;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;
use rookery_core::{Error, Result};

/// The name of the Parquet column.
pub(crate) const COLUMN: &str = "body";
/// The version that is written.
pub(crate) const VERSION: u8 = 1;

const KEY: &str = "rookery.body";
/// Bodies are searched granule by granule but shown one by one: a page of this size is decoded in less than half a
/// millisecond, and bodies take 1.5 % more on disk than with pages of 2 MiB.
const PAGE_BYTES: usize = 256 << 10;

/// The column of the Parquet schema.
pub(crate) fn field() -> Field {
    Field::new(COLUMN, DataType::Utf8, false)
}

/// How the column is written.
pub(crate) fn properties(builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    let path = ColumnPath::from(COLUMN);
    builder
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_data_page_size_limit(path, PAGE_BYTES)
}

/// What the file's metadata says of the body.
pub(crate) fn metadata() -> KeyValue {
    KeyValue::new(KEY.into(), VERSION.to_string())
}

/// Checks that this program can read the bodies of a file.
///
/// # Errors
/// `corrupt` when the file says nothing, `conflict` when it is of a later version.
pub(crate) fn check(metadata: Option<&Vec<KeyValue>>) -> Result<()> {
    let found = metadata.into_iter().flatten().find(|pair| pair.key == KEY);
    match found.and_then(|pair| pair.value.as_deref()).map(str::parse::<u8>) {
        Some(Ok(VERSION)) => Ok(()),
        Some(Ok(version)) => Err(Error::conflict(format!(
            "a part stores bodies in version {version}, this program reads {VERSION}: run a later release"
        ))),
        _ => Err(Error::corrupt("a part does not say how its bodies are stored")),
    }
}

/// The texts of the column as it was read.
pub(crate) fn decode(column: &ArrayRef) -> Result<StringArray> {
    column
        .as_string_opt::<i32>()
        .cloned()
        .ok_or_else(|| Error::corrupt("the bodies of a part are not texts"))
}

/// The column as it is written.
pub(crate) fn encode(texts: StringArray) -> ArrayRef {
    Arc::new(texts)
}
