//! Crashes, lost state, and a queue that is away.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rookery_core::batch::{Batch, Range};
use rookery_core::queue::{Queue, Receipt, receipt};
use rookery_core::units::Bytes;
use rookery_core::{BoxFuture, Error, Result};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, counter, eventually, gzip};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_and_doubles_nothing() {
    let bench = Bench::new();
    let mut writer = bench.container();
    let mut collector = bench.start();
    for round in 0..10 {
        writer.write(3_000);
        bench.store.wait_for(writer.lines.len() - 2_500);
        bench.crash(collector).await;
        writer.rotate(&format!("0.log.20261121-0102{round:02}"));
        collector = bench.start();
    }
    writer.write(1);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_checkpoint_the_same_lines_get_the_same_positions() {
    let bench = Bench::new();
    for mut writer in [bench.container(), bench.program()] {
        let bench = bench.with_store(Default::default());
        let name = writer.path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut collector = bench.start();
        for round in 0..4 {
            writer.write(500);
            bench.store.wait_for(writer.lines.len());
            bench.stop(collector).await;
            bench.forget();
            let rotated = writer.rotate(&format!("{name}.2026112{round}-010203"));
            if round % 2 == 0 {
                gzip(&rotated);
            }
            writer.write(10);
            collector = bench.start();
        }
        bench.finish(collector, &writer).await;
        let duplicates =
            bench.store.look(|s| s.accounts.values().map(|a| a.duplicates.records).sum::<u64>());
        assert!(duplicates > 2_000, "{duplicates}: it was not read again");
        fs::remove_dir_all(writer.path.parent().unwrap()).unwrap();
        fs::create_dir_all(bench.path("log")).unwrap();
        fs::remove_dir_all(bench.path("state")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_checkpoint_costs_a_second_reading_only() {
    let bench = Bench::new();
    let mut writer = bench.container();
    writer.write(500);
    let collector = bench.start();
    bench.store.wait_for(500);
    bench.stop(collector).await;
    let path = bench.path("state/checkpoint");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    writer.write(10);
    let collector = bench.start();
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_checkpoint_costs_a_second_reading_only() {
    let bench = Bench::new();
    for mut writer in [bench.container(), bench.program()] {
        let bench = bench.with_store(Default::default());
        let name = writer.path.file_name().unwrap().to_str().unwrap().to_owned();
        writer.write(300);
        let collector = bench.start();
        bench.store.wait_for(300);
        bench.stop(collector).await;
        let older = fs::read(bench.path("state/checkpoint")).unwrap();
        let mut collector = bench.start();
        // Files begin and end that the older checkpoint does not know.
        for round in 0..4 {
            writer.write(100);
            bench.store.wait_for(writer.lines.len());
            let rotated = writer.rotate(&format!("{name}.2026112{round}-010203"));
            if round % 2 == 0 {
                gzip(&rotated);
            }
            writer.write(100);
            bench.store.wait_for(writer.lines.len());
            bench.crash(collector).await;
            fs::write(bench.path("state/checkpoint"), &older).unwrap();
            collector = bench.start();
        }
        writer.write(10);
        bench.finish(collector, &writer).await;
        let duplicates =
            bench.store.look(|s| s.accounts.values().map(|a| a.duplicates.records).sum::<u64>());
        assert!(duplicates >= 800, "{duplicates}: it was not read again");
        fs::remove_dir_all(writer.path.parent().unwrap()).unwrap();
        fs::create_dir_all(bench.path("log")).unwrap();
        fs::remove_dir_all(bench.path("state")).unwrap();
    }
}

/// A bench whose collector reads little ahead of the queue.
fn tight() -> Bench {
    let mut bench = Bench::new();
    bench.config.batch.limit = Bytes(64 << 10);
    bench.config.batch.in_flight = Bytes(128 << 10);
    bench.config.quantum = Bytes(16 << 10);
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_queue_is_away_rotated_files_outlive_their_deletion_and_a_crash() {
    let bench = tight();
    let mut writer = bench.container();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    bench.store.set_away(true);
    for round in 0..4 {
        writer.write(5_000);
        writer.rotate(&format!("0.log.20261121-01020{round}"));
    }
    writer.write(10);
    bench.store.wait_until_stuck();
    eventually("links in the spool", || counter(&collector, "spool_links") >= 4).await;
    // The pod is deleted, with all its files but the last.
    for round in 0..4 {
        fs::remove_file(writer.path.with_file_name(format!("0.log.20261121-01020{round}")))
            .unwrap();
    }
    bench.crash(collector).await;
    bench.store.set_away(false);
    let collector = bench.start();
    bench.store.wait_for(writer.lines.len());
    eventually("an empty spool", || links(&bench) == 0).await;
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_goes_on_in_its_compressed_copy() {
    let bench = tight();
    let mut writer = bench.program();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    bench.store.set_away(true);
    writer.write(20_000);
    bench.store.wait_until_stuck();
    // The compressed copy is the only one that there ever is.
    fs::copy(&writer.path, bench.path("copy")).unwrap();
    fs::rename(gzip(&bench.path("copy")), bench.path("log/app.log.1.gz")).unwrap();
    writer.truncate();
    writer.write(10);
    bench.store.set_away(false);
    bench.store.wait_for(writer.lines.len());
    assert_eq!(counter(&collector, "lost_bytes"), 0);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_has_what_a_deleted_pod_wrote() {
    let bench = tight();
    let mut writer = bench.container();
    let collector = bench.start();
    bench.store.set_away(true);
    writer.write(5_000);
    writer.rotate("0.log.20261121-010200");
    writer.write(5_000);
    bench.store.wait_until_stuck();
    let pod = writer.path.parent().unwrap().parent().unwrap().to_path_buf();
    eventually("a link", || counter(&collector, "spool_links") >= 1).await;
    // The runtime moves the last file away before the kubelet deletes the folder.
    writer.rotate("0.log.20261121-010201");
    fs::remove_file(&writer.path).unwrap();
    eventually("another link", || counter(&collector, "spool_links") >= 2).await;
    fs::remove_dir_all(pod).unwrap();
    bench.crash(collector).await;
    bench.store.set_away(false);
    let collector = bench.start();
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spooled_file_keeps_its_place_when_it_was_compressed_and_older_ones_are_there() {
    for is_forgotten in [false, true] {
        let bench = tight();
        let mut writer = bench.container();
        let collector = bench.start();
        for round in 0..3 {
            writer.write(10);
            bench.store.wait_for(writer.lines.len());
            writer.rotate(&format!("0.log.20261121-01020{round}"));
        }
        writer.write(10);
        bench.store.wait_for(writer.lines.len());
        eventually("a checkpoint", || bench.path("state/checkpoint").exists()).await;
        bench.store.set_away(true);
        writer.write(10_000);
        bench.store.wait_until_stuck();
        let rotated = writer.rotate("0.log.20261121-010203");
        writer.write(10);
        eventually("a link", || counter(&collector, "spool_links") >= 1).await;
        gzip(&rotated);
        bench.crash(collector).await;
        if is_forgotten {
            bench.forget();
        }
        bench.store.set_away(false);
        let collector = bench.start();
        bench.finish(collector, &writer).await;
    }
}

fn links(bench: &Bench) -> usize {
    let entries = fs::read_dir(bench.path("state/spool")).unwrap().flatten();
    entries.filter(|entry| !entry.file_name().to_str().unwrap().ends_with(".path")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_limit_the_spool_gives_up_the_oldest_and_the_ledger_says_so() {
    let mut bench = tight();
    bench.config.spool.limit = Bytes(700_000);
    let mut writer = bench.container();
    let collector = bench.start();
    bench.store.set_away(true);
    for round in 0..6 {
        writer.write(5_000);
        let rotated = writer.rotate(&format!("0.log.20261121-01020{round}"));
        eventually("the file to be open", || counter(&collector, "files_open") > round).await;
        fs::remove_file(rotated).unwrap();
    }
    writer.write(10);
    bench.store.wait_until_stuck();
    eventually("bytes given up", || counter(&collector, "shed_bytes") > 0).await;
    eventually("room", || counter(&collector, "spool_bytes") <= 700_000).await;
    bench.store.set_away(false);
    let last = writer.lines.last().unwrap().clone();
    bench.store.wait("the last line", |state| state.bodies().last() == Some(&last.as_str()));
    bench.stop(collector).await;
    bench.store.assert_balanced();
    bench.store.look(|state| {
        let shed: u64 = state.accounts.values().map(|account| account.shed.bytes).sum();
        assert!(shed > 100_000, "{shed}");
        let bodies = state.bodies();
        let mut lines = writer.lines.iter();
        assert!(bodies.iter().all(|body| lines.any(|line| line == body)), "not in order");
        assert!(bodies.len() < writer.lines.len());
    });
}

/// A queue that fails now and then, and keeps the contract: after a failure it takes nothing but the batch that failed.
struct Flaky {
    inner: Arc<dyn Queue>,
    state: Mutex<(u64, Option<Range>)>,
}

impl Queue for Flaky {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt>> {
        let first = batch.ranges.first().cloned();
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let refused = state.1.is_some() && state.1 != first;
        let turn = state.0 % 7;
        if refused || turn == 3 {
            state.1 = state.1.take().or(first);
            return Box::pin(async { Err(Error::unavailable("flaky")) });
        }
        if turn == 5 {
            state.1 = first;
            return Box::pin(async {
                let (acknowledger, receipt) = receipt();
                acknowledger.resolve(Err(Error::unavailable("flaky receipt")));
                Ok(receipt)
            });
        }
        state.1 = None;
        let inner = self.inner.clone();
        Box::pin(async move { inner.send(batch).await })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_fails_gets_everything_again_in_order() {
    let mut bench = tight();
    bench.config.batch.limit = Bytes(16 << 10);
    let mut writer = bench.container();
    let queue = Arc::new(Flaky { inner: bench.store.queue(), state: Mutex::default() });
    let cancel = CancellationToken::new();
    let config = bench.config.clone();
    let collector = rookery_collector::Collector::start(config, queue, &cancel).unwrap();
    writer.write(5_000);
    bench.store.wait_for(5_000);
    assert!(counter(&collector, "send_retries") > 0);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_longer_than_its_deadline() {
    let bench = Bench::new();
    let mut writer = bench.container();
    bench.store.set_away(true);
    let collector = bench.start();
    writer.write(100);
    bench.store.wait_until_stuck();
    let error = collector.stop(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), rookery_core::Kind::Timeout);
    bench.store.set_away(false);
    let collector = bench.start();
    bench.finish(collector, &writer).await;
}
