//! What happens to the files of a stream, kind by kind.

use std::fs;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use rookery_core::time;

use super::{Kind, Stream, pod_folder};
use crate::faults::files::{self, StepwiseGzip, suffixed};
use crate::kit::process::Rookery;
use crate::kit::wait;

/// In how many ticks a file is disturbed once.
const DISTURBED_ONCE_IN: u64 = 90;

/// In how many ticks that needs to wait for the process under test, which nobody kills meanwhile.
const WAITED_FOR_ONCE_IN: u64 = 600;

/// From how many rotated files on the oldest are deleted.
const ROTATED_LIMIT: usize = 10;

/// How many of them are left.
const ROTATED_KEPT: usize = 4;

/// How long lines may take to become searchable, on a busy machine.
const SEARCHABLE_LIMIT: Duration = Duration::from_secs(60);

impl Stream {
    /// Does to its files, by chance, what its kind says. `running` is the process under test, if it runs and can be asked.
    ///
    /// # Errors
    /// When a file cannot be handled, or lines that it waits for do not become searchable.
    pub fn disturb(&mut self, mut running: Option<&mut Rookery>) -> Result<()> {
        self.compress()?;
        if let Some(rookery) = running.as_deref_mut()
            && self.rotated.len() > ROTATED_LIMIT
            && self.random.once_in(20)
            && rookery.serves()
        {
            self.delete_oldest(rookery)?;
        }
        if self.is_quiet && running.is_none() {
            return self.reuse_inode();
        }
        let waits = matches!(
            self.kind,
            Kind::Recreated | Kind::Deleted | Kind::Replaced | Kind::InodeReused
        );
        let chance = if waits { WAITED_FOR_ONCE_IN } else { DISTURBED_ONCE_IN };
        if self.is_quiet || !self.random.once_in(chance) {
            return Ok(());
        }
        match (self.kind, running) {
            (
                Kind::Kubelet
                | Kind::Numbered
                | Kind::CopiedAndTruncated
                | Kind::TruncatedUnderOffset,
                _,
            ) => self.rotate_some(),
            (Kind::Restarting, _) => self.restart(),
            (Kind::Recreated, Some(rookery)) => self.recreate(rookery),
            (Kind::Deleted, Some(rookery)) => self.delete_while_read(rookery),
            (Kind::Replaced, Some(rookery)) => self.replace(rookery),
            (Kind::InodeReused, Some(rookery)) => self.be_quiet(rookery),
            (_, None) => Ok(()),
        }
    }

    /// One rotation, or several within a moment, each file with a line or two in it.
    fn rotate_some(&mut self) -> Result<()> {
        let times = if self.random.once_in(4) { self.random.between(2..5) } else { 1 };
        for _ in 0..times {
            match self.kind {
                Kind::Kubelet => self.rotate_as_kubelet()?,
                Kind::Numbered => self.rotate_numbered()?,
                _ => self.copy_and_truncate()?,
            }
            self.next_time();
            self.write_line()?;
        }
        Ok(())
    }

    fn rotate_as_kubelet(&mut self) -> Result<()> {
        // The runtime writes what is left of a split line to the new file.
        if self.unfinished.is_some() {
            self.done.split += 1;
        }
        // The kubelet's stamp has seconds, and the kubelet never rotates twice in one.
        self.last_stamp = (time::now() / time::SECOND).max(self.last_stamp + 1);
        let (year, month, day) = time::civil_from_days(self.last_stamp.div_euclid(86_400));
        let clock = self.last_stamp.rem_euclid(86_400);
        let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
        let stamp = format!(".{year}{month:02}{day:02}-{hour:02}{minute:02}{second:02}");
        let rotated = suffixed(&self.live_path, &stamp);
        fs::rename(&self.live_path, &rotated).context("rotate")?;
        self.start_file()?;
        let lines = self.present_len();
        self.rotated.push_back((rotated, lines));
        self.done.renamed += 1;
        Ok(())
    }

    fn rotate_numbered(&mut self) -> Result<()> {
        self.finish()?;
        self.shift()?;
        fs::rename(&self.live_path, suffixed(&self.live_path, ".1")).context("rotate")?;
        self.start_file()?;
        self.done.renamed += 1;
        Ok(())
    }

    fn copy_and_truncate(&mut self) -> Result<()> {
        self.finish()?;
        self.shift()?;
        fs::copy(&self.live_path, suffixed(&self.live_path, ".1")).context("copy")?;
        self.live.set_len(0).context("truncate")?;
        self.done.truncated += 1;
        Ok(())
    }

    /// Makes `.1` free, and notes under which names the rotated files are now.
    fn shift(&mut self) -> Result<()> {
        let count = u32::try_from(self.rotated.len()).context("few files are kept")?;
        files::shift_numbered(&self.live_path, count)?;
        let lines = self.present_len();
        self.rotated.push_back((suffixed(&self.live_path, ".1"), lines));
        let live = &self.live_path;
        for (index, (path, _)) in self.rotated.iter_mut().rev().enumerate() {
            *path = suffixed(live, &format!(".{}", index + 1));
        }
        Ok(())
    }

    fn start_file(&mut self) -> Result<()> {
        self.live = files::append(&self.live_path)?;
        Ok(())
    }

