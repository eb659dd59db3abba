//! JSON objects as records: which members are the time, the message and the stream, and how the others become fields.
//!
//! Shared by `/insert/jsonline`, `/_bulk` and topics of JSON lines. Members are flattened as [`rookery_core::json`] says.

use axum::http::{HeaderMap, Uri};
use rookery_core::logs::{RESOURCE_FIELDS, fields};
use rookery_core::units::Bytes as Size;
use rookery_core::{Result, json, severity, time};

use crate::draft::{Drafter, Record, Refusal, StreamNumber};

/// How documents are to be read.
///
/// Parameters (or the headers `VL-Time-Field`, `VL-Msg-Field`, `VL-Stream-Fields`, `VL-Ignore-Fields`, `VL-Extra-Fields`), each a
/// list with commas: `_time_field` and `_msg_field` (the first that a document has), `_stream_fields` (the tags of the stream),
/// `ignore_fields` (`prefix*` too), `extra_fields` (`name=value`, stronger than the document's own). Without a time a record has that of its
/// arrival; without a message its body is the document.
#[derive(Debug, Clone)]
pub struct Shape {
    pub(crate) time_fields: Vec<String>,
    pub(crate) message_fields: Vec<String>,
    pub(crate) stream_fields: Vec<String>,
    ignore_fields: Vec<String>,
    extra_fields: Vec<(String, String)>,
}

/// What is taken where a request names nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults<'a> {
    pub(crate) time: &'a [&'a str],
    pub(crate) message: &'a [&'a str],
    pub(crate) stream: &'a [&'a str],
}

/// Those of `/insert/jsonline`.
pub(crate) const JSON_LINES: Defaults<'_> =
    Defaults { time: &[fields::TIME], message: &[fields::MESSAGE], stream: &[] };

impl Shape {
    /// By the parameters of an address, without a question mark, for JSON lines.
    pub fn of_parameters(parameters: &str) -> Self {
        let uri = format!("/?{parameters}").parse().unwrap_or_default();
        Self::read(&uri, &HeaderMap::new(), JSON_LINES)
    }

    /// By the names of members: of the time, of the message (the first that a document has), and those that name the stream. What is empty is
    /// as for JSON lines.
    pub fn of_members(time: &[String], message: &[String], stream: &[String]) -> Self {
        let or = |names: &[String], default: &[&str]| match names {
            [] => default.iter().map(|&name| name.to_owned()).collect(),
            names => names.to_vec(),
        };
        let mut stream_fields = stream.to_vec();
        stream_fields.sort();
        stream_fields.dedup();
        Self {
            time_fields: or(time, JSON_LINES.time),
            message_fields: or(message, JSON_LINES.message),
            stream_fields,
            ignore_fields: Vec::new(),
            extra_fields: Vec::new(),
        }
    }

