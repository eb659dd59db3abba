//! Another LogsQL server, filled with the records that Rookery gives back: the same messages, the same fields.

use std::time::Duration;

use anyhow::{Context, Result};
use rookery_core::time;
use rookery_tests::faults::compare;
use rookery_tests::kit::http::Client;
use rookery_tests::kit::wait;

use crate::dataset::Dataset;
use crate::results::say;

/// How much of the day goes over at once.
const PIECE_NS: i64 = 5 * time::MINUTE;

/// How long a request may take: a server that is slower is not to be waited for.
const REQUEST_LIMIT: Duration = Duration::from_secs(300);

/// How long until the last records are searchable.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// Copies all records over; gives a client of the filled server. One that has the records already is left as it is.
pub(crate) fn load(url: &str, from: &Client, dataset: &Dataset) -> Result<Client> {
    let peer = Client::new(url, REQUEST_LIMIT)?;
    if compare::count(&peer).unwrap_or(0) == dataset.lines {
        say("the peer has the records");
        return Ok(peer);
    }
    say("copying the records to the peer");
    let insert = [
        ("_time_field", "_time"),
        ("_msg_field", "_msg"),
        ("_stream_fields", "namespace,pod,container"),
    ];
    let mut start = dataset.start;
    while start < dataset.end {
        // The end of a range belongs to it.
        let range = [time::rfc3339(start), time::rfc3339(start + PIECE_NS - 1)];
        let parameters = [("query", "*"), ("start", range[0].as_str()), ("end", range[1].as_str())];
        let records = from.get("/select/logsql/query", &parameters)?;
        peer.post("/insert/jsonline", &insert, records).context("fill the peer")?;
        start += PIECE_NS;
    }
    wait::until("the peer's records to be searchable", SETTLE_LIMIT, || {
        Ok((compare::count(&peer)? >= dataset.lines).then_some(()))
    })?;
    Ok(peer)
}
