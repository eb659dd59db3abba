//! What waits, for how long, and what may be acknowledged meanwhile.

use std::sync::Arc;
use std::time::Duration;

use rookery_core::Position;

use super::*;
use crate::block::tests::{STREAM, batch};

const PATIENCE: Duration = Duration::from_secs(60);

fn owned() -> Owned {
    Owned::new(1, 7, Blocks::default(), CancellationToken::new())
}

fn delivery(sequence: u64, batch: Batch) -> Delivery {
    Delivery { id: DeliveryId { partition: 1, sequence }, batch }
}

/// A batch whose range follows `after`.
fn following(generation: u64, start: u64, end: u64, after: (u64, u64)) -> Batch {
    let mut batch = batch(generation, start, end);
    batch.ranges[0].after = Position { generation: after.0, offset: after.1 };
    batch
}

/// The same records in another stream.
fn of_another_stream(mut batch: Batch) -> Batch {
    let other = StreamId([8; 16]);
    batch.ranges[0].stream = other;
    let rows = batch.records.num_rows();
    let streams = arrow_array::FixedSizeBinaryArray::try_from_iter((0..rows).map(|_| other.0));
    let mut columns = batch.records.columns().to_vec();
    let index = batch.records.schema().index_of("stream").unwrap();
    columns[index] = Arc::new(streams.unwrap());
    batch.records = arrow_array::RecordBatch::try_new(batch.records.schema(), columns).unwrap();
    batch
}

fn frontiers(end: u64, acknowledged: u64) -> [Frontier; 2] {
    let own = Frontier { partition: 1, end: 100, acknowledged: 0 };
    [own, Frontier { partition: 0, end, acknowledged }]
}

fn account(generation: u64, offset: u64) -> StreamAccount {
    let mut account = StreamAccount::new(Default::default(), STREAM, "{}".into());
    account.mark = Position { generation, offset };
    account
}

#[test]
fn an_overtaken_batch_waits_until_its_predecessor_is_stored() {
    let mut owned = owned();
    let now = Instant::now();
    let late = following(2, 0, 50, (1, 80));
    assert_eq!(owned.strangers(&late), [STREAM]);
    assert!(owned.must_wait(&late));
    owned.set_aside(delivery(0, late), now);
    let behind = batch(2, 50, 70);
    assert!(owned.must_wait(&behind), "later batches of the stream wait behind it");
    owned.set_aside(delivery(1, behind), now);

    owned.note_frontiers(&frontiers(5, 3));
    assert!(owned.take_back(&frontiers(6, 4), now, PATIENCE).is_none());
    owned.refresh(vec![account(1, 80)]);
    for sequence in [0, 1] {
        let delivery = owned.take_back(&frontiers(6, 4), now, PATIENCE).unwrap();
        assert_eq!(delivery.id.sequence, sequence);
        let added = owned.add(delivery, now, 0).unwrap();
        assert_eq!(added.gap_bytes, 0);
    }
    assert!(!owned.has_aside());
}

#[test]
fn a_hole_is_a_loss_when_all_that_was_sent_before_is_stored_or_patience_ends() {
    let now = Instant::now();
    for (acknowledged, later) in [(5, Duration::ZERO), (0, PATIENCE)] {
        let mut owned = owned();
        owned.set_aside(delivery(0, following(2, 0, 50, (1, 80))), now);
        owned.note_frontiers(&frontiers(5, 0));
        assert!(owned.take_back(&frontiers(9, 4), now, PATIENCE).is_none());
        let taken = owned.take_back(&frontiers(9, acknowledged), now + later, PATIENCE);
        assert_eq!(owned.add(taken.unwrap(), now, 0).unwrap().gap_bytes, 80);
    }
}

#[test]
fn other_streams_are_stored_and_acknowledged_only_up_to_what_waits() {
    let mut owned = owned();
    let now = Instant::now();
    owned.add(delivery(0, batch(1, 0, 10)), now, 0).unwrap();
    let late = following(3, 0, 50, (2, 80));
    assert!(owned.must_wait(&late));
    owned.set_aside(delivery(1, late), now);
    let other = of_another_stream(batch(1, 0, 10));
    assert!(!owned.must_wait(&other));
    owned.add(delivery(2, other), now, 0).unwrap();

    let writing = owned.take().unwrap();
    assert_eq!(writing.blocks.len(), 1);
    assert_eq!(writing.blocks[0].origin, Origin { partition: 1, epoch: 7, sequence: 0 });
    assert!(owned.take().is_none(), "one block at a time");
    let told = owned.stored(writing.ids);
    assert_eq!(told.iter().map(|id| id.sequence).collect::<Vec<_>>(), [0]);

    let taken = owned.take_back(&frontiers(0, 0), now + PATIENCE, PATIENCE).unwrap();
    owned.add(taken, now, 0).unwrap();
    let writing = owned.take().unwrap();
    assert_eq!(writing.blocks[0].origin.sequence, 1);
    let told = owned.stored(writing.ids);
    assert_eq!(told.iter().map(|id| id.sequence).max(), Some(2));
}
