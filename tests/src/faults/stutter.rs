//! A machine that has other work: the process under test is stopped for moments, wherever it is, while its files go on.
//!
//! What lies between two steps of a process is microseconds on an idle machine, and nothing happens to a file in them. What goes wrong in the
//! wild goes wrong where they became a tenth of a second.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::kit::process::Rookery;
use crate::kit::random::Random;

/// How long it runs at a time, and how long it stands, in milliseconds.
const RUNS_MS: std::ops::Range<u64> = 1..30;
const STANDS_MS: std::ops::Range<u64> = 1..80;

/// Stops a process and lets it go on, again and again, until this is dropped; then it runs.
pub(super) struct Stutter {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stutter {
    /// Begins.
    ///
    /// # Errors
    /// When the process cannot be held, or the system has no thread.
    pub(super) fn of(rookery: &Rookery, seed: u64) -> Result<Self> {
        let id = i32::try_from(rookery.id()).ok().and_then(Pid::from_raw);
        let process = pidfd_open(id.context("a process has an id")?, PidfdFlags::empty())?;
        let (stop, stopped) = sync_channel::<()>(1);
        let thread = thread::Builder::new().name("stutter".into()).spawn(move || {
            let mut random = Random::new(seed);
            let mut waits = |range| {
                let time = Duration::from_millis(random.between(range));
                stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
            };
            while waits(RUNS_MS) && send(&process, Signal::STOP) && waits(STANDS_MS) {
                send(&process, Signal::CONT);
            }
            send(&process, Signal::CONT);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

/// Whether it was sent: not to a process that has ended.
fn send(process: &OwnedFd, signal: Signal) -> bool {
    pidfd_send_signal(process, signal).is_ok()
}

impl Drop for Stutter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It cannot panic.
            let _ = thread.join();
        }
    }
}
