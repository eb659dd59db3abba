//! Which lines belong to the one before them: indented ones, and the unindented lines of stack traces.
//!
//! The shapes are those that the runtimes print: Java (`Caused by:`, `... 12 more`), Python (`Traceback`, and the
//! exception under it), Go (`panic:`, `goroutine 1 [running]:` and the calls), Rust (`panicked at`, `note:`), Node
//! (`Error: …` under the line of code), .NET (`--- End of …`).

use super::starts_with_time;
use crate::decode::severity;

/// What a record has shown itself to be, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Trace {
    /// Nothing special, with so many bytes of indentation at its start.
    Text { indent: usize },
    /// Python, ahead of the line that names the exception.
    Python,
    /// Go, until a line that is none of its.
    Go,
    /// Rust; `message` where the next line is the panic's.
    Rust { message: bool },
    /// Node, which prints the line of code, a blank line, and then the error.
    Node,
}

/// A level from which a line may be followed by an exception: warnings.
const WARN: u8 = 13;

impl Trace {
    /// What a first line shows.
    pub(in crate::decode) fn start(text: &[u8]) -> Self {
        let Some(&first) = text.first() else { return Self::Text { indent: 0 } };
        match first {
            b' ' | b'\t' => Self::Text { indent: indent(text) },
            b'T' if is_python_heading(text) => Self::Python,
            b'p' if text.starts_with(b"panic: ") => Self::Go,
            b'f' if text.starts_with(b"fatal error: ") => Self::Go,
            b'g' if is_goroutine(text) => Self::Go,
            b't' if is_rust_panic(text) => Self::Rust { message: text.ends_with(b":") },
            b'/' | b'n' | b'f' if is_node_place(text) => Self::Node,
            _ => Self::Text { indent: 0 },
        }
    }

    /// Whether `line` continues the record of `lines` lines that starts with `record` and has had `blanks` blank lines
    /// since; remembers what the line shows.
    pub(in crate::decode) fn continues(
        &mut self,
        record: &[u8],
        lines: u32,
        blanks: u32,
        line: &[u8],
    ) -> bool {
        let Some(&first) = line.first() else { return false };
        if matches!(first, b' ' | b'\t') {
            let own = if let Self::Text { indent } = *self { indent } else { 0 };
            let depth = indent(line);
            // A blank line between two texts that are no trace parts them.
            let apart =
                blanks > 0 && lines == 1 && *self == Self::Text { indent: 0 } && first == b' ';
            return depth > own && !apart && !starts_with_time(&line[depth..]);
        }
        if let Self::Rust { message: true } = self {
            *self = Self::Rust { message: false };
            return true;
        }
        match *self {
            Self::Go if is_go(line) => return true,
            Self::Rust { .. } if line.starts_with(b"note: ") => return true,
            Self::Node if line.starts_with(b"Node.js v") || is_exception(line) => return true,
            Self::Python if !starts_with_time(line) && !is_python_heading(line) => {
                // The exception itself: the first line that is not indented.
                *self = Self::Text { indent: 0 };
                return lines > 1;
            }
            _ => {}
        }
        self.marked(record, lines, line)
    }

    /// Lines that say of themselves that they continue a trace.
    fn marked(&mut self, record: &[u8], lines: u32, line: &[u8]) -> bool {
        let starts = |prefix: &[u8]| line.starts_with(prefix);
        match line[0] {
            b'C' => starts(b"Caused by:"),
            b'.' => {
                starts(b"... ")
                    && (line.ends_with(b" more") || line.ends_with(b" common frames omitted"))
            }
            b'-' => starts(b"--- End of ") || starts(b"---> "),
            b's' => starts(b"stack backtrace:"),
            b'}' | b']' | b')' => {
                line.iter().all(|b| matches!(b, b'}' | b']' | b')' | b',' | b';'))
            }
            b'a' => starts(b"at ") && line.ends_with(b")") && lines > 1,
            b'D' | b'T' if is_python_heading(line) => {
                (lines > 1 || severity::of_text(record) >= WARN) && self.python()
            }
            b'p' | b'g' if lines == 1 && severity::of_text(record) >= WARN => {
                let go = starts(b"panic: ") || is_goroutine(line);
                if go {
                    *self = Self::Go;
                }
                go
            }
            _ => lines == 1 && is_exception(line) && severity::of_text(record) >= WARN,
        }
    }

    fn python(&mut self) -> bool {
        *self = Self::Python;
        true
    }
}

/// A line that is followed by the frames of a Python trace.
fn is_python_heading(line: &[u8]) -> bool {
    line.starts_with(b"Traceback (most recent call last)")
        || line.starts_with(b"During handling of the above exception, another")
        || line.starts_with(b"The above exception was the direct cause")
}

fn indent(text: &[u8]) -> usize {
    text.iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// `goroutine 1 [running]:`
fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && line.ends_with(b"]:")
}

/// `thread 'main' panicked at src/main.rs:2:5:`
fn is_rust_panic(line: &[u8]) -> bool {
    line.starts_with(b"thread '") && memchr::memmem::find(line, b"panicked at ").is_some()
}

/// `/app/index.js:10`, `file:///app/index.mjs:10`, `node:internal/modules/cjs/loader:1080`
fn is_node_place(line: &[u8]) -> bool {
    let Some(colon) = memchr::memrchr(b':', line) else { return false };
    let (place, number) = (&line[..colon], &line[colon + 1..]);
    let named = [&b".js"[..], b".mjs", b".cjs", b".ts"].iter().any(|end| place.ends_with(end));
    !number.is_empty()
        && number.iter().all(u8::is_ascii_digit)
        && !place.contains(&b' ')
        && (named || place.starts_with(b"node:"))
}

/// A line of a Go trace that is not indented.
fn is_go(line: &[u8]) -> bool {
    let starts = |prefix: &[u8]| line.starts_with(prefix);
    if is_goroutine(line)
        || starts(b"created by ")
        || starts(b"[signal ")
        || starts(b"exit status ")
    {
        return true;
    }
    if starts(b"panic: ") || starts(b"runtime stack:") || starts(b"...additional frames elided...")
    {
        return true;
    }
    // `main.(*Server).serve(0xc000012345, {0x7f, 0x2})`, and the registers that a signal prints.
    let call = line.ends_with(b")")
        && memchr::memchr(b'(', line).is_some_and(|at| at > 0 && !line[..at].contains(&b' '));
    let register = line.len() < 40 && memchr::memmem::find(line, b" 0x").is_some_and(|at| at <= 8);
    call || register
}

/// `java.lang.IllegalStateException: text`, `ValueError: text`, `System.IO.IOException`, `Uncaught TypeError: text`.
fn is_exception(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"Uncaught ").unwrap_or(line);
    let name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$' | b'/');
    let end = line.iter().take(160).take_while(name).count();
    let (class, rest) = line.split_at(end);
    let ends = [&b"Exception"[..], b"Error", b"Throwable", b"Failure", b"Interrupt", b"Warning"];
    let named = ends.iter().any(|e| class.ends_with(e));
    named && (rest.is_empty() || rest.starts_with(b":") || rest.starts_with(b" ["))
}
