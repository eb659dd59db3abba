//! Says that something changed in a folder, soon after it did. One watch a folder, never one a file.
//!
//! inotify is used directly, not through a wrapper with a thread of its own, because the pace matters: a busy node writes ten thousand
//! lines a second into files, each an event. Here they wait in the kernel, and are read in one call each time [`Watch::pace`] says; no event
//! costs an allocation or a switch of threads. Where watches cannot be had (`fs.inotify.max_user_watches`, `max_user_instances`) a warning says what to
//! raise, and the finder scans more often instead. Nothing here is needed for correctness: the scan alone finds everything.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rookery_core::{Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// How long events are left to gather, at least. It is a part of the time from a line to its search result.
const PACE: Duration = Duration::from_millis(20);

/// The same for each file that is written to: what a look costs is its calls to the system, so about a thousand files a second are looked at, and a
/// busy node's lines wait a little longer.
const PACE_OF_A_FILE: Duration = Duration::from_millis(1);

/// How long events are left to gather, at most.
const PACE_LIMIT: Duration = Duration::from_millis(100);

/// The events of one call; 16,384 of the shortest fit in 512 KiB, the kernel's own limit on its queue. More come with the next call.
const BUFFER_BYTES: usize = 64 << 10;

/// Ends a wait from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<OwnedFd>);

impl Bell {
    /// A bell that has not rung.
    pub(crate) fn new() -> Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(|e| Error::io("make an event descriptor", e.into()))?;
        Ok(Self(Arc::new(fd)))
    }

    /// Ends the present wait, or the next.
    pub(crate) fn ring(&self) {
        // Full means that it rang before and was not heard yet; that is enough.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    fn silence(&self) {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&*self.0, &mut count);
    }
}

/// What happened in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file was written to.
    Written,
    /// A file came, went, or got another name.
    Names,
    /// A folder came or went, or the watched one itself did.
    Folders,
}

/// Watches folders.
pub(crate) struct Watch {
    inotify: Option<OwnedFd>,
    bell: Bell,
    folders: HashMap<i32, Arc<Path>>,
    by_path: HashMap<Arc<Path>, i32>,
    buffer: Box<[MaybeUninit<u8>]>,
    last: Instant,
    pace: Duration,
    warned: bool,
    refused: usize,
}

