//! Messages of Kafka: whatever key, headers and payload are, there is a batch that keeps what a batch promises, or an error; and ranges that were read come
//! back as they were.
//!
//! The payload's columns are read by Arrow, whose panics the decoder catches and a fuzzer does not: so the payload is the right one, or not what its hash says.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rookery_core::Tenant;
use rookery_core::batch::Batch;
use rookery_core::logs::builder::LogBatchBuilder;
use rookery_kafka::message::{Decoder, Encoder, Message, Raw, VERSION, ranges};

static EMPTY: LazyLock<Message> = LazyLock::new(|| {
    let batch = Batch {
        tenant: Tenant::default(),
        collector: "node".into(),
        records: LogBatchBuilder::default().finish().expect("an empty batch is small"),
        ranges: Vec::new(),
    };
    let messages = Encoder::new().and_then(|mut e| e.encode(batch, 1 << 20));
    messages.expect("an empty batch is a message").remove(0)
});

/// Key, tenant, ranges, and the payload when it is not the right one.
type Parts<'a> = (&'a [u8], &'a [u8], &'a [u8], Option<&'a [u8]>);

fuzz_target!(|data: Parts<'_>| {
    let (key, tenant, header, payload) = data;
    if let Ok(read) = ranges::decode(header) {
        let again = ranges::decode(&ranges::encode(&read)).expect("what was read can be written");
        assert_eq!(again, read);
    }
    let hash = EMPTY.hash();
    let raw = Raw {
        key: Some(key),
        version: Some(VERSION),
        tenant: Some(tenant),
        ranges: Some(header),
        hash: Some(&hash),
        payload: payload.unwrap_or(&EMPTY.payload),
    };
    let mut decoder = Decoder::new().expect("there is memory for a decoder");
    if let Ok(batch) = decoder.decode(&raw) {
        batch.check().expect("what is delivered was checked");
        assert_eq!(batch.records.num_rows(), 0);
    }
});
