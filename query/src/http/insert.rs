//! `/insert/jsonline`: records pushed as JSON lines.
//!
//! A success is answered only when the queue has acknowledged, which means: the records are on disk. A line that is not a JSON
//! object, has no readable time or is too long cannot be stored. The others of the request are, and the answer is a 400 that
//! names the first wrong lines and how many are stored: nothing that could be kept is lost, and nothing is dropped in silence.
//!
//! Parameters (or the headers `VL-Time-Field`, `VL-Msg-Field`, `VL-Stream-Fields`, `VL-Ignore-Fields`, `VL-Extra-Fields`), each a list
//! with commas: `_time_field` and `_msg_field` (the first that a line has), `_stream_fields` (the tags of the stream),
//! `ignore_fields` (`prefix*` too), `extra_fields` (`name=value`, stronger than the line's own). Without a time a record has
//! that of its arrival; without a message its body is the line.
//!
//! **Positions.** A pushed stream is identified by its tags and the process that takes it. Its generation is the time at which this process started, its
//! offset the count of bytes that were pushed to it since: so positions are unique and grow, as for files. A request that is sent
//! again is a new push: a client that does not see the answer and repeats the request stores its records twice. Who needs exactly once
//! writes to a file and lets the collector read it.
//!
//! A request is first made into columns with offsets from zero ([`draft`]), beside all others. Then, one request at a time, the
//! offsets are moved to where their streams are and the batch goes into the queue, because positions must go in in their order.

mod draft;

use std::io::Read;
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use foldhash::HashMap;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rookery_core::batch::{Batch, Fate, Range};
use rookery_core::queue::{Queue, Receipt};
use rookery_core::units::Bytes as Size;
use rookery_core::{Error, Position, Result, StreamId, Tenant, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use self::draft::{Draft, Drafts, Shape};
use super::Service;
use super::error::Failure;
use super::parameters::{self, Parameters};

/// What may be pushed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InsertConfig {
    /// The largest request, before and after decompression.
    pub request_limit: Size,
    /// The longest line; a longer one is refused.
    pub line_limit: Size,
    /// The most streams that one process takes by push. The tags of a push should name where it comes from, not what it says.
    pub streams_limit: usize,
    /// The name of this process among those that take pushes for one store. It is a part of what a pushed stream is, because the
    /// order of a stream is that of one process.
    pub receiver: String,
}

impl Default for InsertConfig {
    fn default() -> Self {
        Self {
            request_limit: Size::mib(64),
            line_limit: Size::mib(1),
            streams_limit: 100_000,
            receiver: "push".into(),
        }
    }
}

/// The end of the queue for pushes, and how far each pushed stream has come.
pub(super) struct Pushes {
    queue: Arc<dyn Queue>,
    generation: u64,
    receiver: Arc<str>,
    /// Where the next record of each stream goes.
    places: Mutex<HashMap<StreamId, Position>>,
}

impl Pushes {
    /// `marks` are how far the streams in the store have come. A mark may be ahead of this process's generation, when a clock was set
    /// back: such a stream goes on from its mark, or its records would be taken for duplicates.
    pub(super) fn new(
        queue: Arc<dyn Queue>,
        config: &InsertConfig,
        marks: impl IntoIterator<Item = (StreamId, Position)>,
    ) -> Self {
        let generation = u64::try_from(time::now()).unwrap_or(0);
        let ahead = marks.into_iter().filter(|(_, mark)| mark.generation >= generation);
        let receiver = config.receiver.as_str().into();
        Self { queue, generation, receiver, places: Mutex::new(ahead.collect()) }
    }

    /// Gives the records of a draft their places and puts them into the queue.
    async fn send(&self, tenant: &Tenant, draft: Draft, streams_limit: usize) -> Result<Receipt> {
        let mut places = self.places.lock().await;
        let fresh = draft.streams.iter().filter(|stream| !places.contains_key(&stream.id)).count();
        if places.len() + fresh > streams_limit {
            return Err(Error::too_large(format!(
                "this process takes {streams_limit} streams by push and has {}: use fewer _stream_fields, or raise \
                 insert.streams_limit",
                places.len()
            )));
        }
        let first = Position { generation: self.generation, offset: 0 };
        let place = |stream: &draft::Stream| places.get(&stream.id).copied().unwrap_or(first);
        let starts: Vec<Position> = draft.streams.iter().map(place).collect();
        let records = draft.placed(&starts)?;
        let range = |(stream, start): (&draft::Stream, &Position)| Range {
            stream: stream.id,
            generation: start.generation,
            start: start.offset,
            end: start.offset + stream.bytes,
            records: stream.records,
            fate: Fate::Kept,
            after: Position::default(),
        };
        let ranges = draft.streams.iter().zip(&starts).map(range).collect();
        let collector = self.receiver.clone();
        let batch = Batch { tenant: tenant.clone(), collector, records, ranges };
        let receipt = self.queue.send(batch).await?;
        // Only what the queue has taken moves a stream: a refused batch leaves no hole.
        for (stream, start) in draft.streams.iter().zip(starts) {
            places.insert(stream.id, Position { offset: start.offset + stream.bytes, ..start });
        }
        Ok(receipt)
    }
}

