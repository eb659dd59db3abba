//! The files of a broker's partitions, cut as a lost disk cache would.
//!
//! A partition is a folder `topic-0` of segments `<first offset>.log` with their indexes. A segment is record batches one after the
//! other, each `base offset: i64, length: i32` and so many bytes (<https://kafka.apache.org/documentation/#recordbatch>).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The bytes before the length's own count begins.
const HEADER: usize = 12;

/// Cuts the last `batches` off every partition of the topic below `logs`. The broker must not run.
pub(super) fn cut(logs: &Path, topic: &str, batches: usize) -> Result<()> {
    let mut partitions = 0;
    for entry in fs::read_dir(logs).with_context(|| format!("list {}", logs.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let named = name.to_str().and_then(|name| name.rsplit_once('-'));
        if named.is_some_and(|(of, number)| of == topic && number.parse::<u32>().is_ok()) {
            cut_partition(&entry.path(), batches)?;
            partitions += 1;
        }
    }
    if partitions == 0 {
        bail!("the broker has no partition of {topic} in {}", logs.display());
    }
    // What it believes to be on the disk: gone with the disk's cache, so that it looks for itself.
    for file in [".kafka_cleanshutdown", "recovery-point-offset-checkpoint"] {
        remove(&logs.join(file))?;
    }
    Ok(())
}

fn cut_partition(folder: &Path, batches: usize) -> Result<()> {
    let mut segments: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            segments.push(path);
        }
    }
    // Names are offsets with leading zeros.
    segments.sort();
    let mut left = batches;
    for (index, segment) in segments.iter().enumerate().rev() {
        let data = fs::read(segment)?;
        let starts = starts(&data);
        let kept = starts.len().saturating_sub(left);
        left -= starts.len() - kept;
        if let Some(&end) = starts.get(kept) {
            File::options().write(true).open(segment)?.set_len(end as u64)?;
            for extension in ["index", "timeindex", "txnindex", "snapshot"] {
                remove(&segment.with_extension(extension))?;
            }
            if kept == 0 && index > 0 {
                remove(segment)?;
            }
        }
        if left == 0 {
            break;
        }
    }
    // Which leader wrote from which offset; it must not name offsets that are gone.
    remove(&folder.join("leader-epoch-checkpoint"))
}

/// Where each whole batch of a segment begins.
fn starts(data: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(length) = data.get(at + 8..at + HEADER) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes were taken"));
        let end = at + HEADER + length as usize;
        // A segment may be longer than what was written into it: the rest is zeros.
        if length == 0 || end > data.len() {
            break;
        }
        starts.push(at);
        at = end;
    }
    starts
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: u32) -> Vec<u8> {
        let mut batch = vec![0; 8];
        batch.extend(bytes.to_be_bytes());
        batch.resize(HEADER + bytes as usize, 7);
        batch
    }

    /// A log folder with one partition of two segments, of two batches and of one.
    fn logs() -> tempfile::TempDir {
        let logs = tempfile::tempdir().unwrap();
        let partition = logs.path().join("a-b-0");
        fs::create_dir(&partition).unwrap();
        fs::write(partition.join("00000000.log"), [batch(5), batch(9)].concat()).unwrap();
        fs::write(partition.join("00000020.log"), batch(3)).unwrap();
        fs::write(partition.join("00000020.index"), b"x").unwrap();
        logs
    }

    #[test]
    fn the_last_batches_are_cut_over_segments() {
        let logs = logs();
        cut(logs.path(), "a-b", 2).unwrap();
        let partition = logs.path().join("a-b-0");
        assert_eq!(fs::read(partition.join("00000000.log")).unwrap(), batch(5));
        assert!(!partition.join("00000020.log").exists());
        assert!(!partition.join("00000020.index").exists());
    }

    #[test]
    fn all_of_a_log_can_be_cut_and_another_topic_is_an_error() {
        let logs = logs();
        cut(logs.path(), "a-b", usize::MAX).unwrap();
        assert_eq!(fs::read(logs.path().join("a-b-0/00000000.log")).unwrap(), b"");
        assert!(cut(logs.path(), "a", 1).is_err());
    }
}
