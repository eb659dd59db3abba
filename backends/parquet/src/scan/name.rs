//! What a field's name in a query means.

use std::sync::{Arc, LazyLock};

use hashbrown::HashMap;
use rookery_core::filter::FieldName;
use rookery_core::logs::{RESOURCE_FIELDS, fields};

/// The place of `_stream` among the resource columns.
const TAGS: usize = RESOURCE_FIELDS.len() - 1;

/// What a field's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    Time,
    Message,
    StreamId,
    Observed,
    Generation,
    Offset,
    Level,
    TraceId,
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
pub(crate) fn built_in() -> &'static [(FieldName, Meaning<'static>)] {
    &BUILT_IN
}

/// What a name means.
pub(crate) fn meaning(name: &str) -> Meaning<'_> {
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
pub(crate) fn own_name(own: &Arc<str>) -> Option<FieldName> {
    match own.as_ref() {
        fields::LEVEL => None,
        name if is_built_in(name) => Some(format!("{}{name}", fields::OWN_PREFIX).into()),
        _ => Some(own.clone()),
    }
}

/// The name in queries of a label.
pub(crate) fn label_name(label: &str) -> FieldName {
    format!("{}{label}", fields::LABELS_PREFIX).into()
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
