//! The configuration reference is what the binary prints of itself; the committed page must be that.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::workspace::Workspace;

const PAGE: &str = "docs/reference/configuration.md";

/// Compares the page with what the binary prints; `fix` writes it.
///
/// # Errors
/// When they differ, or the binary does not build.
pub(crate) fn check(workspace: &Workspace, fix: bool) -> Result<()> {
    workspace.build()?;
    let binary = workspace.binary();
    let printed = Command::new(&binary).args(["config-reference"]).output()?;
    let path = workspace.path(PAGE);
    if fix {
        fs::create_dir_all(path.parent().expect("the page lies in a folder"))?;
        return fs::write(&path, printed).with_context(|| format!("write {PAGE}"));
    }
    let committed = fs::read_to_string(&path).with_context(|| format!("read {PAGE}"))?;
    if committed != printed {
        bail!(
            "{PAGE} is not what the binary prints: run `cargo xtask check --fix --only reference`"
        );
    }
    Ok(())
}
