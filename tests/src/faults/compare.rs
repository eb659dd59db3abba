//! What is in the store, against what was written.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::line;
use super::stream::{Disturbances, Stream};
use crate::kit::http::Client;

/// How many differences are told one by one.
const EXAMPLES: usize = 20;

/// What a run did and found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The seed that it can be repeated with.
    pub seed: u64,
    /// How often the process was started.
    pub starts: u32,
    /// How often it was killed.
    pub kills: u32,
    /// How often the checkpoint folder was removed.
    pub lost_checkpoints: u32,
    /// How often the spool was removed.
    pub lost_spools: u32,
    /// How often the disk became full.
    pub full_disks: u32,
    /// What was done to the files.
    pub disturbances: Disturbances,
    /// Lines that were written.
    pub written: u64,
    /// Lines that are not in the store.
    pub lost: u64,
    /// How many of them the ledger answers for, where that is allowed.
    pub accounted: u64,
    /// Lines that are in the store more than once.
    pub doubled: u64,
    /// Lines that come, by position, before one that was written earlier.
    pub reordered: u64,
    /// Lines that come, sorted by time, before one that was written earlier.
    pub reordered_by_time: u64,
    /// Lines whose text is not what was written.
    pub altered: u64,
    /// Records that are no line of this run.
    pub foreign: u64,
    /// Why the ledger does not agree; empty when it does.
    pub ledger: Vec<String>,
    /// What the process complained of and should not have.
    pub journal: Vec<String>,
    /// Some of the differences, for a person.
    pub examples: Vec<String>,
}

impl Outcome {
    /// Whether every promise was kept.
    ///
    /// # Errors
    /// When one was not: the outcome is the message.
    pub fn check(&self) -> Result<()> {
        let broken = self.lost.saturating_sub(self.accounted)
            + self.doubled
            + self.reordered
            + self.reordered_by_time
            + self.altered
            + self.foreign;
        if broken > 0 || !self.ledger.is_empty() || !self.journal.is_empty() {
            bail!("{self}");
        }
        Ok(())
    }

    /// Adds a difference to those that are told one by one.
    pub fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text());
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} starts, {} kills, {} checkpoint folders and {} spools removed, {} times a full disk",
            self.seed,
            self.starts,
            self.kills,
            self.lost_checkpoints,
            self.lost_spools,
            self.full_disks
        )?;
        writeln!(f, "files: {}", self.disturbances)?;
        writeln!(
            f,
            "{} lines written: {} lost, {} doubled, {} out of order ({} when sorted by time), {} altered, {} foreign",
            self.written,
            self.lost,
            self.doubled,
            self.reordered,
            self.reordered_by_time,
            self.altered,
            self.foreign
        )?;
        let ledger = if self.ledger.is_empty() { "balanced" } else { "NOT as it should be" };
        write!(f, "ledger: {ledger}")?;
        for line in self.ledger.iter().chain(&self.journal).chain(&self.examples) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// How many records there are.
///
/// # Errors
/// When the process cannot be asked.
pub fn count(client: &Client) -> Result<u64> {
    let answer = client.search("* | stats count() n", &[])?;
    let text = answer.first().and_then(|row| row["n"].as_str()).context("a count has one row")?;
    text.parse().with_context(|| format!("{text} is not a count"))
}

/// One record, as far as it matters here.
struct Record {
    position: (u64, u64),
    stream: String,
    sequence: u64,
    message: String,
}

fn record(value: &Value) -> Option<Record> {
    let number = |field: &str| value[field].as_str()?.parse().ok();
    let message = value["_msg"].as_str()?.to_owned();
    let position = (number("_generation")?, number("_offset")?);
    let stream = value["_stream_id"].as_str()?.to_owned();
    Some(Record { position, stream, sequence: line::sequence(&message)?, message })
}

/// Reads every stream back and adds to the outcome what is not as it was written. The store holds `others` more records that are not
/// looked at.
///
/// # Errors
/// When the process cannot be asked.
pub fn streams(
    client: &Client,
    streams: &[Stream],
    others: u64,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut known = others;
    for stream in streams {
        for (writer, expected) in stream.writers() {
            let fields = "fields _time, _msg, _stream_id, _generation, _offset";
            let values = client.search(&format!("\"writer={writer}\" | {fields}"), &[])?;
            known += values.len() as u64;
            let records: Vec<Record> = values.iter().filter_map(record).collect();
            outcome.foreign += (values.len() - records.len()) as u64;
            outcome.written += expected.len() as u64;
            compare(writer, expected, records, outcome);
            order_by_time(client, writer, outcome)?;
        }
    }
    outcome.foreign += count(client)?.saturating_sub(known);
    Ok(())
}

