use rookery_core::units::Span;

use crate::tests::{Bench, Seen};
use crate::{ReceiverConfig, Start, next_generation};
use rookery_core::Position;

const LINES: &str = "{\"_msg\":\"x\",\"a\":\"1\"}\n{\"_msg\":\"y\",\"a\":\"2\"}\n";

async fn push(bench: &Bench, lines: &'static str) -> Vec<Seen> {
    let before = bench.seen().len();
    let answer = bench.post("/insert/jsonline?_stream_fields=a", &[], lines).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    bench.seen().split_off(before)
}

#[tokio::test]
async fn a_stream_whose_mark_is_ahead_goes_on_from_it() {
    let before = push(&Bench::new(), LINES).await;
    // The first stream has a mark of a time to come, the second one of the past.
    let mark = |generation| Position { generation, offset: 500 };
    let marks = vec![(before[0].stream, mark(u64::MAX - 1)), (before[1].stream, mark(5))];
    let start = Start { marks, after: 0 };
    // It is not forgotten either: it would begin anew below its mark.
    let config =
        ReceiverConfig { streams_limit: 2, streams_idle: Span::millis(0), ..Default::default() };
    let bench = Bench::with(config, start);
    let after = push(&bench, LINES).await;
    assert_eq!(after[0].position, mark(u64::MAX - 1));
    assert_eq!(after[1].position.offset, 0);
    assert!(after[1].position.generation > before[1].position.generation);
    push(&bench, "{\"a\":\"3\"}").await;
    let again = push(&bench, "{\"_msg\":\"x\",\"a\":\"1\"}").await;
    assert_eq!(again[0].position.generation, u64::MAX - 1);
    assert!(again[0].position.offset > 500);
}

#[tokio::test]
async fn a_stream_that_was_forgotten_comes_back_above_where_it_was() {
    let config =
        ReceiverConfig { streams_limit: 1, streams_idle: Span::millis(0), ..Default::default() };
    let bench = Bench::with(config, Start { marks: Vec::new(), after: u64::MAX / 2 });
    let first = push(&bench, "{\"a\":\"1\"}").await;
    assert_eq!(push(&bench, "{\"a\":\"2\"}").await.len(), 1, "the silent one makes room");
    // The next sweep would be later, so a fresh process that starts where this one ended stands for it.
    let after = first[0].position.generation;
    let back =
        push(&Bench::with(Default::default(), Start { marks: Vec::new(), after }), "{\"a\":\"1\"}")
            .await;
    assert_eq!(first[0].stream, back[0].stream);
    assert!(back[0].position > first[0].position, "also when the clock stands before both");
}

#[tokio::test]
async fn streams_of_two_processes_are_two() {
    let named = |name: &str| ReceiverConfig { name: Some(name.into()), ..Default::default() };
    let one = push(&Bench::with(named("one"), Start::default()), "{\"a\":\"1\"}").await;
    let two = push(&Bench::with(named("two"), Start::default()), "{\"a\":\"1\"}").await;
    assert_ne!(one[0].stream, two[0].stream);
    assert_eq!(one[0].tags, two[0].tags);
}

#[test]
fn generations_of_a_process_grow_whatever_the_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("generation");
    let first = next_generation(&file).unwrap();
    assert!(next_generation(&file).unwrap() > first);
    std::fs::write(&file, (u64::MAX / 2).to_string()).unwrap();
    assert_eq!(next_generation(&file).unwrap(), u64::MAX / 2 + 1);
    std::fs::write(&file, "x").unwrap();
    assert!(next_generation(&file).is_err());
}
