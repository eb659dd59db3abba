use rookery_core::batch::{Fate, Range};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::{Kind, Position, StreamId};

use super::*;

/// A small generator of numbers (xorshift), so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// Text that no compressor makes smaller than 60 %.
    fn noise(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b'!' + self.roll(90) as u8)).collect()
    }
}

fn batch(streams: usize, rows: usize, mut body: impl FnMut(usize) -> String) -> Batch {
    let mut builder = LogBatchBuilder::default();
    let mut ranges = Vec::new();
    for stream in 0..streams {
        let pod = format!("pod-{stream}");
        let labels = vec![("app".into(), format!("a{stream}"))];
        let resource = Arc::new(Resource { pod, labels, ..Resource::default() });
        let number = builder.resource(&resource);
        for row in 0..rows {
            builder.push_body(&body(row));
            builder.field("row", &row.to_string());
            builder.field(&format!("only-{row}"), "x");
            builder.finish_record(Head {
                resource: number,
                stream: StreamId([stream as u8; 16]),
                position: Position { generation: 5, offset: row as u64 * 10 },
                time: 1_000 + row as i64,
                observed: 2_000,
                severity: 9,
                trace_id: (row % 2 == 0).then_some("abc"),
                span_id: None,
            });
        }
        ranges.push(Range {
            stream: StreamId([stream as u8; 16]),
            generation: 5,
            start: 0,
            end: rows as u64 * 10,
            records: rows as u64,
            after: Position { generation: 4, offset: 77 },
            fate: Fate::Kept,
        });
    }
    Batch {
        tenant: Tenant::new("acme").unwrap(),
        collector: "node-1".into(),
        records: builder.finish().unwrap(),
        ranges,
    }
}

fn decode(message: &Message) -> Result<Batch> {
    Decoder::new()?.decode(&Raw {
        key: Some(message.collector.as_bytes()),
        version: Some(VERSION),
        tenant: Some(message.tenant.as_str().as_bytes()),
        ranges: Some(&message.ranges),
        hash: Some(&message.hash()),
        payload: &message.payload,
    })
}

fn rows(batches: &[Batch]) -> RecordBatch {
    let records: Vec<_> = batches.iter().map(|batch| batch.records.clone()).collect();
    arrow_select::concat::concat_batches(&logs::schema(), &records).unwrap()
}

#[test]
fn a_batch_comes_back_as_it_was() {
    let whole = batch(3, 40, |row| format!("{{\"row\":{row}}}"));
    let messages = Encoder::new().unwrap().encode(whole.clone(), 1 << 20).unwrap();
    assert_eq!(messages.len(), 1);
    let back = decode(&messages[0]).unwrap();
    assert_eq!(back.records, whole.records);
    assert_eq!(
        (back.ranges, back.tenant, back.collector),
        (whole.ranges, whole.tenant, whole.collector)
    );
    let empty = Batch {
        records: whole.records.slice(0, 0),
        ranges: back_of_nothing(),
        ..batch(0, 0, |_| String::new())
    };
    let messages = Encoder::new().unwrap().encode(empty.clone(), 1 << 20).unwrap();
    assert_eq!(decode(&messages[0]).unwrap().ranges, empty.ranges);
}

#[test]
fn the_size_of_a_batch_that_came_is_that_of_its_message_and_not_of_each_column() {
    let whole = batch(3, 400, |row| format!("{{\"row\":{row}}}"));
    let messages = Encoder::new().unwrap().encode(whole.clone(), 1 << 20).unwrap();
    let back = decode(&messages[0]).unwrap();
    let (own, came) = (whole.size_bytes(), back.size_bytes());
    assert!((own / 4..own * 2).contains(&came), "{came} bytes came of {own}");
}

/// Ranges of a batch without records.
fn back_of_nothing() -> Vec<Range> {
    let mut range = batch(1, 1, |_| String::new()).ranges.remove(0);
    range.fate = Fate::Shed("rate_limit".into());
    vec![range]
}

