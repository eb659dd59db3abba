//! What a chore says while it runs: each step with its time, and a closing line with the counts.
//!
//! A failed step does not stop the others: one run shows everything that is wrong.

use std::time::{Duration, Instant};

use anyhow::{Error, Result, bail};

/// How many passed and how many failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// How many passed.
    pub(crate) passed: u64,
    /// How many failed.
    pub(crate) failed: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The steps of a chore and what became of them.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    chore: &'a str,
    only: Option<&'a str>,
    count: Count,
    failures: Vec<String>,
    start: Instant,
}

impl<'a> Report<'a> {
    /// Of a chore; with `only`, steps whose name does not contain it are left out.
    pub(crate) fn new(chore: &'a str, only: Option<&'a str>) -> Self {
        Self { chore, only, count: Count::default(), failures: Vec::new(), start: Instant::now() }
    }

    /// Runs a step that passes or fails as a whole.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) {
        self.counted(name, || run().map(|()| Count { passed: 1, failed: 0 }));
    }

    /// Runs a step that prepares others: it counts only when it fails.
    pub(crate) fn prepare(&mut self, name: &str, run: impl FnOnce() -> Result<()>) {
        self.counted(name, || run().map(|()| Count::default()));
    }

    /// Runs a step that counts for itself. An error counts as one failure.
    pub(crate) fn counted(&mut self, name: &str, run: impl FnOnce() -> Result<Count>) {
        if self.only.is_some_and(|only| !name.contains(only)) {
            return;
        }
        say(&format!("==> {}: {name}", self.chore));
        let start = Instant::now();
        let result = run();
        let time = seconds(start.elapsed());
        match result {
            Ok(count) => {
                self.count += count;
                if count.failed > 0 {
                    self.failed(name, &time, &format!("{} failed", count.failed));
                } else {
                    say(&format!("    {name}: ok ({time})"));
                }
            }
            Err(error) => {
                self.count.failed += 1;
                self.failed(name, &time, &chain(&error));
            }
        }
    }

    fn failed(&mut self, name: &str, time: &str, why: &str) {
        say(&format!("    {name}: FAILED ({time}): {why}"));
        self.failures.push(format!("{name}: {why}"));
    }

    /// Prints what failed, and `N passed, N failed` as the last line.
    ///
    /// # Errors
    /// When something failed, or nothing was run.
    pub(crate) fn finish(self) -> Result<()> {
        say("");
        for failure in &self.failures {
            say(&format!("FAILED {failure}"));
        }
        let Count { passed, failed } = self.count;
        say(&format!("{}: {}", self.chore, seconds(self.start.elapsed())));
        say(&format!("{passed} passed, {failed} failed"));
        if failed > 0 {
            bail!("{} found failures", self.chore);
        }
        if passed == 0 {
            bail!("no step of {} has this in its name", self.chore);
        }
        Ok(())
    }
}

/// A line to the person at the terminal.
#[expect(clippy::print_stdout, reason = "a chore speaks on standard output; this is the one place")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Why a chore failed, to the person at the terminal; without a backtrace, which would say nothing to them.
#[expect(clippy::print_stderr, reason = "the one place that says why a chore failed")]
pub(crate) fn complain(why: &str) {
    eprintln!("error: {why}");
}

fn chain(error: &Error) -> String {
    format!("{error:#}")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_does_not_stop_the_next_and_fails_the_chore() {
        let mut report = Report::new("chore", None);
        let mut ran = false;
        report.step("first", || bail!("broken"));
        report.step("second", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        assert_eq!(report.count, Count { passed: 1, failed: 1 });
        assert!(report.finish().is_err());
    }

    #[test]
    fn a_chore_that_ran_nothing_is_not_a_success() {
        let mut report = Report::new("chore", Some("no such step"));
        report.step("first", || Ok(()));
        assert!(report.finish().is_err());
    }
}
