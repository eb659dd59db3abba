//! The figures of a run, on the terminal as they come and in `benches/results.md` at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use rookery_core::time;

use crate::dataset::Dataset;
use crate::machine;

/// One figure.
#[derive(Debug)]
struct Figure {
    case: &'static str,
    what: String,
    value: String,
    baseline: String,
}

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Results {
    figures: Vec<Figure>,
    data: String,
}

impl Results {
    /// None yet, on this data.
    pub(crate) fn new(dataset: &Dataset) -> Self {
        let mb = dataset.bytes as f64 / 1e6;
        let length = dataset.bytes as f64 / dataset.lines.max(1) as f64;
        let data = format!(
            "{} lines, {mb:.0} MB, {length:.0} bytes a line, {} pods, 24 h, seed {}",
            dataset.lines,
            dataset.pods.len(),
            dataset.seed
        );
        say(&data);
        Self { figures: Vec::new(), data }
    }

    /// A figure, and what it is to be compared with.
    pub(crate) fn add(
        &mut self,
        case: &'static str,
        what: impl Into<String>,
        value: String,
        baseline: String,
    ) {
        let what = what.into();
        say(&format!("({case}) {what}: {value}    {baseline}"));
        self.figures.push(Figure { case, what, value, baseline });
    }

    /// Writes a section for this run at the end of the file.
    pub(crate) fn append(&self, path: &Path) -> Result<()> {
        let mut section = String::new();
        let date = time::rfc3339(time::now() / time::SECOND * time::SECOND);
        writeln!(section, "\n## {date}, {}\n", machine::revision())?;
        writeln!(section, "{}. Data: {}.\n", machine::description(), self.data)?;
        writeln!(section, "| case | what | figure | against |\n|---|---|---|---|")?;
        for Figure { case, what, value, baseline } in &self.figures {
            writeln!(section, "| {case} | {what} | {value} | {baseline} |")?;
        }
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(section.as_bytes())?;
        Ok(())
    }
}

/// A line to the person at the terminal.
#[expect(clippy::print_stdout, reason = "a bench speaks on standard output; this is the one place")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// The value at a part (0.5, 0.99) of sorted values; the upper one where it lies between two.
///
/// # Panics
/// When there is no value.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part).ceil() as usize;
    sorted[index.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|part| quantile(&values, part)), [50.0, 99.0, 100.0]);
        assert_eq!(quantile(&[7.0], 0.5), 7.0);
    }
}
