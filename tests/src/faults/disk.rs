//! A small disk that can be full: a tmpfs with a file in it that takes what is left.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What is left free when the disk is "full": less than any write of the store.
const LEFT_BYTES: u64 = 4 << 10;

/// A mounted tmpfs; it is unmounted when this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    full: bool,
}

/// Whether this user may mount one.
pub fn may_mount() -> bool {
    rustix::process::geteuid().is_root()
}

impl SmallDisk {
    /// Mounts one of this size at a folder, which is made.
    ///
    /// # Errors
    /// When it cannot be mounted: only root may.
    pub fn mount(folder: &Path, bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let size = format!("size={bytes}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "rookery-test"]).arg(folder);
        if !mount.status().context("start mount")?.success() {
            bail!("cannot mount a small disk at {}: this needs root", folder.display());
        }
        Ok(Self { folder: folder.to_owned(), full: false })
    }

    /// Whether it is full on purpose.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Takes what is free, also what was freed since; gives whether this began a time of fullness.
    ///
    /// # Errors
    /// When the disk cannot be asked.
    pub fn fill(&mut self) -> Result<bool> {
        let status = rustix::fs::statvfs(&self.folder).context("ask how much is free")?;
        let free = status.f_bavail * status.f_frsize;
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        let piece = vec![0; 64 << 10];
        let mut left = free.saturating_sub(LEFT_BYTES);
        while left > 0 {
            let bytes = piece.len().min(left as usize);
            // The process under test takes space at the same time: full is full, whoever filled it.
            if file.write_all(&piece[..bytes]).is_err() {
                break;
            }
            left -= bytes as u64;
        }
        Ok(!std::mem::replace(&mut self.full, true))
    }

    /// Frees it.
    ///
    /// # Errors
    /// When the filling file cannot be removed.
    pub fn release(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.full, false) {
            fs::remove_file(self.filler()).context("free the small disk")?;
        }
        Ok(())
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a process that was just killed may still hold it for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// A folder that nothing can be written to while this lives: its own files, mounted over themselves.
#[derive(Debug)]
pub struct ReadOnly {
    folder: PathBuf,
}

impl ReadOnly {
    /// Makes a folder read-only.
    ///
    /// # Errors
    /// When it cannot be mounted: only root may.
    pub fn mount(folder: &Path) -> Result<Self> {
        let run = |arguments: &[&str], at: &Path| {
            let status = Command::new("mount").args(arguments).arg(at).status();
            if !status.context("start mount")?.success() {
                bail!("cannot make {} read-only: this needs root", folder.display());
            }
            Ok(())
        };
        let shown = folder.to_str().context("the folder's name is not UTF-8")?;
        // Made read-only aside, where nobody has opened a file for writing, which would forbid it; a mount of that mount is read-only too.
        let aside = tempfile::tempdir()?;
        run(&["--bind", shown], aside.path())?;
        let aside = Self { folder: aside.keep() };
        run(&["-o", "remount,bind,ro"], &aside.folder)?;
        let shown = aside.folder.to_str().context("a temporary folder's name is UTF-8")?;
        run(&["--bind", shown], folder)?;
        let mounted = Self { folder: folder.to_owned() };
        let left = aside.folder.clone();
        drop(aside);
        fs::remove_dir(&left).with_context(|| format!("remove {}", left.display()))?;
        Ok(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // Lazily, because files below are open.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
