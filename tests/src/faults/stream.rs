//! A program that logs, and what happens to its files.

mod disturb;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rookery_core::time;

use super::files::{self, StepwiseGzip};
use super::line;
use crate::kit::random::Random;

/// Where container runtimes split a line.
const PART_BYTES: usize = 16 << 10;

/// What happens to the files of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pod: `0.log` becomes `0.log.<time>`, later `.gz`; a long line may be split by it; the oldest are deleted.
    Kubelet,
    /// A pod whose container starts again: `0.log`, `1.log`, …
    Restarting,
    /// A pod whose folder is deleted, and that comes back under a new UID.
    Recreated,
    /// A file: `app.log` becomes `app.log.1`, which becomes `app.log.2` and `app.log.2.gz`.
    Numbered,
    /// A file that is copied to `app.log.1` and truncated.
    CopiedAndTruncated,
    /// The same, whose program keeps its offset: the file and its copies begin with a hole.
    TruncatedUnderOffset,
    /// A file that is deleted while it is being read and written, and made anew.
    Deleted,
    /// A file in whose place another one of the same size is put.
    Replaced,
    /// A file that is deleted, and whose inode the next one gets.
    InodeReused,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Kubelet,
        Self::Restarting,
        Self::Recreated,
        Self::Numbered,
        Self::CopiedAndTruncated,
        Self::TruncatedUnderOffset,
        Self::Deleted,
        Self::Replaced,
        Self::InodeReused,
    ];

    /// Whether it is written in the kubelet's layout.
    pub fn is_pod(self) -> bool {
        matches!(self, Self::Kubelet | Self::Restarting | Self::Recreated)
    }
}

/// How often what happened to files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disturbances {
    /// Renamed, and a new one made.
    pub renamed: u32,
    /// Compressed after that.
    pub compressed: u32,
    /// Started again under the next number.
    pub restarted: u32,
    /// A pod's folder deleted and made under a new UID.
    pub recreated: u32,
    /// Copied and truncated.
    pub truncated: u32,
    /// Deleted while it was read.
    pub deleted: u32,
    /// Replaced by one of the same size.
    pub replaced: u32,
    /// Deleted, and the next one got the same inode.
    pub inodes_reused: u32,
    /// Lines whose parts went to two files.
    pub split: u32,
}

impl std::ops::AddAssign for Disturbances {
    fn add_assign(&mut self, other: Self) {
        self.renamed += other.renamed;
        self.compressed += other.compressed;
        self.restarted += other.restarted;
        self.recreated += other.recreated;
        self.truncated += other.truncated;
        self.deleted += other.deleted;
        self.replaced += other.replaced;
        self.inodes_reused += other.inodes_reused;
        self.split += other.split;
    }
}

impl fmt::Display for Disturbances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} renamed, {} compressed, {} restarted, {} folders recreated, {} truncated, {} deleted while read, {} replaced at the same size, {} inodes reused, {} lines split over two files",
            self.renamed,
            self.compressed,
            self.restarted,
            self.recreated,
            self.truncated,
            self.deleted,
            self.replaced,
            self.inodes_reused,
            self.split
        )
    }
}

/// A program that logs.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
    index: usize,
    random: Random,
    base: PathBuf,
    live_path: PathBuf,
    live: File,
    restarts: u32,
    /// The time of the last line, which never falls.
    time: i64,
    /// Each writer's lines, by the lengths of their pads. Only a recreated pod has more than one writer.
    writers: Vec<(String, Vec<u32>)>,
    /// What is still missing of the last line: the parts of a long one, the end of a torn one.
    unfinished: Option<Vec<u8>>,
    /// Rotated files that may be deleted once so many lines are searchable.
    rotated: VecDeque<(PathBuf, u64)>,
    compressing: Option<StepwiseGzip>,
    last_stamp: i64,
    /// Nothing is written until the process under test is down.
    is_quiet: bool,
    done: Disturbances,
}

impl Stream {
    /// A program that logs below `base`.
    ///
    /// # Errors
    /// When its first file cannot be made.
    pub fn open(kind: Kind, index: usize, base: &Path, seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        let live_path = if kind.is_pod() {
            pod_folder(base, index, &mut random)?.join("0.log")
        } else {
            base.join(format!("app{index}.log"))
        };
        Ok(Self {
            kind,
            index,
            random,
            base: base.to_owned(),
            live: match kind {
                Kind::TruncatedUnderOffset => files::with_offset(&live_path)?,
                _ => files::append(&live_path)?,
            },
            live_path,
            restarts: 0,
            time: time::now(),
            writers: vec![(format!("w{index:02}n000"), Vec::new())],
            unfinished: None,
            rotated: VecDeque::new(),
            compressing: None,
            last_stamp: 0,
            is_quiet: false,
            done: Disturbances::default(),
        })
    }

