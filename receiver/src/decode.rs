//! The decoders alone, for what comes by another way than a request: topics of Kafka that somebody else fills.
//!
//! A message becomes batches, as if it were a file of its own: its generation says which message it is, its offsets are bytes in it. So
//! the same message gives the same positions, whoever reads it, however often, and the marks of streams drop it when it comes again. For
//! messages of one partition, generations have to grow with their offsets: `base + offset` does, where `base` is fixed for as long as the
//! topic is the same one. Streams are told apart by labels within a partition, so a stream has records in some messages only; one
//! generation for each message makes the others no holes.
//!
//! [`Source::identity`] must name all that orders the messages: the topic, what tells it from one of the same name that was deleted, and
//! the partition.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use rookery_core::batch::Batch;
use rookery_core::units::Bytes as Size;
use rookery_core::zone::Zone;
use rookery_core::{Position, Result, StreamId, Tenant};

use crate::config::ReceiverConfig;
pub use crate::document::Shape;
use crate::draft::{Drafter, Limits, Owner, Record};
use crate::{elastic, jsonline, loki, otlp, syslog};

/// Where messages come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Whose the records are.
    pub tenant: Tenant,
    /// What is put down as the sender of the batches.
    pub collector: Arc<str>,
    /// What a stream's identity starts with, before its labels; for example `["topic", name, id, partition]`.
    pub identity: Vec<Arc<str>>,
    /// The longest body; a longer record is refused.
    pub line_limit: Size,
}

/// Which message it is.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// The generation of its records; of a later message of the same source it is greater.
    pub generation: u64,
    /// When it was written, in nanoseconds since the epoch; the time of records that have none.
    pub time: i64,
}

/// The records of a message.
#[derive(Debug)]
pub struct Decoded {
    /// In the order in which they are to be stored.
    pub batches: Vec<Batch>,
    /// How many records they hold.
    pub records: u64,
    /// How many records of the message cannot be stored.
    pub refused: u64,
    /// Why the first of them cannot.
    pub first_refusal: Option<String>,
}

/// Reads JSON objects, one a line; members are told by `shape`.
///
/// # Errors
/// When the message has more records than [`ReceiverConfig::RECORDS_LIMIT`]. Lines that are wrong are counted in the result.
pub fn json_lines(
    bytes: &[u8],
    shape: &Shape,
    source: &Source,
    message: Message,
) -> Result<Decoded> {
    let limit = source.line_limit;
    source.decode("push", message, |drafter| jsonline::lines(bytes, shape, limit, drafter))
}

/// Reads an `ExportLogsServiceRequest` of OTLP in protocol buffers, as the OpenTelemetry Collector's Kafka exporter writes it.
///
/// # Errors
/// `invalid` when it is none: nothing of the message can be stored. Else as [`json_lines`].
pub fn otlp_protobuf(bytes: &[u8], source: &Source, message: Message) -> Result<Decoded> {
    source.decode("otlp", message, |drafter| otlp::rows::read(bytes, drafter))
}

/// The same in JSON.
///
/// # Errors
/// As [`otlp_protobuf`].
pub fn otlp_json(bytes: &[u8], source: &Source, message: Message) -> Result<Decoded> {
    let bytes = otlp::transcode::from_json(bytes)?;
    source.decode("otlp", message, |drafter| otlp::rows::read(&bytes, drafter))
}

/// Reads a `PushRequest` of Loki in protocol buffers, not packed.
///
/// # Errors
/// As [`otlp_protobuf`].
pub fn loki_protobuf(bytes: &[u8], source: &Source, message: Message) -> Result<Decoded> {
    source.decode("push", message, |drafter| loki::protobuf(bytes, drafter))
}

/// Reads a body of Elasticsearch's bulk API, as `/_bulk` does.
///
/// # Errors
/// `invalid` when a line is not an action: nothing of it can be stored. Else as [`json_lines`].
pub fn elastic_bulk(bytes: &[u8], source: &Source, message: Message) -> Result<Decoded> {
    let shape = elastic::shape();
    let limit = source.line_limit;
    source.decode("push", message, |drafter| {
        elastic::read(bytes, "", &shape, limit, drafter).map(drop)
    })
}

/// Reads messages of syslog, each with its length before it or to a line's end; times without a zone are in `zone`.
///
/// # Errors
/// As [`json_lines`].
pub fn syslog(bytes: &[u8], zone: &Zone, source: &Source, message: Message) -> Result<Decoded> {
    source.decode("syslog", message, |drafter| {
        let limit = source.line_limit.as_usize();
        syslog::read(bytes, zone, limit, drafter)
    })
}

/// Reads text, one record a line, into one stream; the tags say what the stream is called.
///
/// # Errors
/// As [`json_lines`].
pub fn plain_text(
    bytes: &[u8],
    tags: &[(String, String)],
    source: &Source,
    message: Message,
) -> Result<Decoded> {
    source.decode("push", message, |drafter| {
        let stream = drafter.stream(b"", || tags.to_vec());
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let body = String::from_utf8_lossy(line);
            let record = Record {
                stream,
                time: None,
                body: &body,
                severity: 0,
                trace_id: None,
                span_id: None,
                bytes: line.len() as u64 + 1,
            };
            if let Err(why) = drafter.add(&record, |_| ())? {
                drafter.refuse(index as u64 + 1, why)?;
            }
        }
        Ok(())
    })
}

