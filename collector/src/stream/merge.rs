//! From a folder's listing to the stream's files: what is known, what is a copy, what is new, and in which order.
//!
//! Names say the order, but a name that was taken away says nothing: such a file stands where its first record belongs.
//!
//! What is new stands where the listing has it. What is older than something that is covered, is covered: a stream is read in order, so
//! an older file was read before, or given up. A file that the checkpoint does not remember and that the listing puts after what is covered, came
//! since.

use std::collections::HashMap;
use std::path::PathBuf;

use super::{Desk, Stream};
use crate::chain::{Listing, Seen};
use crate::checkpoint::Remembered;
use crate::file::{ChainFile, First, Identity, identify};
use crate::names::Spooled;
use crate::source::{FileKey, START_BYTES, Source};

/// Files that were opened to see what they are.
type Sources = HashMap<FileKey, (Source, Option<First>)>;

/// What a listed file is to the stream.
#[derive(Debug)]
enum Role {
    /// Being read, or waiting; the place in `files` is found by its key.
    Present,
    /// Read to its end, in whatever form.
    Covered,
    /// Another form of a file that is being read or waits.
    CopyOf(FileKey),
    /// Not in `files`; its generation, if it is remembered.
    New(Option<u64>),
    /// To be left alone.
    Ignored,
}

/// A listed file and what it is.
#[derive(Debug)]
struct Listed {
    seen: Seen,
    role: Role,
}

impl Stream {
    /// Takes in a listing.
    pub(crate) fn listed(&mut self, mut listing: Listing, desk: &mut Desk<'_>) {
        if !std::mem::replace(&mut self.was_listed, true) {
            // What comes later was not there at the start.
            self.may_skip &= listing.at_start;
        }
        self.note_links(&mut listing.files);
        self.find_rewritten(desk);
        for file in &mut self.files {
            file.gone = file.source.is_some();
            file.live = false;
        }
        let mut sources = Sources::new();
        let mut listed: Vec<Listed> = Vec::with_capacity(listing.files.len());
        for mut seen in listing.files {
            let role = self.role_of(&mut seen, &mut sources, desk);
            listed.push(Listed { seen, role });
        }
        let listed = self.in_order(listed, &mut sources);
        let expected = self.expected(&listed, &sources);
        let covered = self.last_covered(&listed);
        let mut after = 0;
        for (at, Listed { seen, role }) in listed.iter().enumerate() {
            tracing::debug!(path = %seen.path.display(), key = ?seen.key.inode, live = seen.live, ?role, "listed");
            match role {
                Role::Present => after = self.update(seen) + 1,
                Role::New(generation) => {
                    let Some((source, first)) = sources.remove(&seen.key) else { continue };
                    let is_covered = covered.map(|covered| at < covered);
                    if generation.is_none() && self.is_older(seen, first, expected[at], is_covered)
                    {
                        self.pass_by(seen.key, first, desk);
                        continue;
                    }
                    after = self.insert(seen, source, first, after);
                    self.files[after - 1].expected = expected[at];
                }
                Role::CopyOf(key) => {
                    // A copy holds the place of its original.
                    let place = self.files.iter().position(|file| file.key == *key);
                    after = place.map_or(after, |place| place + 1);
                    if let Some((source, _)) = sources.remove(&seen.key) {
                        desk.counters.files_copied.add(1);
                        self.add_copy(*key, seen, source);
                    }
                }
                Role::Covered | Role::Ignored => {}
            }
        }
        self.adopt_copies();
        for file in &mut self.files {
            // No copy in a listing that was made after the truncation: there is none.
            if file.awaits_listing.is_some_and(|at| listing.sequence >= at) {
                file.awaits_listing = None;
                file.is_confirmed = true;
            }
        }
        self.forget_absent(&listed);
        self.place_late();
        self.unlink_unneeded();
        desk.counters.late_bytes.add(std::mem::take(&mut self.late_bytes));
    }

    /// One file with two names, one of them in the spool, is one file.
    fn note_links(&mut self, files: &mut Vec<Seen>) {
        for seen in files.iter().filter(|seen| seen.hint.unspooled != Spooled::No) {
            self.links.insert(seen.key, PathBuf::from(&*seen.path));
        }
        let named: Vec<FileKey> = files
            .iter()
            .filter(|seen| seen.hint.unspooled == Spooled::No)
            .map(|seen| seen.key)
            .collect();
        files.retain(|seen| seen.hint.unspooled == Spooled::No || !named.contains(&seen.key));
    }

