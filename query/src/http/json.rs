//! JSON out: rows as lines, without a value tree for any of them.

use rookery_core::rows::{Column, Rows};

/// Fields that say where a record is; they are printed only when a query names them.
pub(super) const POSITION_FIELDS: [&str; 3] = ["_generation", "_offset", "_observed"];

/// Appends each row as one line of JSON: an object of texts, empty ones left out.
///
/// `hide` names columns that are not printed.
pub(super) fn write_lines(out: &mut Vec<u8>, rows: &Rows, hide: &[&str]) {
    let columns: Vec<(Vec<u8>, &Column)> = rows
        .columns
        .iter()
        .filter(|(name, _)| !hide.contains(&name.as_ref()))
        .map(|(name, column)| {
            let mut key = Vec::with_capacity(name.len() + 3);
            write_text(&mut key, name);
            key.push(b':');
            (key, column)
        })
        .collect();
    let mut scratch = String::new();
    for row in 0..rows.len {
        out.push(b'{');
        let mut first = true;
        for (key, column) in &columns {
            let text = column.text(row, &mut scratch);
            if text.is_empty() {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(key);
            write_text(out, text);
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a text as a JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !(byte < 0x20 || byte == b'"' || byte == b'\\') {
            continue;
        }
        out.extend_from_slice(&bytes[clean..at]);
        clean = at + 1;
        match byte {
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
    }
    out.extend_from_slice(&bytes[clean..]);
    out.push(b'"');
}

/// The texts of a column.
pub(super) fn texts<'a>(rows: &'a Rows, field: &str) -> impl Iterator<Item = String> + 'a {
    let column = rows.column(field);
    let mut scratch = String::new();
    (0..rows.len).map(move |row| column.map_or_else(String::new, |c| c.text(row, &mut scratch).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn lines_hold_what_is_not_empty_and_every_byte_comes_back() {
        let odd: String = (0..=255u8).map(char::from).chain(['日', '\u{2028}']).collect();
        let rows = Rows {
            len: 1,
            columns: vec![
                ("a\"b".into(), Column::constant(&odd, 1)),
                ("empty".into(), Column::constant("", 1)),
                ("_offset".into(), Column::UInt(vec![5].into())),
            ],
        };
        let mut out = Vec::new();
        write_lines(&mut out, &rows, &POSITION_FIELDS);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value, serde_json::json!({ "a\"b": odd }));
        let _: Arc<str> = rows.columns[0].0.clone();
    }
}
