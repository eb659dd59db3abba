use super::*;

fn part(id: u64, day: i64, mib: u64) -> PartInfo {
    PartInfo {
        id,
        tenant: Tenant::default(),
        day,
        rows: 1,
        data_bytes: mib << 20,
        index_bytes: 0,
        min_time: day * DAY,
        max_time: day * DAY,
        level: 0,
    }
}

fn ids(parts: Option<Vec<PartInfo>>) -> Vec<u64> {
    parts.into_iter().flatten().map(|part| part.id).collect()
}

#[test]
fn parts_of_one_size_and_one_day_are_merged_when_there_are_enough() {
    let now = 10 * DAY + DAY / 2;
    let mut parts: Vec<PartInfo> = (0..7).map(|id| part(id, 10, 4)).collect();
    parts.push(part(7, 10, 200));
    parts.push(part(8, 9, 4));
    assert_eq!(ids(choose(&parts, 8, 1 << 30, now)), [0u64; 0]);
    parts.push(part(9, 10, 5));
    assert_eq!(ids(choose(&parts, 8, 1 << 30, now)), [0, 1, 2, 3, 4, 5, 6, 9]);
    assert_eq!(ids(choose(&parts, 8, 20 << 20, now)), [0u64; 0], "too large together");
}

#[test]
fn a_day_that_is_over_becomes_as_few_parts_as_may_be() {
    let parts = vec![part(1, 10, 4), part(2, 10, 300), part(3, 9, 1)];
    let over = 11 * DAY + DAY_REST + 1;
    assert_eq!(ids(choose(&parts, 8, 1 << 30, over - 1)), [0u64; 0]);
    assert_eq!(ids(choose(&parts, 8, 1 << 30, over)), [1, 2]);
    assert_eq!(ids(choose(&parts, 8, 301 << 20, over)), [0u64; 0]);
}

#[test]
fn a_field_takes_the_kind_that_holds_all_of_its_values() {
    use FieldKind::{Dictionary, Int, Text, Time};
    for (a, b, both) in [
        (Int, Int, Int),
        (Time, Time, Time),
        (Time, Int, Text),
        (Time, Dictionary, Text),
        (Int, Dictionary, Dictionary),
        (Text, Int, Text),
        (Dictionary, Text, Text),
    ] {
        assert_eq!((wider(a, b), wider(b, a)), (both, both));
    }
}
