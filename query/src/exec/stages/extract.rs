//! `extract` and `extract_regexp`: fields out of a text by a pattern.

use std::borrow::Cow;

use rookery_core::Result;
use rookery_core::rows::Rows;

use super::selection;
use crate::exec::columns::{self, Assign, FieldSink};
use crate::exec::pipeline::Stage;
use crate::logsql::ast::{self, ExtractPattern, Overwrite};
use rookery_core::json;

/// What a pipe that finds fields in a text has in common with its kin.
pub(crate) fn assign_found(
    rows: &mut Rows,
    field: &str,
    condition: Option<&rookery_core::filter::Filter>,
    overwrite: Overwrite,
    find: &mut dyn FnMut(&str, &mut FieldSink),
) -> Result<()> {
    let selection = selection(condition, rows)?;
    let source = columns::column_or_empty(rows, field);
    let rule = Assign {
        selection: selection.as_ref(),
        keep_original: overwrite.keep_original_fields,
        skip_empty: overwrite.skip_empty_results,
    };
    for (name, column) in columns::unpack(&source, rule.selection, find)? {
        columns::assign(rows, &name, column, rule)?;
    }
    Ok(())
}

/// `extract`.
pub(crate) struct Extract(pub ast::Extract);

impl Stage for Extract {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let Self(pipe) = self;
        let mut find = |text: &str, sink: &mut FieldSink| extract(&pipe.pattern, text, sink);
        assign_found(&mut rows, &pipe.field, pipe.condition.as_ref(), pipe.overwrite, &mut find)?;
        Ok(rows)
    }
}

/// Writes every named field of the pattern; those after a text that was not found are empty.
fn extract(pattern: &ExtractPattern, text: &str, sink: &mut FieldSink) {
    let mut rest = Some(text);
    for (at, step) in pattern.steps.iter().enumerate() {
        rest = rest.and_then(|rest| after(rest, &step.before));
        let next = match pattern.steps.get(at + 1) {
            Some(next) => next.before.as_str(),
            None => pattern.tail.as_str(),
        };
        let mut value = Cow::Borrowed("");
        rest = rest.and_then(|rest| {
            if !step.plain
                && let Some((unquoted, used)) = json::unquote_prefix(rest)
                && (next.is_empty() || rest[used..].contains(next))
            {
                value = unquoted;
                return Some(&rest[used..]);
            }
            let end = if next.is_empty() { rest.len() } else { rest.find(next)? };
            value = Cow::Borrowed(&rest[..end]);
            Some(&rest[end..])
        });
        if let Some(field) = &step.field {
            sink.field(field, &value);
        }
    }
}

/// What follows the first `needle`.
fn after<'a>(text: &'a str, needle: &str) -> Option<&'a str> {
    text.find(needle).map(|at| &text[at + needle.len()..])
}

/// `extract_regexp`.
pub(crate) struct ExtractRegexp(pub ast::ExtractRegexp);

impl Stage for ExtractRegexp {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let Self(pipe) = self;
        let regex = pipe.pattern.regex();
        let names: Vec<(usize, &str)> = regex
            .capture_names()
            .enumerate()
            .filter_map(|(at, name)| name.map(|name| (at, name)))
            .collect();
        let mut locations = regex.capture_locations();
        let mut find = |text: &str, sink: &mut FieldSink| {
            let found = regex.captures_read(&mut locations, text).is_some();
            for (at, name) in &names {
                let span = if found { locations.get(*at) } else { None };
                sink.field(name, span.map_or("", |(start, end)| &text[start..end]));
            }
        };
        assign_found(&mut rows, &pipe.field, pipe.condition.as_ref(), pipe.overwrite, &mut find)?;
        Ok(rows)
    }
}