    /// How many lines were written.
    pub fn len(&self) -> u64 {
        self.writers.iter().map(|(_, pads)| pads.len() as u64).sum()
    }

    /// Whether no line was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each writer's name, and the lengths of its lines' pads in their order.
    pub fn writers(&self) -> impl Iterator<Item = (&str, &[u32])> {
        self.writers.iter().map(|(name, pads)| (name.as_str(), pads.as_slice()))
    }

    /// What was done to its files.
    pub fn disturbances(&self) -> Disturbances {
        self.done
    }

    /// Writes a few lines of one time, or the rest of the last one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_some(&mut self) -> Result<()> {
        if self.is_quiet {
            return Ok(());
        }
        if self.unfinished.is_some() && self.random.once_in(2) {
            return Ok(());
        }
        self.finish_line()?;
        self.next_time();
        let lines = self.random.below(4);
        for _ in 0..lines {
            self.write_line()?;
        }
        // The last line may be caught half-written.
        if lines > 0 && self.random.once_in(50) {
            let bytes = match self.kind {
                Kind::Kubelet => self.long_line(),
                _ => self.next_line(),
            };
            let (now, later) = bytes.split_at(self.tear(&bytes));
            self.live.write_all(now).context("write a line")?;
            self.unfinished = Some(later.to_vec());
        }
        Ok(())
    }

    /// Writes the rest of the last line, and ends what is being compressed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        self.finish_line()?;
        self.finish_compression()
    }

    fn writer(&mut self) -> &mut (String, Vec<u32>) {
        self.writers.last_mut().expect("there is always a writer")
    }

    /// The lines of the present writer.
    fn present_len(&self) -> u64 {
        self.writers.last().map_or(0, |(_, pads)| pads.len() as u64)
    }

    fn next_time(&mut self) {
        self.time = time::now().max(self.time + 1);
    }

    fn write_line(&mut self) -> Result<()> {
        self.finish_line()?;
        let line = self.next_line();
        self.live.write_all(&line).context("write a line")
    }

    fn finish_line(&mut self) -> Result<()> {
        match self.unfinished.take() {
            Some(rest) => self.live.write_all(&rest).context("write the rest of a line"),
            None => Ok(()),
        }
    }

    /// The bytes of the next line, which counts as written from now on.
    fn next_line(&mut self) -> Vec<u8> {
        let pad = match self.random.below(400) {
            0 => return self.long_line(),
            1..20 => self.random.between(200..2_000),
            _ => self.random.below(80),
        };
        self.line_of(pad as u32)
    }

    /// A line that a runtime writes in two or three parts.
    fn long_line(&mut self) -> Vec<u8> {
        let pad = self.random.between(PART_BYTES as u64..3 * PART_BYTES as u64);
        self.line_of(pad as u32)
    }

    fn line_of(&mut self, pad: u32) -> Vec<u8> {
        let stamp = time::rfc3339(self.time);
        let is_pod = self.kind.is_pod();
        let (writer, pads) = self.writer();
        let text = line::text(writer, pads.len() as u64, pad);
        pads.push(pad);
        if !is_pod {
            return format!("{stamp} INFO {text}\n").into_bytes();
        }
        let parts: Vec<&[u8]> = text.as_bytes().chunks(PART_BYTES).collect();
        let mut line = Vec::with_capacity(text.len() + 100);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                // A runtime stamps each part when it writes it.
                self.time += 1;
            }
            let stamp = time::rfc3339(self.time);
            let mark = if index + 1 == parts.len() { 'F' } else { 'P' };
            line.extend_from_slice(format!("{stamp} stdout {mark} ").as_bytes());
            line.extend_from_slice(part);
            line.push(b'\n');
        }
        line
    }

    /// Where a line is cut: after the first part of a long line, so that a rotation may fall between parts; else anywhere.
    fn tear(&mut self, line: &[u8]) -> usize {
        if self.kind == Kind::Kubelet {
            let end = line.iter().position(|byte| *byte == b'\n').expect("a line has an end") + 1;
            return end;
        }
        self.random.below(line.len() as u64) as usize
    }
}

/// Makes `shop_app<index>_<uid>/app` with a new UID.
fn pod_folder(base: &Path, index: usize, random: &mut Random) -> Result<PathBuf> {
    let (high, low) = (random.bits(), random.bits());
    let uid = format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    );
    let folder = base.join(format!("shop_app{index}_{uid}/app"));
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests;