#[test]
fn a_batch_that_is_too_large_comes_back_from_its_parts_in_order() {
    let mut dice = Dice(77);
    let whole = batch(4, 200, |_| dice.noise(300));
    let mut encoder = Encoder::new().unwrap();
    // The second time it knows how large records are, and cuts before it encodes.
    for _ in 0..2 {
        let messages = encoder.encode(whole.clone(), 20_000).unwrap();
        assert!(messages.len() > 8, "{}", messages.len());
        assert!(messages.iter().all(|message| message.size_bytes() <= 20_000));
        let parts: Vec<Batch> = messages.iter().map(|message| decode(message).unwrap()).collect();
        assert_eq!(rows(&parts), whole.records);
        // A part names only what it uses.
        let fields = parts[0].records.column_by_name("fields").unwrap();
        let names = arrow_array::cast::AsArray::as_map(fields).keys().clone();
        let names =
            arrow_array::cast::AsArray::as_dictionary::<arrow_array::types::UInt16Type>(&names)
                .values()
                .len();
        assert!(names <= parts[0].records.num_rows() + 1, "{names}");
        for stream in &whole.ranges {
            let mut at = 0;
            for range in
                parts.iter().flat_map(|part| &part.ranges).filter(|r| r.stream == stream.stream)
            {
                assert_eq!(range.start, at);
                at = range.end;
            }
            assert_eq!(at, stream.end);
        }
    }
    assert_eq!(encoder.take_truncated(), 0);
}

#[test]
fn a_record_that_no_message_can_hold_is_cut_and_marked() {
    let mut dice = Dice(5);
    let noise = dice.noise(100_000);
    let whole = batch(1, 3, |row| if row == 1 { noise.clone() } else { "small".into() });
    let mut encoder = Encoder::new().unwrap();
    let messages = encoder.encode(whole.clone(), 40_000).unwrap();
    assert_eq!(encoder.take_truncated(), 1);
    let parts: Vec<Batch> = messages.iter().map(|message| decode(message).unwrap()).collect();
    let all = rows(&parts);
    assert_eq!(all.num_rows(), 3);
    let body = all.column_by_name("body").unwrap();
    let body = arrow_array::cast::AsArray::as_string::<i32>(body);
    assert!(body.value(1).len() > 10_000 && noise.starts_with(body.value(1)));
    assert_eq!((body.value(0), body.value(2)), ("small", "small"));
    let fields = all.column_by_name("fields").unwrap();
    let fields = arrow_array::cast::AsArray::as_map(fields);
    assert_eq!(fields.value_length(1), 1);
    // Everything else of it stays, and the account too.
    assert_eq!(
        all.column_by_name("offset").unwrap(),
        whole.records.column_by_name("offset").unwrap()
    );
    assert_eq!(parts.iter().flat_map(|part| &part.ranges).map(|r| r.records).sum::<u64>(), 3);
    // It does not stop the next one.
    assert_eq!(encoder.encode(batch(1, 1, |_| "x".into()), 40_000).unwrap().len(), 1);
}

#[test]
fn a_record_that_stands_in_its_fields_too_is_compressed_harder_before_it_is_cut() {
    let noise = Dice(9).noise(700_000);
    let mut whole = batch(1, 1, |_| noise.clone());
    let mut builder = LogBatchBuilder::default();
    let resource = builder.resource(&Arc::new(Resource::default()));
    builder.push_body(&noise);
    builder.field("message", &noise);
    builder.finish_record(Head {
        resource,
        stream: StreamId([0; 16]),
        position: Position { generation: 5, offset: 0 },
        time: 0,
        observed: 0,
        severity: 0,
        trace_id: None,
        span_id: None,
    });
    whole.records = builder.finish().unwrap();
    let mut encoder = Encoder::new().unwrap();
    let messages = encoder.encode(whole.clone(), 1_000_000).unwrap();
    assert_eq!((messages.len(), encoder.take_truncated()), (1, 0));
    assert_eq!(decode(&messages[0]).unwrap().records, whole.records);
}

