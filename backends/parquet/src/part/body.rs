//! The one door to how bodies are stored; nothing outside of this module knows more than that a body comes back byte for byte.
//!
//! **Version 1**: the whole text, in the Parquet column `body`. It is read, and a merge writes it as version 2.
//!
//! **Version 2**: a body is stored once. What its record's fields hold already is not stored again, what is the same in many bodies is
//! stored as a **template**, and what differs from body to body stands in columns of numbers and short texts.
//!
//! | column | type | what |
//! |---|---|---|
//! | `body.template` | utf8, dictionary | the body with **slots** in it |
//! | `body` | utf8, nullable | the whole body, or the end of one with too many values |
//! | `body.n<k>` | int64, nullable | the k-th number that is no field |
//! | `body.t<k>` | utf8, nullable | the k-th other word with a digit |
//! | `body.d<k>` | int64, nullable | the k-th time, as the distance to the record's own |
//! | `body.a<k>` | int64, nullable | the k-th IPv4 address |
//!
//! To rebuild a body, put the value of the slot's column in the same row in place of each slot of the row's template. A slot is
//! `U+0002 name U+0003` or `U+0002 name U+001F format U+0003`, where `name` is a column of the file: one of the above, `fields.<name>`
//! (or, where the file has no such column, `<name>` in the map `fields`), `trace_id` or `span_id`. The formats:
//!
//! | format | the text |
//! |---|---|
//! | none | the text, the number in decimal, or the timestamp as RFC 3339 in UTC: `YYYY-MM-DDTHH:MM:SS`, three digits when they are not 000, `Z` |
//! | `0<w>` | the number in decimal, with zeros in front up to `w` digits |
//! | `a` | an IPv4 address: the four bytes of the number in decimal, with points between |
//! | `h`, `h.<k>`, `h,<k>` | `HH:MM:SS`, and behind a point or comma `k` digits |
//! | `z`, `z.<k>`, `z,<k>` | `YYYY-MM-DDTHH:MM:SS`, the digits, `Z` |
//!
//! A time is counted in units of 10^-k seconds since the epoch (UTC): the column `time` in nanoseconds, divided by 10^(9-k) and rounded down,
//! plus the number in the column. Programs print their own time a moment before the runtime prints its, so the number is small.
//!
//! **Exactness.** A body is cut from its first byte to its last; each piece either goes into the template as it is, or is taken for a value only
//! when printing that value gives the piece again. So a body that does not fit is not wrong, it only takes more room. A body that holds a
//! control character of the slots, and one whose template finds no place ([`TEMPLATES_LIMIT`], [`TEMPLATE_LIMIT_BYTES`]), is stored whole: its template is one slot,
//! `body`.
//!
//! **Words.** No slot begins or ends inside of a word, so the words of a body are those of its template's texts and those of its values, and
//! a phrase can be looked for in a handful of templates and in the columns of their slots ([`search`]).
//!
//! Reading order: [`template`], [`cut`] (a body into a template and values), [`columns`] (many of them into columns), [`rebuild`], [`search`].

use arrow_schema::{DataType, Field, Schema};
use parquet::basic::Encoding;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;
use rookery_core::{Error, Result};

pub(crate) mod template;

pub(crate) mod cut;

pub(crate) mod columns;
pub(crate) mod rebuild;

pub(crate) mod search;

#[cfg(test)]
mod tests;

/// The Parquet column of whole bodies.
pub(crate) const COLUMN: &str = "body";
/// The Parquet column of templates.
pub(crate) const TEMPLATE: &str = "body.template";
/// The version that is written.
pub(crate) const VERSION: u8 = 2;

/// The most templates of a row group. Real programs have some dozens each; what comes after them is stored whole.
pub(crate) const TEMPLATES_LIMIT: usize = 4096;
/// The longest template, in bytes.
pub(crate) const TEMPLATE_LIMIT_BYTES: usize = 4096;
/// The most bytes of all templates of a row group: they are one page, and are in memory while a part is written or read.
pub(crate) const TEMPLATES_LIMIT_BYTES: usize = 1 << 20;

const KEY: &str = "rookery.body";
/// Bodies are searched granule by granule but shown one by one: a page of this size is decoded in less than half a
/// millisecond, and bodies take 1.5 % more on disk than with pages of 2 MiB.
const PAGE_BYTES: usize = 256 << 10;

