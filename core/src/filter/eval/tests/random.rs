//! The meaning once more, as slowly and plainly as it can be said, against columns of all forms.

use super::*;
use crate::tokens::{Required, is_word_char, required_words, words};

/// A small generator of numbers (xorshift), so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    fn text(&mut self, parts: usize) -> String {
        const PARTS: [&str; 20] = [
            "a", "b", "A", "ab", "_", " ", " ", "-", ":", "1", "2", "10", ".", "é", "É", "日", "–",
            "error", "\u{130}", "K",
        ];
        (0..self.roll(parts + 1)).map(|_| self.pick(&PARTS)).collect()
    }

    fn texts(&mut self, most: usize) -> Values {
        let count = if self.roll(4) == 0 { most } else { self.roll(4) };
        Values::list((0..count).map(|_| self.text(3)).collect())
    }

    fn test(&mut self) -> Test {
        const PATTERNS: [&str; 12] = [
            "a",
            "ab",
            "error",
            "a.*b",
            "^a",
            "b$",
            "error|ab-",
            "(?i)error a",
            "[0-9]+",
            "a?",
            "(error)+ ",
            "é|日",
        ];
        let (x, y) = (self.roll(12), self.roll(12));
        match self.roll(19) {
            0 => Test::Any,
            1 => Test::Empty,
            2 => Test::Phrase(self.text(3)),
            3 => Test::Prefix(self.text(2)),
            4 => Test::Substring(self.text(2)),
            5 => Test::Exact(self.text(2)),
            6 => Test::ExactPrefix(self.text(2)),
            7 => Test::CasePhrase(self.text(2).to_lowercase()),
            8 => Test::CasePrefix(self.text(2).to_lowercase()),
            9 => Test::Sequence((0..self.roll(4)).map(|_| self.text(2)).collect()),
            10 => regexp(self.pick(&PATTERNS)),
            11 => Test::Range { min: x.min(y) as f64, max: x.max(y) as f64 },
            12 => Test::StringRange { min: self.text(2), max: self.text(2) },
            13 => Test::LengthRange { min: x.min(y) as u64, max: x.max(y) as u64 },
            14 => Test::In(self.texts(12)),
            15 => Test::ContainsAll(self.texts(12)),
            16 => Test::ContainsAny(self.texts(12)),
            17 => Test::EqualsField("g".into()),
            _ => Test::AtMostField("g".into()),
        }
    }

    fn filter(&mut self, depth: usize) -> Filter {
        let parts = |dice: &mut Self| (0..dice.roll(4)).map(|_| dice.filter(depth - 1)).collect();
        match self.roll(if depth == 0 { 1 } else { 5 }) {
            1 => Filter::And(parts(self)),
            2 => Filter::Or(parts(self)),
            3 => Filter::Not(Box::new(self.filter(depth - 1))),
            _ => {
                let field = self.pick(&["f", "g", "h", "none"]);
                Filter::field(field, self.test())
            }
        }
    }
}

/// Whether `needle` is in `text` from the character `from` on, with words ended where asked; the character after it.
fn find(text: &[char], needle: &str, from: usize, before: bool, after: bool) -> Option<usize> {
    let needle: Vec<char> = needle.chars().collect();
    (from..=text.len().checked_sub(needle.len())?).find_map(|at| {
        let end = at + needle.len();
        let left = before && at > 0 && is_word_char(needle[0]) && is_word_char(text[at - 1]);
        let right = after
            && end < text.len()
            && is_word_char(needle[needle.len() - 1])
            && is_word_char(text[end]);
        (text[at..end] == needle[..] && !left && !right).then_some(end)
    })
}

fn has_phrase(text: &str, phrase: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    if phrase.is_empty() { text.is_empty() } else { find(&chars, phrase, 0, true, true).is_some() }
}

fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

