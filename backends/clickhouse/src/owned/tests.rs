use rookery_core::batch::{Fate, Range};

use super::*;

fn entry(stream: u8, end: u64) -> Entry {
    let range = Range {
        stream: StreamId([stream; 16]),
        generation: 1,
        start: 0,
        end,
        records: 1,
        after: Position::default(),
        fate: Fate::Kept,
    };
    Entry { range, duplicates: 0, duplicate_bytes: 0, tags: "{}".into() }
}

fn origin(sequence: u32) -> Origin {
    Origin { partition: 3, epoch: 7, sequence }
}

fn owned(found: &[(StreamId, Position)]) -> Owned {
    let mut owned = Owned::default();
    owned.claim(3, 7, 5, found);
    owned
}

#[test]
fn a_block_under_way_holds_back_what_is_settled() {
    let mut owned = owned(&[]);
    for sequence in 0..3 {
        assert!(!owned.begin(origin(sequence)).unwrap());
    }
    assert_eq!(owned.settled_with(origin(1), &[]).unwrap(), block(7, 0));
    owned.committed(origin(1), &[]);
    assert_eq!(owned.settled_with(origin(0), &[]).unwrap(), block(7, 2));
    owned.committed(origin(0), &[]);
    assert_eq!(owned.settled_with(origin(2), &[]).unwrap(), block(7, 3));
    assert!(owned.begin(origin(1)).unwrap(), "a try after one that may have left something");
}

#[test]
fn records_without_an_account_hold_it_back_until_entries_reach_beyond_them() {
    let stream = |number: u8| StreamId([number; 16]);
    let at = |offset| Position { generation: 1, offset };
    let mut owned = owned(&[(stream(1), at(10)), (stream(1), at(20)), (stream(2), at(0))]);
    owned.begin(origin(0)).unwrap();
    let first = [entry(1, 20), entry(2, 10)];
    assert_eq!(owned.settled_with(origin(0), &first).unwrap(), 5);
    owned.committed(origin(0), &first);
    owned.begin(origin(1)).unwrap();
    assert_eq!(owned.settled_with(origin(1), &[entry(1, 21)]).unwrap(), block(7, 2));
}

#[test]
fn a_block_of_another_claim_is_refused() {
    let mut owned = owned(&[]);
    owned.claim(3, 8, 5, &[]);
    let kind = |result: Result<bool>| result.unwrap_err().kind();
    assert_eq!(kind(owned.begin(origin(0))), rookery_core::Kind::Conflict);
    assert_eq!(
        kind(owned.begin(Origin { partition: 4, epoch: 8, sequence: 0 })),
        rookery_core::Kind::Conflict
    );
}
