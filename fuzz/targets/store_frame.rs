//! Frames of the store's log: whatever the bytes are, they are a whole frame, too short, or broken; and a payload behind a right
//! checksum is a block or an error.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use rookery_parquet::frame::{Front, HEADER_BYTES, decode, encode, front};

/// The decoder catches what Arrow's reader panics at, and the hook of the fuzzer ends at each. What is not caught ends it all the same.
static QUIET: Once = Once::new();

fuzz_target!(|data: &[u8]| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    if let Front::Whole { payload, .. } = front(data) {
        assert!(payload.len() + HEADER_BYTES <= data.len());
    }
    // A block without records is read without the reader of Arrow's format, and must come back as it is.
    if let Ok(frame) = decode(7, data)
        && frame.block.records.is_empty()
    {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, frame.at, &frame.block).expect("what was read can be written");
        let Front::Whole { sequence: 7, payload } = front(&bytes) else { panic!("not whole") };
        let again = decode(7, payload).expect("what was written can be read");
        assert_eq!(again.block.entries, frame.block.entries);
    }
});
