use std::sync::Arc;

use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::time::DAY;
use rookery_core::units::Span;
use rookery_core::{Position, StreamId};

use super::*;

fn batch(records: &[(&str, i64)]) -> RecordBatch {
    let mut builder = LogBatchBuilder::default();
    for (project, time) in records {
        let resource = Resource { project: (*project).into(), ..Resource::default() };
        let resource = builder.resource(&Arc::new(resource));
        builder.push_body(project);
        builder.finish_record(Head {
            resource,
            stream: StreamId::default(),
            position: Position::default(),
            time: *time,
            observed: 0,
            severity: 0,
            trace_id: None,
            span_id: None,
        });
    }
    builder.finish().unwrap()
}

fn counts(pieces: &Pieces) -> Vec<(i32, u16, u64)> {
    pieces.iter().map(|(piece, batches)| (piece.day, piece.keep_days, rows(batches))).collect()
}

#[test]
fn a_block_is_cut_by_day_and_by_the_retention_of_its_projects() {
    let mut retention = Retention::default();
    retention.tenants.insert("default".into(), Span::seconds(7 * 24 * 3600));
    retention.projects.insert("audit".into(), Span::seconds(400 * 24 * 3600));
    retention.projects.insert("noise".into(), Span::seconds(1));
    let batches = [
        batch(&[("", 5 * DAY), ("audit", 5 * DAY + 1), ("", 6 * DAY - 1), ("noise", -1)]),
        batch(&[("x", 5 * DAY)]),
    ];
    let pieces = cut(&Tenant::default(), &batches, &retention).unwrap();
    assert_eq!(counts(&pieces), [(-1, 1, 1), (5, 7, 3), (5, 400, 1)]);
    let other = cut(&Tenant::new("other").unwrap(), &batches[1..], &retention).unwrap();
    assert_eq!(counts(&other), [(5, 30, 1)]);
}

#[test]
fn what_is_there_is_not_written_again_and_a_torn_piece_is_not_taken_for_whole() {
    let pieces = || {
        let batches = [batch(&[("", 0), ("", 0), ("", DAY)])];
        cut(&Tenant::default(), &batches, &Retention::default()).unwrap()
    };
    let there = |day, count| HashMap::from([(Piece { day, keep_days: 30 }, count)]);
    assert_eq!(counts(&missing(pieces(), &HashMap::new()).unwrap()).len(), 2);
    assert_eq!(counts(&missing(pieces(), &there(0, 2)).unwrap()), [(1, 30, 1)]);
    for wrong in [there(0, 1), there(0, 3), there(2, 1)] {
        assert_eq!(missing(pieces(), &wrong).unwrap_err().kind(), rookery_core::Kind::Corrupt);
    }
}

#[test]
fn a_stream_of_batches_reads_back() {
    let batches = [batch(&[("a", 1), ("b", 2)]), batch(&[("c", 3)])];
    let stream: Vec<u8> = encode(&batches).unwrap().concat();
    let reader = arrow_ipc::reader::StreamReader::try_new(stream.as_slice(), None).unwrap();
    let back: Vec<RecordBatch> = reader.map(|batch| batch.unwrap()).collect();
    assert_eq!(back, batches);
}
