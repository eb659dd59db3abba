//! What was shipped, as a store would have it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use rookery_core::batch::{Batch, Fate};
use rookery_core::ledger::StreamAccount;
use rookery_core::queue::memory::{MemoryQueue, MemorySubscription, memory_queue};
use rookery_core::queue::{Event, Queue, Subscription};
use rookery_core::{Position, StreamId};

/// How long a test waits for what must come. Far above what it takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) position: Position,
    pub(crate) body: String,
    pub(crate) path: String,
    pub(crate) fields: Vec<(String, String)>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) records: BTreeMap<StreamId, Vec<Stored>>,
    pub(crate) accounts: HashMap<StreamId, StreamAccount>,
    pub(crate) batches: u64,
    is_away: bool,
    /// Batches that were delivered while the store was away.
    waiting: u64,
}

impl State {
    /// All bodies of all streams, stream by stream.
    pub(crate) fn bodies(&self) -> Vec<&str> {
        self.records.values().flatten().map(|r| r.body.as_str()).collect()
    }

    /// Bytes given up for a reason, over all streams.
    pub(crate) fn given_up(&self, reason: &str) -> u64 {
        let of = |fate: &Fate| matches!(fate, Fate::Shed(r) | Fate::Lost(r) if r == reason);
        let events = self.accounts.values().flat_map(|account| &account.events);
        events.filter(|event| of(&event.range.fate)).map(|event| event.range.bytes()).sum()
    }
}

/// A store that any number of collectors, one after the other, ship to.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<(Mutex<State>, Condvar)>);

impl Store {
    /// A queue into the store, for one life of a collector.
    pub(crate) fn queue(&self) -> Arc<dyn Queue> {
        let (queue, subscription): (MemoryQueue, MemorySubscription) = memory_queue(8 << 20);
        let store = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(store.consume(subscription));
        });
        Arc::new(queue)
    }

    async fn consume(self, mut subscription: MemorySubscription) {
        while let Some(event) = subscription.next().await.unwrap() {
            let Event::Delivered(delivery) = event else { continue };
            {
                let (state, wake) = &*self.0;
                let mut state = state.lock().unwrap();
                if state.is_away {
                    state.waiting += 1;
                    wake.notify_all();
                }
                while state.is_away {
                    state = wake.wait(state).unwrap();
                }
                put(&mut state, &delivery.batch);
                state.batches += 1;
                wake.notify_all();
            }
            subscription.acknowledge(&[delivery.id]).await.unwrap();
        }
    }

    /// Starts from what another one had; what was on its way to that one is gone.
    pub(crate) fn take_over(&self, other: &Self) {
        let other = other.0.0.lock().unwrap();
        let mut state = self.0.0.lock().unwrap();
        state.records = other.records.clone();
        state.accounts = other.accounts.clone();
    }

    /// While it is away it takes nothing, and what was delivered waits.
    pub(crate) fn set_away(&self, away: bool) {
        self.0.0.lock().unwrap().is_away = away;
        self.0.1.notify_all();
    }

    /// Looks at it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.0.lock().unwrap())
    }

    /// Waits until `seen`.
    pub(crate) fn wait(&self, what: &str, mut seen: impl FnMut(&State) -> bool) {
        let end = Instant::now() + PATIENCE;
        let (state, wake) = &*self.0;
        let mut state = state.lock().unwrap();
        while !seen(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let bodies = state.bodies();
                let tail = &bodies[bodies.len().saturating_sub(5)..];
                let accounts: Vec<_> = state.accounts.values().collect();
                panic!(
                    "{what} did not come; {} records, last {tail:?}; {accounts:#?}",
                    bodies.len()
                );
            }
            state = wake.wait_timeout(state, left.min(Duration::from_millis(200))).unwrap().0;
        }
    }

    /// Waits for this many records in all.
    pub(crate) fn wait_for(&self, records: usize) {
        self.wait(&format!("record {records}"), |s| {
            s.records.values().map(Vec::len).sum::<usize>() >= records
        });
    }

    /// Waits until a batch hangs in the store that is away.
    pub(crate) fn wait_until_stuck(&self) {
        self.wait("a batch in the store that is away", |state| state.waiting > 0);
    }

    /// Nothing is lost, doubled or out of order: one stream holds exactly these lines.
    pub(crate) fn assert_lines(&self, expected: &[String]) {
        self.look(|state| {
            let bodies = state.bodies();
            for (at, (got, want)) in bodies.iter().zip(expected).enumerate() {
                assert_eq!(got, want, "record {at}");
            }
            assert_eq!(bodies.len(), expected.len(), "{:?}", state.accounts);
        });
        self.assert_balanced();
    }

    /// The ledger balances, and nothing is missing in it.
    pub(crate) fn assert_balanced(&self) {
        self.look(|state| {
            for account in state.accounts.values() {
                assert!(account.is_balanced(), "{account:#?}");
                let gap = account.events.iter().any(|e| e.range.fate == Fate::Lost("gap".into()));
                assert!(!gap, "{account:#?}");
                let records = state.records.get(&account.stream).map_or(0, Vec::len);
                assert_eq!(account.stored.records, records as u64, "{account:#?}");
            }
        });
    }
}

