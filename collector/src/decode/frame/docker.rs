//! Docker's `json-file` log: `{"log":"message\n","stream":"stdout","time":"2026-11-21T01:02:03.456789012Z"}`. A line of
//! a program that is longer than 16 KiB comes in parts, of which only the last ends in a newline.

use super::{Frame, Output, Text};
use crate::decode::body::{quote_or_escape, unescape};
use crate::decode::time::form;

/// Whether a line may be one of Docker's.
pub(super) fn looks_like(line: &[u8]) -> bool {
    line.starts_with(b"{\"log\":\"") && parse(line, &mut String::new()).is_some()
}

/// Takes the wrapping off a line; `None` when it is not in the format. A message with escapes goes into `scratch`.
pub(super) fn parse(line: &[u8], scratch: &mut String) -> Option<Frame> {
    let mut frame = Frame {
        time: None,
        output: Output::None,
        partial: true,
        text: Text::Scratch,
        framed: true,
    };
    let mut has_log = false;
    let mut at = expect(line, 0, b'{')?;
    loop {
        let (key, after) = quoted(line, at)?;
        at = space(line, expect(line, after, b':')?);
        if line.get(at) != Some(&b'"') {
            // Attributes, which Docker adds when it is asked for labels.
            at = skip_object(line, at)?;
        } else {
            let (value, after) = quoted(line, at)?;
            at = after;
            match &line[key] {
                b"log" => {
                    (frame.text, frame.partial) = message(line, value, scratch)?;
                    has_log = true;
                }
                b"stream" if line[value.clone()] == *b"stdout" => frame.output = Output::Stdout,
                b"stream" if line[value.clone()] == *b"stderr" => frame.output = Output::Stderr,
                b"time" => frame.time = time(&line[value]),
                _ => {}
            }
        }
        at = space(line, at);
        match line.get(at)? {
            b',' => at = space(line, at + 1),
            b'}' if space(line, at + 1) == line.len() => break,
            _ => return None,
        }
    }
    (has_log && frame.time.is_some()).then_some(frame)
}

fn space(line: &[u8], at: usize) -> usize {
    at + line.get(at..).map_or(0, |l| l.iter().take_while(|b| b.is_ascii_whitespace()).count())
}

fn expect(line: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = space(line, at);
    (line.get(at) == Some(&byte)).then_some(at + 1)
}

/// The text in quotes at `at` without them, and the place behind.
fn quoted(line: &[u8], at: usize) -> Option<(std::ops::Range<usize>, usize)> {
    let start = expect(line, at, b'"')?;
    let mut end = start;
    loop {
        end += quote_or_escape(line.get(end..)?)?;
        if line[end] == b'"' {
            return Some((start..end, end + 1));
        }
        end += 2;
    }
}

/// The place behind an object of texts.
fn skip_object(line: &[u8], at: usize) -> Option<usize> {
    let mut at = expect(line, at, b'{')?;
    loop {
        match line.get(at)? {
            b'"' => at = quoted(line, at)?.1,
            b'}' => return Some(at + 1),
            b'{' => return None,
            _ => at += 1,
        }
    }
}

/// The message, and whether it is a part: its newline, an escape, is at the end and mostly the only one.
fn message(
    line: &[u8],
    value: std::ops::Range<usize>,
    scratch: &mut String,
) -> Option<(Text, bool)> {
    let raw = &line[value.clone()];
    let escapes = memchr::memchr_iter(b'\\', raw).take(2).count();
    match (escapes, raw.ends_with(b"\\n")) {
        (0, _) => return Some((Text::Line(value), true)),
        (1, true) => return Some((Text::Line(value.start..value.end - 2), false)),
        _ => {}
    }
    match std::str::from_utf8(raw) {
        Ok(text) => unescape(text, scratch)?,
        Err(_) => unescape(&String::from_utf8_lossy(raw), scratch)?,
    }
    let complete = scratch.ends_with('\n');
    if complete {
        scratch.pop();
    }
    Some((Text::Scratch, !complete))
}

fn time(text: &[u8]) -> Option<i64> {
    use rookery_core::time::{DAY, SECOND, days_from_civil};
    let stamp = form::read(form::Form::Iso, text)?;
    match stamp.what {
        form::What::Instant(nanos) => Some(nanos),
        form::What::Civil { year, month, day, of_day, offset } => {
            let days = days_from_civil(i64::from(year?), month, day);
            Some(days * DAY + of_day - i64::from(offset.unwrap_or(0)) * SECOND)
        }
    }
}