impl Draft {
    /// The records, each stream's moved to its start.
    fn placed(&self, starts: &[Position]) -> Result<RecordBatch> {
        let schema = self.records.schema();
        let mut columns = self.records.columns().to_vec();
        let start = |stream: &u32| starts[*stream as usize];
        let generations = self.places.iter().map(|(stream, _)| start(stream).generation);
        columns[schema.index_of("generation")?] =
            Arc::new(UInt64Array::from_iter_values(generations));
        let offsets = self.places.iter().map(|(stream, offset)| start(stream).offset + offset);
        columns[schema.index_of("offset")?] = Arc::new(UInt64Array::from_iter_values(offsets));
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

/// Takes JSON lines.
pub(super) async fn jsonline(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let tenant = parameters::tenant(&head.headers)?;
    let shape = Shape::read(&Parameters::of_address(&head.uri, tenant.clone())?, &head.headers);
    let body = read_body(&head.headers, body, service.insert.request_limit).await?;
    let line_limit = service.insert.line_limit;
    let receiver = service.pushes.receiver.clone();
    let owner = draft::Owner { tenant: tenant.clone(), receiver };
    // Parsing is work for a core, not for the thread that serves connections.
    let drafts =
        tokio::task::spawn_blocking(move || draft::drafts(&body, &shape, &owner, line_limit)).await;
    let drafts =
        drafts.map_err(|e| Error::internal("reading pushed lines failed").because(e))??;
    store(&service, &tenant, drafts).await
}

/// What `/insert/jsonline` makes of a body: how many records, and how many lines that cannot be stored. Nothing is stored.
///
/// # Errors
/// When the parameters cannot be read.
pub fn read_jsonline(parameters: &str, body: &[u8]) -> Result<(u64, u64)> {
    let tenant = Tenant::default();
    let parameters = Parameters::of_query(parameters, tenant.clone())?;
    let shape = Shape::read(&parameters, &HeaderMap::new());
    let owner = draft::Owner { tenant, receiver: "push".into() };
    let drafts = draft::drafts(body, &shape, &owner, InsertConfig::default().line_limit)?;
    let mut records = 0;
    for draft in &drafts.drafts {
        let placed = draft.placed(&vec![Position::default(); draft.streams.len()])?;
        records += placed.num_rows() as u64;
    }
    Ok((records, drafts.wrong))
}

async fn store(service: &Service, tenant: &Tenant, drafts: Drafts) -> Result<Response, Failure> {
    let Drafts { drafts, wrong, wrong_lines, first_wrong } = drafts;
    let mut stored = 0;
    let mut receipts = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let records = draft.places.len() as u64;
        match service.pushes.send(tenant, draft, service.insert.streams_limit).await {
            Ok(receipt) => receipts.push((records, receipt)),
            Err(error) => {
                // What went in before is answered for first.
                stored += wait_all(receipts).await.0;
                return Err(Failure::from(error).with("stored", stored));
            }
        }
    }
    let (settled, failed) = wait_all(receipts).await;
    stored += settled;
    if let Some(error) = failed {
        return Err(Failure::from(error).with("stored", stored));
    }
    match first_wrong {
        None => Ok(Json(json!({ "stored": stored })).into_response()),
        Some(why) => {
            let first = wrong_lines.first().copied().unwrap_or(0);
            let message = format!(
                "line {first} {why}; {wrong} lines are wrong, the other {stored} are stored: do not send them again"
            );
            let failure =
                Failure::from(Error::invalid(message)).with("stored", stored).with("wrong", wrong);
            Err(failure.with("line", first).with("lines", wrong_lines))
        }
    }
}

/// Waits for all; how many records are safe, and why others are not.
async fn wait_all(receipts: Vec<(u64, Receipt)>) -> (u64, Option<Error>) {
    let mut stored = 0;
    let mut failed = None;
    for (records, receipt) in receipts {
        match receipt.wait().await {
            Ok(()) => stored += records,
            Err(error) => failed = Some(error),
        }
    }
    (stored, failed)
}

/// The body, decompressed, within its limit.
async fn read_body(headers: &HeaderMap, body: Body, limit: Size) -> Result<Bytes> {
    let too_large = || {
        Error::too_large(format!(
            "the request is over {limit}: send smaller ones, or raise insert.request_limit"
        ))
    };
    let encoding =
        headers.get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?"));
    let encoding = encoding.trim().to_ascii_lowercase();
    let raw = Limited::new(body, limit.as_usize()).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large()
        } else {
            Error::invalid("the request broke off").because(error)
        }
    })?;
    let raw = raw.to_bytes();
    if matches!(encoding.as_str(), "" | "identity") {
        return Ok(raw);
    }
    let decoded = tokio::task::spawn_blocking(move || decode(&encoding, &raw, limit)).await;
    match decoded.map_err(|e| Error::internal("decompressing a request failed").because(e))?? {
        Some(bytes) => Ok(bytes.into()),
        None => Err(too_large()),
    }
}

/// The decompressed bytes; `None` when they are over the limit.
fn decode(encoding: &str, raw: &[u8], limit: Size) -> Result<Option<Vec<u8>>> {
    let wrong = |e: std::io::Error| {
        Error::invalid(format!("the request is not valid {encoding}")).because(e)
    };
    let reader: Box<dyn Read + '_> = match encoding {
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(raw)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(raw).map_err(wrong)?),
        other => {
            return Err(Error::invalid(format!(
                "the encoding {other:?} is not known: use gzip, zstd, deflate or none"
            )));
        }
    };
    let mut out = Vec::new();
    reader.take(limit.0.saturating_add(1)).read_to_end(&mut out).map_err(wrong)?;
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
}
