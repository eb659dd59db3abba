//! The store's manifest, index and accounts, with and without their checksums: never a panic, never memory in proportion to a number
//! that somebody made up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_parquet::formats;

fuzz_target!(|data: &[u8]| {
    let Some((kind, content)) = data.split_first() else { return };
    let counted = match kind % 6 {
        0 => formats::manifest(content),
        1 => formats::manifest_content(content),
        2 => formats::index(content),
        3 => formats::index_content(content, 1 << 20),
        4 => formats::accounts(content),
        _ => formats::accounts_content(content),
    };
    // Each thing that was read took at least one byte.
    assert!(counted.unwrap_or(0) <= content.len());
});
