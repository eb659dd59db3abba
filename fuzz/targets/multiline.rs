//! Plain files whose lines are joined: by themselves, by a pattern, not at all; and the format told from the lines.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rookery_collector::decode::config::Pattern;
use rookery_collector::decode::{DecodeConfig, first_time};
use rookery_fuzz::{check_stream, config};

/// What a first byte below their number stands for.
const HEADS: [&str; 16] = [
    "  ",
    "\t",
    "\tat ",
    "Caused by: ",
    "Traceback (most recent call last):",
    "During handling of the above exception, another",
    "panic: ",
    "goroutine 1 [running]:",
    "thread 'main' panicked at x:",
    "note: ",
    "/a.js:1",
    "Error: ",
    "--- End of ",
    "ERROR ",
    "2026-11-21 01:02:03 WARN ",
    "main.main(",
];

static CONFIGS: LazyLock<[Arc<DecodeConfig>; 4]> = LazyLock::new(|| {
    [0, 1, 2, 3].map(|mode| {
        let mut config = config("plain");
        match mode {
            0 => {}
            1 => config.multiline.auto = false,
            2 => config.multiline.start_pattern = Pattern::new("^[A-Z]").ok(),
            _ => config.record_limit = rookery_core::units::Bytes(1 << 20),
        }
        Arc::new(config)
    })
});

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, cut], rest)) = data.split_first_chunk::<2>() else { return };
    let config = &CONFIGS[usize::from(mode) % 4];
    let mut text = Vec::new();
    for line in rest.split_inclusive(|&b| b == b'\n') {
        match line.first().and_then(|head| HEADS.get(usize::from(*head))) {
            Some(head) => {
                text.extend_from_slice(head.as_bytes());
                text.extend_from_slice(&line[1..]);
            }
            None => text.extend_from_slice(line),
        }
    }
    let _ = first_time(config, &text);
    check_stream(config, &text, usize::from(cut));
});
