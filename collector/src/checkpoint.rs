//! The checkpoint: for each stream the position up to which everything is safe, and what its files were.
//!
//! One file, `checkpoint` in the state folder, replaced as a whole:
//! ```text
//! rookery-collector-checkpoint 1 <XXH3 of the rest, 16 hex digits>\n
//! {"streams":{"<stream>":{"path":…,"position":…,"files":[…],"seen":…}}}
//! ```
//! It is written to a temporary name, synced, renamed, and the folder synced. One that is missing, torn, or of another version costs reading everything
//! again, which the ingester drops by position; it is never an error.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use rookery_core::ledger::ReadState;
use rookery_core::{Error, Position, Result, StreamId};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::file::First;
use crate::source::FileKey;

const MAGIC: &str = "rookery-collector-checkpoint 1 ";
const NAME: &str = "checkpoint";

/// One file of a chain that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Its number in the chain.
    pub(crate) generation: u64,
    /// What it starts with.
    pub(crate) first: First,
    /// Which file it was last.
    pub(crate) key: FileKey,
    /// The most decompressed bytes it is known to have had.
    pub(crate) size: u64,
    /// Where it ended, when it did.
    pub(crate) end: Option<u64>,
    /// It is no file of its own, but what came late to the file of this generation.
    #[serde(default)]
    pub(crate) late_of: Option<u64>,
    /// It is damaged where it ended: what its length promises will not come.
    #[serde(default)]
    pub(crate) is_damaged: bool,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The chain's path.
    pub(crate) path: String,
    /// The first byte that is not known to be safe.
    pub(crate) position: Position,
    /// Its files, oldest first.
    pub(crate) files: Vec<Remembered>,
    /// When it was last active, in nanoseconds since the epoch.
    pub(crate) seen: i64,
}

/// All streams.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// By id.
    pub(crate) streams: HashMap<StreamId, Entry>,
}

impl Checkpoint {
    /// The bytes of the file.
    fn encode(&self) -> Result<Vec<u8>> {
        let body = serde_json::to_vec(self)
            .map_err(|error| Error::internal("encode the checkpoint").because(error))?;
        let mut bytes = format!("{MAGIC}{:016x}\n", xxh3_64(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// From the bytes of the file.
    ///
    /// # Errors
    /// `corrupt` when they are not what was written, or of another version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what: &str| Error::corrupt(format!("the collector's checkpoint {what}"));
        let end = bytes.iter().position(|b| *b == b'\n').ok_or_else(|| corrupt("has no header"))?;
        let header = std::str::from_utf8(&bytes[..end]).map_err(|_| corrupt("has no header"))?;
        let hash = header.strip_prefix(MAGIC).ok_or_else(|| corrupt("is of another version"))?;
        let body = &bytes[end + 1..];
        if u64::from_str_radix(hash, 16) != Ok(xxh3_64(body)) {
            return Err(corrupt("is torn"));
        }
        serde_json::from_slice(body).map_err(|error| corrupt("cannot be understood").because(error))
    }

    /// Reads the checkpoint of a state folder; an empty one when there is none that can be used.
    pub(crate) fn load(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the checkpoint cannot be read; all files are read again, and nothing is stored twice");
                return Self::default();
            }
        };
        Self::decode(&bytes).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "all files are read again, and nothing is stored twice");
            Self::default()
        })
    }

    /// Replaces the checkpoint of a state folder.
    ///
    /// # Errors
    /// When the folder cannot be written to; what was there before is still there.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        let bytes = self.encode()?;
        let path = directory.join(NAME);
        let next = directory.join(format!("{NAME}.next"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&next)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&next, &path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|error| {
            Error::io(format_args!("write the collector's checkpoint {}", path.display()), error)
        })
    }

    /// Forgets streams that were quiet since before `horizon`, in nanoseconds since the epoch, but those that `keeps`.
    pub(crate) fn forget(&mut self, horizon: i64, keeps: impl Fn(&StreamId) -> bool) {
        self.streams.retain(|id, entry| entry.seen >= horizon || keeps(id));
    }
}