    pub(crate) fn read(uri: &Uri, headers: &HeaderMap, defaults: Defaults<'_>) -> Self {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let pairs = pairs.map_or_else(|_| Vec::new(), |query| query.0);
        let list = |parameter: &str, header: &str| -> Vec<String> {
            let given = pairs.iter().find(|(name, value)| name == parameter && !value.is_empty());
            let header = || headers.get(header).and_then(|value| value.to_str().ok());
            let text = given.map(|(_, value)| value.as_str()).or_else(header).unwrap_or("");
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        let or = |list: Vec<String>, default: &[&str]| {
            if list.is_empty() { default.iter().map(|&n| n.to_owned()).collect() } else { list }
        };
        let mut stream_fields = or(list("_stream_fields", "VL-Stream-Fields"), defaults.stream);
        // The tags of a stream are sorted by their names.
        stream_fields.sort();
        stream_fields.dedup();
        let extra = list("extra_fields", "VL-Extra-Fields");
        Self {
            time_fields: or(list("_time_field", "VL-Time-Field"), defaults.time),
            message_fields: or(list("_msg_field", "VL-Msg-Field"), defaults.message),
            stream_fields,
            ignore_fields: list("ignore_fields", "VL-Ignore-Fields"),
            extra_fields: extra
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    fn ignores(&self, name: &str) -> bool {
        self.ignore_fields.iter().any(|ignored| match ignored.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => ignored == name,
        })
    }
}

/// Names and their values, of which the first counts; buffers are used again for the next record.
#[derive(Debug, Default)]
pub(crate) struct Members {
    text: String,
    /// Ends of names and values in `text`, in turn.
    ends: Vec<usize>,
}

impl Members {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(crate) fn put(&mut self, name: &str, value: &str) {
        for part in [name, value] {
            self.text.push_str(part);
            self.ends.push(self.text.len());
        }
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let part = |index: usize| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            &self.text[start..self.ends[index]]
        };
        (0..self.ends.len() / 2).map(move |pair| (part(2 * pair), part(2 * pair + 1)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    fn first_of(&self, names: &[String]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

/// The members of one document; buffers are used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Document {
    members: Members,
    tags: String,
}

impl Document {
    /// Reads a document and adds its record. `given` are members that the protocol knows of it; they are weaker than its own.
    pub(crate) fn add(
        &mut self,
        raw: &[u8],
        shape: &Shape,
        given: &[(&str, &str)],
        limit: Size,
        drafter: &mut Drafter,
    ) -> Result<Result<(), Refusal>> {
        let text = match self.read(raw, shape, given, limit) {
            Ok(text) => text,
            Err(why) => return Ok(Err(why)),
        };
        let time = match self.members.first_of(&shape.time_fields) {
            None | Some("0") => None,
            Some(text) => match time::parse_time(text, drafter.observed) {
                Ok(span) => Some(span.start),
                Err(error) => return Ok(Err(error.to_string().into())),
            },
        };
        let stream = self.stream(shape, drafter);
        let level = |(name, value): (&str, &str)| match name {
            "level" | "severity" | "log.level" => severity::of_value(value.as_bytes()),
            _ => 0,
        };
        let record = Record {
            stream,
            time,
            body: self.members.first_of(&shape.message_fields).unwrap_or(text),
            severity: self.members.pairs().map(level).find(|&level| level > 0).unwrap_or(0),
            trace_id: self.members.get(fields::TRACE_ID).or_else(|| self.members.get("trace.id")),
            span_id: self.members.get(fields::SPAN_ID).or_else(|| self.members.get("span.id")),
            bytes: text.len() as u64 + 1,
        };
        drafter.add(&record, |fields| {
            for (name, value) in self.members.pairs() {
                let is_told = |names: &[String]| names.iter().any(|told| told == name);
                // A tag with the name of a column of the resource is that column.
                let is_column = || is_told(&shape.stream_fields) && RESOURCE_FIELDS.contains(&name);
                let is_id = matches!(name, fields::TRACE_ID | fields::SPAN_ID);
                if !is_id
                    && !is_told(&shape.time_fields)
                    && !is_told(&shape.message_fields)
                    && !is_column()
                {
                    fields.put(name, value);
                }
            }
        })
    }

    /// Reads the members of a document; gives its text.
    fn read<'a>(
        &mut self,
        raw: &'a [u8],
        shape: &Shape,
        given: &[(&str, &str)],
        limit: Size,
    ) -> Result<&'a str, Refusal> {
        if raw.len() > limit.as_usize() {
            return Err(format!("is over {limit} (receiver.line_limit)").into());
        }
        let text = std::str::from_utf8(raw).map_err(|_| Refusal::from("is not UTF-8"))?;
        self.members.clear();
        // Of one name, the first value counts.
        for (name, value) in &shape.extra_fields {
            self.members.put(name, value);
        }
        let whole = json::flatten(text, &mut |name, value| {
            if !value.is_empty() && !shape.ignores(name) {
                self.members.put(name, value);
            }
        });
        for (name, value) in given {
            self.members.put(name, value);
        }
        if whole { Ok(text) } else { Err("is not a JSON object".into()) }
    }

    fn stream(&mut self, shape: &Shape, drafter: &mut Drafter) -> StreamNumber {
        let mut tags = std::mem::take(&mut self.tags);
        tags.clear();
        for name in &shape.stream_fields {
            let value = self.members.get(name).unwrap_or("");
            // Values are told apart by their lengths.
            tags.push_str(&value.len().to_string());
            tags.push(':');
            tags.push_str(value);
        }
        let labels = || {
            let present = |name: &String| Some((name.clone(), self.members.get(name)?.to_owned()));
            shape.stream_fields.iter().filter_map(present).collect()
        };
        let number = drafter.stream(tags.as_bytes(), labels);
        self.tags = tags;
        number
    }
}
