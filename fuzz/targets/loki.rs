//! Loki's push in protocol buffers: it is records, or an error; what is read twice is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_fuzz::{message, source};
use rookery_receiver::decode::loki_protobuf;

fuzz_target!(|data: &[u8]| {
    let read = || loki_protobuf(data, &source(), message()).ok();
    let (first, again) = (read(), read());
    assert_eq!(first.as_ref().map(|d| d.records), again.as_ref().map(|d| d.records));
    let rows = first.iter().flat_map(|d| &d.batches).map(|batch| batch.records.num_rows() as u64);
    assert_eq!(rows.sum::<u64>(), first.map_or(0, |d| d.records));
});
