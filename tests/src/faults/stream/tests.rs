use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use super::*;

/// All text below a folder. Where a compressed file and its original stand side by side, only the compressed one counts.
fn text_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&text_below(&path));
        } else if path.extension().is_some_and(|end| end == "gz") {
            let file = fs::File::open(&path).unwrap();
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else if !files::suffixed(&path, ".gz").exists() {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}

/// Writes and disturbs for a while with no process to wait for; gives the stream and what is on disk.
fn run(kind: Kind, folder: &Path) -> (Stream, String) {
    let mut stream = Stream::open(kind, 3, folder, 42).unwrap();
    for _ in 0..6_000 {
        stream.write_some().unwrap();
        stream.disturb(None).unwrap();
    }
    stream.finish().unwrap();
    let text = text_below(folder);
    (stream, text)
}

#[test]
fn nothing_that_is_done_to_files_loses_a_line_on_disk() {
    for kind in [Kind::Numbered, Kind::CopiedAndTruncated, Kind::TruncatedUnderOffset] {
        let folder = tempfile::tempdir().unwrap();
        let (stream, text) = run(kind, folder.path());
        let mut found: BTreeMap<u64, u32> = BTreeMap::new();
        for line in text.lines().map(|line| line.trim_start_matches('\0')) {
            *found.entry(line::sequence(line).unwrap()).or_default() += 1;
        }
        let expected: BTreeMap<u64, u32> = (0..stream.len()).map(|number| (number, 1)).collect();
        assert!(found == expected, "{kind:?}: {} of {}", found.len(), expected.len());
        assert!(stream.done.renamed + stream.done.truncated > 20, "{}", stream.done);
    }
}

#[test]
fn parts_of_split_lines_are_all_on_disk_and_some_in_two_files() {
    for kind in [Kind::Kubelet, Kind::Restarting] {
        let folder = tempfile::tempdir().unwrap();
        let (stream, text) = run(kind, folder.path());
        let whole = text.lines().filter(|line| line.contains(" stdout F ")).count() as u64;
        assert_eq!(whole, stream.len(), "{kind:?}");
        if kind == Kind::Kubelet {
            assert!(stream.done.split > 0 && stream.done.compressed > 10, "{}", stream.done);
        }
    }
}

#[test]
fn times_of_lines_never_fall() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::open(Kind::Numbered, 0, folder.path(), 7).unwrap();
    for _ in 0..500 {
        stream.write_some().unwrap();
    }
    stream.finish().unwrap();
    let text = text_below(folder.path());
    // Zeros at the end of a fraction are left out, so that the texts do not sort as the times do.
    let times: Vec<String> =
        text.lines().map(|line| format!("{:0<30}", line.split('Z').next().unwrap())).collect();
    assert!(times.len() > 100 && times.is_sorted());
}
