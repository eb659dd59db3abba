//! What the store asks of the file system: replace a file atomically, make a folder's entries durable, know what is free,
//! hold the folder against a second process.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rookery_core::{Error, Result};
use rustix::fs::{FlockOperation, flock, statvfs};

/// What a file is called while it is being written. Files with this ending are removed when the store is opened.
pub(crate) const TEMPORARY: &str = "tmp";

/// Makes a folder and those above it.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
        .map_err(|e| Error::io(format!("make the folder {}", path.display()), e))
}

/// Makes the entries of a folder durable: new, renamed and removed files.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| Error::io(format!("sync the folder {}", path.display()), e))
}

/// Writes a file so that a reader finds the old content or the new one, whatever happens in between.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = renamed {
        // Best effort: what stays is removed at the next start.
        let _ = fs::remove_file(&temporary);
        return Err(Error::io(format!("write {}", path.display()), error));
    }
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// The name of a file while it is being written.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    with_suffix(path, TEMPORARY)
}

/// The path with a dot and this word behind it.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// How many bytes this process may still write on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> Result<u64> {
    let stat = statvfs(path).map_err(|e| {
        Error::io(format!("ask how full the disk of {} is", path.display()), e.into())
    })?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Removes a file that may already be gone; a failure is logged, because the next start tries again.
pub(crate) fn remove_quietly(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file could not be removed; it is removed at the next start");
    }
}

/// Holds the folder until it is dropped.
///
/// # Errors
/// `conflict` when another process holds it.
pub(crate) fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| Error::io(format!("open {}", path.display()), e))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
        Error::conflict(format!(
            "the data folder {} is in use by another process: stop it, or choose another folder",
            directory.display()
        ))
        .because(std::io::Error::from(e))
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_folder_is_held_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest");
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!temporary(&path).exists());
        assert!(free_bytes(folder.path()).unwrap() > 0);
        let held = lock(folder.path()).unwrap();
        assert_eq!(lock(folder.path()).unwrap_err().kind(), rookery_core::Kind::Conflict);
        drop(held);
        lock(folder.path()).unwrap();
    }
}