    fn role_of(&mut self, seen: &mut Seen, sources: &mut Sources, desk: &Desk<'_>) -> Role {
        if self.files.iter().any(|file| file.key == seen.key) {
            return Role::Present;
        }
        if seen.file.is_none() {
            if self.ignored.contains(&seen.key) {
                return Role::Ignored;
            }
            let same = |known: &&Remembered| known.key == seen.key;
            let known = self.remembered.iter().find(same).copied();
            if let Some(known) = known.filter(|known| self.is_covered(known)) {
                if known.end.is_some_and(|end| seen.size > end)
                    && let Some(Ok(source)) = seen.open().map(Source::new)
                {
                    self.note_late(&known, seen.key, &seen.path, source);
                }
                return Role::Covered;
            }
        }
        self.ignored.remove(&seen.key);
        let Some(mut source) = seen.open().and_then(|file| Source::new(file).ok()) else {
            return Role::Ignored;
        };
        let first = match identify(&mut source, &self.chain.decode, !seen.live) {
            Ok(Identity::Found(first)) => Some(first),
            Ok(Identity::Binary) => {
                desk.counters.files_binary.add(1);
                self.ignored.insert(seen.key);
                return Role::Ignored;
            }
            Ok(Identity::NotYet | Identity::Empty | Identity::Zeros) | Err(_) => None,
        };
        let role =
            first.map_or(Role::New(None), |first| self.role_by_content(seen, &mut source, first));
        sources.insert(seen.key, (source, first));
        role
    }

    /// What a file is by its first bytes, whatever its name and inode.
    fn role_by_content(&mut self, seen: &mut Seen, source: &mut Source, first: First) -> Role {
        let head = source.head(START_BYTES).unwrap_or_default();
        let Some(generation) = self.known_as(&head, &first, seen.key) else {
            // A file that waits has no generation to be known by.
            let same = |file: &&ChainFile| file.first.is_some_and(|f| f.is_same(&head, &first));
            let twin = self.files.iter().find(same);
            return twin.map_or(Role::New(None), |file| Role::CopyOf(file.key));
        };
        if let Some(file) = self.files.iter().find(|file| file.generation == Some(generation)) {
            return Role::CopyOf(file.key);
        }
        let known = self.remembered.iter_mut().find(|known| known.generation == generation);
        let known = known.map(|known| {
            // From now on it is known by this name.
            known.key = seen.key;
            *known
        });
        match known.filter(|known| self.is_covered(known)) {
            Some(known) => {
                // The compressed form may have more than was there when the file was left.
                if let Some(Ok(source)) = seen.open().map(Source::new) {
                    self.note_late(&known, seen.key, &seen.path, source);
                }
                Role::Covered
            }
            None => Role::New(Some(generation)),
        }
    }

    /// Whether all of a file was read, or given up. Right after a start that means: was safe.
    fn is_covered(&self, known: &Remembered) -> bool {
        let is_read = || known.end.is_some_and(|end| self.read.offset >= end);
        self.has_history
            && (known.generation < self.read.generation
                || (known.generation == self.read.generation && is_read()))
    }

    /// The place in the listing of the newest file that was read, or is being read.
    fn last_covered(&self, listed: &[Listed]) -> Option<usize> {
        let is_front = |key: FileKey| {
            self.files.front().is_some_and(|file| file.key == key && file.generation.is_some())
        };
        listed.iter().rposition(|Listed { seen, role }| match role {
            Role::Covered => true,
            Role::Present => is_front(seen.key),
            Role::CopyOf(key) => is_front(*key),
            Role::New(generation) => {
                self.has_history && generation.is_some_and(|g| g <= self.read.generation)
            }
            Role::Ignored => false,
        })
    }

    /// Whether a file that is not known is older than what was read. `is_covered` says whether it is listed before something that is covered, if
    /// something is.
    fn is_older(
        &self,
        seen: &Seen,
        first: Option<First>,
        expected: Option<u64>,
        is_covered: Option<bool>,
    ) -> bool {
        // No number is below the time of the file's first record, so what begins later than what is being read was not read, wherever it stands.
        let is_later =
            first.is_some_and(|first| first.is_printed && first.time > self.read.generation);
        if seen.live {
            return false;
        }
        if self.may_skip {
            return true;
        }
        match is_covered {
            Some(is_covered) => is_covered && !is_later,
            None => self.has_history && expected.is_some_and(|e| e < self.read.generation),
        }
    }

    /// Leaves an older file alone. One that has no line yet may be a copy under way, and is looked at again.
    fn pass_by(&mut self, key: FileKey, first: Option<First>, desk: &Desk<'_>) {
        desk.counters.files_older.add(1);
        if first.is_some() {
            self.ignored.insert(key);
        }
    }

