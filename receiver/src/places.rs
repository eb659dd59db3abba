//! Where the records of a draft go in their streams, and the end of the queue for pushes.
//!
//! **Identity.** A pushed stream is its labels, the protocol and the process that takes it ([`crate::ReceiverConfig::name`]): only one
//! process can say which of its records came first.
//!
//! **Position.** The generation of a stream is the time at which this process first took something of it, its offset the count of bytes
//! that were pushed since: positions are unique and grow, as for files. A later process, and this one when it has forgotten a
//! stream that was silent, starts a later generation. No generation is used twice by one process. After a clock was set back, a process goes on
//! from the marks of the store where it can see them ([`Start::marks`]), else from the generation that it wrote down
//! ([`Start::after`]): a position below a stream's mark would be taken for a duplicate.
//!
//! **Repeated requests.** A request that is sent again is a new push: a client that does not see the answer and repeats the request
//! stores its records twice. Who needs exactly once writes to a file and lets the collector read it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, UInt64Array};
use foldhash::HashMap;
use rookery_core::batch::{Batch, Fate, Range};
use rookery_core::queue::{Queue, Receipt};
use rookery_core::{Error, Position, Result, StreamId, Tenant, time};
use tokio::sync::Mutex;

use crate::draft::{Draft, Share};

/// How often streams that were silent are looked for when there are too many.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// What a process knows when it starts to receive.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// How far the streams in the store have come, where this process sees the store.
    pub marks: Vec<(StreamId, Position)>,
    /// A generation that was used before; see [`next_generation`].
    pub after: u64,
}

/// Reads the latest generation of an earlier process of this name from a file, writes the next one, and gives it: the time, but always
/// later than before. For [`Start::after`], in a process that does not see the marks of the store.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn next_generation(file: &Path) -> Result<u64> {
    let what = |verb: &str| format!("{verb} {}", file.display());
    let before = match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse::<u64>().map_err(|e| {
            Error::corrupt(format!("{} does not hold a generation", file.display())).because(e)
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Error::io(what("read"), error)),
    };
    let next = now().max(before.saturating_add(1));
    let fresh = file.with_extension("new");
    let written = std::fs::write(&fresh, format!("{next}\n"))
        .and_then(|()| std::fs::File::open(&fresh)?.sync_all())
        .and_then(|()| std::fs::rename(&fresh, file));
    written.map_err(|error| Error::io(what("write"), error))?;
    Ok(next)
}

fn now() -> u64 {
    u64::try_from(time::now()).unwrap_or(0)
}

/// The end of the queue for pushes, and how far each pushed stream has come.
pub(crate) struct Places {
    queue: Arc<dyn Queue>,
    name: Arc<str>,
    streams_limit: usize,
    idle: Duration,
    streams: Mutex<Streams>,
}

struct Streams {
    /// Where the next record of each stream goes, and when the last one came.
    next: HashMap<StreamId, (Position, Instant)>,
    /// The latest generation that was given to a stream.
    generation: u64,
    swept: Option<Instant>,
}

impl Places {
    pub(crate) fn new(
        queue: Arc<dyn Queue>,
        name: Arc<str>,
        (streams_limit, idle): (usize, Duration),
        start: Start,
    ) -> Self {
        let started = now().max(start.after);
        let ahead = start.marks.into_iter().filter(|(_, mark)| mark.generation >= started);
        let next = ahead.map(|(stream, mark)| (stream, (mark, Instant::now()))).collect();
        let streams = Streams { next, generation: started, swept: None };
        Self { queue, name, streams_limit, idle, streams: Mutex::new(streams) }
    }

    /// Gives the records of a draft their places and puts them into the queue. Drafts go in one at a time, because positions must go in
    /// in their order.
    ///
    /// The caller must not drop the future: what the queue has taken moves the streams.
    pub(crate) async fn send(&self, tenant: &Tenant, draft: Draft) -> Result<Receipt> {
        let mut streams = self.streams.lock().await;
        self.make_room(&mut streams, &draft)?;
        let first =
            Position { generation: now().max(streams.generation.saturating_add(1)), offset: 0 };
        let place = |share: &Share| streams.next.get(&share.id).map(|(next, _)| *next);
        let known: Vec<Option<Position>> = draft.streams.iter().map(place).collect();
        let batch = draft.batch(tenant, self.name.clone(), |number| {
            let known = known[number];
            (known.unwrap_or(first), known.unwrap_or_default())
        })?;
        let ends: Vec<(StreamId, Position)> =
            batch.ranges.iter().map(|range| (range.stream, range.end_position())).collect();
        let receipt = self.queue.send(batch).await?;
        // Only what the queue has taken moves a stream: a refused batch leaves no hole.
        streams.generation = first.generation;
        let at = Instant::now();
        streams.next.extend(ends.into_iter().map(|(stream, end)| (stream, (end, at))));
        Ok(receipt)
    }

    /// Forgets silent streams when there are too many. Their next generation is later than the one that is forgotten.
    fn make_room(&self, streams: &mut Streams, draft: &Draft) -> Result<()> {
        let fresh = draft.streams.iter().filter(|s| !streams.next.contains_key(&s.id)).count();
        if streams.next.len() + fresh <= self.streams_limit {
            return Ok(());
        }
        let at = Instant::now();
        if streams.swept.is_none_or(|swept| at - swept >= SWEEP_EVERY) {
            streams.swept = Some(at);
            // One that is ahead of all that this process gives, after a clock was set back, would begin anew below its mark.
            let ahead = streams.generation;
            let idle = self.idle;
            streams.next.retain(|_, (next, last)| at - *last < idle || next.generation > ahead);
        }
        let fresh = draft.streams.iter().filter(|s| !streams.next.contains_key(&s.id)).count();
        if streams.next.len() + fresh <= self.streams_limit {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "this process takes {} streams by push and has {}: name fewer things in the labels of a stream (_stream_fields), or raise \
             receiver.streams_limit",
            self.streams_limit,
            streams.next.len()
        )))
    }
}

impl Draft {
    /// The batch, each stream's records moved to where they start. `start` gives for the number of a stream where it starts and what it
    /// follows.
    ///
    /// # Errors
    /// When the columns do not fit each other.
    pub(crate) fn batch(
        self,
        tenant: &Tenant,
        collector: Arc<str>,
        start: impl Fn(usize) -> (Position, Position),
    ) -> Result<Batch> {
        let starts: Vec<(Position, Position)> = (0..self.streams.len()).map(start).collect();
        let range = |(share, (start, after)): (&Share, &(Position, Position))| Range {
            stream: share.id,
            generation: start.generation,
            start: start.offset,
            end: start.offset + share.bytes,
            records: share.records,
            after: *after,
            fate: Fate::Kept,
        };
        let ranges = self.streams.iter().zip(&starts).map(range).collect();
        let schema = self.records.schema();
        let mut columns = self.records.columns().to_vec();
        let start = |stream: &u32| starts[*stream as usize].0;
        let generations = self.offsets.iter().map(|(stream, _)| start(stream).generation);
        columns[schema.index_of("generation")?] =
            Arc::new(UInt64Array::from_iter_values(generations));
        let offsets = self.offsets.iter().map(|(stream, offset)| start(stream).offset + offset);
        columns[schema.index_of("offset")?] = Arc::new(UInt64Array::from_iter_values(offsets));
        let records = RecordBatch::try_new(schema, columns)?;
        Ok(Batch { tenant: tenant.clone(), collector, records, ranges })
    }
}

#[cfg(test)]
mod tests;
