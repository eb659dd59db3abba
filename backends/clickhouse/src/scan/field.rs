//! Where a field is in the table, as an expression.

use rookery_core::filter::eval::evaluate;
use rookery_core::filter::{Filter, Test};
use rookery_core::logs::names::Meaning;
use rookery_core::logs::{RESOURCE_COLUMNS, severity_name};
use rookery_core::rows::{Column, Rows};

use super::bounds::Sql;
use super::params::Params;

/// The largest severity that has a name.
const LAST_SEVERITY: u8 = 24;

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
        Meaning::Level => Source::Text(level(params)),
    }
}

/// The value of a key of a map; a missing one is the empty text.
fn entry(params: &mut Params, map: &str, name: &str) -> String {
    format!("{map}[{}]", params.text(name))
}

/// The level that the record itself names.
pub(crate) fn own_level(params: &mut Params) -> String {
    entry(params, "fields", rookery_core::logs::fields::LEVEL)
}

fn level(params: &mut Params) -> String {
    let own = own_level(params);
    let of = |range: std::ops::RangeInclusive<u8>| {
        let name = severity_name(*range.start());
        format!("severity BETWEEN {} AND {}, '{name}'", range.start(), range.end())
    };
    let names = [of(1..=4), of(5..=8), of(9..=12), of(13..=16), of(17..=20), of(21..=24)];
    format!("if({own} != '', {own}, multiIf({}, ''))", names.join(", "))
}

/// The severities whose names pass a test; none when that cannot be said here.
pub(crate) fn severity_passes(test: &Test) -> Option<Sql> {
    let passes = |severity: u8| {
        let name = "value";
        let columns = vec![(name.into(), Column::constant(severity_name(severity), 1))];
        let filter = Filter::field(name, test.clone());
        evaluate(&filter, &mut Rows { len: 1, columns }).ok().map(|passed| passed.value(0))
    };
    let mut listed = Vec::new();
    // What has no name passes or fails together.
    let unnamed = passes(0)?;
    for severity in 1..=LAST_SEVERITY {
        if passes(severity)? != unnamed {
            listed.push(severity.to_string());
        }
    }
    let not = if unnamed { "NOT " } else { "" };
    Some(match (listed.is_empty(), unnamed) {
        (true, true) => Sql::True,
        (true, false) => Sql::False,
        _ => Sql::new(format_args!("severity {not}IN ({})", listed.join(","))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_severities_are_tested_here() {
        let phrase = |text: &str| severity_passes(&Test::Phrase(text.into())).unwrap();
        assert_eq!(phrase("error").text(), "(severity IN (17,18,19,20))");
        assert_eq!(phrase("nothing"), Sql::False);
        assert_eq!(severity_passes(&Test::LengthRange { min: 0, max: 9 }), Some(Sql::True));
        let short = severity_passes(&Test::LengthRange { min: 0, max: 4 }).unwrap();
        let long = (1..=8).chain(17..=24).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(short.text(), format!("(severity NOT IN ({long}))"));
    }
}
