//! Tracked text speaks of Rookery alone: no path of the machine on which it was written.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// Folders that are the same on every machine: naming them says nothing about this one.
const COMMON: [&str; 9] = ["/", "/tmp", "/var", "/home", "/usr", "/opt", "/srv", "/mnt", "/src"];

/// Looks for paths of this machine in every tracked text file.
///
/// # Errors
/// When one is found.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let needles = needles(&workspace.root, std::env::var("HOME").ok().as_deref());
    let mut wrong = Vec::new();
    for file in workspace.files()? {
        let Ok(text) = fs::read_to_string(workspace.path(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle.as_str())) {
                wrong.push(format!("{file}:{}: a path of this machine", number + 1));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("; ")) }
}

fn needles(root: &Path, home: Option<&str>) -> Vec<String> {
    let parent = root.parent().and_then(Path::to_str);
    let folders = [root.to_str(), parent, home];
    let own = folders.into_iter().flatten().filter(|folder| !COMMON.contains(folder));
    own.map(|folder| format!("{}/", folder.trim_end_matches('/'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_this_machine_are_looked_for() {
        assert_eq!(
            needles(Path::new("/tmp/clone"), Some("/home/ada")),
            ["/tmp/clone/", "/home/ada/"]
        );
        assert_eq!(needles(Path::new("/build/clone"), None), ["/build/clone/", "/build/"]);
    }
}
