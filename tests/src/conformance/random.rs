//! Records and queries by chance: for what nobody thought of. The reference store says what is right.

use std::fmt::Write as _;

use rookery_core::TimeRange;
use rookery_core::time::{self, SECOND};
use serde_json::{Map, Value, json};

use super::{Answer, Asked, Case, Section};

/// The time of the first record: 2026-11-20T22:00:00Z, so that records lie in two days.
const START: i64 = 1_795_212_000 * SECOND;

const WORDS: [&str; 16] = [
    "error",
    "errors",
    "refused",
    "connection",
    "GET",
    "POST",
    "timeout",
    "user",
    "größe",
    "日本",
    "v1",
    "api",
    "retry",
    "x",
    "Error",
    "done",
];
const USERS: [&str; 6] = ["ann", "bob", "Bob", "eve", "o'neil", "日本太郎"];
const LEVELS: [&str; 4] = ["info", "info", "error", "warn"];
const FIELDS: [&str; 9] =
    ["level", "status", "user", "dur", "ip", "app", "host", "trace", "missing"];

/// How many names the rare fields have.
const FIELD_NAMES: usize = 400;

/// A small generator of numbers (xorshift), so that a failure can be repeated from its seed.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    fn words(&mut self, most: usize) -> String {
        let count = 1 + self.roll(most);
        let words: Vec<&str> = (0..count).map(|_| self.pick(&WORDS)).collect();
        words.join([" ", " ", ": ", "/", "="][self.roll(5)])
    }
}

/// Records of a few streams, and queries without their answers.
pub fn section(seed: u64, records: usize, queries: usize) -> Section {
    let mut dice = Dice::new(seed);
    let mut clock = START;
    let records = (0..records).map(|id| record(id, &mut clock, &mut dice)).collect();
    let end = clock;
    let cases = (1..=queries).map(|line| case(line, end, &mut dice)).collect();
    Section { streams: vec!["app".into(), "host".into()], source: "push".into(), records, cases }
}

fn record(id: usize, clock: &mut i64, dice: &mut Dice) -> Map<String, Value> {
    // Many records share their time, some come late.
    *clock += [0, 0, 1, 1_000_000, SECOND, 2 * SECOND][dice.roll(6)];
    let late = if dice.roll(20) == 0 { 30 * SECOND } else { 0 };
    let mut record = Map::new();
    let mut put = |name: &str, value: String| record.insert(name.into(), json!(value));
    put("id", id.to_string());
    put("_time", time::rfc3339(*clock - late));
    let app = ["web", "api", "db"][dice.roll(3)];
    put("app", app.into());
    put("host", format!("h{}", dice.roll(3)));
    put("level", dice.pick(&LEVELS).into());
    if dice.roll(4) > 0 {
        put("status", [200, 200, 404, 500, 503][dice.roll(5)].to_string());
    }
    if dice.roll(3) > 0 {
        put("user", dice.pick(&USERS).into());
    }
    if app == "api" {
        put("dur", format!("{}ms", dice.roll(2000)));
    }
    if app != "db" && dice.roll(2) == 0 {
        put("ip", format!("10.0.{}.{}", dice.roll(3), dice.roll(256)));
    }
    // A field that is nearly unique, and one that hardly any record has.
    put("trace", format!("{:08x}", dice.roll(1 << 28)));
    if dice.roll(500) == 0 {
        put("rare", format!("r{}", dice.roll(3)));
    }
    // More names than a part has columns for.
    for _ in 0..dice.roll(4) {
        let name = format!("f{}", dice.roll(FIELD_NAMES));
        put(&name, ["x", "y z", "7", "007", "-1.5"][dice.roll(5)].into());
    }
    let message = match dice.roll(4) {
        0 => format!("{{\"code\":{},\"text\":\"{}\"}}", dice.roll(5), dice.words(2)),
        1 => format!("user={} took={}ms {}", dice.pick(&USERS), dice.roll(900), dice.words(3)),
        2 => format!("{} id={}", dice.words(4), dice.roll(100_000)),
        _ => dice.words(6),
    };
    put("_msg", message);
    record
}

fn case(line: usize, end: i64, dice: &mut Dice) -> Case {
    let mut query = String::new();
    filter(2, end, dice, &mut query);
    let mut asked = Asked::at(end + SECOND);
    let ordered = if dice.roll(6) == 0 {
        query.push_str(" | fields id, _time");
        asked.newest = Some(1 + dice.roll(30) as u64);
        true
    } else {
        pipes(dice, &mut query)
    };
    if dice.roll(5) == 0 {
        let start = START + dice.roll(1000) as i64 * ((end - START) / 1000);
        asked.window = TimeRange { start, end: start + (end - START) / 4 };
    }
    if dice.roll(8) == 0 {
        asked.scope = Some("{app!=\"db\"} !user:eve".into());
    }
    let answer = Answer::Rows { ordered, rows: Vec::new() };
    Case { line, answer_lines: (0, 0), asked, query, answer }
}

fn filter(depth: usize, end: i64, dice: &mut Dice, out: &mut String) {
    if depth == 0 || dice.roll(3) == 0 {
        return test(end, dice, out);
    }
    let joint = [" ", " or ", " and "][dice.roll(3)];
    if dice.roll(4) == 0 {
        out.push('!');
    }
    out.push('(');
    for part in 0..1 + dice.roll(3) {
        if part > 0 {
            out.push_str(joint);
        }
        filter(depth - 1, end, dice, out);
    }
    out.push(')');
}

