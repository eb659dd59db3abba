//! Records for the tests of this crate.

use std::sync::Arc;

use arrow_array::RecordBatch;
use rookery_core::batch::{Block, Entry, Fate, Origin, Range};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::{Position, StreamId, Tenant, time};

/// A resource of pod `name`.
pub(crate) fn pod(name: &str) -> Arc<Resource> {
    Arc::new(Resource {
        source: "container".into(),
        namespace: "shop".into(),
        pod: name.into(),
        container: "main".into(),
        labels: vec![("app".into(), name.into())],
        ..Resource::default()
    })
}

/// The stream of a pod.
pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::of(&Tenant::default(), &[name])
}

/// `rows` records of pods `a` and `b` by turns, from `first` on: record n has offset 10 n and was printed in second n of 2026-01-01.
pub(crate) fn records(rows: u64, first: u64) -> RecordBatch {
    let start = time::days_from_civil(2026, 1, 1) * time::DAY;
    let mut builder = LogBatchBuilder::default();
    let pods = [pod("a"), pod("b")];
    for n in first..first + rows {
        let name = if n % 2 == 0 { "a" } else { "b" };
        let resource = builder.resource(&pods[(n % 2) as usize]);
        builder.push_body(&format!("request {n} took {} ms id{n}x", n % 97));
        builder.field("status", if n % 10 == 0 { "500" } else { "200" });
        builder.field("user.name", &format!("user{}", n % 5));
        if n % 3 == 0 {
            builder.field("level", "Warning");
        }
        builder.finish_record(Head {
            resource,
            stream: stream(name),
            position: Position { generation: 1, offset: n * 10 },
            time: start + n as i64 * time::SECOND,
            observed: start + n as i64 * time::SECOND + 5,
            severity: if n % 10 == 0 { 17 } else { 9 },
            trace_id: (n % 7 == 0).then_some("4bf92f3577b34da6a3ce929d0e0e4736"),
            span_id: None,
        });
    }
    builder.finish().unwrap()
}

/// A block of [`records`], with its account.
pub(crate) fn block(rows: u64, first: u64) -> Block {
    block_of(Tenant::default(), rows, first)
}

/// A block of a tenant.
pub(crate) fn block_of(tenant: Tenant, rows: u64, first: u64) -> Block {
    let entry = |name: &str| Entry {
        range: Range {
            stream: stream(name),
            generation: 1,
            start: first * 10,
            end: (first + rows) * 10,
            records: rows / 2,
            fate: Fate::Kept,
            after: Position::default(),
        },
        duplicates: 0,
        duplicate_bytes: 0,
        tags: pod(name).stream_tags().into(),
    };
    let entries = vec![entry("a"), entry("b")];
    Block { tenant, origin: Origin::default(), records: vec![records(rows, first)], entries }
}

/// Records of pod `x` with odd fields: more names than a part has columns, a field with the name of a built-in one, one that is a number
/// only sometimes, a time, empty ones, and text that is not ASCII.
pub(crate) fn odd_block(rows: u64, first: u64) -> Block {
    let start = time::days_from_civil(2026, 1, 1) * time::DAY;
    let mut builder = LogBatchBuilder::default();
    let pod = pod("x");
    for n in first..first + rows {
        let resource = builder.resource(&pod);
        let at = time::rfc3339(start + n as i64 * 77_000_000);
        builder.push_body(&format!("größe {n} of odd{} at {at}", n % 11));
        builder.field("at", &at);
        builder.field("odd", &format!("v{}", n % 11));
        builder.field(&format!("many{}", n % 300), &format!("v{}", n % 13));
        builder.field("mixed", &if n % 4 == 0 { "v7".to_owned() } else { (n % 700).to_string() });
        if n % 5 == 0 {
            builder.field("fields.pod.but.not", "500");
            builder.field("blank", "");
        }
        builder.finish_record(Head {
            resource,
            stream: stream("x"),
            position: Position { generation: 3, offset: n * 10 },
            time: start + n as i64 * time::SECOND,
            observed: start,
            severity: 0,
            trace_id: None,
            span_id: None,
        });
    }
    let records = builder.finish().unwrap();
    let range = Range {
        stream: stream("x"),
        generation: 3,
        start: first * 10,
        end: (first + rows) * 10,
        records: rows,
        fate: Fate::Kept,
        after: Position::default(),
    };
    let tags = pod.stream_tags().into();
    let entries = vec![Entry { range, duplicates: 0, duplicate_bytes: 0, tags }];
    Block { tenant: Tenant::default(), origin: Origin::default(), records: vec![records], entries }
}
