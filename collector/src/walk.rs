//! From globs to the folders to look into. Each folder is read once a walk; a glob goes only into folders where it may match.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::chain::{Rules, pod_of};
use crate::glob::Part;

/// How deep `**` goes. Logs are not deeper; a loop of bind mounts ends here.
const DEPTH_LIMIT: usize = 24;

/// The most folders of one walk. A glob over a whole file system must not take all memory.
pub(crate) const FOLDERS_LIMIT: usize = 100_000;

/// A folder with files to look at.
#[derive(Debug, Default, Clone)]
pub(crate) struct Leaf {
    /// It is a container's.
    pub(crate) pod: bool,
    /// Names in it that are wanted because a link elsewhere leads to them, with the rule that wants the link.
    pub(crate) linked: Vec<(String, usize)>,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Folders with files to look at.
    pub(crate) leaves: BTreeMap<PathBuf, Leaf>,
    /// Folders in which new folders may come.
    pub(crate) branches: Vec<PathBuf>,
    /// Whether [`FOLDERS_LIMIT`] ended it.
    pub(crate) is_cut: bool,
}

impl Walk {
    /// Walks all rules. `entered` is told of each folder before it is read, so that a watch on it misses nothing.
    pub(crate) fn new(rules: &Rules, entered: &mut impl FnMut(&Path)) -> Self {
        let mut walk = Self::default();
        if let Some(pods) = &rules.pods {
            let folders = walk.folders(&pods.directory, entered);
            for container in
                folders.iter().flat_map(|pod| walk.folders(pod, entered)).collect::<Vec<_>>()
            {
                if pod_of(&container).is_some_and(|pod| pods.wants(&pod)) {
                    walk.leaf(&container, entered).pod = true;
                }
            }
        }
        for rule in &rules.files {
            for parts in rule.include.iter().flat_map(crate::glob::Glob::alternatives) {
                walk.follow(Path::new("/"), parts, 0, entered);
            }
        }
        walk
    }

    fn leaf(&mut self, folder: &Path, entered: &mut impl FnMut(&Path)) -> &mut Leaf {
        if !self.leaves.contains_key(folder) {
            entered(folder);
        }
        self.leaves.entry(folder.into()).or_default()
    }

    /// Adds a folder that a link leads to.
    pub(crate) fn add_linked(&mut self, folder: &Path, name: &str, rule: usize) {
        let leaf = self.leaves.entry(folder.into()).or_default();
        if !leaf.linked.iter().any(|(known, _)| known == name) {
            leaf.linked.push((name.into(), rule));
        }
    }

    fn follow(
        &mut self,
        folder: &Path,
        parts: &[Part],
        depth: usize,
        entered: &mut impl FnMut(&Path),
    ) {
        let Some((part, rest)) = parts.split_first() else { return };
        if depth > DEPTH_LIMIT || self.is_cut {
            return;
        }
        if rest.is_empty() && *part != Part::AnyDepth {
            if folder.is_dir() {
                self.leaf(folder, entered);
            }
            return;
        }
        match part {
            Part::Literal(name) => {
                // What does not exist yet is found by a watch on the last folder that does.
                let next = folder.join(name);
                if next.is_dir() {
                    self.follow(&next, rest, depth + 1, entered);
                } else {
                    self.branch(folder, entered);
                }
            }
            Part::Pattern(_) => {
                for next in self.folders(folder, entered) {
                    let name = next.file_name().unwrap_or_default().to_string_lossy();
                    if part.matches(&name) {
                        self.follow(&next, rest, depth + 1, entered);
                    }
                }
            }
            Part::AnyDepth => {
                if rest.is_empty() {
                    self.leaf(folder, entered);
                } else {
                    self.follow(folder, rest, depth, entered);
                }
                for next in self.folders(folder, entered) {
                    // A link to a folder above would never end.
                    if !next.is_symlink() {
                        self.follow(&next, parts, depth + 1, entered);
                    }
                }
            }
        }
    }

    fn branch(&mut self, folder: &Path, entered: &mut impl FnMut(&Path)) {
        entered(folder);
        self.branches.push(folder.into());
    }

    /// The folders in a folder. One that cannot be read has none; the files in it are not readable either.
    fn folders(&mut self, folder: &Path, entered: &mut impl FnMut(&Path)) -> Vec<PathBuf> {
        if self.branches.len() >= FOLDERS_LIMIT {
            self.is_cut = true;
            return Vec::new();
        }
        if !folder.is_dir() {
            if let Some(parent) = folder.parent().filter(|parent| parent.is_dir()) {
                self.branch(parent, entered);
            }
            return Vec::new();
        }
        self.branch(folder, entered);
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let is_folder = |entry: &fs::DirEntry| match entry.file_type() {
            Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
            Ok(kind) => kind.is_dir(),
            Err(_) => false,
        };
        entries.flatten().filter(is_folder).map(|entry| entry.path()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CollectorConfig, FilesConfig};

    fn leaves(root: &Path, globs: &[&str]) -> Vec<String> {
        let include = globs.iter().map(|glob| format!("{}/{glob}", root.display())).collect();
        let files = vec![FilesConfig { include, ..FilesConfig::default() }];
        let rules = Rules::new(&CollectorConfig { files, ..CollectorConfig::default() }).unwrap();
        let mut entered = Vec::new();
        let walk = Walk::new(&rules, &mut |folder| entered.push(folder.to_path_buf()));
        // Everything that is looked into is watched before.
        assert!(walk.leaves.keys().chain(&walk.branches).all(|folder| entered.contains(folder)));
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        walk.leaves.keys().map(name).collect()
    }

    #[test]
    fn a_glob_leads_only_into_folders_where_it_may_match() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for folder in ["a/x/y", "b/x", "c"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("a/x/loop")).unwrap();
        assert_eq!(leaves(root, &["a/*.log"]), ["a"]);
        assert_eq!(leaves(root, &["*/x/*.log"]), ["a/x", "b/x"]);
        assert_eq!(leaves(root, &["a/**/*.log"]), ["a", "a/x", "a/x/y"]);
        assert_eq!(leaves(root, &["a/**"]), ["a", "a/x", "a/x/y"]);
        assert_eq!(leaves(root, &["{b,c}/*.log"]), ["b", "c"]);
        // Not there yet: the folder above is watched.
        assert!(leaves(root, &["d/e/*.log"]).is_empty());
    }
}
