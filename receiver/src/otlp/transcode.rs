//! OTLP's JSON as protocol buffers: names in lowerCamelCase, ids in hex, whole numbers of 64 bits as texts or numbers, bytes in base64
//! (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"). Members that are not known are left out, as the specification wants.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rookery_core::{Error, Result};
use serde::Deserialize;

use crate::wire::write;

/// An `ExportLogsServiceRequest` in JSON.
///
/// # Errors
/// `invalid` when it is none.
pub(crate) fn from_json(body: &[u8]) -> Result<Vec<u8>> {
    let request: Request<'_> = serde_json::from_slice(body)
        .map_err(|e| Error::invalid("the request is not OTLP in JSON").because(e))?;
    let mut out = Vec::with_capacity(body.len());
    for resource_logs in &request.resource_logs {
        write::message(&mut out, 1, |out| resource_logs.write(out));
    }
    Ok(out)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Request<'a> {
    #[serde(borrow)]
    resource_logs: Vec<ResourceLogs<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Attributed<'a>,
    #[serde(borrow)]
    scope_logs: Vec<ScopeLogs<'a>>,
}

/// A resource or a scope.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Attributed<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    scope: Attributed<'a>,
    #[serde(borrow)]
    log_records: Vec<LogRecord<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LogRecord<'a> {
    #[serde(borrow)]
    time_unix_nano: Number<'a>,
    #[serde(borrow)]
    observed_time_unix_nano: Number<'a>,
    #[serde(borrow)]
    severity_number: Number<'a>,
    #[serde(borrow)]
    severity_text: Cow<'a, str>,
    #[serde(borrow)]
    body: Option<AnyValue<'a>>,
    #[serde(borrow)]
    attributes: Vec<KeyValue<'a>>,
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    #[serde(borrow)]
    event_name: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Option<AnyValue<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Option<Cow<'a, str>>,
    bool_value: Option<bool>,
    #[serde(borrow)]
    int_value: Option<Number<'a>>,
    #[serde(borrow)]
    double_value: Option<Number<'a>>,
    #[serde(borrow)]
    array_value: Option<Values<'a, AnyValue<'a>>>,
    #[serde(borrow)]
    kvlist_value: Option<Values<'a, KeyValue<'a>>>,
    #[serde(borrow)]
    bytes_value: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Values<'a, T> {
    #[serde(default = "Vec::new")]
    values: Vec<T>,
    #[serde(skip)]
    lifetime: std::marker::PhantomData<&'a ()>,
}

/// A number, or a text that holds one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

impl Default for Number<'_> {
    fn default() -> Self {
        Self::Unsigned(0)
    }
}

impl Number<'_> {
    /// The bits of a whole number; 0 when it is none.
    fn whole(&self) -> u64 {
        match self {
            Self::Unsigned(number) => *number,
            Self::Signed(number) => *number as u64,
            Self::Float(number) => *number as i64 as u64,
            Self::Text(text) => {
                let signed = || text.parse::<i64>().map(|number| number as u64);
                text.parse().or_else(|_| signed()).unwrap_or(0)
            }
        }
    }

    fn float(&self) -> f64 {
        match self {
            Self::Unsigned(number) => *number as f64,
            Self::Signed(number) => *number as f64,
            Self::Float(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// A severity, which some senders write by its name: `SEVERITY_NUMBER_INFO2`.
    fn severity(&self) -> u64 {
        let Self::Text(text) = self else { return self.whole() };
        let Some(name) = text.strip_prefix("SEVERITY_NUMBER_") else { return self.whole() };
        let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let step = name[bare.len()..].parse::<u64>().unwrap_or(1).clamp(1, 4) - 1;
        match rookery_core::severity::of_word(bare.as_bytes()) {
            0 => 0,
            base => u64::from(base) + step,
        }
    }
}

impl ResourceLogs<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        write::message(out, 1, |out| write_pairs(out, 1, &self.resource.attributes));
        for scope_logs in &self.scope_logs {
            write::message(out, 2, |out| {
                let scope = &scope_logs.scope;
                write::message(out, 1, |out| {
                    write::bytes(out, 1, scope.name.as_bytes());
                    write::bytes(out, 2, scope.version.as_bytes());
                    write_pairs(out, 3, &scope.attributes);
                });
                for record in &scope_logs.log_records {
                    write::message(out, 2, |out| record.write(out));
                }
            });
        }
    }
}

impl LogRecord<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        write::fixed64(out, 1, self.time_unix_nano.whole());
        write::fixed64(out, 11, self.observed_time_unix_nano.whole());
        write::number(out, 2, self.severity_number.severity());
        write::bytes(out, 3, self.severity_text.as_bytes());
        if let Some(body) = &self.body {
            write::message(out, 5, |out| body.write(out));
        }
        write_pairs(out, 6, &self.attributes);
        write::bytes(out, 9, &from_hex(&self.trace_id));
        write::bytes(out, 10, &from_hex(&self.span_id));
        write::bytes(out, 12, self.event_name.as_bytes());
    }
}

impl AnyValue<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(text) = &self.string_value {
            write::bytes(out, 1, text.as_bytes());
        } else if let Some(flag) = self.bool_value {
            write::number(out, 2, flag.into());
        } else if let Some(number) = &self.int_value {
            write::number(out, 3, number.whole());
        } else if let Some(number) = &self.double_value {
            write::fixed64(out, 4, number.float().to_bits());
        } else if let Some(list) = &self.array_value {
            write::message(out, 5, |out| {
                for value in &list.values {
                    write::message(out, 1, |out| value.write(out));
                }
            });
        } else if let Some(map) = &self.kvlist_value {
            write::message(out, 6, |out| write_pairs(out, 1, &map.values));
        } else if let Some(text) = &self.bytes_value {
            write::bytes(out, 7, &STANDARD.decode(text.as_bytes()).unwrap_or_default());
        }
    }
}

fn write_pairs(out: &mut Vec<u8>, field: u32, pairs: &[KeyValue<'_>]) {
    for pair in pairs {
        write::message(out, field, |out| {
            write::bytes(out, 1, pair.key.as_bytes());
            if let Some(value) = &pair.value {
                write::message(out, 2, |out| value.write(out));
            }
        });
    }
}

/// The bytes of hex digits; none when it is something else.
fn from_hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
    text.as_bytes().chunks(2).map(pair).collect::<Option<_>>().unwrap_or_default()
}
