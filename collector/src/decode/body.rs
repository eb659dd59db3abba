//! Parses the body of a record: its fields, severity, time and trace.
//!
//! The first byte decides what is tried; nothing is tried by regular expression. A form either fits the whole body, or
//! what it had put into the batch is taken back and the body is text. The body itself is kept whole in every case, so
//! fields are a view of it, never its only copy.
//!
//! | first byte | tried |
//! |---|---|
//! | `{` | JSON |
//! | `<` | syslog as sent |
//! | `I` `W` `E` `F` and a digit | klog |
//! | a letter | syslog as written into files, logfmt, access log (of a named host) |
//! | a digit, `:` | access log, syslog with an RFC 3339 time |

mod access;
mod fields;
mod json;
mod klog;
mod logfmt;
mod syslog;

use rookery_core::logs::builder::LogBatchBuilder;

use super::config::ParseConfig;
use super::severity;
use super::time::Clock;
pub use fields::Facts;
use fields::Fields;
pub(super) use json::{quote_or_escape, unescape};

/// The longest name of a field, in bytes; a longer one stays in the body only.
pub const FIELD_NAME_LIMIT_BYTES: usize = 128;

/// Buffers that are used again for each body.
#[derive(Debug, Default)]
pub struct BodyScratch {
    /// The names of nested fields, joined.
    path: String,
    /// A value without its escapes.
    value: String,
    /// A name without its escapes.
    name: String,
}

impl BodyScratch {
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.path.capacity() + self.value.capacity() + self.name.capacity()
    }

    /// Gives back what a record of unusual size took.
    pub fn shrink(&mut self) {
        const KEPT_BYTES: usize = 4096;
        self.path.clear();
        self.value.clear();
        self.name.clear();
        self.path.shrink_to(KEPT_BYTES);
        self.value.shrink_to(KEPT_BYTES);
        self.name.shrink_to(KEPT_BYTES);
    }
}

/// What the caller wants of a body.
pub struct BodyOptions<'a> {
    /// Which forms are parsed.
    pub parse: &'a ParseConfig,
    /// The most fields that a record gets.
    pub fields_limit: u32,
    /// Makes the record's time out of a field that says it (`time`, `ts`, `@timestamp`…), which is then no field any
    /// more. `None` where the time is known already: the field stays.
    pub(crate) clock: Option<&'a mut Clock>,
}

impl<'a> BodyOptions<'a> {
    /// Options for a record whose time is known.
    pub fn new(parse: &'a ParseConfig, fields_limit: u32) -> Self {
        Self { parse, fields_limit, clock: None }
    }
}

/// Puts the fields of `body` into the record under construction, and says what else the body tells. The record must be
/// empty: the body and other fields are pushed after.
pub fn decode_body(
    body: &str,
    options: BodyOptions<'_>,
    scratch: &mut BodyScratch,
    out: &mut LogBatchBuilder,
) -> Facts {
    let parse = options.parse;
    let mut fields = Fields::new(out, options.fields_limit, options.clock);
    let text = body.strip_prefix('\u{feff}').unwrap_or(body).trim_ascii_start();
    let Some(&first) = text.as_bytes().first() else { return fields.finish() };
    match first {
        b'{' => fields.attempt(parse.json, |f| json::parse(text, scratch, f)),
        b'<' => fields.attempt(parse.syslog, |f| syslog::sent(text, parse, scratch, f)),
        b'0'..=b'9' | b':' => {
            fields.attempt(parse.access, |f| access::parse(text, f))
                || fields.attempt(parse.syslog, |f| syslog::with_iso_time(text, parse, scratch, f))
        }
        _ if first.is_ascii_alphabetic() || matches!(first, b'_' | b'@' | b'.') => {
            fields.attempt(parse.klog, |f| klog::parse(text, scratch, f))
                || fields.attempt(parse.logfmt, |f| logfmt::parse(text, scratch, f))
                || fields.attempt(parse.syslog, |f| syslog::with_month(text, parse, scratch, f))
                || fields.attempt(parse.access, |f| access::parse(text, f))
        }
        _ => false,
    };
    let mut facts = fields.finish();
    if facts.severity == 0 && !facts.structured {
        facts.severity = severity::of_text(text.as_bytes());
    }
    facts
}

#[cfg(test)]
mod tests;
