use super::*;
use crate::samples;

/// A log of `count` frames of one record each, in segments of three.
fn write(folder: &Path, count: u64) -> Vec<PathBuf> {
    let (mut log, _) = Log::open(folder, 0, |_| Ok(())).unwrap();
    for n in 0..count {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, log.next_sequence(), 0, &samples::block(1, n)).unwrap();
        log.append(&bytes, 1).unwrap();
        if n % 3 == 2 {
            log.rotate().unwrap();
        }
    }
    segments(folder).unwrap().into_iter().map(|(_, path)| path).collect()
}

/// Opens the log: what it found, the numbers of the frames, and the number of the next one.
fn read(folder: &Path, stored: u64) -> (Replay, Vec<u64>, u64) {
    let mut seen = Vec::new();
    let (log, replay) = Log::open(folder, stored, |frame| {
        seen.push(frame.sequence);
        Ok(())
    })
    .unwrap();
    (replay, seen, log.next_sequence())
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn asides(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().contains("corrupt")).count()
}

#[test]
fn frames_come_back_in_order_and_stored_ones_are_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 5);
    let (replay, seen, next) = read(folder.path(), 0);
    assert_eq!((seen, next), (vec![1, 2, 3, 4, 5], 6));
    assert_eq!(replay, Replay { frames: 5, ..Replay::default() });
    assert_eq!(read(folder.path(), 4).1, [5]);
    remove_stored(folder.path(), 3).unwrap();
    assert_eq!(read(folder.path(), 3).1, [4, 5]);
    remove_stored(folder.path(), 2).unwrap();
    assert_eq!(read(folder.path(), 3).1, [4, 5], "a segment with a frame that is not stored stays");
}

#[test]
fn a_torn_last_frame_is_cut_off_wherever_it_was_torn() {
    for torn in [1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 100] {
        let folder = tempfile::tempdir().unwrap();
        let segments = write(folder.path(), 5);
        let last = segments.last().unwrap();
        change(last, |bytes| {
            let first = match frame::front(bytes) {
                Front::Whole { payload, .. } => HEADER_BYTES + payload.len(),
                _ => panic!("the first frame is whole"),
            };
            bytes.truncate(first + torn);
        });
        let (replay, seen, next) = read(folder.path(), 0);
        assert_eq!((seen, next), (vec![1, 2, 3, 4], 5), "torn after {torn} bytes");
        assert_eq!((replay.torn_bytes, replay.corrupt_bytes), (torn as u64, 0));
        assert_eq!(read(folder.path(), 0).0.torn_bytes, 0, "it is cut once");
    }
}

#[test]
fn space_that_was_never_written_at_the_end_is_torn_too() {
    let folder = tempfile::tempdir().unwrap();
    let segments = write(folder.path(), 5);
    change(segments.last().unwrap(), |bytes| bytes.resize(bytes.len() + 4096, 0));
    let (replay, seen, _) = read(folder.path(), 0);
    assert_eq!((seen.len(), replay.torn_bytes, replay.corrupt_bytes), (5, 4096, 0));
}

#[test]
fn a_broken_frame_in_the_middle_stops_the_reading_and_the_rest_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let segments = write(folder.path(), 8);
    change(&segments[0], |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let (replay, seen, next) = read(folder.path(), 0);
    assert_eq!((seen, next), (vec![1], 2), "nothing after the damage is read");
    assert!(replay.corrupt_bytes > 0 && replay.torn_bytes == 0);
    assert_eq!(asides(folder.path()), 3, "the rest of the segment and the two after it");
    let (again, seen, _) = read(folder.path(), 0);
    assert_eq!((again.corrupt_bytes, seen), (0, vec![1]), "it is set aside once");
}

#[test]
fn a_missing_segment_stops_the_reading() {
    let folder = tempfile::tempdir().unwrap();
    let segments = write(folder.path(), 8);
    fs::remove_file(&segments[1]).unwrap();
    let (replay, seen, next) = read(folder.path(), 0);
    assert_eq!((seen, next), (vec![1, 2, 3], 4));
    assert!(replay.corrupt_bytes > 0);
}

#[test]
fn a_frame_with_the_wrong_number_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let segments = write(folder.path(), 2);
    change(&segments[0], |bytes| {
        let again = bytes.clone();
        bytes.extend(again);
    });
    let (replay, seen, _) = read(folder.path(), 0);
    assert_eq!(seen, [1, 2]);
    assert!(replay.corrupt_bytes > 0, "the same frames came twice");
}
