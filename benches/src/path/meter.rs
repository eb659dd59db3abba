//! Which process used how much CPU.

use std::fmt;

use anyhow::Result;

use crate::machine;
use crate::results::say;

/// Threads that used less are not told apart.
const TOLD_PART: f64 = 0.03;

/// Processes, and what each had used when its watching began.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    processes: Vec<(&'static str, u32, f64)>,
}

impl Meter {
    /// Watches a process that was just started, from its start.
    #[must_use]
    pub(crate) fn whole(mut self, name: &'static str, process: u32) -> Self {
        self.processes.push((name, process, 0.0));
        self
    }

    /// Watches a process from now on.
    pub(crate) fn since_now(mut self, name: &'static str, process: u32) -> Result<Self> {
        self.processes.push((name, process, machine::cpu_seconds(process)?));
        Ok(self)
    }

    /// What each has used since.
    pub(crate) fn read(&self) -> Result<Spent> {
        let each = self.processes.iter().map(|(name, process, before)| {
            // A tick of the clock at the least: tiny data gives a figure, and not infinity.
            Ok((*name, (machine::cpu_seconds(*process)? - before).max(0.01)))
        });
        Ok(Spent(each.collect::<Result<_>>()?))
    }
}

/// Seconds of CPU by process.
#[derive(Debug)]
pub(crate) struct Spent(Vec<(&'static str, f64)>);

impl Spent {
    /// Of one process.
    ///
    /// # Panics
    /// When it was not watched.
    pub(crate) fn of(&self, name: &str) -> f64 {
        let mut found = self.0.iter().filter(|(known, _)| *known == name);
        found.next().expect("every process that is asked for is watched").1
    }

    /// Of all.
    pub(crate) fn all(&self) -> f64 {
        self.0.iter().map(|(_, seconds)| seconds).sum()
    }

    /// As parts of a core over this time.
    pub(crate) fn percent(&self, seconds: f64) -> String {
        let each = self.0.iter().map(|(name, cpu)| format!("{name} {:.1} %", cpu / seconds * 1e2));
        each.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.0.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s"));
        f.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}

/// Tells the person at the terminal which threads of a process used its CPU.
pub(crate) fn tell_threads(name: &str, process: u32) -> Result<()> {
    let threads = machine::cpu_by_thread(process)?;
    let all: f64 = threads.iter().map(|(_, seconds)| seconds).sum();
    let told = threads.iter().filter(|(_, seconds)| *seconds > all * TOLD_PART);
    let told: Vec<_> = told.map(|(thread, cpu)| format!("{thread} {cpu:.2} s")).collect();
    say(&format!("      threads of the {name}: {}", told.join(", ")));
    Ok(())
}
