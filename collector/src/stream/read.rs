//! Reading the front: large reads, complete lines to the decoder, nothing else kept.

use std::io::ErrorKind;

use memchr::{memchr, memrchr};
use rookery_core::batch::Fate;

use super::{AtEnd, Desk, Stream, guard_after};
use crate::counters::{DAMAGED_GZIP, TRUNCATED_UNREAD, UNREADABLE};
use crate::file::LongLine;
use crate::source::{FileKey, Guard, Source};

/// The smallest read: what a quiet file's new lines fit in, with room for the file that grows meanwhile.
const READ_BYTES: usize = 256 << 10;

/// What the system copies in one step.
const AT_ONCE_BYTES: usize = 4 << 10;

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Lines, or a part of a long one; there may be more.
    More,
    /// The file ends here for now.
    End,
    /// The file is not the one whose start was read: it was truncated and written anew.
    Rewritten,
    /// It cannot be read now.
    Broken,
}

impl Stream {
    /// Reads once from the front and decodes the complete lines.
    pub(super) fn read_front(&mut self, desk: &mut Desk<'_>, left: &mut usize) -> Outcome {
        let limit = self.chain.decode.record_limit.as_usize().max(1);
        let front = self.files.front_mut().expect("a front to read");
        if front.long.is_some() {
            return self.search_long_line(desk, left);
        }
        let guard = front.guard.len();
        let mut want = READ_BYTES.min(desk.quantum.max(4096)) + guard;
        loop {
            if desk.buffer.len() < want {
                desk.buffer.resize(want, 0);
            }
            desk.counters.reads.add(1);
            let from = front.base + front.offset - guard as u64;
            let source = front.source.as_mut().expect("a front without a source is not read");
            let count = match source.read(from, &mut desk.buffer[..want]) {
                Ok(count) => count,
                Err(error) => return self.cannot_read(desk, &error),
            };
            if count < guard || !front.guard.holds(&desk.buffer[..count]) {
                return Outcome::Rewritten;
            }
            // No guard yet, or so much that the file may have been rewritten meanwhile.
            if (guard == 0 || count > AT_ONCE_BYTES) && front.has_other_start() {
                return Outcome::Rewritten;
            }
            let source = front.source.as_mut().expect("it was just read");
            let data = &desk.buffer[guard..count];
            let is_end = count < want;
            let is_damaged = is_end && source.is_salvaged();
            let size = front.offset + data.len() as u64;
            if size > front.size {
                front.size = size;
                front.quiet_since = None;
            }
            let last = memrchr(b'\n', data);
            source.keep(&data[last.map_or(0, |last| last + 1)..]);
            if let Some(last) = last {
                let lines = guard..guard + last + 1;
                front.quiet_since = None;
                *left = left.saturating_sub(lines.len());
                let buffer = std::mem::take(desk.buffer);
                self.push(desk, &buffer[lines]);
                *desk.buffer = buffer;
                return if is_end && !is_damaged { Outcome::End } else { Outcome::More };
            }
            if data.len() >= limit {
                let head = source.is_gzip().then(|| data[..limit].to_vec());
                source.keep(&[]);
                front.long = Some(LongLine { searched: size, head });
                desk.counters.long_lines.add(1);
                *left = left.saturating_sub(data.len());
                return Outcome::More;
            }
            if is_damaged {
                // A piece of a line is left before the damage.
                return match source.read(from + count as u64, &mut [0]) {
                    Err(error) => self.cannot_read(desk, &error),
                    Ok(_) => Outcome::More,
                };
            }
            if is_end {
                return Outcome::End;
            }
            want = (want * 2).min(limit + guard).max(want + 1);
        }
    }

    /// Decodes lines that lie at the front's offset, and passes over them.
    fn push(&mut self, desk: &mut Desk<'_>, lines: &[u8]) {
        let at = self.read;
        self.decode(desk, |stream, desk| {
            stream.decoder.push(
                at.generation,
                at.offset,
                lines,
                desk.observed,
                desk.builder,
                desk.decoded,
            );
            stream.advance(desk, lines.len() as u64);
        });
        let front = self.files.front_mut().expect("the file that was read");
        guard_after(front, lines);
    }

