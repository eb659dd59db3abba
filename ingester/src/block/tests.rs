//! A batch that comes again, in whole or in part, adds nothing; a hole is written down.

use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};

use super::*;

pub(crate) const STREAM: StreamId = StreamId([9; 16]);

/// Records of ten bytes each, from `start` to `end` of one generation; it follows what lies before it there.
pub(crate) fn batch(generation: u64, start: u64, end: u64) -> Batch {
    let mut builder = LogBatchBuilder::default();
    let resource =
        Arc::new(Resource { source: "file".into(), path: "/a".into(), ..Resource::default() });
    for offset in (start..end).step_by(10) {
        let resource = builder.resource(&resource);
        builder.push_body("line");
        builder.finish_record(Head {
            resource,
            stream: STREAM,
            position: Position { generation, offset },
            time: 1,
            observed: 1,
            severity: 0,
            trace_id: None,
            span_id: None,
        });
    }
    let records = (end - start) / 10;
    let range = Range {
        stream: STREAM,
        generation,
        start,
        end,
        records,
        fate: Fate::Kept,
        after: Position::default(),
    };
    let records = builder.finish().unwrap();
    Batch { tenant: Tenant::default(), collector: "n".into(), records, ranges: vec![range] }
}

fn rows(blocks: &[Block]) -> usize {
    blocks.iter().map(Block::len).sum()
}

#[test]
fn what_came_again_is_dropped_row_by_row() {
    let mut blocks = Blocks::default();
    blocks.add(batch(1, 0, 100), 0).unwrap();
    let again = blocks.add(batch(1, 50, 150), 0).unwrap();
    assert_eq!((again.records, again.duplicates), (5, 5));
    blocks.add(batch(2, 0, 30), 0).unwrap();
    let taken = blocks.take();
    assert_eq!(rows(&taken), 18);

    // A restarted ingester starts from the store's accounts and drops the same.
    let accounts: Vec<StreamAccount> = blocks.accounts.values().cloned().collect();
    assert_eq!(accounts[0].tags.as_ref(), "{path=\"/a\"}");
    let mut restarted = Blocks::new(accounts, Default::default());
    assert_eq!(restarted.add(batch(1, 0, 150), 0).unwrap().records, 0);
    assert_eq!(restarted.add(batch(2, 0, 40), 0).unwrap().records, 1);
    assert_eq!(rows(&restarted.take()), 1);
}

#[test]
fn a_hole_is_a_gap_with_its_bytes() {
    let mut blocks = Blocks::default();
    blocks.add(batch(1, 0, 100), 0).unwrap();
    assert_eq!(blocks.add(batch(1, 130, 150), 0).unwrap().gap_bytes, 30);
    let taken = blocks.take();
    assert_eq!(taken[0].entries.len(), 3);
    let account = &blocks.accounts[&STREAM];
    assert!(account.is_balanced());
    assert_eq!((account.lost.bytes, account.stored.bytes), (30, 120));
}

#[test]
fn tenants_get_blocks_of_their_own() {
    let mut blocks = Blocks::default();
    blocks.add(batch(1, 0, 10), 0).unwrap();
    blocks.add(Batch { tenant: Tenant::new("b").unwrap(), ..batch(1, 0, 10) }, 0).unwrap();
    assert_eq!(blocks.take().len(), 2);
}

#[test]
fn what_is_stored_without_an_account_is_counted_and_not_stored_again() {
    let at = |offset| (STREAM, Position { generation: 1, offset });
    let unaccounted = Arc::new([at(10), at(30)].into());
    let mut blocks = Blocks::new(Vec::new(), unaccounted);
    assert_eq!(blocks.add(batch(1, 0, 50), 0).unwrap().records, 5);
    assert_eq!(rows(&blocks.take()), 3);
    assert_eq!(blocks.accounts[&STREAM].stored.records, 5);
}

#[test]
fn a_loss_without_any_record_has_the_names_of_its_stream_and_counts_once() {
    let loss = |end: u64| {
        let mut builder = LogBatchBuilder::default();
        let resource = Resource { source: "file".into(), path: "/a".into(), ..Resource::default() };
        builder.resource(&Arc::new(resource));
        let mut batch = batch(7, 0, end);
        batch.records = builder.finish().unwrap();
        batch.ranges[0].fate = Fate::Lost("expired_unread".into());
        batch
    };
    let mut blocks = Blocks::default();
    blocks.add(loss(30), 0).unwrap();
    // It comes again, and then it is more.
    blocks.add(loss(30), 0).unwrap();
    blocks.add(loss(50), 0).unwrap();
    let account = &blocks.accounts[&STREAM];
    assert_eq!(account.tags.as_ref(), "{path=\"/a\"}");
    assert_eq!((account.lost.bytes, account.stored.records), (50, 0));
    assert!(account.is_balanced());
    assert_eq!(rows(&blocks.take()), 0);
}
