use arrow_array::RecordBatch;
use rookery_core::Tenant;

use super::*;

fn buffer(numbers: &[u32]) -> Arc<Buffer> {
    let buffer = Arc::new(Buffer::new(Arc::default()));
    assign(&buffer, numbers);
    buffer
}

fn assign(buffer: &Buffer, numbers: &[u32]) {
    let place = |number: &u32| {
        let partition = *number as i32;
        let place = Place { number: *number, topic: "t".into(), partition, topic_id: "id".into() };
        (place, None)
    };
    buffer.assign(numbers.iter().map(place).collect());
}

fn push(buffer: &Buffer, partition: u32, sequence: u64) {
    let records = RecordBatch::new_empty(rookery_core::logs::schema());
    let batch =
        Batch { tenant: Tenant::default(), collector: "n".into(), records, ranges: Vec::new() };
    buffer.push(DeliveryId { partition, sequence }, 1, batch);
}

fn take(buffer: &Buffer) -> String {
    match buffer.take().unwrap() {
        None => "nothing".into(),
        Some(Event::Delivered(delivery)) => {
            format!("{}:{}", delivery.id.partition, delivery.id.sequence)
        }
        Some(other) => format!("{other:?}"),
    }
}

fn commits(buffer: &Buffer, ids: &[(u32, u64)]) -> Vec<(u32, u64)> {
    let ids: Vec<_> = ids
        .iter()
        .map(|(partition, sequence)| DeliveryId { partition: *partition, sequence: *sequence })
        .collect();
    let commits = buffer.acknowledge(&ids);
    buffer.committed(&commits);
    commits.iter().map(|commit| (commit.place.number, commit.offset)).collect()
}

#[test]
fn an_acknowledgement_never_passes_over_what_waits() {
    let buffer = buffer(&[0, 1]);
    take(&buffer);
    for sequence in [3, 4, 9] {
        push(&buffer, 0, sequence);
    }
    push(&buffer, 1, 0);
    assert_eq!(commits(&buffer, &[(0, 3)]), [(0, 4)]);
    assert_eq!(commits(&buffer, &[]), []);
    // Offsets may have holes; what is committed is the next that waits, or the first that did not come.
    assert_eq!(commits(&buffer, &[(0, 4)]), [(0, 9)]);
    assert_eq!(commits(&buffer, &[(0, 9), (1, 0)]), [(0, 10), (1, 1)]);
}

#[test]
fn a_dead_letter_is_passed_over_only_when_nothing_before_it_waits() {
    let buffer = buffer(&[0]);
    take(&buffer);
    push(&buffer, 0, 0);
    assert!(buffer.pass(DeliveryId { partition: 0, sequence: 1 }, 1).is_none());
    push(&buffer, 0, 2);
    assert_eq!(commits(&buffer, &[(0, 0)]), [(0, 2)]);
    assert_eq!(commits(&buffer, &[(0, 2)]), [(0, 3)]);
    let commit = buffer.pass(DeliveryId { partition: 0, sequence: 3 }, 1).unwrap();
    assert_eq!(commit.offset, 4);
}

#[test]
fn a_revocation_takes_out_what_waits_and_waits_for_the_next_call() {
    let buffer = buffer(&[0, 1]);
    assert_eq!(take(&buffer), "Assigned([0, 1])");
    push(&buffer, 0, 0);
    push(&buffer, 1, 0);
    assert!(!buffer.revoke(&[1], Duration::from_millis(1)), "nobody answers");
    let (revoking, waits) = (buffer.clone(), Duration::from_secs(60));
    let revoked = std::thread::spawn(move || revoking.revoke(&[0], waits));
    let mut said = Vec::new();
    while said.len() < 2 {
        buffer.answer();
        match take(&buffer).as_str() {
            "nothing" | "0:0" => std::thread::yield_now(),
            text => said.push(text.to_owned()),
        }
    }
    said.sort();
    assert_eq!(said, ["Revoked([0])", "Revoked([1])"]);
    buffer.answer();
    assert!(revoked.join().unwrap());
    assert_eq!(take(&buffer), "nothing");
    // What was taken out was never delivered: an acknowledgement must not pass over it.
    assert_eq!(commits(&buffer, &[]), []);
}

#[test]
fn a_partition_that_goes_before_it_was_announced_is_never_announced() {
    let buffer = buffer(&[0, 1]);
    assert!(buffer.revoke(&[0, 1], Duration::from_secs(60)), "nobody need be asked");
    buffer.remove(&[0, 1]);
    assert_eq!(take(&buffer), "nothing");
}

#[test]
fn what_is_lost_is_not_acknowledged_any_more() {
    let buffer = buffer(&[0]);
    assert_eq!(take(&buffer), "Assigned([0])");
    push(&buffer, 0, 0);
    assert_eq!(take(&buffer), "0:0");
    push(&buffer, 0, 1);
    buffer.lose(&[0]);
    assert_eq!(take(&buffer), "Lost([0])");
    assert_eq!(take(&buffer), "nothing");
    assert_eq!(commits(&buffer, &[(0, 0)]), []);
    assert_eq!(buffer.load().0, 0);
}

#[test]
fn an_acknowledgement_from_before_a_loss_is_not_taken_for_the_same_number_after_it() {
    let buffer = buffer(&[0]);
    assert_eq!(take(&buffer), "Assigned([0])");
    push(&buffer, 0, 1000);
    assert_eq!(take(&buffer), "0:1000");
    // The broker lost its log: offsets start again, before the ingester has heard of it.
    buffer.lose(&[0]);
    assign(&buffer, &[0]);
    push(&buffer, 0, 0);
    push(&buffer, 0, 1);
    assert_eq!(commits(&buffer, &[(0, 1000)]), []);
    let said = [take(&buffer), take(&buffer), take(&buffer)];
    assert_eq!(said, ["Lost([0])", "Assigned([0])", "0:0"]);
    assert_eq!(commits(&buffer, &[(0, 0)]), [(0, 1)]);
}

#[test]
fn a_held_partition_stays_in_the_buffer_and_does_not_count() {
    let buffer = buffer(&[0, 1]);
    take(&buffer);
    push(&buffer, 0, 0);
    push(&buffer, 1, 0);
    push(&buffer, 0, 1);
    let all = buffer.load().0;
    buffer.hold(0, true);
    assert_eq!(buffer.load().0, all / 3);
    assert_eq!((take(&buffer).as_str(), take(&buffer).as_str()), ("1:0", "nothing"));
    buffer.hold(0, false);
    assert_eq!((take(&buffer).as_str(), take(&buffer).as_str()), ("0:0", "0:1"));
}

#[test]
fn offsets_that_start_again_and_topics_made_anew_are_told_from_the_next_message() {
    let buffer = buffer(&[0]);
    assert_eq!(buffer.expects(0, "id", 7), Offered::Taken);
    push(&buffer, 0, 7);
    assert_eq!(buffer.expects(0, "id", 8), Offered::Taken);
    assert_eq!(buffer.expects(0, "id", 7), Offered::Rewound);
    assert_eq!(buffer.expects(0, "other", 8), Offered::Gone);
    assert_eq!(buffer.expects(1, "id", 0), Offered::Gone);
}
