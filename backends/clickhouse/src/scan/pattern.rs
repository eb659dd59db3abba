//! Regular expressions in the dialect of the server's RE2.
//!
//! A pattern is parsed by the parser that the reference uses, and printed again from what that parser made of it: literals, explicit
//! classes of characters, repetitions. So `\w`, `\d` and `(?i)`, which RE2 reads in ASCII or folds in its own way, mean the same in both.
//!
//! What RE2 cannot say is left out or widened, and the result is then an upper bound: the ends of Unicode words, and repetitions
//! beyond RE2's limits.
//!
//! Syntax: <https://github.com/google/re2/wiki/Syntax>. The server prepares the whole text of the regular expression for a search of a
//! literal, so only its simplest forms are printed.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use rookery_core::tokens::is_word_char;

use super::params::PARAMETER_LIMIT_BYTES;

/// RE2 refuses repetitions whose counts multiply to more (`kMaxRepeat`).
const REPEAT_LIMIT: u64 = 1000;

/// The most ranges of characters, each as often as it is repeated. RE2 takes 8 MiB for a program; a range beyond ASCII takes a few
/// instructions of 16 bytes.
const RANGES_LIMIT: u64 = 20_000;

/// A pattern for `match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Re2 {
    /// The text.
    pub(crate) text: String,
    /// Whether it matches the same texts; else it may match more.
    pub(crate) exact: bool,
}

/// A regular expression as conditions have it (`.` matches a line's end); none when it is too large, or of another dialect.
pub(crate) fn regexp(pattern: &str) -> Option<Re2> {
    let hir = ParserBuilder::new().dot_matches_new_line(true).build().parse(pattern).ok()?;
    let mut printer = Printer { out: String::new(), exact: true };
    let weight = printer.print(&hir)?;
    let fits = printer.out.len() <= PARAMETER_LIMIT_BYTES && weight.ranges <= RANGES_LIMIT;
    fits.then_some(Re2 { text: printer.out, exact: printer.exact })
}

/// A text that is found where no character of a word stands before it, after it, or on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// Beside characters of ASCII that are in no word: all that there is to find in a text of ASCII. The class of all characters of words has
    /// 730 ranges, which the server prepares anew for each of its blocks, and goes through for each hit.
    pub(crate) ascii: String,
    /// Beside any.
    pub(crate) any: String,
}

/// A text at the ends of words; none when it is too long.
pub(crate) fn words(text: &str, before: bool, after: bool) -> Option<Words> {
    let beside = |class: &str| {
        let mut out = String::new();
        if before {
            let _ = write!(out, "(?:^|[{class}])");
        }
        push_literal(&mut out, text);
        if after {
            let _ = write!(out, "(?:$|[{class}])");
        }
        out
    };
    let words = Words { ascii: beside(ASCII_BETWEEN_WORDS), any: beside(&BETWEEN_WORDS) };
    (words.any.len() <= PARAMETER_LIMIT_BYTES).then_some(words)
}

/// The characters of ASCII that are in no word, as the inside of a class.
const ASCII_BETWEEN_WORDS: &str = r"\x00-/:-@\x5B-\x5E\x60\x7B-\x7F";

/// The same of all characters.
static BETWEEN_WORDS: LazyLock<String> = LazyLock::new(|| format!("^{}", *WORD_CLASS));

/// The characters of words, as the inside of a class.
static WORD_CLASS: LazyLock<String> = LazyLock::new(|| {
    let mut out = String::from("0-9A-Z_a-z");
    let mut chars = ('\u{80}'..=char::MAX).filter(|c| is_word_char(*c)).peekable();
    while let Some(first) = chars.next() {
        let mut last = first;
        // No range reaches over the surrogates: there is no word on either side of them.
        while let Some(next) = chars.next_if(|next| *next as u32 == last as u32 + 1) {
            last = next;
        }
        push_range(&mut out, first, last);
    }
    out
});

/// What a printed piece costs.
#[derive(Clone, Copy, Default)]
struct Weight {
    /// Ranges of characters, each as often as it is repeated.
    ranges: u64,
    /// The largest product of nested counts.
    repeats: u64,
}

struct Printer {
    out: String,
    exact: bool,
}

