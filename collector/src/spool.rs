//! The spool: hard links to rotated files that are not stored yet, so that their bytes outlive their names, and this process.
//!
//! ```text
//! <spool>/<stream, 32 hex digits>.<number, 20 digits>     a hard link; the number grows in the order of the chain
//! <spool>/<stream>.path                                   the chain's path, from which its names and rules are found again
//! ```
//!
//! Links work within one file system. Elsewhere, and where links are not allowed (`fs.protected_hardlinks`), the open descriptor alone keeps the
//! bytes. Nothing is ever copied.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rookery_core::StreamId;
use rustix::fs::{AtFlags, CWD, linkat};

use crate::chain::Seen;
use crate::names::Hint;
use crate::source::FileKey;

/// The spool's folder.
#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    next: AtomicU64,
    works: AtomicBool,
}

/// What an earlier process left: files by stream, oldest first, and the chains' paths.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Files.
    pub(crate) files: HashMap<StreamId, Vec<Seen>>,
    /// Paths.
    pub(crate) paths: HashMap<StreamId, PathBuf>,
}

impl Spool {
    /// The spool in a folder, which is made, and what is in it. A folder that cannot be made is a spool without links.
    pub(crate) fn open(directory: &Path) -> (Self, Left) {
        let made = fs::create_dir_all(directory);
        if let Err(error) = &made {
            tracing::warn!(directory = %directory.display(), %error, "no spool: rotated files are kept by open descriptors only");
        }
        let mut left = Left::default();
        let mut last = 0;
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let Some((stream, rest)) = name.to_str().and_then(|name| name.split_once('.')) else {
                continue;
            };
            let Ok(stream) = stream.parse::<StreamId>() else { continue };
            if rest == "path" {
                let text = fs::read_to_string(&path).unwrap_or_default();
                left.paths.insert(stream, PathBuf::from(text));
            } else if let Ok(number) = rest.parse::<u64>()
                && let Some(seen) = seen(&path, number)
            {
                last = last.max(number);
                left.files.entry(stream).or_default().push(seen);
            }
        }
        for files in left.files.values_mut() {
            files.sort_by(|a, b| a.hint.cmp(&b.hint));
        }
        let spool = Self {
            directory: directory.into(),
            next: AtomicU64::new(last + 1),
            works: AtomicBool::new(made.is_ok()),
        };
        (spool, left)
    }

    /// Links an open file. `None` when that is not possible; it is said once.
    pub(crate) fn link(&self, file: &File, stream: StreamId, chain: &str) -> Option<PathBuf> {
        if !self.works.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{stream}.{number:020}"));
        // The descriptor's own name: the file's may be another file's by now.
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        match linkat(CWD, open.as_str(), CWD, &path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => {
                let note = self.directory.join(format!("{stream}.path"));
                if !note.exists() {
                    // Without it the file is found by its folder, if that still exists.
                    let _ = fs::write(note, chain);
                }
                Some(path)
            }
            // Deleted before it could be linked: the descriptor keeps it.
            Err(rustix::io::Errno::NOENT) => None,
            Err(error) => {
                if self.works.swap(false, Ordering::Relaxed) {
                    tracing::warn!(
                        directory = %self.directory.display(), %error,
                        "rotated files cannot be linked: put collector.spool.directory on the file system of the logs"
                    );
                }
                None
            }
        }
    }

    /// Removes a link, and the note when it was the last of its stream.
    pub(crate) fn remove(path: &Path) {
        let _ = fs::remove_file(path);
    }

    /// Removes the notes of streams without links. At start, when everything that is left was taken in.
    pub(crate) fn tidy(&self, left: &Left) {
        for stream in left.paths.keys().filter(|stream| !left.files.contains_key(*stream)) {
            let _ = fs::remove_file(self.directory.join(format!("{stream}.path")));
        }
    }
}

fn seen(path: &Path, number: u64) -> Option<Seen> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    Some(Seen {
        path: Arc::from(path),
        hint: Hint::spooled(number),
        key: FileKey::of(&metadata),
        size: metadata.len(),
        file: Some(file),
        live: false,
    })
}
