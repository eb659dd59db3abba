//! A node in a folder: programs that write, rotators that rotate, and lives of a collector.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rookery_collector::config::{FilesConfig, PodsConfig};
use rookery_collector::{Collector, CollectorConfig};
use rookery_core::time::rfc3339;
use rookery_core::units::Span;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// The time of the first line of every test.
const EPOCH: i64 = 1_790_000_000_123_456_789;

/// How a writer frames its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As containerd does.
    Cri,
    /// A time and the message; the record is the whole line.
    Plain,
    /// The same with a time in whole seconds.
    Coarse,
    /// No time at all.
    Untimed,
    /// As Docker's json-file driver does.
    Docker,
}

/// A program that writes lines that it remembers.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    form: Form,
    file: File,
    /// The bodies of the records that must come, in order.
    pub(crate) lines: Vec<String>,
}

impl Writer {
    /// Opens, or makes, the file.
    pub(crate) fn new(path: &Path, form: Form) -> Self {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Self { path: path.into(), form, file: append(path), lines: Vec::new() }
    }

    /// The same, but it keeps its offset when the file is truncated, so that what it writes then stands behind a hole.
    pub(crate) fn with_offset(path: &Path, form: Form) -> Self {
        let writer = Self::new(path, form);
        Self { file: OpenOptions::new().write(true).open(path).unwrap(), ..writer }
    }

    /// The line's text in the file, without the newline, and its body.
    fn line(&self, number: usize) -> (String, String) {
        let time = rfc3339(EPOCH + number as i64 * 1_000_003);
        match self.form {
            Form::Cri => {
                let body = format!("message {number} with some words in it");
                (format!("{time} stdout F {body}"), body)
            }
            Form::Coarse => {
                let second = &time[..19];
                let line = format!("{second}Z INFO message {number} with some words in it");
                (line.clone(), line)
            }
            Form::Untimed => {
                let line = format!("message number {number} with some more words in it");
                (line.clone(), line)
            }
            Form::Docker => {
                let body = format!("message {number} with some words in it");
                let line = format!(r#"{{"log":"{body}\n","stream":"stdout","time":"{time}"}}"#);
                (line, body)
            }
            Form::Plain => {
                let line = format!("{time} INFO message {number} with some words in it");
                (line.clone(), line)
            }
        }
    }

    /// Writes `count` more lines, in one call.
    pub(crate) fn write(&mut self, count: usize) {
        let mut text = String::new();
        for _ in 0..count {
            let (line, body) = self.line(self.lines.len());
            text += &line;
            text.push('\n');
            self.lines.push(body);
        }
        self.file.write_all(text.as_bytes()).unwrap();
    }

    /// Writes a line in two pieces.
    pub(crate) fn write_in_pieces(&mut self, between: impl FnOnce()) {
        let (line, body) = self.line(self.lines.len());
        let (first, second) = line.split_at(line.len() / 2);
        self.file.write_all(first.as_bytes()).unwrap();
        between();
        self.file.write_all(format!("{second}\n").as_bytes()).unwrap();
        self.lines.push(body);
    }

    /// Writes bytes that are no line of its own.
    pub(crate) fn write_raw(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).unwrap();
    }

    /// Writes a CRI line of its own making; `P` has to be continued.
    pub(crate) fn write_part(&mut self, tag: &str, text: &str) {
        let time = rfc3339(EPOCH + self.lines.len() as i64 * 1_000_003);
        self.file.write_all(format!("{time} stdout {tag} {text}\n").as_bytes()).unwrap();
    }

    /// Opens its path again, as after a signal.
    pub(crate) fn reopen(&mut self) {
        self.file = append(&self.path);
    }

    /// Goes on in another file, as after a restart.
    pub(crate) fn move_to(&mut self, path: &Path) {
        self.path = path.into();
        self.reopen();
    }

    /// Renames the file to `name` beside it, and opens a new one.
    pub(crate) fn rotate(&mut self, name: &str) -> PathBuf {
        let to = self.path.with_file_name(name);
        fs::rename(&self.path, &to).unwrap();
        self.reopen();
        to
    }

    /// Truncates the file, without a copy.
    pub(crate) fn truncate(&mut self) {
        self.file.set_len(0).unwrap();
    }

