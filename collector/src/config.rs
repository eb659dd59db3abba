//! What a person may say about the collector: plain data, units in the types, every default with its reason.
//!
//! Nothing here touches a file; [`CollectorConfig::check`] says what cannot be right before anything starts.

use std::path::PathBuf;

use rookery_core::units::{Bytes, Span};
use rookery_core::{Error, Result, Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::DecodeConfig;
use crate::glob::Glob;

/// What the collector of one node reads, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CollectorConfig {
    /// The tenant whose data this is.
    pub tenant: String,
    /// The cluster's name, on every record.
    pub cluster: String,
    /// The node's name; the host's name when it is not given. It is part of the identity of plain files, and what keeps the batches of a node in order on their way: do not change it lightly, and set it where the host's name is another after each start.
    pub node: Option<String>,
    /// The project's name, on every record.
    pub project: String,
    /// Plain files, by globs.
    pub files: Vec<FilesConfig>,
    /// Containers' logs in the kubelet's layout; not read when it is not given.
    pub pods: Option<PodsConfig>,
    /// Where the collector keeps its checkpoint. Without it everything is read again, and stored once all the same.
    pub state_dir: PathBuf,
    /// Hard links to rotated files that are not stored yet.
    pub spool: SpoolConfig,
    /// When a batch is sent.
    pub batch: BatchConfig,
    /// How often the folders are read again, whatever the system said about changes.
    pub scan_interval: Span,
    /// Threads that read and decode. One reads several hundred thousand lines a second.
    pub threads: usize,
    /// Bytes that one stream may be read in its turn while others wait.
    pub quantum: Bytes,
    /// How long a rotated plain file must have been quiet before its successor is read: time for the writer to let go of it.
    pub rotate_wait: Span,
    /// The same for containers' files, whose writer is told at once.
    pub rotate_wait_pods: Span,
    /// How long a deleted file is still read after its last line.
    pub deleted_wait: Span,
    /// How long the checkpoint remembers a stream whose files are gone.
    pub forget_after: Span,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            tenant: Tenant::DEFAULT.into(),
            cluster: String::new(),
            node: None,
            project: String::new(),
            files: Vec::new(),
            pods: None,
            state_dir: "/var/lib/rookery/collector".into(),
            spool: SpoolConfig::default(),
            batch: BatchConfig::default(),
            // Changes wake the collector at once; the scan is for what a watch missed.
            scan_interval: Span::seconds(5),
            threads: 1,
            // A few hundred microseconds of decoding: fair to a thousand streams, and large enough for one read call.
            quantum: Bytes(256 << 10),
            // logrotate runs its postrotate script right after the rename.
            rotate_wait: Span::seconds(1),
            // containerd and CRI-O swap stdout and stderr one after the other; it takes milliseconds.
            rotate_wait_pods: Span::millis(200),
            deleted_wait: Span::seconds(10),
            forget_after: Span::seconds(7 * 86_400),
        }
    }
}

/// Some plain files.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// Globs of absolute paths: `*` and `?` inside a name, `**` over folders, `[a-z]`, `{a,b}`. They name the files that are written;
    /// rotated ones beside them are found by their names.
    pub include: Vec<String>,
    /// Globs of paths that are not read.
    pub exclude: Vec<String>,
    /// Whether files that exist at the first start are read from their beginning, with their rotated ones, or from their end.
    pub start_at: StartAt,
    /// The column `source` of the records.
    pub source: FileSource,
    /// How bytes become records.
    pub decode: DecodeConfig,
}

/// Where reading starts in files that exist when a stream is first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At the first line of the oldest rotated file.
    #[default]
    Beginning,
    /// After what is there; what is passed over is in the ledger as shed.
    End,
}

/// The column `source` of a file's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// A program's own log.
    #[default]
    File,
    /// A file that a syslog daemon writes.
    Syslog,
    /// The Kubernetes audit log.
    Audit,
    /// The kernel's log.
    Kernel,
}

impl FileSource {
    /// The value of the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Syslog => "syslog",
            Self::Audit => "audit",
            Self::Kernel => "kernel",
        }
    }
}

/// Containers' logs in the kubelet's layout.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PodsConfig {
    /// The kubelet's folder: `<namespace>_<pod>_<uid>/<container>/<restart>.log`.
    pub directory: PathBuf,
    /// Only these, when given; each is a glob over `namespace/pod/container`, for example `prod/*/*`.
    pub include: Vec<String>,
    /// Never these.
    pub exclude: Vec<String>,
    /// Whether logs that exist at the first start are read from their beginning.
    pub start_at: StartAt,
    /// How bytes become records.
    pub decode: DecodeConfig,
}

