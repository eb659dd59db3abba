//! The ingester over the real engine, where a queue lost what it had acknowledged: what is stored and what the ledger says of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rookery_core::batch::Batch;
use rookery_core::ledger::StreamAccount;
use rookery_core::queue::{Delivery, DeliveryId, Event, Frontier, Subscription};
use rookery_core::store::{Accounts, Store};
use rookery_core::units::Span;
use rookery_core::{BoxFuture, Position, Tenant};
use rookery_ingester::{Ingester, IngesterConfig};
use rookery_tests::kit::wait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::setup::{
    Cut, Line, RECORD_BYTES, Run, Setup, block, blocking, origin, position, run, stream,
};

/// The partition of all of it.
const PARTITION: u32 = 4;

/// The end of a queue that says what a test has it say.
struct Script(mpsc::Receiver<Event>);

impl Subscription for Script {
    fn next(&mut self) -> BoxFuture<'_, rookery_core::Result<Option<Event>>> {
        Box::pin(async { Ok(self.0.recv().await) })
    }

    fn acknowledge(&mut self, _: &[DeliveryId]) -> BoxFuture<'_, rookery_core::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn hold(&mut self, _: u32, _: bool) {}

    fn frontiers(&mut self) -> BoxFuture<'_, rookery_core::Result<Vec<Frontier>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// These records as they come out of a queue.
fn delivered(sequence: u64, run: Run) -> Event {
    let block = block(origin(PARTITION, 0, 0), &[run]);
    let mut ranges: Vec<_> = block.entries.into_iter().map(|entry| entry.range).collect();
    ranges[0].after = if run.first > 0 { position(run.first) } else { Position::default() };
    let [records] = block.records.try_into().expect("a builder makes one batch");
    let batch = Batch { tenant: Tenant::default(), collector: "node-1".into(), records, ranges };
    Event::Delivered(Delivery { id: DeliveryId { partition: PARTITION, sequence }, batch })
}

/// An ingester, and where its queue is told what to say. It ends when that is dropped.
fn ingester(
    store: Arc<dyn Store>,
) -> (mpsc::Sender<Event>, tokio::task::JoinHandle<rookery_core::Result<()>>) {
    let (script, events) = mpsc::channel(16);
    let config = IngesterConfig { block_interval: Span::millis(1), ..IngesterConfig::default() };
    let ingester = Ingester::new(store, config, Arc::default());
    let running = ingester.run(Box::new(Script(events)), CancellationToken::new());
    (script, tokio::spawn(running))
}

fn until_stored(setup: &Setup, records: u64) -> Result<()> {
    let limit = Duration::from_secs(30);
    blocking(|| {
        wait::until("rows to be stored", limit, || Ok((setup.stored()?.0 == records).then_some(())))
    })
}

async fn account(store: &dyn Store) -> Result<StreamAccount> {
    let mut accounts = store.accounts(Accounts::Streams(vec![stream(1)])).await?;
    assert_eq!(accounts.len(), 1);
    Ok(accounts.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_starts_again_first_lets_the_account_come_to_its_rows() -> Result<()> {
    let setup = Setup::new("again_first").await?;
    let line = Line::to(setup.server).await?;
    let store = Arc::new(setup.store_through(&line).await?);
    let (script, running) = ingester(store.clone());
    script.send(Event::Assigned(vec![PARTITION])).await?;
    line.cut("INSERT+INTO+ledger+", Cut::Late);
    script.send(delivered(0, run(1, 0, 10))).await?;
    until_stored(&setup, 10)?;
    // The broker came back without the end of its log: what is being written will never come again.
    script.send(Event::Lost(vec![PARTITION])).await?;
    script.send(Event::Assigned(vec![PARTITION])).await?;
    script.send(delivered(0, run(1, 10, 10))).await?;
    drop(script);
    running.await??;
    let account = account(store.as_ref()).await?;
    assert_eq!((account.stored.records, account.lost.bytes), (20, 0), "{account:?}");
    assert_eq!(setup.stored()?, (20, 20));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_an_account_that_never_come_again_are_lost_as_the_ledger_has_it() -> Result<()>
{
    let setup = Setup::new("never_again").await?;
    let line = Line::to(setup.server).await?;
    let crashed = setup.store_through(&line).await?;
    let epoch = crashed.claim(&[PARTITION]).await?.epoch;
    crashed.append(block(origin(PARTITION, epoch, 0), &[run(1, 0, 10)])).await?;
    line.cut("INSERT+INTO+ledger+", Cut::Request);
    let left = block(origin(PARTITION, epoch, 1), &[run(1, 10, 10)]);
    crashed.append(left).await.unwrap_err();
    drop(crashed);

    let store = Arc::new(setup.store().await?);
    let (script, running) = ingester(store.clone());
    script.send(Event::Assigned(vec![PARTITION])).await?;
    script.send(delivered(7, run(1, 20, 10))).await?;
    drop(script);
    running.await??;
    let account = account(store.as_ref()).await?;
    assert!(account.is_balanced());
    // Too much, never too little: see the limits in `docs/decisions/0006`.
    assert_eq!((account.stored.records, account.lost.bytes), (20, 10 * RECORD_BYTES));
    assert_eq!(setup.stored()?, (30, 30), "each can be found, once");
    // They are settled: no claim looks for them any more.
    assert_eq!(store.claim(&[PARTITION]).await?.unaccounted, []);
    Ok(())
}
