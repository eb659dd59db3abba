//! JSON objects, walked once from the first byte to the last: names and values go out as they are passed.
//!
//! Nested names are joined with `.`; arrays, and objects deeper than [`DEPTH_LIMIT`], are values as they were printed;
//! numbers and booleans too. `null` and empty texts are no fields. The walk needs no stack: the path is one text.

use super::fields::Fields;
use super::{BodyScratch, FIELD_NAME_LIMIT_BYTES};

/// The depth from which an object is kept as text.
const DEPTH_LIMIT: usize = 8;

/// A text in quotes: where it is, without them, and whether it has escapes.
struct Quoted {
    start: usize,
    end: usize,
    escaped: bool,
}

/// Emits the fields of a body that is one JSON object. False when it is not one; what was emitted until then must be
/// taken back.
pub(super) fn parse(text: &str, scratch: &mut BodyScratch, fields: &mut Fields<'_>) -> bool {
    let mut walk = Walk { text, at: 1, depth: 1, starts: [0; DEPTH_LIMIT] };
    scratch.path.clear();
    fields.keyed();
    walk.object(scratch, fields).is_some() && text.as_bytes()[walk.at..].trim_ascii().is_empty()
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// The length of the path when each nested object began.
    starts: [usize; DEPTH_LIMIT],
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.space()? == byte).then(|| self.at += 1)
    }

    /// From behind the first `{` to behind its `}`.
    fn object(&mut self, scratch: &mut BodyScratch, fields: &mut Fields<'_>) -> Option<()> {
        let mut first = true;
        loop {
            match self.space()? {
                b'"' => {}
                b'}' if first => {
                    if self.close(scratch)? {
                        return Some(());
                    }
                    first = false;
                    continue;
                }
                _ => return None,
            }
            let name = self.quoted()?;
            self.expect(b':')?;
            first = self.space()? == b'{' && self.depth < DEPTH_LIMIT;
            if first {
                self.open(&name, scratch)?;
                continue;
            }
            self.field(&name, scratch, fields)?;
            if self.close(scratch)? {
                return Some(());
            }
        }
    }

    /// Into a nested object.
    fn open(&mut self, name: &Quoted, scratch: &mut BodyScratch) -> Option<()> {
        self.at += 1;
        self.starts[self.depth] = scratch.path.len();
        self.depth += 1;
        if name.escaped {
            unescape(&self.text[name.start..name.end], &mut scratch.name)?;
            scratch.path.push_str(&scratch.name);
        } else {
            scratch.path.push_str(&self.text[name.start..name.end]);
        }
        scratch.path.push('.');
        Some(())
    }

    /// Behind a value: over a comma, or out of as many objects as end here. True at the end of all.
    fn close(&mut self, scratch: &mut BodyScratch) -> Option<bool> {
        loop {
            let byte = self.space()?;
            self.at += 1;
            match byte {
                b',' => {
                    // A name must follow; `,}` is no JSON.
                    return (self.space()? == b'"').then_some(false);
                }
                b'}' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(true);
                    }
                    scratch.path.truncate(self.starts[self.depth]);
                }
                _ => return None,
            }
        }
    }

    /// One name and its value, which is no object to be walked.
    fn field(
        &mut self,
        name: &Quoted,
        scratch: &mut BodyScratch,
        fields: &mut Fields<'_>,
    ) -> Option<()> {
        let value = self.value(scratch)?;
        let Some(value) = value else { return Some(()) };
        let BodyScratch { path, value: unescaped, name: plain_name } = scratch;
        let value = match value {
            Value::Text(text) => text,
            Value::Unescaped => unescaped.as_str(),
        };
        let mut key = &self.text[name.start..name.end];
        if name.escaped {
            unescape(key, plain_name)?;
            key = plain_name;
        }
        if self.depth == 1 {
            fields.put(key, value);
            return Some(());
        }
        let length = path.len();
        // The limit bounds the copy; a longer name is dropped by its length all the same.
        let kept = key.floor_char_boundary(FIELD_NAME_LIMIT_BYTES + 1);
        path.push_str(&key[..kept]);
        fields.put(path, value);
        path.truncate(length);
        Some(())
    }

    /// The value here: `Some(None)` where it is no field. Leaves `at` behind it.
    fn value(&mut self, scratch: &mut BodyScratch) -> Option<Option<Value<'a>>> {
        let start = self.at;
        match self.peek()? {
            b'"' => {
                let quoted = self.quoted()?;
                let raw = &self.text[quoted.start..quoted.end];
                if !quoted.escaped {
                    return Some(Some(Value::Text(raw)));
                }
                unescape(raw, &mut scratch.value)?;
                Some(Some(Value::Unescaped))
            }
            b'{' | b'[' => {
                self.nested()?;
                Some(Some(Value::Text(&self.text[start..self.at])))
            }
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null").map(|_| None),
            b'-' | b'0'..=b'9' => {
                let rest = &self.text.as_bytes()[start..];
                let number = |b: &&u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                self.at += rest.iter().take_while(number).count();
                Some(Some(Value::Text(&self.text[start..self.at])))
            }
            _ => None,
        }
    }

    fn literal(&mut self, word: &str) -> Option<Option<Value<'a>>> {
        let found = self.text.get(self.at..self.at + word.len()).filter(|t| *t == word)?;
        self.at += word.len();
        Some(Some(Value::Text(found)))
    }

    /// A text in quotes, from its first quote to behind its last.
    fn quoted(&mut self) -> Option<Quoted> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at += quote_or_escape(&bytes[at..])?;
            if bytes[at] == b'"' {
                self.at = at + 1;
                return Some(Quoted { start, end: at, escaped });
            }
            escaped = true;
            at += 2;
            if at > bytes.len() {
                return None;
            }
        }
    }

    /// Over an array or an object that is kept as text.
    fn nested(&mut self) -> Option<()> {
        let mut open = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.quoted()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(());
            }
        }
    }
}

enum Value<'a> {
    /// As it was printed.
    Text(&'a str),
    /// In the scratch buffer.
    Unescaped,
}

/// How far it is to the next quote or backslash: eight bytes at a time, as most texts are short.
#[inline]
pub(crate) fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // The lowest byte found is exact; ones above it may be false, and are not looked at.
        let found =
            zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes[at..].iter().position(|b| matches!(b, b'"' | b'\\'))?;
    Some(at + rest)
}

/// A text of JSON without its escapes, into `out`. A half of a surrogate pair becomes U+FFFD. `None` when an escape is
/// none.
pub(crate) fn unescape(text: &str, out: &mut String) -> Option<()> {
    out.clear();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let code = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        out.push(match code {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\\' | b'/' => char::from(code),
            b'u' => {
                let (char, length) = unicode(rest)?;
                rest = &rest[length..];
                char
            }
            _ => return None,
        });
    }
    out.push_str(rest);
    Some(())
}

/// The character of the digits behind `\u`, and how many bytes they and a second half take.
fn unicode(rest: &str) -> Option<(char, usize)> {
    let hex = |at: usize| -> Option<u32> {
        let digits = rest.get(at..at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let high = hex(0)?;
    if (0xd800..0xdc00).contains(&high)
        && rest.get(4..6) == Some("\\u")
        && let Some(low @ 0xdc00..0xe000) = hex(6)
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code).unwrap_or('\u{fffd}'), 10));
    }
    Some((char::from_u32(high).unwrap_or('\u{fffd}'), 4))
}
