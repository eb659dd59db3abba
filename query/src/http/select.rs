//! `/select/logsql/query` and `/select/logsql/tail`: records as JSON lines, sent as they are found.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use foldhash::{HashSet, HashSetExt as _};
use rookery_core::logs::fields;
use rookery_core::rows::Rows;
use rookery_core::{Error, Result, TimeRange, time};
use tokio_stream::wrappers::ReceiverStream;

use super::Service;
use super::error::Failure;
use super::json::{POSITION_FIELDS, write_lines};
use super::parameters::Parameters;
use crate::logsql::ast::{FieldPattern, Pipe, Query};

const JSON_LINES: &str = "application/stream+json; charset=utf-8";

/// How many pieces of an answer wait for a slow client before the query waits too.
const PIECES_LIMIT: usize = 4;

/// Records that pass; with `limit`, the newest so many.
pub(super) async fn query(State(service): State<Arc<Service>>, parameters: Parameters) -> Result<Response, Failure> {
    let query = parameters.query()?;
    let hide = hidden(&query);
    let limit = parameters.number("limit")?.filter(|&limit| limit > 0);
    let offset = parameters.number("offset")?.unwrap_or(0);
    let query = skip(query, offset);
    let limit = limit.map(|limit| limit.saturating_add(offset));
    let mut rows = service.run(&parameters, query, limit).await?;
    // The first piece is awaited, so that what fails at once is a status and not a broken answer.
    let first = rows.next().await.transpose()?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, Error>>(PIECES_LIMIT);
    tokio::spawn(async move {
        let mut next = first;
        while let Some(piece) = next {
            let mut out = Vec::with_capacity(piece.len * 256);
            write_lines(&mut out, &piece, &hide);
            if sender.send(Ok(out.into())).await.is_err() {
                return;
            }
            next = tokio::select! {
                // A client that goes away ends the query: dropping `rows` cancels it.
                () = sender.closed() => return,
                piece = rows.next() => match piece.transpose() {
                    Ok(piece) => piece,
                    Err(error) => {
                        // The status is long sent: the connection is broken off, so that nobody takes a part for the whole.
                        tracing::warn!(%error, "a query failed after its first records were sent");
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                },
            };
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, JSON_LINES)], body).into_response())
}

/// The columns that are not printed: a record's place, unless the query names it.
fn hidden(query: &Query) -> Vec<&'static str> {
    let names = |pattern: &FieldPattern, field: &str| *pattern == FieldPattern::Name(field.into());
    let named = |field: &str| {
        query.pipes.iter().any(|pipe| match pipe {
            Pipe::Fields(patterns) => patterns.iter().any(|pattern| names(pattern, field)),
            Pipe::Stats(_) | Pipe::Uniq(_) | Pipe::Top(_) | Pipe::FieldValues { .. } => true,
            _ => false,
        })
    };
    POSITION_FIELDS.into_iter().filter(|field| !named(field)).collect()
}

/// `offset` records of the sorted answer are skipped.
fn skip(mut query: Query, offset: u64) -> Query {
    if offset > 0 {
        query.pipes.push(Pipe::Offset(offset));
    }
    query
}

/// How often a tail looks for new records when the client does not say.
const REFRESH: Duration = Duration::from_millis(250);

/// The shortest interval that a client may ask for.
const REFRESH_MIN: Duration = Duration::from_millis(50);

/// How long after it was printed a record may become visible and still be seen by a tail.
const OVERLAP: i64 = 10 * time::SECOND;

/// The most records of the overlap that a tail remembers, so as not to send them twice.
const SEEN_LIMIT: usize = 1 << 20;

/// Records as they become visible, without end.
pub(super) async fn tail(State(service): State<Arc<Service>>, parameters: Parameters) -> Result<Response, Failure> {
    let permit = service.tails.clone().try_acquire_owned().map_err(|_| {
        Error::throttled(format!(
            "{} live tails run already: close one, or raise query.tail_sessions",
            service.config.tail_sessions
        ))
    })?;
    let query = parameters.query()?;
    let hide = hidden(&query);
    let query = traceable(query)?;
    let back = parameters.duration("start_offset")?.unwrap_or(5 * time::SECOND);
    let refresh = parameters.duration("refresh_interval")?.and_then(|n| u64::try_from(n).ok());
    let refresh = refresh.map_or(REFRESH, Duration::from_nanos).max(REFRESH_MIN);
    let mut follower = Follower::new(parameters.now().saturating_sub(back));
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, Error>>(PIECES_LIMIT);
    tokio::spawn(async move {
        let _permit = permit;
        loop {
            let window = follower.window(time::now());
            let outcome = tokio::select! {
                () = sender.closed() => return,
                outcome = service.collect(&parameters, query.clone(), window) => outcome,
            };
            let piece = match outcome.and_then(|found| follower.admit(found, &hide)) {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::warn!(%error, "a live tail ended");
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            // An empty line tells the client (and, by failing, us) that the other side is there: it has caught up.
            let piece = if piece.is_empty() { b"\n".to_vec() } else { piece };
            if sender.send(Ok(piece.into())).await.is_err() {
                return;
            }
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(refresh) => {}
            }
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, JSON_LINES)], body).into_response())
}

