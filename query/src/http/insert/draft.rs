//! JSON lines made into columns, before they have their places in their streams.

use arrow_array::RecordBatch;
use axum::http::HeaderMap;
use foldhash::HashMap;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::logs::{RESOURCE_FIELDS, Resource, fields};
use rookery_core::units::Bytes as Size;
use rookery_core::{Position, Result, StreamId, Tenant, severity, time};
use std::sync::Arc;

use crate::exec::flatten_json;
use crate::http::parameters::Parameters;

/// A draft is closed when it takes so much memory, so that one request does not fill the queue as one piece.
const DRAFT_BYTES: usize = 8 << 20;

/// The most numbers of wrong lines that an answer lists.
const WRONG_LINES_LIMIT: usize = 20;

/// Whose the streams are, and who takes them.
pub(super) struct Owner {
    pub(super) tenant: Tenant,
    pub(super) receiver: Arc<str>,
}

/// How the lines are to be read.
pub(super) struct Shape {
    time_fields: Vec<String>,
    message_fields: Vec<String>,
    stream_fields: Vec<String>,
    ignore_fields: Vec<String>,
    extra_fields: Vec<(String, String)>,
}

impl Shape {
    pub(super) fn read(parameters: &Parameters, headers: &HeaderMap) -> Self {
        let list = |parameter: &str, header: &str| -> Vec<String> {
            let header = headers.get(header).and_then(|value| value.to_str().ok());
            let text = parameters.get(parameter).or(header).unwrap_or("");
            text.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let or = |list: Vec<String>, default: &str| {
            if list.is_empty() { vec![default.to_owned()] } else { list }
        };
        let mut stream_fields = list("_stream_fields", "VL-Stream-Fields");
        // The tags of a stream are sorted by their names.
        stream_fields.sort();
        stream_fields.dedup();
        let extra = list("extra_fields", "VL-Extra-Fields");
        Self {
            time_fields: or(list("_time_field", "VL-Time-Field"), fields::TIME),
            message_fields: or(list("_msg_field", "VL-Msg-Field"), fields::MESSAGE),
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

/// All of a request.
pub(super) struct Drafts {
    pub(super) drafts: Vec<Draft>,
    /// How many lines cannot be stored.
    pub(super) wrong: u64,
    /// The numbers of the first of them, from 1.
    pub(super) wrong_lines: Vec<u64>,
    /// What is wrong with the first.
    pub(super) first_wrong: Option<String>,
}

/// Some records as columns.
pub(super) struct Draft {
    /// The records; their generations and offsets are to be replaced.
    pub(super) records: RecordBatch,
    /// Their streams.
    pub(super) streams: Vec<Stream>,
    /// For each record, which of the streams, and the bytes of the stream before it in this draft.
    pub(super) places: Vec<(u32, u64)>,
}

/// What a draft has of one stream.
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) bytes: u64,
    pub(super) records: u64,
    resource: Arc<Resource>,
}

/// Makes the lines of a request into columns.
///
/// # Errors
/// When columns cannot be built; what is wrong with lines is in the result.
pub(super) fn drafts(
    body: &[u8],
    shape: &Shape,
    owner: &Owner,
    line_limit: Size,
) -> Result<Drafts> {
    let mut out =
        Drafts { drafts: Vec::new(), wrong: 0, wrong_lines: Vec::new(), first_wrong: None };
    let observed = time::now();
    let mut line = Line::default();
    let mut drafter = Drafter::new(owner, shape, observed);
    for (index, raw) in body.split(|&byte| byte == b'\n').enumerate() {
        let raw = raw.trim_ascii();
        if raw.is_empty() {
            continue;
        }
        let added = line.read(raw, shape, line_limit).and_then(|text| drafter.add(text, &line));
        if let Err(why) = added {
            out.wrong += 1;
            out.first_wrong.get_or_insert(why);
            if out.wrong_lines.len() < WRONG_LINES_LIMIT {
                out.wrong_lines.push(index as u64 + 1);
            }
        }
        if drafter.builder.size_bytes() > DRAFT_BYTES {
            out.drafts.extend(drafter.finish()?);
        }
    }
    out.drafts.extend(drafter.finish()?);
    Ok(out)
}

/// The fields of one line; buffers are used again for the next.
#[derive(Default)]
struct Line {
    text: String,
    /// Ends of names and values in `text`, in turn.
    ends: Vec<usize>,
}

impl Line {
    /// Reads the fields of a line; gives its text.
    fn read<'a>(&mut self, raw: &'a [u8], shape: &Shape, limit: Size) -> Result<&'a str, String> {
        if raw.len() > limit.as_usize() {
            return Err(format!("is over {limit} (insert.line_limit)"));
        }
        let text = std::str::from_utf8(raw).map_err(|_| "is not UTF-8".to_owned())?;
        self.text.clear();
        self.ends.clear();
        // Of one name, the first value counts.
        for (name, value) in &shape.extra_fields {
            self.put(name, value);
        }
        let whole = flatten_json(text, &mut |name, value| {
            if !value.is_empty() && !shape.ignores(name) {
                self.put(name, value);
            }
        });
        if whole { Ok(text) } else { Err("is not a JSON object".to_owned()) }
    }

