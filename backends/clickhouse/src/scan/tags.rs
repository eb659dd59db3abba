//! Selectors of streams, `{namespace="prod",app=~"a|b"}`, over the text of a stream's tags.
//!
//! The tags are one text, `{a="b",c="d"}`, the same for all records of a stream, so the server tests it once for each entry of a
//! dictionary. A tag's value is taken out by a regular expression that follows [`rookery_core::logs::parse_tags`] step by step, so that
//! nothing inside of a value is taken for a tag.

use rookery_core::filter::{TagMatcher, TagOp, Test, Values};
use rookery_core::logs::print_tags;

use super::bounds::Bounds;
use super::params::{PARAMETER_LIMIT_BYTES, Params};
use super::{pattern, test};

/// A name, as `parse_tags` reads it: what stands before the first `="`.
const NAME: &str = r#"(?:[^=]|=+[^="])*=*"#;
/// A value: its characters, some behind a backslash.
const VALUE: &str = r#"(?:[^"\\]|\\[\x00-\x{10FFFF}])*"#;

/// The bounds of the selectors; `text` is the expression of the tags.
pub(crate) fn bounds(params: &mut Params, text: &str, selectors: &[Vec<TagMatcher>]) -> Bounds {
    let selector = |matchers: &Vec<TagMatcher>, params: &mut Params| {
        Bounds::all(matchers.iter().map(|one| matcher(params, text, one)).collect())
    };
    Bounds::any(selectors.iter().map(|matchers| selector(matchers, params)).collect())
}

fn matcher(params: &mut Params, text: &str, matcher: &TagMatcher) -> Bounds {
    let Some(value) = value(params, text, &matcher.tag) else { return Bounds::UNKNOWN };
    match &matcher.op {
        TagOp::In(values) => is_one_of(params, &value, values),
        TagOp::NotIn(values) => is_one_of(params, &value, values).not(),
        TagOp::Matches(pattern) => matches(params, &value, pattern.regex().as_str()),
        TagOp::NotMatches(pattern) => matches(params, &value, pattern.regex().as_str()).not(),
    }
}

/// The value of a tag as it is printed, with its backslashes; empty when there is none.
fn value(params: &mut Params, text: &str, tag: &str) -> Option<String> {
    // A name is read without the commas before it, and ends before the first `="`.
    if tag.starts_with(',') || format!("{tag}=\"").find("=\"") != Some(tag.len()) {
        return Some("''".into());
    }
    let mut name = String::new();
    pattern::push_literal(&mut name, tag);
    let pattern = format!("^\\{{(?:{NAME}=\"{VALUE}\")*?,*{name}=\"({VALUE})\"");
    let fits = pattern.len() <= PARAMETER_LIMIT_BYTES;
    fits.then(|| format!("extract({text}, {})", params.text(&pattern)))
}

/// A value as it stands between its quotes.
fn printed(value: &str) -> String {
    let text = print_tags(&[("", value)]);
    text["{=\"".len()..text.len() - "\"}".len()].to_owned()
}

fn is_one_of(params: &mut Params, value: &str, values: &[String]) -> Bounds {
    let values = values.iter().map(|value| printed(value)).collect::<Vec<_>>();
    let values = Values::list(values);
    test::bounds(params, value, &Test::In(values))
}

/// The whole value matches; its backslashes are undone as they were put in: of a pair, the first is marked apart from those before a
/// quote or an `n`.
fn matches(params: &mut Params, value: &str, pattern: &str) -> Bounds {
    let plain = format!(
        r#"replaceAll(replaceAll(replaceAll(replaceAll({value}, '\\\\', '\\0'), '\\n', '\n'), '\\"', '"'), '\\0', '\\')"#
    );
    test::regexp(params, &plain, pattern)
}
