//! What is kept of files that were read to their end: until they are safe, and while bytes may still come to them.
//!
//! A rotated file that is not safe is held open, and linked in the spool, so that neither its deletion nor the end of this process loses
//! it. That costs disk space only when nobody else keeps the file; beyond the limit the oldest are let go.
//!
//! Bytes that come to a file after its successor was begun cannot be stored under their own position: it lies below
//! the stream's mark. They get a generation of their own, after the successor's.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rookery_core::Position;
use rookery_core::batch::Fate;

use super::{Begin, Desk, Stream};
use crate::checkpoint::Remembered;
use crate::counters::SPOOL_BUDGET;
use crate::file::{ChainFile, First};
use crate::source::{FileKey, Source};
use crate::spool::Spool;

/// A file that was read to its end and is not safe.
#[derive(Debug)]
pub(super) struct Held {
    /// Where it ends.
    end: Position,
    key: FileKey,
    path: Arc<Path>,
    file: File,
}

/// Late bytes on their way.
#[derive(Debug)]
pub(super) struct LateShipped {
    /// The file to which they came.
    of: u64,
    /// Where it ended before.
    from: u64,
    /// Where it ends now.
    to: u64,
    /// The position after them; nothing while they wait.
    end: Option<Position>,
}

impl Stream {
    /// The front is over: what was not read of it was passed over.
    pub(super) fn end_front(&mut self) {
        let Some(file) = self.files.pop_front() else { return };
        let end = self.read;
        if file.base > 0 {
            let waiting = |late: &&mut LateShipped| late.from == file.base && late.end.is_none();
            if let Some(late) = self.late_shipped.iter_mut().find(waiting) {
                late.to = file.base + file.offset;
                late.end = Some(end);
            }
        }
        let ended = |known: &&mut Remembered| known.generation == end.generation;
        if let Some(known) = self.remembered.iter_mut().find(ended) {
            known.end = Some(end.offset);
            known.size = known.size.max(end.offset);
        }
        if let Some(source) = file.source {
            let (key, path) = (file.key, file.path);
            self.held.push_back(Held { end, key, path, file: source.into_file() });
        }
        for late in self.late.drain(..).rev() {
            self.files.push_front(late);
        }
        self.is_dirty = true;
        self.let_go();
    }

    /// Lets go of files that are safe.
    pub(super) fn let_go(&mut self) {
        let acknowledged = self.acknowledged;
        while self.held.front().is_some_and(|held| held.end <= acknowledged) {
            let Some(held) = self.held.pop_front() else { break };
            let known = self.remembered.iter().find(|k| k.generation == held.end.generation);
            if let Some(known) = known.copied()
                && let Ok(source) = Source::new(held.file)
            {
                self.note_late(&known, held.key, &held.path, source);
            }
        }
        let safe = |late: &LateShipped| late.end.is_some_and(|end| end <= acknowledged);
        for late in self.late_shipped.iter().filter(|late| safe(late)) {
            let known = self.remembered.iter_mut().find(|known| known.generation == late.of);
            if let Some(known) = known {
                known.end = Some(late.to);
            }
            self.remembered.retain(|known| known.late_of != Some(late.of));
        }
        self.late_shipped.retain(|late| !safe(late));
        self.place_late();
        self.unlink_unneeded();
    }

    /// Removes links of files that are safe.
    pub(super) fn unlink_unneeded(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let Self { links, files, held, .. } = self;
        links.retain(|key, path| {
            let is_needed = files.iter().any(|file| file.key == *key)
                || held.iter().any(|held| held.key == *key);
            if !is_needed {
                Spool::remove(path);
            }
            is_needed
        });
    }

    /// Whether it has files that may be taken away before they are safe.
    pub(crate) fn has_rotated(&self) -> bool {
        !self.held.is_empty() || self.files.iter().any(|file| !file.live || file.gone)
    }

    /// Links rotated files that are not safe. Returns the bytes that only the collector keeps.
    pub(crate) fn hold(&mut self, spool: &Spool) -> u64 {
        let Self { links, files, held, chain, .. } = self;
        let rotated = files
            .iter()
            .filter(|file| !file.live || file.gone)
            .filter_map(|file| Some((file.key, file.source.as_ref()?.file())));
        let mut bytes = 0;
        for (key, file) in held.iter().map(|held| (held.key, &held.file)).chain(rotated) {
            let Ok(metadata) = file.metadata() else { continue };
            if !links.contains_key(&key)
                && let Some(path) = spool.link(file, chain.id, &chain.path)
            {
                links.insert(key, path);
                // Somebody else has it still.
                continue;
            }
            if metadata.nlink() <= u64::from(links.contains_key(&key)) {
                bytes += metadata.len();
            }
        }
        bytes
    }

