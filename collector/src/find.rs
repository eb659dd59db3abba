//! Finds files, and says which chain they belong to and in which order they were written.
//!
//! One thread. It learns of changes from [`crate::watch`], and looks at everything again each `scan_interval`, which is what
//! correctness rests on. A new file is opened in the moment it is seen, so that it can be read when its name is gone a moment later.
//!
//! A listing races with rotations: between two reads of a folder, names move from file to file, and while one is read, a file may be
//! seen under two names or under none. So a listing that differs from the one before is believed only when a second look shows the same names
//! on the same files.
//!
//! It never reads a byte of a file, and decides nothing about what was read: that is the tailer's, who gets a [`Listing`] when names changed, and a
//! nudge when only bytes came.

mod look;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rookery_core::StreamId;

use crate::chain::{Chain, Listing, Rules, Seen};
use crate::counters::Counters;
use crate::inbox::Inboxes;
use crate::names::Hint;
use crate::source::{self, FileKey};
use crate::walk::{Leaf, Walk};
use crate::watch::{Bell, Change, Watch};
use look::Looked;

/// How often everything is looked at when folders cannot be watched.
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest time between two walks over all folders, however many folders come and go.
const WALK_PAUSE: Duration = Duration::from_millis(100);

/// Walks for folders that come and go take at most this share of the time, as a divisor.
const WALK_SHARE: u32 = 10;

/// How often a folder is read again at once when names keep moving.
const LOOKS_LIMIT: usize = 5;

/// How often a folder whose names keep moving is left for the next moment. Rotations are not faster than this for long; after it, what is seen
/// is believed.
const MOMENTS_LIMIT: u32 = 100;

/// Asks the finder to look again, from other threads.
#[derive(Debug, Clone)]
pub(crate) struct LookAgain {
    sequence: Arc<AtomicU64>,
    chains: Arc<std::sync::Mutex<HashMap<StreamId, Arc<Chain>>>>,
    stop: Arc<AtomicBool>,
    bell: Bell,
}

impl LookAgain {
    /// Nothing asked yet.
    pub(crate) fn new(bell: Bell) -> Self {
        let (sequence, chains) = Default::default();
        Self { sequence, chains, stop: Arc::default(), bell }
    }

    /// Asks for a listing of a chain, also if it has no file any more; it will have at least the returned sequence number.
    pub(crate) fn at(&self, chain: &Arc<Chain>) -> u64 {
        let asked = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        self.chains.lock().expect("no holder panics").insert(chain.id, chain.clone());
        self.bell.ring();
        asked
    }

    /// Ends the finder.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.bell.ring();
    }
}

/// What was last said of a chain.
struct Known {
    chain: Arc<Chain>,
    files: Vec<Print>,
}

/// What is compared between two listings.
#[derive(Debug, Clone, PartialEq)]
struct Print {
    path: Arc<Path>,
    key: FileKey,
    hint: Hint,
    size: u64,
    modified: i64,
}

/// What was seen of a folder so far.
#[derive(Default)]
struct Sight {
    /// The latest look.
    looked: Vec<Looked>,
    /// Looks before.
    passed: Vec<Looked>,
    /// Files that no chain has yet, opened.
    opened: HashMap<FileKey, File>,
    /// Files that cannot be opened for now, for a reason that is not theirs.
    refused: HashSet<FileKey>,
    /// How often it was tried.
    moments: u32,
}

/// Changes, as they are heard.
struct News<'a> {
    names: &'a HashMap<PathBuf, HashMap<Vec<u8>, StreamId>>,
    leaves: &'a BTreeMap<PathBuf, Leaf>,
    /// Streams to which bytes came; told together, so that their reader is woken once. The kernel's queue bounds it.
    written: Vec<StreamId>,
    /// Folders whose names changed.
    changed: HashSet<PathBuf>,
    /// Whether folders came or went.
    folders: bool,
}

impl News<'_> {
    fn hear(&mut self, folder: &Path, name: &[u8], change: Change) {
        match change {
            Change::Written => {
                if let Some(stream) = self.names.get(folder).and_then(|names| names.get(name)) {
                    self.note_written(*stream);
                }
            }
            // A folder that is not wanted, or is on the way to one that is, has no leaf.
            Change::Names if self.leaves.contains_key(folder) => {
                self.changed.insert(folder.into());
            }
            // A container's link leads here: its own folder is the one to list.
            Change::Names => {
                let streams = self.names.get(folder).into_iter().flat_map(HashMap::values);
                self.written.extend(streams);
                self.folders |= self.names.contains_key(folder);
            }
            Change::Folders => self.folders = true,
        }
    }

    /// Lines often come one by one: what was just noted is not noted again.
    fn note_written(&mut self, stream: StreamId) {
        if self.written.last() != Some(&stream) {
            self.written.push(stream);
        }
    }
}

