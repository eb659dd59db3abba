//! `unpack_json`, `unpack_logfmt`, `unpack_syslog`, `unpack_words`: fields out of a text in a known format.

use rookery_core::rows::Rows;
use rookery_core::{Result, syslog, tokens};

use super::extract::assign_found;
use crate::exec::columns::{self, Assign, FieldSink};
use crate::exec::pipeline::Stage;
use crate::logsql::ast::{self, FieldPattern};
use rookery_core::json;

/// Which format the text has.
pub(crate) enum Format {
    /// A JSON object.
    Json,
    /// `name=value` pairs.
    Logfmt,
    /// RFC 3164 or RFC 5424.
    Syslog {
        /// What local time is ahead of UTC, in nanoseconds, for a time without a zone.
        offset: i64,
        /// The time of the query, for a time without a year.
        now: i64,
    },
}

/// `unpack_json`, `unpack_logfmt`, `unpack_syslog`.
pub(crate) struct Unpack {
    /// From where to where.
    pub pipe: ast::Unpack,
    /// In which format.
    pub format: Format,
}

impl Stage for Unpack {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let pipe = &self.pipe;
        let mut name_buffer = String::new();
        let mut find = |text: &str, sink: &mut FieldSink| {
            if text.is_empty() && pipe.fields.is_empty() {
                return;
            }
            let mut field = |name: &str, value: &str| {
                let wanted = pipe.fields.is_empty() || pipe.fields.iter().any(|p| p.matches(name));
                if wanted {
                    sink.field(prefixed(&pipe.result_prefix, name, &mut name_buffer), value);
                }
            };
            self.format.read(text, &mut field);
            // A field that was asked for by its name and is not there is empty.
            for pattern in &pipe.fields {
                if let FieldPattern::Name(name) = pattern {
                    sink.field(prefixed(&pipe.result_prefix, name, &mut name_buffer), "");
                }
            }
        };
        let condition = pipe.condition.as_ref();
        assign_found(&mut rows, &pipe.field, condition, pipe.overwrite, &mut find)?;
        Ok(rows)
    }
}

fn prefixed<'a>(prefix: &str, name: &'a str, buffer: &'a mut String) -> &'a str {
    let name = if name.is_empty() { rookery_core::logs::fields::MESSAGE } else { name };
    if prefix.is_empty() {
        return name;
    }
    buffer.clear();
    buffer.push_str(prefix);
    buffer.push_str(name);
    buffer
}

impl Format {
    fn read(&self, text: &str, field: &mut dyn FnMut(&str, &str)) {
        match self {
            Self::Json => {
                json::flatten(text, field);
            }
            Self::Logfmt => logfmt(text, field),
            Self::Syslog { offset, now } => syslog::read(text, *offset, *now, field),
        }
    }
}

/// `name=value`, values quoted where they hold spaces; a word without `=` is a name with an empty value.
fn logfmt(text: &str, field: &mut dyn FnMut(&str, &str)) {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let Some(value) = rest.strip_prefix('=') else {
            if !name.is_empty() {
                field(name, "");
            }
            rest = rest.trim_start();
            continue;
        };
        if let Some((unquoted, used)) = json::unquote_prefix(value) {
            field(name, &unquoted);
            rest = value[used..].trim_start();
        } else {
            let end = value.find(char::is_whitespace).unwrap_or(value.len());
            field(name, &value[..end]);
            rest = value[end..].trim_start();
        }
    }
}

/// `unpack_words`.
pub(crate) struct Words {
    /// Read.
    pub field: std::sync::Arc<str>,
    /// Written.
    pub result: std::sync::Arc<str>,
    /// Whether each word is kept once.
    pub drop_duplicates: bool,
}

impl Stage for Words {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let source = columns::column_or_empty(&rows, &self.field);
        let mut seen = hashbrown::HashSet::new();
        let words = columns::map_text(&source, &mut |text, out| {
            seen.clear();
            out.push('[');
            for word in tokens::words(text) {
                if self.drop_duplicates && !seen.insert(word.to_string()) {
                    continue;
                }
                if out.len() > 1 {
                    out.push(',');
                }
                json::push_string(out, word);
            }
            out.push(']');
        })?;
        columns::assign(&mut rows, &self.result, words, Assign::default())?;
        Ok(rows)
    }
}
