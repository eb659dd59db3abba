//! One container's log files, as a node has them.
//!
//! Lines are in the format of the Container Runtime Interface: `<RFC 3339 time> <stdout|stderr> <P|F> <text>`; a runtime splits
//! text over 16 KiB into parts, all but the last marked `P`. Rotation follows the kubelet: older rotated files are compressed into
//! `<name>.tmp`, which is renamed to `<name>.gz`; then `N.log` is renamed to `N.log.<time>`, and a new `N.log` is started.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use rookery_core::time;

use super::cast::Pod;
use super::random::Random;

/// The kubelet's default is 10 MiB; a demo should rotate within minutes.
const ROTATE_BYTES: u64 = 512 << 10;

/// How many files of a container are kept, the live one included; the kubelet's default.
const KEEP_FILES: usize = 5;

/// Where container runtimes split a line.
const PART_BYTES: usize = 16 << 10;

/// Which of the container's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Output {
    /// `stdout`
    Standard,
    /// `stderr`
    Error,
}

/// The log files of one container.
#[derive(Debug)]
pub(super) struct ContainerLog {
    folder: PathBuf,
    restarts: u32,
    live: BufWriter<File>,
    live_bytes: u64,
    last: i64,
    last_rotation: i64,
}

impl ContainerLog {
    /// Makes the folder `<namespace>_<pod>_<uid>/<container>` and its first file.
    pub(super) fn open(directory: &Path, pod: &Pod, random: &mut Random) -> Result<Self> {
        let (high, low) = (random.bits(), random.bits());
        let uid = format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        );
        let folder = format!("{}_{}_{uid}/{}", pod.namespace, pod.name, pod.container);
        let folder = directory.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let live = create(&folder.join("0.log"))?;
        Ok(Self { folder, restarts: 0, live, live_bytes: 0, last: 0, last_rotation: 0 })
    }

    /// Writes a message, in parts if it is long. Of one container, times only grow.
    pub(super) fn write(&mut self, time: i64, output: Output, message: &str) -> Result<()> {
        if self.live_bytes >= ROTATE_BYTES {
            self.rotate()?;
        }
        self.last = time.max(self.last + 1);
        let output = if output == Output::Standard { "stdout" } else { "stderr" };
        let stamp = time::rfc3339(self.last);
        let mut rest = message;
        loop {
            let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
            let mark = if after.is_empty() { 'F' } else { 'P' };
            let line = format!("{stamp} {output} {mark} {part}\n");
            self.live.write_all(line.as_bytes()).context("write a pod's log")?;
            self.live_bytes += line.len() as u64;
            rest = after;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Hands what was written to the operating system.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.live.flush().context("write a pod's log")
    }

    /// The container ended and was started again: its next file. Of the containers before it, the kubelet keeps the logs of one.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.flush()?;
        if let Some(gone) = self.restarts.checked_sub(1) {
            let prefix = format!("{gone}.log");
            for path in list(&self.folder)? {
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
                {
                    fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
                }
            }
        }
        self.restarts += 1;
        self.live = create(&self.live_path())?;
        self.live_bytes = 0;
        Ok(())
    }

    fn live_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.restarts))
    }

    fn rotate(&mut self) -> Result<()> {
        self.flush()?;
        let live = self.live_path();
        let mut rotated = rotated(&self.folder)?;
        while rotated.len() + 2 > KEEP_FILES {
            let oldest = rotated.remove(0);
            fs::remove_file(&oldest).with_context(|| format!("remove {}", oldest.display()))?;
        }
        for old in rotated.iter().filter(|path| path.extension().is_none_or(|end| end != "gz")) {
            compress(old)?;
        }
        // Two rotations within one second must not get one name.
        self.last_rotation = (self.last / time::SECOND).max(self.last_rotation + 1);
        let name = format!("{}.{}", live.display(), stamp(self.last_rotation));
        fs::rename(&live, &name).with_context(|| format!("rename {}", live.display()))?;
        self.live = create(&live)?;
        self.live_bytes = 0;
        Ok(())
    }
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create_new(path).with_context(|| format!("make {}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// The kubelet's `20261121-010203`.
fn stamp(second: i64) -> String {
    let (year, month, day) = time::civil_from_days(second.div_euclid(86_400));
    let clock = second.rem_euclid(86_400);
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{year}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// The files of a folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The rotated files of a folder, oldest first.
fn rotated(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = list(folder)?;
    files.retain(|path| path.extension().is_none_or(|end| end != "log"));
    // The names differ only in their times, and in the restart before them.
    files.sort_unstable();
    Ok(files)
}

fn compress(path: &Path) -> Result<()> {
    let (temporary, done) = (format!("{}.tmp", path.display()), format!("{}.gz", path.display()));
    let mut input = File::open(path).with_context(|| format!("read {}", path.display()))?;
    let output = File::create(&temporary).with_context(|| format!("make {temporary}"))?;
    let mut encoder = GzEncoder::new(output, Compression::default());
    std::io::copy(&mut input, &mut encoder)
        .with_context(|| format!("compress into {temporary}"))?;
    encoder.finish().with_context(|| format!("compress into {temporary}"))?;
    fs::rename(&temporary, &done).with_context(|| format!("rename {temporary}"))?;
    fs::remove_file(path).with_context(|| format!("remove {}", path.display()))
}