/// Which name stands on which file, sorted by name.
type Names = Vec<(Arc<Path>, FileKey)>;

/// What two looks must agree on.
fn names(files: &[Looked]) -> Names {
    let mut names: Names = files.iter().map(|file| (file.path.clone(), file.key)).collect();
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    names
}

/// The finder's state; [`Finder::run`] is its thread.
pub(crate) struct Finder {
    rules: Rules,
    watch: Watch,
    again: LookAgain,
    inboxes: Inboxes,
    counters: Arc<Counters>,
    scan_interval: Duration,
    leaves: BTreeMap<PathBuf, Leaf>,
    /// Which chain has which file.
    owners: HashMap<FileKey, StreamId>,
    chains: HashMap<StreamId, Known>,
    /// Chains with files in a folder, by the file's name: where a write event leads.
    names: HashMap<PathBuf, HashMap<Vec<u8>, StreamId>>,
    /// Files of the spool, to be handed over once with the first listing.
    spooled: HashMap<StreamId, Vec<Seen>>,
    complained: HashSet<PathBuf>,
    /// The names of each folder as they were last believed.
    believed: HashMap<PathBuf, Names>,
    /// Folders whose names moved while they were read.
    unsteady: HashMap<PathBuf, Sight>,
    /// Chains of which somebody waits for a listing.
    asked: HashMap<StreamId, Arc<Chain>>,
    at_start: bool,
}

impl Finder {
    /// A finder that has seen nothing; `spooled` are files that an earlier process kept, by stream.
    pub(crate) fn new(
        rules: Rules,
        again: LookAgain,
        inboxes: Inboxes,
        counters: Arc<Counters>,
        scan_interval: Duration,
        spooled: HashMap<StreamId, Vec<Seen>>,
    ) -> Self {
        Self {
            rules,
            watch: Watch::new(again.bell.clone()),
            again,
            inboxes,
            counters,
            scan_interval,
            leaves: BTreeMap::new(),
            owners: HashMap::new(),
            chains: HashMap::new(),
            names: HashMap::new(),
            spooled,
            complained: HashSet::new(),
            believed: HashMap::new(),
            unsteady: HashMap::new(),
            asked: HashMap::new(),
            at_start: true,
        }
    }

    /// Looks, waits, looks again, until it is told to stop.
    pub(crate) fn run(mut self, orphans: Vec<Arc<Chain>>) {
        self.walk();
        self.hand_over_orphans(orphans);
        self.at_start = false;
        let mut walked = Instant::now();
        let mut walk_due = false;
        let mut walk_pause = WALK_PAUSE;
        while !self.again.stop.load(Ordering::SeqCst) {
            let interval = match self.watch.is_partial() {
                true => self.scan_interval.min(UNWATCHED_INTERVAL),
                false => self.scan_interval,
            };
            let pause = match (self.unsteady.is_empty(), walk_due) {
                (false, _) => Duration::ZERO,
                (true, true) => walk_pause,
                (true, false) => interval,
            };
            let mut news = News {
                names: &self.names,
                leaves: &self.leaves,
                written: Vec::new(),
                changed: self.unsteady.keys().cloned().collect(),
                folders: false,
            };
            let wait = pause.saturating_sub(walked.elapsed());
            let missed = self.watch.wait(wait, |folder, name, change| {
                news.hear(folder, name, change);
            });
            walk_due |= news.folders;
            let News { mut written, mut changed, .. } = news;
            written.sort_unstable();
            written.dedup();
            self.watch.pace(written.len());
            self.inboxes.written(&written);
            self.asked.extend(self.again.chains.lock().expect("no holder panics").drain());
            changed.extend(self.asked.values().map(|chain| chain.folder.clone()));
            if missed {
                self.counters.watch_overflows.add(1);
            }
            let due = if walk_due { walk_pause } else { interval };
            if missed || walked.elapsed() >= due {
                let begun = Instant::now();
                self.walk();
                walk_pause = WALK_PAUSE.max(begun.elapsed() * WALK_SHARE);
                walked = Instant::now();
                walk_due = false;
            }
            for folder in changed {
                self.list(&folder);
            }
        }
    }