fn naive(test: &Test, text: &str, other: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let list = |values: &Values| match values {
        Values::List(list) => list.clone(),
        Values::Subquery(_) => unreachable!(),
    };
    match test {
        Test::Any => !text.is_empty(),
        Test::Empty => text.is_empty(),
        Test::Phrase(p) => has_phrase(text, p),
        Test::Prefix(p) if p.is_empty() => !text.is_empty(),
        Test::Prefix(p) => find(&chars, p, 0, true, false).is_some(),
        Test::Substring(p) => text.contains(p),
        Test::Exact(p) => text == p,
        Test::ExactPrefix(p) => text.starts_with(p),
        Test::CasePhrase(p) => has_phrase(&lower(text), &lower(p)),
        Test::CasePrefix(p) if p.is_empty() => !text.is_empty(),
        Test::CasePrefix(p) => {
            let chars: Vec<char> = lower(text).chars().collect();
            find(&chars, &lower(p), 0, true, false).is_some()
        }
        Test::Sequence(phrases) => {
            let mut from = 0;
            phrases
                .iter()
                .filter(|p| !p.is_empty())
                .all(|p| find(&chars, p, from, true, true).inspect(|end| from = *end).is_some())
        }
        Test::Regexp(pattern) => pattern.regex().is_match(text),
        Test::Range { min, max } => number::parse(text).is_some_and(|n| *min <= n && n <= *max),
        Test::StringRange { min, max } => min.as_str() <= text && text < max.as_str(),
        Test::LengthRange { min, max } => (*min..=*max).contains(&(chars.len() as u64)),
        Test::Ipv4Range { .. } | Test::LessThanField(_) => unreachable!(),
        Test::In(values) => list(values).iter().any(|v| v == text),
        Test::ContainsAll(values) => {
            list(values).iter().filter(|p| !p.is_empty()).all(|p| has_phrase(text, p))
        }
        Test::ContainsAny(values) => list(values).iter().any(|p| has_phrase(text, p)),
        Test::EqualsField(_) => text == other,
        Test::AtMostField(_) => match (number::parse(text), number::parse(other)) {
            (Some(a), Some(b)) => a <= b,
            _ => text <= other,
        },
    }
}

fn naive_filter(filter: &Filter, value: &dyn Fn(&str) -> String) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| naive_filter(part, value)),
        Filter::Or(parts) => parts.iter().any(|part| naive_filter(part, value)),
        Filter::Not(part) => !naive_filter(part, value),
        Filter::Field { field, test } => naive(test, &value(field), &value("g")),
        _ => unreachable!(),
    }
}

/// A column of random texts, in a random form: with nulls, cut out of a longer one, as a dictionary, as one value.
fn column(dice: &mut Dice, len: usize) -> Column {
    let texts = |dice: &mut Dice, count: usize| -> StringArray {
        (0..count).map(|_| (dice.roll(8) > 0).then(|| dice.text(6))).collect()
    };
    match dice.roll(6) {
        0 => Column::constant(&dice.text(4), len),
        1 => {
            let entries = 1 + dice.roll(len * 2);
            let keys = (0..len).map(|_| (dice.roll(5) > 0).then(|| dice.roll(entries) as u32));
            let keys: UInt32Array = keys.collect();
            let entries: Vec<String> = (0..entries).map(|_| dice.text(4)).collect();
            Column::dictionary(keys, StringArray::from(entries)).unwrap()
        }
        2 => Column::Int((0..len).map(|_| Some(dice.roll(14) as i64 - 3)).collect()),
        3 => Column::Text(texts(dice, len + 9).slice(5, len)),
        _ => Column::Text(texts(dice, len)),
    }
}

#[test]
fn columns_mean_what_their_texts_mean() {
    for seed in 1..4000u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let len = 1 + dice.roll(40);
        let names = ["f", "g", "h"];
        let mut rows = rows(names.map(|name| (name, column(&mut dice, len))).into());
        let filter = dice.filter(3);
        let got = evaluate(&filter, &mut rows).unwrap();
        let required: Required = required_words(&filter);
        for row in 0..len {
            let value = |field: &str| {
                rows.column(field).map_or(String::new(), |c| c.text(row, &mut String::new()).into())
            };
            let want = naive_filter(&filter, &value);
            let texts = names.map(value);
            assert_eq!(got.value(row), want, "seed {seed}, row {row} {texts:?}: {filter:?}");
            let mut has = |field: &str, word: &str| words(&value(field)).any(|w| w == word);
            assert!(!want || required.may_hold(&mut has), "seed {seed}, {texts:?}: {required:?}");
        }
    }
}
