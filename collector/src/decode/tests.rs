use super::*;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt16Type, UInt64Type};
use rookery_core::time::{DAY, rfc3339};

/// 2026-11-21T12:00:00Z
const NOW: i64 = 1_795_262_400 * SECOND;

/// A record as a test reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub generation: u64,
    pub offset: u64,
    pub time: i64,
    pub severity: u8,
    pub body: String,
    pub fields: Vec<String>,
    pub trace_id: Option<String>,
}

pub(super) fn read(out: &mut LogBatchBuilder) -> Vec<Read> {
    let batch = out.finish().unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let maps = column("fields").as_map();
    let keys = maps.keys().as_dictionary::<UInt16Type>();
    let (names, values) = (keys.values().as_string::<i32>(), maps.values().as_string::<i32>());
    let pair = |i: usize| format!("{}={}", names.value(keys.key(i).unwrap()), values.value(i));
    let trace = column("trace_id").as_string::<i32>();
    (0..batch.num_rows())
        .map(|row| Read {
            generation: column("generation").as_primitive::<UInt64Type>().value(row),
            offset: column("offset").as_primitive::<UInt64Type>().value(row),
            time: column("time").as_primitive::<TimestampNanosecondType>().value(row),
            severity: column("severity").as_primitive::<UInt8Type>().value(row),
            body: column("body").as_string::<i32>().value(row).into(),
            fields: (maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize)
                .map(pair)
                .collect(),
            trace_id: trace.is_valid(row).then(|| trace.value(row).into()),
        })
        .collect()
}

pub(super) fn config() -> DecodeConfig {
    let mut config = DecodeConfig::default();
    config.time.zone = config::Zone::new("UTC").unwrap();
    config
}

pub(super) fn decoder(config: DecodeConfig) -> StreamDecoder {
    StreamDecoder::new(Arc::new(config), Arc::new(Resource::default()), StreamId([1; 16]))
}

/// All of a file, in one chunk.
pub(super) fn decode(config: DecodeConfig, text: impl AsRef<[u8]>) -> (Vec<Read>, DecodeStats) {
    let mut decoder = decoder(config);
    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    decoder.push(7, 0, text.as_ref(), NOW, &mut out, &mut stats);
    decoder.flush(NOW, &mut out, &mut stats, true);
    assert_eq!(decoder.pending(), None);
    (read(&mut out), stats)
}

pub(super) fn bodies(records: &[Read]) -> Vec<&str> {
    records.iter().map(|r| r.body.as_str()).collect()
}

#[test]
fn cri_lines_have_the_runtimes_time_and_output() {
    let text = "2016-10-06T00:17:09.669794202Z stdout F The content of the log\n\
                2016-10-06T00:17:09.66Z stderr F \n\
                2016-10-06T00:17:10Z stderr F {\"level\":\"error\",\"time\":\"2020-01-01T00:00:00Z\",\"traceID\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}\r\n\
                2016-10-06T02:17:11.5+02:00 stdout F:x last\n";
    let (records, stats) = decode(config(), text);
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].body, "The content of the log");
    assert_eq!(records[0].fields, ["stream=stdout"]);
    assert_eq!(rfc3339(records[0].time), "2016-10-06T00:17:09.669794202Z");
    assert_eq!(rfc3339(records[1].time), "2016-10-06T00:17:10Z");
    assert_eq!(records[1].severity, 17);
    assert_eq!(records[1].fields, ["time=2020-01-01T00:00:00Z", "stream=stderr"]);
    assert_eq!(records[1].trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(records[2].body, "last");
    assert_eq!(rfc3339(records[2].time), "2016-10-06T00:17:11.500Z");
    assert_eq!((stats.lines, stats.records, stats.blank, stats.time_fallback), (4, 3, 1, 0));
}

