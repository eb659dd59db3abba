//! What a claim keeps out, and what it finds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rookery_core::Kind;
use rookery_core::store::Store;
use rookery_tests::kit::wait;

use crate::setup::{Cut, Line, Setup, block, blocking, origin, position, run, stream};

#[tokio::test(flavor = "multi_thread")]
async fn a_former_owner_is_refused_by_the_server_and_leaves_nothing() -> Result<()> {
    let setup = Setup::new("former").await?;
    let (former, owner) = (setup.store().await?, setup.store().await?);
    let old = former.claim(&[1, 2]).await?.epoch;
    former.append(block(origin(1, old, 0), &[run(1, 0, 10)])).await?;
    let claim = owner.claim(&[1]).await?;
    assert!(claim.epoch > old);
    assert_eq!(claim.accounts.iter().map(|a| a.mark).collect::<Vec<_>>(), [position(10)]);

    let late = block(origin(1, old, 1), &[run(1, 10, 10)]);
    let refused = former.append(late).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{refused}");
    owner.append(block(origin(1, claim.epoch, 0), &[run(1, 10, 10)])).await?;
    former.append(block(origin(2, old, 0), &[run(2, 0, 10)])).await?;
    assert_eq!(setup.stored()?, (30, 30));
    let unclaimed = owner.append(block(origin(2, claim.epoch, 0), &[run(2, 10, 1)])).await;
    assert_eq!(unclaimed.unwrap_err().kind(), Kind::Conflict);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_ends_an_insert_of_the_former_owner_that_runs() -> Result<()> {
    let setup = Setup::new("running").await?;
    let store = setup.store().await?;
    let old = store.claim(&[7]).await?.epoch;
    let database = setup.config.database.clone();
    let id = format!("rookery-insert-{database}-7-{old}-0-1-30");
    let server = setup.server;
    // As an insert that has passed its fence and is slow: it would land long after the claim.
    let slow = tokio::task::spawn_blocking({
        let (database, id) = (database.clone(), id.clone());
        move || {
            let sql = "INSERT INTO logs (body, queue_partition, block, keep_days, time) \
                       SELECT toString(sleepEachRow(0.5)), 7, 1, 30, now64(9) FROM numbers(12) SETTINGS max_block_size = 1";
            server.query(sql, &[("database", &database), ("query_id", &id)])
        }
    });
    let shows = format!("SELECT count() FROM system.processes WHERE query_id = '{id}'");
    blocking(|| {
        wait::until("the slow insert to run", Duration::from_secs(20), || {
            Ok((setup.ask(&shows)? == "1").then_some(()))
        })
    })?;
    store.claim(&[7]).await?;
    assert_eq!(setup.ask(&shows)?, "0", "it is over when the claim returns");
    let found = setup.stored()?;
    assert!(slow.await?.is_err(), "it was ended");
    assert_eq!(setup.stored()?, found, "and nothing landed after the claim");
    assert_eq!(found, (0, 0));
    let ended = |name: &str| store.stats().counters().iter().find(|c| c.0 == name).map(|c| c.2);
    assert_eq!(ended("killed_inserts"), Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_an_account_are_found_until_an_account_answers_for_them() -> Result<()> {
    let setup = Setup::new("unaccounted").await?;
    let line = Line::to(setup.server).await?;
    let crashed = setup.store_through(&line).await?;
    let epoch = crashed.claim(&[4]).await?.epoch;
    crashed.append(block(origin(4, epoch, 0), &[run(1, 0, 10)])).await?;
    line.cut("INSERT+INTO+ledger+", Cut::Request);
    crashed.append(block(origin(4, epoch, 1), &[run(1, 10, 3), run(2, 0, 2)])).await.unwrap_err();
    drop(crashed);

    let left: Vec<_> = (10..13)
        .map(|record| (stream(1), position(record)))
        .chain((0..2).map(|record| (stream(2), position(record))))
        .collect();
    let store = setup.store().await?;
    let claim = store.claim(&[3, 4]).await?;
    assert_eq!(claim.unaccounted, left);
    assert_eq!(claim.accounts.iter().map(|a| a.mark).collect::<Vec<_>>(), [position(10)]);

    // Another stream is committed meanwhile; what has no account must not be forgotten over it.
    store.append(block(origin(4, claim.epoch, 0), &[run(3, 0, 4)])).await?;
    let claim = store.claim(&[4]).await?;
    assert_eq!(claim.unaccounted, left);

    // They come again: their rows are dropped, and the account counts them.
    let mut again = block(origin(4, claim.epoch, 0), &[run(1, 10, 3), run(2, 0, 2)]);
    again.records.clear();
    store.append(again).await?;
    store.append(block(origin(4, claim.epoch, 1), &[run(1, 13, 1)])).await?;
    let claim = store.claim(&[4]).await?;
    assert_eq!(claim.unaccounted, []);
    assert!(claim.accounts.iter().all(rookery_core::ledger::StreamAccount::is_balanced));
    let records: u64 = claim.accounts.iter().map(|a| a.stored.records).sum();
    assert_eq!((records, setup.stored()?), (20, (20, 20)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_claims_made_at_once_one_alone_may_write() -> Result<()> {
    let setup = Setup::new("rivals").await?;
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(setup.store().await?);
    }
    let claims = tokio::join!(
        stores[0].claim(&[9]),
        stores[1].claim(&[9]),
        stores[2].claim(&[9]),
        stores[3].claim(&[9])
    );
    let claims = [claims.0, claims.1, claims.2, claims.3];
    let mut written = 0;
    let mut epochs = Vec::new();
    for (number, (store, claim)) in stores.iter().zip(claims).enumerate() {
        match claim {
            Ok(claim) => {
                epochs.push(claim.epoch);
                let run = run(u8::try_from(number)?, 0, 5);
                match store.append(block(origin(9, claim.epoch, 0), &[run])).await {
                    Ok(()) => written += 1,
                    Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
                }
            }
            Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
        }
    }
    let claimed = epochs.len();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), claimed, "no two have one epoch");
    assert_eq!(written, 1);
    assert_eq!(setup.stored()?, (5, 5));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_reads_the_marks_of_a_hundred_thousand_streams_in_seconds() -> Result<()> {
    let setup = Setup::new("marks").await?;
    let store = setup.store().await?;
    for part in 0..3 {
        setup.ask(&format!(
            "INSERT INTO ledger SELECT 'default', toFixedString(unhex(hex(sipHash128(number))), 16), number % 4, (1, {part} + number), \
             ({part}, '{{pod=\"a-name-of-usual-length-' || toString(number) || '\"}}'), 10, 10, 1, 0, 0, 0, 0, 0, 0, {part}, {part} \
             FROM numbers(100000)"
        ))?;
    }
    let started = Instant::now();
    let claim = store.claim(&[0, 1, 2, 3]).await?;
    let taken = started.elapsed();
    assert_eq!(claim.accounts.len(), 100_000);
    let some =
        claim.accounts.iter().find(|a| a.partition == 3).context("a stream of partition 3")?;
    assert_eq!((some.stored.bytes, some.stored.records), (30, 3));
    println!("marks of 100,000 streams: {taken:?}");
    // Many times what it takes, for a machine that does other things too.
    assert!(taken < Duration::from_secs(30), "{taken:?}");
    Ok(())
}
