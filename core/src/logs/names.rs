//! What a field's name in a query means, for every store the same.

use std::sync::{Arc, LazyLock};

use arrow_array::types::UInt32Type;
use arrow_array::{DictionaryArray, StringArray, UInt8Array, UInt32Array};
use hashbrown::HashMap;

use super::{RESOURCE_FIELDS, fields, severity_name};
use crate::filter::FieldName;
use crate::rows::Column;

/// The place of `_stream` among the resource columns.
const TAGS: usize = RESOURCE_FIELDS.len() - 1;

/// What a field's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// When the line was printed.
    Time,
    /// The body.
    Message,
    /// The stream's id.
    StreamId,
    /// When the collector read it.
    Observed,
    /// The generation of its position.
    Generation,
    /// The offset of its position.
    Offset,
    /// The record's own level where it has one, else the name of its severity.
    Level,
    /// The trace's id.
    TraceId,
    /// The span's id.
    SpanId,
    /// A resource column, by its place in [`RESOURCE_FIELDS`].
    Resource(usize),
    /// A label of the resource.
    Label(&'a str),
    /// The record's own field.
    Own(&'a str),
}

/// The built-in names that are always the same, in the order in which they are shown.
static BUILT_IN: LazyLock<Vec<(FieldName, Meaning<'static>)>> = LazyLock::new(|| {
    let mut names: Vec<(FieldName, Meaning<'static>)> = vec![
        (fields::TIME.into(), Meaning::Time),
        (fields::MESSAGE.into(), Meaning::Message),
        (fields::STREAM.into(), Meaning::Resource(TAGS)),
        (fields::STREAM_ID.into(), Meaning::StreamId),
        (fields::LEVEL.into(), Meaning::Level),
    ];
    for (place, name) in RESOURCE_FIELDS[..TAGS].iter().enumerate() {
        names.push(((*name).into(), Meaning::Resource(place)));
    }
    names.extend([
        (fields::TRACE_ID.into(), Meaning::TraceId),
        (fields::SPAN_ID.into(), Meaning::SpanId),
        (fields::OBSERVED.into(), Meaning::Observed),
        (fields::GENERATION.into(), Meaning::Generation),
        (fields::OFFSET.into(), Meaning::Offset),
    ]);
    names
});

static BY_NAME: LazyLock<HashMap<&'static str, Meaning<'static>>> =
    LazyLock::new(|| BUILT_IN.iter().map(|(name, meaning)| (name.as_ref(), *meaning)).collect());

/// The built-in names, in the order in which they are shown.
pub fn built_in() -> &'static [(FieldName, Meaning<'static>)] {
    &BUILT_IN
}

/// What a name means.
pub fn meaning(name: &str) -> Meaning<'_> {
    if let Some(found) = BY_NAME.get(name) {
        return *found;
    }
    if let Some(label) = name.strip_prefix(fields::LABELS_PREFIX) {
        return Meaning::Label(label);
    }
    match name.strip_prefix(fields::OWN_PREFIX) {
        Some(own) if is_built_in(own) => Meaning::Own(own),
        _ => Meaning::Own(name),
    }
}

fn is_built_in(name: &str) -> bool {
    BY_NAME.contains_key(name) || name.starts_with(fields::LABELS_PREFIX)
}

/// The name in queries of a record's own field; none for `level`, which is merged with the severity.
pub fn own_name(own: &Arc<str>) -> Option<FieldName> {
    match own.as_ref() {
        fields::LEVEL => None,
        name if is_built_in(name) => Some(format!("{}{name}", fields::OWN_PREFIX).into()),
        _ => Some(own.clone()),
    }
}

/// The name in queries of a label.
pub fn label_name(label: &str) -> FieldName {
    format!("{}{label}", fields::LABELS_PREFIX).into()
}

/// The level of records: their own text where they have one, else the name of the severity.
///
/// # Panics
/// When `own` is shorter than `severity`.
pub fn merge_level(own: &Column, severity: &UInt8Array) -> Column {
    let mut numbers: HashMap<Box<str>, u32> = HashMap::new();
    let mut keys = Vec::with_capacity(severity.len());
    let mut scratch = String::new();
    for (row, severity) in severity.values().iter().enumerate() {
        let text = match own.text(row, &mut scratch) {
            "" => severity_name(*severity),
            text => text,
        };
        let next = numbers.len() as u32;
        keys.push(match numbers.get(text) {
            Some(number) => *number,
            None => {
                numbers.insert(text.into(), next);
                next
            }
        });
    }
    let mut texts: Vec<(u32, Box<str>)> = numbers.into_iter().map(|(t, n)| (n, t)).collect();
    texts.sort_unstable_by_key(|(number, _)| *number);
    let values: StringArray = texts.iter().map(|(_, text)| Some(text.as_ref())).collect();
    let keys = UInt32Array::from(keys);
    let dictionary = DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(values));
    Column::Dict(dictionary.expect("every key was numbered above"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_queries_say() {
        assert_eq!(meaning("_stream"), Meaning::Resource(TAGS));
        assert_eq!(meaning("pod"), Meaning::Resource(6));
        assert_eq!(meaning("labels.app"), Meaning::Label("app"));
        assert_eq!(meaning("status"), Meaning::Own("status"));
        assert_eq!(meaning("fields.level"), Meaning::Own("level"));
        assert_eq!(meaning("fields.labels.app"), Meaning::Own("labels.app"));
        assert_eq!(meaning("fields.message"), Meaning::Own("fields.message"));
        for own in ["status", "pod", "labels.app", "fields.message", "_msg"] {
            let name = own_name(&own.into()).unwrap();
            assert_eq!(meaning(&name), Meaning::Own(own));
        }
        assert_eq!(own_name(&"level".into()), None);
    }
}