    /// How many links it has in the spool.
    pub(crate) fn link_count(&self) -> usize {
        self.links.len()
    }

    /// When the oldest file that could be given up was last written to.
    pub(crate) fn oldest_rotated(&self) -> Option<i64> {
        let file = match self.held.front() {
            Some(held) => &held.file,
            None => {
                let front = self.files.front().filter(|front| !front.live || front.gone)?;
                front.source.as_ref()?.file()
            }
        };
        file.metadata().ok().map(|metadata| crate::source::modified(&metadata))
    }

    /// Gives up the oldest file: one that was read is on its way and only no longer kept; of one that was not, the rest is shed.
    /// Returns whether there was one.
    pub(crate) fn give_up_oldest(&mut self, desk: &mut Desk<'_>) -> bool {
        if self.held.pop_front().is_some() {
            self.unlink_unneeded();
            return true;
        }
        let is_rotated = |file: &ChainFile| !file.live || file.gone;
        if !self.files.front().is_some_and(is_rotated) {
            return false;
        }
        while self.files.front().is_some_and(|front| front.generation.is_none()) {
            if matches!(self.begin(desk), Begin::Wait(_)) {
                return false;
            }
        }
        if !self.files.front().is_some_and(is_rotated) {
            return true;
        }
        self.flush_for_good(desk);
        let front = self.files.front_mut().expect("it was just looked at");
        let end = front.source.as_mut().map_or(front.size, |source| end_of(source, front.base));
        let (end, path) = (end.max(self.read.offset), front.path.clone());
        let bytes = end - self.read.offset;
        tracing::warn!(
            path = %path.display(), bytes,
            "the spool's limit is reached: the rest of a rotated file is given up (collector.spool.limit)"
        );
        self.pass_over(self.read.offset, end, Fate::Shed(SPOOL_BUDGET.into()), desk.counters);
        if let Some(front) = self.files.front_mut() {
            front.offset = end;
        }
        self.end_front();
        self.held.pop_back();
        self.unlink_unneeded();
        true
    }

    /// Whether a file that was read to its end has more by now; then these bytes wait for the end of the one that is being read.
    pub(super) fn note_late(
        &mut self,
        known: &Remembered,
        key: FileKey,
        path: &Arc<Path>,
        source: Source,
    ) {
        let may_grow = known.late_of.is_none() && !known.is_damaged;
        let size = if may_grow { source.size() } else { 0 };
        let Some(end) = known.end.filter(|end| *end > 0 && size > *end) else { return };
        if self.late_shipped.iter().any(|late| late.of == known.generation) {
            return;
        }
        self.late_bytes += size - end;
        let mut file = ChainFile::waiting(key, path.clone(), Some(source));
        file.base = end;
        file.late_of = Some(known.generation);
        file.first = Some(First::default());
        file.size = size - end;
        self.late_shipped.push(LateShipped { of: known.generation, from: end, to: end, end: None });
        self.late.push(file);
    }

    /// Lets late bytes have their turn when no file is before them: none is there, or they were begun before a restart.
    pub(super) fn place_late(&mut self) {
        let is_begun = |known: &Remembered| {
            known.generation == self.read.generation && known.late_of.is_some()
        };
        let is_free = self.files.front().is_none_or(|front| front.generation.is_none());
        if self.files.is_empty() || (is_free && self.remembered.iter().any(is_begun)) {
            for late in self.late.drain(..).rev() {
                self.files.push_front(late);
            }
        }
    }
}

/// The number of decompressed bytes of a file, from `base`.
fn end_of(source: &mut Source, base: u64) -> u64 {
    if let Source::Plain(file) = source {
        return file.metadata().map_or(0, |metadata| metadata.len().saturating_sub(base));
    }
    let mut buffer = vec![0; 64 << 10];
    let mut end = 0;
    while let Ok(count @ 1..) = source.read(end, &mut buffer) {
        end += count as u64;
    }
    end
}