#[test]
fn ranges_that_fill_a_message_are_shared_out() {
    let mut whole = batch(1, 1, |_| "x".into());
    let shed = |number: u64| Range {
        stream: StreamId((u128::from(number) << 64).to_be_bytes()),
        generation: number * 1_000_003,
        start: number,
        end: number * 7,
        records: 3,
        after: Position::default(),
        fate: Fate::Shed("rate_limit".into()),
    };
    whole.ranges.extend((1..2_000).map(shed));
    let messages = Encoder::new().unwrap().encode(whole.clone(), 20_000).unwrap();
    assert!(messages.len() > 2);
    let parts: Vec<Batch> = messages.iter().map(|message| decode(message).unwrap()).collect();
    let ranges: Vec<Range> = parts.iter().flat_map(|part| part.ranges.clone()).collect();
    assert_eq!(ranges, whole.ranges);
    assert_eq!(rows(&parts), whole.records);
}

#[test]
fn ranges_come_back_whatever_they_are() {
    let mut dice = Dice(3);
    for _ in 0..500 {
        let fate = |dice: &mut Dice| match dice.roll(4) {
            0 => Fate::Lost("gap".into()),
            1 => Fate::Shed("spool_budget".into()),
            _ => Fate::Kept,
        };
        let mut all: Vec<Range> = Vec::new();
        for _ in 0..dice.roll(12) {
            let number = |dice: &mut Dice| {
                if dice.roll(3) == 0 { u64::MAX - dice.roll(9) } else { dice.roll(300) }
            };
            let start = number(&mut dice);
            let mut range = Range {
                stream: StreamId([dice.roll(2) as u8; 16]),
                generation: number(&mut dice),
                start,
                end: start.saturating_add(dice.roll(1000)),
                records: number(&mut dice),
                after: Position { generation: number(&mut dice), offset: dice.roll(2) },
                fate: fate(&mut dice),
            };
            if let Some(last) = all.last().filter(|_| dice.roll(2) == 0) {
                range.after = last.end_position();
                range.generation = last.generation;
                range.start = last.end;
                range.end = last.end;
            }
            all.push(range);
        }
        let bytes = ranges::encode(&all);
        assert_eq!(ranges::decode(&bytes).unwrap(), all);
        for cut in 0..bytes.len() {
            assert!(ranges::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn what_is_not_a_message_is_refused_with_a_reason() {
    let whole = batch(1, 3, |row| row.to_string());
    let message = Encoder::new().unwrap().encode(whole, 1 << 20).unwrap().remove(0);
    let hash = message.hash();
    let good = Raw {
        key: Some(b"node-1"),
        version: Some(VERSION),
        tenant: Some(b"acme"),
        ranges: Some(&message.ranges),
        hash: Some(&hash),
        payload: &message.payload,
    };
    let mut decoder = Decoder::new().unwrap();
    decoder.decode(&good).unwrap();
    let other = ranges::encode(&[]);
    let garbage = zstd::bulk::compress(b"not arrow", 1).unwrap();
    let mut claims = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    claims.extend_from_slice(&u64::MAX.to_le_bytes());
    for (raw, word) in [
        (Raw { version: None, ..good }, "no header \"rookery\""),
        (Raw { version: Some(b"2"), ..good }, "version \"2\""),
        (Raw { tenant: Some(b"../x"), ..good }, "tenant"),
        (Raw { key: None, ..good }, "key"),
        (Raw { key: Some(b"\xff"), ..good }, "key"),
        (Raw { ranges: Some(b"\x05"), ..good }, "ranges"),
        (Raw { ranges: Some(&other), ..good }, "in no range"),
        (Raw { payload: &message.payload[1..], ..good }, "hash"),
        (Raw { payload: &garbage, hash: Some(&super::hash(&garbage)), ..good }, "columns"),
        (Raw { payload: &claims, hash: Some(&super::hash(&claims)), ..good }, "256 MiB"),
    ] {
        let error = decoder.decode(&raw).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{word}");
        assert!(error.to_string().contains(word), "{error} lacks {word}");
    }
    decoder.decode(&good).unwrap();
}
