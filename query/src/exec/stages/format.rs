//! `format`: a text out of fields, each printed in its form.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use rookery_core::rows::{Column, Rows};
use rookery_core::{Result, time};

use super::selection;
use crate::exec::columns::{self, Assign, TextBuilder};
use crate::exec::number;
use crate::exec::pipeline::Stage;
use crate::logsql::ast::{self, Form, TemplatePart};
use rookery_core::json;

/// `format`.
pub(crate) struct Format(pub ast::Format);

impl Stage for Format {
    fn apply(&self, mut rows: Rows) -> Result<Rows> {
        let Self(pipe) = self;
        let selection = selection(pipe.condition.as_ref(), &rows)?;
        let column = render(&pipe.template.parts, &rows)?;
        let rule = Assign {
            selection: selection.as_ref(),
            keep_original: pipe.overwrite.keep_original_fields,
            skip_empty: pipe.overwrite.skip_empty_results,
        };
        columns::assign(&mut rows, &pipe.result, column, rule)?;
        Ok(rows)
    }
}

/// The template's texts. When at most one field is not the same in all rows, each of its values is printed once.
fn render(parts: &[TemplatePart], rows: &Rows) -> Result<Column> {
    let empty = Column::constant("", rows.len);
    let sources: Vec<&Column> = parts
        .iter()
        .map(|part| match part {
            TemplatePart::Field { field, .. } => rows.column(field).unwrap_or(&empty),
            TemplatePart::Text(_) => &empty,
        })
        .collect();
    let varying: Vec<usize> =
        (0..parts.len()).filter(|at| !matches!(sources[*at], Column::Const { .. })).collect();
    if let [] | [_] = varying.as_slice() {
        let source = varying.first().map_or(&empty, |at| sources[*at]);
        let varying = varying.first().copied();
        return columns::map_text(source, &mut |text, out| {
            for (at, part) in parts.iter().enumerate() {
                match (part, sources[at]) {
                    (TemplatePart::Text(literal), _) => out.push_str(literal),
                    (TemplatePart::Field { form, .. }, _) if Some(at) == varying => {
                        print(*form, text, out);
                    }
                    (TemplatePart::Field { form, .. }, Column::Const { value, .. }) => {
                        print(*form, value, out);
                    }
                    _ => {}
                }
            }
        });
    }
    let mut builder = TextBuilder::new(rows.len);
    let (mut out, mut scratch) = (String::new(), String::new());
    for row in 0..rows.len {
        out.clear();
        for (part, source) in parts.iter().zip(&sources) {
            match part {
                TemplatePart::Text(literal) => out.push_str(literal),
                TemplatePart::Field { form, .. } => {
                    print(*form, source.text(row, &mut scratch), &mut out);
                }
            }
        }
        builder.push(&out);
    }
    builder.finish()
}

/// Prints a value in a form; as it is when it does not fit.
fn print(form: Form, text: &str, out: &mut String) {
    let start = out.len();
    if print_fitting(form, text, out).is_none() {
        out.truncate(start);
        out.push_str(text);
    }
}

fn print_fitting(form: Form, text: &str, out: &mut String) -> Option<()> {
    match form {
        Form::Plain => out.push_str(text),
        Form::Quoted => json::push_string(out, text),
        Form::Upper => out.extend(text.chars().flat_map(char::to_uppercase)),
        Form::Lower => out.extend(text.chars().flat_map(char::to_lowercase)),
        Form::UrlEncode => url_encode(text, out),
        Form::UrlDecode => out.push_str(&url_decode(text)?),
        Form::HexEncode => {
            for byte in text.bytes() {
                let _ = write!(out, "{byte:02X}");
            }
        }
        Form::HexDecode => out.push_str(&hex_decode(text)?),
        Form::Base64Encode => base64_encode(text.as_bytes(), out),
        Form::Base64Decode => out.push_str(&String::from_utf8(base64_decode(text)?).ok()?),
        Form::HexNumberEncode => {
            let _ = write!(out, "{:016X}", text.parse::<u64>().ok()?);
        }
        Form::HexNumberDecode => {
            let _ = write!(out, "{}", u64::from_str_radix(text, 16).ok()?);
        }
        Form::Time => time::write_rfc3339(out, unix_nanos(text)?),
        Form::Duration => number::write_duration(out, whole(text)?),
        Form::DurationSeconds => number::write_number(out, number::duration_nanos(text)? / 1e9),
        Form::Ipv4 => {
            let address = u32::try_from(whole(text)?).ok()?;
            let _ = write!(out, "{}", Ipv4Addr::from(address));
        }
    }
    Some(())
}

