//! JSON out: rows as lines, without a value tree for any of them.
//!
//! What many rows share is printed once: a constant column with its name, each entry of a dictionary. A text is copied in runs
//! between the bytes that need an escape, which are looked for eight at a time.

use arrow_array::{Array as _, StringArray};
use rookery_core::rows::{Column, Rows, dictionary_values};
use rookery_core::time;

/// Appends each row as one line of JSON: an object of texts, empty ones left out.
///
/// `hide` says which columns are not printed.
pub(super) fn write_lines(out: &mut Vec<u8>, rows: &Rows, hide: impl Fn(&str) -> bool) {
    let columns: Vec<Member<'_>> = rows
        .columns
        .iter()
        .filter(|(name, _)| !hide(name))
        .map(|(name, column)| Member::new(name, column))
        .collect();
    let mut scratch = String::new();
    for row in 0..rows.len {
        out.push(b'{');
        let start = out.len();
        for column in &columns {
            column.write(out, row, &mut scratch);
        }
        // Each member ends with a comma.
        if out.len() > start {
            out.pop();
        }
        out.extend_from_slice(b"}\n");
    }
}

/// One column on its way out.
struct Member<'a> {
    /// `"name":`
    key: Vec<u8>,
    values: Values<'a>,
}

enum Values<'a> {
    /// The same member, name and comma included, in every row.
    Same(Vec<u8>),
    Texts(&'a StringArray),
    Times(&'a arrow_array::TimestampNanosecondArray),
    /// Members, name and comma included, one for each entry, and where each ends.
    Entries {
        column: &'a Column,
        members: Vec<u8>,
        ends: Vec<usize>,
    },
    Others(&'a Column),
}

impl<'a> Member<'a> {
    fn new(name: &str, column: &'a Column) -> Self {
        let mut key = Vec::with_capacity(name.len() + 3);
        write_text(&mut key, name);
        key.push(b':');
        let member = |out: &mut Vec<u8>, text: &str| {
            if !text.is_empty() {
                out.extend_from_slice(&key);
                write_text(out, text);
                out.push(b',');
            }
        };
        let values = match column {
            Column::Const { value, .. } => {
                let mut same = Vec::new();
                member(&mut same, value);
                Values::Same(same)
            }
            Column::Text(texts) => Values::Texts(texts),
            Column::Time(times) => Values::Times(times),
            // A dictionary may be shared with many other batches; it is worth it only when most of it is used.
            Column::Dict(dictionary) if dictionary_values(dictionary).len() <= column.len() => {
                let mut members = Vec::new();
                let ends = dictionary_values(dictionary).iter().map(|text| {
                    member(&mut members, text.unwrap_or(""));
                    members.len()
                });
                let ends = ends.collect();
                Values::Entries { column, members, ends }
            }
            _ => Values::Others(column),
        };
        Self { key, values }
    }

    /// Appends `"name":"value",`, or nothing when the value is empty.
    fn write(&self, out: &mut Vec<u8>, row: usize, scratch: &mut String) {
        let text = match &self.values {
            Values::Same(member) => return out.extend_from_slice(member),
            Values::Entries { column: Column::Dict(dictionary), members, ends } => {
                if let Some(entry) = dictionary.key(row) {
                    let start = if entry == 0 { 0 } else { ends[entry - 1] };
                    out.extend_from_slice(&members[start..ends[entry]]);
                }
                return;
            }
            Values::Times(times) if times.is_valid(row) => {
                out.extend_from_slice(&self.key);
                out.push(b'"');
                write_time(out, times.value(row));
                return out.extend_from_slice(b"\",");
            }
            Values::Times(_) => return,
            Values::Texts(texts) if texts.is_null(row) => return,
            Values::Texts(texts) => texts.value(row),
            Values::Entries { column, .. } | Values::Others(column) => column.text(row, scratch),
        };
        if !text.is_empty() {
            out.extend_from_slice(&self.key);
            write_text(out, text);
            out.push(b',');
        }
    }
}

/// Appends a time as [`time::write_rfc3339`] prints it.
fn write_time(out: &mut Vec<u8>, at: i64) {
    let (days, of_day) = (at.div_euclid(time::DAY), at.rem_euclid(time::DAY));
    let (year, month, day) = time::civil_from_days(days);
    let (seconds, nanos) = (of_day / time::SECOND, of_day % time::SECOND);
    let mut put = |before: u8, number: i64, width: usize| {
        if before != 0 {
            out.push(before);
        }
        let start = out.len();
        out.resize(start + width, b'0');
        let mut rest = number;
        for digit in out[start..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    };
    put(0, year, 4);
    put(b'-', i64::from(month), 2);
    put(b'-', i64::from(day), 2);
    put(b'T', seconds / 3600, 2);
    put(b':', seconds / 60 % 60, 2);
    put(b':', seconds % 60, 2);
    match nanos {
        0 => {}
        nanos if nanos % 1_000_000 == 0 => put(b'.', nanos / 1_000_000, 3),
        nanos if nanos % 1_000 == 0 => put(b'.', nanos / 1_000, 6),
        nanos => put(b'.', nanos, 9),
    }
    out.push(b'Z');
}

/// Appends a text as a JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = next_escaped(rest) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte is that JSON wants escaped: a quote, a backslash, or one below the space.
///
/// Of eight bytes in a word, those below `n` are the ones whose top bit is set in `(word - n) & !word`. A borrow can only
/// reach bytes above one that was found, so the lowest is right.
fn next_escaped(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("a chunk has 8 bytes"));
        let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let found = (below(word, 0x20) | below(quote, 1) | below(slash, 1)) & TOPS;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let tail = chunks.remainder().iter();
    tail.copied()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
        .map(|found| at + found)
}

/// The texts of a column.
pub(super) fn texts<'a>(rows: &'a Rows, field: &str) -> impl Iterator<Item = String> + 'a {
    let column = rows.column(field);
    let mut scratch = String::new();
    (0..rows.len)
        .map(move |row| column.map_or_else(String::new, |c| c.text(row, &mut scratch).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(rows: &Rows) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        write_lines(&mut out, rows, |name| name == "_offset");
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
            .collect()
    }

    #[test]
    fn every_text_comes_back_wherever_its_odd_bytes_are() {
        let odd: String = (0..=255u8).map(char::from).chain(['日', '\u{2028}']).collect();
        for length in 0..40 {
            for at in 0..length {
                for c in ['"', '\\', '\n', '\u{1}', '\u{1f}', ' ', '\u{7f}', 'é'] {
                    let mut text: Vec<char> = vec!['x'; length];
                    text[at] = c;
                    text[length / 2] = '\u{80}';
                    let text: String = text.into_iter().collect();
                    let mut out = Vec::new();
                    write_text(&mut out, &text);
                    assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
                }
            }
        }
        let rows = Rows { len: 1, columns: vec![("a\"b".into(), Column::constant(&odd, 1))] };
        assert_eq!(print(&rows), [serde_json::json!({ "a\"b": odd })]);
    }

    #[test]
    fn lines_hold_what_is_not_empty_in_each_form_of_column() {
        let keys = arrow_array::UInt32Array::from(vec![Some(1), None, Some(0), Some(2)]);
        let dictionary = StringArray::from(vec!["x", "y\"", ""]);
        let rows = Rows {
            len: 4,
            columns: vec![
                ("same".into(), Column::constant("s", 4)),
                ("empty".into(), Column::constant("", 4)),
                ("_offset".into(), Column::UInt(vec![5, 6, 7, 8].into())),
                ("dict".into(), Column::dictionary(keys, dictionary).unwrap()),
                (
                    "text".into(),
                    Column::Text(StringArray::from(vec![Some("a"), None, Some(""), Some("\n")])),
                ),
                ("n".into(), Column::Int(vec![-1, 0, 1, 2].into())),
            ],
        };
        let expected = [
            serde_json::json!({ "same": "s", "dict": "y\"", "text": "a", "n": "-1" }),
            serde_json::json!({ "same": "s", "n": "0" }),
            serde_json::json!({ "same": "s", "dict": "x", "n": "1" }),
            serde_json::json!({ "same": "s", "text": "\n", "n": "2" }),
        ];
        assert_eq!(print(&rows), expected);
        assert_eq!(
            print(&Rows { len: 2, columns: Vec::new() }),
            [serde_json::json!({}), serde_json::json!({})]
        );
    }

    #[test]
    fn times_print_as_everywhere() {
        for at in [
            0,
            -1,
            1_500_000_000,
            1_795_255_200_123_456_789,
            1_795_255_200_123_456_000,
            i64::MIN,
            i64::MAX,
        ] {
            let mut out = Vec::new();
            write_time(&mut out, at);
            assert_eq!(String::from_utf8(out).unwrap(), time::rfc3339(at));
        }
    }
}
