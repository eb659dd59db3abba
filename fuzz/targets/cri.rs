//! Logs of the container runtime: bytes as they are, and lines whose heads are in the format.
#![no_main]

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rookery_collector::decode::DecodeConfig;
use rookery_fuzz::{check_stream, config};

static CONFIG: LazyLock<Arc<DecodeConfig>> = LazyLock::new(|| Arc::new(config("cri")));

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, cut], rest)) = data.split_first_chunk::<2>() else { return };
    if mode & 1 == 0 {
        return check_stream(&CONFIG, rest, usize::from(cut));
    }
    // The first byte of each line chooses the head, the others are the message.
    let mut text = Vec::new();
    let mut time = 1_795_226_523_000_000_000i64;
    for line in rest.split(|&b| b == b'\n') {
        let Some((&head, message)) = line.split_first() else { continue };
        time +=
            [1_000, 1_000_000, 250_000_000, 400_000_000, 6_000_000_000][usize::from(head >> 2) % 5];
        let output = if head & 1 == 0 { "stdout" } else { "stderr" };
        let tag = if head & 2 == 0 { "F" } else { "P" };
        let mut line = String::new();
        let _ = write!(line, "{} {output} {tag} ", rookery_core::time::rfc3339(time));
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(message);
        text.push(b'\n');
    }
    check_stream(&CONFIG, &text, usize::from(cut));
});
