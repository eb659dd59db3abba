//! The counts in what test runners print: cargo's and Vitest's.

use crate::report::Count;

/// What a line adds: `test result: ok. 12 passed; 0 failed; …`, or `Tests  1 failed | 22 passed (23)`.
pub(crate) fn of(line: &str) -> Count {
    let line = plain(line);
    let line = line.trim();
    let is_cargo = line.starts_with("test result:");
    let is_vitest = line.starts_with("Tests ") && line.ends_with(')');
    if !is_cargo && !is_vitest {
        return Count::default();
    }
    Count { passed: before(line, "passed"), failed: before(line, "failed") }
}

/// The number before a word.
fn before(line: &str, word: &str) -> u64 {
    let mut previous = "";
    for part in line.split([' ', ';', '.', '|']).filter(|part| !part.is_empty()) {
        if part == word {
            return previous.parse().unwrap_or(0);
        }
        previous = part;
    }
    0
}

/// Without colours.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_both_runners_are_read() {
        let table = [
            ("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out", 12, 0),
            ("test result: FAILED. 3 passed; 2 failed; 0 ignored", 3, 2),
            ("      Tests  23 passed (23)", 23, 0),
            (
                "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[31m1 failed\u{1b}[39m | \u{1b}[32m22 passed\u{1b}[39m (23)",
                22,
                1,
            ),
            (" Test Files  4 passed (4)", 0, 0),
            ("test ids::tests::passed ... ok", 0, 0),
        ];
        for (line, passed, failed) in table {
            assert_eq!(of(line), Count { passed, failed }, "{line}");
        }
    }
}