fn test(end: i64, dice: &mut Dice, out: &mut String) {
    let word = dice.pick(&WORDS);
    let field = dice.pick(&FIELDS);
    let user = dice.pick(&USERS);
    let number = dice.roll(600);
    let time = START + (dice.roll(1000) as i64) * ((end - START) / 1000);
    let moment = time::rfc3339(time);
    let rare = dice.roll(FIELD_NAMES);
    let text = match dice.roll(31) {
        0 | 1 => word.into(),
        2 => format!("{:?}", dice.words(2)),
        3 => format!("{}*", &word[..word.char_indices().nth(1).map_or(word.len(), |(at, _)| at)]),
        4 => format!("i({word})"),
        5 => format!("~\"{word}.*{}\"", dice.pick(&WORDS)),
        6 => format!("~\"(?i){word}\""),
        7 => format!("~\"{word}|{}\"", dice.pick(&WORDS)),
        8 => format!("seq({word}, {})", dice.pick(&WORDS)),
        9 => format!("contains_any({word}, \"{}\")", dice.words(2)),
        10 => format!("{field}:*"),
        11 => format!("{field}:\"\""),
        12 => format!("status:>={number}"),
        13 => format!("status:<{number}"),
        14 => format!("dur:>{}ms", number * 3),
        15 => format!("user:\"{user}\""),
        16 => format!("user:=\"{user}\""),
        17 => format!("user:in(\"{user}\", {number}, eve)"),
        18 => format!("level:{}", dice.pick(&["error", "warn", "fatal"])),
        19 => format!("ip:ipv4_range(\"10.0.{}.0/25\")", dice.roll(4)),
        20 => format!("{{app=\"{}\"}}", dice.pick(&["web", "api", "none"])),
        21 => format!("{{host=~\"h[0{}]\",app!=\"db\"}}", dice.roll(4)),
        22 => format!("_time:>={moment}"),
        23 => format!("_time:<{moment}"),
        24 => format!("_time:[{moment}, {}]", time::rfc3339(time + 90 * SECOND)),
        25 => format!("id:{}", dice.roll(30_000)),
        26 => format!("rare:r{}", dice.roll(3)),
        27 => format!("f{rare}:*"),
        28 => format!("f{rare}:{}", dice.pick(&["x", "y", "7", "\"007\""])),
        29 => format!("f{rare}:>6"),
        _ => format!("user:len_range(3, {})", 3 + dice.roll(4)),
    };
    if dice.roll(5) == 0 {
        out.push('-');
    }
    out.push_str(&text);
}

/// Adds pipes whose answer is one; gives whether its order is told.
fn pipes(dice: &mut Dice, out: &mut String) -> bool {
    let by = dice.pick(&FIELDS);
    let also = dice.pick(&FIELDS);
    let limit = 1 + dice.roll(12);
    let (text, ordered) = match dice.roll(24) {
        0 => (" | fields id".into(), false),
        1 => (format!(" | fields id, {by}, _time"), false),
        2 => (format!(" | sort by (_time desc) limit {limit} | fields id"), true),
        3 => (format!(" | sort by (_time) limit {limit} | fields id"), true),
        4 => {
            (format!(" | sort by (status desc, _time, id) limit {limit} | fields id, status"), true)
        }
        5 => (" | count() n".into(), false),
        6 => (format!(" | stats by ({by}) count() n, min(_time) a, max(_time) b"), false),
        7 if by != also => (format!(" | stats by ({by}, {also}) count() n"), false),
        8 => (format!(" | stats by (_time:{}m) count() n", 1 + dice.roll(30)), false),
        9 => (format!(" | stats by (_time:1h, {by}) count() n, count_uniq(user) u"), false),
        10 => (
            " | stats sum(status) a, avg(status) b, quantile(0.9, status) c, count(dur) d".into(),
            false,
        ),
        11 => (
            format!(" | stats by ({by}) sum(dur) a, max(dur) b, median(status) c, min(user) d"),
            false,
        ),
        12 => (format!(" | stats by ({by}) uniq_values(level) v, count_uniq(trace) n"), false),
        13 => (format!(" | stats by ({by}) count() if (error) e, count_empty({also}) f"), false),
        14 => (format!(" | top {limit} by ({by})"), true),
        15 => (format!(" | uniq by ({by}) with hits"), false),
        16 => (format!(" | field_values {by}"), false),
        17 => (" | fields level, status, user, app, rare | facets".into(), false),
        18 if also != "missing" => {
            (format!(" | stats by (f{}) count() n", dice.roll(FIELD_NAMES)), false)
        }
        18 => (" | fields id, level, status, rare, dur | field_names".into(), false),
        19 => (" | extract \"took=<took> \" | stats by (took) count() n".into(), false),
        20 => (" | unpack_json fields (code) | stats by (code) count() n".into(), false),
        21 => {
            (format!(" | math status + 1 as s | format \"<{by}>/<s>\" as f | fields id, f"), false)
        }
        22 => (format!(" | len(_msg) as l | stats by ({by}) max(l) a, sum_len(_msg) b"), false),
        _ => {
            (format!(" | first {limit} by (trace, id) partition by (app) | fields id, app"), false)
        }
    };
    let _ = out.write_str(&text);
    ordered
}
