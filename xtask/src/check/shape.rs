//! The shape of source files: their size, their first lines, their names.
//!
//! Functions are measured by clippy (`too_many_lines`, `excessive_nesting`); files are measured here, without their tests.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The longest file, in lines without its tests.
const LINES_LIMIT: usize = 800;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "manager", "misc"];

/// Looks at every source file.
///
/// # Errors
/// When one is too long, does not start with its design, or has a name that says nothing.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut wrong = Vec::new();
    for file in workspace.files()? {
        let path = workspace.path(&file);
        let read = || fs::read_to_string(&path).with_context(|| format!("read {file}"));
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("rs") => wrong.extend(rust(&file, &read()?)),
            Some("ts" | "tsx") => wrong.extend(script(&file, &read()?)),
            _ => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("; ")) }
}

fn rust(file: &str, text: &str) -> Vec<String> {
    let mut wrong = name(file);
    let is_part_of_tests = file.ends_with("/tests.rs") || file.contains("/tests/");
    let is_test = is_part_of_tests || file.starts_with("tests/tests/");
    if !is_test {
        wrong.extend(size(file, lines_without_tests(text)));
    }
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    if !is_part_of_tests && !first.is_some_and(|line| line.starts_with("//!")) {
        wrong.push(format!("{file} does not start with a `//!` doc that says what it is"));
    }
    if file.ends_with("/mod.rs") {
        wrong.push(format!("{file}: write `foo.rs` beside `foo/` instead of `foo/mod.rs`"));
    }
    wrong
}

fn script(file: &str, text: &str) -> Vec<String> {
    let mut wrong = name(file);
    if !file.contains(".test.") && !file.contains("/e2e/") {
        wrong.extend(size(file, text.lines().count()));
    }
    wrong
}

fn size(file: &str, lines: usize) -> Option<String> {
    let too_long = lines > LINES_LIMIT;
    too_long.then(|| format!("{file} has {lines} lines without tests, more than {LINES_LIMIT}"))
}

fn name(file: &str) -> Vec<String> {
    let parts = file.split(['/', '.']);
    let empty = parts.filter(|part| EMPTY_NAMES.contains(part));
    empty.map(|part| format!("{file}: {part:?} says nothing about what is inside")).collect()
}

/// The lines outside of `#[cfg(test)] mod … { … }` blocks at the left margin.
fn lines_without_tests(text: &str) -> usize {
    let mut count = 0;
    let mut inside = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        if line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
            inside = true;
        }
        if !inside {
            count += 1;
        } else if line == "}" {
            inside = false;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count_and_what_follows_them_does() {
        let text = "//! What.\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        assert_eq!(lines_without_tests(text), 3);
        assert_eq!(lines_without_tests("#[cfg(test)]\nmod tests;\nfn a() {}\n"), 3);
    }

    #[test]
    fn a_file_without_a_doc_a_long_one_and_an_empty_name_are_found() {
        assert_eq!(rust("core/src/a.rs", "fn a() {}").len(), 1);
        assert_eq!(rust("core/src/utils.rs", "//! What.").len(), 1);
        assert_eq!(
            rust("core/src/a.rs", &format!("//! What.\n{}", "\n".repeat(LINES_LIMIT))).len(),
            1
        );
        assert_eq!(rust("core/src/a/tests.rs", &"\n".repeat(LINES_LIMIT * 2)).len(), 0);
    }
}
