//! JSON as records and pipes need it: objects flattened into fields, arrays into items, texts quoted and unquoted.
//!
//! The reader walks the text once and hands out slices of it; only a string with escapes is copied. Nested names are joined with
//! `.`; a number keeps its spelling; an array becomes one text without spaces between its parts; `null` is no field. What is
//! not JSON gives nothing, not an error: a reader goes over millions of lines, some of which are something else.

use std::borrow::Cow;

/// The deepest nesting that is followed; deeper is not JSON to us.
pub const DEPTH_LIMIT: usize = 64;

/// Calls `field(name, value)` for each field of the object that `text` is; false when it is not one.
///
/// Fields that were found before a mistake in the text have been handed out already.
pub fn flatten(text: &str, field: &mut dyn FnMut(&str, &str)) -> bool {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    if reader.peek() != Some(b'{') {
        return false;
    }
    let mut name = String::new();
    let done = reader.object(&mut name, 0, field).is_some();
    reader.space();
    done && reader.at == text.len()
}

/// The items of the array that `text` is, strings unquoted, everything else as it is written; `None` when it is not one.
pub fn array_items<'a>(text: &'a str, item: &mut dyn FnMut(Cow<'a, str>)) -> Option<()> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    reader.expect(b'[')?;
    reader.space();
    if reader.peek() == Some(b']') {
        reader.at += 1;
    } else {
        loop {
            reader.space();
            if reader.peek() == Some(b'"') {
                item(reader.string()?);
            } else {
                let raw = reader.value(1)?;
                item(compact(raw));
            }
            reader.space();
            match reader.next()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
    }
    reader.space();
    (reader.at == text.len()).then_some(())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn object(
        &mut self,
        name: &mut String,
        depth: usize,
        field: &mut dyn FnMut(&str, &str),
    ) -> Option<()> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        self.expect(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            let outer = name.len();
            if outer > 0 {
                name.push('.');
            }
            name.push_str(&key);
            self.field_value(name, depth, field)?;
            name.truncate(outer);
            self.space();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn field_value(
        &mut self,
        name: &mut String,
        depth: usize,
        field: &mut dyn FnMut(&str, &str),
    ) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(name, depth + 1, field)?,
            b'"' => {
                let value = self.string()?;
                field(name, &value);
            }
            b'[' => {
                let raw = self.value(depth)?;
                field(name, &compact(raw));
            }
            _ => {
                let raw = self.value(depth)?;
                if raw != "null" {
                    field(name, raw);
                }
            }
        }
        Some(())
    }

    /// The string that starts here, unquoted.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let end = start + memchr::memchr2(b'"', b'\\', &bytes[start..])?;
        if bytes[end] == b'"' {
            self.at = end + 1;
            return Some(Cow::Borrowed(&self.text[start..end]));
        }
        let (value, used) = unescape(&self.text[start..], '"')?;
        self.at = start + used;
        Some(Cow::Owned(value))
    }

    /// The text of the value that starts here.
    fn value(&mut self, depth: usize) -> Option<&'a str> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        let start = self.at;
        match self.peek()? {
            b'"' => drop(self.string()?),
            b'{' => self.object(&mut String::new(), depth, &mut |_, _| {})?,
            b'[' => {
                self.at += 1;
                self.space();
                if self.peek() == Some(b']') {
                    self.at += 1;
                } else {
                    self.items(depth)?;
                }
            }
            _ => {
                let rest = &self.text.as_bytes()[start..];
                let len = rest
                    .iter()
                    .position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'+' | b'.'))
                    .unwrap_or(rest.len());
                if len == 0 {
                    return None;
                }
                self.at += len;
                let word = &self.text[start..self.at];
                let literal = matches!(word, "true" | "false" | "null" | "NaN");
                if !literal && !is_number(word) {
                    return None;
                }
            }
        }
        Some(&self.text[start..self.at])
    }

    fn items(&mut self, depth: usize) -> Option<()> {
        loop {
            self.space();
            self.value(depth + 1)?;
            self.space();
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }
}

/// Whether a word is a number as texts hold them: JSON's own, and the sizes and durations that some programs print bare.
fn is_number(word: &str) -> bool {
    let starts =
        matches!(word.as_bytes(), [b'0'..=b'9' | b'.', ..] | [b'-' | b'+', b'0'..=b'9' | b'.', ..]);
    starts && crate::filter::eval::number::plain(word).is_some()
}

/// JSON without the spaces between its parts.
fn compact(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(|b| b.is_ascii_whitespace()) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in raw.chars() {
        if !quoted && c.is_ascii_whitespace() {
            continue;
        }
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        out.push(c);
    }
    Cow::Owned(out)
}