#[test]
fn parts_of_a_cri_line_are_joined_over_chunks_and_rotations() {
    let mut decoder = decoder(config());
    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    let first = "2016-10-06T00:17:09.1Z stdout P log content 1\n";
    decoder.push(1, 100, first.as_bytes(), NOW, &mut out, &mut stats);
    assert_eq!(decoder.pending(), Some(Position { generation: 1, offset: 100 }));
    // A quiet time does not end a line whose rest the next file has.
    decoder.flush(NOW + DAY, &mut out, &mut stats, false);
    assert!(out.is_empty());
    let second = "2016-10-06T00:17:09.2Z stdout P, part 2\n2016-10-06T00:17:09.3Z stdout F , end\n";
    decoder.push(2, 0, second.as_bytes(), NOW, &mut out, &mut stats);
    decoder.flush(NOW, &mut out, &mut stats, false);
    let records = read(&mut out);
    // The second line is not in the format: there is no space behind its `P`.
    let odd = "2016-10-06T00:17:09.2Z stdout P, part 2";
    assert_eq!(bodies(&records), ["log content 1, end", odd]);
    assert_eq!((records[0].generation, records[0].offset), (1, 100));
    assert_eq!(rfc3339(records[0].time), "2016-10-06T00:17:09.100Z");
    assert_eq!(stats.unframed, 1);
}

#[test]
fn outputs_interleave_and_records_leave_in_the_order_of_their_starts() {
    let text = "2016-10-06T00:17:09.1Z stdout P out-1 \n\
                2016-10-06T00:17:09.2Z stderr F err-1\n\
                2016-10-06T00:17:09.3Z stderr P err-2 \n\
                2016-10-06T00:17:09.4Z stdout F end\n\
                2016-10-06T00:17:09.5Z stdout F out-2\n\
                2016-10-06T00:17:09.6Z stderr F end\n";
    let (records, _) = decode(config(), text);
    assert_eq!(bodies(&records), ["out-1 end", "err-1", "err-2 end", "out-2"]);
    assert!(records.is_sorted_by_key(|r| r.offset));
}

#[test]
fn a_part_whose_rest_never_comes_is_given_up_at_a_bound() {
    let mut text = String::from("2016-10-06T00:17:09.1Z stdout P lost\n");
    for n in 0..10 {
        text += &format!("2016-10-06T00:17:{:02}.2Z stderr F {{\"n\":{n}}}\n", 10 + n);
    }
    let mut decoder = decoder(config());
    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    decoder.push(7, 0, text.as_bytes(), NOW, &mut out, &mut stats);
    let records = read(&mut out);
    assert_eq!(records.len(), 11, "by the times of the lines behind it");
    assert_eq!(records[0].fields, ["stream=stdout", "truncated=true"]);
    assert_eq!(stats.truncated, 1);
    // By number, where the times say nothing.
    let mut text = String::from("2016-10-06T00:17:09.1Z stdout P lost\n");
    for _ in 0..1_100 {
        text += "2016-10-06T00:17:09.2Z stderr F {}\n";
    }
    decoder.push(8, 0, text.as_bytes(), NOW, &mut out, &mut stats);
    assert_eq!(read(&mut out).len(), 1_101);
    // By time of reading, when nothing more is written.
    let text = "2016-10-06T00:17:09.1Z stdout P lost\n2016-10-06T00:17:09.2Z stderr F behind\n";
    decoder.push(9, 0, text.as_bytes(), NOW, &mut out, &mut stats);
    decoder.flush(NOW + SECOND, &mut out, &mut stats, false);
    assert!(out.is_empty());
    decoder.flush(NOW + 6 * SECOND, &mut out, &mut stats, false);
    assert_eq!(bodies(&read(&mut out)), ["lost", "behind"]);
}

