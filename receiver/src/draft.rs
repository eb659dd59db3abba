//! Records of any protocol made into columns, before they have their places in their streams.
//!
//! A decoder walks its input once. For each record it names the stream ([`Drafter::stream`]; a stream is made once in a request) and
//! hands over what the record is ([`Drafter::add`]); texts go from the input into the columns without a copy in between. What cannot be
//! stored is refused, record by record, with the reason ([`Drafter::refuse`]).
//!
//! Offsets count from zero in each draft. Where a draft's streams start is known when it is sent, see [`crate::places`].

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::RecordBatch;
use foldhash::{HashMap, HashMapExt as _};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::units::Bytes as Size;
use rookery_core::{Error, Position, Result, StreamId, Tenant};

use crate::resource;

/// A draft is closed when it takes so much memory, so that one request does not fill the queue as one piece.
const DRAFT_BYTES: usize = 8 << 20;

/// Why a record cannot be stored, as the end of a sentence: "is not a JSON object".
pub(crate) type Refusal = Cow<'static, str>;

/// Whose the streams are, and what their names start with: the same labels that come in by another way are another stream.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) tenant: Tenant,
    /// Before the labels in a stream's identity.
    pub(crate) identity: Vec<Arc<str>>,
    /// The column `source`.
    pub(crate) source: &'static str,
}

/// What one request may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The longest body.
    pub(crate) line: Size,
    /// The most records.
    pub(crate) records: u64,
    /// The most fields of one record.
    pub(crate) fields: usize,
    /// How many refusals are remembered one by one.
    pub(crate) refusals: usize,
}

impl Limits {
    /// The most numbers of wrong lines that an answer lists.
    pub(crate) const REFUSALS: usize = 20;
}

/// All of a request.
#[derive(Debug)]
pub(crate) struct Drafts {
    pub(crate) drafts: Vec<Draft>,
    /// How many records cannot be stored.
    pub(crate) refused: u64,
    /// The first of them: their numbers as the decoder counts, and why.
    pub(crate) refusals: Vec<(u64, Refusal)>,
}

/// Some records as columns.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The records; their generations and offsets are to be replaced.
    pub(crate) records: RecordBatch,
    /// Their streams.
    pub(crate) streams: Vec<Share>,
    /// For each record, which of the streams, and the bytes of the stream before it in this draft.
    pub(crate) offsets: Vec<(u32, u64)>,
}

/// What a draft has of one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) id: StreamId,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

/// A stream of a request, by its number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamNumber(u32);

/// One record but for its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) stream: StreamNumber,
    /// When it was printed; without it, when it came.
    pub(crate) time: Option<i64>,
    pub(crate) body: &'a str,
    /// OpenTelemetry's severity number; 0 when only the fields know.
    pub(crate) severity: u8,
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) span_id: Option<&'a str>,
    /// Its length in the input; what its stream grows by.
    pub(crate) bytes: u64,
}

/// The fields of a record on their way into the columns.
pub(crate) struct FieldSink<'a> {
    builder: &'a mut LogBatchBuilder,
    count: usize,
}

impl FieldSink<'_> {
    /// Adds a field, unless its value is empty.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.builder.field(name, value);
            self.count += 1;
        }
    }
}

/// Drafts under construction.
pub(crate) struct Drafter {
    owner: Owner,
    limits: Limits,
    pub(crate) observed: i64,
    /// The streams of the request.
    streams: Vec<(StreamId, Arc<Resource>)>,
    by_key: HashMap<Vec<u8>, u32>,
    /// Two keys may name one stream, whose offsets are counted once.
    by_id: HashMap<StreamId, u32>,
    /// The streams of the draft, by their numbers in the request.
    shares: HashMap<u32, u32>,
    builder: LogBatchBuilder,
    draft_shares: Vec<Share>,
    offsets: Vec<(u32, u64)>,
    out: Drafts,
    records: u64,
}

impl Drafter {
    /// `observed` is when the request came.
    pub(crate) fn new(owner: Owner, limits: Limits, observed: i64) -> Self {
        Self {
            owner,
            limits,
            observed,
            streams: Vec::new(),
            by_key: HashMap::new(),
            by_id: HashMap::new(),
            shares: HashMap::new(),
            builder: LogBatchBuilder::default(),
            draft_shares: Vec::new(),
            offsets: Vec::new(),
            out: Drafts { drafts: Vec::new(), refused: 0, refusals: Vec::new() },
            records: 0,
        }
    }

