//! Where a field is in the table, as an expression.

use rookery_core::logs::RESOURCE_COLUMNS;
use rookery_core::logs::names::Meaning;

use super::params::Params;

/// The expression of a field, by what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A text, empty where the record has none.
    Text(String),
    /// A whole number without a sign.
    Whole(String),
    /// A time.
    Time(String),
}

impl Source {
    /// The text that a query sees, where the server can make it.
    pub(crate) fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Whole(number) => Some(format!("toString({number})")),
            Self::Time(_) => None,
        }
    }
}

/// The expression of a field.
pub(crate) fn source(params: &mut Params, meaning: Meaning<'_>) -> Source {
    match meaning {
        Meaning::Time => Source::Time("time".into()),
        Meaning::Observed => Source::Time("observed".into()),
        Meaning::Generation => Source::Whole("generation".into()),
        Meaning::Offset => Source::Whole("offset".into()),
        Meaning::Message => Source::Text("body".into()),
        Meaning::StreamId => Source::Text("lower(hex(stream))".into()),
        Meaning::TraceId => Source::Text("trace_id".into()),
        Meaning::SpanId => Source::Text("span_id".into()),
        Meaning::Resource(place) => Source::Text(RESOURCE_COLUMNS[place].into()),
        Meaning::Label(name) => Source::Text(entry(params, "labels", name)),
        Meaning::Own(name) => Source::Text(entry(params, "fields", name)),
        Meaning::Level => Source::Text("level".into()),
    }
}

/// The value of a key of a map; a missing one is the empty text.
fn entry(params: &mut Params, map: &str, name: &str) -> String {
    format!("{map}[{}]", params.text(name))
}
