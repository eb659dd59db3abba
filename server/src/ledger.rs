//! The ledger: what the store says of each stream, joined with how far the collector has read it.

use std::collections::HashMap;

use rookery_core::batch::Fate;
use rookery_core::ledger::{Event, ReadState, StreamAccount, Tally};
use rookery_core::{StreamId, Tenant, logs, time};
use serde::Serialize;

/// The most streams that one answer lists; totals are over all.
const STREAMS_LIMIT: usize = 10_000;

/// The answer of `/api/ledger`.
#[derive(Debug, Serialize)]
pub(crate) struct Ledger {
    balanced: bool,
    totals: Sums,
    streams: Vec<Line>,
    truncated: bool,
}

/// `read` is what the collector or a client handed over: all that is stored, shed, lost, or on its way.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Sums {
    read: Tally,
    stored: Tally,
    in_flight: Tally,
    duplicates: Tally,
    shed: Tally,
    lost: Tally,
}

#[derive(Debug, Serialize)]
struct Line {
    stream: String,
    tenant: String,
    tags: String,
    labels: HashMap<String, String>,
    path: Option<String>,
    /// A number of nanoseconds: as text, because JavaScript's numbers end at 2^53.
    generation: String,
    position: u64,
    behind_bytes: u64,
    #[serde(flatten)]
    sums: Sums,
    balanced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    events: Vec<EventLine>,
}

#[derive(Debug, Serialize)]
struct EventLine {
    fate: &'static str,
    reason: String,
    generation: String,
    start: u64,
    end: u64,
    records: u64,
    bytes: u64,
    at: String,
}

/// Joins the accounts of one tenant with the states of the collector that runs beside.
pub(crate) fn join(
    tenant: &Tenant,
    accounts: Vec<StreamAccount>,
    states: Vec<ReadState>,
) -> Ledger {
    let mut states: HashMap<StreamId, ReadState> =
        states.into_iter().map(|s| (s.stream, s)).collect();
    let mut lines: Vec<Line> = accounts
        .into_iter()
        .filter(|account| account.tenant == *tenant)
        .map(|account| {
            let state = states.remove(&account.stream);
            line(&account, state.as_ref())
        })
        .collect();
    // What is read and of which nothing is stored yet.
    lines.extend(states.into_values().map(|state| {
        line(&StreamAccount::new(tenant.clone(), state.stream, state.tags.clone()), Some(&state))
    }));
    let mut totals = Sums::default();
    for line in &lines {
        totals.read += line.sums.read;
        totals.stored += line.sums.stored;
        totals.in_flight += line.sums.in_flight;
        totals.duplicates += line.sums.duplicates;
        totals.shed += line.sums.shed;
        totals.lost += line.sums.lost;
    }
    let balanced = lines.iter().all(|line| line.balanced);
    lines.sort_by(|a, b| {
        let rank = |l: &Line| (l.balanced, l.sums.lost.bytes == 0, l.sums.shed.bytes == 0);
        rank(a).cmp(&rank(b)).then_with(|| a.tags.cmp(&b.tags))
    });
    let truncated = lines.len() > STREAMS_LIMIT;
    lines.truncate(STREAMS_LIMIT);
    Ledger { balanced, totals, streams: lines, truncated }
}

fn line(account: &StreamAccount, state: Option<&ReadState>) -> Line {
    let why = imbalance(account, state);
    let in_flight = state.map(|s| s.in_flight).unwrap_or_default();
    let mut read = in_flight;
    for part in [account.stored, account.shed, account.lost] {
        read += part;
    }
    let tags = logs::parse_tags(&account.tags).into_iter().collect();
    Line {
        stream: account.stream.to_string(),
        tenant: account.tenant.to_string(),
        tags: account.tags.to_string(),
        labels: tags,
        path: state.map(|s| s.path.to_string()),
        generation: account.mark.generation.to_string(),
        position: account.mark.offset,
        behind_bytes: state.map_or(0, |s| s.behind_bytes),
        sums: Sums {
            read,
            stored: account.stored,
            in_flight,
            duplicates: account.duplicates,
            shed: account.shed,
            lost: account.lost,
        },
        balanced: why.is_none(),
        why,
        events: account.events.iter().map(event_line).collect(),
    }
}

/// Why a stream does not balance.
///
/// Two independent witnesses are held against each other: the store's sums against the positions that they cover, and the
/// collector's acknowledged position against the store's mark.
fn imbalance(account: &StreamAccount, state: Option<&ReadState>) -> Option<String> {
    if !account.is_balanced() {
        let sum = account.stored.bytes + account.shed.bytes + account.lost.bytes;
        return Some(format!(
            "{} bytes are covered, but {sum} are stored, shed or lost",
            account.covered_bytes
        ));
    }
    let state = state?;
    if state.acknowledged > account.mark {
        return Some(format!(
            "the collector was told that generation {} is stored up to {}, the store has generation {} up to {}",
            state.acknowledged.generation,
            state.acknowledged.offset,
            account.mark.generation,
            account.mark.offset
        ));
    }
    None
}

fn event_line(event: &Event) -> EventLine {
    let (fate, reason) = match &event.range.fate {
        Fate::Kept => ("kept", ""),
        Fate::Shed(reason) => ("shed", reason.as_ref()),
        Fate::Lost(reason) => ("lost", reason.as_ref()),
    };
    EventLine {
        fate,
        reason: reason.to_owned(),
        generation: event.range.generation.to_string(),
        start: event.range.start,
        end: event.range.end,
        records: event.range.records,
        bytes: event.range.bytes(),
        at: time::rfc3339(event.at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_core::Position;
    use rookery_core::batch::{Entry, Range};

    #[test]
    fn a_collector_that_was_told_too_much_is_an_imbalance() {
        let stream = StreamId([3; 16]);
        let tenant = Tenant::default();
        let mut account = StreamAccount::new(tenant.clone(), stream, "{pod=\"p\"}".into());
        let range = Range {
            stream,
            generation: 7,
            start: 0,
            end: 50,
            records: 5,
            fate: Fate::Kept,
            after: Position::default(),
        };
        let entry = Entry { range, duplicates: 0, duplicate_bytes: 0, tags: account.tags.clone() };
        account.apply(&entry, 0);
        let state = |offset| ReadState {
            stream,
            tags: account.tags.clone(),
            path: "/p".into(),
            read: Position { generation: 7, offset: 60 },
            acknowledged: Position { generation: 7, offset },
            in_flight: Tally { bytes: 10, records: 1 },
            behind_bytes: 0,
        };
        let good = join(&tenant, vec![account.clone()], vec![state(50)]);
        assert!(good.balanced);
        assert_eq!((good.totals.read.bytes, good.totals.stored.records), (60, 5));
        assert_eq!(good.streams[0].labels["pod"], "p");
        let bad = join(&tenant, vec![account.clone()], vec![state(60)]);
        assert!(!bad.balanced && bad.streams[0].why.is_some());
        assert!(join(&Tenant::new("other").unwrap(), vec![account], vec![]).streams.is_empty());
    }
}
