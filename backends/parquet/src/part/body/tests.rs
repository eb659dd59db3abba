use arrow_array::types::TimestampNanosecondType;
use arrow_array::{RecordBatch, TimestampNanosecondArray};
use arrow_schema::Schema;
use rookery_core::filter::{Pattern, Test};
use rookery_core::rows::Column;

use super::columns::BodyBuilder;
use super::cut::{Cutter, Record};
use super::rebuild::Rebuilder;
use super::search::{BodyTest, Verdict};
use super::template::{Slot, Template};
use super::*;
use crate::part::words::WordSet;

const TIME: i64 = 1_795_000_000_123_456_789;

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

fn template_of(body: &str, fields: &[(&str, &str)]) -> String {
    let names = fields.iter().map(|(name, _)| (*name, true));
    let mut cutter = Cutter::new(names, BodyPlan::MOST);
    let values: Vec<(usize, &str)> =
        fields.iter().enumerate().map(|(index, (_, value))| (index, *value)).collect();
    let record = Record { time: TIME, trace_id: None, span_id: None, fields: &values };
    assert!(cutter.cut(body, &record), "{body:?}");
    let text = String::from_utf8(cutter.pieces.template.clone()).unwrap();
    text.replace('\u{2}', "<").replace('\u{3}', ">").replace('\u{1f}', "|")
}

