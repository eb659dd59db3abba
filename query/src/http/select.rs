//! `/select/logsql/query`: records as JSON lines, sent as they are found.
//!
//! With `limit=N` the newest N are sent, newest first, after the first `offset` of them; a query whose answer is not of records
//! (it counts, sorts, limits) is cut after so many rows. Without a limit the order is any.
//!
//! The status is sent with the first rows: what fails before has a status of its own, what fails later breaks the connection
//! off, so that nobody takes a part for the whole.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rookery_core::rows::Rows;
use rookery_core::{Error, Result};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Service;
use super::error::Failure;
use super::json::write_lines;
use super::parameters::Parameters;
use crate::exec::RowStream;

const CONTENT_TYPE: &str = "application/stream+json; charset=utf-8";

/// How many pieces of an answer wait for a slow client before the query waits too.
const PIECES_LIMIT: usize = 4;

/// How many rows are printed at once: some hundred KB, so that a connection's thread is not held for long.
const PIECE_ROWS: usize = 1024;

/// Records that pass; with `limit`, the newest so many.
pub(super) async fn query(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let query = parameters.query()?;
    let offset = parameters.number("offset")?.unwrap_or(0);
    let newest = parameters.limit("limit")?.map(|limit| limit.saturating_add(offset));
    let mut rows = service.run(&parameters, query, newest).await?;
    let first = rows.next().await.transpose()?;
    let (sender, receiver) = mpsc::channel(PIECES_LIMIT);
    tokio::spawn(async move {
        // A client that goes away ends the query: dropping `rows` cancels it.
        tokio::select! {
            () = sender.closed() => {}
            () = send(first, rows, offset, &sender) => {}
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}

async fn send(
    first: Option<Rows>,
    mut rows: RowStream,
    offset: u64,
    sender: &mpsc::Sender<Result<Bytes, Error>>,
) {
    let mut skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let mut next = first;
    while let Some(batch) = next {
        let start = skip.min(batch.len);
        skip -= start;
        if send_batch(&batch, start, sender).await.is_err() {
            return;
        }
        next = match rows.next().await.transpose() {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "a query failed after its first records were sent");
                let _ = sender.send(Err(error)).await;
                return;
            }
        };
    }
}

/// Sends the rows from `start`; an error when the client has gone or the rows cannot be sent.
async fn send_batch(
    batch: &Rows,
    start: usize,
    sender: &mpsc::Sender<Result<Bytes, Error>>,
) -> Result<(), ()> {
    let mut at = start;
    while at < batch.len {
        let len = PIECE_ROWS.min(batch.len - at);
        let piece = batch.slice(at, len).map(|rows| {
            let mut out = Vec::with_capacity(len * 256);
            write_lines(&mut out, &rows, |_| false);
            Bytes::from(out)
        });
        let failed = piece.is_err();
        sender.send(piece).await.map_err(drop)?;
        if failed {
            return Err(());
        }
        at += len;
    }
    Ok(())
}
