//! One look at one folder: which names are files of which chain.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Finder, Print, resolve};
use crate::chain::{Chain, Rules, pod_of};
use crate::names::{Hint, is_ignored, pod_file, rotated};
use crate::source::{FileKey, modified};
use crate::walk::{Leaf, Walk};

/// A file of a chain, seen once.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) chain: Arc<Chain>,
    pub(super) path: Arc<Path>,
    pub(super) hint: Hint,
    pub(super) key: FileKey,
    pub(super) size: u64,
    pub(super) modified: i64,
}

impl Looked {
    fn new(chain: Arc<Chain>, path: &Path, hint: Hint) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            chain,
            path: path.into(),
            hint,
            key: FileKey::of(&metadata),
            size: metadata.len(),
            modified: modified(&metadata),
        })
    }

    pub(super) fn print(&self) -> Print {
        Print {
            path: self.path.clone(),
            key: self.key,
            hint: self.hint.clone(),
            size: self.size,
            modified: self.modified,
        }
    }
}

/// Links among the wanted names lead to other folders: those become leaves, and are looked at instead.
///
/// A kubelet's link (`/var/log/containers/*.log`) leads to a container's folder, whose path says more than that of the file behind it.
pub(super) fn follow_links(rules: &Rules, walk: &mut Walk) {
    let mut seen: HashSet<PathBuf> = HashSet::new();
    // One folder under two names is one folder.
    walk.leaves.retain(|path, _| fs::canonicalize(path).is_ok_and(|path| seen.insert(path)));
    let folders: Vec<PathBuf> =
        walk.leaves.iter().filter(|(_, leaf)| !leaf.pod).map(|(path, _)| path.clone()).collect();
    for folder in folders {
        for (name, path) in names_in(&folder) {
            let Some(rule) = wanted(rules, &folder, &name) else { continue };
            if !path.is_symlink() {
                continue;
            }
            if let Some(container) = container_behind(&path) {
                let unwanted = |pods: &crate::chain::PodRule| {
                    pod_of(&container).is_none_or(|pod| !pods.wants(&pod))
                };
                if !rules.pods.as_ref().is_some_and(unwanted) {
                    walk.leaves.entry(container).or_default().pod = true;
                }
            } else if let Some((target, target_name)) = resolve(&path) {
                walk.add_linked(&target, &target_name, rule);
            }
        }
    }
}

/// Follows links one by one until a container's folder is passed.
fn container_behind(link: &Path) -> Option<PathBuf> {
    const HOPS_LIMIT: usize = 8;
    let mut at = link.to_path_buf();
    for _ in 0..HOPS_LIMIT {
        let target = fs::read_link(&at).ok()?;
        at = at.parent()?.join(target);
        let name = at.file_name()?.to_str()?;
        if pod_file(name).is_some() && pod_of(at.parent()?).is_some() {
            return fs::canonicalize(at.parent()?).ok();
        }
    }
    None
}

fn names_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()))
        .filter_map(|entry| Some((entry.file_name().to_str()?.to_owned(), entry.path())))
        .filter(|(name, _)| !is_ignored(name))
        .collect()
}

fn wanted(rules: &Rules, folder: &Path, name: &str) -> Option<usize> {
    rules.file_rule(folder.join(name).to_str()?)
}

impl Finder {
    /// The files of all chains in a folder, as they are now.
    pub(super) fn look(&self, folder: &Path) -> Vec<Looked> {
        match self.leaves.get(folder) {
            Some(leaf) if leaf.pod => self.look_at_container(folder),
            Some(leaf) => self.look_at_files(folder, leaf),
            None => Vec::new(),
        }
    }

    fn look_at_container(&self, folder: &Path) -> Vec<Looked> {
        let Some(pod) = pod_of(folder) else { return Vec::new() };
        let chain = Arc::new(self.rules.pod_chain(folder, &pod));
        let mut files = Vec::new();
        for (name, path) in names_in(folder) {
            let Some(hint) = pod_file(&name) else { continue };
            // Docker keeps the file, and its rotated ones, in a folder of its own.
            if path.is_symlink()
                && let Some((target, base)) = resolve(&path)
            {
                files.extend(rotated_beside(&chain, &target, &base, hint.restart));
            }
            files.extend(Looked::new(chain.clone(), &path, hint));
        }
        files
    }

    fn look_at_files(&self, folder: &Path, leaf: &Leaf) -> Vec<Looked> {
        let names = names_in(folder);
        let present: HashSet<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let linked =
            |name: &str| leaf.linked.iter().find(|(known, _)| known == name).map(|(_, rule)| *rule);
        let rule_of = |name: &str| linked(name).or_else(|| wanted(&self.rules, folder, name));
        let Ok(canonical) = fs::canonicalize(folder) else { return Vec::new() };
        let mut files = Vec::new();
        let mut rest = Vec::new();
        for (name, path) in &names {
            let rotated = rotated(name)
                .filter(|r| !r.ambiguous || present.contains(r.base.as_str()))
                .and_then(|r| Some((rule_of(&r.base)?, r)));
            let (rule, base, hint) = match rotated {
                Some((rule, rotated)) => (rule, rotated.base, rotated.hint),
                None => match rule_of(name) {
                    Some(rule) => (rule, name.clone(), Hint::live(0)),
                    None => {
                        rest.push(path);
                        continue;
                    }
                },
            };
            // What a link leads to is looked at where it is.
            if hint.live && path.is_symlink() {
                continue;
            }
            let chain = Arc::new(self.rules.file_chain(&canonical.join(base), folder, rule));
            files.extend(Looked::new(chain, path, hint));
        }
        self.keep_to_their_chain(folder, &mut files);
        files.extend(self.renamed_freely(folder, &files, &rest));
        files
    }

    /// A file that a chain in this folder has stays in it, whatever its new name looks like.
    fn keep_to_their_chain(&self, folder: &Path, files: &mut [Looked]) {
        for file in files {
            if let Some(owner) = self.owners.get(&file.key)
                && *owner != file.chain.id
                && let Some(known) = self.chains.get(owner)
                && known.chain.folder == folder
            {
                file.chain = known.chain.clone();
                file.hint = file.hint.clone().left();
            }
        }
    }

    /// Files that left a name of a chain for one that says nothing, for example `mv app.log app.log.saved`.
    fn renamed_freely(&self, folder: &Path, files: &[Looked], rest: &[&PathBuf]) -> Vec<Looked> {
        let here: HashSet<FileKey> = files.iter().map(|file| file.key).collect();
        let known = self.chains.values().filter(|known| known.chain.folder == folder);
        let missing: Vec<(FileKey, &Arc<Chain>)> = known
            .flat_map(|known| known.files.iter().map(move |file| (file.key, &known.chain)))
            .filter(|(key, _)| !here.contains(key))
            .collect();
        if missing.is_empty() {
            return Vec::new();
        }
        let find = |path: &&PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            let key = FileKey::of(&metadata);
            let (_, chain) = missing.iter().find(|(missing, _)| *missing == key)?;
            Looked::new(Arc::clone(chain), path, Hint::live(0).left())
        };
        rest.iter().filter_map(find).collect()
    }
}

/// Rotated files of the file that a container's link leads to.
fn rotated_beside(chain: &Arc<Chain>, folder: &Path, base: &str, restart: u64) -> Vec<Looked> {
    let beside = |(name, path): (String, PathBuf)| {
        let found = rotated(&name).filter(|r| r.base == base && !r.ambiguous)?;
        Looked::new(chain.clone(), &path, Hint { restart, ..found.hint })
    };
    names_in(folder).into_iter().filter_map(beside).collect()
}
