//! The accounts in the table `ledger`: what a block adds to them, and what they are together.
//!
//! A block adds one row for each of its streams, made by the same computation as everywhere, [`StreamAccount::apply`], from a zero
//! account: sums are added up and the mark is the largest, by the server, when it merges and when it answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt64Array,
};
use rookery_core::batch::{Block, Fate, Range};
use rookery_core::ledger::{EVENTS_LIMIT, Event, StreamAccount, Tally};
use rookery_core::store::Accounts;
use rookery_core::{Error, Position, Result, StreamId, Tenant};

use crate::client::{Client, Statement};
use crate::schema::LEDGER_SUMS;

/// How many streams are asked for by name in one statement.
const STREAMS_A_STATEMENT: usize = 10_000;

/// What a block adds, by stream.
pub(crate) fn added(block: &Block, at: i64) -> BTreeMap<StreamId, StreamAccount> {
    let mut accounts = BTreeMap::new();
    for entry in &block.entries {
        let stream = entry.range.stream;
        let fresh = || StreamAccount::new(block.tenant.clone(), stream, entry.tags.clone());
        accounts.entry(stream).or_insert_with(fresh).apply(entry, at);
    }
    accounts
}

/// The rows of `ledger` that a block adds, in the columns of [`INPUT`].
///
/// # Errors
/// Never in practice; columns are made of one length.
pub(crate) fn rows(accounts: &BTreeMap<StreamId, StreamAccount>) -> Result<RecordBatch> {
    let numbers = |of: &dyn Fn(&StreamAccount) -> u64| -> ArrayRef {
        Arc::new(accounts.values().map(of).collect::<UInt64Array>())
    };
    let streams = FixedSizeBinaryArray::try_from_iter(accounts.keys().map(|stream| stream.0))?;
    let tags: StringArray = accounts.values().map(|a| Some(a.tags.as_ref())).collect();
    let sums: [fn(&StreamAccount) -> u64; LEDGER_SUMS.len()] = [
        |a| a.covered_bytes,
        |a| a.stored.bytes,
        |a| a.stored.records,
        |a| a.shed.bytes,
        |a| a.shed.records,
        |a| a.lost.bytes,
        |a| a.lost.records,
        |a| a.duplicates.bytes,
        |a| a.duplicates.records,
    ];
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("stream", Arc::new(streams)),
        ("generation", numbers(&|a| a.mark.generation)),
        ("offset", numbers(&|a| a.mark.offset)),
        ("tags", Arc::new(tags)),
    ];
    columns.extend(LEDGER_SUMS.iter().zip(sums).map(|(name, sum)| (*name, numbers(&sum))));
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// The rows of `ledger_events` that a block adds.
///
/// # Errors
/// Never in practice; columns are made of one length.
pub(crate) fn event_rows(
    accounts: &BTreeMap<StreamId, StreamAccount>,
) -> Result<Option<RecordBatch>> {
    // An account of one block remembers as many of its events as an account of all would.
    let events = accounts.values().flat_map(|a| &a.events);
    let events: Vec<&Event> = events.filter(|event| event.range.bytes() > 0).collect();
    if events.is_empty() {
        return Ok(None);
    }
    let numbers = |of: fn(&Range) -> u64| -> ArrayRef {
        Arc::new(events.iter().map(|e| of(&e.range)).collect::<UInt64Array>())
    };
    let texts = |of: fn(&Fate) -> &str| -> ArrayRef {
        Arc::new(events.iter().map(|e| Some(of(&e.range.fate))).collect::<StringArray>())
    };
    let streams = FixedSizeBinaryArray::try_from_iter(events.iter().map(|e| e.range.stream.0))?;
    let at: TimestampNanosecondArray = events.iter().map(|e| e.at).collect::<Vec<_>>().into();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("stream", Arc::new(streams)),
        ("generation", numbers(|r| r.generation)),
        ("start", numbers(|r| r.start)),
        ("end", numbers(|r| r.end)),
        ("records", numbers(|r| r.records)),
        ("fate", texts(fate_name)),
        ("reason", texts(fate_reason)),
        ("at", Arc::new(at.with_timezone("UTC"))),
    ];
    Ok(Some(RecordBatch::try_from_iter(columns)?))
}

fn fate_name(fate: &Fate) -> &str {
    match fate {
        Fate::Kept => "kept",
        Fate::Shed(_) => "shed",
        Fate::Lost(_) => "lost",
    }
}

