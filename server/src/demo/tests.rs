use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use super::*;

/// Every line of every container, oldest file first, by container folder.
fn read_back(directory: &Path) -> BTreeMap<PathBuf, Vec<String>> {
    let mut containers = BTreeMap::new();
    for pod in fs::read_dir(directory).unwrap() {
        for container in fs::read_dir(pod.unwrap().path()).unwrap() {
            let folder = container.unwrap().path();
            let mut files: Vec<_> =
                fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
            // `0.log` comes after `0.log.<time>`, and before `1.log`.
            files.sort_by_key(|path| path.display().to_string().replace(".log.", ".kog."));
            let mut lines = Vec::new();
            for file in files {
                let mut text = String::new();
                if file.extension().is_some_and(|end| end == "gz") {
                    let gz = fs::File::open(&file).unwrap();
                    flate2::read::GzDecoder::new(gz).read_to_string(&mut text).unwrap();
                } else {
                    text = fs::read_to_string(&file).unwrap();
                }
                lines.extend(text.lines().map(str::to_owned));
            }
            containers.insert(folder, lines);
        }
    }
    containers
}

fn stage(directory: &Path) -> Stage {
    Stage::open(directory, Random::new(8)).unwrap()
}

#[test]
fn lines_are_in_the_runtimes_format_and_of_one_container_times_only_grow() {
    let directory = tempfile::tempdir().unwrap();
    let mut stage = stage(directory.path());
    let from = 1_763_683_200 * time::SECOND;
    let written = stage.play(from, from + time::HOUR, 8_000, |_| false).unwrap();
    stage.happen_until(i64::MAX).unwrap();
    stage.flush().unwrap();
    let containers = read_back(directory.path());
    assert!(containers.len() >= 20, "{} containers", containers.len());
    let mut whole = 0;
    for (folder, lines) in &containers {
        let mut last = String::new();
        for line in lines {
            let mut words = line.splitn(4, ' ');
            let (stamp, output) = (words.next().unwrap(), words.next().unwrap());
            // As RFC 3339 is printed, zeros at the end of the fraction are left out.
            let stamp = format!("{:0<30}", stamp.strip_suffix('Z').unwrap());
            assert!(["stdout", "stderr"].contains(&output), "{line}");
            whole += u64::from(words.next().unwrap() == "F");
            assert!(stamp >= last, "{}: {stamp} after {last}", folder.display());
            last = stamp;
        }
    }
    assert_eq!(whole, written);
}

#[test]
fn an_incident_shows_at_the_edge_in_the_checkout_in_the_payments_and_in_the_database() {
    let count = |incident: bool| {
        let directory = tempfile::tempdir().unwrap();
        let mut stage = stage(directory.path());
        let from = 1_763_683_200 * time::SECOND;
        stage.play(from, from + time::MINUTE, 4_000, |_| incident).unwrap();
        stage.happen_until(i64::MAX).unwrap();
        stage.flush().unwrap();
        let lines: Vec<String> = read_back(directory.path()).into_values().flatten().collect();
        ["\" 502 ", "payment failed", "SQLTransientConnectionException", "FATAL:  sorry"]
            .map(|needle| lines.iter().filter(|line| line.contains(needle)).count())
    };
    assert_eq!(count(false), [0; 4]);
    assert!(count(true).iter().all(|found| *found > 20), "{:?}", count(true));
}

#[test]
fn a_long_run_rotates_compresses_and_keeps_five_files_a_container() {
    let directory = tempfile::tempdir().unwrap();
    let mut stage = stage(directory.path());
    let from = 1_763_683_200 * time::SECOND;
    stage.play(from, from + time::HOUR, 120_000, |_| false).unwrap();
    stage.happen_until(i64::MAX).unwrap();
    stage.flush().unwrap();
    let mut most = (0, 0);
    for pod in fs::read_dir(directory.path()).unwrap() {
        for container in fs::read_dir(pod.unwrap().path()).unwrap() {
            let files: Vec<_> = fs::read_dir(container.unwrap().path())
                .unwrap()
                .map(|f| f.unwrap().path())
                .collect();
            let compressed =
                files.iter().filter(|f| f.extension().is_some_and(|e| e == "gz")).count();
            let restarted =
                files.iter().filter(|f| f.extension().is_some_and(|e| e == "log")).count() > 1;
            assert!(files.iter().all(|f| f.extension().is_none_or(|e| e != "tmp")));
            if !restarted {
                most = most.max((files.len(), compressed));
            }
        }
    }
    assert_eq!(most, (5, 3));
}

#[test]
fn it_stops_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    run(directory.path(), 100, &stop).unwrap();
    assert!(
        read_back(directory.path()).values().map(Vec::len).sum::<usize>() as u64 >= HISTORY_LINES
    );
}
