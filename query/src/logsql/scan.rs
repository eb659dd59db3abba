//! The place in the text, and the pieces that every rule reads: spaces, words, quoted texts, names, numbers.

use std::sync::Arc;

use rookery_core::filter::FieldName;

use super::ast::{FieldPattern, Options, Query, Subquery};
use super::{DEPTH_LIMIT, PATTERNS_LIMIT, ParseError, QUERY_LIMIT_BYTES, numbers};

/// How much of a text an error repeats.
const SHOWN_CHARS: usize = 24;

/// The result of a rule.
pub(super) type Parsed<T> = Result<T, ParseError>;

/// What a bare word may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Names and search words: everything but spaces and signs of the language.
    Word,
    /// Values after `field:` and arguments: also the signs that only mean something at the start of a test.
    Value,
    /// Operands of `math`: what is not an operator.
    Operand,
}

impl Class {
    fn holds(self, c: char) -> bool {
        match self {
            Self::Word => !c.is_whitespace() && !"()[]{}\"'`,|*:!=~<>".contains(c),
            Self::Value => !c.is_whitespace() && !"()[]{}\"'`,|*".contains(c),
            Self::Operand => c.is_alphanumeric() || "_.@$".contains(c),
        }
    }
}

/// A reader of one text.
pub(super) struct Parser<'a> {
    text: &'a str,
    /// The next byte.
    pub(super) position: usize,
    /// The present, in nanoseconds since the epoch.
    pub(super) now: i64,
    /// The subqueries of the query that is being read.
    pub(super) subqueries: Vec<Subquery>,
    depth: usize,
    /// How many regular expressions were compiled.
    patterns: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, now: i64) -> Parsed<Self> {
        if text.len() > QUERY_LIMIT_BYTES {
            return Err(ParseError {
                position: text.floor_char_boundary(QUERY_LIMIT_BYTES),
                expected: String::new(),
                message: format!(
                    "the query has {} bytes and may have {QUERY_LIMIT_BYTES}: put long lists of values into a subquery",
                    text.len()
                ),
            });
        }
        Ok(Self { text, position: 0, now, subqueries: Vec::new(), depth: 0, patterns: 0 })
    }

    /// A query, up to what cannot belong to it.
    pub(super) fn query(&mut self) -> Parsed<Query> {
        self.nested(|parser| {
            let outer = std::mem::take(&mut parser.subqueries);
            let query = parser.query_parts();
            let subqueries = std::mem::replace(&mut parser.subqueries, outer);
            query.map(|query| Query { subqueries, ..query })
        })
    }

    fn query_parts(&mut self) -> Parsed<Query> {
        let options = self.options()?;
        let filter = self.filter()?;
        let mut pipes = Vec::new();
        while self.eat('|') {
            let pipe = self.pipe(pipes.is_empty())?;
            pipes.push(pipe);
        }
        Ok(Query { options, filter, pipes, subqueries: Vec::new() })
    }

    /// `options(name=value, …)`.
    fn options(&mut self) -> Parsed<Options> {
        let mut options = Options::default();
        let start = self.position;
        if !self.eat_keyword("options") || !self.eat('(') {
            self.position = start;
            return Ok(options);
        }
        while !self.eat(')') {
            self.skip_space();
            let at = self.position;
            let name = self.name("the name of an option")?;
            self.expect('=')?;
            self.skip_space();
            let value_at = self.position;
            let value = self.argument("the option's value")?;
            match name.as_ref() {
                "concurrency" => {
                    let threads: Option<usize> = value.parse().ok();
                    let threads =
                        threads.ok_or_else(|| self.wrong(value_at, "a number of threads"))?;
                    // 0 is as many as there are.
                    options.concurrency = (threads > 0).then_some(threads);
                }
                "ignore_global_time_filter" => {
                    options.ignore_global_time_filter = self.truth(&value, value_at)?;
                }
                // There is one machine, or an answer is whole: nothing to allow.
                "allow_partial_response" => drop(self.truth(&value, value_at)?),
                _ => {
                    let known =
                        ["concurrency", "ignore_global_time_filter", "allow_partial_response"];
                    return Err(self.unknown(at, "option", &name, &known));
                }
            }
            if !self.eat(',') && self.peek() != Some(')') {
                return Err(self.expected("`,` or `)`"));
            }
        }
        Ok(options)
    }

    fn truth(&self, text: &str, at: usize) -> Parsed<bool> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(self.wrong(at, "`true` or `false`")),
        }
    }

    /// Runs a rule one level deeper.
    pub(super) fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_LIMIT {
            return Err(self.error(
                self.position,
                "",
                format!("parentheses and subqueries may nest {DEPTH_LIMIT} deep: write the query flatter"),
            ));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// The text must be over.
    pub(super) fn end(&mut self) -> Parsed<()> {
        match self.next_sign() {
            None => Ok(()),
            Some(_) => Err(self.expected("a filter, `|` or the end")),
        }
    }

    // Errors.

    pub(super) fn error(&self, position: usize, expected: &str, message: String) -> ParseError {
        ParseError { position, expected: expected.into(), message }
    }

    /// Something else should stand at the next byte.
    pub(super) fn expected(&mut self, what: &str) -> ParseError {
        self.skip_space();
        self.wrong(self.position, what)
    }

    /// Something else should stand at `at`.
    pub(super) fn wrong(&self, at: usize, what: &str) -> ParseError {
        let found: String =
            self.text[at..].chars().take_while(|c| !c.is_whitespace()).take(SHOWN_CHARS).collect();
        let message = if found.is_empty() {
            format!("the text ends where {what} is expected")
        } else {
            format!("found `{found}` where {what} is expected")
        };
        self.error(at, what, message)
    }

    /// A name that is none of those known.
    pub(super) fn unknown(&self, at: usize, kind: &str, name: &str, known: &[&str]) -> ParseError {
        let name: String = name.chars().take(SHOWN_CHARS).collect();
        let hint = match nearest(&name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        self.error(
            at,
            &format!("the name of a {kind}"),
            format!("there is no {kind} `{name}`: {hint}"),
        )
    }

    /// Takes one of the regular expressions that a query may have.
    pub(super) fn count_pattern(&mut self, at: usize) -> Parsed<()> {
        self.patterns += 1;
        if self.patterns <= PATTERNS_LIMIT {
            return Ok(());
        }
        let message =
            format!("a query may have {PATTERNS_LIMIT} regular expressions: join some with `|`");
        Err(self.error(at, "", message))
    }

    // Characters.

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    /// The text from a byte that was passed.
    pub(super) fn rest_from(&self, position: usize) -> &'a str {
        &self.text[position..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) {
        self.position += self.peek().map_or(0, char::len_utf8);
    }

    /// Skips spaces and comments: `#` to the end of the line, but not inside a word.
    pub(super) fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.position += rest.len() - trimmed.len();
            let after_space = trimmed.len() < rest.len() || self.position == 0 || self.after_sign();
            if !(after_space && trimmed.starts_with('#')) {
                return;
            }
            self.position += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Whether the byte before is one after which a comment may start.
    fn after_sign(&self) -> bool {
        matches!(self.text.as_bytes()[self.position - 1], b'(' | b')' | b'|' | b',' | b' ' | b'\n')
    }

    /// The next character that is not space.
    pub(super) fn next_sign(&mut self) -> Option<char> {
        self.skip_space();
        self.peek()
    }

    /// Takes a sign, if it is next.
    pub(super) fn eat(&mut self, sign: char) -> bool {
        let found = self.next_sign() == Some(sign);
        if found {
            self.bump();
        }
        found
    }

    /// Takes some text that must directly follow, if it does.
    pub(super) fn eat_directly(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.position += text.len();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: char) -> Parsed<()> {
        if self.eat(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    /// Whether the next word is this one, in any case.
    pub(super) fn at_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let rest = self.rest();
        rest.get(..keyword.len()).is_some_and(|word| word.eq_ignore_ascii_case(keyword))
            && !rest[keyword.len()..].starts_with(|c| Class::Word.holds(c))
    }

    /// Takes a word, if it is next.
    pub(super) fn eat_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.position += keyword.len();
        }
        found
    }

    // Words and texts.

    /// A bare word of a class, which may be empty.
    pub(super) fn bare(&mut self, class: Class) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !class.holds(c)).unwrap_or(rest.len());
        self.position += end;
        &rest[..end]
    }

    pub(super) fn at_quote(&self) -> bool {
        matches!(self.peek(), Some('"' | '\'' | '`'))
    }

    /// A quoted text, without its quotes and escapes.
    pub(super) fn quoted(&mut self) -> Parsed<String> {
        let start = self.position;
        let quote = self.peek().unwrap_or('"');
        self.bump();
        let open = |parser: &Self| {
            parser.error(
                start,
                &format!("`{quote}`"),
                format!("the text that {quote} starts has no end"),
            )
        };
        if quote == '`' {
            let end = self.rest().find('`').ok_or_else(|| open(self))?;
            let text = self.rest()[..end].to_owned();
            self.position += end + 1;
            return Ok(text);
        }
        let mut bytes = Vec::new();
        loop {
            let at = self.position;
            let c = self.peek().ok_or_else(|| open(self))?;
            self.bump();
            match c {
                '\\' => self.escape(at, &mut bytes)?,
                c if c == quote => break,
                c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(bytes).map_err(|_| {
            self.error(start, "text", "the escapes of this text do not make valid UTF-8".into())
        })
    }

    /// What follows a backslash, as in Go's string literals.
    fn escape(&mut self, at: usize, bytes: &mut Vec<u8>) -> Parsed<()> {
        let c = self.peek().unwrap_or('\0');
        self.bump();
        let plain = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '"' | '\'' | '`' => c as u8,
            'x' => {
                let byte = self.digits(at, 2, 16)?;
                bytes.push(byte as u8);
                return Ok(());
            }
            '0'..='7' => {
                self.position -= 1;
                let byte = self.digits(at, 3, 8)?;
                bytes.push(
                    u8::try_from(byte)
                        .map_err(|_| self.wrong(at, "an octal escape up to `\\377`"))?,
                );
                return Ok(());
            }
            'u' | 'U' => {
                let code = self.digits(at, if c == 'u' { 4 } else { 8 }, 16)?;
                let c = char::from_u32(code)
                    .ok_or_else(|| self.wrong(at, "the code of a character"))?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => {
                let hint = "an escape (`\\n`, `\\t`, `\\\\`, `\\\"`, `\\x41`, `\\u00e9`), or a text in backticks, which has none,";
                return Err(self.wrong(at, hint));
            }
        };
        bytes.push(plain);
        Ok(())
    }

    fn digits(&mut self, at: usize, count: usize, radix: u32) -> Parsed<u32> {
        let digits =
            self.rest().get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_alphanumeric()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
        let code = code.ok_or_else(|| self.wrong(at, &format!("an escape with {count} digits")))?;
        self.position += count;
        Ok(code)
    }

    /// A bare or quoted text of a class; `what` is for the error.
    pub(super) fn text(&mut self, class: Class, what: &str) -> Parsed<String> {
        self.skip_space();
        if self.at_quote() {
            return self.quoted();
        }
        let word = self.bare(class);
        if word.is_empty() { Err(self.expected(what)) } else { Ok(word.to_owned()) }
    }

    /// An argument: a value, bare or quoted.
    pub(super) fn argument(&mut self, what: &str) -> Parsed<String> {
        self.text(Class::Value, what)
    }

    /// The name of one field. The empty name is `_msg`.
    pub(super) fn name(&mut self, what: &str) -> Parsed<FieldName> {
        let name = self.text(Class::Word, what)?;
        if self.peek() == Some('*') {
            return Err(self.wrong(
                self.position,
                "the end of a name (one field is meant here, not all that start alike)",
            ));
        }
        Ok(if name.is_empty() { rookery_core::logs::fields::MESSAGE.into() } else { name.into() })
    }

    /// A field, or `prefix*`.
    pub(super) fn field_pattern(&mut self) -> Parsed<FieldPattern> {
        self.skip_space();
        let bare_star = self.peek() == Some('*');
        let name =
            if bare_star { String::new() } else { self.text(Class::Word, "the name of a field")? };
        if self.eat_directly("*") {
            return Ok(FieldPattern::Prefix(Arc::from(name)));
        }
        Ok(FieldPattern::Name(if name.is_empty() {
            rookery_core::logs::fields::MESSAGE.into()
        } else {
            name.into()
        }))
    }

    /// One or more of `item`, with commas between.
    pub(super) fn commas<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `(item, …)`, which may be empty and may have a comma at its end.
    pub(super) fn in_parentheses<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.expect('(')?;
        let mut items = Vec::new();
        while !self.eat(')') {
            items.push(item(self)?);
            if !self.eat(',') && self.next_sign() != Some(')') {
                return Err(self.expected("`,` or `)`"));
            }
        }
        Ok(items)
    }

    /// `(a, b*)`, or `a, b*`.
    pub(super) fn field_patterns(&mut self) -> Parsed<Vec<FieldPattern>> {
        if self.next_sign() == Some('(') {
            self.in_parentheses(Self::field_pattern)
        } else {
            self.commas(Self::field_pattern)
        }
    }

    /// `(a, b)`, or `a, b`; at least one.
    pub(super) fn names(&mut self) -> Parsed<Vec<FieldName>> {
        let at = self.position;
        let name = |parser: &mut Self| parser.name("the name of a field");
        let names = if self.next_sign() == Some('(') {
            self.in_parentheses(name)?
        } else {
            self.commas(name)?
        };
        if names.is_empty() {
            return Err(self.wrong(at, "a list of one field or more"));
        }
        Ok(names)
    }

    // Numbers.

    /// A whole number, 0 or more; also `1_000`, `10K`, `0x1f`.
    pub(super) fn count(&mut self, what: &str) -> Parsed<u64> {
        self.skip_space();
        let at = self.position;
        let text = self.argument(what)?;
        numbers::parse_count(&text).ok_or_else(|| self.wrong(at, what))
    }

    /// Whether a number is next.
    pub(super) fn at_digit(&mut self) -> bool {
        self.next_sign().is_some_and(|c| c.is_ascii_digit())
    }

    /// A duration, in nanoseconds.
    pub(super) fn duration(&mut self) -> Parsed<i64> {
        self.skip_space();
        let at = self.position;
        let text = self.argument("a duration, as in `5m` or `1h30m`,")?;
        rookery_core::time::parse_duration(&text)
            .ok()
            .filter(|_| !numbers::is_plain_number(&text))
            .ok_or_else(|| self.wrong(at, "a duration, as in `5m` or `1h30m`,"))
    }
}

/// The known name that a misspelt one most likely means.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_ascii_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&name, known);
    let near = known.iter().min_by_key(|known| distance(known))?;
    // A third of the letters may be wrong; beyond that it is another word.
    (distance(near) <= 1 + name.chars().count() / 4).then_some(near)
}