    /// Remembers every refusal, for a protocol that answers for each record; there are at most so many as records.
    pub(crate) fn remember_all_refusals(&mut self) {
        self.limits.refusals = usize::MAX;
    }

    /// The stream that some bytes of the request name; `labels` says what it is, when it is new in this request.
    pub(crate) fn stream(
        &mut self,
        key: &[u8],
        labels: impl FnOnce() -> Vec<(String, String)>,
    ) -> StreamNumber {
        if let Some(&number) = self.by_key.get(key) {
            return StreamNumber(number);
        }
        let mut labels = labels();
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        let mut parts: Vec<&str> = self.owner.identity.iter().map(AsRef::as_ref).collect();
        for (name, value) in &labels {
            parts.extend([name.as_str(), value.as_str()]);
        }
        let id = StreamId::of(&self.owner.tenant, &parts);
        let number = *self.by_id.entry(id).or_insert_with(|| {
            self.streams.push((id, Arc::new(resource::resource(self.owner.source, labels))));
            self.streams.len() as u32 - 1
        });
        self.by_key.insert(key.to_owned(), number);
        StreamNumber(number)
    }

    /// What the records of a stream share.
    pub(crate) fn resource(&self, stream: StreamNumber) -> &Arc<Resource> {
        &self.streams[stream.0 as usize].1
    }

