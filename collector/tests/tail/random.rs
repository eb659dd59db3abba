//! Random lives: a writer, a rotator and a collector that is killed, by a seed. What was written is what is stored.
//!
//! `TAIL_SEED` runs one seed, `TAIL_ROUNDS` sets how many are run.

use std::fs;
use std::path::PathBuf;

use rookery_collector::Collector;

use crate::bench::{Bench, Form, Writer, gzip};

/// The generator of Steele, Lea and Flood (SplitMix64): small, and good enough to choose.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

/// One life of a node.
struct Life {
    bench: Bench,
    random: Random,
    writer: Writer,
    form: Form,
    collector: Option<Collector>,
    /// Rotated files, oldest first, and how many lines were written when each ended.
    rotated: Vec<(PathBuf, usize)>,
    rotations: usize,
    /// The kinds of rotation do not mix in one folder: each has its own names.
    copies: bool,
    restart: usize,
    steps: Vec<String>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let bench = Bench::new();
        let (form, copies) = match seed % 4 {
            0 => (Form::Cri, false),
            1 => (Form::Plain, false),
            _ => (Form::Plain, true),
        };
        let writer = match seed % 4 {
            0 => bench.container(),
            3 => Writer::with_offset(&bench.path("log/app.log"), form),
            _ => bench.program(),
        };
        Self {
            bench,
            random: Random(seed),
            writer,
            form,
            collector: None,
            rotated: Vec::new(),
            rotations: 0,
            copies,
            restart: 0,
            steps: Vec::new(),
        }
    }

    async fn step(&mut self) {
        let choice = self.random.next(100);
        match choice {
            0..=39 => {
                let most = [1, 10, 100, 3000][self.random.next(4)];
                let count = 1 + self.random.next(most);
                self.note(format!("write {count}"));
                self.writer.write(count);
            }
            40..=49 => {
                // A line in two writes.
                let before = self.writer.lines.len();
                self.note("write in pieces".into());
                self.writer.write_in_pieces(std::thread::yield_now);
                assert_eq!(self.writer.lines.len(), before + 1);
            }
            50..=64 => self.rotate(),
            65..=72 => self.compress(),
            73..=77 => self.delete_oldest(),
            78..=80 if self.form == Form::Cri => self.restart_container(),
            78..=86 => self.kill().await,
            87..=89 => self.forget().await,
            _ => {
                if self.collector.is_some() {
                    let some = self.random.next(self.writer.lines.len().max(1));
                    self.note(format!("wait for {some}"));
                    self.bench.store.wait_for(some);
                } else {
                    self.start();
                }
            }
        }
    }

    fn note(&mut self, step: String) {
        self.steps.push(step);
    }

    fn start(&mut self) {
        if self.collector.is_none() {
            self.note("start".into());
            self.collector = Some(self.bench.start());
        }
    }

    async fn kill(&mut self) {
        if let Some(collector) = self.collector.take() {
            self.note("kill".into());
            self.bench.crash(collector).await;
        }
    }

    async fn forget(&mut self) {
        self.kill().await;
        if fs::remove_dir_all(self.bench.path("state")).is_ok() {
            self.note("forget".into());
        }
    }

    fn rotate(&mut self) {
        let lines = self.writer.lines.len();
        if lines == self.rotated.last().map_or(0, |(_, lines)| *lines) {
            return;
        }
        self.rotations += 1;
        let base = self.writer.path.file_name().unwrap().to_str().unwrap().to_owned();
        let name = format!("{base}.20261121-{:06}", self.rotations);
        self.note(format!("rotate to {name}"));
        if self.copies {
            self.writer.copytruncate(&name);
            self.rotated.push((self.writer.path.with_file_name(&name), lines));
        } else {
            let path = self.writer.rotate(&name);
            self.rotated.push((path, lines));
        }
    }

    fn compress(&mut self) {
        // A kubelet compresses what it rotated, not what a container left by its restart.
        let plain =
            |(path, _): &(PathBuf, usize)| path.extension().is_none_or(|e| e != "gz" && e != "log");
        if let Some(at) = self.rotated.iter().position(plain) {
            self.note(format!("compress {}", self.rotated[at].0.display()));
            self.rotated[at].0 = gzip(&self.rotated[at].0);
        }
    }

    /// A rotator keeps some files; it must not be faster than the collector, or what is gone is gone.
    fn delete_oldest(&mut self) {
        if self.rotated.len() < 3 || self.collector.is_none() {
            return;
        }
        let (path, lines) = self.rotated.remove(0);
        self.note(format!("delete {}", path.display()));
        self.bench.store.wait_for(lines);
        fs::remove_file(path).unwrap();
    }

    fn restart_container(&mut self) {
        self.restart += 1;
        let path = self.writer.path.with_file_name(format!("{}.log", self.restart));
        self.note(format!("restart to {}", path.display()));
        self.rotated.push((self.writer.path.clone(), self.writer.lines.len()));
        self.writer.move_to(&path);
    }

    async fn end(mut self) {
        self.start();
        self.bench.store.wait_for(self.writer.lines.len());
        let collector = self.collector.take().unwrap();
        self.bench.finish(collector, &self.writer).await;
    }
}

/// Says what was done when a life ends badly.
struct Story(u64, std::sync::Arc<std::sync::Mutex<Vec<String>>>);

#[expect(clippy::print_stderr, reason = "the test's own output")]
impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: {:#?}", self.0, self.1.lock().unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_what_was_written_is_stored_once_in_order() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TAIL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TAIL_ROUNDS").unwrap_or(12),
    };
    for seed in seeds {
        let mut life = Life::new(seed);
        let steps = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let _story = Story(seed, steps.clone());
        for _ in 0..60 {
            life.step().await;
            steps.lock().unwrap().clone_from(&life.steps);
        }
        life.end().await;
    }
}
