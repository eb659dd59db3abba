//! Selectors of streams, by their tags and by their ids.

use arrow_array::Array;

use super::selection::Selection;
use crate::StreamId;
use crate::filter::{TagMatcher, TagOp};
use crate::logs::parse_tags;
use crate::rows::{Column, dictionary_values};

/// Whether the tags of a stream, as [`crate::logs::print_tags`] writes them, fit one of the selectors.
pub(super) fn fits(selectors: &[Vec<TagMatcher>], tags: &str) -> bool {
    let tags = parse_tags(tags);
    let value = |name: &str| tags.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    let holds = |matcher: &TagMatcher| {
        let value = value(&matcher.tag);
        match &matcher.op {
            TagOp::In(values) => values.iter().any(|v| v == value),
            TagOp::NotIn(values) => !values.iter().any(|v| v == value),
            TagOp::Matches(pattern) => pattern.regex().is_match(value),
            TagOp::NotMatches(pattern) => !pattern.regex().is_match(value),
        }
    };
    selectors.iter().any(|selector| selector.iter().all(holds))
}

/// The rows of `live` whose stream fits one of the selectors.
pub(super) fn select(
    selectors: &[Vec<TagMatcher>],
    column: &Column,
    live: &Selection,
) -> Selection {
    let mut scratch = String::new();
    match column {
        Column::Const { value, .. } => live.keep_if(fits(selectors, value)),
        Column::Dict(a) => {
            let entries = dictionary_values(a);
            let mut known: Vec<Option<bool>> = vec![None; entries.len()];
            live.keep(|row| match a.key(row) {
                Some(key) => *known[key].get_or_insert_with(|| fits(selectors, entries.value(key))),
                None => fits(selectors, ""),
            })
        }
        _ => {
            // Records of one stream mostly follow each other.
            let (mut last, mut pass) = (None::<String>, false);
            live.keep(|row| {
                let text = column.text(row, &mut scratch);
                if last.as_deref() != Some(text) {
                    pass = fits(selectors, text);
                    last = Some(text.into());
                }
                pass
            })
        }
    }
}

/// The rows of `live` whose stream is one of `ids`, which are sorted.
pub(super) fn select_ids(ids: &[StreamId], column: &Column, live: &Selection) -> Selection {
    let known = |id: &StreamId| ids.binary_search(id).is_ok();
    match column {
        Column::Hex(a) => live.keep(|row| {
            let id = a.is_valid(row).then(|| <[u8; 16]>::try_from(a.value(row)).ok()).flatten();
            id.is_some_and(|id| known(&StreamId(id)))
        }),
        _ => {
            let mut scratch = String::new();
            live.keep(|row| column.text(row, &mut scratch).parse().is_ok_and(|id| known(&id)))
        }
    }
}
