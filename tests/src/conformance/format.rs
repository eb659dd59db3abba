//! The text of a file as data, and back. See the parent module for what the lines mean.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use rookery_core::{TimeRange, time};
use serde_json::{Map, Value};

/// A record of an answer, without empty values.
pub type Row = BTreeMap<String, String>;

/// The present time of queries, until a file says another: 2026-11-21T12:00:00Z.
const NOW: &str = "2026-11-21T12:00:00Z";

/// A file.
#[derive(Debug)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// Records, each with the queries over them.
    pub sections: Vec<Section>,
}

/// Records, and the queries over them.
#[derive(Debug, Clone)]
pub struct Section {
    /// Names of the fields that are the stream's tags.
    pub streams: Vec<String>,
    /// Where the records come from.
    pub source: String,
    /// The records, in the order of their streams.
    pub records: Vec<Map<String, Value>>,
    /// The queries.
    pub cases: Vec<Case>,
}

/// A query and its answer.
#[derive(Debug, Clone)]
pub struct Case {
    /// The line of the query, from 1.
    pub line: usize,
    /// The lines of the answer, the first and the one after the last, from 0.
    pub answer_lines: (usize, usize),
    /// How it is asked.
    pub asked: Asked,
    /// The text.
    pub query: String,
    /// What it answers.
    pub answer: Answer,
}

/// How a query is asked, beside its text.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The present time, in nanoseconds since the epoch.
    pub now: i64,
    /// A filter, as text: what the caller may see.
    pub scope: Option<String>,
    /// The span of the request.
    pub window: TimeRange,
    /// How many rows the request wants, the newest.
    pub newest: Option<u64>,
}

impl Asked {
    /// At a time, for all records.
    pub fn at(now: i64) -> Self {
        Self { now, scope: None, window: TimeRange::ALL, newest: None }
    }
}

/// What a query answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The values of `id`.
    Ids {
        /// Whether their order counts.
        ordered: bool,
        /// The values.
        ids: Vec<String>,
    },
    /// Whole rows.
    Rows {
        /// Whether their order counts.
        ordered: bool,
        /// The rows.
        rows: Vec<Row>,
    },
    /// It does not parse.
    Error {
        /// The byte of the query at which it fails.
        position: usize,
        /// A part of the message.
        message: String,
    },
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// With the line that is not understood.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut reader = Reader::new(&text)?;
        while reader.at < reader.lines.len() {
            reader.line().with_context(|| {
                format!("{}:{}", path.display(), reader.at.min(reader.lines.len()))
            })?;
        }
        reader.sections.retain(|section| !section.cases.is_empty());
        Ok(Self { path: path.to_owned(), sections: reader.sections })
    }

    /// How many queries.
    pub fn len(&self) -> usize {
        self.sections.iter().map(|section| section.cases.len()).sum()
    }

    /// Whether there is no query.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
    asked: Asked,
    streams: Vec<String>,
    source: String,
    sections: Vec<Section>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Self> {
        Ok(Self {
            lines: text.lines().collect(),
            at: 0,
            asked: Asked::at(time::parse_time(NOW, 0)?.start),
            streams: Vec::new(),
            source: "push".into(),
            sections: Vec::new(),
        })
    }

    fn next(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at)?;
        self.at += 1;
        Some(line)
    }

    /// Reads one line and those that belong to it.
    fn line(&mut self) -> Result<()> {
        let Some(line) = self.next().map(str::trim_end) else { return Ok(()) };
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            word if word.starts_with('#') => {}
            "now" => self.asked.now = time::parse_time(rest, 0)?.start,
            "scope" => self.asked.scope = (!rest.is_empty()).then(|| rest.into()),
            "newest" => self.asked.newest = (!rest.is_empty()).then(|| rest.parse()).transpose()?,
            "window" => {
                let time = |text: &str| Ok::<_, anyhow::Error>(time::parse_time(text, 0)?.start);
                self.asked.window = match rest.split_once(' ') {
                    Some((start, end)) => TimeRange { start: time(start)?, end: time(end)? },
                    None => TimeRange::ALL,
                };
            }
            "streams" => self.streams = rest.split_whitespace().map(Into::into).collect(),
            "source" => self.source = rest.into(),
            "data" => self.data()?,
            "?" => self.case(rest)?,
            other => bail!("a line cannot start with {other:?}"),
        }
        Ok(())
    }

    fn data(&mut self) -> Result<()> {
        let mut records = Vec::new();
        while let Some(line) = self.next().filter(|line| !line.trim().is_empty()) {
            records.push(serde_json::from_str(line)?);
        }
        let (streams, source) = (self.streams.clone(), self.source.clone());
        self.sections.push(Section { streams, source, records, cases: Vec::new() });
        Ok(())
    }

    fn case(&mut self, first: &str) -> Result<()> {
        let line = self.at;
        let mut query = first.to_owned();
        while let Some(more) = self.lines.get(self.at).filter(|line| line.starts_with(' ')) {
            query.push('\n');
            query.push_str(more);
            self.at += 1;
        }
        let start = self.at;
        let head = self.next().ok_or_else(|| anyhow!("the answer is missing"))?.trim_end();
        let answer = self.answer(head)?;
        let answer_lines = (start, self.at);
        let section = self.sections.last_mut().ok_or_else(|| anyhow!("there is no data yet"))?;
        section.cases.push(Case { line, answer_lines, asked: self.asked.clone(), query, answer });
        Ok(())
    }

    fn answer(&mut self, head: &str) -> Result<Answer> {
        let ids = |rest: &str, ordered| Answer::Ids {
            ordered,
            ids: rest.split_whitespace().map(Into::into).collect(),
        };
        if let Some(rest) = head.strip_prefix("ids in order") {
            return Ok(ids(rest, true));
        }
        if let Some(rest) = head.strip_prefix("ids") {
            return Ok(ids(rest, false));
        }
        if let Some(rest) = head.strip_prefix("error at ") {
            let (position, message) =
                rest.split_once(": ").ok_or_else(|| anyhow!("write error at <byte>: <text>"))?;
            return Ok(Answer::Error { position: position.parse()?, message: message.into() });
        }
        let ordered = match head {
            "rows" => false,
            "rows in order" => true,
            other => bail!("an answer cannot start with {other:?}"),
        };
        let mut rows = Vec::new();
        while let Some(line) = self.lines.get(self.at).filter(|line| line.starts_with('{')) {
            let row: Row = serde_json::from_str(line)?;
            rows.push(row.into_iter().filter(|(_, value)| !value.is_empty()).collect());
            self.at += 1;
        }
        Ok(Answer::Rows { ordered, rows })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = |ordered: bool| if ordered { " in order" } else { "" };
        match self {
            Self::Ids { ordered, ids } => {
                write!(f, "ids{}", order(*ordered))?;
                ids.iter().try_for_each(|id| write!(f, " {id}"))
            }
            Self::Rows { ordered, rows } => {
                write!(f, "rows{}", order(*ordered))?;
                rows.iter().try_for_each(|row| write!(f, "\n{}", serde_json::json!(row)))
            }
            Self::Error { position, message } => write!(f, "error at {position}: {message}"),
        }
    }
}