    /// Passes over bytes whose records the decoder has.
    fn advance(&mut self, desk: &Desk<'_>, bytes: u64) {
        let start = self.read.offset;
        self.read.offset += bytes;
        self.coverage.add(self.read.generation, start, self.read.offset, Fate::Kept);
        desk.counters.bytes.add(bytes);
        let front = self.files.front_mut().expect("the file that was read");
        front.offset = self.read.offset;
        let timeout = self.chain.decode.multiline.timeout.0;
        self.flush_at = self.decoder.pending().map(|_| desk.now + timeout);
    }

    /// Goes on searching for the end of a line over the limit. Its bytes are not kept: its head is read again.
    fn search_long_line(&mut self, desk: &mut Desk<'_>, left: &mut usize) -> Outcome {
        let front = self.files.front_mut().expect("a front to read");
        let source = front.source.as_mut().expect("a front without a source is not read");
        let long = front.long.as_mut().expect("a long line to search");
        let want = READ_BYTES;
        if desk.buffer.len() < want {
            desk.buffer.resize(want, 0);
        }
        desk.counters.reads.add(1);
        let count = match source.read(front.base + long.searched, &mut desk.buffer[..want]) {
            Ok(count) => count,
            Err(error) => return self.cannot_read(desk, &error),
        };
        if count == 0 {
            let metadata = source.file().metadata();
            let is_cut = metadata.is_ok_and(|m| m.len() < front.base + long.searched);
            return match is_cut && !source.is_gzip() {
                true => Outcome::Rewritten,
                false => Outcome::End,
            };
        }
        if front.has_other_start() {
            return Outcome::Rewritten;
        }
        let source = front.source.as_mut().expect("it was just read");
        let long = front.long.as_mut().expect("a long line to search");
        *left = left.saturating_sub(count);
        match memchr(b'\n', &desk.buffer[..count]) {
            None => {
                long.searched += count as u64;
                front.size = front.size.max(long.searched);
                front.quiet_since = None;
            }
            Some(at) => {
                let end = long.searched + at as u64 + 1;
                source.keep(&desk.buffer[at + 1..count]);
                front.guard = match source.is_gzip() {
                    true => Guard::default(),
                    false => Guard::after(&desk.buffer[..=at]),
                };
                self.push_long_line(desk, end);
            }
        }
        Outcome::More
    }

    /// Decodes the head of a line that ends before `end`.
    fn push_long_line(&mut self, desk: &mut Desk<'_>, end: u64) {
        let limit = self.chain.decode.record_limit.as_usize().max(1);
        let front = self.files.front_mut().expect("the file that was read");
        let Some(long) = front.long.take() else { return };
        front.size = front.size.max(end);
        let head = match long.head {
            Some(head) => head,
            None => {
                let mut head = vec![0; limit];
                let source = front.source.as_mut().expect("the file that was searched");
                let count = source.read(front.base + front.offset, &mut head).unwrap_or(0);
                head.truncate(count);
                head
            }
        };
        let at = self.read;
        let length = end - at.offset;
        self.decode(desk, |stream, desk| {
            stream.decoder.push_truncated(
                at.generation,
                at.offset,
                &head,
                length,
                desk.observed,
                desk.builder,
                desk.decoded,
            );
            stream.advance(desk, length);
        });
    }