/// The fields that tell records apart and put them in order.
const IDENTITY: [&str; 4] = [fields::TIME, fields::STREAM_ID, fields::GENERATION, fields::OFFSET];

/// The query with each record's identity kept through its pipes.
fn traceable(mut query: Query) -> Result<Query> {
    for pipe in &mut query.pipes {
        match pipe {
            Pipe::Fields(patterns) => {
                patterns.extend(IDENTITY.iter().map(|name| FieldPattern::Name((*name).into())));
            }
            Pipe::Filter(_)
            | Pipe::Copy(_)
            | Pipe::Extract(_)
            | Pipe::ExtractRegexp(_)
            | Pipe::UnpackJson(_)
            | Pipe::UnpackLogfmt(_)
            | Pipe::UnpackSyslog { .. }
            | Pipe::Format(_)
            | Pipe::Replace(_)
            | Pipe::ReplaceRegexp(_)
            | Pipe::Math(_)
            | Pipe::Len { .. }
            | Pipe::Delete(_)
            | Pipe::Rename(_) => {}
            _ => {
                return Err(Error::invalid(
                    "a live tail takes pipes that look at one record at a time (filter, fields, extract, format, …), \
                     not those that need all of them (stats, sort, uniq, limit, …)",
                ));
            }
        }
    }
    if !query.pipes.iter().any(|pipe| matches!(pipe, Pipe::Fields(_))) {
        let mut all = vec![FieldPattern::Prefix("".into())];
        all.extend(IDENTITY.iter().map(|name| FieldPattern::Name((*name).into())));
        query.pipes.insert(0, Pipe::Fields(all));
    }
    Ok(query)
}

/// What a tail has sent: records of the last [`OVERLAP`], by their hashes.
struct Follower {
    from: i64,
    seen: HashSet<u64>,
    order: VecDeque<(i64, u64)>,
}

impl Follower {
    fn new(from: i64) -> Self {
        Self { from, seen: HashSet::new(), order: VecDeque::new() }
    }

    /// What to look at next. Clocks of other machines may be ahead of ours, so there is no end.
    fn window(&mut self, now: i64) -> TimeRange {
        TimeRange { start: self.from.max(now.saturating_sub(OVERLAP)), end: i64::MAX }
    }

    /// Prints what was not sent before, in order.
    fn admit(&mut self, found: Vec<Rows>, hide: &[&str]) -> Result<Vec<u8>> {
        let mut fresh: Vec<(i64, [String; 3], usize, u32)> = Vec::new();
        for (piece, rows) in found.iter().enumerate() {
            let mut scratch = String::new();
            for row in 0..rows.len {
                let mut text = |field: &str| {
                    rows.column(field).map_or_else(String::new, |c| c.text(row, &mut scratch).to_owned())
                };
                let at = time::parse_time(&text(fields::TIME), 0).map_or(0, |span| span.start);
                let place = [text(fields::STREAM_ID), text(fields::GENERATION), text(fields::OFFSET)];
                let hash = hash_of(&place);
                if self.seen.insert(hash) {
                    self.order.push_back((at, hash));
                    let row = u32::try_from(row).map_err(|_| Error::internal("a batch of rows is too long"))?;
                    fresh.push((at, place, piece, row));
                }
            }
        }
        while self.order.len() > SEEN_LIMIT
            || self.order.front().is_some_and(|(at, _)| *at < time::now().saturating_sub(2 * OVERLAP))
        {
            if let Some((_, hash)) = self.order.pop_front() {
                self.seen.remove(&hash);
            }
        }
        fresh.sort_by(|a, b| (a.0, &a.1[0], number(&a.1[1]), number(&a.1[2])).cmp(&(b.0, &b.1[0], number(&b.1[1]), number(&b.1[2]))));
        let mut out = Vec::new();
        for (_, _, piece, row) in fresh {
            write_lines(&mut out, &found[piece].slice(row as usize, 1)?, hide);
        }
        Ok(out)
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn hash_of(place: &[String; 3]) -> u64 {
    use std::hash::BuildHasher as _;
    foldhash::quality::FixedState::default().hash_one(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_core::rows::Column;

    fn rows(times: &[i64], offsets: &[u64]) -> Vec<Rows> {
        let columns = vec![
            (fields::TIME.into(), Column::Time(times.to_vec().into())),
            (fields::OFFSET.into(), Column::UInt(offsets.to_vec().into())),
        ];
        vec![Rows { len: times.len(), columns }]
    }

    #[test]
    fn a_follower_sends_each_record_once_and_in_order() {
        let now = time::now();
        let mut follower = Follower::new(now);
        let first = follower.admit(rows(&[now, now, now - 5], &[10, 9, 1]), &[]).unwrap();
        let offsets: Vec<String> = String::from_utf8(first)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["_offset"].to_string())
            .collect();
        assert_eq!(offsets, ["\"1\"", "\"9\"", "\"10\""]);
        assert!(follower.admit(rows(&[now], &[10]), &[]).unwrap().is_empty());
        assert!(!follower.admit(rows(&[now], &[11]), &[]).unwrap().is_empty());
    }
}
