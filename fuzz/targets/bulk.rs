//! A body of Elasticsearch's bulk API: it is records and refusals, or an error for all of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_fuzz::{message, source};
use rookery_receiver::decode::elastic_bulk;

fuzz_target!(|data: &[u8]| {
    let Ok(read) = elastic_bulk(data, &source(), message()) else { return };
    // Each item has a line of its own at least.
    let lines = data.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    assert!(read.records + read.refused <= lines.count() as u64);
});
