//! `ExportLogsServiceRequest` as rows, read in place. Numbers of fields are those of opentelemetry-proto's logs/v1/logs.proto,
//! common/v1/common.proto and resource/v1/resource.proto.
//!
//! | of a record | becomes |
//! |---|---|
//! | `time_unix_nano`, else `observed_time_unix_nano`, else the arrival | the time |
//! | `severity_number`, else what `severity_text` says | the severity; the text is the field `severity_text` |
//! | `body` | the body: a text as it is, all else as JSON; members of a map are fields too |
//! | `attributes` | fields, maps flattened with `.`, lists as JSON |
//! | `trace_id`, `span_id` | the columns, in hex |
//! | `event_name`, the scope's name, version and attributes | the fields `event_name`, `scope.name`, `scope.version`, `scope.<name>` |
//! | the resource's attributes | labels and columns; those by which people ask ([`ASKED`]) are fields too |

use std::cell::RefCell;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rookery_core::{Result, json, severity};

use crate::draft::{Drafter, FieldSink, Record, StreamNumber};
use crate::wire::{Value, every, fields, last};

/// How deep maps and lists are followed; what is deeper is left out.
const DEPTH_LIMIT: usize = 32;

/// Attributes of resources that are repeated as fields of each record. The others are found as `labels.<name>`, and would cost more than
/// they bring: a resource has twenty of them.
const ASKED: [&str; 6] = [
    "service.name",
    "service.namespace",
    "service.version",
    "host.name",
    "deployment.environment",
    "deployment.environment.name",
];

/// Buffers that are used again for each value.
#[derive(Default)]
struct Scratch {
    name: String,
    value: String,
}

/// Where a record is.
struct Place<'a> {
    stream: StreamNumber,
    scope: &'a [u8],
    asked: &'a [(String, String)],
}

/// Makes rows of all records. They are numbered from 1.
pub(crate) fn read(body: &[u8], drafter: &mut Drafter) -> Result<()> {
    let mut number = 0;
    let scratch = RefCell::default();
    for field in fields(body) {
        let (1, of_resource) = field? else { continue };
        let of_resource = of_resource.bytes();
        let resource = whole(of_resource, 1)?;
        let stream = drafter.stream(resource, || labels(resource, &scratch));
        let is_asked = |(name, _): &&(String, String)| ASKED.contains(&name.as_str());
        let asked = drafter.resource(stream).labels.iter().filter(is_asked).cloned();
        let asked: Vec<(String, String)> = asked.collect();
        for of_scope in every(of_resource, 2).map(Value::bytes) {
            let scope = whole(of_scope, 1)?;
            let place = Place { stream, scope, asked: &asked };
            for record in every(of_scope, 2).map(Value::bytes) {
                number += 1;
                if let Err(why) = add(record, &place, drafter, &scratch)? {
                    drafter.refuse(number, why)?;
                }
            }
        }
    }
    Ok(())
}

/// The message in a field, when the message around it and itself can be gone over to their ends.
fn whole(message: &[u8], number: u32) -> Result<&[u8]> {
    fields(message).try_for_each(|field| field.map(drop))?;
    let inner = last(message, number).map_or(&[][..], Value::bytes);
    fields(inner).try_for_each(|field| field.map(drop))?;
    Ok(inner)
}

fn labels(resource: &[u8], scratch: &RefCell<Scratch>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut take = |name: &str, value: &str| labels.push((name.to_owned(), value.to_owned()));
    attributes(resource, 1, "", &mut scratch.borrow_mut(), &mut take);
    labels
}

fn add(
    record: &[u8],
    place: &Place<'_>,
    drafter: &mut Drafter,
    scratch: &RefCell<Scratch>,
) -> Result<Result<(), crate::draft::Refusal>> {
    fields(record).try_for_each(|field| field.map(drop))?;
    let number = |field| last(record, field).map_or(0, Value::number);
    let time = [number(1), number(11)].into_iter().find(|&time| time > 0);
    let text = last(record, 3).map(Value::text).unwrap_or_default();
    let level = match u8::try_from(number(2)) {
        Ok(level @ 1..=24) => level,
        _ => severity::of_value(text.as_bytes()),
    };
    let body = last(record, 5).map_or(&[][..], Value::bytes);
    let (mut trace, mut span) = ([0; 32], [0; 16]);
    let trace_id = hex(last(record, 9), &mut trace);
    let span_id = hex(last(record, 10), &mut span);
    let mut printed = String::new();
    let body_text = match any(body) {
        Some((1, text)) => text.text(),
        _ => {
            to_json(&mut printed, body, 0);
            printed.as_str().into()
        }
    };
    let row = Record {
        stream: place.stream,
        time: time.map(|time| i64::try_from(time).unwrap_or(i64::MAX)),
        body: if body.is_empty() { "" } else { &body_text },
        severity: level,
        trace_id,
        span_id,
        bytes: record.len() as u64,
    };
    drafter.add(&row, |sink| {
        let scratch = &mut scratch.borrow_mut();
        attributes(record, 6, "", scratch, &mut |name, value| sink.put(name, value));
        sink.put("severity_text", &text);
        sink.put("event_name", &last(record, 12).map(Value::text).unwrap_or_default());
        put_scope(place.scope, scratch, sink);
        place.asked.iter().for_each(|(name, value)| sink.put(name, value));
        if let Some((6, map)) = any(body) {
            attributes(map.bytes(), 1, "", scratch, &mut |name, value| sink.put(name, value));
        }
    })
}

