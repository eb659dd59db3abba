//! Which texts a regular expression needs: one of them is in every value that matches.
//!
//! The engine of regular expressions is fast on one value but does not see the column as a whole; finding the rare values
//! that hold a literal at all, by one search over the column, leaves it little to do.

use regex_syntax::hir::{Hir, HirKind};

/// The most literals that are looked for, one after the other.
const LITERALS_LIMIT: usize = 8;
/// Literals shorter than this are in too many values to save anything, in bytes.
const LITERAL_MIN_BYTES: usize = 3;

/// Literals of which each match holds at least one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literals {
    /// Not empty, and none of them is.
    pub(super) any_of: Vec<String>,
    /// A value that holds one of them matches: the expression says nothing else.
    pub(super) exact: bool,
}

/// The literals of a pattern that are worth looking for; none when it has none, or too many.
pub(super) fn literals(pattern: &str) -> Option<Literals> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let found = of(&hir)?;
    let worth = found.exact || found.any_of.iter().all(|l| l.len() >= LITERAL_MIN_BYTES);
    (worth && found.any_of.len() <= LITERALS_LIMIT).then_some(found)
}

fn of(hir: &Hir) -> Option<Literals> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok().filter(|text| !text.is_empty())?;
            Some(Literals { any_of: vec![text.into()], exact: true })
        }
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            let inner = of(&repetition.sub)?;
            Some(Literals { exact: inner.exact && repetition.min == 1, ..inner })
        }
        HirKind::Concat(parts) => {
            let best = parts.iter().filter_map(of).max_by_key(weight)?;
            Some(Literals { exact: false, ..best })
        }
        HirKind::Alternation(parts) => {
            let mut all = Literals { any_of: Vec::new(), exact: true };
            for part in parts {
                let part = of(part)?;
                all.exact &= part.exact;
                all.any_of.extend(part.any_of);
            }
            Some(all)
        }
        _ => None,
    }
}

/// How much a set of literals narrows: by its shortest, and the fewer the better.
fn weight(literals: &Literals) -> (usize, std::cmp::Reverse<usize>) {
    let shortest = literals.any_of.iter().map(String::len).min().unwrap_or(0);
    (shortest, std::cmp::Reverse(literals.any_of.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_match_holds_one_of_the_literals() {
        type Want = Option<(&'static [&'static str], bool)>;
        let cases: [(&str, Want); 14] = [
            ("error", Some((&["error"], true))),
            ("a", Some((&["a"], true))),
            ("a.", None),
            ("error.*", Some((&["error"], false))),
            ("abc|defg", Some((&["abc", "defg"], true))),
            ("(abc|defg) x", Some((&["abc", "defg"], false))),
            ("(abc)+", Some((&["abc"], true))),
            ("(abc){2,}", Some((&["abc"], false))),
            ("(abc)?", None),
            ("abc|.*", None),
            ("(?i)abc", None),
            ("^abc$", Some((&["abc"], false))),
            ("[0-9]+ ms, status=500", Some((&[" ms, status=500"], false))),
            ("", None),
        ];
        for (pattern, want) in cases {
            let got = literals(pattern).map(|l| (l.any_of, l.exact));
            let want = want.map(|(l, exact)| (l.iter().map(|l| (*l).into()).collect(), exact));
            assert_eq!(got, want, "{pattern}");
        }
    }
}
