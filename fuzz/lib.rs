//! What the targets share: the promises of the decoders, as checks.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use rookery_collector::decode::{DecodeConfig, DecodeStats, StreamDecoder};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::LogBatchBuilder;
use rookery_core::units::Bytes;
use rookery_core::{StreamId, time};

/// When everything is read: 2026-11-21T12:00:00Z.
pub const NOW: i64 = 1_795_262_400 * time::SECOND;

/// A configuration of that format whose limits are small enough to be met.
pub fn config(format: &str) -> DecodeConfig {
    let text = format!(
        r#"{{"format":"{format}","time":{{"zone":"UTC"}},"fields_limit":8,
        "multiline":{{"max_lines":6,"max_bytes":200}}}}"#
    );
    let mut config: DecodeConfig =
        serde_json::from_str(&text).expect("the configuration is one that a person could write");
    config.record_limit = Bytes(64);
    config
}

fn decoder(config: &Arc<DecodeConfig>) -> StreamDecoder {
    StreamDecoder::new(config.clone(), Arc::new(Resource::default()), StreamId([1; 16]))
}

/// Decodes a file whole, in two chunks, and by two processes of which the first died; all must give the same records,
/// in the order of their starts, and every line must be answered for.
pub fn check_stream(config: &Arc<DecodeConfig>, text: &[u8], cut: usize) {
    let lines = text.split_inclusive(|&b| b == b'\n').count();
    let nth = if lines == 0 { 0 } else { cut % (lines + 1) };
    let cut: usize = text.split_inclusive(|&b| b == b'\n').take(nth).map(<[u8]>::len).sum();

    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    let mut whole = decoder(config);
    whole.push(7, 0, text, NOW, &mut out, &mut stats);
    whole.flush(NOW, &mut out, &mut stats, true);
    assert_eq!(whole.pending(), None);
    assert_eq!(stats.lines, lines as u64);
    assert!(stats.records <= stats.lines);
    assert_eq!(stats.records, out.len() as u64);
    let expected = out.finish().expect("a small batch");
    let offsets = expected
        .column_by_name("offset")
        .expect("a column of the schema")
        .as_primitive::<UInt64Type>();
    assert!(offsets.values().is_sorted_by(|a, b| a < b), "records are out of order");

    // In two chunks.
    let mut first = decoder(config);
    let mut joined = LogBatchBuilder::default();
    first.push(7, 0, &text[..cut], NOW, &mut joined, &mut stats);
    let sent = joined.len();
    let from = first.pending().map_or(cut, |p| p.offset as usize);
    let last_time = first.last_time();
    first.push(7, cut as u64, &text[cut..], NOW, &mut joined, &mut stats);
    first.flush(NOW, &mut joined, &mut stats, true);
    let got = joined.finish().expect("a small batch");
    assert_eq!(got, expected, "in two chunks");

    // By two processes.
    let mut first = decoder(config);
    first.push(7, 0, &text[..cut], NOW, &mut joined, &mut stats);
    assert_eq!(joined.len(), sent);
    let mut second = decoder(config);
    if let Some(time) = last_time {
        second.resume(time);
    }
    second.push(7, from as u64, &text[from..], NOW, &mut joined, &mut stats);
    second.flush(NOW, &mut joined, &mut stats, true);
    let got = joined.finish().expect("a small batch");
    assert_eq!(got.num_rows(), expected.num_rows(), "by two processes");
    for name in ["offset", "body", "severity"] {
        assert_eq!(got.column_by_name(name), expected.column_by_name(name), "by two processes");
    }
}

/// Where what a receiver's decoder is given comes from.
pub fn source() -> rookery_receiver::decode::Source {
    rookery_receiver::decode::Source {
        tenant: Default::default(),
        collector: "fuzz".into(),
        identity: vec!["topic".into(), "fuzz".into()],
        line_limit: Bytes::mib(1),
    }
}

/// Which message it is.
pub fn message() -> rookery_receiver::decode::Message {
    rookery_receiver::decode::Message { generation: 7, time: NOW }
}
