//! Waiting for something that another process does, with a limit.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often is looked. Short, so that a test is not slower than what it tests.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is something; `what` is what the error says was waited for.
///
/// # Errors
/// When `limit` has passed, or looking fails.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} for {what}");
        }
        // Nothing can be waited upon in another process; the loop ends on what it sees, not on the time.
        thread::park_timeout(LOOK_EVERY);
    }
}