    /// Looks at everything.
    fn walk(&mut self) {
        let Self { rules, watch, .. } = self;
        let mut walk = Walk::new(rules, &mut |folder| watch.add(folder));
        if walk.is_cut {
            self.complain(
                Path::new("/"),
                "the globs lead into too many folders: make them narrower",
            );
        }
        look::follow_links(&self.rules, &mut walk);
        let folders: HashSet<&Path> =
            walk.branches.iter().chain(walk.leaves.keys()).map(PathBuf::as_path).collect();
        let names = &self.names;
        self.watch.retain(|path| folders.contains(path) || names.contains_key(path));
        let gone: Vec<PathBuf> =
            self.leaves.keys().filter(|path| !walk.leaves.contains_key(*path)).cloned().collect();
        self.leaves = walk.leaves;
        for folder in gone {
            self.list(&folder);
        }
        let folders: Vec<PathBuf> = self.leaves.keys().cloned().collect();
        for folder in folders {
            if self.again.stop.load(Ordering::Relaxed) {
                return;
            }
            self.list(&folder);
        }
        self.counters.chains.set(self.chains.len() as u64);
    }

    /// Looks at one folder, and says what is new in it, and what was asked for.
    fn list(&mut self, folder: &Path) {
        let sequence = self.again.sequence.load(Ordering::SeqCst);
        self.watch.add(folder);
        let Some(sight) = self.look_until_steady(folder) else { return };
        let Sight { looked, mut opened, refused, .. } = sight;
        let mut by_chain: HashMap<StreamId, Vec<Looked>> = HashMap::new();
        let mut chains: HashMap<StreamId, Arc<Chain>> = HashMap::new();
        for file in looked {
            chains.entry(file.chain.id).or_insert_with(|| file.chain.clone());
            by_chain.entry(file.chain.id).or_default().push(file);
        }
        // A chain that lost its last file in the folder is told so.
        for known in self.chains.values().filter(|known| known.chain.folder == folder) {
            by_chain.entry(known.chain.id).or_default();
            chains.entry(known.chain.id).or_insert_with(|| known.chain.clone());
        }
        for chain in self.asked.values().filter(|chain| chain.folder == folder) {
            by_chain.entry(chain.id).or_default();
            chains.entry(chain.id).or_insert_with(|| chain.clone());
        }
        self.names.remove(folder);
        for (id, mut files) in by_chain {
            files.sort_by(|a, b| a.hint.cmp(&b.hint));
            // The order is kept: what is younger waits until it can be opened.
            let refused_at = files.iter().position(|file| refused.contains(&file.key));
            files.truncate(refused_at.unwrap_or(files.len()));
            for file in &files {
                let parent = file.path.parent().unwrap_or(folder).to_path_buf();
                let name = file.path.file_name().unwrap_or_default().as_encoded_bytes();
                self.watch.add(&parent);
                self.names.entry(parent).or_default().insert(name.into(), id);
            }
            let chain = chains.remove(&id).expect("each group has its chain");
            self.tell(chain, files, &mut opened, sequence);
        }
    }

    /// Tells the tailer what changed in a chain.
    fn tell(
        &mut self,
        chain: Arc<Chain>,
        files: Vec<Looked>,
        opened: &mut HashMap<FileKey, File>,
        sequence: u64,
    ) {
        let id = chain.id;
        let asked = self.asked.remove(&id).is_some();
        let prints: Vec<Print> = files.iter().map(Looked::print).collect();
        let last = self.chains.get(&id).map_or(&[][..], |known| &known.files);
        let same_names = last.len() == prints.len()
            && last.iter().zip(&prints).all(|(a, b)| a.path == b.path && a.key == b.key);
        let rotated_same = prints.iter().rev().skip(1).eq(last.iter().rev().skip(1));
        let live_grew = last.last() != prints.last();
        if same_names && rotated_same && !asked {
            if live_grew {
                self.inboxes.written(&[id]);
                self.remember(chain, prints);
            }
            return;
        }
        let live_at = files.len().wrapping_sub(1);
        let mut seen: Vec<Seen> = self.spooled.remove(&id).unwrap_or_default();
        seen.extend(files.into_iter().enumerate().map(|(at, file)| Seen {
            live: at == live_at && file.hint.live,
            file: opened.remove(&file.key),
            path: file.path,
            hint: file.hint,
            key: file.key,
            size: file.size,
        }));
        let listing =
            Listing { chain: chain.clone(), files: seen, sequence, at_start: self.at_start };
        self.inboxes.listed(listing);
        self.remember(chain, prints);
    }