    /// A read failed. A gzip file may still be written; a disk may answer again; a damaged file does not.
    fn cannot_read(&mut self, desk: &mut Desk<'_>, error: &std::io::Error) -> Outcome {
        let front = self.files.front_mut().expect("the file that was read");
        let is_damaged = matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData);
        let since = *front.quiet_since.get_or_insert(desk.now);
        if !is_damaged && desk.now.duration_since(since) < desk.deleted_wait {
            return Outcome::Broken;
        }
        let source = front.source.as_mut().expect("the file that was read");
        if source.salvage() {
            return Outcome::More;
        }
        desk.counters.unreadable.add(1);
        let path = front.path.display();
        tracing::warn!(%path, %error, "the rest of the file cannot be read, and is given up");
        let offset = self.read.offset;
        let (end, reason) = match source.is_gzip() {
            false => (front.size, UNREADABLE),
            true => {
                // One that was cut short has no trailer.
                let promised = if is_damaged { source.size() } else { 0 };
                let known = front.size.max(promised);
                let is_all = known == offset && promised == offset;
                (if is_all { known } else { known.max(offset + 1) }, DAMAGED_GZIP)
            }
        };
        if end > offset {
            self.pass_over(offset, end, Fate::Lost(reason.into()), desk.counters);
        }
        // What its length promises will not come, also after a restart.
        self.ignored.extend(self.files.front().map(|front| front.key));
        let generation = self.read.generation;
        if let Some(known) = self.remembered.iter_mut().find(|k| k.generation == generation) {
            known.is_damaged = reason == DAMAGED_GZIP;
        }
        self.end_front();
        Outcome::More
    }

    /// Ends the front: what is left of it is one line without a newline.
    pub(super) fn finish_front(&mut self, desk: &mut Desk<'_>) -> AtEnd {
        let front = self.files.front_mut().expect("the file that ends");
        if let Some(long) = &front.long {
            let end = long.searched;
            self.push_long_line(desk, end);
            self.end_front();
            return AtEnd::Next;
        }
        let limit = self.chain.decode.record_limit.as_usize().max(1);
        let mut tail = std::mem::take(desk.buffer);
        tail.resize(tail.len().max(limit), 0);
        let source = front.source.as_mut().expect("the file that was read");
        let from = front.base + front.offset;
        let count = source.read(from, &mut tail[..limit]).unwrap_or(0);
        let is_whole = memchr(b'\n', &tail[..count]).is_none();
        if !is_whole {
            // Bytes came in the last moment.
            source.keep(&tail[..count]);
            front.quiet_since = None;
        } else if count > 0 {
            front.size = front.size.max(front.offset + count as u64);
            self.push(desk, &tail[..count]);
        }
        *desk.buffer = tail;
        if is_whole {
            self.end_front();
        }
        AtEnd::Next
    }

    /// A file was truncated and written anew: its bytes are in a copy, if anywhere, and the same descriptor holds another file.
    ///
    /// The place at `at` keeps the old file; the new one is the newest of the chain when it has the name that is written to.
    pub(super) fn rewritten(&mut self, at: usize, desk: &Desk<'_>) {
        desk.counters.truncations.add(1);
        let last = self.files.len();
        let Some(file) = self.files.get_mut(at) else { return };
        file.long = None;
        let successor = file.rewritten();
        file.live = false;
        // No file's key, and told apart from others of its kind.
        let number = file.generation.or(file.first.map(|first| first.time));
        file.key = FileKey { inode: number.unwrap_or(0), ..FileKey::default() };
        if let Some((key, path, copy)) = file.copy.take()
            && let Ok(source) = Source::new(copy)
        {
            (file.key, file.path) = (key, path);
            file.source = Some(source);
        } else {
            file.awaits_listing = Some(desk.again.at(&self.chain));
        }
        let place = if successor.live { last } else { at + 1 };
        self.files.insert(place, successor);
    }

    /// Finds files that were rewritten since they were looked at. Before a listing is taken in: one that shows the copies of
    /// a truncated file must not meet the file as it was.
    pub(super) fn find_rewritten(&mut self, desk: &Desk<'_>) {
        // What is put at the end on the way has no first bytes yet, and is not looked at.
        for at in 0..self.files.len() {
            if self.files[at].is_rewritten() {
                self.rewritten(at, desk);
            }
        }
    }

    /// No copy has the rest of a truncated file.
    pub(super) fn give_up_truncated(&mut self, desk: &mut Desk<'_>) {
        if let Some(front) = self.files.front()
            && front.generation.is_none()
        {
            let first = front.first.unwrap_or_default();
            self.begin_at(first, desk);
        }
        let Some(front) = self.files.front().filter(|front| front.source.is_none()) else { return };
        let (known, path) = (front.size, front.path.display());
        let bytes = known.saturating_sub(self.read.offset);
        if bytes > 0 {
            tracing::warn!(%path, bytes, "a file was truncated before it was read to its end");
            let fate = Fate::Lost(TRUNCATED_UNREAD.into());
            self.pass_over(self.read.offset, known, fate, desk.counters);
        }
        self.end_front();
    }
}