    /// Updates a file that is in `files`; returns its place.
    fn update(&mut self, seen: &Seen) -> usize {
        let place = self.files.iter().position(|file| file.key == seen.key).unwrap_or(0);
        if let Some(file) = self.files.get_mut(place) {
            file.seen_again(seen);
        }
        place
    }

    /// Puts a new file behind the one that the listing has before it; the one that is written to goes to the end. Returns the place after it.
    fn insert(&mut self, seen: &Seen, source: Source, first: Option<First>, after: usize) -> usize {
        let started = self.files.front().is_some_and(|front| front.generation.is_some());
        let place = match seen.live {
            true => self.files.len(),
            false => after.max(usize::from(started)).min(self.files.len()),
        };
        let mut file = ChainFile::new(seen, source);
        file.first = first;
        if !file.source.as_ref().is_some_and(Source::is_gzip) {
            file.size = seen.size;
        }
        self.files.insert(place, file);
        place + 1
    }

    /// What is known of a listed file's first record.
    fn first_of(&self, seen: &Seen, sources: &Sources) -> Option<First> {
        let waiting = || self.files.iter().find(|file| file.key == seen.key)?.first;
        let known = || Some(self.remembered.iter().find(|known| known.key == seen.key)?.first);
        sources.get(&seen.key).and_then(|(_, first)| *first).or_else(waiting).or_else(known)
    }

