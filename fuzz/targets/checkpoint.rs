//! The collector's checkpoint: any bytes, and any body below a header that vouches for it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_collector::check_checkpoint;
use xxhash_rust::xxh3::xxh3_64;

fuzz_target!(|data: &[u8]| {
    let _ = check_checkpoint(data);
    let mut sealed =
        format!("rookery-collector-checkpoint 1 {:016x}\n", xxh3_64(data)).into_bytes();
    sealed.extend_from_slice(data);
    let is_accepted = check_checkpoint(&sealed).is_ok();
    // What was vouched for is not accepted once it is torn.
    sealed.pop();
    assert!(data.is_empty() || !is_accepted || check_checkpoint(&sealed).is_err());
});
