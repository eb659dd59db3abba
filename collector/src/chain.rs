//! A chain is what one stream is read from: the files of one log, oldest first. This module says which chain a path belongs to
//! and what its records share; the finder says which files it has.
//!
//! The identity of a stream is made of names that do not change with a rotation: a container's is (pod UID, container), a file's is
//! (node, the canonical path that is written to). See `docs/decisions/0003-position-is-identity.md`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rookery_core::logs::Resource;
use rookery_core::{Result, StreamId, Tenant};

use crate::config::{CollectorConfig, FilesConfig, PodsConfig, StartAt};
use crate::decode::DecodeConfig;
use crate::glob::Glob;
use crate::names::{Hint, PodPath};
use crate::source::{self, FileKey};

/// One stream's source, as far as the configuration and the path tell.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The stream.
    pub(crate) id: StreamId,
    /// The path that is written to; a container's folder.
    pub(crate) path: Arc<str>,
    /// The stream's tags, for a person.
    pub(crate) tags: Arc<str>,
    /// What its records share.
    pub(crate) resource: Arc<Resource>,
    /// How its bytes become records.
    pub(crate) decode: Arc<DecodeConfig>,
    /// Where reading starts when nothing is known of it.
    pub(crate) start_at: StartAt,
    /// How long a rotated file must be quiet before its successor is read.
    pub(crate) rotate_wait: Duration,
    /// The folder to list when the chain must be looked at again.
    pub(crate) folder: PathBuf,
    /// Whether it is a container's.
    pub(crate) is_pod: bool,
}

impl Chain {
    /// What records share that were printed after this many restarts of the container.
    pub(crate) fn resource_of(&self, restart: u64) -> Arc<Resource> {
        if !self.is_pod {
            return self.resource.clone();
        }
        let mut resource = (*self.resource).clone();
        resource.labels.push(("restart".into(), restart.to_string()));
        Arc::new(resource)
    }
}

/// One file of a chain, as a folder's listing shows it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Where.
    pub(crate) path: Arc<Path>,
    /// What its name says.
    pub(crate) hint: Hint,
    /// Which file.
    pub(crate) key: FileKey,
    /// Its size in bytes, as it is on disk.
    pub(crate) size: u64,
    /// The open file, when it was seen for the first time.
    pub(crate) file: Option<File>,
    /// Whether it is the one that is written to.
    pub(crate) live: bool,
}

impl Seen {
    /// The file, opened now if it was not handed over before. `None` when another file has its name by now.
    pub(crate) fn open(&mut self) -> Option<File> {
        self.file.take().or_else(|| {
            let file = source::open(&self.path).ok()?;
            (FileKey::of(&file.metadata().ok()?) == self.key).then_some(file)
        })
    }
}

/// All files of a chain at one moment, oldest first. Two looks at the folder agreed on it.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Of which.
    pub(crate) chain: Arc<Chain>,
    /// Its files.
    pub(crate) files: Vec<Seen>,
    /// Grows; a listing answers a request to look again when its number is not smaller.
    pub(crate) sequence: u64,
    /// Whether it was made at the collector's start.
    pub(crate) at_start: bool,
}

/// The configuration, parsed.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Plain files, in the order of the configuration; the first rule that wants a path has it.
    pub(crate) files: Vec<FileRule>,
    /// Containers.
    pub(crate) pods: Option<PodRule>,
    tenant: Tenant,
    node: String,
    cluster: String,
    project: String,
    rotate_wait: Duration,
    rotate_wait_pods: Duration,
}

/// One entry of `files`.
#[derive(Debug)]
pub(crate) struct FileRule {
    /// What is wanted.
    pub(crate) include: Vec<Glob>,
    exclude: Vec<Glob>,
    config: FilesConfig,
    decode: Arc<DecodeConfig>,
}

impl FileRule {
    /// Whether the rule wants this path.
    pub(crate) fn wants(&self, path: &str) -> bool {
        self.include.iter().any(|glob| glob.matches(path))
            && !self.exclude.iter().any(|glob| glob.matches(path))
    }
}

/// The entry `pods`.
#[derive(Debug)]
pub(crate) struct PodRule {
    /// The kubelet's folder.
    pub(crate) directory: PathBuf,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    start_at: StartAt,
    decode: Arc<DecodeConfig>,
}

impl PodRule {
    fn new(config: &PodsConfig) -> Result<Self> {
        Ok(Self {
            directory: config.directory.clone(),
            include: globs(&config.include)?,
            exclude: globs(&config.exclude)?,
            start_at: config.start_at,
            decode: Arc::new(config.decode.clone()),
        })
    }

