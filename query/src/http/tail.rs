//! `/select/logsql/tail`: records as JSON lines as they become visible, until the client leaves.
//!
//! A tail looks again and again ([`crate::QueryConfig::tail_interval`], or `refresh_interval`) at the records printed since a little
//! before its last look, because a record may be stored some seconds after it was printed, and sends those whose place in their
//! stream it has not sent. It starts `start_offset` ago (5 s) and ends `offset` ago (0 s). Of a burst it sends the newest
//! [`crate::QueryConfig::tail_rows_limit`] and says so in a line of its own.
//!
//! An empty line says that all there is was sent; it comes again every [`HEARTBEAT`], which also shows whether the client
//! is still there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use foldhash::HashMap;
use rookery_core::logs::fields;
use rookery_core::rows::{Column, Rows};
use rookery_core::{Error, Result, TimeRange, time};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::Service;
use super::error::Failure;
use super::json::{write_lines, write_text};
use super::parameters::Parameters;
use crate::logsql::ast::{FieldPattern, Pipe, Query};

const CONTENT_TYPE: &str = "application/x-ndjson; charset=utf-8";

/// How many pieces wait for a slow client before the tail waits too.
const PIECES_LIMIT: usize = 4;

/// The shortest interval between two looks that a client may ask for.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// How long after it was printed a record may become visible and still be seen.
const OVERLAP: i64 = 10 * time::SECOND;

/// How often an empty line is sent while nothing comes.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// The most records that a tail remembers, so as not to send them twice: those of [`OVERLAP`], at a rate that no person reads.
const SEEN_LIMIT: usize = 1 << 20;

/// Copies of what tells a record, under names that no query can mean, so that they come through its pipes.
const COPIES: [(&str, &str); 4] = [
    (fields::TIME, "\u{1}time"),
    (fields::STREAM_ID, "\u{1}stream"),
    (fields::GENERATION, "\u{1}generation"),
    (fields::OFFSET, "\u{1}offset"),
];