/// What an ingester does.
fn put(state: &mut State, batch: &Batch) {
    let rows = rows(batch);
    let marks: HashMap<StreamId, Position> =
        state.accounts.iter().map(|(id, account)| (*id, account.mark)).collect();
    let mut last: HashMap<StreamId, Position> = HashMap::new();
    for (stream, record) in &rows {
        let inside = |range: &&rookery_core::batch::Range| {
            range.stream == *stream
                && range.generation == record.position.generation
                && (range.start..range.end).contains(&record.position.offset)
        };
        let range = batch.ranges.iter().find(inside);
        let range = range.unwrap_or_else(|| panic!("{record:?} is in no range of its batch"));
        assert_eq!(range.fate, Fate::Kept, "{record:?}");
        let before = last.insert(*stream, record.position);
        assert!(before < Some(record.position), "out of order: {before:?} {record:?}");
    }
    for range in &batch.ranges {
        assert!(range.start < range.end, "empty range {range:?}");
        let starts = |from: u64| {
            let inside = |(stream, record): &&(StreamId, Stored)| {
                *stream == range.stream
                    && record.position.generation == range.generation
                    && (from..range.end).contains(&record.position.offset)
            };
            rows.iter().filter(inside).count() as u64
        };
        if range.fate == Fate::Kept {
            assert_eq!(range.records, starts(range.start), "{range:?}");
        }
        let account = state
            .accounts
            .entry(range.stream)
            .or_insert_with(|| StreamAccount::new(batch.tenant.clone(), range.stream, "{}".into()));
        for entry in account.admit(range, starts) {
            account.apply(&entry, 0);
        }
    }
    for (stream, record) in rows {
        let mark = marks.get(&stream).copied().unwrap_or_default();
        if record.position >= mark {
            state.records.entry(stream).or_default().push(record);
        }
    }
}

fn rows(batch: &Batch) -> Vec<(StreamId, Stored)> {
    let column = |name: &str| batch.records.column_by_name(name).unwrap();
    let stream = column("stream").as_fixed_size_binary();
    let generation = column("generation").as_primitive::<UInt64Type>();
    let offset = column("offset").as_primitive::<UInt64Type>();
    let body = column("body").as_string::<i32>();
    let path = column("path").as_dictionary::<arrow_array::types::UInt32Type>();
    let paths = path.values().as_string::<i32>();
    let fields = column("fields").as_map();
    (0..batch.records.num_rows())
        .map(|row| {
            let id = StreamId(stream.value(row).try_into().unwrap());
            let position =
                Position { generation: generation.value(row), offset: offset.value(row) };
            let entries = fields.value(row);
            let names = entries.column(0).as_dictionary::<arrow_array::types::UInt16Type>();
            let values = entries.column(1).as_string::<i32>();
            let names: Vec<String> = names
                .downcast_dict::<arrow_array::StringArray>()
                .unwrap()
                .into_iter()
                .map(|name| name.unwrap().to_owned())
                .collect();
            let fields =
                names.into_iter().zip(values.iter().map(|v| v.unwrap().to_owned())).collect();
            let path = paths.value(path.keys().value(row) as usize).to_owned();
            (id, Stored { position, body: body.value(row).to_owned(), path, fields })
        })
        .collect()
}