    /// Whether this container is wanted.
    pub(crate) fn wants(&self, pod: &PodPath) -> bool {
        let name = pod.filter_name();
        (self.include.is_empty() || self.include.iter().any(|glob| glob.matches(&name)))
            && !self.exclude.iter().any(|glob| glob.matches(&name))
    }
}

fn globs(texts: &[String]) -> Result<Vec<Glob>> {
    texts.iter().map(|text| Glob::new(text)).collect()
}

impl Rules {
    /// Parses a configuration that was checked.
    ///
    /// # Errors
    /// `invalid` for a glob or a tenant that is none.
    pub(crate) fn new(config: &CollectorConfig) -> Result<Self> {
        let rule = |files: &FilesConfig| {
            Ok(FileRule {
                include: globs(&files.include)?,
                exclude: globs(&files.exclude)?,
                decode: Arc::new(files.decode.clone()),
                config: files.clone(),
            })
        };
        Ok(Self {
            files: config.files.iter().map(rule).collect::<Result<_>>()?,
            pods: config.pods.as_ref().map(PodRule::new).transpose()?,
            tenant: Tenant::new(&config.tenant)?,
            node: config.node_name(),
            cluster: config.cluster.clone(),
            project: config.project.clone(),
            rotate_wait: config.rotate_wait.0,
            rotate_wait_pods: config.rotate_wait_pods.0,
        })
    }

    /// The first rule that wants a path.
    pub(crate) fn file_rule(&self, path: &str) -> Option<usize> {
        self.files.iter().position(|rule| rule.wants(path))
    }

    /// The chain of a container's folder. Containers found through a link use the defaults when `pods` is not configured.
    pub(crate) fn pod_chain(&self, folder: &Path, pod: &PodPath) -> Chain {
        let resource = Resource {
            source: "container".into(),
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            project: self.project.clone(),
            namespace: pod.namespace.clone(),
            pod: pod.pod.clone(),
            container: pod.container.clone(),
            path: folder.to_string_lossy().into_owned(),
            labels: vec![("pod_uid".into(), pod.uid.clone())],
            ..Resource::default()
        };
        let id = StreamId::of(&self.tenant, &["container", &pod.uid, &pod.container]);
        let decode = self.pods.as_ref().map_or_else(Arc::default, |rule| rule.decode.clone());
        let start_at = self.pods.as_ref().map_or_else(StartAt::default, |rule| rule.start_at);
        Self::chain(id, resource, decode, start_at, self.rotate_wait_pods, folder, true)
    }

    /// The chain of the file that is written to at `path`, a canonical one, under the rule of this index. `folder` is where it is listed.
    pub(crate) fn file_chain(&self, path: &Path, folder: &Path, rule: usize) -> Chain {
        let rule = &self.files[rule];
        let text = path.to_string_lossy();
        let resource = Resource {
            source: rule.config.source.name().into(),
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            project: self.project.clone(),
            path: text.clone().into_owned(),
            ..Resource::default()
        };
        let id = StreamId::of(&self.tenant, &["file", &self.node, &text]);
        let (decode, start_at) = (rule.decode.clone(), rule.config.start_at);
        Self::chain(id, resource, decode, start_at, self.rotate_wait, folder, false)
    }

    fn chain(
        id: StreamId,
        resource: Resource,
        decode: Arc<DecodeConfig>,
        start_at: StartAt,
        rotate_wait: Duration,
        folder: &Path,
        is_pod: bool,
    ) -> Chain {
        Chain {
            id,
            path: resource.path.as_str().into(),
            tags: resource.stream_tags().into(),
            resource: Arc::new(resource),
            decode,
            start_at,
            rotate_wait,
            folder: folder.into(),
            is_pod,
        }
    }

    /// The chain of a path that a checkpoint or the spool remembers, if the configuration still wants it.
    pub(crate) fn chain_of(&self, path: &Path) -> Option<Chain> {
        if let Some(pod) = pod_of(path)
            && let Some(rule) = &self.pods
        {
            return rule.wants(&pod).then(|| self.pod_chain(path, &pod));
        }
        let rule = self.file_rule(path.to_str()?)?;
        Some(self.file_chain(path, path.parent()?, rule))
    }
}

/// The container whose folder this is, by the kubelet's layout.
pub(crate) fn pod_of(folder: &Path) -> Option<PodPath> {
    let container = folder.file_name()?.to_str()?;
    let pod = folder.parent()?.file_name()?.to_str()?;
    PodPath::new(pod, container)
}