#[test]
fn docker_lines_are_unwrapped_and_joined() {
    let text = concat!(
        r#"{"log":"hello\n","stream":"stdout","time":"2026-11-21T01:02:03.456789012Z"}"#,
        "\n",
        r#"{"log":"a \"quoted\" ","stream":"stderr","attrs":{"tag":"x"},"time":"2026-11-21T01:02:04Z"}"#,
        "\n",
        r#"{"log":"tail\u00fc\r\n","stream":"stderr","time":"2026-11-21T01:02:05Z"}"#,
        "\n",
        r#"{"log":"{\"level\":\"warn\",\"a\":1}\n","stream":"stdout","time":"2026-11-21T01:02:06Z"}"#,
        "\n",
        r#"{"log":"broken"#,
        "\n",
    );
    let (records, stats) = decode(config(), text);
    assert_eq!(
        bodies(&records),
        ["hello", "a \"quoted\" tailü", r#"{"level":"warn","a":1}"#, r#"{"log":"broken"#]
    );
    assert_eq!(rfc3339(records[0].time), "2026-11-21T01:02:03.456789012Z");
    assert_eq!(rfc3339(records[1].time), "2026-11-21T01:02:04Z");
    assert_eq!(records[2].fields, ["a=1", "stream=stdout"]);
    assert_eq!(
        records[3].time, records[2].time,
        "a line without a time has that of the record before"
    );
    assert_eq!((stats.unframed, stats.time_inherited), (1, 1));
}

#[test]
fn the_format_is_told_file_by_file() {
    let mut decoder = decoder(config());
    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    let chunks = [
        "rn line\n2016-10-06T00:17:09.1Z stdout F cri\n2016-10-06T00:17:09.1Z stdout F cri\n",
        "{\"log\":\"docker\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T01:02:03Z\"}\n",
        "{\"log\":\"an application's own\"}\n",
        "plain\n",
    ];
    for (generation, chunk) in chunks.iter().enumerate() {
        decoder.push(generation as u64, 0, chunk.as_bytes(), NOW, &mut out, &mut stats);
    }
    decoder.flush(NOW, &mut out, &mut stats, true);
    let expected =
        ["rn line", "cri", "cri", "docker", "{\"log\":\"an application's own\"}", "plain"];
    assert_eq!(bodies(&read(&mut out)), expected);
}

#[test]
fn plain_lines_have_the_time_that_they_say_or_that_of_the_line_before() {
    let text = "no time yet\n\
                2026-11-21 01:02:03,978 INFO [main] a.B: started\n\
                \tindented\n\
                unindented\n\
                {\"ts\":1795226524.5,\"level\":\"debug\",\"msg\":\"x\"}\n\
                \n\
                2026-11-21 01:02:05,000 WARN [main] a.B: last, without newline";
    let (records, stats) = decode(config(), text);
    let times: Vec<_> = records.iter().map(|r| rfc3339(r.time)).collect();
    assert_eq!(
        times,
        [
            "2026-11-21T12:00:00Z",
            "2026-11-21T01:02:03.978Z",
            "2026-11-21T01:02:03.978Z",
            "2026-11-21T02:02:04.500Z",
            "2026-11-21T01:02:05Z"
        ]
    );
    assert_eq!(records[1].body, "2026-11-21 01:02:03,978 INFO [main] a.B: started\n\tindented");
    assert_eq!(records[3].fields, ["msg=x"]);
    assert_eq!(records.iter().map(|r| r.severity).collect::<Vec<_>>(), [0, 9, 0, 5, 13]);
    assert_eq!(
        (stats.time_fallback, stats.time_inherited, stats.blank, stats.joined),
        (1, 1, 1, 1)
    );
}

#[test]
fn a_time_under_another_name_is_not_the_time_of_the_record() {
    let text = "{\"msg\":\"expired\",\"born\":\"2001-01-01T00:00:00Z\"}\nborn=2001-01-01T00:00:00Z msg=x\n";
    let (records, stats) = decode(config(), text);
    assert!(records.iter().all(|r| r.time == NOW));
    assert_eq!(stats.time_fallback, 2);
    assert_eq!(first_time(&config(), text.as_bytes()), None);
    // A message of syslog has its time ahead of what it holds.
    let (records, _) = decode(config(), "Nov 20 01:02:03 h app[1]: {\"a\":1}\n");
    assert_eq!(rfc3339(records[0].time), "2026-11-20T01:02:03Z");
}

#[test]
fn records_do_not_depend_on_where_chunks_are_cut() {
    let plain = "2026-11-21 01:02:03 ERROR a\njava.lang.Error: x\n\tat a.b(C.java:1)\n\nCaused by: y\n\n\nplain\n  indented\n{\"a\":1}\nend\n";
    let mut cri = String::new();
    for (n, (output, tag, message)) in [
        ("stdout", 'P', "part"),
        ("stderr", 'F', "panic: x"),
        ("stdout", 'F', " end"),
        ("stderr", 'F', ""),
        ("stderr", 'F', "goroutine 1 [running]:"),
        ("stdout", 'F', "  more"),
        ("stderr", 'F', "main.main()"),
        ("stdout", 'F', "{\"a\":1}"),
        ("stderr", 'P', ""),
        ("stderr", 'F', "\tx.go:1"),
        ("stdout", 'F', "z"),
    ]
    .iter()
    .enumerate()
    {
        cri += &format!("2016-10-06T00:17:09.{n:03}Z {output} {tag} {message}\n");
    }
    for text in [plain, &cri] {
        let (whole, _) = decode(config(), text);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for cut in 0..=lines.len() {
            for second in cut..=lines.len() {
                let mut decoder = decoder(config());
                let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
                let mut offset = 0;
                for part in [&lines[..cut], &lines[cut..second], &lines[second..]] {
                    let part = part.concat();
                    decoder.push(7, offset, part.as_bytes(), NOW, &mut out, &mut stats);
                    offset += part.len() as u64;
                }
                decoder.flush(NOW, &mut out, &mut stats, true);
                assert_eq!(read(&mut out), whole, "cut at {cut} and {second}");
            }
        }
    }
}

#[test]
fn reading_again_from_what_was_pending_gives_the_same_records() {
    let text = "2016-10-06T00:17:09.1Z stdout P out-1 \n\
                2016-10-06T00:17:09.2Z stderr F err-1\n\
                2016-10-06T00:17:09.3Z stdout F end\n\
                2016-10-06T00:17:09.4Z stdout F   more\n\
                2016-10-06T00:17:09.5Z stdout F out-2\n";
    let (whole, _) = decode(config(), text);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for cut in 0..=lines.len() {
        let head = lines[..cut].concat();
        let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
        let mut first = decoder(config());
        first.push(7, 0, head.as_bytes(), NOW, &mut out, &mut stats);
        let mut records = read(&mut out);
        let from = first.pending().map_or(head.len(), |p| p.offset as usize);
        let mut second = decoder(config());
        second.push(7, from as u64, &text.as_bytes()[from..], NOW, &mut out, &mut stats);
        second.flush(NOW, &mut out, &mut stats, true);
        records.extend(read(&mut out));
        assert_eq!(records, whole, "crash behind line {cut}");
    }
}

#[test]
fn records_over_the_limit_are_cut_marked_and_counted() {
    let mut limited = config();
    limited.record_limit = rookery_core::units::Bytes(10);
    let long = "aaaaaaaaaü and more\nnext\n";
    let (records, stats) = decode(limited.clone(), long);
    assert_eq!(bodies(&records), ["aaaaaaaaa", "next"], "cut at the boundary of a character");
    assert_eq!(records[0].fields, ["truncated=true"]);
    assert_eq!((stats.truncated, stats.invalid_utf8), (1, 0));
    let parts = "2016-10-06T00:17:09.1Z stdout P 12345678\n\
                 2016-10-06T00:17:09.2Z stdout P 12345678\n\
                 2016-10-06T00:17:09.3Z stdout F 12345678\n\
                 2016-10-06T00:17:09.4Z stdout F next\n";
    let (records, stats) = decode(limited.clone(), parts);
    assert_eq!(bodies(&records), ["1234567812", "next"]);
    assert_eq!(stats.truncated, 1);
    let mut decoder = decoder(limited);
    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    decoder.push_truncated(7, 5, b"endless li", 1 << 30, NOW, &mut out, &mut stats);
    let records = read(&mut out);
    assert_eq!((records[0].offset, records[0].body.as_str()), (5, "endless li"));
    assert_eq!(records[0].fields, ["truncated=true"]);
    assert_eq!(decoder.pending(), None);
}

#[test]
fn invalid_utf8_is_replaced_and_counted() {
    let (records, stats) = decode(config(), b"caf\xe9 \xff\xfe end\nfine\n");
    assert_eq!(bodies(&records), ["caf\u{fffd} \u{fffd}\u{fffd} end", "fine"]);
    assert_eq!(stats.invalid_utf8, 1);
}

#[test]
fn the_source_of_the_time_can_be_chosen() {
    let text =
        "2016-10-06T00:17:09.1Z stdout F 2026-11-21 01:02:03 x\n2016-10-06T00:17:10Z stdout F y\n";
    let mut printed = config();
    printed.time.source = TimeSource::Printed;
    let (records, _) = decode(printed, text);
    assert_eq!(rfc3339(records[0].time), "2026-11-21T01:02:03Z");
    assert_eq!(rfc3339(records[1].time), "2016-10-06T00:17:10Z");
    let mut observed = config();
    observed.time.source = TimeSource::Observed;
    assert!(decode(observed, text).0.iter().all(|r| r.time == NOW));
}

#[test]
fn the_first_time_of_a_file_is_that_of_its_first_line_that_says_one() {
    let cases: [(&str, Option<(&str, bool)>); 10] = [
        ("banner\n2026-11-21 01:02:03 x\n", Some(("2026-11-21T01:02:03Z", false))),
        ("2026-11-21 01:02:03.5 x\ncut", Some(("2026-11-21T01:02:03.500Z", true))),
        (
            "2016-10-06T00:17:09.669794202Z stdout P x\n",
            Some(("2016-10-06T00:17:09.669794202Z", true)),
        ),
        (
            "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T01:02:03Z\"}\n",
            Some(("2026-11-21T01:02:03Z", false)),
        ),
        ("{\"msg\":\"x\"}\n{\"ts\":1795226524.5}\n", Some(("2026-11-21T02:02:04.500Z", true))),
        ("Dec 30 01:02:03 h a: x\n", Some(("2025-12-30T01:02:03Z", false))),
        ("2026-11-21 01:02:03", None),
        ("2026-11-21 01:02:03 without its end", Some(("2026-11-21T01:02:03Z", false))),
        ("{\"ts\":1795226524.5}", Some(("2026-11-21T02:02:04.500Z", true))),
        ("nothing\nhere\n", None),
    ];
    for (head, expected) in cases {
        let found = first_time_near(&config(), head.as_bytes(), NOW);
        let found = found.map(|(time, subsecond)| (rfc3339(time), subsecond));
        assert_eq!(found, expected.map(|(t, s)| (t.to_string(), s)), "{head}");
    }
}

#[test]
fn a_generation_gives_the_year_of_its_lines() {
    // The file's first record is of 2005, as the reader found by its time of modification.
    let generation = 1_118_761_200 * SECOND as u64;
    let mut decoder = decoder(config());
    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    let text = "Jun 14 15:16:01 combo sshd[1]: x\nJan  2 00:00:00 combo sshd[1]: y\n";
    decoder.push(generation, 0, text.as_bytes(), NOW, &mut out, &mut stats);
    decoder.flush(NOW, &mut out, &mut stats, true);
    let times: Vec<_> = read(&mut out).iter().map(|r| rfc3339(r.time)).collect();
    assert_eq!(times, ["2005-06-14T15:16:01Z", "2006-01-02T00:00:00Z"]);
}

#[test]
fn a_configuration_is_checked_when_it_is_read() {
    let read = |yaml: &str| serde_json::from_str::<DecodeConfig>(yaml);
    let good = r#"{"format":"cri","time":{"formats":["%s"],"zone":"+02:00","source":"printed"},
        "multiline":{"start_pattern":"^\\S","timeout":"1s"},"parse":{"json":false},"record_limit":"1KiB"}"#;
    let config = read(good).unwrap();
    let printed = serde_json::to_string(&config).unwrap();
    assert_eq!(read(&printed).unwrap(), config);
    for bad in [
        r#"{"formt":"cri"}"#,
        r#"{"multiline":{"start_pattern":"("}}"#,
        r#"{"time":{"zone":"Mars/Olympus"}}"#,
        r#"{"time":{"formats":["yyyy"]}}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_idle_stream_costs_little() {
    let mut decoder = decoder(config());
    let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
    let line = format!("{{\"a\":\"{}\\n\"}}\n  x\n", "x".repeat(100_000));
    decoder.push(7, 0, line.as_bytes(), NOW, &mut out, &mut stats);
    decoder.flush(NOW, &mut out, &mut stats, false);
    let held = decoder.joiner.held_bytes() + decoder.finish.scratch.held_bytes();
    assert!(held + size_of::<StreamDecoder>() < 16 << 10, "{held}");
}

/// xorshift64: the cases are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit) as usize
    }
}

