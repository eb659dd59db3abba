//! What is done to log files in the wild, step by step, so that a kill can fall between the steps.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A file opened for appending, made when it is not there.
///
/// # Errors
/// When it cannot be opened.
pub fn append(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| format!("open {}", path.display()))
}

/// The same, but writing goes on at its offset when the file is truncated.
///
/// # Errors
/// When it cannot be opened.
pub fn with_offset(path: &Path) -> Result<File> {
    let file = File::options().create(true).write(true).truncate(false).open(path);
    file.with_context(|| format!("open {}", path.display()))
}

/// `path` with something after its name.
pub fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames `x.log.1` to `x.log.2` and so on, from the highest down, so that `x.log.1` is free; also where they are compressed.
///
/// # Errors
/// When a file cannot be renamed.
pub fn shift_numbered(live: &Path, highest: u32) -> Result<()> {
    for number in (1..=highest).rev() {
        for ending in ["", ".gz"] {
            let from = suffixed(live, &format!(".{number}{ending}"));
            if from.exists() {
                let to = suffixed(live, &format!(".{}{ending}", number + 1));
                fs::rename(&from, &to).with_context(|| format!("rename {}", from.display()))?;
            }
        }
    }
    Ok(())
}

/// Compresses a file as the kubelet does, one step a call: half of `<name>.tmp`; all of it, renamed to `<name>.gz`; the removal of the
/// original.
#[derive(Debug)]
pub struct StepwiseGzip {
    source: PathBuf,
    encoder: Option<GzEncoder<File>>,
    rest: Vec<u8>,
    is_renamed: bool,
}

impl StepwiseGzip {
    /// Of this file.
    pub fn of(source: PathBuf) -> Self {
        Self { source, encoder: None, rest: Vec::new(), is_renamed: false }
    }

    /// The next step; gives whether it was the last.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn step(&mut self) -> Result<bool> {
        let temporary = suffixed(&self.source, ".tmp");
        if let Some(mut encoder) = self.encoder.take() {
            encoder.write_all(&self.rest)?;
            encoder.finish()?;
            fs::rename(&temporary, suffixed(&self.source, ".gz"))?;
            self.is_renamed = true;
            return Ok(false);
        }
        if self.is_renamed {
            fs::remove_file(&self.source)?;
            return Ok(true);
        }
        let mut bytes = Vec::new();
        File::open(&self.source)?.read_to_end(&mut bytes)?;
        self.rest = bytes.split_off(bytes.len() / 2);
        let mut encoder = GzEncoder::new(File::create(&temporary)?, Compression::default());
        encoder.write_all(&bytes)?;
        encoder.flush()?;
        self.encoder = Some(encoder);
        Ok(false)
    }
}

/// Which file it is, whatever its name.
///
/// # Errors
/// When the operating system cannot say.
pub fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether a process has a file open.
pub fn has_open(process: u32, identity: (u64, u64)) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        // Following the link reaches the file itself, also when it has no name any more.
        let metadata = fs::metadata(descriptor.path());
        metadata.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == identity)
    })
}
