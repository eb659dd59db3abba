//! Runs the queries of a section against a store, and compares.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rookery_core::Scope;
use rookery_core::rows::{Column, Rows};
use rookery_query::exec::{Engine, Request};
use rookery_query::logsql;

use super::{Answer, Asked, Case, File, HOUSEKEEPING, Row, tenant};

/// A query whose answer is not the one of the file.
#[derive(Debug)]
pub struct Failure {
    /// The file, and the line of the query.
    pub place: (PathBuf, usize),
    /// The text.
    pub query: String,
    /// What the file says.
    pub want: Answer,
    /// What the store said.
    pub got: Answer,
    /// The lines of the answer in the file.
    lines: (usize, usize),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, line) = &self.place;
        writeln!(f, "{}:{line}: {}", path.display(), self.query)?;
        f.write_str(&difference(&self.want, &self.got))
    }
}

/// The most lines of one answer that a difference shows.
const SHOWN_LINES: usize = 12;

/// The lines of the one answer that the other does not have, and the other way round.
pub fn difference(want: &Answer, got: &Answer) -> String {
    let (want, got) = (want.to_string(), got.to_string());
    let only = |a: &str, b: &str, sign: char| {
        let there: BTreeSet<&str> = b.lines().collect();
        let missing = a.lines().filter(|line| !there.contains(line));
        missing.take(SHOWN_LINES).map(|line| format!("  {sign} {line}\n")).collect::<String>()
    };
    only(&want, &got, '-') + &only(&got, &want, '+')
}

/// Runs one case; a failure when the answer differs.
pub async fn check(file: &File, case: &Case, engine: &Engine) -> Option<Failure> {
    let got = answer(case, engine).await;
    (!same(&case.answer, &got)).then(|| Failure {
        place: (file.path.clone(), case.line),
        query: case.query.clone(),
        want: case.answer.clone(),
        got,
        lines: case.answer_lines,
    })
}

/// What a query answers, in the form of the case's own answer.
pub async fn answer(case: &Case, engine: &Engine) -> Answer {
    match logsql::parse(&case.query, case.asked.now) {
        Err(error) => Answer::Error { position: error.position, message: error.message },
        Ok(query) => match rows(query, &case.asked, engine).await {
            Ok(rows) => shaped(rows, &case.answer),
            Err(error) => Answer::Error { position: 0, message: format!("the engine: {error}") },
        },
    }
}

/// All rows of an answer, in the order in which they come.
async fn rows(
    query: logsql::Query,
    asked: &Asked,
    engine: &Engine,
) -> rookery_core::Result<Vec<Row>> {
    let mut scope = Scope::tenant(tenant());
    if let Some(filter) = &asked.scope {
        scope.restriction = Some(Arc::new(logsql::parse(filter, asked.now)?.filter));
    }
    let mut request = Request::new(query, scope);
    request.now = asked.now;
    request.window = asked.window;
    request.newest = asked.newest;
    let mut stream = engine.run(request).await?;
    let mut answer = Vec::new();
    while let Some(rows) = stream.next().await {
        let rows = rows?;
        answer.extend((0..rows.len).map(|row| texts(&rows, row)));
    }
    Ok(answer)
}

fn texts(rows: &Rows, row: usize) -> Row {
    let mut scratch = String::new();
    let mut text = |column: &Column| column.text(row, &mut scratch).to_owned();
    rows.columns.iter().map(|(name, column)| (name.to_string(), text(column))).collect()
}

/// The rows in the form in which the file has them.
fn shaped(rows: Vec<Row>, like: &Answer) -> Answer {
    match like {
        Answer::Ids { ordered, .. } => {
            let id = |row: &Row| row.get("id").cloned().unwrap_or_else(|| "(none)".into());
            let mut ids: Vec<String> = rows.iter().map(id).collect();
            if !ordered {
                ids.sort_by_key(|id| (id.len(), id.clone()));
            }
            Answer::Ids { ordered: *ordered, ids }
        }
        Answer::Rows { ordered, rows: wanted } => {
            let named = |name: &str| wanted.iter().any(|row| row.contains_key(name));
            let kept = |name: &str, value: &str| {
                let housekeeping = HOUSEKEEPING.contains(&name) || name.starts_with("labels.");
                !value.is_empty() && (!housekeeping || named(name))
            };
            let keep = |row: Row| row.into_iter().filter(|(n, v)| kept(n, v)).collect();
            let rows = rows.into_iter().map(keep).collect();
            Answer::Rows { ordered: *ordered, rows }
        }
        Answer::Error { .. } => {
            let message = format!("it ran, and answered {} rows", rows.len());
            Answer::Error { position: 0, message }
        }
    }
}

/// Whether two answers are the same, in order where the first says so.
pub fn same(want: &Answer, got: &Answer) -> bool {
    fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        items.sort();
        items
    }
    match (want, got) {
        (Answer::Ids { ordered: false, ids: a }, Answer::Ids { ids: b, .. }) => {
            sorted(a) == sorted(b)
        }
        (Answer::Rows { ordered: false, rows: a }, Answer::Rows { rows: b, .. }) => {
            sorted(a) == sorted(b)
        }
        (
            Answer::Error { position: a, message: wanted },
            Answer::Error { position: b, message: got },
        ) => a == b && got.contains(wanted.as_str()),
        (a, b) => a == b,
    }
}

/// Writes what the store said into the file, in the place of the answers that differ.
///
/// # Errors
/// When `CI` is set: an answer is never changed where nobody reads it; and when the file cannot be written.
pub fn update(path: &Path, failures: &[Failure]) -> Result<()> {
    ensure!(std::env::var_os("CI").is_none(), "ROOKERY_UPDATE is refused where CI is set");
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines: Vec<String> = text.lines().map(Into::into).collect();
    let mut failures: Vec<&Failure> = failures.iter().collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.lines));
    failures.dedup_by_key(|failure| failure.lines);
    for failure in failures {
        let answer = failure.got.to_string();
        lines.splice(failure.lines.0..failure.lines.1, answer.lines().map(Into::into));
    }
    std::fs::write(path, lines.join("\n") + "\n").with_context(|| path.display().to_string())
}