impl Default for PodsConfig {
    fn default() -> Self {
        Self {
            directory: "/var/log/pods".into(),
            include: Vec::new(),
            exclude: Vec::new(),
            start_at: StartAt::default(),
            decode: DecodeConfig::default(),
        }
    }
}

/// Hard links that keep rotated files until they are stored.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// The folder; `spool` in the state folder when it is not given. Links work only on the file system of the logs; elsewhere open
    /// descriptors do the same, until the process ends.
    pub directory: Option<PathBuf>,
    /// How many bytes of files that nobody else keeps may be held. Beyond it the oldest are given up, and the ledger says so.
    pub limit: Bytes,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        // A tenth of a small node's disk: an outage of hours at 100 kB/s.
        Self { directory: None, limit: Bytes::mib(1024) }
    }
}

/// When a batch is sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchConfig {
    /// At this many bytes of records.
    pub limit: Bytes,
    /// At this many records.
    pub rows: usize,
    /// At this age of its first record. It is the larger part of the time from a line to its search result.
    pub flush_interval: Span,
    /// Bytes of batches of one thread that may be sent and not yet stored.
    pub in_flight: Bytes,
}

impl Default for BatchConfig {
    fn default() -> Self {
        // Columns compress as well at 4 MiB as at 64; the in-flight limit is what an outage costs in memory.
        Self {
            limit: Bytes::mib(4),
            rows: 32_768,
            flush_interval: Span::millis(200),
            in_flight: Bytes::mib(32),
        }
    }
}

impl CollectorConfig {
    /// Says what cannot be right.
    ///
    /// # Errors
    /// `invalid`, naming the key and what to write instead.
    pub fn check(&self) -> Result<()> {
        Tenant::new(&self.tenant)?;
        for files in &self.files {
            if files.include.is_empty() {
                return Err(Error::invalid("collector.files: `include` needs at least one glob"));
            }
            for glob in files.include.iter().chain(&files.exclude) {
                if !glob.starts_with('/') {
                    return Err(Error::invalid(format!(
                        "collector.files: the glob {glob:?} must be an absolute path"
                    )));
                }
                Glob::new(glob)?;
            }
        }
        for glob in self.pods.iter().flat_map(|pods| pods.include.iter().chain(&pods.exclude)) {
            Glob::new(glob)?;
            if glob.matches('/').count() != 2 && !glob.contains("**") {
                return Err(Error::invalid(format!(
                    "collector.pods: {glob:?} must have the form namespace/pod/container, for example prod/*/*"
                )));
            }
        }
        if self.threads == 0 || self.threads > 64 {
            return Err(Error::invalid("collector.threads must be 1 to 64"));
        }
        if self.batch.rows == 0 || self.batch.limit.0 == 0 {
            return Err(Error::invalid(
                "collector.batch: `rows` and `limit` must be greater than 0",
            ));
        }
        if self.quantum.0 < 4096 {
            return Err(Error::invalid("collector.quantum must be at least 4KiB"));
        }
        Ok(())
    }

    /// The node's name: the configured one, else the host's.
    pub fn node_name(&self) -> String {
        self.node
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    /// Where hard links go.
    pub fn spool_dir(&self) -> PathBuf {
        self.spool.directory.clone().unwrap_or_else(|| self.state_dir.join("spool"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> serde_json::Result<CollectorConfig> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_short_configuration_is_enough_and_an_unknown_key_is_an_error() {
        let config = parse(
            r#"{"files":[{"include":["/var/log/*.log"],"decode":{"format":"plain"}}],"pods":{},
                "batch":{"flush_interval":"100ms"},"spool":{"limit":"2GiB"}}"#,
        )
        .unwrap();
        config.check().unwrap();
        assert_eq!(config.pods.unwrap().directory, PathBuf::from("/var/log/pods"));
        assert_eq!(config.spool.limit, Bytes::mib(2048));
        assert!(parse(r#"{"file":[]}"#).is_err());
        assert!(parse(r#"{"files":[{"inklude":[]}]}"#).is_err());
    }

    #[test]
    fn what_cannot_be_right_is_said_before_anything_starts() {
        let table = [
            (r#"{"files":[{}]}"#, "at least one glob"),
            (r#"{"files":[{"include":["var/*.log"]}]}"#, "absolute"),
            (r#"{"files":[{"include":["/var/{a"]}]}"#, "without its }"),
            (r#"{"pods":{"include":["prod"]}}"#, "namespace/pod/container"),
            (r#"{"threads":0}"#, "threads"),
            (r#"{"tenant":"../x"}"#, "tenant"),
            (r#"{"batch":{"rows":0}}"#, "rows"),
            (r#"{"quantum":"1KiB"}"#, "quantum"),
        ];
        for (json, says) in table {
            let error = parse(json).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}
