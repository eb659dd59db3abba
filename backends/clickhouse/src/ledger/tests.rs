use rookery_core::batch::{Entry, Origin};

use super::*;

fn entry(start: u64, end: u64, fate: Fate) -> Entry {
    let stream = StreamId([1; 16]);
    let range =
        Range { stream, generation: 1, start, end, records: 2, after: Position::default(), fate };
    Entry { range, duplicates: 1, duplicate_bytes: 5, tags: "{}".into() }
}

#[test]
fn a_block_adds_one_row_a_stream_and_one_event_for_each_loss() {
    let block = Block {
        tenant: Tenant::default(),
        origin: Origin::default(),
        records: Vec::new(),
        entries: vec![
            entry(10, 10, Fate::Lost("nothing".into())),
            entry(10, 30, Fate::Lost("gap".into())),
            entry(30, 70, Fate::Kept),
        ],
    };
    let accounts = added(&block, 7);
    let rows = rows(&accounts).unwrap();
    assert_eq!(rows.num_rows(), 1);
    let answer = Answer(&rows);
    let number = |name: &str| answer.numbers(name).unwrap()[0];
    assert_eq!((number("generation"), number("offset")), (1, 70));
    assert_eq!((number("stored_bytes"), number("lost_bytes")), (40, 20));
    assert_eq!((number("covered_bytes"), number("duplicate_records")), (60, 3));
    let events = event_rows(&accounts).unwrap().unwrap();
    assert_eq!(events.num_rows(), 1, "an empty range is no event");
    assert_eq!(Answer(&events).texts("reason").unwrap().value(0), "gap");
}