    /// The listed files, oldest first.
    fn in_order(&self, listed: Vec<Listed>, sources: &mut Sources) -> Vec<Listed> {
        let (left, mut named): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|file| file.seen.hint.is_left());
        self.order_by_time(&mut named, sources);
        for file in left {
            let place = self.place_of(&file.seen, &named, sources);
            named.insert(place, file);
        }
        named
    }

    /// Some libraries give the newest file the highest number. Where the times say so, and all of them do, they are right.
    fn order_by_time(&self, named: &mut [Listed], sources: &Sources) {
        let end = named.iter().rposition(|file| !file.seen.live).map_or(0, |last| last + 1);
        let rotated = &mut named[..end];
        let times: Option<Vec<u64>> =
            rotated.iter().map(|file| Some(self.first_of(&file.seen, sources)?.time)).collect();
        let is_reversed = times
            .is_some_and(|times| times.len() > 1 && times.windows(2).all(|pair| pair[0] > pair[1]));
        if is_reversed {
            rotated.reverse();
        }
    }

    /// The place of a file whose name says nothing of it any more. It may be there under another one, or in another form, with older ones around: it
    /// stands before the one that starts as it does, else before the first that is younger.
    fn place_of(&self, left: &Seen, named: &[Listed], sources: &mut Sources) -> usize {
        let by_name = || named.iter().position(|file| file.seen.hint > left.hint);
        let Some(own) = self.first_of(left, sources) else {
            return by_name().unwrap_or(named.len());
        };
        let source = sources.get_mut(&left.key);
        let head = source.and_then(|(source, _)| source.head(START_BYTES).ok());
        let is_same = |file: &Listed| {
            let first = self.first_of(&file.seen, sources);
            first.is_some_and(|first| match &head {
                Some(head) => first.time == own.time && first.start.is_of(head) == Some(true),
                None => first == own,
            })
        };
        let is_younger = |file: &Listed| {
            let first = self.first_of(&file.seen, sources);
            // Where times are as coarse as that, what the names were is all that is known.
            let comes_after = |first: First| {
                first.time > own.time || (first.time == own.time && file.seen.hint > left.hint)
            };
            file.seen.live || first.is_some_and(comes_after)
        };
        let same = named.iter().position(is_same);
        same.or_else(|| named.iter().position(is_younger)).unwrap_or(named.len())
    }

    /// The numbers that the listed files have or would get: each the time of its first record, but greater than the one before.
    ///
    /// It is the same for the same files, whoever lists them and in how many forms, so a lost state does not change it.
    fn expected(&self, listed: &[Listed], sources: &Sources) -> Vec<Option<u64>> {
        let mut last = 0;
        let mut last_first = None;
        let number = |Listed { seen, role }: &Listed| {
            let key = match role {
                Role::CopyOf(key) => *key,
                _ => seen.key,
            };
            let waiting = || self.files.iter().find(|file| file.key == key)?.generation;
            let known = || Some(self.remembered.iter().find(|known| known.key == key)?.generation);
            let given = match role {
                Role::New(Some(generation)) => Some(*generation),
                _ => waiting().or_else(known),
            };
            let first = self.first_of(seen, sources);
            let is_form_of_last = first.is_some() && first == last_first;
            let next = || Some(if is_form_of_last { last } else { first?.time.max(last + 1) });
            let number = given.or_else(next)?;
            (last, last_first) = (number, first);
            Some(number)
        };
        listed.iter().map(number).collect()
    }

    fn add_copy(&mut self, key: FileKey, seen: &Seen, source: Source) {
        if let Some(file) = self.files.iter_mut().find(|file| file.key == key) {
            file.copy = Some((seen.key, seen.path.clone(), source.into_file()));
        }
    }

    /// A truncated file goes on in its copy.
    fn adopt_copies(&mut self) {
        for file in self.files.iter_mut().filter(|file| file.source.is_none()) {
            if let Some((key, path, copy)) = file.copy.take()
                && let Ok(source) = Source::new(copy)
            {
                (file.key, file.path) = (key, path);
                file.source = Some(source);
            }
        }
    }

    /// Files of which no form is left, and that are safe, need not be remembered.
    fn forget_absent(&mut self, listed: &[Listed]) {
        let (acknowledged, read) = (self.acknowledged.generation, self.read.generation);
        self.remembered.retain(|known| {
            known.generation >= acknowledged.min(read)
                || known.late_of.is_some()
                || listed.iter().any(|file| file.seen.key == known.key)
        });
        self.ignored.retain(|key| listed.iter().any(|file| file.seen.key == *key));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::chain::Rules;
    use crate::config::CollectorConfig;
    use crate::names::{Hint, PodPath};

    /// A file with this name's hint, whose first line says this second.
    fn file(hint: Hint, second: u32, text: &str, sources: &mut Sources) -> Listed {
        let mut file = tempfile::tempfile().unwrap();
        writeln!(file, "2026-11-21T10:00:{second:02}Z stdout F {text}").unwrap();
        of(hint, file, sources)
    }

    fn of(hint: Hint, file: File, sources: &mut Sources) -> Listed {
        let key = FileKey::of(&file.metadata().unwrap());
        let live = hint.live;
        let mut source = Source::new(file).unwrap();
        let first = match identify(&mut source, &Default::default(), true).unwrap() {
            Identity::Found(first) => Some(first),
            _ => None,
        };
        sources.insert(key, (source, first));
        let seen = Seen { path: Path::new("/x").into(), hint, key, size: 0, file: None, live };
        Listed { seen, role: Role::New(None) }
    }

    fn numbered(number: u64) -> Hint {
        Hint { numbered: std::cmp::Reverse(number), ..Hint::default() }
    }

    /// The files in order, each as its place in `listed`.
    fn order(listed: Vec<Listed>, mut sources: Sources) -> Vec<usize> {
        let rules = Rules::new(&CollectorConfig::default()).unwrap();
        let pod = PodPath::new("n_p_u", "c").unwrap();
        let chain = Arc::new(rules.pod_chain(Path::new("/pods/n_p_u/c"), &pod));
        let keys: Vec<FileKey> = listed.iter().map(|file| file.seen.key).collect();
        let ordered = Stream::new(chain, None).in_order(listed, &mut sources);
        let place = |file: Listed| keys.iter().position(|key| *key == file.seen.key).unwrap();
        ordered.into_iter().map(place).collect()
    }

    #[test]
    fn a_file_that_lost_its_name_stands_where_its_first_record_says() {
        let mut sources = Sources::new();
        let s = &mut sources;
        let listed = vec![
            // One was compressed since, one has no other form any more.
            file(Hint::spooled(1), 3, "three", s),
            file(Hint::spooled(2), 4, "four", s),
            file(numbered(3), 2, "two", s),
            file(numbered(2), 3, "three", s),
            // It had this name when it was seen, and another file has it now.
            file(numbered(1).left(), 1, "one", s),
            file(numbered(1), 6, "six", s),
            // It was written to, and was deleted.
            file(Hint::live(0).left(), 7, "seven", s),
            file(Hint::live(0), 8, "eight", s),
        ];
        assert_eq!(order(listed, sources), [4, 2, 0, 3, 1, 5, 6, 7]);
    }

    #[test]
    fn where_times_say_nothing_a_lost_name_is_all_there_is() {
        let mut sources = Sources::new();
        let s = &mut sources;
        let listed = vec![
            file(Hint::spooled(1), 1, "zero", s),
            file(numbered(2), 1, "one", s),
            file(numbered(1), 1, "two", s),
            file(Hint::live(0).left(), 1, "three", s),
            file(Hint::live(0), 1, "four", s),
        ];
        assert_eq!(order(listed, sources), [0, 1, 2, 3, 4]);
        let mut sources = Sources::new();
        let s = &mut sources;
        let listed = vec![
            file(numbered(2), 1, "one", s),
            of(numbered(1).left(), tempfile::tempfile().unwrap(), s),
            file(Hint::live(0), 1, "two", s),
        ];
        assert_eq!(order(listed, sources), [0, 1, 2]);
    }
}