#[test]
fn a_body_is_cut_into_what_stays_and_what_differs() {
    for (body, fields, template) in [
        ("", &[][..], ""),
        ("no numbers here", &[], "no numbers here"),
        ("took 12 ms, try 3", &[], "took <body.n0> ms, try <body.n1>"),
        ("node-05 up", &[], "node-<body.n0|02> up"),
        ("at 1.250 s", &[], "at <body.n0>.<body.n1|03> s"),
        ("from 10.0.3.7:443", &[], "from <body.a0|a>:<body.n0>"),
        ("at 010.1.2.3", &[], "at <body.n0|03>.<body.n1|01>.<body.n2|01>.<body.n3|01>"),
        ("10:17:05.123 UTC", &[], "<body.d0|h.3> UTC"),
        ("10:17:05,123 x", &[], "<body.d0|h,3> x"),
        ("at 2026-11-21T10:17:05Z.", &[], "at <body.d0|z>."),
        ("at 2026-11-21 10:17:05", &[], "at 2026-11-21 <body.d0|h>"),
        ("[21/Nov/2026:10:17:05 +0000]", &[], "[21/Nov/2026:<body.d0|h> +<body.n0|04>]"),
        ("I1121 10:17:05.123456 1 a.go:7]", &[], "I1121 <body.d0|h.6> <body.n0> a.go:<body.n1>]"),
        ("id 01234567-89ab-cdef-0123-456789abcdef", &[], "id <body.t0>"),
        ("blk_77 größe7 x", &[], "<body.t0> <body.t1> x"),
        (r#"{"a":"a","n":7}"#, &[("a", "a"), ("n", "7")], r#"{"a":"<fields.a>","n":<fields.n>}"#),
        ("a=1 b=x1", &[("b", "x1")], "a=<body.n0> b=<fields.b>"),
        ("ab=b", &[("b", "b")], "ab=<fields.b>"),
        ("99999999999999999999", &[], "<body.t0>"),
        ("25:00:00 61", &[], "<body.n0>:<body.n1|02>:<body.n2|02> <body.n3>"),
    ] {
        assert_eq!(template_of(body, fields), template, "{body:?}");
    }
}

const PARTS: [&str; 44] = [
    " ",
    "  ",
    "\t",
    "\r\n",
    "\n",
    ",",
    ":",
    "=",
    "\"",
    "\\\"",
    "\\u00e9",
    "é",
    "größe",
    "日本",
    "–",
    "{",
    "}",
    "[1,2]",
    "null",
    "1.0",
    "1e3",
    "-0",
    "-17",
    "007",
    "0",
    "9223372036854775808",
    "00:00:60",
    "23:59:59.999999999",
    "2026-02-31T10:00:00Z",
    "2026-11-21T10:17:05.120Z",
    "2026-11-21T10:17:05+02:00",
    "1969-12-31T23:59:59Z",
    "10.0.0.256",
    "255.255.255.255",
    "word",
    "w0rd",
    "deadbeefdeadbeef",
    "key",
    "\u{1}",
    "\u{2}",
    "\u{3}",
    "\u{1f}",
    "\u{fffd}",
    "x_1",
];

fn hostile(random: &mut Random) -> String {
    (0..random.below(30)).map(|_| random.pick(&PARTS)).collect()
}

/// Bodies, and the values of two fields of each, some of which are cut out of the body.
fn records(count: usize) -> Vec<(String, [Option<String>; 2], i64)> {
    let mut random = Random(5);
    let mut records = Vec::new();
    for index in 0..count {
        let body = if index == 7 { "long 1 ".repeat(150_000) } else { hostile(&mut random) };
        let mut field = || {
            let starts: Vec<usize> = body.char_indices().map(|(at, _)| at).collect();
            if starts.is_empty() || random.below(4) == 0 || body.len() > 100_000 {
                return (random.below(2) == 0).then(|| "elsewhere".to_owned());
            }
            let start = random.pick(&starts);
            let text: String = body[start..].chars().take(1 + random.below(9) as usize).collect();
            Some(text)
        };
        let fields = [field(), field()];
        let time = TIME - random.below(1 << 40) as i64 * 1_000;
        records.push((body, fields, time));
    }
    records
}

/// Bodies as columns, with the columns of their fields.
fn write(records: &[(String, [Option<String>; 2], i64)], plan: BodyPlan) -> (RecordBatch, WordSet) {
    let mut builder = BodyBuilder::new([("p", true), ("q", true)].into_iter(), plan);
    let mut words = WordSet::default();
    for (body, values, time) in records {
        let found = values.iter().enumerate();
        let fields: Vec<(usize, &str)> =
            found.filter_map(|(index, value)| Some((index, value.as_deref()?))).collect();
        fields.iter().for_each(|(_, value)| words.add(value));
        let record = Record { time: *time, trace_id: Some("w0rd"), span_id: None, fields: &fields };
        builder.push(body, &record, &mut words);
    }
    (with_fields(records, plan, builder.finish().unwrap()), words)
}

fn with_fields(
    records: &[(String, [Option<String>; 2], i64)],
    plan: BodyPlan,
    mut columns: Vec<arrow_array::ArrayRef>,
) -> RecordBatch {
    use std::sync::Arc;
    let mut fields = super::fields(plan);
    for (name, index) in [("fields.p", 0), ("fields.q", 1)] {
        let values = records.iter().map(|(_, values, _)| values[index].as_deref());
        columns.push(Arc::new(values.collect::<arrow_array::StringArray>()));
        fields.push(Field::new(name, DataType::Utf8, true));
    }
    let ids = records.iter().map(|_| Some("w0rd"));
    columns.push(Arc::new(ids.collect::<arrow_array::StringArray>()));
    fields.push(Field::new("trace_id", DataType::Utf8, true));
    let times = records.iter().map(|(.., time)| *time);
    let times = TimestampNanosecondArray::from_iter_values(times);
    fields.push(Field::new("time", times.data_type().clone(), false));
    columns.push(Arc::new(times));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

use arrow_array::Array as _;

fn assert_bodies(batch: &RecordBatch, records: &[(String, [Option<String>; 2], i64)]) {
    let bodies = Rebuilder::default().rebuild(batch).unwrap();
    assert_eq!(bodies.len(), records.len());
    for (body, (expected, ..)) in bodies.iter().zip(records) {
        assert_eq!(body.unwrap(), expected);
    }
}

#[test]
fn hostile_bodies_come_back_byte_for_byte_written_and_copied() {
    let records = records(6_000);
    for plan in [BodyPlan::MOST, BodyPlan([1, 1, 0, 0]), BodyPlan::default()] {
        let (batch, _) = write(&records, plan);
        assert_bodies(&batch, &records);
        // Copied twice: what found no template the first time stays whole.
        let mut builder = BodyBuilder::new(std::iter::empty(), plan);
        let mut words = WordSet::default();
        let rebuilder = Rebuilder::default();
        for start in (0..records.len()).step_by(1000) {
            builder.copy(&batch.slice(start, 1000), &rebuilder, &mut words).unwrap();
        }
        let copied = with_fields(&records, plan, builder.finish().unwrap());
        assert_bodies(&copied, &records);
    }
}

#[test]
fn templates_have_a_limit_and_what_is_beyond_is_stored_whole() {
    let letters = |n: usize| -> String {
        let letter = |place: u32| char::from(b'g' + (n / 20usize.pow(place) % 20) as u8);
        (0..5).map(letter).collect()
    };
    let body = |n: usize| (format!("user {} number {n}", letters(n)), [None, None], TIME);
    let records: Vec<_> = (0..TEMPLATES_LIMIT + 500).map(body).collect();
    let (batch, _) = write(&records, BodyPlan::MOST);
    assert_bodies(&batch, &records);
    let whole = batch.column_by_name(COLUMN).unwrap();
    assert_eq!(whole.len() - whole.null_count(), 501, "one template is that of whole bodies");

    // Two row groups that each have enough templates do not fit into one.
    let others: Vec<_> = (10_000..10_100).map(body).collect();
    let (other, _) = write(&others, BodyPlan::MOST);
    let mut builder = BodyBuilder::new(std::iter::empty(), BodyPlan::MOST);
    let mut words = WordSet::default();
    let rebuilder = Rebuilder::default();
    for batch in [&batch, &other] {
        builder.copy(batch, &rebuilder, &mut words).unwrap();
    }
    let all: Vec<_> = records.into_iter().chain(others).collect();
    assert_bodies(&with_fields(&all, BodyPlan::MOST, builder.finish().unwrap()), &all);
}

#[test]
fn every_word_of_a_body_is_found_written_and_copied() {
    let records = records(300);
    let (batch, mut written) = write(&records, BodyPlan([2, 1, 1, 1]));
    let mut copied = WordSet::default();
    for (_, values, _) in &records {
        values.iter().flatten().for_each(|value| copied.add(value));
    }
    copied.add("w0rd");
    let mut builder = BodyBuilder::new(std::iter::empty(), BodyPlan([2, 1, 1, 1]));
    builder.copy(&batch, &Rebuilder::default(), &mut copied).unwrap();
    written.add("w0rd");
    for words in [&mut written, &mut copied] {
        let filter = words.finish();
        let shape = crate::part::fuse::Shape::read(&filter).unwrap();
        for (body, ..) in &records {
            rookery_core::tokens::for_each_word(body, |word| {
                let hash = crate::part::words::hash(word);
                let prints =
                    shape.places(hash).map(|p| filter[crate::part::fuse::HEADER_BYTES + p]);
                assert!(shape.matches(hash, prints), "{word:?} of {body:?}");
            });
        }
    }
}

#[test]
fn a_template_says_of_a_test_what_its_bodies_say() {
    let records = records(700);
    let (batch, _) = write(&records, BodyPlan([3, 2, 1, 1]));
    let used = Rebuilder::default().used(batch.column_by_name(TEMPLATE).unwrap()).unwrap();
    let mut random = Random(3);
    let mut tests: Vec<Test> =
        ["[0-9a-f]{6,}", "w0r+d", "d:|word", "word.*key", "rd[0-9]", "é+", "[a-z]0"]
            .iter()
            .map(|pattern| Test::Regexp(Pattern::new(pattern).unwrap()))
            .collect();
    for _ in 0..60 {
        let text: String = (0..1 + random.below(3)).map(|_| random.pick(&PARTS)).collect();
        tests.extend([
            Test::Phrase(text.clone()),
            Test::Prefix(text.clone()),
            Test::Substring(text),
        ]);
    }
    let mut said = [0; 3];
    for test in &tests {
        let Some(ready) = BodyTest::new(test).unwrap() else { continue };
        for (row, (text, ..)) in records.iter().enumerate() {
            let body: arrow_array::StringArray = [Some(text)].into_iter().collect();
            let passes = ready.bodies_that_pass(Column::Text(body)).unwrap().value(0);
            let template = used.templates[used.keys[row] as usize].as_ref().unwrap();
            let slots_pass = |slots: &[usize]| {
                let mut slots = slots.iter().map(|&slot| &template.slots[slot]);
                slots.any(|slot| value_passes(&ready, &batch, row, slot))
            };
            let context = || format!("{test:?} of {text:?}");
            match ready.verdict(template).unwrap().as_ref() {
                Verdict::Maybe => said[0] += 1,
                Verdict::All => assert!(passes, "all: {}", context()),
                Verdict::None => assert!(!passes, "none: {}", context()),
                Verdict::Slots(slots) => {
                    said[1] += 1;
                    assert_eq!(slots_pass(slots), passes, "slots: {}", context());
                }
                Verdict::MaybeSlots(slots) => {
                    said[2] += 1;
                    assert!(slots_pass(slots) || !passes, "maybe: {}", context());
                }
            }
        }
    }
    assert!(said.iter().all(|&n| n > 300), "{said:?}");
}

fn value_passes(test: &BodyTest, batch: &RecordBatch, row: usize, slot: &Slot) -> bool {
    // A template of this slot alone prints its value.
    use std::sync::Arc;
    let mut text = Vec::new();
    super::template::push_slot(&mut text, slot.column.as_bytes(), slot.format);
    let template = Template::read(std::str::from_utf8(&text).unwrap()).unwrap();
    let used =
        super::rebuild::Used { keys: vec![0u32].into(), templates: vec![Some(Arc::new(template))] };
    let value = super::rebuild::rebuild(&used, &batch.slice(row, 1)).unwrap();
    test.pieces_that_pass(Column::Text(value)).unwrap().value(0)
}

#[test]
fn a_template_that_was_changed_is_an_error_and_no_panic() {
    let records = records(50);
    let (batch, _) = write(&records, BodyPlan::MOST);
    for text in [
        "\u{2}",
        "\u{2}body",
        "\u{2}none\u{3}",
        "\u{2}body.n0\u{1f}\u{3}",
        "\u{2}body.n0\u{1f}09999\u{3}",
        "\u{2}body.d0\u{1f}h.0\u{3}",
        "\u{2}fields.none\u{3}",
        "\u{2}\u{3}",
        "\u{2}body.n15\u{3}",
        "\u{2}time\u{3}",
    ] {
        let mut columns = batch.columns().to_vec();
        let keys = arrow_array::UInt32Array::from(vec![0; records.len()]);
        let values: arrow_array::StringArray = [Some(text)].into_iter().collect();
        columns[0] = std::sync::Arc::new(
            arrow_array::DictionaryArray::try_new(keys, std::sync::Arc::new(values)).unwrap(),
        );
        let changed = RecordBatch::try_new(batch.schema(), columns).unwrap();
        assert!(Rebuilder::default().rebuild(&changed).is_err(), "{text:?}");
    }
    // Numbers that no cut gives still print something.
    let times = batch.column_by_name("time").unwrap();
    assert!(
        arrow_array::cast::AsArray::as_primitive_opt::<TimestampNanosecondType>(times).is_some()
    );
    for number in [i64::MIN, -1, i64::MAX] {
        for text in [
            "\u{2}n\u{1f}a\u{3}",
            "\u{2}n\u{1f}z.9\u{3}",
            "\u{2}n\u{1f}z\u{3}",
            "\u{2}n\u{1f}h,3\u{3}",
            "\u{2}n\u{1f}018\u{3}",
        ] {
            let template = Template::read(text).unwrap();
            for time in [i64::MIN, 0, i64::MAX] {
                let mut out = Vec::new();
                template.slots[0].format.print(number, time, &mut out);
                assert!(std::str::from_utf8(&out).is_ok_and(|text| !text.is_empty()));
            }
        }
    }
}
