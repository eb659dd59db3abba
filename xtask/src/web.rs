//! The page that the binary carries: built from `dashboards/web`, committed as `dashboards/web/dist`.
//!
//! It is committed so that building the binary needs no Node. So the committed bundle must be, byte for byte, what the
//! sources build.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::install;
use crate::report::say;
use crate::workspace::Workspace;

/// Writes `dist` anew.
///
/// # Errors
/// When the build fails.
pub(crate) fn rebuild(workspace: &Workspace) -> Result<()> {
    install::node_modules(workspace)?;
    build(workspace, &workspace.web().join("dist"))?;
    say("    dashboards/web/dist is built: commit it with its sources");
    Ok(())
}

/// Builds beside the committed bundle and compares the two.
///
/// # Errors
/// When the build fails, or a file differs, is missing or is left over.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    install::node_modules(workspace)?;
    let built = workspace.target().join("xtask/web-dist");
    build(workspace, &built)?;
    let wrong = differences(&contents(&built)?, &contents(&workspace.web().join("dist"))?);
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "dashboards/web/dist is not what the sources build: run `cargo xtask web` and commit ({})",
        wrong.join(", ")
    )
}

/// TypeScript, ESLint and Prettier.
///
/// # Errors
/// When one of them complains.
pub(crate) fn lint(workspace: &Workspace) -> Result<()> {
    install::npm(workspace)?.args(["run", "--silent", "check"]).run()
}

fn build(workspace: &Workspace, to: &Path) -> Result<()> {
    let npm = install::npm(workspace)?.args(["run", "--silent", "build", "--"]);
    npm.args(["--logLevel", "warn", "--emptyOutDir", "--outDir"]).args([to]).run()
}

/// Every file below a folder, by its path in it.
fn contents(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(&next).with_context(|| format!("list {}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it lies below the folder").to_owned();
                files.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

fn differences(
    built: &BTreeMap<PathBuf, Vec<u8>>,
    committed: &BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<String> {
    let mut names: Vec<&PathBuf> = built.keys().chain(committed.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differ = names.into_iter().filter(|name| built.get(*name) != committed.get(*name));
    differ.map(|name| name.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_missing_and_left_over_files_are_differences() {
        let files = |list: &[(&str, &str)]| {
            list.iter().map(|(n, t)| (PathBuf::from(n), t.as_bytes().to_vec())).collect()
        };
        let built = files(&[("same", "1"), ("changed", "1"), ("new", "1")]);
        let committed = files(&[("same", "1"), ("changed", "2"), ("old", "1")]);
        assert_eq!(differences(&built, &committed), ["changed", "new", "old"]);
    }
}
