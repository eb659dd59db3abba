//! Messages of syslog: the bytes of the records are never more than what came, and every range ends where its records do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_core::batch::Range;
use rookery_core::zone::Zone;
use rookery_fuzz::{message, source};
use rookery_receiver::decode::syslog;

fuzz_target!(|data: &[u8]| {
    let zone = Zone::new("+02:00").expect("it is a zone");
    let read = syslog(data, &zone, &source(), message()).expect("a small body");
    let ranges = read.batches.iter().flat_map(|batch| &batch.ranges);
    let covered: u64 = ranges.map(Range::bytes).sum();
    assert!(covered <= data.len() as u64, "{covered}");
});
