//! A block is written once, whatever was heard of earlier tries; accounts say what was written.

use anyhow::Result;
use rookery_clickhouse::{ClickHouseConfig, ClickHouseStore, migrate};
use rookery_core::batch::{Block, Fate};
use rookery_core::ledger::StreamAccount;
use rookery_core::store::{Accounts, Store};
use rookery_core::time::DAY;
use rookery_core::{Kind, Tenant};
use rookery_tests::faults::disk;
use rookery_tests::kit::clickhouse::ClickHouse;

use crate::setup::{Cut, Line, Run, Setup, block, blocking, config, entry, origin, run, stream};

/// The account that these blocks make, as every part computes it.
fn expected(blocks: &[&Block], number: u8) -> StreamAccount {
    let mut account = StreamAccount::new(Tenant::default(), stream(number), "".into());
    for block in blocks {
        account.partition = block.origin.partition;
        let entries = block.entries.iter().filter(|entry| entry.range.stream == stream(number));
        entries.for_each(|entry| account.apply(entry, 0));
    }
    account
}

/// Without the time at which events were recorded, which the store chooses.
fn timeless(mut accounts: Vec<StreamAccount>) -> Vec<StreamAccount> {
    accounts.sort_by_key(|account| account.stream);
    accounts.iter_mut().flat_map(|account| &mut account.events).for_each(|event| event.at = 0);
    accounts
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_what_every_other_part_computes_from_the_same_entries() -> Result<()> {
    let setup = Setup::new("accounts").await?;
    let store = setup.store().await?;
    let epoch = store.claim(&[3]).await?.epoch;
    let first = block(origin(3, epoch, 0), &[run(1, 0, 10), run(2, 0, 5)]);
    let mut second = block(origin(3, epoch, 1), &[run(1, 15, 10)]);
    second.entries.insert(0, entry(&run(1, 10, 2), Fate::Lost("gap".into())));
    second.entries.insert(1, entry(&run(1, 12, 3), Fate::Shed("rate_limit".into())));
    second.entries[2].duplicates = 4;
    second.entries[2].duplicate_bytes = 40;
    store.append(first.clone()).await?;
    store.append(second.clone()).await?;

    let both = [&first, &second];
    let all = timeless(vec![expected(&both, 1), expected(&both, 2)]);
    assert!(all.iter().all(StreamAccount::is_balanced));
    assert_eq!(timeless(store.accounts(Accounts::All).await?), all);
    assert_eq!(timeless(store.accounts(Accounts::Tenant(Tenant::default())).await?), all);
    assert_eq!(store.accounts(Accounts::Tenant(Tenant::new("other")?)).await?, []);
    let two = Accounts::Streams(vec![stream(2), stream(9)]);
    assert_eq!(timeless(store.accounts(two).await?), all[1..]);
    setup.ask("OPTIMIZE TABLE ledger FINAL")?;
    assert_eq!(timeless(store.accounts(Accounts::All).await?), all);
    assert_eq!(timeless(store.claim(&[3]).await?.accounts), all);
    assert_eq!(store.claim(&[4]).await?.accounts, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_is_one_part_of_one_day_and_columns_come_back_as_they_were() -> Result<()> {
    let setup = Setup::new("parts").await?;
    setup.ask("SYSTEM STOP MERGES logs")?;
    let store = setup.store().await?;
    let epoch = store.claim(&[0]).await?.epoch;
    let daily = Run { stream: 1, first: 0, count: 3, step: DAY };
    let mut written = block(origin(0, epoch, 0), &[daily, run(2, 0, 2000)]);
    // A block holds the batches of several collectors, with dictionaries of their own.
    let more = block(written.origin, &[run(3, 0, 2000)]);
    written.records.extend(more.records);
    written.entries.extend(more.entries);
    store.append(written).await?;
    let parts = "SELECT count(), uniqExact(partition), sum(rows) FROM system.parts \
                 WHERE database = currentDatabase() AND table = 'logs' AND active";
    assert_eq!(setup.ask(parts)?, "3\t3\t4003");
    assert_eq!(setup.stored()?, (4003, 4003));
    let record = "SELECT body, fields['number'], pod, namespace, toString(tenant), severity, hex(stream), generation, \
                  offset, stream_tags, time FROM logs WHERE stream = unhex('02020202020202020202020202020202') AND offset = 70";
    assert_eq!(
        setup.ask(record)?,
        "record 7 of 2\t7\tpod-2\tshop\tdefault\t9\t02020202020202020202020202020202\t1\t70\t\
         {container=\"app\",namespace=\"shop\",pod=\"pod-2\"}\t2026-11-21 10:00:07.000000000"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_took_place_unheard_is_not_made_again() -> Result<()> {
    let setup = Setup::new("unheard").await?;
    // The server's own memory of tokens must not be what the test sees.
    setup.ask("ALTER TABLE logs MODIFY SETTING non_replicated_deduplication_window = 0")?;
    setup.ask("ALTER TABLE ledger MODIFY SETTING non_replicated_deduplication_window = 0")?;
    let line = Line::to(setup.server).await?;
    let store = setup.store_through(&line).await?;
    let epoch = store.claim(&[5]).await?.epoch;
    let daily = Run { stream: 1, first: 0, count: 3, step: DAY };
    let written = block(origin(5, epoch, 0), &[daily, run(2, 0, 10)]);

    for (what, cut) in [
        ("INSERT+INTO+logs", Cut::Request),
        ("INSERT+INTO+logs", Cut::Answer),
        ("INSERT+INTO+ledger+", Cut::Request),
        ("INSERT+INTO+ledger+", Cut::Answer),
    ] {
        line.cut(what, cut);
        let failed = store.append(written.clone()).await.unwrap_err();
        assert_eq!(failed.kind(), Kind::Unavailable, "{failed}");
        line.mend();
    }
    store.append(written.clone()).await?;
    assert_eq!(setup.stored()?, (13, 13));
    let account = expected(&[&written], 2);
    assert_eq!(store.accounts(Accounts::Streams(vec![stream(2)])).await?, [account]);
    assert!(store.stats().counters().iter().any(|(name, _, n)| *name == "found_inserts" && *n > 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_block_again_changes_nothing_also_after_later_ones() -> Result<()> {
    let setup = Setup::new("again").await?;
    let store = setup.store().await?;
    let epoch = store.claim(&[5]).await?.epoch;
    let first = block(origin(5, epoch, 0), &[run(1, 0, 10)]);
    let second = block(origin(5, epoch, 1), &[run(1, 10, 10)]);
    for block in [&first, &first, &second, &first] {
        store.append(block.clone()).await?;
    }
    assert_eq!(setup.stored()?, (20, 20));
    assert_eq!(store.accounts(Accounts::All).await?, [expected(&[&first, &second], 1)]);
    Ok(())
}

/// A server that a test may do things to, and a store in it.
async fn own_server(word: &str) -> Result<(ClickHouse, ClickHouseConfig, ClickHouseStore)> {
    let server = blocking(ClickHouse::start)?;
    let config = config(&server, &blocking(|| server.database(word))?);
    migrate(&config).await?;
    let store = ClickHouseStore::connect(config.clone()).await?;
    Ok((server, config, store))
}

/// Each record of these blocks of stream 1 is there once, and the account says so.
async fn all_are_stored(
    server: &ClickHouse,
    config: &ClickHouseConfig,
    store: &ClickHouseStore,
    blocks: &[Block],
    records: u64,
) -> Result<()> {
    let sql = "SELECT count(), uniqExact(stream, generation, offset) FROM logs";
    let count = blocking(|| server.query(sql, &[("database", &config.database)]))?;
    assert_eq!(count.trim_end(), format!("{records}\t{records}"));
    let all: Vec<&Block> = blocks.iter().collect();
    assert_eq!(store.accounts(Accounts::All).await?, [expected(&all, 1)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_survives_a_disk_that_becomes_read_only_at_any_moment() -> Result<()> {
    if !disk::may_mount() {
        eprintln!("the read-only disk was not tried: mounting needs root");
        return Ok(());
    }
    let (server, config, store) = own_server("read_only").await?;
    let epoch = store.claim(&[1]).await?.epoch;
    let blocks: Vec<Block> =
        (0..24).map(|n| block(origin(1, epoch, n), &[run(1, u64::from(n) * 500, 500)])).collect();
    for (number, written) in blocks.iter().enumerate() {
        // At another moment of the insert each time: what is open stays writable, what is opened or renamed is refused.
        let wait = std::time::Duration::from_millis(number as u64);
        let (tried, read_only) = tokio::join!(store.append(written.clone()), async {
            tokio::time::sleep(wait).await;
            blocking(|| disk::ReadOnly::mount(&server.folder()?))
        });
        drop(read_only?);
        if tried.is_err() {
            store.append(written.clone()).await?;
        }
    }
    all_are_stored(&server, &config, &store, &blocks, 12000).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_survives_a_server_that_is_killed_at_any_moment() -> Result<()> {
    let (server, config, store) = own_server("killed").await?;
    let epoch = store.claim(&[1]).await?.epoch;
    let blocks: Vec<Block> =
        (0..6).map(|n| block(origin(1, epoch, n), &[run(1, u64::from(n) * 500, 500)])).collect();
    for (number, written) in blocks.iter().enumerate() {
        if number % 2 == 1 {
            let (tried, killed) = tokio::join!(store.append(written.clone()), async {
                tokio::task::yield_now().await;
                blocking(|| server.restart())
            });
            killed?;
            if tried.is_ok() {
                continue;
            }
        }
        store.append(written.clone()).await?;
    }
    all_are_stored(&server, &config, &store, &blocks, 3000).await
}
