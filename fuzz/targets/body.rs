//! Bodies: JSON, logfmt, klog, syslog, access logs. What another reader takes for an object of JSON, ours must, too, and
//! with the same texts in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_collector::decode::body::{BodyOptions, BodyScratch, decode_body};
use rookery_collector::decode::config::ParseConfig;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::{Position, StreamId};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let body = String::from_utf8_lossy(data);
    let fields = fields_of(&body);
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(&body) else { return };
    for (name, value) in object {
        let Value::String(value) = value else { continue };
        // Names that ours may take for something else, or drop, are no field; of a name that is there twice, one is.
        let special = name.len() <= 24 || name.len() > 128 || value.is_empty();
        if special || body.matches(&name).count() != 1 {
            continue;
        }
        assert!(fields.contains(&(name.clone(), value.clone())), "{name} of {body}");
    }
});

fn fields_of(body: &str) -> Vec<(String, String)> {
    let config = ParseConfig::default();
    let mut out = LogBatchBuilder::default();
    let options = BodyOptions::new(&config, 1_000_000);
    let facts = decode_body(body, options, &mut BodyScratch::default(), &mut out);
    assert!(facts.severity <= 24);
    assert!(facts.trace_id().is_none_or(|id| id.len() == 32));
    let resource = out.resource(&Default::default());
    out.finish_record(Head {
        resource,
        stream: StreamId::default(),
        position: Position::default(),
        time: 0,
        observed: 0,
        severity: facts.severity,
        trace_id: facts.trace_id(),
        span_id: facts.span_id(),
    });
    let batch = out.finish().expect("a small batch");
    let fields = batch.column_by_name("fields").expect("a column of the schema").as_map();
    let keys = fields.keys().as_dictionary::<UInt16Type>();
    let names = keys.values().as_string::<i32>();
    let values = fields.values().as_string::<i32>();
    (0..values.len())
        .map(|i| (names.value(keys.key(i).expect("a key")).into(), values.value(i).into()))
        .collect()
}
