//! The standard data: the pod logs of one day of a cluster, the same bytes for the same seed, size and day.
//!
//! 100 pods: 40 JSON applications, 10 nginx access logs, 10 logfmt, 40 of system programs; five million lines of about 217 bytes,
//! their CRI prefix included, over 24 h up to the last midnight (UTC), so that no retention touches them. Every pod writes about as
//! much as the others of its kind. In all of it stand three lines with [`NEEDLE`], and a [`PHRASE`] in about every ninth line.

mod programs;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rookery_core::time;
use rookery_tests::kit::random::Random;

use crate::results::say;
use programs::Program;

/// A word that stands in three lines.
pub(crate) const NEEDLE: &str = "needle7f3a9c51";

/// A phrase that stands in about a ninth of all lines.
pub(crate) const PHRASE: &str = "upstream request completed";

const PODS: usize = 100;

/// About how long a line is; what turns a size into a number of lines.
const LINE_BYTES: u64 = 217;

/// The data, on disk in the kubelet's layout.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// The folder to be given as `--pod-logs`.
    pub(crate) folder: PathBuf,
    /// Its seed.
    pub(crate) seed: u64,
    /// How many lines.
    pub(crate) lines: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// The names of the pods.
    pub(crate) pods: Vec<String>,
    /// The time of the first line, at the latest.
    pub(crate) start: i64,
    /// A time after the last line.
    pub(crate) end: i64,
}

/// One pod.
struct Pod {
    namespace: &'static str,
    name: String,
    program: Program,
}

const NAMESPACES: [&str; 8] =
    ["shop", "payments", "search", "mail", "ingress", "platform", "monitoring", "kube-system"];

/// The pods, of which the first 40 are JSON applications, then 10, 10 and 40 of the other kinds.
fn cast(random: &mut Random) -> Vec<Pod> {
    let pod = |index: usize| {
        let program = match index {
            0..40 => Program::Json,
            40..50 => Program::Access,
            50..60 => Program::Logfmt,
            _ => Program::System,
        };
        let namespace = match program {
            Program::System => NAMESPACES[5 + index % 3],
            Program::Access => NAMESPACES[4],
            _ => NAMESPACES[index % 4],
        };
        let name = format!("{}-{:08x}-{index:03}", program.name(), random.bits() as u32);
        Pod { namespace, name, program }
    };
    (0..PODS).map(pod).collect()
}

impl Dataset {
    /// Makes the data below `folder`, or finds it there.
    pub(crate) fn make(folder: &Path, seed: u64, bytes: u64) -> Result<Self> {
        let end = time::now().div_euclid(time::DAY) * time::DAY;
        let name = format!("{seed}-{}-{}", bytes / 1_000_000, &time::rfc3339(end)[..10]);
        let folder = folder.join(name);
        let start = end - time::DAY;
        let mut random = Random::new(seed);
        let pods = cast(&mut random);
        let complete = folder.join("complete");
        let (lines, bytes) = match fs::read_to_string(&complete) {
            Ok(counts) => parse_counts(&counts).context("read the data's counts")?,
            Err(_) => {
                say(&format!("making the data in {}", folder.display()));
                keep_none(folder.parent().expect("it was joined"))?;
                let counts = write(&folder.join("pods"), &pods, random, start, bytes / LINE_BYTES)?;
                fs::write(&complete, format!("{} {}", counts.0, counts.1))?;
                counts
            }
        };
        let pods = pods.into_iter().map(|pod| pod.name).collect();
        Ok(Self { folder: folder.join("pods"), seed, lines, bytes, pods, start, end })
    }

    /// The files.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for pod in fs::read_dir(&self.folder)? {
            files.push(pod?.path().join("app/0.log"));
        }
        files.sort_unstable();
        Ok(files)
    }
}

/// Removes sets of other days, seeds and sizes: one is kept, for the next run.
fn keep_none(sets: &Path) -> Result<()> {
    if sets.exists() {
        fs::remove_dir_all(sets).context("remove older data")?;
    }
    Ok(())
}

fn parse_counts(text: &str) -> Option<(u64, u64)> {
    let (lines, bytes) = text.split_once(' ')?;
    Some((lines.parse().ok()?, bytes.trim().parse().ok()?))
}

/// Writes all pods; gives the lines and the bytes.
fn write(
    folder: &Path,
    pods: &[Pod],
    mut random: Random,
    start: i64,
    lines: u64,
) -> Result<(u64, u64)> {
    let each = lines / pods.len() as u64;
    let needles = [0, 45, 99].map(|pod| (pod, each / 3 + random.below(each / 3)));
    let mut bytes = 0;
    for (index, pod) in pods.iter().enumerate() {
        let (high, low) = (random.bits(), random.bits());
        let uid = format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        );
        let folder = folder.join(format!("{}_{}_{uid}/app", pod.namespace, pod.name));
        fs::create_dir_all(&folder)?;
        let mut file = BufWriter::with_capacity(1 << 20, File::create(folder.join("0.log"))?);
        let mut line = String::with_capacity(1 << 10);
        let step = time::DAY / each.max(1) as i64;
        for number in 0..each {
            // Somewhere in its own part of the day, so that times only grow.
            let at = start + step * number as i64 + random.below(step as u64) as i64;
            let is_needle = needles.contains(&(index, number));
            line.clear();
            pod.program.write_line(&mut line, at, &mut random, is_needle);
            file.write_all(line.as_bytes())?;
            bytes += line.len() as u64;
        }
        file.flush()?;
    }
    Ok((each * pods.len() as u64, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: u64) -> String {
        let folder = tempfile::tempdir().unwrap();
        let dataset = Dataset::make(folder.path(), seed, 4_000_000).unwrap();
        let read = |file: PathBuf| fs::read_to_string(file).unwrap();
        let text: String = dataset.files().unwrap().into_iter().map(read).collect();
        assert_eq!(text.len() as u64, dataset.bytes);
        assert_eq!(text.lines().count() as u64, dataset.lines);
        text
    }

    #[test]
    fn the_data_is_what_the_results_say_of_it() {
        let text = text(1);
        let lines = text.lines().count();
        let with = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        let part = |what: &str| with(what) as f64 / lines as f64;
        let length = text.len() as f64 / lines as f64;
        assert!((210.0..224.0).contains(&length), "{length} bytes a line");
        assert_eq!(with(NEEDLE), 3);
        assert!((0.09..0.13).contains(&part(PHRASE)), "{}", part(PHRASE));
        assert!((0.39..0.41).contains(&part(" F {\"")), "{}", part(" F {\""));
        assert!((0.01..0.04).contains(&part("error")), "{}", part("error"));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }
}