/// A file of a container with two outputs whose lines, parts and traces interleave.
fn random_cri(random: &mut Random) -> String {
    const MESSAGES: [&str; 14] = [
        "INFO one",
        "  indented",
        "",
        "{\"a\":1}",
        "{",
        "}",
        "ERROR two",
        "java.lang.Error: x",
        "\tat a.b(C.java:1)",
        "panic: x",
        "goroutine 1 [running]:",
        "main.main()",
        "Traceback (most recent call last):",
        "ValueError: x",
    ];
    let mut time = 1_795_226_523 * SECOND;
    let mut text = String::new();
    for _ in 0..3 + random.below(20) {
        time += [1_000, 1_000_000, 250_000_000, 400_000_000, 6 * SECOND][random.below(5)];
        let output = ["stdout", "stderr"][random.below(2)];
        let tag = ["F", "F", "F", "P"][random.below(4)];
        let message = MESSAGES[random.below(14)];
        match random.below(30) {
            0 => text += "torn line\n",
            1 => text += "\n",
            _ => text += &format!("{} {output} {tag} {message}\n", rfc3339(time)),
        }
    }
    text
}

#[test]
fn any_interleaving_gives_the_same_records_however_it_is_cut_and_wherever_reading_starts_anew() {
    let mut random = Random(42);
    for case in 0..3_000 {
        let text = random_cri(&mut random);
        let mut config = config();
        config.format = Format::Cri;
        let (whole, _) = decode(config.clone(), &text);
        assert!(whole.is_sorted_by_key(|r| r.offset), "case {case}: {text}");
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        let cut = ends[random.below(ends.len() as u64)];
        let (mut out, mut stats) = (LogBatchBuilder::default(), DecodeStats::default());
        let mut first = decoder(config.clone());
        first.push(7, 0, &text.as_bytes()[..cut], NOW, &mut out, &mut stats);
        let sent = read(&mut out);
        let from = first.pending().map_or(cut, |p| p.offset as usize);
        let last_time = first.last_time();
        // Reading goes on.
        first.push(7, cut as u64, &text.as_bytes()[cut..], NOW, &mut out, &mut stats);
        first.flush(NOW, &mut out, &mut stats, true);
        assert_eq!(
            [sent.clone(), read(&mut out)].concat(),
            whole,
            "case {case}, cut at {cut}: {text}"
        );
        // Or the process died, and another starts where the first had nothing pending.
        let mut second = decoder(config);
        last_time.into_iter().for_each(|time| second.resume(time));
        second.push(7, from as u64, &text.as_bytes()[from..], NOW, &mut out, &mut stats);
        second.flush(NOW, &mut out, &mut stats, true);
        assert_eq!([sent, read(&mut out)].concat(), whole, "case {case}, anew at {from}: {text}");
    }
}
