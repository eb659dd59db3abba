//! Every kind of rotation: nothing lost, nothing doubled, in order.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use crate::bench::{Bench, Form, POD, Writer, counter, eventually, gzip};
use crate::store::Store;

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_shipped_soon_after_it_was_written() {
    let bench = Bench::new();
    let mut writer = bench.container();
    let collector = bench.start();
    for count in [1, 2, 3, 500] {
        writer.write(count);
        bench.store.wait_for(writer.lines.len());
    }
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_and_create() {
    let bench = Bench::new();
    for mut writer in [bench.container(), bench.program()] {
        let bench = bench.with_store(Store::default());
        writer.write(100);
        let collector = bench.start();
        bench.store.wait_for(100);
        for round in 0..3 {
            writer.write(50);
            let name = writer.path.file_name().unwrap().to_str().unwrap();
            writer.rotate(&format!("{name}.2026112{round}-010203"));
            writer.write(50);
            bench.store.wait_for(writer.lines.len());
        }
        bench.finish(collector, &writer).await;
        fs::remove_dir_all(bench.path("state")).unwrap();
        fs::remove_dir_all(writer.path.parent().unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rotations_within_a_second() {
    let bench = Bench::new();
    let mut writer = bench.container();
    let collector = bench.start();
    for round in 0..12 {
        writer.write(20);
        writer.rotate(&format!("0.log.20261121-0102{round:02}"));
    }
    writer.write(20);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbered_rotations_within_a_second() {
    let bench = Bench::new();
    let mut writer = bench.program();
    let collector = bench.start();
    for round in 0..8usize {
        writer.write(20);
        for number in (1..=round).rev() {
            let from = writer.path.with_file_name(format!("app.log.{number}"));
            fs::rename(from, writer.path.with_file_name(format!("app.log.{}", number + 1)))
                .unwrap();
        }
        writer.rotate("app.log.1");
    }
    writer.write(20);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rotations_while_it_was_down() {
    let bench = Bench::new();
    let mut writer = bench.container();
    writer.write(30);
    let collector = bench.start();
    bench.store.wait_for(30);
    bench.crash(collector).await;
    for round in 0..4 {
        writer.write(25);
        let rotated = writer.rotate(&format!("0.log.20261121-01020{round}"));
        if round < 3 {
            gzip(&rotated);
        }
    }
    writer.write(25);
    let collector = bench.start();
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_all_names_that_logrotate_gives() {
    for names in [
        ["app.log.3.gz", "app.log.2.gz", "app.log.1"],
        ["app.log-20261119.gz", "app.log-20261120.gz", "app.log-20261121"],
        ["app.log.2026-11-19", "app.log.2026-11-20", "app.log.2026-11-21"],
        ["app-20261119.log", "app-20261120.log", "app-20261121.log"],
        // A library that gives the newest the highest number.
        ["app.log.1", "app.log.2", "app.log.3"],
    ] {
        let bench = Bench::new();
        let mut writer = bench.program();
        for name in names {
            writer.write(10);
            let rotated = writer.rotate(name.strip_suffix(".gz").unwrap_or(name));
            if name.ends_with(".gz") {
                gzip(&rotated);
            }
        }
        writer.write(10);
        let collector = bench.start();
        bench.finish(collector, &writer).await;
        assert_eq!(bench.store.look(|state| state.records.len()), 1, "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_file_is_read_from_the_byte_where_it_stopped() {
    let bench = Bench::new();
    let mut writer = bench.container();
    writer.write(1_000);
    let collector = bench.start();
    bench.store.wait_for(1_000);
    bench.stop(collector).await;
    writer.write(1_000);
    let rotated = writer.rotate("0.log.20261121-010203");
    gzip(&rotated);
    writer.write(10);
    let collector = bench.start();
    bench.finish(collector, &writer).await;
    let account = bench.store.look(|state| state.accounts.values().next().unwrap().clone());
    assert_eq!(account.duplicates.records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_compressed_while_it_is_read_is_not_read_twice() {
    let bench = Bench::new();
    let mut writer = bench.container();
    let collector = bench.start();
    for round in 0..5 {
        writer.write(2_000);
        let rotated = writer.rotate(&format!("0.log.20261121-01020{round}"));
        writer.write(10);
        gzip(&rotated);
    }
    bench.finish(collector, &writer).await;
    let account = bench.store.look(|state| state.accounts.values().next().unwrap().clone());
    assert_eq!(account.duplicates.records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn copytruncate() {
    let bench = Bench::new();
    let mut writer = bench.program();
    let collector = bench.start();
    writer.write(40);
    bench.store.wait_for(40);
    for round in (0..4).rev() {
        // Not read yet when the file is truncated: the copy has it.
        writer.write(500);
        writer.copytruncate(&format!("app.log.{}", round + 1));
        writer.write(10);
        bench.store.wait_for(writer.lines.len());
    }
    assert_eq!(counter(&collector, "lost_bytes"), 0);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copytruncate_while_it_was_down() {
    let bench = Bench::new();
    let mut writer = bench.program();
    let collector = bench.start();
    writer.write(40);
    bench.store.wait_for(40);
    bench.crash(collector).await;
    writer.write(40);
    writer.copytruncate("app.log.1");
    writer.write(100);
    let collector = bench.start();
    bench.finish(collector, &writer).await;
}

/// Who opens its log without `O_APPEND` goes on at its offset after a truncation: the file begins with a hole, which reads as zeros.
#[tokio::test(flavor = "multi_thread")]
async fn copytruncate_under_a_writer_that_keeps_its_offset() {
    let bench = Bench::new();
    let mut writer = Writer::with_offset(&bench.path("log/app.log"), Form::Plain);
    let mut collector = bench.start();
    writer.write(40);
    bench.store.wait_for(40);
    let mut copies = Vec::new();
    for round in 0..5 {
        // Not read yet when the file is truncated: the copy has it, and the hole of the round before too.
        writer.write(500);
        let name = format!("app.log.2026112{round}");
        writer.copytruncate(&name);
        copies.push(writer.path.with_file_name(name));
        writer.write(10);
        bench.store.wait_for(writer.lines.len());
        if round == 2 {
            copies[1] = gzip(&copies[1]);
            bench.crash(collector).await;
            writer.write(10);
            collector = bench.start();
        }
    }
    assert_eq!(counter(&collector, "lost_bytes"), 0);
    assert_eq!(counter(&collector, "files_binary"), 0);
    let sizes: u64 = copies[..4].iter().map(|copy| fs::metadata(copy).unwrap().len()).sum();
    bench.store.wait_for(writer.lines.len());
    bench.stop(collector).await;
    bench.store.assert_lines(&writer.lines);
    let holes = bench.store.look(|state| state.given_up("hole"));
    assert!(holes > sizes / 2, "{holes} of {sizes}");
    // Without its state it finds the same positions, and another store gets the same lines.
    fs::remove_dir_all(bench.path("state")).unwrap();
    let collector = bench.start();
    writer.write(10);
    bench.finish(collector, &writer).await;
    fs::remove_dir_all(bench.path("state")).unwrap();
    let other = bench.with_store(Default::default());
    let collector = other.start();
    other.finish(collector, &writer).await;
    let positions = |bench: &Bench| {
        bench.store.look(|s| s.records.values().flatten().map(|r| r.position).collect::<Vec<_>>())
    };
    assert_eq!(positions(&bench), positions(&other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_restarts_is_one_stream() {
    let bench = Bench::new();
    let mut writer = bench.container();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    writer.move_to(&writer.path.with_file_name("1.log"));
    writer.write(10);
    bench.store.wait_for(20);
    writer.rotate("1.log.20261121-010203");
    writer.write(10);
    writer.move_to(&writer.path.with_file_name("2.log"));
    writer.write(10);
    bench.finish(collector, &writer).await;
    assert_eq!(bench.store.look(|state| state.records.len()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_is_read_to_its_end() {
    let bench = Bench::new();
    let mut writer = bench.container();
    writer.write(10);
    let collector = bench.start();
    bench.store.wait_for(10);
    bench.store.set_away(true);
    writer.write(50_000);
    bench.store.wait_until_stuck();
    fs::remove_dir_all(bench.path(&format!("pods/{POD}"))).unwrap();
    // The descriptor outlives the name.
    writer.write(100);
    bench.store.set_away(false);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_replaced_by_one_of_the_same_size() {
    let bench = Bench::new();
    let mut writer = bench.program();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    let size = fs::metadata(&writer.path).unwrap().len();
    // In place, within one inode.
    let text: Vec<u8> = fs::read(&writer.path).unwrap();
    let mut next = Writer::new(&bench.path("other/app.log"), Form::Plain);
    next.lines = writer.lines.clone();
    next.write(10);
    let changed = fs::read(&next.path).unwrap();
    assert_ne!(text, changed);
    fs::write(&writer.path, &changed[..]).unwrap();
    bench.store.wait_for(20);
    // By another inode.
    let mut third = Writer::new(&bench.path("other/third.log"), Form::Plain);
    third.lines = next.lines.clone();
    third.write(10);
    fs::rename(&third.path, &writer.path).unwrap();
    bench.store.wait_for(30);
    assert!(fs::metadata(&writer.path).unwrap().len().abs_diff(size) < 64);
    bench.finish(collector, &third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_inode_is_another_file() {
    let bench = Bench::new();
    let mut writer = bench.container();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    let mut inodes = vec![fs::metadata(&writer.path).unwrap().ino()];
    for round in 0..20 {
        // The rotated file is deleted at once, so that its inode is free for the next.
        let rotated = writer.rotate(&format!("0.log.20261121-0102{round:02}"));
        writer.write(10);
        bench.store.wait_for(writer.lines.len());
        fs::remove_file(rotated).unwrap();
        inodes.push(fs::metadata(&writer.path).unwrap().ino());
    }
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_come_and_go() {
    let bench = Bench::new();
    let collector = bench.start();
    let mut lines = 0;
    for round in 0..5 {
        let folder = bench.path(&format!("log/a/b{round}"));
        let mut writer = Writer::new(&folder.join("x.log"), Form::Plain);
        writer.write(10);
        lines += 10;
        bench.store.wait_for(lines);
        fs::remove_dir_all(bench.path("log/a")).unwrap();
    }
    bench.stop(collector).await;
    bench.store.assert_balanced();
    assert_eq!(bench.store.look(|state| state.records.len()), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_does_not_collect_twice() {
    let mut bench = Bench::new();
    let mut writer = bench.container();
    writer.write(10);
    let links = bench.path("containers");
    fs::create_dir_all(&links).unwrap();
    std::os::unix::fs::symlink(&writer.path, links.join("web-1_prod_nginx-1234.log")).unwrap();
    let mut program = bench.program();
    program.write(10);
    std::os::unix::fs::symlink(&program.path, bench.path("log/link.log")).unwrap();
    bench.config.files[0].include.push(format!("{}/*.log", links.display()));
    let collector = bench.start();
    bench.store.wait_for(20);
    writer.write(5);
    program.write(5);
    bench.store.wait_for(30);
    bench.stop(collector).await;
    assert_eq!(bench.store.look(|state| state.bodies().len()), 30);
    assert_eq!(bench.store.look(|state| state.records.len()), 2);
    // Through the links alone the container is a container still.
    let other = bench.with_store(Store::default());
    let mut config = other.config.clone();
    config.pods = None;
    config.state_dir = other.path("state-2");
    let collector = other.start_with(config);
    other.store.wait_for(30);
    other.stop(collector).await;
    let folder = writer.path.parent().unwrap().to_str().unwrap().to_owned();
    let streams =
        |store: &Store| store.look(|state| state.records.keys().copied().collect::<Vec<_>>());
    assert_eq!(streams(&bench.store), streams(&other.store));
    assert!(other.store.look(|s| s.records.values().flatten().any(|r| r.path == folder)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cri_record_in_parts_is_joined_over_a_rotation_and_a_crash() {
    let bench = Bench::new();
    let mut writer = bench.container();
    let collector = bench.start();
    writer.write(3);
    writer.write_part("P", "first, ");
    bench.store.wait_for(3);
    writer.rotate("0.log.20261121-010203");
    writer.write_part("P", "second, ");
    bench.crash(collector).await;
    let collector = bench.start();
    writer.write_part("F", "third");
    writer.lines.push("first, second, third".into());
    writer.write(3);
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_file_that_is_still_written_is_read_when_it_is_whole() {
    let bench = Bench::new();
    let mut writer = bench.program();
    writer.write(2_000);
    let text = fs::read(&writer.path).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&text).unwrap();
    let packed = encoder.finish().unwrap();
    // gzip writes under the final name, and removes the original after.
    let mut file = fs::File::create(writer.path.with_file_name("app.log.1.gz")).unwrap();
    file.write_all(&packed[..packed.len() / 2]).unwrap();
    fs::remove_file(&writer.path).unwrap();
    writer.reopen();
    writer.write(10);
    let collector = bench.start();
    file.write_all(&packed[packed.len() / 2..]).unwrap();
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_time_are_known_by_their_start() {
    let bench = Bench::new();
    let mut writer = Writer::new(&bench.path("log/app.log"), Form::Untimed);
    let mut collector = bench.start();
    for round in 0..4 {
        writer.write(300);
        bench.store.wait_for(writer.lines.len() - 100);
        let rotated = writer.rotate(&format!("app.log.2026112{round}-010203"));
        writer.write(20);
        if round % 2 == 0 {
            gzip(&rotated);
        }
        bench.store.wait_for(writer.lines.len() - 10);
        bench.crash(collector).await;
        writer.write(5);
        collector = bench.start();
    }
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_within_a_second_of_coarse_times_get_the_same_numbers_without_the_checkpoint() {
    let bench = Bench::new();
    let mut writer = Writer::new(&bench.path("log/app.log"), Form::Coarse);
    let mut collector = bench.start();
    for round in 0..5 {
        writer.write(50);
        bench.store.wait_for(writer.lines.len());
        writer.rotate(&format!("app.log.2026112{round}-010203"));
        writer.write(50);
        bench.store.wait_for(writer.lines.len());
        bench.stop(collector).await;
        bench.forget();
        collector = bench.start();
    }
    bench.finish(collector, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_docker_is_read_through_its_link_with_its_rotated_files() {
    let bench = Bench::new();
    let folder = bench.path("docker/4f5e");
    let mut writer = Writer::new(&folder.join("4f5e-json.log"), Form::Docker);
    let pod = bench.path(&format!("pods/{POD}/nginx"));
    fs::create_dir_all(&pod).unwrap();
    std::os::unix::fs::symlink(&writer.path, pod.join("0.log")).unwrap();
    writer.write(10);
    writer.rotate("4f5e-json.log.1");
    writer.write(10);
    let collector = bench.start();
    bench.store.wait_for(20);
    fs::rename(folder.join("4f5e-json.log.1"), folder.join("4f5e-json.log.2")).unwrap();
    writer.write(10);
    writer.rotate("4f5e-json.log.1");
    writer.write(10);
    bench.finish(collector, &writer).await;
    assert_eq!(bench.store.look(|state| state.records.len()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_late_is_found_in_the_compressed_file_too() {
    let bench = Bench::new();
    let mut writer = bench.program();
    let collector = bench.start();
    writer.write(10);
    bench.store.wait_for(10);
    let mut late = Writer::new(&writer.path, Form::Plain);
    let rotated = writer.rotate("app.log.20261121");
    writer.write(10);
    bench.store.wait_for(20);
    late.lines = writer.lines.clone();
    late.write(5);
    gzip(&rotated);
    writer.lines = late.lines;
    eventually("the count", || counter(&collector, "late_bytes") > 0).await;
    writer.rotate("app.log.20261122");
    writer.write(10);
    bench.finish(collector, &writer).await;
}

/// As 0.1.0 writes it for the files of the test that follows, but for their folder; the inodes are of another machine.
const CHECKPOINT: &str = r#"{"streams":{"6281eaad8a28f8714e2bc893f827cd6e":{"path":"FOLDER","position":{"generation":1790000000153456879,"offset":730},"files":[{"generation":1790000000123456789,"first":{"time":1790000000123456789,"is_printed":true,"start":{"hole":0,"bytes":1024,"hash":6250028486953452165}},"key":{"device":65024,"inode":10208177,"born":1795715188986253478},"size":2180,"end":2180,"late_of":null,"is_damaged":false},{"generation":1790000000153456879,"first":{"time":1790000000153456879,"is_printed":true,"start":{"hole":0,"bytes":730,"hash":10469743573354030442}},"key":{"device":65024,"inode":10208115,"born":1795715189486253508},"size":730,"end":null,"late_of":null,"is_damaged":false}],"seen":1795715189995331739}}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_an_earlier_build_is_gone_on_from() {
    let bench = Bench::new();
    let mut writer = bench.container();
    writer.write(30);
    gzip(&writer.rotate("0.log.20261121-010200"));
    writer.write(10);
    let body = CHECKPOINT.replace("FOLDER", &writer.path.parent().unwrap().display().to_string());
    let hash = xxhash_rust::xxh3::xxh3_64(body.as_bytes());
    std::fs::create_dir_all(bench.path("state")).unwrap();
    let checkpoint = format!("rookery-collector-checkpoint 1 {hash:016x}\n{body}");
    std::fs::write(bench.path("state/checkpoint"), checkpoint).unwrap();
    writer.write(5);
    let collector = bench.start();
    bench.store.wait_for(5);
    bench.stop(collector).await;
    // What was stored before is in another store: of this one only the records say something.
    bench.store.look(|state| assert_eq!(state.bodies(), writer.lines[40..]));
}
