//! `/insert/jsonline`: records pushed as JSON lines.
//!
//! A success is answered only when the queue has acknowledged, which means: the records are on disk. A line that is not a JSON
//! object cannot be stored; the others of the request are, and the answer says which line is wrong and how many are stored.
//!
//! **Positions.** A pushed stream is identified by its tags. Its generation is the time at which this process started, its
//! offset the count of bytes that were pushed to it since: so positions are unique and grow, as for files. A request that is sent
//! again is a new push: a client that does not see the answer and repeats the request stores its records twice. Who needs exactly once
//! writes to a file and lets the collector read it.

use std::io::Read;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use foldhash::{HashMap, HashMapExt as _};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rookery_core::batch::{Batch, Fate, Range};
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::logs::{Resource, fields};
use rookery_core::queue::{Queue, Receipt};
use rookery_core::units::Bytes as Size;
use rookery_core::{Error, Position, Result, StreamId, Tenant, severity, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use super::Service;
use super::error::Failure;
use super::parameters::{self, Parameters};
use crate::exec::json::flatten as flatten_json;

/// What may be pushed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InsertConfig {
    /// The largest request, after decompression.
    pub request_limit: Size,
    /// The longest line; a longer one is refused.
    pub line_limit: Size,
    /// The most streams that one process takes by push. The tags of a push should name where it comes from, not what it says.
    pub streams_limit: usize,
}

impl Default for InsertConfig {
    fn default() -> Self {
        Self { request_limit: Size::mib(64), line_limit: Size::mib(1), streams_limit: 100_000 }
    }
}

/// The end of the queue for pushes, and how far each pushed stream has come.
pub(super) struct Pushes {
    queue: Arc<dyn Queue>,
    generation: u64,
    streams: Mutex<HashMap<StreamId, Pushed>>,
}

struct Pushed {
    offset: u64,
    resource: Arc<Resource>,
}

impl Pushes {
    pub(super) fn new(queue: Arc<dyn Queue>) -> Self {
        let generation = u64::try_from(time::now()).unwrap_or(0);
        Self { queue, generation, streams: Mutex::new(HashMap::new()) }
    }
}

/// Takes JSON lines.
pub(super) async fn jsonline(State(service): State<Arc<Service>>, request: Request) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let tenant = parameters::tenant(&head.headers)?;
    let shape = Shape::read(&Parameters::of_address(&head.uri, tenant.clone())?, &head.headers);
    let body = read_body(&head.headers, body, service.insert.request_limit).await?;
    let (pushed, receipt) = push(&service, &tenant, &shape, &body).await?;
    if let Some(receipt) = receipt {
        receipt.wait().await?;
    }
    if let Some((line, why)) = &pushed.first_wrong {
        let message = format!(
            "line {line} {why}; {} of {} lines are stored, do not send them again",
            pushed.stored,
            pushed.stored + pushed.wrong
        );
        let failure = Failure::from(Error::invalid(message));
        return Err(failure.with("stored", pushed.stored).with("wrong", pushed.wrong).with("line", *line));
    }
    Ok(Json(json!({ "stored": pushed.stored })).into_response())
}

/// How the lines are to be read.
struct Shape {
    time_fields: Vec<String>,
    message_fields: Vec<String>,
    stream_fields: Vec<String>,
    ignore_fields: Vec<String>,
    extra_fields: Vec<(String, String)>,
}