    fn remember(&mut self, chain: Arc<Chain>, prints: Vec<Print>) {
        let id = chain.id;
        let now: HashSet<FileKey> = prints.iter().map(|print| print.key).collect();
        for old in self.chains.get(&id).iter().flat_map(|known| &known.files) {
            // A key whose last name is gone may come again as another file.
            if !now.contains(&old.key) {
                self.owners.remove(&old.key);
            }
        }
        for key in now {
            self.owners.insert(key, id);
        }
        if prints.is_empty() {
            self.chains.remove(&id);
        } else {
            self.chains.insert(id, Known { chain, files: prints });
        }
    }

    /// Reads the folder until two looks agree, and opens what is new. `None` when names kept moving: it is tried again in a moment.
    ///
    /// A file that was opened and vanished in between is part of the result: it was written, and can be read.
    fn look_until_steady(&mut self, folder: &Path) -> Option<Sight> {
        let mut sight = self.unsteady.remove(folder).unwrap_or_default();
        sight.moments += 1;
        sight.looked = self.look(folder);
        let mut now = names(&sight.looked);
        let mut is_steady = !self.open_new(&mut sight) && self.believed.get(folder) == Some(&now);
        for _ in 0..LOOKS_LIMIT {
            if is_steady {
                break;
            }
            let first = std::mem::replace(&mut sight.looked, self.look(folder));
            sight.passed.extend(first);
            let then = std::mem::replace(&mut now, names(&sight.looked));
            is_steady = !self.open_new(&mut sight) && now == then;
        }
        if !is_steady && sight.moments < MOMENTS_LIMIT {
            sight.passed.append(&mut sight.looked);
            self.unsteady.insert(folder.into(), sight);
            return None;
        }
        match now.is_empty() {
            true => self.believed.remove(folder),
            false => self.believed.insert(folder.into(), now),
        };
        let Sight { looked, passed, opened, refused, .. } = &mut sight;
        // What may not be opened is not there.
        looked.retain(|f| {
            opened.contains_key(&f.key)
                || self.owners.contains_key(&f.key)
                || refused.contains(&f.key)
        });
        for file in passed.drain(..) {
            if opened.contains_key(&file.key) && !looked.iter().any(|f| f.key == file.key) {
                looked.push(Looked { hint: file.hint.clone().left(), ..file });
            }
        }
        Some(sight)
    }

    /// Opens files that no chain has; returns whether there were any.
    fn open_new(&mut self, sight: &mut Sight) -> bool {
        let Sight { looked, opened, refused, .. } = sight;
        let mut fresh = false;
        for file in looked {
            if self.owners.contains_key(&file.key) || opened.contains_key(&file.key) {
                continue;
            }
            match source::open(&file.path) {
                Ok(open) => {
                    fresh = true;
                    // By now the name may be another file's; the second look will see that.
                    if let Ok(metadata) = open.metadata() {
                        opened.insert(FileKey::of(&metadata), open);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh = true,
                Err(error) => {
                    if error.kind() != std::io::ErrorKind::PermissionDenied {
                        refused.insert(file.key);
                    }
                    self.cannot_open(&file.path, &error);
                }
            }
        }
        fresh
    }

    fn cannot_open(&mut self, path: &Path, error: &std::io::Error) {
        self.counters.unreadable.add(1);
        let advice = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                "too many open files: raise the process's limit (ulimit -n, LimitNOFILE)"
            }
            Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                "it may not be read: run as root, or add the user to the file's group (often adm)"
            }
            _ => "it cannot be opened; it is tried again at each scan",
        };
        self.complain(path, &format!("{advice} ({error})"));
    }

    /// One warning for a path, not one a scan.
    fn complain(&mut self, path: &Path, what: &str) {
        const COMPLAINTS_LIMIT: usize = 10_000;
        if self.complained.len() < COMPLAINTS_LIMIT && self.complained.insert(path.into()) {
            tracing::warn!(path = %path.display(), "{what}");
        }
    }

    /// Hands over files of the spool whose folders no longer exist.
    fn hand_over_orphans(&mut self, orphans: Vec<Arc<Chain>>) {
        for chain in orphans {
            if let Some(files) = self.spooled.remove(&chain.id) {
                let listing = Listing { chain, files, sequence: 0, at_start: true };
                self.inboxes.listed(listing);
            }
        }
        if !self.spooled.is_empty() {
            let streams = self.spooled.len();
            tracing::warn!(streams, "the spool has files that the configuration no longer wants");
            self.spooled.clear();
        }
    }
}

/// The folder in which a link leads to a file, and the file's name.
fn resolve(link: &Path) -> Option<(PathBuf, String)> {
    let target = fs::canonicalize(link).ok()?;
    Some((target.parent()?.into(), target.file_name()?.to_str()?.into()))
}
