//! Records in a frame of the store's log: a whole payload with some bytes changed is records of the schema or an error, and what was
//! read can be looked at to its last value.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rookery_core::batch::{Block, Origin};
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::logs::{Resource, schema};
use rookery_core::{Position, StreamId, Tenant};
use rookery_parquet::frame::{HEADER_BYTES, decode, encode};

/// The payload of a frame with a few records.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // The decoder catches what Arrow's reader panics at, and the hook of the fuzzer ends at each. What is not caught ends it all the same.
    std::panic::set_hook(Box::new(|_| {}));
    let mut builder = LogBatchBuilder::default();
    let resources: Vec<u32> = ["a", "b"]
        .iter()
        .map(|pod| {
            let labels = vec![("app".to_owned(), (*pod).to_owned())];
            let resource = Resource { pod: (*pod).into(), labels, ..Resource::default() };
            builder.resource(&Arc::new(resource))
        })
        .collect();
    for row in 0..5u64 {
        builder.push_body(&format!("GET /{row} took {} ms", row * 7));
        builder.field("status", "200");
        builder.field("row", &row.to_string());
        builder.finish_record(Head {
            resource: resources[row as usize % 2],
            stream: StreamId([row as u8 % 2; 16]),
            position: Position { generation: 1, offset: row * 100 },
            time: row as i64,
            observed: 9,
            severity: 9,
            trace_id: (row > 2).then_some("4bf92f3577b34da6a3ce929d0e0e4736"),
            span_id: None,
        });
    }
    let records = vec![builder.finish().expect("a small batch")];
    let origin = Origin { partition: 0, epoch: 1, sequence: 2 };
    let block = Block { tenant: Tenant::default(), origin, records, entries: Vec::new() };
    let mut bytes = Vec::new();
    encode(&mut bytes, 1, 0, &block).expect("records can be written");
    bytes.split_off(HEADER_BYTES)
});

fuzz_target!(|data: &[u8]| {
    let mut payload = WHOLE.clone();
    let (cut, changes) = data.split_at(data.len().min(2));
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % payload.len();
        payload[at] ^= change[2];
    }
    if let [low, high @ 0..=15] = cut {
        payload.truncate(payload.len() - usize::from(u16::from_le_bytes([*low, *high])) % 64);
    }
    let Ok(frame) = decode(1, &payload) else { return };
    for records in &frame.block.records {
        assert_eq!(records.schema(), schema());
        // Every offset, key and text is gone through.
        let _ = format!("{records:?}");
    }
});