fn fate_reason(fate: &Fate) -> &str {
    match fate {
        Fate::Kept => "",
        Fate::Shed(reason) | Fate::Lost(reason) => reason,
    }
}

/// Whose accounts, also by the partition of their latest entry.
pub(crate) enum Which<'a> {
    Asked(&'a Accounts),
    Partitions(&'a [u32]),
}

/// Reads accounts with their latest events.
///
/// # Errors
/// When the server does not answer; `corrupt` when the answer is not what was asked for.
pub(crate) async fn read(client: &Client, which: &Which<'_>) -> Result<Vec<StreamAccount>> {
    let mut accounts = Vec::new();
    let mut places = HashMap::new();
    for (selection, statement) in selections(which) {
        let rows = client.rows(&statement(&accounts_sql(&selection))).await?;
        for row in &rows {
            read_accounts(row, &mut accounts)?;
        }
        places.extend(
            accounts
                .iter()
                .enumerate()
                .map(|(place, a): (usize, &StreamAccount)| (a.stream, place)),
        );
        for row in &client.rows(&statement(&events_sql(&selection))).await? {
            read_events(row, &places, &mut accounts)?;
        }
    }
    Ok(accounts)
}

/// A condition on streams, and what binds its parameters.
type Selection<'a> = (Conditions, Box<dyn Fn(&str) -> Statement + Send + 'a>);

#[derive(Clone, Copy)]
struct Conditions {
    /// On rows of the ledger.
    rows: &'static str,
    /// On accounts.
    groups: &'static str,
    /// On rows of the events; they may bring more than the accounts need.
    events: &'static str,
}

fn selections<'a>(which: &'a Which<'a>) -> Vec<Selection<'a>> {
    let all = Conditions { rows: "1", groups: "1", events: "1" };
    match which {
        Which::Asked(Accounts::All) => vec![(all, Box::new(|sql| Statement::new(sql)))],
        Which::Asked(Accounts::Tenant(tenant)) => vec![(
            Conditions {
                rows: "tenant = {tenant:String}",
                events: "tenant = {tenant:String}",
                ..all
            },
            Box::new(move |sql| Statement::new(sql).param("tenant", tenant)),
        )],
        Which::Asked(Accounts::Streams(streams)) => streams
            .chunks(STREAMS_A_STATEMENT)
            .map(|some| -> Selection<'a> {
                let named = "stream IN (SELECT toFixedString(unhex(arrayJoin({streams:Array(String)})), 16))";
                (
                    Conditions { rows: named, events: named, ..all },
                    Box::new(move |sql| Statement::new(sql).param("streams", some)),
                )
            })
            .collect(),
        Which::Partitions(partitions) => vec![(
            Conditions {
                groups: "partition IN {partitions:Array(UInt32)}",
                events: "queue_partition IN {partitions:Array(UInt32)}",
                ..all
            },
            Box::new(move |sql| Statement::new(sql).param("partitions", *partitions)),
        )],
    }
}

/// A position as one number that orders as positions do; a maximum of numbers is found five times faster than one of tuples.
const MARK: &str = "bitOr(bitShiftLeft(toUInt128(mark.1), 64), toUInt128(mark.2))";

fn accounts_sql(conditions: &Conditions) -> String {
    let sums: String =
        LEDGER_SUMS.iter().map(|name| format!(", sum(ledger.{name}) AS {name}")).collect();
    let Conditions { rows, groups, .. } = conditions;
    // Tags belong to the latest block of their row; a stream's rows differ in the partition of the queue.
    format!(
        "SELECT toString(ledger.tenant) AS tenant_name, stream, max({MARK}) AS last, toUInt64(bitShiftRight(last, 64)) AS generation, \
         toUInt64(bitAnd(last, toUInt128(18446744073709551615))) AS offset, argMax(queue_partition, {MARK}) AS partition, \
         argMax(ledger.tags.2, {MARK}) AS tags{sums} FROM ledger WHERE {rows} GROUP BY ledger.tenant, stream HAVING {groups}"
    )
}

fn events_sql(conditions: &Conditions) -> String {
    format!(
        "SELECT stream, generation, start, end, records, toString(fate) AS fate, toString(reason) AS reason, at \
         FROM ledger_events FINAL WHERE {} ORDER BY stream, generation DESC, end DESC LIMIT {EVENTS_LIMIT} BY stream",
        conditions.events
    )
}