    fn compress(&mut self) -> Result<()> {
        // Nobody compresses the log of a container that ended, and a copy may still be growing.
        let is_compressed =
            matches!(self.kind, Kind::Kubelet | Kind::Numbered | Kind::TruncatedUnderOffset);
        if !is_compressed || !self.random.once_in(4) {
            return Ok(());
        }
        if let Some(mut compressing) = self.compressing.take() {
            if compressing.step()? {
                self.done.compressed += 1;
            } else {
                self.compressing = Some(compressing);
            }
            return Ok(());
        }
        // The youngest rotated file stays as it is, as with the kubelet and with logrotate's delaycompress.
        let older = self.rotated.len().saturating_sub(1);
        let mut candidates = self.rotated.iter().take(older).map(|(path, _)| path);
        let next = candidates.find(|path| path.exists() && !suffixed(path, ".gz").exists());
        self.compressing = next.cloned().map(StepwiseGzip::of);
        Ok(())
    }

    pub(super) fn finish_compression(&mut self) -> Result<()> {
        while let Some(mut compressing) = self.compressing.take() {
            if compressing.step()? {
                self.done.compressed += 1;
            } else {
                self.compressing = Some(compressing);
            }
        }
        Ok(())
    }

    /// Deletes the oldest rotated files whose lines are searchable.
    fn delete_oldest(&mut self, rookery: &mut Rookery) -> Result<()> {
        let searchable = self.searchable(rookery)?;
        self.finish_compression()?;
        while self.rotated.len() > ROTATED_KEPT
            && self.rotated.front().is_some_and(|(_, lines)| *lines <= searchable)
        {
            let Some((path, _)) = self.rotated.pop_front() else { break };
            for path in [suffixed(&path, ".gz"), path] {
                if path.exists() {
                    fs::remove_file(&path).context("delete a rotated file")?;
                }
            }
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.finish()?;
        let lines = self.present_len();
        self.rotated.push_back((self.live_path.clone(), lines));
        self.restarts += 1;
        self.live_path.set_file_name(format!("{}.log", self.restarts));
        self.start_file()?;
        self.next_time();
        self.write_line()?;
        self.done.restarted += 1;
        Ok(())
    }

    fn recreate(&mut self, rookery: &mut Rookery) -> Result<()> {
        self.wait_until_searchable(rookery)?;
        let folder = self.live_path.ancestors().nth(2).context("a pod has a folder")?;
        fs::remove_dir_all(folder).context("delete a pod's folder")?;
        self.live_path = pod_folder(&self.base, self.index, &mut self.random)?.join("0.log");
        self.start_file()?;
        let name = format!("w{:02}n{:03}", self.index, self.writers.len());
        self.writers.push((name, Vec::new()));
        self.next_time();
        self.write_line()?;
        self.done.recreated += 1;
        Ok(())
    }

    fn delete_while_read(&mut self, rookery: &mut Rookery) -> Result<()> {
        self.next_time();
        self.write_line()?;
        let identity = files::identity(&self.live)?;
        wait::until("the live file to be opened", SEARCHABLE_LIMIT, || {
            Ok(files::has_open(rookery.id(), identity).then_some(()))
        })?;
        fs::remove_file(&self.live_path).context("delete the live file")?;
        for _ in 0..5 {
            self.write_line()?;
        }
        self.next_time();
        self.start_file()?;
        self.write_line()?;
        self.done.deleted += 1;
        self.wait_until_searchable(rookery)
    }

    fn replace(&mut self, rookery: &mut Rookery) -> Result<()> {
        self.wait_until_searchable(rookery)?;
        let size = usize::try_from(self.live.metadata()?.len())?;
        let beside = self.live_path.with_extension("new");
        let mut content = Vec::with_capacity(size);
        self.next_time();
        // Whole lines, and a last one that is as long as what is left; a bare line is about a hundred bytes.
        while size - content.len() > 1_000 {
            let line = self.line_of(600);
            content.extend_from_slice(&line);
        }
        let bare = self.line_of(0).len();
        let left = size - content.len();
        if left < bare {
            // Too short to be replaced: the line that was counted is written as an ordinary one.
            self.writer().1.pop();
            return Ok(());
        }
        self.writer().1.pop();
        let last = self.line_of(u32::try_from(left - bare)?);
        content.extend_from_slice(&last);
        let mut file = files::append(&beside)?;
        file.write_all(&content)?;
        fs::rename(&beside, &self.live_path).context("replace the live file")?;
        self.live = file;
        self.done.replaced += 1;
        self.wait_until_searchable(rookery)
    }

    /// Nothing more is written, so that the file can go as soon as nobody has it open.
    fn be_quiet(&mut self, rookery: &mut Rookery) -> Result<()> {
        self.wait_until_searchable(rookery)?;
        self.is_quiet = true;
        Ok(())
    }

    fn reuse_inode(&mut self) -> Result<()> {
        let before = files::identity(&self.live)?;
        fs::remove_file(&self.live_path).context("delete the live file")?;
        // The inode is free only when this handle is closed, so that another file takes its place for a moment.
        self.live = fs::File::open(&self.base)?;
        self.start_file()?;
        self.done.inodes_reused += u32::from(files::identity(&self.live)? == before);
        self.is_quiet = false;
        self.next_time();
        self.write_line()
    }

    fn searchable(&self, rookery: &mut Rookery) -> Result<u64> {
        let (writer, _) = self.writers.last().context("there is always a writer")?;
        let client = rookery.client()?;
        let rows = client.search(&format!("\"writer={writer}\" | stats count() n"), &[])?;
        let count = rows.first().and_then(|row| row["n"].as_str()?.parse().ok());
        Ok(count.unwrap_or(0))
    }

    fn wait_until_searchable(&mut self, rookery: &mut Rookery) -> Result<()> {
        self.finish_line()?;
        let lines = self.present_len();
        let what = format!("{lines} lines of {} to be searchable", self.live_path.display());
        wait::until(&what, SEARCHABLE_LIMIT, || {
            Ok((self.searchable(rookery)? >= lines).then_some(()))
        })
    }
}
