//! One file of a chain, while it waits to be read, is read, or waits for what was read to be safe.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use memchr::{memchr, memrchr};
use serde::{Deserialize, Serialize};

use crate::chain::Seen;
use crate::decode::{DecodeConfig, first_time};
use crate::source::{FileKey, Guard, Head, START_BYTES, Source, Start, modified};

/// How many first bytes are searched for the time of a first record.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// What is enough for nearly every file.
const SHORT_HEAD_BYTES: usize = 4 << 10;

/// What a file's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The time of its first record in nanoseconds since the epoch, and the hash of its start.
    Found(First),
    /// No complete line yet, or no line with a time yet; more bytes may bring one.
    NotYet,
    /// Nothing is in it.
    Empty,
    /// Zeros and nothing else: more bytes may show that they are a hole.
    Zeros,
    /// It is no text.
    Binary,
}

/// What tells a file from the others of its chain, and its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct First {
    /// The time of the first record that says one, in nanoseconds since the epoch; else of the file's birth.
    pub(crate) time: u64,
    /// Whether that time was printed in it, so that a copy has the same.
    pub(crate) is_printed: bool,
    /// The hash of its first bytes.
    pub(crate) start: Start,
}

impl First {
    /// Whether a file that starts with `head`, and is `other`, has the same content, as far as both are there.
    pub(crate) fn is_same(&self, head: &Head, other: &Self) -> bool {
        let same_time = self.time == other.time && self.start.hole == other.start.hole;
        match self.start.is_of(head) {
            Some(same) => same && (same_time || (!self.is_printed && self.is_telling())),
            // A copy of which only the first bytes are there yet.
            None => same_time,
        }
    }

    /// Whether the start alone tells it from others: two files may well begin with the same word.
    pub(crate) fn is_telling(&self) -> bool {
        self.start.bytes >= 64
    }
}

/// Reads what a file's first bytes say. `is_final`: nothing more will come, or it was waited for long enough.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn identify(
    source: &mut Source,
    decode: &DecodeConfig,
    is_final: bool,
) -> io::Result<Identity> {
    let mut last_chance = false;
    for limit in [SHORT_HEAD_BYTES, HEAD_BYTES] {
        let full = source.head(limit)?;
        let head = &full.bytes[..];
        if head.is_empty() {
            return Ok(if full.hole > 0 { Identity::Zeros } else { Identity::Empty });
        }
        if memchr(0, &head[..head.len().min(START_BYTES)]).is_some() {
            return Ok(Identity::Binary);
        }
        let whole = is_final || source.is_gzip();
        let is_full = head.len() == limit;
        let lines = match memrchr(b'\n', head) {
            _ if whole && !is_full => head.len(),
            Some(last) => last + 1,
            None if limit == HEAD_BYTES && is_full => head.len(),
            None => 0,
        };
        if let Some((time, _)) = first_time(decode, &head[..lines])
            && let Ok(time @ 1..) = u64::try_from(time)
        {
            let start = Start::of(&full);
            return Ok(Identity::Found(First { time, is_printed: true, start }));
        }
        last_chance = whole || (limit == HEAD_BYTES && is_full);
        if !is_full && !last_chance {
            break;
        }
    }
    if !last_chance {
        return Ok(Identity::NotYet);
    }
    let metadata = source.file().metadata()?;
    let born = FileKey::of(&metadata).born;
    let time = if born > 0 { born } else { modified(&metadata) };
    let start = Start::of(&source.head(START_BYTES)?);
    let time = u64::try_from(time).unwrap_or(1).max(1);
    Ok(Identity::Found(First { time, is_printed: false, start }))
}

/// A line that is longer than the record limit, its end not found yet.
#[derive(Debug)]
pub(crate) struct LongLine {
    /// The first byte that was not searched for the newline.
    pub(crate) searched: u64,
    /// Its first bytes, where they cannot be read again cheaply.
    pub(crate) head: Option<Vec<u8>>,
}