impl Shape {
    fn read(parameters: &Parameters, headers: &HeaderMap) -> Self {
        let list = |parameter: &str, header: &str| -> Vec<String> {
            let header = headers.get(header).and_then(|value| value.to_str().ok());
            let text = parameters.get(parameter).or(header).unwrap_or("");
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let or = |list: Vec<String>, default: &str| if list.is_empty() { vec![default.to_owned()] } else { list };
        let extra = list("extra_fields", "VL-Extra-Fields");
        Self {
            time_fields: or(list("_time_field", "VL-Time-Field"), fields::TIME),
            message_fields: or(list("_msg_field", "VL-Msg-Field"), fields::MESSAGE),
            stream_fields: list("_stream_fields", "VL-Stream-Fields"),
            ignore_fields: list("ignore_fields", "VL-Ignore-Fields"),
            extra_fields: extra
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// What became of a request.
#[derive(Default)]
struct Outcome {
    stored: u64,
    wrong: u64,
    first_wrong: Option<(u64, String)>,
}

/// The fields of one line; buffers are used again for the next.
#[derive(Default)]
struct Line {
    text: String,
    /// Ends of names and values in `text`, in turn.
    ends: Vec<usize>,
}

impl Line {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
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

    fn first_of(&self, names: &[String]) -> Option<&str> {
        names.iter().find_map(|wanted| {
            self.pairs().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value)
        })
    }
}

/// Makes a batch of the lines and puts it into the queue.
///
/// The lock is held until the queue has taken the batch, because positions must go into the queue in their order.
async fn push(
    service: &Service,
    tenant: &Tenant,
    shape: &Shape,
    body: &[u8],
) -> Result<(Outcome, Option<Receipt>)> {
    let observed = time::now();
    let mut outcome = Outcome::default();
    let mut streams = service.pushes.streams.lock().await;
    let mut batch = PushBatch { generation: service.pushes.generation, observed, ..PushBatch::default() };
    let mut line = Line::default();
    for (index, raw) in body.split(|&byte| byte == b'\n').enumerate() {
        let raw = raw.trim_ascii();
        if raw.is_empty() {
            continue;
        }
        let read = read_line(raw, shape, service.insert.line_limit, &mut line)
            .and_then(|text| batch.add(text, tenant, shape, &line, &mut streams, service.insert.streams_limit));
        match read {
            Ok(()) => outcome.stored += 1,
            Err(why) => {
                outcome.wrong += 1;
                outcome.first_wrong.get_or_insert((index as u64 + 1, why));
            }
        }
    }
    if outcome.stored == 0 {
        return Ok((outcome, None));
    }
    let records = batch.builder.finish()?;
    let ranges = batch.ranges.into_values().collect();
    let batch = Batch { tenant: tenant.clone(), collector: "push".into(), records, ranges };
    let receipt = service.pushes.queue.send(batch).await?;
    Ok((outcome, Some(receipt)))
}

/// Reads the fields of a line into `line`; gives the text of the line.
fn read_line<'a>(raw: &'a [u8], shape: &Shape, limit: Size, line: &mut Line) -> Result<&'a str, String> {
    if raw.len() > limit.as_usize() {
        return Err(format!("is over the limit of {limit} (insert.line_limit)"));
    }
    let text = std::str::from_utf8(raw).map_err(|_| "is not UTF-8".to_owned())?;
    line.clear();
    let keep = |name: &str| !shape.ignore_fields.iter().any(|ignored| ignored == name);
    let whole = flatten_json(text, &mut |name, value| {
        if keep(name) {
            line.put(name, value);
        }
    });
    if !whole {
        return Err("is not a JSON object".to_owned());
    }
    for (name, value) in &shape.extra_fields {
        line.put(name, value);
    }
    Ok(text)
}

/// A batch of pushed records under construction.
#[derive(Default)]
struct PushBatch {
    builder: LogBatchBuilder,
    ranges: HashMap<StreamId, Range>,
    generation: u64,
    observed: i64,
}

impl PushBatch {
    fn add(
        &mut self,
        text: &str,
        tenant: &Tenant,
        shape: &Shape,
        line: &Line,
        streams: &mut HashMap<StreamId, Pushed>,
        streams_limit: usize,
    ) -> Result<(), String> {
        let time = match line.first_of(&shape.time_fields) {
            None | Some("0") => self.observed,
            Some(text) => time::parse_time(text, self.observed).map_err(|e| e.to_string())?.start,
        };
        let (id, labels) = identity(tenant, shape, line);
        if !streams.contains_key(&id) && streams.len() >= streams_limit {
            return Err(format!(
                "would be stream number {} of this process: use fewer _stream_fields, or raise insert.streams_limit",
                streams_limit + 1
            ));
        }
        let pushed = streams.entry(id).or_insert_with(|| Pushed { offset: 0, resource: Arc::new(resource(labels)) });
        let position = Position { generation: self.generation, offset: pushed.offset };
        pushed.offset += text.len() as u64 + 1;
        let (generation, start) = (position.generation, position.offset);
        let fresh = || Range { stream: id, generation, start, end: start, records: 0, fate: Fate::Kept };
        let range = self.ranges.entry(id).or_insert_with(fresh);
        range.end = pushed.offset;
        range.records += 1;

        let resource = self.builder.resource(&pushed.resource);
        self.builder.push_body(line.first_of(&shape.message_fields).unwrap_or(text));
        let mut level = 0;
        for (name, value) in line.pairs() {
            let told = |names: &[String]| names.iter().any(|n| n == name);
            if value.is_empty() || told(&shape.time_fields) || told(&shape.message_fields) {
                continue;
            }
            if matches!(name, "level" | "severity") && level == 0 {
                level = severity::of_value(value.as_bytes());
            }
            if !matches!(name, fields::TRACE_ID | fields::SPAN_ID) {
                self.builder.field(name, value);
            }
        }
        self.builder.finish_record(Head {
            resource,
            stream: id,
            position,
            time,
            observed: self.observed,
            severity: level,
            trace_id: line.first_of(&[fields::TRACE_ID.to_owned()]),
            span_id: line.first_of(&[fields::SPAN_ID.to_owned()]),
        });
        Ok(())
    }
}

/// The stream of a line, and its tags, sorted.
fn identity(tenant: &Tenant, shape: &Shape, line: &Line) -> (StreamId, Vec<(String, String)>) {
    let mut labels: Vec<(String, String)> = shape
        .stream_fields
        .iter()
        .filter_map(|name| {
            let found = line.pairs().find(|(n, value)| n == name && !value.is_empty());
            found.map(|(_, value)| (name.clone(), value.to_owned()))
        })
        .collect();
    labels.sort();
    labels.dedup_by(|a, b| a.0 == b.0);
    let mut parts = vec!["push"];
    for (name, value) in &labels {
        parts.extend([name.as_str(), value.as_str()]);
    }
    (StreamId::of(tenant, &parts), labels)
}

/// Tags with the names of a resource's own columns fill those too.
fn resource(labels: Vec<(String, String)>) -> Resource {
    let value = |name: &str| labels.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
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
        path: value("path"),
        labels,
    }
}