/// A kind of value that bodies have besides fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
    Time,
    Address,
}

impl Kind {
    /// All kinds, in the order of the columns.
    pub(crate) const ALL: [Self; 4] = [Self::Number, Self::Text, Self::Time, Self::Address];

    /// The most columns of a kind. A body with more values has the rest of it in [`COLUMN`].
    pub(crate) const LIMITS: [u8; 4] = [16, 8, 2, 2];

    /// The name of the kind's k-th column.
    pub(crate) fn column(self, k: usize) -> String {
        format!("{}{k}", self.prefix())
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Number => "body.n",
            Self::Text => "body.t",
            Self::Time => "body.d",
            Self::Address => "body.a",
        }
    }

    fn is_text(self) -> bool {
        self == Self::Text
    }
}

/// How many columns of each kind a part has, in the order of [`Kind::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BodyPlan(pub(crate) [u8; 4]);

impl BodyPlan {
    /// As many as may be.
    pub(crate) const MOST: Self = Self(Kind::LIMITS);

    /// Enough for both.
    pub(crate) fn unite(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    /// The columns of a file.
    pub(crate) fn of(schema: &Schema) -> Self {
        let has = |name: &str| schema.field_with_name(name).is_ok();
        Self(std::array::from_fn(|i| {
            let count = (0..Kind::LIMITS[i]).take_while(|k| has(&Kind::ALL[i].column((*k).into())));
            count.count() as u8
        }))
    }

    /// The kinds and names of the columns, in order.
    pub(crate) fn columns(self) -> impl Iterator<Item = (Kind, String)> {
        Kind::ALL
            .into_iter()
            .zip(self.0)
            .flat_map(|(kind, count)| (0..usize::from(count)).map(move |k| (kind, kind.column(k))))
    }
}

pub(crate) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// The columns of the Parquet schema.
pub(crate) fn fields(plan: BodyPlan) -> Vec<Field> {
    let mut fields = vec![
        Field::new(TEMPLATE, dictionary_type(), false),
        Field::new(COLUMN, DataType::Utf8, true),
    ];
    fields.extend(plan.columns().map(|(kind, name)| {
        let data_type = if kind.is_text() { DataType::Utf8 } else { DataType::Int64 };
        Field::new(name, data_type, true)
    }));
    fields
}

/// How the columns are written.
pub(crate) fn properties(
    plan: BodyPlan,
    mut builder: WriterPropertiesBuilder,
) -> WriterPropertiesBuilder {
    let template = ColumnPath::from(vec![TEMPLATE.to_owned()]);
    builder = builder
        .set_column_dictionary_enabled(template.clone(), true)
        // Never reached: the row group ends to take templates before.
        .set_column_dictionary_page_size_limit(template, 4 * TEMPLATES_LIMIT_BYTES);
    let body = ColumnPath::from(COLUMN);
    builder = builder
        .set_column_dictionary_enabled(body.clone(), false)
        .set_column_encoding(body.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_data_page_size_limit(body, PAGE_BYTES);
    for (kind, name) in plan.columns() {
        let path = ColumnPath::from(vec![name]);
        let encoding = match kind {
            Kind::Text => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Kind::Number | Kind::Time | Kind::Address => Encoding::BYTE_STREAM_SPLIT,
        };
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, encoding);
    }
    builder
}

/// What the file's metadata says of the body.
pub(crate) fn metadata() -> KeyValue {
    KeyValue::new(KEY.into(), VERSION.to_string())
}

/// In which version a file stores its bodies.
///
/// # Errors
/// `corrupt` when the file says nothing, `conflict` when it is of a later version.
pub(crate) fn version(metadata: Option<&Vec<KeyValue>>) -> Result<u8> {
    let found = metadata.into_iter().flatten().find(|pair| pair.key == KEY);
    match found.and_then(|pair| pair.value.as_deref()).map(str::parse::<u8>) {
        Some(Ok(version @ 1..=VERSION)) => Ok(version),
        Some(Ok(version)) => Err(Error::conflict(format!(
            "a part stores bodies in version {version}, this program reads up to {VERSION}: run a later release"
        ))),
        _ => Err(Error::corrupt("a part does not say how its bodies are stored")),
    }
}