    /// Adds a record; `fill` gives its fields, and may be asked twice. Of one name, the first value counts.
    ///
    /// # Errors
    /// `too_large` when the request has too many records; why a record alone cannot be stored is a [`Refusal`].
    pub(crate) fn add(
        &mut self,
        record: &Record<'_>,
        fill: impl Fn(&mut FieldSink<'_>),
    ) -> Result<Result<(), Refusal>> {
        if record.body.len() as u64 > self.limits.line.0 {
            return Ok(Err(format!("is over {} (receiver.line_limit)", self.limits.line).into()));
        }
        loop {
            let dropped = self.builder.dropped_fields();
            let mut fields = FieldSink { builder: &mut self.builder, count: 0 };
            fill(&mut fields);
            let count = fields.count;
            if count > self.limits.fields {
                self.builder.cancel_record();
                let limit = self.limits.fields;
                return Ok(Err(
                    format!("has more than {limit} fields (receiver.fields_limit)").into()
                ));
            }
            if self.builder.dropped_fields() == dropped || self.builder.is_empty() {
                break;
            }
            // A batch holds only so many names of fields: this record is the first of the next one.
            self.builder.cancel_record();
            self.cut()?;
        }
        self.count_record()?;
        let (id, resource) = &self.streams[record.stream.0 as usize];
        let share = *self.shares.entry(record.stream.0).or_insert_with(|| {
            self.draft_shares.push(Share { id: *id, bytes: 0, records: 0 });
            self.draft_shares.len() as u32 - 1
        });
        let stream = &mut self.draft_shares[share as usize];
        let offset = stream.bytes;
        // Each record has a place of its own, also an empty one.
        stream.bytes += record.bytes.max(1);
        stream.records += 1;
        self.offsets.push((share, offset));
        self.builder.push_body(record.body);
        let resource = self.builder.resource(resource);
        self.builder.finish_record(Head {
            resource,
            stream: *id,
            position: Position { generation: 0, offset },
            time: record.time.unwrap_or(self.observed),
            observed: self.observed,
            severity: record.severity,
            trace_id: record.trace_id.filter(|id| !id.is_empty()),
            span_id: record.span_id.filter(|id| !id.is_empty()),
        });
        if self.builder.size_bytes() > DRAFT_BYTES {
            self.cut()?;
        }
        Ok(Ok(()))
    }

    /// Counts a record that cannot be stored.
    ///
    /// # Errors
    /// `too_large` when the request has too many records.
    pub(crate) fn refuse(&mut self, number: u64, why: impl Into<Refusal>) -> Result<()> {
        self.count_record()?;
        self.out.refused += 1;
        if self.out.refusals.len() < self.limits.refusals {
            self.out.refusals.push((number, why.into()));
        }
        Ok(())
    }

    fn count_record(&mut self) -> Result<()> {
        self.records += 1;
        if self.records <= self.limits.records {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "the request has more than {} records: send smaller ones, or raise receiver.records_limit",
            self.limits.records
        )))
    }

    /// All of the request.
    ///
    /// # Errors
    /// When columns cannot be built.
    pub(crate) fn finish(mut self) -> Result<Drafts> {
        self.cut()?;
        Ok(self.out)
    }

    /// Closes the draft, if it has a record.
    fn cut(&mut self) -> Result<()> {
        if self.offsets.is_empty() {
            return Ok(());
        }
        self.shares.clear();
        self.out.drafts.push(Draft {
            records: self.builder.finish()?,
            streams: std::mem::take(&mut self.draft_shares),
            offsets: std::mem::take(&mut self.offsets),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafter(fields: usize, records: u64) -> Drafter {
        let owner = Owner {
            tenant: Tenant::default(),
            identity: vec!["push".into(), "r".into()],
            source: "push",
        };
        Drafter::new(owner, Limits { line: Size(200), records, fields, refusals: 2 }, 7)
    }

    fn record(stream: StreamNumber, body: &str) -> Record<'_> {
        Record {
            stream,
            time: None,
            body,
            severity: 0,
            trace_id: None,
            span_id: None,
            bytes: body.len() as u64,
        }
    }

    #[test]
    fn a_large_request_is_cut_into_drafts_and_each_counts_from_zero() {
        let mut drafter = drafter(10, 1_000_000);
        let body = "x".repeat(150);
        for _ in 0..120_000 {
            let stream = drafter.stream(b"a", || vec![("app".into(), "a".into())]);
            drafter.add(&record(stream, &body), |fields| fields.put("n", "1")).unwrap().unwrap();
        }
        let out = drafter.finish().unwrap();
        assert!(out.drafts.len() > 1);
        assert_eq!(out.drafts.iter().map(|d| d.offsets.len()).sum::<usize>(), 120_000);
        assert!(out.drafts.iter().all(|d| d.offsets[..2] == [(0, 0), (0, 150)]));
        assert!(out.drafts.iter().all(|d| d.streams.len() == 1));
    }

    #[test]
    fn what_is_over_a_limit_is_refused_alone_but_too_many_records_are_refused_whole() {
        let mut drafter = drafter(2, 5);
        let stream = drafter.stream(b"", Vec::new);
        let long = "x".repeat(201);
        let why = drafter.add(&record(stream, &long), |_| ()).unwrap().unwrap_err();
        assert!(why.contains("receiver.line_limit"), "{why}");
        let three =
            |fields: &mut FieldSink<'_>| ["a", "b", "c"].iter().for_each(|n| fields.put(n, "1"));
        let why = drafter.add(&record(stream, "x"), three).unwrap().unwrap_err();
        assert!(why.contains("receiver.fields_limit"), "{why}");
        for number in 0..3 {
            drafter.refuse(number, "is wrong").unwrap();
        }
        for _ in 0..2 {
            drafter.add(&record(stream, ""), |fields| fields.put("empty", "")).unwrap().unwrap();
        }
        let whole = drafter.add(&record(stream, ""), |_| ()).unwrap_err();
        assert!(whole.message().contains("receiver.records_limit"), "{whole}");
        let out = drafter.finish().unwrap();
        assert_eq!((out.refused, out.refusals.len()), (3, 2));
        assert_eq!(out.drafts[0].offsets, [(0, 0), (0, 1)], "empty bodies have places too");
    }

    #[test]
    fn no_field_is_lost_to_the_number_of_names_in_a_batch() {
        let mut drafter = drafter(50_000, 10);
        let stream = drafter.stream(b"", Vec::new);
        for round in 0..2 {
            let fill = |fields: &mut FieldSink<'_>| {
                (0..40_000).for_each(|n| fields.put(&format!("{round}.{n}"), "x"));
            };
            drafter.add(&record(stream, ""), fill).unwrap().unwrap();
        }
        assert_eq!(drafter.finish().unwrap().drafts.len(), 2);
    }

    #[test]
    fn labels_are_the_stream_whatever_their_order() {
        let mut drafter = drafter(9, 9);
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
        };
        let one = drafter.stream(b"1", || labels(&[("app", "a"), ("host", "b")]));
        let two = drafter.stream(b"2", || labels(&[("host", "b"), ("app", "a"), ("x", "")]));
        let other = drafter.stream(b"3", || labels(&[("app", "ab"), ("host", "")]));
        assert_eq!(one, two);
        assert_ne!(one, other);
        assert_eq!(drafter.resource(one).stream_tags(), "{app=\"a\",host=\"b\"}");
    }
}