fn put_scope(scope: &[u8], scratch: &mut Scratch, sink: &mut FieldSink<'_>) {
    if scope.is_empty() {
        return;
    }
    for (number, name) in [(1, "scope.name"), (2, "scope.version")] {
        sink.put(name, &last(scope, number).map(Value::text).unwrap_or_default());
    }
    attributes(scope, 3, "scope", scratch, &mut |name, value| sink.put(name, value));
}

/// The hex digits of an id; `None` for one that is not there, of another length, or zero, which means none.
fn hex<'a>(id: Option<Value<'_>>, out: &'a mut [u8]) -> Option<&'a str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let id = id?.bytes();
    if id.len() * 2 != out.len() || id.iter().all(|&byte| byte == 0) {
        return None;
    }
    for (pair, byte) in out.chunks_exact_mut(2).zip(id) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(out).ok()
}

/// Which kind of value an `AnyValue` is, and the value.
fn any(value: &[u8]) -> Option<(u32, Value<'_>)> {
    fields(value).filter_map(Result::ok).last()
}

/// Hands out the `KeyValue`s of a field of a message as texts, with a prefix before their names.
fn attributes(
    message: &[u8],
    number: u32,
    prefix: &str,
    scratch: &mut Scratch,
    take: &mut dyn FnMut(&str, &str),
) {
    let Scratch { name, value } = scratch;
    name.clear();
    name.push_str(prefix);
    pairs(message, number, name, value, 0, take);
}

fn pairs(
    message: &[u8],
    number: u32,
    name: &mut String,
    scratch: &mut String,
    depth: usize,
    take: &mut dyn FnMut(&str, &str),
) {
    for pair in every(message, number).map(Value::bytes) {
        let outer = name.len();
        if outer > 0 {
            name.push('.');
        }
        name.push_str(&last(pair, 1).map(Value::text).unwrap_or_default());
        let value = last(pair, 2).map_or(&[][..], Value::bytes);
        match any(value) {
            Some((1, text)) => take(name, &text.text()),
            Some((6, map)) if depth < DEPTH_LIMIT => {
                pairs(map.bytes(), 1, name, scratch, depth + 1, take);
            }
            Some(_) => {
                scratch.clear();
                print(scratch, value, depth);
                take(name, scratch);
            }
            None => {}
        }
        name.truncate(outer);
    }
}

/// A value that is no text, as a text.
fn print(out: &mut String, value: &[u8], depth: usize) {
    match any(value) {
        Some((7, bytes)) => STANDARD.encode_string(bytes.bytes(), out),
        _ => to_json(out, value, depth),
    }
}

/// Appends a value as JSON.
fn to_json(out: &mut String, value: &[u8], depth: usize) {
    let Some((kind, inner)) = any(value) else { return out.push_str("null") };
    if depth > DEPTH_LIMIT {
        return out.push_str("null");
    }
    match kind {
        1 => json::push_string(out, &inner.text()),
        2 => out.push_str(if inner.number() != 0 { "true" } else { "false" }),
        3 => drop(write!(out, "{}", inner.number() as i64)),
        4 => match f64::from_bits(inner.number()) {
            number if number.is_finite() => drop(write!(out, "{number}")),
            number => drop(write!(out, "\"{number}\"")),
        },
        5 => {
            out.push('[');
            for (index, item) in every(inner.bytes(), 1).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                to_json(out, item.bytes(), depth + 1);
            }
            out.push(']');
        }
        6 => {
            out.push('{');
            for (index, pair) in every(inner.bytes(), 1).map(Value::bytes).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json::push_string(out, &last(pair, 1).map(Value::text).unwrap_or_default());
                out.push(':');
                to_json(out, last(pair, 2).map_or(&[][..], Value::bytes), depth + 1);
            }
            out.push('}');
        }
        7 => json::push_string(out, &STANDARD.encode(inner.bytes())),
        _ => out.push_str("null"),
    }
}