impl Source {
    fn decode(
        &self,
        source: &'static str,
        message: Message,
        decode: impl FnOnce(&mut Drafter) -> Result<()>,
    ) -> Result<Decoded> {
        let owner = Owner { tenant: self.tenant.clone(), identity: self.identity.clone(), source };
        let limits = Limits {
            line: self.line_limit,
            records: ReceiverConfig::RECORDS_LIMIT,
            fields: ReceiverConfig::FIELDS_LIMIT,
            refusals: 1,
        };
        let mut drafter = Drafter::new(owner, limits, message.time);
        decode(&mut drafter)?;
        let drafts = drafter.finish()?;
        // A large message is more than one draft, and a stream goes on from one to the next.
        let mut ends: HashMap<StreamId, u64> = HashMap::new();
        let (mut batches, mut records) = (Vec::with_capacity(drafts.drafts.len()), 0);
        for draft in drafts.drafts {
            records += draft.offsets.len() as u64;
            let at = |offset| Position { generation: message.generation, offset };
            let starts: Vec<Option<u64>> =
                draft.streams.iter().map(|share| ends.get(&share.id).copied()).collect();
            for share in &draft.streams {
                *ends.entry(share.id).or_default() += share.bytes;
            }
            let start = |number: usize| {
                let known = starts[number];
                (at(known.unwrap_or(0)), known.map(at).unwrap_or_default())
            };
            batches.push(draft.batch(&self.tenant, self.collector.clone(), start)?);
        }
        let first_refusal = drafts.refusals.first().map(|(n, why)| format!("record {n} {why}"));
        Ok(Decoded { batches, records, refused: drafts.refused, first_refusal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            tenant: Tenant::default(),
            collector: "topic".into(),
            identity: vec!["topic".into(), "logs".into(), "0".into()],
            line_limit: Size::mib(1),
        }
    }

    #[test]
    fn the_same_message_gives_the_same_positions_and_the_next_one_greater_ones() {
        let shape = Shape::of_parameters("_stream_fields=app");
        let line = format!("{{\"app\":\"a\",\"_msg\":\"{}\"}}\n", "x".repeat(1000));
        let text = line.repeat(12_000);
        let read = |generation| {
            let message = Message { generation, time: 5 };
            json_lines(text.as_bytes(), &shape, &source(), message).unwrap()
        };
        let (one, again, next) = (read(100), read(100), read(101));
        assert!(one.batches.len() > 1 && one.records == 12_000);
        assert_eq!(one.batches[1].records, again.batches[1].records);
        let ranges: Vec<_> = one.batches.iter().flat_map(|batch| &batch.ranges).collect();
        assert_eq!(ranges[1].start, ranges[0].end, "no hole between the pieces of a message");
        assert_eq!(ranges.last().unwrap().end, text.len() as u64);
        assert!(next.batches[0].ranges[0].generation > ranges[0].generation);
    }

    #[test]
    fn damaged_messages_are_records_or_errors_never_a_panic() {
        let json = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"b"}}]},
            "scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[{"key":"x","value":{"doubleValue":1}}]}}}]}]}]}"#;
        let otlp = otlp::transcode::from_json(json.as_bytes()).unwrap();
        let seeds: [&[u8]; 5] = [
            json.as_bytes(),
            &otlp,
            b"\x0a\x1a\x0a\x07{a=\"b\"}\x12\x0f\x0a\x04\x08\x05\x10\x06\x12\x01x\x1a\x04\x0a\x00\x12\x00",
            b"{\"create\":{\"_index\":\"a\"}}\n{\"@timestamp\":\"2026-11-21\",\"message\":\"m\"}\n",
            b"20 <13>1 - h a - - [x y=\"z\"] m<13>Feb  3 12:08:33 h sshd[7]: m\n",
        ];
        let (zone, shape) = (Zone::new("UTC").unwrap(), Shape::of_parameters("_stream_fields=a"));
        let message = Message { generation: 1, time: 5 };
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % limit
        };
        for round in 0..3_000 {
            let mut bytes = seeds[round % seeds.len()].to_vec();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = random(256) as u8,
                    1 => drop(bytes.drain(at..)),
                    _ => bytes.insert(at, random(256) as u8),
                }
                bytes.push(b'\n');
            }
            let source = source();
            let all = [
                otlp_protobuf(&bytes, &source, message),
                otlp_json(&bytes, &source, message),
                loki_protobuf(&bytes, &source, message),
                elastic_bulk(&bytes, &source, message),
                syslog(&bytes, &zone, &source, message),
                json_lines(&bytes, &shape, &source, message),
            ];
            for read in all.into_iter().flatten() {
                let rows = read.batches.iter().map(|batch| batch.records.num_rows() as u64);
                assert_eq!(rows.sum::<u64>(), read.records);
            }
        }
    }

    #[test]
    fn plain_text_is_a_record_a_line() {
        let tags = [("topic".to_owned(), "logs".to_owned())];
        let message = Message { generation: 1, time: 5 };
        let out = plain_text(b"one\r\n\ntwo\xff", &tags, &source(), message).unwrap();
        let bodies = out.batches[0].records.column_by_name("body").unwrap();
        let bodies = arrow_array::cast::AsArray::as_string::<i32>(bodies);
        assert_eq!(bodies.iter().flatten().collect::<Vec<_>>(), ["one", "two\u{fffd}"]);
        assert_eq!(out.batches[0].ranges[0].end, 4 + 5 + 1 - 1);
    }
}
