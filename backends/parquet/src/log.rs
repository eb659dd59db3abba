//! The log: what makes an append durable before it is a part.
//!
//! A folder of segments, each a run of frames ([`crate::frame`]), named after the number of its first frame:
//! `00000000000000000042.log`. A segment is closed when the memory table is frozen, and removed when the manifest holds the parts
//! that were made of it.
//!
//! What is found at open:
//! - **a torn last frame** (the process or the machine stopped while it was written, so nobody was told that it is safe): cut off,
//!   with a line in the log of the program;
//! - **a broken frame with more behind it**, or a missing segment: reading stops there. The rest is set aside as `*.corrupt`
//!   for a person to look at, an error is logged and counted. The accounts are then those before the damage, so
//!   collectors send again what they still have, and what they no longer have becomes a gap in the ledger. Nothing after the damage
//!   may be read: the marks would jump over what is missing, and nobody would ever know.
//! - anything whose number is not the one expected is broken.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rookery_core::{Error, Result};

use crate::disk;
use crate::frame::{self, Frame, Front, HEADER_BYTES};

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    file: File,
    path: PathBuf,
    length: u64,
    next_sequence: u64,
    /// Set when a failed write could not be taken back: then nothing may be appended, or the order of frames would be unknown.
    poisoned: bool,
}

/// What reading the log found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Frames that were given to the caller.
    pub(crate) frames: u64,
    /// Bytes of torn frames that were cut off.
    pub(crate) torn_bytes: u64,
    /// Bytes that were set aside because of a broken frame or a missing segment before them.
    pub(crate) corrupt_bytes: u64,
}

impl Log {
    /// Reads all frames after `stored` in order, then makes the log ready for more.
    ///
    /// # Errors
    /// When the folder cannot be read or written, and those of `apply`.
    pub(crate) fn open(
        folder: &Path,
        stored: u64,
        mut apply: impl FnMut(Frame) -> Result<()>,
    ) -> Result<(Self, Replay)> {
        disk::create_folder(folder)?;
        let mut replay = Replay::default();
        let mut last = stored;
        let segments = segments(folder)?;
        let mut stopped = false;
        for (index, (first, path)) in segments.iter().enumerate() {
            if !stopped && *first > last + 1 {
                tracing::error!(
                    segment = %path.display(), expected = last + 1,
                    "frames of the log are missing before this segment; it and all later ones are set aside as .corrupt"
                );
                stopped = true;
            }
            if stopped {
                replay.corrupt_bytes += set_aside(path)?;
                continue;
            }
            let is_last = index + 1 == segments.len();
            stopped = !read_segment(path, *first, is_last, &mut last, &mut replay, &mut apply)?;
        }
        let (file, path) = create_segment(folder, last + 1)?;
        let log = Self {
            folder: folder.into(),
            file,
            path,
            length: 0,
            next_sequence: last + 1,
            poisoned: false,
        };
        Ok((log, replay))
    }

    /// The number that the next frame must have.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Writes `count` frames and waits until the disk has them.
    ///
    /// # Errors
    /// When they could not be written; then none of them is in the log. After a failure that could not be undone, always `unavailable`.
    pub(crate) fn append(&mut self, frames: &[u8], count: u64) -> Result<()> {
        if self.poisoned {
            return Err(Error::unavailable(format!(
                "the log {} could not be repaired after a failed write: restart the process once the disk works",
                self.path.display()
            )));
        }
        let written = self.file.write_all(frames).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // After a failed fsync the kernel may have forgotten what it could not write: only an explicit cut makes the end of the
            // segment known again.
            let undone = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
            self.poisoned = undone.is_err();
            return Err(Error::io(format!("append to the log {}", self.path.display()), error));
        }
        self.length += frames.len() as u64;
        self.next_sequence += count;
        Ok(())
    }

    /// Starts a new segment, so that those before it can be removed.
    ///
    /// # Errors
    /// When it cannot be made; the old one stays in use.
    pub(crate) fn rotate(&mut self) -> Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        let (file, path) = create_segment(&self.folder, self.next_sequence)?;
        (self.file, self.path, self.length) = (file, path, 0);
        Ok(())
    }
}

