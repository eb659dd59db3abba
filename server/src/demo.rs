//! What `rookery demo` writes: the logs of some twenty pods of a web shop, in the kubelet's layout, as long as it runs.
//!
//! The point is that a newcomer sees at once what a cluster's logs look like in Rookery, and has something to find. So requests
//! go through several pods and carry one trace id, and in three of every twenty minutes ([`is_incident`]) the payments' database
//! runs out of connections: its own log, the stack traces of the service before it, the failing checkouts and the 502s at the
//! edge all show it. An hour of history is there from the start, the incidents in it included.
//!
//! Files are what a node has: CRI lines, rotated by size as the kubelet does it (renamed with a time stamp, the older ones
//! compressed through a `.tmp`, five kept), a container that restarts from `0.log` to `1.log`, a message now and then that is long
//! enough to be split.
//!
//! Reading order: [`cast`] names the pods, [`scenes`] says what happens, [`messages`] how each program words it, [`files`] how it
//! gets to disk.

mod cast;
mod files;
mod messages;
mod random;
mod scenes;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rookery_core::time;
use tokio_util::sync::CancellationToken;

use random::Random;
use scenes::Stage;

/// How often lines are written: often enough that a live tail flows.
const TICK: Duration = Duration::from_millis(50);

/// How far back the history goes.
const HISTORY_NS: i64 = time::HOUR;

/// How many lines the history has: about ten megabytes, read in a moment.
const HISTORY_LINES: u64 = 40_000;

/// The incidents come back in this cycle, by the clock, so that a restarted demo tells the same story.
const CYCLE_MINUTES: i64 = 20;

/// In which minutes of the cycle there is one.
const INCIDENT_MINUTES: std::ops::Range<i64> = 12..15;

/// The most lines that are written to catch up after the machine slept.
const CATCH_UP_LINES: u64 = 10_000;

/// Writes the history, then `lines_per_second` until `stop` is cancelled. It waits on the clock, so it wants a thread of its own.
///
/// # Errors
/// When a file below `directory` cannot be written.
pub(crate) fn run(directory: &Path, lines_per_second: u32, stop: &CancellationToken) -> Result<()> {
    let mut stage = Stage::open(directory, Random::new(0x0072_6f6f_6b65_7279))?;
    let now = time::now();
    write_history(&mut stage, now)?;

    let mut written = 0;
    let mut start = Instant::now();
    let mut last = now;
    while !stop.is_cancelled() {
        let due = (start.elapsed().as_secs_f64() * f64::from(lines_per_second)) as u64;
        if due.saturating_sub(written) > CATCH_UP_LINES {
            (start, written) = (Instant::now(), 0);
            continue;
        }
        let now = time::now().max(last);
        written += stage.play(last, now, due.saturating_sub(written), is_incident)?;
        stage.flush()?;
        last = now;
        thread::park_timeout(TICK);
    }
    stage.flush()
}

fn write_history(stage: &mut Stage, now: i64) -> Result<()> {
    /// Short enough that incidents begin and end where they should.
    const PIECE_NS: i64 = 10 * time::SECOND;
    let pieces = HISTORY_NS / PIECE_NS;
    for piece in 0..pieces {
        let from = now - HISTORY_NS + piece * PIECE_NS;
        stage.play(from, from + PIECE_NS, HISTORY_LINES / pieces as u64, is_incident)?;
    }
    stage.flush()
}

/// Whether the payments' database is out of connections at this time.
fn is_incident(time: i64) -> bool {
    INCIDENT_MINUTES.contains(&(time / time::MINUTE).rem_euclid(CYCLE_MINUTES))
}

#[cfg(test)]
mod tests;