impl Printer {
    fn print(&mut self, hir: &Hir) -> Option<Weight> {
        if self.out.len() > PARAMETER_LIMIT_BYTES {
            return None;
        }
        let mut weight = Weight { ranges: 0, repeats: 1 };
        match hir.kind() {
            HirKind::Empty => self.out.push_str("(?:)"),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                weight.ranges = text.len() as u64;
                push_literal(&mut self.out, text);
            }
            HirKind::Class(class) => weight.ranges = self.class(class)?,
            HirKind::Look(look) => self.look(*look),
            HirKind::Repetition(repetition) => return self.repetition(repetition),
            HirKind::Capture(capture) => return self.group(|this| this.print(&capture.sub)),
            HirKind::Concat(parts) => {
                for part in parts {
                    weight = weight.with(self.part(part)?);
                }
            }
            HirKind::Alternation(parts) => {
                for (place, part) in parts.iter().enumerate() {
                    if place > 0 {
                        self.out.push('|');
                    }
                    weight = weight.with(self.part(part)?);
                }
            }
        }
        Some(weight)
    }

    /// A piece that stands beside others.
    fn part(&mut self, hir: &Hir) -> Option<Weight> {
        match hir.kind() {
            HirKind::Alternation(_) | HirKind::Concat(_) => self.group(|this| this.print(hir)),
            _ => self.print(hir),
        }
    }

    fn group<T>(&mut self, inside: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.out.push_str("(?:");
        let result = inside(self)?;
        self.out.push(')');
        Some(result)
    }

    fn repetition(&mut self, repetition: &Repetition) -> Option<Weight> {
        let inner = self.group(|this| this.print(&repetition.sub))?;
        let (min, max) = (u64::from(repetition.min), repetition.max.map(u64::from));
        let count = max.unwrap_or(min).max(1);
        let simple = matches!((min, max), (0 | 1, None) | (0, Some(1)));
        let weight = Weight {
            ranges: inner.ranges.saturating_mul(if simple { 1 } else { count }),
            repeats: inner.repeats.saturating_mul(if simple { 1 } else { count }),
        };
        if weight.repeats > REPEAT_LIMIT || weight.ranges > RANGES_LIMIT {
            self.exact = false;
            self.out.push(if min == 0 { '*' } else { '+' });
            return Some(inner);
        }
        match (min, max) {
            (0, None) => self.out.push('*'),
            (1, None) => self.out.push('+'),
            (0, Some(1)) => self.out.push('?'),
            (min, None) => drop(write!(self.out, "{{{min},}}")),
            (min, Some(max)) => drop(write!(self.out, "{{{min},{max}}}")),
        }
        Some(weight)
    }

    fn class(&mut self, class: &Class) -> Option<u64> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => {
                class.ranges().iter().map(|range| (range.start(), range.end())).collect()
            }
            Class::Bytes(class) => class
                .ranges()
                .iter()
                .map(|range| {
                    range.end().is_ascii().then(|| (range.start().into(), range.end().into()))
                })
                .collect::<Option<_>>()?,
        };
        if ranges.is_empty() {
            self.out.push_str("[^\\x00-\\x{10FFFF}]");
            return Some(1);
        }
        self.out.push('[');
        for (first, last) in &ranges {
            push_range(&mut self.out, *first, *last);
        }
        self.out.push(']');
        Some(ranges.len() as u64)
    }

    fn look(&mut self, look: Look) {
        self.out.push_str(match look {
            Look::Start => "^",
            Look::End => "$",
            Look::StartLF => "(?m:^)",
            Look::EndLF => "(?m:$)",
            Look::WordAscii => "\\b",
            Look::WordAsciiNegate => "\\B",
            _ => {
                self.exact = false;
                "(?:)"
            }
        });
    }
}

impl Weight {
    fn with(self, other: Self) -> Self {
        Self { ranges: self.ranges + other.ranges, repeats: self.repeats.max(other.repeats) }
    }
}

/// Appends a text that matches itself.
pub(crate) fn push_literal(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\0' => out.push_str("\\x00"),
            '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
}

fn push_range(out: &mut String, first: char, last: char) {
    push_in_class(out, first);
    if last > first {
        out.push('-');
        push_in_class(out, last);
    }
}

fn push_in_class(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{:02X}", c as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(pattern: &str) -> (String, bool) {
        let re2 = regexp(pattern).unwrap();
        (re2.text, re2.exact)
    }

    #[test]
    fn patterns_are_printed_without_what_the_dialects_read_differently() {
        let exact = |text: &str| (text.to_owned(), true);
        assert_eq!(printed("a.b"), exact("a[\\x00-\u{10FFFF}]b"));
        assert_eq!(printed("(?i)k"), exact("[Kk\u{212A}]"));
        assert_eq!(printed("^x|y$"), exact("(?:^x)|(?:y$)"));
        assert_eq!(printed("a{2,5}?"), exact("(?:a){2,5}"));
        assert_eq!(printed("[^\\s\\S]"), exact("[^\\x00-\\x{10FFFF}]"));
        assert_eq!(printed("\\x00\\[\\]"), exact("\\x00\\[\\]"));
        assert_eq!(printed("[\\]\\\\^-]"), exact("[\\x2D\\x5C-\\x5E]"));
        assert!(printed("\\d").0.contains("\u{660}-\u{669}"));
    }

    #[test]
    fn what_cannot_be_said_is_widened() {
        assert_eq!(printed("\\bab\\b"), ("(?:)ab(?:)".into(), false));
        assert_eq!(printed("(?-u:\\b)ab"), ("\\bab".into(), true));
        assert_eq!(printed("(?:a{40}){40}"), ("(?:(?:a){40,40})+".into(), false));
        assert!(!printed("\\w{100}").1);
        assert_eq!(regexp(&"[a-z\\d]".repeat(10_000)), None);
    }

    #[test]
    fn the_class_of_words_holds_just_the_characters_of_words() {
        let class = regex::Regex::new(&format!("^[{}]$", *WORD_CLASS)).unwrap();
        let between = regex::Regex::new(&format!("^[{ASCII_BETWEEN_WORDS}]$")).unwrap();
        let mut text = String::new();
        for c in '\0'..=char::MAX {
            text.clear();
            text.push(c);
            assert_eq!(class.is_match(&text), is_word_char(c), "{c:?}");
            assert_eq!(between.is_match(&text), c.is_ascii() && !is_word_char(c), "{c:?}");
        }
        let words = words("a.", true, false).unwrap();
        assert!(words.any.ends_with("])a\\.") && words.ascii.ends_with("])a\\."), "{words:?}");
    }
}