    /// Copies the file and truncates it, as logrotate's `copytruncate` does.
    pub(crate) fn copytruncate(&mut self, name: &str) {
        fs::copy(&self.path, self.path.with_file_name(name)).unwrap();
        self.file.set_len(0).unwrap();
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// Compresses a file as the kubelet does: through a temporary name, then without the old one.
pub(crate) fn gzip(path: &Path) -> PathBuf {
    let to = PathBuf::from(format!("{}.gz", path.display()));
    let temporary = PathBuf::from(format!("{}.tmp", to.display()));
    let mut encoder = flate2::write::GzEncoder::new(
        File::create(&temporary).unwrap(),
        flate2::Compression::fast(),
    );
    encoder.write_all(&fs::read(path).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::rename(&temporary, &to).unwrap();
    fs::remove_file(path).unwrap();
    to
}

/// A node.
pub(crate) struct Bench {
    folder: Arc<TempDir>,
    pub(crate) store: Store,
    pub(crate) config: CollectorConfig,
}

pub(crate) const POD: &str = "prod_web-1_0b7ef1c2";

impl Bench {
    /// An empty node.
    pub(crate) fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let config = CollectorConfig {
            node: Some("node-1".into()),
            cluster: "test".into(),
            state_dir: folder.path().join("state"),
            scan_interval: Span::millis(300),
            rotate_wait: Span::millis(300),
            deleted_wait: Span::millis(200),
            files: vec![FilesConfig {
                include: vec![format!("{}/log/**/*.log", folder.path().display())],
                ..FilesConfig::default()
            }],
            pods: Some(PodsConfig {
                directory: folder.path().join("pods"),
                ..PodsConfig::default()
            }),
            ..CollectorConfig::default()
        };
        let bench = Self { folder, store: Store::default(), config };
        fs::create_dir_all(bench.path("log")).unwrap();
        fs::create_dir_all(bench.path("pods")).unwrap();
        bench
    }

    /// The same node, and another store.
    pub(crate) fn with_store(&self, store: Store) -> Self {
        Self { folder: self.folder.clone(), store, config: self.config.clone() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A container that writes.
    pub(crate) fn container(&self) -> Writer {
        Writer::new(&self.path(&format!("pods/{POD}/nginx/0.log")), Form::Cri)
    }

    /// A program that writes a plain file.
    pub(crate) fn program(&self) -> Writer {
        Writer::new(&self.path("log/app.log"), Form::Plain)
    }

    /// Begins a life of the collector.
    pub(crate) fn start(&self) -> Collector {
        self.start_with(self.config.clone())
    }

    pub(crate) fn start_with(&self, config: CollectorConfig) -> Collector {
        init_log();
        let cancel = CancellationToken::new();
        Collector::start(config, self.store.queue(), &cancel).unwrap()
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn crash(&self, collector: Collector) {
        tokio::task::spawn_blocking(move || drop(collector)).await.unwrap();
    }

    /// Ends it well.
    pub(crate) async fn stop(&self, collector: Collector) {
        collector.stop(Duration::from_secs(30)).await.unwrap();
    }

    /// Takes the checkpoint away.
    pub(crate) fn forget(&self) {
        fs::remove_file(self.path("state/checkpoint")).unwrap();
    }

    /// All lines came, and nothing else did, also not by the end.
    pub(crate) async fn finish(&self, collector: Collector, writer: &Writer) {
        self.store.wait_for(writer.lines.len());
        self.stop(collector).await;
        self.store.assert_lines(&writer.lines);
    }
}

/// What the collector says of itself is shown when a test fails, if it was asked for.
fn init_log() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("TAIL_LOG").is_some() {
            let _ = tracing_subscriber::fmt()
                .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
                .try_init();
        }
    });
}

/// The value of a counter by its name.
pub(crate) fn counter(collector: &Collector, name: &str) -> u64 {
    let counters: Arc<_> = collector.counters();
    counters.samples().iter().filter(|s| s.name == name).map(|s| s.value).sum()
}

/// Waits until something is so that no channel tells.
pub(crate) async fn eventually(what: &str, is: impl Fn() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..6_000 {
        if is() {
            return;
        }
        tick.tick().await;
    }
    panic!("{what}: not within a minute");
}