/// A file of a chain that is not yet read to its end.
#[derive(Debug)]
pub(crate) struct ChainFile {
    /// Which file; changes when its bytes are read from a copy.
    pub(crate) key: FileKey,
    /// Where it was last seen.
    pub(crate) path: Arc<Path>,
    /// Starts of the container before it.
    pub(crate) restart: u64,
    /// Whether it has the name that is written to.
    pub(crate) live: bool,
    /// Whether it has no name in its folder any more.
    pub(crate) gone: bool,
    /// Its bytes; `None` after it was truncated, until a copy of it is found.
    pub(crate) source: Option<Source>,
    /// What its start says, when that is known.
    pub(crate) first: Option<First>,
    /// The number that it would have by its place among the files that were listed with it.
    pub(crate) expected: Option<u64>,
    /// Its number in the chain, once its turn came.
    pub(crate) generation: Option<u64>,
    /// The next byte to read.
    pub(crate) offset: u64,
    /// Where its first byte lies in the physical file: not at 0 for what was written after its successor was begun.
    pub(crate) base: u64,
    /// The generation of the file to which its bytes came late.
    pub(crate) late_of: Option<u64>,
    /// The most decompressed bytes it is known to have had.
    pub(crate) size: u64,
    /// The bytes before `offset`.
    pub(crate) guard: Guard,
    /// A line over the limit in progress.
    pub(crate) long: Option<LongLine>,
    /// Another file with the same content.
    pub(crate) copy: Option<(FileKey, Arc<Path>, File)>,
    /// Since when no byte came.
    pub(crate) quiet_since: Option<Instant>,
    /// When it was first seen with a byte in it; patience for a line with a time is counted from here.
    pub(crate) waited_since: Option<Instant>,
    /// The listing that decides whether a copy exists, or whether there are copies older than what the file has now.
    pub(crate) awaits_listing: Option<u64>,
    /// Whether a listing was made after its first bytes were read.
    pub(crate) is_confirmed: bool,
}

impl ChainFile {
    /// A file of which nothing is read.
    pub(crate) fn new(seen: &Seen, source: Source) -> Self {
        let waiting = Self::waiting(seen.key, seen.path.clone(), Some(source));
        Self { restart: seen.hint.restart, live: seen.live, ..waiting }
    }

    /// The file that took its place in place: the same descriptor, new content.
    pub(crate) fn rewritten(&mut self) -> Self {
        let source = self.source.take().map(|source| Source::Plain(source.into_file()));
        let waiting = Self::waiting(self.key, self.path.clone(), source);
        Self { restart: self.restart, live: self.live, gone: self.gone, ..waiting }
    }

    /// A file that waits for its turn.
    pub(crate) fn waiting(key: FileKey, path: Arc<Path>, source: Option<Source>) -> Self {
        Self {
            key,
            path,
            source,
            restart: 0,
            live: false,
            gone: false,
            first: None,
            expected: None,
            generation: None,
            offset: 0,
            base: 0,
            late_of: None,
            size: 0,
            guard: Guard::default(),
            long: None,
            copy: None,
            quiet_since: None,
            waited_since: None,
            awaits_listing: None,
            is_confirmed: false,
        }
    }

    /// Updates what a listing says of it.
    pub(crate) fn seen_again(&mut self, seen: &Seen) {
        self.path = seen.path.clone();
        self.live = seen.live;
        self.gone = false;
        if !self.source.as_ref().is_some_and(Source::is_gzip) {
            self.size = self.size.max(seen.size.saturating_sub(self.base));
        }
    }

    /// Whether it no longer starts, or no longer goes on, as it did.
    pub(crate) fn is_rewritten(&mut self) -> bool {
        if self.has_other_start() {
            return true;
        }
        let (Some(_), Some(source @ Source::Plain(_))) = (self.first, self.source.as_mut()) else {
            return false;
        };
        let mut bytes = [0; START_BYTES];
        let guard = &mut bytes[..self.guard.len()];
        let from = self.base + self.offset - guard.len() as u64;
        source.read(from, guard).is_ok_and(|n| !self.guard.holds(&guard[..n]))
    }

    /// Whether it no longer starts as it did. Of what was read before this says no, all was there before the file was rewritten.
    pub(crate) fn has_other_start(&mut self) -> bool {
        let (Some(first), Some(source @ Source::Plain(_))) = (self.first, self.source.as_mut())
        else {
            return false;
        };
        let mut bytes = [0; START_BYTES];
        let start = &mut bytes[..(first.start.bytes as usize).min(START_BYTES)];
        self.base == 0
            && source
                .read(first.start.hole, start)
                .is_ok_and(|count| !first.start.is_hash_of(&start[..count]))
    }

    /// Whether it is known to hold at least one line, so that its predecessor may end.
    pub(crate) fn has_line(&self) -> bool {
        self.first.is_some()
    }

    /// Whether the system has no name for it but ours.
    pub(crate) fn is_deleted(&self, own_links: u64) -> bool {
        use std::os::unix::fs::MetadataExt;
        let metadata = self.source.as_ref().and_then(|source| source.file().metadata().ok());
        metadata.is_none_or(|metadata| metadata.nlink() <= own_links)
    }
}