/// Records as they become visible, without end.
pub(super) async fn tail(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let permit = service.tails.clone().try_acquire_owned().map_err(|_| {
        Error::throttled(format!(
            "{} live tails are open, as many as may be: close one, or raise query.tail_sessions",
            service.config.tail_sessions
        ))
    })?;
    let query = parameters.query()?;
    let hidden = hidden(&query);
    let query = traceable(query)?;
    let back = parameters.duration("start_offset")?.unwrap_or(5 * time::SECOND);
    let delay = parameters.duration("offset")?.unwrap_or(0);
    let interval =
        parameters.duration("refresh_interval")?.and_then(|nanos| u64::try_from(nanos).ok());
    let interval =
        interval.map_or(service.config.tail_interval.0, Duration::from_nanos).max(INTERVAL_MIN);
    let from = parameters.received().saturating_sub(delay).saturating_sub(back);
    let follower = Follower::new(from, hidden);
    let mut tail = Tail { service, parameters, query, delay, follower };
    // The first look is awaited, so that what fails at once has a status.
    let first = tail.look().await?;
    let (sender, receiver) = mpsc::channel(PIECES_LIMIT);
    let closing = tail.service.closing.clone();
    tokio::spawn(async move {
        let _permit = permit;
        // A client that goes away ends the look that is under way.
        tokio::select! {
            () = sender.closed() => {}
            () = closing.cancelled() => {}
            () = tail.follow(first, interval, &sender) => {}
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}

struct Tail {
    service: Arc<Service>,
    parameters: Parameters,
    query: Query,
    delay: i64,
    follower: Follower,
}

impl Tail {
    /// The lines of the records that came since the last look.
    async fn look(&mut self) -> Result<Vec<u8>> {
        let now = time::now();
        // Clocks of other machines may be ahead of ours, so there is no end but the one that was asked for.
        let end = if self.delay > 0 { now.saturating_sub(self.delay) } else { i64::MAX };
        let window = TimeRange { start: self.follower.from, end: end.max(self.follower.from) };
        let limit = self.service.config.tail_rows_limit;
        let stream =
            self.service.run_in(&self.parameters, self.query.clone(), Some(limit), window).await?;
        let batches = stream.collect().await?;
        self.follower.admit(&batches, end.min(now), limit)
    }

    async fn follow(
        mut self,
        first: Vec<u8>,
        interval: Duration,
        sender: &mpsc::Sender<Result<Bytes, Error>>,
    ) {
        let mut found = Ok(first);
        let mut quiet_at: Option<Instant> = None;
        loop {
            let lines = match found {
                Ok(lines) => lines,
                Err(error) => {
                    tracing::warn!(%error, "a live tail ended");
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            let beat = quiet_at.is_none_or(|at| at.elapsed() >= HEARTBEAT);
            if !lines.is_empty() {
                quiet_at = None;
                if sender.send(Ok(lines.into())).await.is_err() {
                    return;
                }
            } else if beat {
                quiet_at = Some(Instant::now());
                if sender.send(Ok(Bytes::from_static(b"\n"))).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(interval).await;
            found = self.look().await;
        }
    }
}

/// The query with each record's identity kept through its pipes.
///
/// # Errors
/// `invalid` when a pipe needs more than one record.
fn traceable(mut query: Query) -> Result<Query> {
    let name = |name: &str| FieldPattern::Name(name.into());
    for pipe in &mut query.pipes {
        match pipe {
            Pipe::Fields(patterns) => patterns.extend(COPIES.iter().map(|(_, copy)| name(copy))),
            Pipe::Delete(patterns) if patterns.iter().any(is_everything) => {
                return Err(Error::invalid("a live tail without any field has nothing to send"));
            }
            Pipe::Rename(pairs) if pairs.iter().any(|(from, _)| is_everything(from)) => {
                return Err(Error::invalid(
                    "a live tail cannot rename all fields at once: name them, or a prefix of them",
                ));
            }
            Pipe::Copy(_)
            | Pipe::Rename(_)
            | Pipe::Delete(_)
            | Pipe::Filter(_)
            | Pipe::Extract(_)
            | Pipe::ExtractRegexp(_)
            | Pipe::UnpackJson(_)
            | Pipe::UnpackLogfmt(_)
            | Pipe::UnpackSyslog { .. }
            | Pipe::UnpackWords { .. }
            | Pipe::Format(_)
            | Pipe::Replace(_)
            | Pipe::ReplaceRegexp(_)
            | Pipe::CollapseNums { .. }
            | Pipe::Decolorize(_)
            | Pipe::Math(_)
            | Pipe::Len { .. }
            | Pipe::Hash { .. }
            | Pipe::JsonArrayLen { .. }
            | Pipe::PackJson { .. }
            | Pipe::PackLogfmt { .. } => {}
            _ => {
                return Err(Error::invalid(
                    "a live tail takes pipes that look at one record at a time (filter, fields, extract, format, …), \
                     not those that need more of them (stats, sort, uniq, limit, …)",
                ));
            }
        }
    }
    query.pipes.insert(
        0,
        Pipe::Copy(COPIES.iter().map(|(field, copy)| (name(field), name(copy))).collect()),
    );
    Ok(query)
}

/// What is not printed: the copies, and a record's place unless the query says that it wants it.
fn hidden(query: &Query) -> Vec<&'static str> {
    let is_named = |field: &str| {
        let named = FieldPattern::Name(field.into());
        query
            .pipes
            .iter()
            .any(|pipe| matches!(pipe, Pipe::Fields(patterns) if patterns.contains(&named)))
    };
    let places = [fields::GENERATION, fields::OFFSET].into_iter().filter(|field| !is_named(field));
    COPIES.iter().map(|(_, copy)| *copy).chain(places).collect()
}

fn is_everything(pattern: &FieldPattern) -> bool {
    matches!(pattern, FieldPattern::Prefix(prefix) if prefix.is_empty())
}

/// What a tail has sent.
struct Follower {
    /// What was printed before is not looked at again.
    from: i64,
    /// Hashes of the places of records since `from`, with their times.
    seen: HashMap<u64, i64>,
    /// Fields that are not printed.
    hidden: Vec<&'static str>,
}

/// One record that was not sent.
struct Fresh {
    time: i64,
    batch: usize,
    row: usize,
}

impl Follower {
    fn new(from: i64, hidden: Vec<&'static str>) -> Self {
        Self { from, seen: HashMap::default(), hidden }
    }

    /// Prints what was not sent before, oldest first. `batches` are newest first, of at most `limit` rows; `until` is up to when
    /// was looked.
    fn admit(&mut self, batches: &[Rows], until: i64, limit: u64) -> Result<Vec<u8>> {
        let mut fresh = Vec::new();
        let mut count = 0;
        let mut oldest_is_fresh = false;
        for (batch, rows) in batches.iter().enumerate() {
            count += rows.len as u64;
            let places = COPIES.map(|(_, copy)| rows.column(copy));
            let mut scratch = String::new();
            for row in 0..rows.len {
                let time = time_of(places[0], row, &mut scratch);
                let is_fresh =
                    self.seen.insert(hash_of(&places, row, &mut scratch), time).is_none();
                oldest_is_fresh = is_fresh;
                if is_fresh {
                    fresh.push(Fresh { time, batch, row });
                }
            }
        }
        let mut out = Vec::new();
        if count >= limit && oldest_is_fresh {
            notice(&mut out, limit);
        }
        for record in fresh.iter().rev() {
            let row = batches[record.batch].slice(record.row, 1)?;
            write_lines(&mut out, &row, |name| self.hidden.contains(&name));
        }
        self.from = self.from.max(until.saturating_sub(OVERLAP));
        let from = self.from;
        self.seen.retain(|_, time| *time >= from);
        if self.seen.len() > SEEN_LIMIT {
            // Records with times far ahead of ours pile up: those are given up, the newest looks matter.
            let newest = fresh.iter().map(|record| record.time).max().unwrap_or(from);
            self.seen.retain(|_, time| *time <= newest);
            self.seen.shrink_to(SEEN_LIMIT);
        }
        Ok(out)
    }
}

/// A line that says that older records of a burst are not sent.
fn notice(out: &mut Vec<u8>, limit: u64) {
    let message = format!(
        "rookery: this tail shows the newest {limit} of a burst and leaves out older ones: narrow the query, or raise query.tail_rows_limit"
    );
    out.extend_from_slice(b"{\"_time\":");
    write_text(out, &time::rfc3339(time::now()));
    out.extend_from_slice(b",\"_msg\":");
    write_text(out, &message);
    out.extend_from_slice(b",\"level\":\"warn\"}\n");
}

fn time_of(column: Option<&Column>, row: usize, scratch: &mut String) -> i64 {
    match column {
        Some(Column::Time(times)) => times.value(row),
        Some(column) => time::parse_time(column.text(row, scratch), 0).map_or(0, |span| span.start),
        None => 0,
    }
}

/// The place of a record as a number; by its text, since one value comes in columns of several forms.
fn hash_of(places: &[Option<&Column>; 4], row: usize, scratch: &mut String) -> u64 {
    use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    for column in places.iter().skip(1).flatten() {
        column.text(row, scratch).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logsql;

    fn batch(times: &[i64], offsets: &[u64]) -> Vec<Rows> {
        let columns = vec![
            ("_msg".into(), Column::UInt(offsets.to_vec().into())),
            (COPIES[0].1.into(), Column::Time(times.to_vec().into())),
            (COPIES[3].1.into(), Column::UInt(offsets.to_vec().into())),
        ];
        vec![Rows { len: times.len(), columns }]
    }

    fn sent(follower: &mut Follower, times: &[i64], offsets: &[u64], until: i64) -> Vec<String> {
        let lines = follower.admit(&batch(times, offsets), until, 5).unwrap();
        let text = String::from_utf8(lines).unwrap();
        text.lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["_msg"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn a_follower_sends_each_record_once_oldest_first() {
        let second = time::SECOND;
        let mut follower = Follower::new(0, COPIES.map(|(_, copy)| copy).to_vec());
        assert_eq!(sent(&mut follower, &[9, 7, 5], &[9, 7, 5], second), ["5", "7", "9"]);
        assert_eq!(sent(&mut follower, &[9, 8, 7, 5], &[9, 8, 7, 5], second), ["8"]);
        assert!(sent(&mut follower, &[9, 8], &[9, 8], 60 * second).is_empty());
        assert_eq!(follower.from, 50 * second);
        assert!(follower.seen.is_empty(), "what is not looked at again is forgotten");
    }

    #[test]
    fn a_burst_is_cut_and_said() {
        let mut follower = Follower::new(0, COPIES.map(|(_, copy)| copy).to_vec());
        let lines = sent(&mut follower, &[5, 4, 3, 2, 1], &[5, 4, 3, 2, 1], 1);
        assert!(lines[0].contains("tail_rows_limit"), "{lines:?}");
        assert_eq!(lines[1..], ["1", "2", "3", "4", "5"]);
        let lines = sent(&mut follower, &[6, 5, 4, 3, 2], &[6, 5, 4, 3, 2], 1);
        assert_eq!(lines, ["6"], "the oldest was sent before: nothing was left out");
    }

    #[test]
    fn places_are_printed_when_they_are_asked_for() {
        let hidden = |text: &str| hidden(&logsql::parse(text, 0).unwrap()).len() - COPIES.len();
        assert_eq!(
            (hidden("a"), hidden("a | fields *"), hidden("a | fields _msg, _offset")),
            (2, 2, 1)
        );
    }

    #[test]
    fn a_tail_takes_pipes_of_one_record() {
        for text in ["a | fields b", "a | filter c | format \"<b>\" as d", "a | delete _stream_id"]
        {
            assert!(traceable(logsql::parse(text, 0).unwrap()).is_ok(), "{text}");
        }
        for text in [
            "a | stats count()",
            "a | sort by (b)",
            "a | limit 5",
            "a | uniq by (b)",
            "a | union (b)",
            "a | sample 2",
            "a | delete *",
            "a | rename * as x*",
        ] {
            assert!(traceable(logsql::parse(text, 0).unwrap()).is_err(), "{text}");
        }
    }
}
