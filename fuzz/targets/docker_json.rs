//! Docker's logs: bytes as they are, and lines that are objects around any message.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rookery_collector::decode::DecodeConfig;
use rookery_fuzz::{check_stream, config};

static CONFIG: LazyLock<Arc<DecodeConfig>> = LazyLock::new(|| Arc::new(config("docker")));

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, cut], rest)) = data.split_first_chunk::<2>() else { return };
    if mode & 1 == 0 {
        return check_stream(&CONFIG, rest, usize::from(cut));
    }
    let mut text = String::new();
    for (number, line) in rest.split(|&b| b == b'\n').enumerate() {
        let Some((&head, message)) = line.split_first() else { continue };
        let mut message = String::from_utf8_lossy(message).into_owned();
        if head & 2 == 0 {
            message.push('\n');
        }
        let object = serde_json::json!({
            "log": message,
            "stream": if head & 1 == 0 { "stdout" } else { "stderr" },
            "time": format!("2026-11-21T01:02:03.{:09}Z", number * 1_000),
        });
        text += &object.to_string();
        text.push('\n');
    }
    check_stream(&CONFIG, text.as_bytes(), usize::from(cut));
});