    fn put(&mut self, name: &str, value: &str) {
        for part in [name, value] {
            self.text.push_str(part);
            self.ends.push(self.text.len());
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let part = |index: usize| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            &self.text[start..self.ends[index]]
        };
        (0..self.ends.len() / 2).map(move |pair| (part(2 * pair), part(2 * pair + 1)))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    fn first_of(&self, names: &[String]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

/// A draft under construction.
struct Drafter<'a> {
    owner: &'a Owner,
    shape: &'a Shape,
    observed: i64,
    builder: LogBatchBuilder,
    streams: Vec<Stream>,
    places: Vec<(u32, u64)>,
    /// Streams by the values of their tags, each with its length before it.
    by_tags: HashMap<String, u32>,
    tags: String,
}

impl<'a> Drafter<'a> {
    fn new(owner: &'a Owner, shape: &'a Shape, observed: i64) -> Self {
        Self {
            owner,
            shape,
            observed,
            builder: LogBatchBuilder::default(),
            streams: Vec::new(),
            places: Vec::new(),
            by_tags: HashMap::default(),
            tags: String::new(),
        }
    }

    /// Adds the record of a line.
    fn add(&mut self, text: &str, line: &Line) -> Result<(), String> {
        let time = match line.first_of(&self.shape.time_fields) {
            None | Some("0") => self.observed,
            Some(text) => time::parse_time(text, self.observed).map_err(|e| e.to_string())?.start,
        };
        let number = self.stream(line);
        let stream = &mut self.streams[number as usize];
        let offset = stream.bytes;
        stream.bytes += text.len() as u64 + 1;
        stream.records += 1;
        self.places.push((number, offset));

        let resource = self.builder.resource(&stream.resource);
        let shape = self.shape;
        self.builder.push_body(line.first_of(&shape.message_fields).unwrap_or(text));
        let mut level = 0;
        for (name, value) in line.pairs() {
            let is_told = |names: &[String]| names.iter().any(|told| told == name);
            // A tag with the name of a column of the resource is that column.
            let is_column = || is_told(&shape.stream_fields) && RESOURCE_FIELDS.contains(&name);
            if is_told(&shape.time_fields) || is_told(&shape.message_fields) || is_column() {
                continue;
            }
            if level == 0 && matches!(name, "level" | "severity") {
                level = severity::of_value(value.as_bytes());
            }
            if !matches!(name, fields::TRACE_ID | fields::SPAN_ID) {
                self.builder.field(name, value);
            }
        }
        self.builder.finish_record(Head {
            resource,
            stream: stream.id,
            position: Position { generation: 0, offset },
            time,
            observed: self.observed,
            severity: level,
            trace_id: line.get(fields::TRACE_ID),
            span_id: line.get(fields::SPAN_ID),
        });
        Ok(())
    }

    /// The number of the line's stream.
    fn stream(&mut self, line: &Line) -> u32 {
        self.tags.clear();
        for name in &self.shape.stream_fields {
            let value = line.get(name).unwrap_or("");
            // Values are told apart by their lengths.
            self.tags.push_str(&value.len().to_string());
            self.tags.push(':');
            self.tags.push_str(value);
        }
        if let Some(&number) = self.by_tags.get(&self.tags) {
            return number;
        }
        let labels: Vec<(String, String)> = self
            .shape
            .stream_fields
            .iter()
            .filter_map(|name| line.get(name).map(|value| (name.clone(), value.to_owned())))
            .collect();
        let mut parts = vec!["push", self.owner.receiver.as_ref()];
        for (name, value) in &labels {
            parts.extend([name.as_str(), value.as_str()]);
        }
        let id = StreamId::of(&self.owner.tenant, &parts);
        let number = self.streams.len() as u32;
        self.streams.push(Stream {
            id,
            bytes: 0,
            records: 0,
            resource: Arc::new(resource(labels)),
        });
        self.by_tags.insert(self.tags.clone(), number);
        number
    }

    /// The records so far, if there are any, and a new start.
    fn finish(&mut self) -> Result<Option<Draft>> {
        if self.places.is_empty() {
            return Ok(None);
        }
        self.by_tags.clear();
        let records = self.builder.finish()?;
        let streams = std::mem::take(&mut self.streams);
        Ok(Some(Draft { records, streams, places: std::mem::take(&mut self.places) }))
    }
}

/// Tags with the names of a resource's own columns fill those too.
fn resource(labels: Vec<(String, String)>) -> Resource {
    let value = |name: &str| {
        labels.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    Resource {
        source: "push".into(),
        cluster: value("cluster"),
        node: value("node"),
        project: value("project"),
        namespace: value("namespace"),
        workload: value("workload"),
        pod: value("pod"),
        pod_ip: value("pod_ip"),
        container: value("container"),
        image: value("image"),
        path: value("_path"),
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::TimestampNanosecondType;

    fn drafted(address: &str, body: &[u8]) -> Drafts {
        let uri = format!("/insert/jsonline?{address}").parse().unwrap();
        let parameters = Parameters::of_address(&uri, Tenant::default()).unwrap();
        let shape = Shape::read(&parameters, &HeaderMap::new());
        let owner = Owner { tenant: Tenant::default(), receiver: "r".into() };
        drafts(body, &shape, &owner, Size(200)).unwrap()
    }

    #[test]
    fn lines_become_records_of_their_streams() {
        let body = b"{\"t\":\"1970-01-01T00:00:05Z\",\"m\":\"hello\",\"app\":\"web\",\"host\":\"h1\",\"level\":\"warn\",\"n\":{\"x\":5}}\n\
            \n{\"host\":\"h1\",\"app\":\"web\",\"t\":\"6\"}\r\n{\"app\":\"db\",\"t\":5000000000}";
        let mut out = drafted(
            "_time_field=t&_msg_field=m&_stream_fields=host,app&ignore_fields=n.*&extra_fields=e=1",
            body,
        );
        assert_eq!((out.drafts.len(), out.wrong), (1, 1), "6 is not a time: {:?}", out.first_wrong);
        assert_eq!(out.wrong_lines, [3]);
        let draft = out.drafts.remove(0);
        assert_eq!(draft.places, [(0, 0), (1, 0)]);
        let records = &draft.records;
        let bodies = records.column_by_name("body").unwrap().as_string::<i32>();
        assert_eq!(bodies.value(0), "hello");
        assert_eq!(bodies.value(1), "{\"app\":\"db\",\"t\":5000000000}");
        let times =
            records.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>();
        assert_eq!(times.values().to_vec(), [5 * time::SECOND, 5_000_000_000 * time::SECOND]);
        assert_eq!(draft.streams[0].resource.stream_tags(), "{app=\"web\",host=\"h1\"}");
        assert_ne!(draft.streams[0].id, draft.streams[1].id);
        let names = records.column_by_name("fields").unwrap().as_map();
        assert_eq!(names.value_length(0), 4, "e, app, host, level");
        assert_eq!(names.values().as_string::<i32>().value(0), "1");
        let at = |generation, offset| Position { generation, offset };
        let placed = draft.placed(&[at(7, 100), at(8, 200)]).unwrap();
        let generations = placed.column_by_name("generation").unwrap();
        let generations = generations.as_primitive::<arrow_array::types::UInt64Type>();
        assert_eq!(generations.values().to_vec(), [7, 8]);
        let offsets = placed
            .column_by_name("offset")
            .unwrap()
            .as_primitive::<arrow_array::types::UInt64Type>();
        assert_eq!(offsets.values().to_vec(), [100, 200]);
    }

    #[test]
    fn a_tag_with_the_name_of_a_column_is_that_column_alone() {
        let out = drafted(
            "_stream_fields=namespace,app",
            b"{\"namespace\":\"prod\",\"app\":\"web\",\"path\":\"/x\"}",
        );
        let draft = &out.drafts[0];
        assert_eq!(draft.streams[0].resource.namespace, "prod");
        let names = draft.records.column_by_name("fields").unwrap().as_map();
        let texts = names.values().as_string::<i32>().iter().flatten().collect::<Vec<_>>();
        assert_eq!(texts, ["web", "/x"]);
    }

    #[test]
    fn the_tags_are_the_stream_whatever_their_order() {
        let one = drafted("_stream_fields=app,host", b"{\"app\":\"a\",\"host\":\"b\"}");
        let two = drafted("_stream_fields=host,app", b"{\"host\":\"b\",\"app\":\"a\"}");
        let other = drafted("_stream_fields=app,host", b"{\"app\":\"ab\",\"host\":\"\"}");
        let id = |drafts: &Drafts| drafts.drafts[0].streams[0].id;
        assert_eq!(id(&one), id(&two));
        assert_ne!(id(&one), id(&other));
    }

    #[test]
    fn wrong_lines_are_counted_and_named() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(300));
        let body = format!(
            "[1]\n{{\"a\":1}}\n{{\n{long}\n{{\"_time\":\"yesterday\"}}\n{{\"a\":\"\u{7f}\"}}\n"
        );
        let out = drafted("", body.as_bytes());
        assert_eq!(out.wrong_lines, [1, 3, 4, 5]);
        assert_eq!(out.first_wrong.as_deref(), Some("is not a JSON object"));
        assert_eq!(out.drafts[0].places.len(), 2);
        let many = drafted("", &b"x\n".repeat(50));
        assert_eq!(
            (many.wrong, many.wrong_lines.len(), many.drafts.len()),
            (50, WRONG_LINES_LIMIT, 0)
        );
        assert_eq!(drafted("", b"\xff\n").wrong, 1);
    }

    #[test]
    fn a_large_request_is_cut_into_drafts() {
        let line = format!("{{\"_msg\":\"{}\"}}\n", "x".repeat(150));
        let out = drafted("", &line.repeat(120_000).into_bytes());
        assert!(out.drafts.len() > 1);
        let total: usize = out.drafts.iter().map(|draft| draft.places.len()).sum();
        assert_eq!(total, 120_000);
    }
}
