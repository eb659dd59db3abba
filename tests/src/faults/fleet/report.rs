//! The report of a run, for a person and for `docs/faults.md`.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::fault::Fault;
use crate::faults::compare::Outcome;
use crate::kit::parts;

/// How soon lines were searchable again.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// How long the last probe took from its writing until it was found.
    pub delay: Duration,
    /// When that was, counted from the end of the fault.
    pub after: Duration,
    /// How many probes were written.
    pub probes: u64,
    /// Whether it was within the limit.
    pub in_time: bool,
}

/// What became of one fault.
#[derive(Debug)]
pub struct Line {
    /// What happened.
    pub fault: Fault,
    /// What was found.
    pub outcome: Outcome,
    /// How soon lines were searchable again.
    pub freshness: Freshness,
    /// How long all of it took.
    pub took: Duration,
}

impl Line {
    /// Whether every promise was kept.
    pub fn is_kept(&self) -> bool {
        self.outcome.check().is_ok() && self.freshness.in_time
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Freshness { delay, after, .. } = self.freshness;
        writeln!(f, "{}{}", if self.is_kept() { "" } else { "BROKEN: " }, self.fault)?;
        writeln!(
            f,
            "  fresh ({} ms) {:.1} s after the fault; {:.0} s in all",
            delay.as_millis(),
            after.as_secs_f64(),
            self.took.as_secs_f64()
        )?;
        for line in self.outcome.to_string().lines() {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// The page of all runs: a table of faults and results, with the versions of the parts.
///
/// # Errors
/// When it cannot be printed.
pub fn page(lines: &[Line], date: &str) -> Result<String, fmt::Error> {
    let mut page = String::from(
        "# Faults\n\nWritten by `cargo xtask faults --fleet`. Each fault came while programs on three nodes wrote and rotated their logs; afterwards the \
         store was read back over HTTP and compared line by line with what was written, and the ledger was asked.\n\n",
    );
    writeln!(
        page,
        "{date}; rookery {}; Apache Kafka {}; the ClickHouse engine of chdb {}; collectors, brokers, ingesters, engine and queries on one machine.\n",
        env!("CARGO_PKG_VERSION"),
        parts::version("KAFKA"),
        parts::version("CHDB"),
    )?;
    writeln!(
        page,
        "| fault | lines written | lost | doubled | out of order | altered | ledger | fresh (< 2 s) again after | result |\n|---|---|---|---|---|---|---|---|---|"
    )?;
    for line in lines {
        let outcome = &line.outcome;
        let lost = match outcome.accounted {
            0 => outcome.lost.to_string(),
            accounted => format!("{} ({accounted} in the ledger)", outcome.lost),
        };
        writeln!(
            page,
            "| {} | {} | {lost} | {} | {} | {} | {} | {:.1} s | {} |",
            line.fault,
            outcome.written,
            outcome.doubled,
            outcome.reordered + outcome.reordered_by_time,
            outcome.altered + outcome.foreign,
            if outcome.ledger.is_empty() { "balanced" } else { "NOT as it should be" },
            line.freshness.after.as_secs_f64(),
            if line.is_kept() { "kept" } else { "**broken**" }
        )?;
    }
    Ok(page)
}