fn compare(writer: &str, pads: &[u32], mut records: Vec<Record>, outcome: &mut Outcome) {
    records.sort_by(|a, b| (&a.stream, a.position).cmp(&(&b.stream, b.position)));
    let mut seen: HashMap<u64, u32> = HashMap::with_capacity(pads.len());
    let mut last: Option<&Record> = None;
    for record in &records {
        *seen.entry(record.sequence).or_default() += 1;
        if let Some(last) = last.filter(|last| last.sequence > record.sequence) {
            outcome.reordered += 1;
            outcome.example(|| {
                format!(
                    "{writer}: {} at {:?} after {} at {:?}",
                    record.sequence, record.position, last.sequence, last.position
                )
            });
        }
        last = Some(record);
        let pad = pads.get(record.sequence as usize);
        if !pad
            .is_some_and(|pad| record.message.ends_with(&line::text(writer, record.sequence, *pad)))
        {
            outcome.altered += 1;
            let shown: String = record.message.chars().take(120).collect();
            outcome.example(|| format!("{writer}: {} is altered: {shown}", record.sequence));
        }
    }
    // Told as runs: a file that was read twice is one line of the report and not a thousand.
    let mut run: Option<(u64, u32)> = None;
    for sequence in 0..=pads.len() as u64 {
        let is_past = sequence == pads.len() as u64;
        let times = if is_past { 1 } else { seen.get(&sequence).copied().unwrap_or(0) };
        if times == 0 {
            outcome.lost += 1;
        }
        outcome.doubled += u64::from(times.saturating_sub(1));
        if run.is_none_or(|(_, before)| before != times) {
            if let Some((start, before)) = run.filter(|(_, before)| *before != 1) {
                let last = sequence - 1;
                outcome.example(|| format!("{writer}: {start} to {last} are there {before} times"));
            }
            run = Some((sequence, times));
        }
    }
}

/// Lines of one program carry times that do not fall, so sorting by time must not change their order, at equal times either.
fn order_by_time(client: &Client, writer: &str, outcome: &mut Outcome) -> Result<()> {
    let sorted =
        client.search(&format!("\"writer={writer}\" | sort by (_time) | fields _msg"), &[])?;
    let numbers = sorted.iter().filter_map(|value| line::sequence(value["_msg"].as_str()?));
    let numbers: Vec<u64> = numbers.collect();
    for pair in numbers.windows(2).filter(|pair| pair[0] > pair[1]) {
        outcome.reordered_by_time += 1;
        outcome
            .example(|| format!("{writer}: sorted by time, {} comes after {}", pair[1], pair[0]));
    }
    Ok(())
}

/// Asks the ledger and adds to the outcome where it does not agree with what was written.
///
/// # Errors
/// When the process cannot be asked.
pub fn ledger(client: &Client, outcome: &mut Outcome) -> Result<()> {
    let ledger = client.json("/api/ledger", &[])?;
    if ledger["balanced"] != Value::Bool(true) {
        outcome.ledger.push("it says itself that the sums do not balance".to_owned());
    }
    let total = |kind: &str, unit: &str| {
        let value = ledger["totals"][kind][unit].as_u64();
        value.with_context(|| format!("the ledger has no {kind} {unit}"))
    };
    let (bytes, records) = (total("lost", "bytes")?, total("lost", "records")?);
    if (bytes, records) != (0, 0) {
        outcome.ledger.push(format!("{bytes} bytes, {records} records lost"));
    }
    let (bytes, records) = (total("shed", "bytes")?, total("shed", "records")?);
    if records != 0 {
        outcome.ledger.push(format!("{bytes} bytes, {records} records shed"));
    }
    let stored = total("stored", "records")?;
    if stored != outcome.written {
        outcome.ledger.push(format!("{stored} records stored, {} lines written", outcome.written));
    }
    // Zeros that nobody wrote are passed over; they are the only thing that may be.
    let streams = ledger["streams"].as_array().into_iter().flatten();
    let events = streams.filter_map(|stream| stream["events"].as_array()).flatten();
    let is_hole = |event: &Value| event["fate"] == "shed" && event["reason"] == "hole";
    for event in events.filter(|event| !is_hole(event)).take(EXAMPLES) {
        outcome.ledger.push(event.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(sequence: u64, offset: u64, text: &str) -> Record {
        Record { position: (1, offset), stream: "s".into(), sequence, message: text.into() }
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let text = |sequence| line::text("w", sequence, 3);
        let records = vec![
            stored(0, 0, &text(0)),
            stored(2, 10, &text(2)),
            stored(1, 20, &text(1)),
            stored(1, 30, &text(1)),
            stored(3, 40, "writer=w seq=3 pad=wrong"),
        ];
        let mut outcome = Outcome::default();
        compare("w", &[3; 5], records, &mut outcome);
        assert_eq!(
            (outcome.lost, outcome.doubled, outcome.reordered, outcome.altered),
            (1, 1, 1, 1)
        );
        assert!(outcome.check().is_err());
    }

    #[test]
    fn what_was_written_is_no_difference() {
        let text = |sequence| line::text("w", sequence, 3);
        let records = vec![stored(0, 0, &text(0)), stored(1, 10, &format!("12:00 {}", text(1)))];
        let mut outcome = Outcome::default();
        compare("w", &[3; 2], records, &mut outcome);
        assert!(outcome.check().is_ok());
    }
}
