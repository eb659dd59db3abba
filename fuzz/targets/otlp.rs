//! OTLP's logs, in protocol buffers or as JSON: they are records, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_fuzz::{message, source};
use rookery_receiver::decode::{otlp_json, otlp_protobuf};

fuzz_target!(|data: &[u8]| {
    let read = match data.first() {
        Some(b'{') => otlp_json(data, &source(), message()),
        _ => otlp_protobuf(data, &source(), message()),
    };
    let Ok(read) = read else { return };
    let rows = read.batches.iter().map(|batch| batch.records.num_rows() as u64);
    assert_eq!(rows.sum::<u64>(), read.records);
});