/// The columns of an answer, by name.
struct Answer<'a>(&'a RecordBatch);

impl<'a> Answer<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef> {
        self.0.column_by_name(name).ok_or_else(|| wrong(name))
    }

    fn numbers(&self, name: &str) -> Result<&'a [u64]> {
        let column = self.column(name)?.as_primitive_opt::<UInt64Type>();
        Ok(column.ok_or_else(|| wrong(name))?.values())
    }

    fn texts(&self, name: &str) -> Result<&'a StringArray> {
        self.column(name)?.as_string_opt::<i32>().ok_or_else(|| wrong(name))
    }

    fn streams(&self) -> Result<Vec<StreamId>> {
        streams(self.0)
    }
}

fn wrong(name: &str) -> Error {
    Error::corrupt(format!("ClickHouse answered without a proper column {name:?}"))
}

/// The column `stream` of an answer.
pub(crate) fn streams(batch: &RecordBatch) -> Result<Vec<StreamId>> {
    let column = batch.column_by_name("stream").ok_or_else(|| wrong("stream"))?;
    let column = column.as_fixed_size_binary_opt().ok_or_else(|| wrong("stream"))?;
    (0..column.len())
        .map(|row| column.value(row).try_into().map(StreamId).map_err(|_| wrong("stream")))
        .collect()
}

/// The columns `generation` and `offset` of an answer.
pub(crate) fn positions(batch: &RecordBatch) -> Result<Vec<Position>> {
    let answer = Answer(batch);
    let both = answer.numbers("generation")?.iter().zip(answer.numbers("offset")?);
    Ok(both.map(|(&generation, &offset)| Position { generation, offset }).collect())
}

fn read_accounts(batch: &RecordBatch, into: &mut Vec<StreamAccount>) -> Result<()> {
    let answer = Answer(batch);
    let (tenants, tags) = (answer.texts("tenant_name")?, answer.texts("tags")?);
    let partition = answer.column("partition")?.as_primitive_opt::<UInt32Type>();
    let partition = partition.ok_or_else(|| wrong("partition"))?.values();
    let marks = positions(batch)?;
    let sums = LEDGER_SUMS.iter().map(|name| answer.numbers(name)).collect::<Result<Vec<_>>>()?;
    for (row, stream) in answer.streams()?.into_iter().enumerate() {
        let tally = |first: usize| Tally { bytes: sums[first][row], records: sums[first + 1][row] };
        // Rows come tenant by tenant: most share the name of the one before.
        let tenant = match into.last() {
            Some(account) if account.tenant.as_str() == tenants.value(row) => {
                account.tenant.clone()
            }
            _ => Tenant::new(tenants.value(row))
                .map_err(|e| Error::corrupt("the ledger names no tenant").because(e))?,
        };
        into.push(StreamAccount {
            tenant,
            stream,
            tags: tags.value(row).into(),
            mark: marks[row],
            partition: partition[row],
            covered_bytes: sums[0][row],
            stored: tally(1),
            shed: tally(3),
            lost: tally(5),
            duplicates: tally(7),
            events: VecDeque::new(),
        });
    }
    Ok(())
}

/// The latest come first; an account wants them last. What lies beyond the mark belongs to a block that was not committed.
fn read_events(
    batch: &RecordBatch,
    places: &HashMap<StreamId, usize>,
    accounts: &mut [StreamAccount],
) -> Result<()> {
    let answer = Answer(batch);
    let [generation, start, end, records] =
        ["generation", "start", "end", "records"].map(|name| answer.numbers(name));
    let (generation, start, end, records) = (generation?, start?, end?, records?);
    let (fates, reasons) = (answer.texts("fate")?, answer.texts("reason")?);
    let at = answer.column("at")?.as_primitive_opt::<TimestampNanosecondType>();
    let at = at.ok_or_else(|| wrong("at"))?.values();
    for (row, stream) in answer.streams()?.into_iter().enumerate() {
        let Some(account) = places.get(&stream).and_then(|place| accounts.get_mut(*place)) else {
            continue;
        };
        let reason = reasons.value(row).to_owned().into();
        let fate = if fates.value(row) == "shed" { Fate::Shed(reason) } else { Fate::Lost(reason) };
        let range = Range {
            stream,
            generation: generation[row],
            start: start[row],
            end: end[row],
            records: records[row],
            after: Position::default(),
            fate,
        };
        if range.end_position() <= account.mark {
            account.events.push_front(Event { range, at: at[row] });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