fn whole(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let value = number::number(text)?;
        (value.abs() < 9.2e18).then_some(value as i64)
    })
}

/// Unix time of any unit, also with a fraction, in nanoseconds.
fn unix_nanos(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(time::epoch(number));
    }
    let (whole, fraction) = text.split_once('.')?;
    let negative = whole.starts_with('-');
    let unit: i64 = whole.parse().ok()?;
    let nanos = time::epoch(unit);
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // One of the unit, in nanoseconds; 1 of a unit that is 0 is a second.
    let scale = if unit == 0 { time::SECOND } else { nanos / unit };
    let share: f64 = format!("0.{fraction}").parse().ok()?;
    let rest = (share * scale as f64).round() as i64;
    Some(if negative { nanos - rest } else { nanos + rest })
}

fn url_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

fn url_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &tail[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex_decode(text: &str) -> Option<String> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let bytes = digits.chunks_exact(2).map(|pair| {
        let digit = |b: u8| char::from(b).to_digit(16);
        Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
    });
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

/// RFC 4648 section 4.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(bytes: &[u8], out: &mut String) {
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            if at <= chunk.len() {
                let digit = group >> (18 - 6 * at) & 63;
                out.push(char::from(BASE64[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let padding = text.len() - text.trim_end_matches('=').len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.as_bytes().chunks_exact(4) {
        let mut group = 0u32;
        for byte in chunk {
            let digit = match byte {
                b'=' => 0,
                byte => BASE64.iter().position(|b| b == byte)?,
            };
            group = group << 6 | digit as u32;
        }
        out.extend_from_slice(&group.to_be_bytes()[1..]);
    }
    out.truncate(out.len() - padding);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_in_their_forms() {
        let cases = [
            (Form::Plain, "a", "a"),
            (Form::Quoted, "a\"b", "\"a\\\"b\""),
            (Form::Upper, "aцC", "AЦC"),
            (Form::Lower, "aBП", "abп"),
            (Form::UrlEncode, "aцC d", "a%D1%86C+d"),
            (Form::UrlDecode, "a+b%20d", "a b d"),
            (Form::UrlDecode, "a%2", "a%2"),
            (Form::HexEncode, "aцC", "61D18643"),
            (Form::HexDecode, "D099D0A6D0A3D09A", "ЙЦУК"),
            (Form::HexDecode, "xyz", "xyz"),
            (Form::Base64Encode, "aцC", "YdGGQw=="),
            (Form::Base64Encode, "abcde", "YWJjZGU="),
            (Form::Base64Decode, "YdGGQw==", "aцC"),
            (Form::Base64Decode, "al", "al"),
            (Form::HexNumberEncode, "1234", "00000000000004D2"),
            (Form::HexNumberDecode, "00000000000004D2", "1234"),
            (Form::Time, "1717328141123456789", "2024-06-02T11:35:41.123456789Z"),
            (Form::Time, "1717328141.123456", "2024-06-02T11:35:41.123456Z"),
            (Form::Time, "-1717328141.123", "1915-08-01T12:24:18.877Z"),
            (Form::Time, "abc", "abc"),
            (Form::Duration, "210123456789", "3m30.123456789s"),
            (Form::Duration, "de", "de"),
            (Form::DurationSeconds, "1h5m35s", "3935"),
            (Form::DurationSeconds, "1.5ms", "0.0015"),
            (Form::Ipv4, "1234567890", "73.150.2.210"),
            (Form::Ipv4, "-1", "-1"),
        ];
        for (form, text, want) in cases {
            let mut out = String::from("<");
            print(form, text, &mut out);
            assert_eq!(out, format!("<{want}"), "{form:?} {text}");
        }
    }
}