/// The text up to the closing `quote`, escapes resolved, and how many bytes it took with the quote.
fn unescape(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((out, at + c.len_utf8()));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()?.1 {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'a' => out.push('\u{7}'),
            'v' => out.push('\u{b}'),
            'x' => out.push(char::from(u8::try_from(hex(&mut chars, 2)?).ok()?)),
            'u' => {
                let first = hex(&mut chars, 4)?;
                out.push(surrogate(&mut chars, first));
            }
            c @ ('"' | '\'' | '\\' | '/' | '`') => out.push(c),
            _ => return None,
        }
    }
    None
}

fn hex(chars: &mut std::str::CharIndices<'_>, digits: usize) -> Option<u32> {
    let mut value = 0;
    for _ in 0..digits {
        value = value * 16 + chars.next()?.1.to_digit(16)?;
    }
    Some(value)
}

/// The character of a `\u` escape, with the second half of a pair when it follows.
fn surrogate(chars: &mut std::str::CharIndices<'_>, first: u32) -> char {
    if (0xD800..0xDC00).contains(&first) {
        let mut ahead = chars.clone();
        let second = match (ahead.next(), ahead.next()) {
            (Some((_, '\\')), Some((_, 'u'))) => hex(&mut ahead, 4),
            _ => None,
        };
        if let Some(low) = second.filter(|low| (0xDC00..0xE000).contains(low)) {
            *chars = ahead;
            let code = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
    }
    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The quoted string that `text` starts with (double quotes with escapes, or backticks as they are), unquoted, and its length
/// in `text`; `None` when it does not start with a whole one.
pub fn unquote_prefix(text: &str) -> Option<(Cow<'_, str>, usize)> {
    if let Some(rest) = text.strip_prefix('`') {
        let end = rest.find('`')?;
        return Some((Cow::Borrowed(&rest[..end]), end + 2));
    }
    let rest = text.strip_prefix('"')?;
    let (value, used) = unescape(rest, '"')?;
    Some((Cow::Owned(value), used + 1))
}

/// Appends `text` as a JSON string, with its quotes.
pub fn push_string(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// An object of texts under construction; empty values are left out.
pub struct ObjectWriter<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> ObjectWriter<'a> {
    /// Starts an object at the end of `out`.
    pub fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    /// Adds a field, unless its value is empty.
    pub fn field(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        push_string(self.out, name);
        self.out.push(':');
        push_string(self.out, value);
    }

    /// Ends the object.
    pub fn end(self) {
        self.out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> (bool, Vec<(String, String)>) {
        let mut out = Vec::new();
        let whole = flatten(text, &mut |name, value| out.push((name.into(), value.into())));
        (whole, out)
    }

    #[test]
    fn objects_flatten_into_named_texts() {
        let (whole, got) = fields(
            r#" {"a":"b\n\u00e9\ud83d\ude00","n":1.50,"t":true,"z":null,"o":{"x":{"y":-1}},"l":[1, "a b", {"k": 2}],"e":{}} "#,
        );
        let want = [
            ("a", "b\né😀"),
            ("n", "1.50"),
            ("t", "true"),
            ("o.x.y", "-1"),
            ("l", r#"[1,"a b",{"k":2}]"#),
        ];
        assert!(whole);
        assert_eq!(got, want.map(|(a, b)| (a.to_string(), b.to_string())));
        for wrong in ["", "x", "[1]", "{\"a\":}", "{\"a\":1", "{\"a\":1}x", "{a:1}", "{\"a\":tru}"]
        {
            assert!(!fields(wrong).0, "{wrong}");
        }
        let deep = "{\"a\":".repeat(5000) + "1" + &"}".repeat(5000);
        assert!(!fields(&deep).0);
        assert!(!fields(&format!("{{\"a\":{}}}", "[".repeat(100_000))).0);
    }

    #[test]
    fn arrays_give_their_items() {
        let items = |text: &str| {
            let mut out = Vec::new();
            array_items(text, &mut |item| out.push(item.into_owned())).map(|()| out)
        };
        assert_eq!(
            items(r#"["foo",1,{"baz": "x"},[1,2],null,NaN]"#).unwrap(),
            ["foo", "1", r#"{"baz":"x"}"#, "[1,2]", "null", "NaN"]
        );
        assert_eq!(items(" [ ] ").unwrap(), Vec::<String>::new());
        assert_eq!(items("foo"), None);
        assert_eq!(items("[1,"), None);
    }

    #[test]
    fn strings_are_quoted_and_unquoted() {
        let mut out = String::new();
        push_string(&mut out, "a\"\\\n\u{1}é");
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001é\"");
        let (value, used) = unquote_prefix(&out).unwrap();
        assert_eq!((value.as_ref(), used), ("a\"\\\n\u{1}é", out.len()));
        assert_eq!(unquote_prefix("`a\\`b").unwrap().0, "a\\");
        assert_eq!(unquote_prefix("\"abc"), None);
    }
}