/// The body, decompressed, within its limit.
async fn read_body(headers: &HeaderMap, body: Body, limit: Size) -> Result<Bytes> {
    let too_large = || Error::too_large(format!("the request is over {limit}: send smaller ones, or raise insert.request_limit"));
    let encoding = headers.get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?")).trim().to_owned();
    let raw = Limited::new(body, limit.as_usize()).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { too_large() } else { Error::invalid("the request broke off").because(error) }
    })?;
    let raw = raw.to_bytes();
    if matches!(encoding.as_str(), "" | "identity") {
        return Ok(raw);
    }
    // Decompression is work for a core, not for the thread that serves connections.
    let decoded = tokio::task::spawn_blocking(move || decode(&encoding, &raw, limit)).await;
    match decoded.map_err(|e| Error::internal("decompressing a request failed").because(e))?? {
        Some(bytes) => Ok(bytes.into()),
        None => Err(too_large()),
    }
}

/// The decompressed bytes; `None` when they are over the limit.
fn decode(encoding: &str, raw: &[u8], limit: Size) -> Result<Option<Vec<u8>>> {
    let wrong = |e: std::io::Error| Error::invalid(format!("the request is not valid {encoding}")).because(e);
    let reader: Box<dyn Read + '_> = match encoding {
        "gzip" => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(raw)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(raw).map_err(wrong)?),
        other => {
            return Err(Error::invalid(format!("the encoding {other:?} is not known: use gzip, zstd, deflate or none")));
        }
    };
    let mut out = Vec::new();
    reader.take(limit.0 + 1).read_to_end(&mut out).map_err(wrong)?;
    Ok((out.len() as u64 <= limit.0).then_some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = zstd::encode_all(&vec![0u8; 1 << 20][..], 3).unwrap();
        assert!(decode("zstd", &bomb, Size(1 << 19)).unwrap().is_none());
        assert_eq!(decode("zstd", &bomb, Size(1 << 20)).unwrap().unwrap().len(), 1 << 20);
        assert!(decode("gzip", &bomb, Size(1 << 20)).is_err());
        assert!(decode("br", &bomb, Size(1 << 20)).is_err());
    }

    #[test]
    fn the_tags_are_the_stream_whatever_their_order_in_a_line() {
        let shape = |fields: &[&str]| Shape {
            time_fields: vec![],
            message_fields: vec![],
            stream_fields: fields.iter().map(|f| (*f).to_owned()).collect(),
            ignore_fields: vec![],
            extra_fields: vec![],
        };
        let mut a = Line::default();
        a.put("app", "web");
        a.put("host", "h1");
        let mut b = Line::default();
        b.put("host", "h1");
        b.put("app", "web");
        let tenant = Tenant::default();
        let one = identity(&tenant, &shape(&["app", "host"]), &a);
        assert_eq!(one, identity(&tenant, &shape(&["host", "app"]), &b));
        assert_ne!(one.0, identity(&tenant, &shape(&["app"]), &a).0);
        assert_eq!(resource(one.1).stream_tags(), "{app=\"web\",host=\"h1\"}");
    }
}
