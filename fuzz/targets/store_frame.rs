//! Frames of the store's log: whatever the bytes are, they are a whole frame, too short, or broken; and a payload behind a right
//! checksum is a block or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_parquet::frame::{Front, HEADER_BYTES, decode, encode, front};

fuzz_target!(|data: &[u8]| {
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
