//! Every byte is answered for: what is not stored is in the ledger, with its reason.

use std::fs;

use rookery_collector::config::StartAt;
use rookery_core::units::Bytes;

use crate::bench::{Bench, Form, Writer, counter, eventually, gzip};

#[tokio::test(flavor = "multi_thread")]
async fn starting_at_the_end_is_in_the_ledger() {
    let mut bench = Bench::new();
    bench.config.files[0].start_at = StartAt::End;
    let mut writer = bench.program();
    writer.write(10);
    writer.rotate("app.log.1");
    writer.write(20);
    let size = fs::metadata(&writer.path).unwrap().len();
    let collector = bench.start();
    bench.store.wait("the range", |state| state.given_up("start_at_end") == size);
    writer.lines.clear();
    writer.write(5);
    // A file that comes later is read from its beginning.
    let mut later = Writer::new(&bench.path("log/later.log"), Form::Plain);
    later.write(7);
    bench.store.wait_for(12);
    bench.stop(collector).await;
    bench.store.assert_balanced();
    assert_eq!(bench.store.look(|state| state.bodies().len()), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_text_is_counted_and_harms_nobody() {
    let bench = Bench::new();
    fs::write(bench.path("log/core.log"), b"\x7fELF\0\0\0\x01".repeat(1000)).unwrap();
    let mut writer = bench.program();
    writer.write(10);
    let collector = bench.start();
    bench.store.wait_for(10);
    eventually("the count", || counter(&collector, "files_binary") == 1).await;
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_that_stay_alone_are_no_text() {
    let bench = Bench::new();
    fs::write(bench.path("log/zeros.log"), [0; 100_000]).unwrap();
    fs::write(bench.path("log/utf16.log"), b"\0a\0b\0c\0\n".repeat(1000)).unwrap();
    let mut writer = bench.program();
    writer.write(10);
    let collector = bench.start();
    eventually("the count", || counter(&collector, "files_binary") == 2).await;
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_line_is_cut_and_what_follows_is_read() {
    let mut bench = Bench::new();
    bench.config.files[0].decode.record_limit = Bytes(10_000);
    let mut writer = bench.program();
    writer.write(3);
    let collector = bench.start();
    bench.store.wait_for(3);
    for size in [9_000, 10_001, 700_000, 3_000_000] {
        let start = format!("{} long ", writer.lines[0].split(' ').next().unwrap());
        writer.write_raw(start.as_bytes());
        writer.write_raw(&b"x".repeat(size / 2));
        writer.write_raw(&b"y".repeat(size / 2));
        writer.write_raw(b"\n");
        writer.lines.push(start);
        writer.write(3);
        bench.store.wait_for(writer.lines.len());
    }
    eventually("the count", || counter(&collector, "truncated") == 3).await;
    bench.stop(collector).await;
    bench.store.look(|state| {
        for (stored, line) in state.records.values().flatten().zip(&writer.lines) {
            assert!(stored.body.starts_with(line.as_str()), "{:?} {line:?}", stored.position);
            assert!(stored.body.len() <= 10_000);
            let is_marked = stored.fields.iter().any(|(name, _)| name == "truncated");
            assert_eq!(is_marked, stored.body.len() > 9_900, "{:?}", stored.body.len());
        }
    });
    bench.store.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_deleted_while_it_was_down_is_lost_and_said_so() {
    let bench = Bench::new();
    let mut writer = bench.container();
    writer.write(100);
    let collector = bench.start();
    bench.store.wait_for(100);
    bench.store.set_away(true);
    writer.write(50);
    bench.store.wait_until_stuck();
    eventually("a checkpoint that knows the size", || {
        let path = bench.path("state/checkpoint");
        let size = fs::metadata(&writer.path).unwrap().len();
        fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("\"size\":{size}")))
    })
    .await;
    // The store never has what it was given: it crashes with the collector.
    let store = crate::store::Store::default();
    store.take_over(&bench.store);
    bench.crash(collector).await;
    fs::remove_file(&writer.path).unwrap();
    writer.reopen();
    let kept: Vec<String> = writer.lines[..100].to_vec();
    writer.write(10);
    let bench = bench.with_store(store);
    let collector = bench.start();
    bench.store.wait_for(110);
    bench.stop(collector).await;
    bench.store.assert_lines(&[kept, writer.lines[150..].to_vec()].concat());
    assert!(bench.store.look(|state| state.given_up("deleted_unread")) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_truncated_without_a_copy_is_lost_and_said_so() {
    let mut bench = Bench::new();
    bench.config.batch.limit = Bytes(64 << 10);
    bench.config.batch.in_flight = Bytes(64 << 10);
    bench.config.quantum = Bytes(16 << 10);
    let mut writer = bench.program();
    let collector = bench.start();
    bench.store.set_away(true);
    writer.write(20_000);
    bench.store.wait_until_stuck();
    // Everything was seen, not all was read.
    eventually("its size", || {
        collector.read_states().first().is_some_and(|state| state.behind_bytes > 100_000)
    })
    .await;
    writer.truncate();
    writer.write(5);
    bench.store.set_away(false);
    let last = writer.lines.last().unwrap().clone();
    bench.store.wait("the last line", |state| state.bodies().last() == Some(&last.as_str()));
    bench.stop(collector).await;
    bench.store.assert_balanced();
    assert!(bench.store.look(|state| state.given_up("truncated_unread")) > 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_gzip_file_is_read_up_to_the_damage_and_its_rest_is_in_the_ledger() {
    for is_cut in [false, true] {
        let bench = Bench::new();
        let mut writer = bench.program();
        writer.write(20_000);
        let text = fs::read(&writer.path).unwrap();
        let packed = gzip(&writer.rotate("app.log.1"));
        let mut bytes = fs::read(&packed).unwrap();
        let half = bytes.len() / 2;
        match is_cut {
            true => bytes.truncate(half),
            false => bytes[half..half + 64].fill(0xff),
        }
        fs::write(&packed, &bytes).unwrap();
        let before = writer.lines.len();
        writer.write(10);
        let last = writer.lines.last().unwrap().clone();
        let collector = bench.start();
        bench.store.wait("the last line", |state| state.bodies().last() == Some(&last.as_str()));
        bench.stop(collector).await;
        bench.store.assert_balanced();
        let (kept, stored, lost) = bench.store.look(|state| {
            let bodies = state.bodies();
            let kept = bodies.iter().zip(&writer.lines).take_while(|(a, b)| a == b).count();
            let stored: u64 = state.accounts.values().map(|account| account.stored.bytes).sum();
            (kept, stored, state.given_up("damaged_gzip"))
        });
        assert!(kept > before / 3, "{kept}");
        let live = fs::metadata(&writer.path).unwrap().len();
        match is_cut {
            // How much is missing is nowhere written.
            true => assert!((1..1_000).contains(&lost), "{lost}"),
            false => assert_eq!(stored + lost, text.len() as u64 + live),
        }
        // Another life, even without the memory of the first, adds nothing.
        for is_forgotten in [false, true] {
            if is_forgotten {
                bench.forget();
            }
            let collector = bench.start();
            writer.write(1);
            let last = writer.lines.last().unwrap().clone();
            bench.store.wait("the line", |state| state.bodies().last() == Some(&last.as_str()));
            bench.stop(collector).await;
        }
        bench.store.assert_balanced();
        assert_eq!(bench.store.look(|state| state.given_up("damaged_gzip")), lost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_written_to_a_rotated_file_come_after_its_successor() {
    let bench = Bench::new();
    let mut writer = bench.program();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    let mut late = Writer::new(&writer.path, Form::Plain);
    late.lines = writer.lines.clone();
    writer.rotate("app.log.1");
    writer.write(10);
    bench.store.wait_for(20);
    // A second process still has the old file open.
    late.lines = writer.lines.clone();
    late.write(5);
    eventually("the count", || counter(&collector, "late_bytes") > 0).await;
    writer.lines = late.lines.clone();
    fs::rename(bench.path("log/app.log.1"), bench.path("log/app.log.2")).unwrap();
    writer.rotate("app.log.1");
    writer.write(10);
    bench.store.wait_for(35);
    // Also over a restart they come once.
    bench.crash(collector).await;
    let collector = bench.start();
    writer.write(1);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_came_late_survive_crashes_before_and_while_they_are_read() {
    let mut bench = Bench::new();
    bench.config.batch.limit = Bytes(8 << 10);
    bench.config.batch.in_flight = Bytes(8 << 10);
    bench.config.quantum = Bytes(4 << 10);
    let mut writer = bench.program();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    let mut late = Writer::new(&writer.path, Form::Plain);
    writer.rotate("app.log.1");
    writer.write(10);
    bench.store.wait_for(20);
    late.lines = writer.lines.clone();
    late.write(2_000);
    eventually("the count", || counter(&collector, "late_bytes") > 0).await;
    writer.lines = late.lines.clone();
    bench.crash(collector).await;
    let mut collector = bench.start();
    fs::rename(bench.path("log/app.log.1"), bench.path("log/app.log.2")).unwrap();
    writer.rotate("app.log.1");
    writer.write(10);
    for records in (100..2_000).step_by(200) {
        bench.store.wait_for(records);
        bench.crash(collector).await;
        collector = bench.start();
    }
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_page_sees_how_far_reading_is() {
    let bench = Bench::new();
    let mut writer = bench.container();
    writer.write(100);
    let collector = bench.start();
    bench.store.wait_for(100);
    let size = fs::metadata(&writer.path).unwrap().len();
    eventually("all safe", || {
        collector.read_states().iter().any(|state| {
            state.acknowledged.offset == size
                && state.acknowledged == state.read
                && state.in_flight.bytes == 0
                && state.behind_bytes == 0
        })
    })
    .await;
    assert!(collector.read_states()[0].tags.contains("pod=\"web-1\""));
    bench.finish(collector, &writer).await;
}