/// Removes the segments of which every frame is at or below `stored`.
pub(crate) fn remove_stored(folder: &Path, stored: u64) -> Result<()> {
    let segments = segments(folder)?;
    for pair in segments.windows(2) {
        if pair[1].0 <= stored + 1 {
            disk::remove_quietly(&pair[0].1);
        }
    }
    Ok(())
}

fn segments(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let failed = |e| Error::io(format!("list the log {}", folder.display()), e);
    let mut found = Vec::new();
    for file in fs::read_dir(folder).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if let Some(first) = name.strip_suffix(".log").and_then(|n| n.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn create_segment(folder: &Path, first: u64) -> Result<(File, PathBuf)> {
    let path = folder.join(format!("{first:020}.log"));
    // A segment of this name can only be an empty one: its first frame was never written.
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&path)
        .map_err(|e| Error::io(format!("make the log segment {}", path.display()), e))?;
    disk::sync_folder(folder)?;
    Ok((file, path))
}

/// Reads one segment; false when reading must stop.
fn read_segment(
    path: &Path,
    first: u64,
    is_last: bool,
    last: &mut u64,
    replay: &mut Replay,
    apply: &mut impl FnMut(Frame) -> Result<()>,
) -> Result<bool> {
    let bytes = fs::read(path).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
    let (mut at, mut expected) = (0, first);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (sequence, payload) = match frame::front(rest) {
            Front::Whole { sequence, payload } if sequence == expected => (sequence, payload),
            Front::Short if is_last => return cut(path, at, rest.len(), replay),
            Front::Broken if is_last && is_unwritten_tail(rest) => {
                return cut(path, at, rest.len(), replay);
            }
            _ => return set_tail_aside(path, &bytes, at, expected, replay),
        };
        if sequence > *last {
            let Ok(frame) = frame::decode(sequence, payload) else {
                return set_tail_aside(path, &bytes, at, expected, replay);
            };
            apply(frame)?;
            replay.frames += 1;
            *last = sequence;
        }
        at += HEADER_BYTES + payload.len();
        expected += 1;
    }
    Ok(true)
}

/// Whether a broken end is what a stop in the middle of a write leaves: one frame that reaches exactly to the end, or
/// space that was never written.
fn is_unwritten_tail(rest: &[u8]) -> bool {
    let length = rest.get(16..24).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    rest.iter().all(|&b| b == 0)
        || length.checked_add(HEADER_BYTES as u64) == Some(rest.len() as u64)
}

fn cut(path: &Path, at: usize, torn: usize, replay: &mut Replay) -> Result<bool> {
    tracing::warn!(segment = %path.display(), at, torn, "the last frame of the log was torn and is cut off");
    truncate(path, at)?;
    replay.torn_bytes += torn as u64;
    Ok(true)
}

fn set_tail_aside(
    path: &Path,
    bytes: &[u8],
    at: usize,
    expected: u64,
    replay: &mut Replay,
) -> Result<bool> {
    let aside = corrupt_name(path);
    tracing::error!(
        segment = %path.display(), at, expected, aside = %aside.display(),
        "a frame of the log is broken; it and all that follows is set aside, collectors send again what they still have"
    );
    disk::replace(&aside, &bytes[at..])?;
    truncate(path, at)?;
    replay.corrupt_bytes += (bytes.len() - at) as u64;
    Ok(false)
}

fn truncate(path: &Path, length: usize) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| {
            file.set_len(length as u64)?;
            file.sync_all()
        })
        .map_err(|e| Error::io(format!("cut {} at {length}", path.display()), e))
}

fn set_aside(path: &Path) -> Result<u64> {
    let failed = |e| Error::io(format!("set {} aside", path.display()), e);
    let length = fs::metadata(path).map_err(failed)?.len();
    fs::rename(path, corrupt_name(path)).map_err(failed)?;
    Ok(length)
}

fn corrupt_name(path: &Path) -> PathBuf {
    // An earlier one is kept: a person may still want to look at it.
    (0u32..)
        .map(|n| path.with_extension(if n == 0 { "corrupt".into() } else { format!("corrupt{n}") }))
        .find(|name| !name.exists())
        .expect("there are fewer files than numbers")
}

#[cfg(test)]
mod tests;