impl Watch {
    /// A watch over nothing yet. Without inotify it is one that only the bell ends.
    pub(crate) fn new(bell: Bell) -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        if let Err(error) = &inotify {
            tracing::warn!(
                %error,
                "no inotify instance: raise fs.inotify.max_user_instances; until then folders are scanned each second"
            );
        }
        Self {
            warned: inotify.is_err(),
            inotify: inotify.ok(),
            bell,
            folders: HashMap::new(),
            by_path: HashMap::new(),
            buffer: vec![MaybeUninit::uninit(); BUFFER_BYTES].into_boxed_slice(),
            last: Instant::now(),
            pace: PACE,
            refused: 0,
        }
    }

    /// Watches a folder, if it is not watched yet. A refusal is counted, not an error.
    pub(crate) fn add(&mut self, folder: &Path) {
        if self.by_path.contains_key(folder) {
            return;
        }
        let Some(fd) = &self.inotify else { return };
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MODIFY
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(fd, folder, flags) {
            Ok(id) => {
                let folder: Arc<Path> = folder.into();
                // The same folder by another name, or a new folder under an old name.
                if let Some(old) = self.folders.insert(id, folder.clone()) {
                    self.by_path.remove(&old);
                }
                self.by_path.insert(folder, id);
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
            Err(error) => self.refuse(folder, error),
        }
    }

    fn refuse(&mut self, folder: &Path, error: Errno) {
        self.refused += 1;
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                folder = %folder.display(), %error,
                "cannot watch every folder: raise fs.inotify.max_user_watches (sysctl); until then folders are scanned each second"
            );
        }
    }

    /// Forgets the folders for which `keep` says no.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Path) -> bool) {
        let gone: Vec<(i32, Arc<Path>)> = self
            .folders
            .iter()
            .filter(|(_, path)| !keep(path))
            .map(|(id, path)| (*id, path.clone()))
            .collect();
        for (id, path) in gone {
            self.forget(id, &path);
            if let Some(fd) = &self.inotify {
                let _ = inotify::remove_watch(fd, id);
            }
        }
        self.refused = 0;
    }

    fn forget(&mut self, id: i32, path: &Path) {
        self.folders.remove(&id);
        if self.by_path.get(path) == Some(&id) {
            self.by_path.remove(path);
        }
    }

    /// Whether some folders are not watched, so that only scans see what happens in them.
    pub(crate) fn is_partial(&self) -> bool {
        self.inotify.is_none() || self.refused > 0
    }

    /// Waits for changes, the bell, or the end of `timeout`, and tells `seen` of each change: the folder, the file's name, what.
    /// Returns whether changes were missed, so that everything must be looked at.
    pub(crate) fn wait(
        &mut self,
        timeout: Duration,
        mut seen: impl FnMut(&Path, &[u8], Change),
    ) -> bool {
        let rest = self.pace.saturating_sub(self.last.elapsed());
        if !rest.is_zero() {
            self.rest(rest.min(timeout));
        }
        let limit = timespec(timeout);
        {
            let mut fds = vec![PollFd::new(&*self.bell.0, PollFlags::IN)];
            if let Some(fd) = &self.inotify {
                fds.push(PollFd::new(fd, PollFlags::IN));
            }
            // An interruption is a wait that ended early.
            let _ = poll(&mut fds, Some(&limit));
        }
        self.bell.silence();
        self.last = Instant::now();
        self.drain(&mut seen)
    }

    /// Sets how long events gather, when so many files are written to in that time.
    pub(crate) fn pace(&mut self, files: usize) {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        self.pace = PACE_OF_A_FILE.saturating_mul(files).clamp(PACE, PACE_LIMIT);
    }

    /// Lets events gather; the bell does not end it, for it is short.
    fn rest(&self, time: Duration) {
        let _ = poll(&mut [], Some(&timespec(time)));
    }

    fn drain(&mut self, seen: &mut impl FnMut(&Path, &[u8], Change)) -> bool {
        let mut missed = false;
        let mut ended: Vec<(i32, PathBuf)> = Vec::new();
        let Self { inotify: Some(fd), buffer, folders, .. } = self else { return false };
        let mut reader = inotify::Reader::new(fd, buffer);
        // Ends with `WOULDBLOCK` when all were read.
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                missed = true;
                continue;
            }
            let Some(folder) = folders.get(&event.wd()) else { continue };
            if flags.intersects(ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF)
            {
                ended.push((event.wd(), folder.to_path_buf()));
                seen(folder, b"", Change::Folders);
                continue;
            }
            let name = event.file_name().map_or(&b""[..], |name| name.to_bytes());
            let change = if flags.contains(ReadFlags::ISDIR) {
                Change::Folders
            } else if flags.contains(ReadFlags::MODIFY) {
                Change::Written
            } else {
                Change::Names
            };
            seen(folder, name, change);
        }
        for (id, path) in ended {
            // A folder that only moved is still watched by the kernel, under a name that is no longer true.
            if let Some(fd) = &self.inotify {
                let _ = inotify::remove_watch(fd, id);
            }
            self.forget(id, &path);
        }
        missed
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().min(1 << 30) as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until `done` says so of what was heard.
    fn hear(watch: &mut Watch, done: impl Fn(&[(Vec<u8>, Change)]) -> bool) {
        let mut heard = Vec::new();
        for _ in 0..200 {
            watch.wait(Duration::from_millis(50), |_, name, change| {
                heard.push((name.to_vec(), change));
            });
            if done(&heard) {
                return;
            }
        }
        panic!("{heard:?}");
    }

    #[test]
    fn writes_names_and_folders_are_told_apart_and_a_folder_that_comes_again_is_watched_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("logs");
        let mut watch = Watch::new(Bell::new().unwrap());
        watch.add(root.path());
        for _ in 0..2 {
            std::fs::create_dir(&folder).unwrap();
            hear(&mut watch, |heard| heard.contains(&(b"logs".to_vec(), Change::Folders)));
            watch.add(&folder);
            std::fs::write(folder.join("a.log"), b"line\n").unwrap();
            hear(&mut watch, |heard| {
                heard.contains(&(b"a.log".to_vec(), Change::Names))
                    && heard.contains(&(b"a.log".to_vec(), Change::Written))
            });
            std::fs::remove_dir_all(&folder).unwrap();
            hear(&mut watch, |heard| heard.contains(&(b"logs".to_vec(), Change::Folders)));
            assert!(!watch.is_partial());
        }
    }

    #[test]
    fn the_bell_ends_a_wait() {
        let bell = Bell::new().unwrap();
        let mut watch = Watch::new(bell.clone());
        bell.ring();
        let begun = Instant::now();
        watch.wait(Duration::from_secs(60), |_, _, _| {});
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