/// Reads the bytes of a checkpoint, and says how many streams are in it. For tools that look at a state folder, and for the fuzzer.
///
/// # Errors
/// `corrupt` when a collector would not go on from it.
pub fn check_checkpoint(bytes: &[u8]) -> Result<usize> {
    Checkpoint::decode(bytes).map(|checkpoint| checkpoint.streams.len())
}

/// Where the threads put what is known of their streams: for the checkpoint, and for who asks.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<BoardState>,
}

#[derive(Debug, Default)]
struct BoardState {
    checkpoint: Checkpoint,
    states: HashMap<StreamId, ReadState>,
    is_changed: bool,
}

impl Board {
    /// Goes on after a checkpoint.
    pub(crate) fn new(checkpoint: Checkpoint) -> Self {
        let state = BoardState { checkpoint, ..BoardState::default() };
        Self { inner: Mutex::new(state) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BoardState> {
        self.inner.lock().expect("no holder panics")
    }

    /// What is known of a stream.
    pub(crate) fn entry(&self, stream: StreamId) -> Option<Entry> {
        self.lock().checkpoint.streams.get(&stream).cloned()
    }

    /// Puts what is known of some streams.
    pub(crate) fn put(&self, news: Vec<(Option<Entry>, ReadState)>) {
        let mut state = self.lock();
        for (entry, read) in news {
            if let Some(entry) = entry {
                state.checkpoint.streams.insert(read.stream, entry);
                state.is_changed = true;
            }
            state.states.insert(read.stream, read);
        }
    }

    /// A stream's files are gone, and all of it is safe.
    pub(crate) fn remove_state(&self, stream: StreamId) {
        self.lock().states.remove(&stream);
    }

    /// What is known of all streams.
    pub(crate) fn states(&self) -> Vec<ReadState> {
        let mut states: Vec<ReadState> = self.lock().states.values().cloned().collect();
        states.sort_by(|a, b| a.tags.cmp(&b.tags));
        states
    }

    /// Writes the checkpoint, if anything changed since. Returns whether it did.
    ///
    /// # Errors
    /// When it cannot be written; it is tried again with the next call.
    pub(crate) fn save(&self, directory: &Path, forget_after: i64) -> Result<bool> {
        let bytes_of = {
            let mut state = self.lock();
            if !state.is_changed {
                return Ok(false);
            }
            let horizon = rookery_core::time::now().saturating_sub(forget_after);
            let BoardState { checkpoint, states, is_changed } = &mut *state;
            checkpoint.forget(horizon, |id| states.contains_key(id));
            *is_changed = false;
            Checkpoint { streams: checkpoint.streams.clone() }
        };
        bytes_of.save(directory).inspect_err(|_| self.lock().is_changed = true)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let position = Position { generation: 7, offset: 9 };
        let entry = Entry { path: "/a".into(), position, files: Vec::new(), seen: 5 };
        Checkpoint { streams: [(StreamId([1; 16]), entry)].into() }
    }

    #[test]
    fn a_torn_or_foreign_checkpoint_is_none() {
        let bytes = sample().encode().unwrap();
        assert_eq!(Checkpoint::decode(&bytes).unwrap().streams, sample().streams);
        for cut in 0..bytes.len() {
            assert!(Checkpoint::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Checkpoint::decode(&bad).is_err(), "{at}");
        }
    }

    #[test]
    fn a_checkpoint_is_replaced_as_a_whole_and_forgets_the_vanished() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Checkpoint::load(folder.path()).streams.is_empty());
        let mut checkpoint = sample();
        checkpoint.save(folder.path()).unwrap();
        assert_eq!(Checkpoint::load(folder.path()).streams, checkpoint.streams);
        fs::write(folder.path().join("checkpoint"), b"{}").unwrap();
        assert!(Checkpoint::load(folder.path()).streams.is_empty());
        checkpoint.forget(6, |_| false);
        assert!(checkpoint.streams.is_empty());
    }
}
