//! Where things are, and which files belong to the repository.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::Command;

/// The checkout in which `cargo xtask` was called.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its top folder.
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from.
    pub(crate) fn find() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().expect("xtask/ lies in the top folder").to_owned();
        Self { root }
    }

    /// A path below the top folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The folder of the page's sources.
    pub(crate) fn web(&self) -> PathBuf {
        self.path("dashboards/web")
    }

    /// The folder into which cargo builds.
    pub(crate) fn target(&self) -> PathBuf {
        let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        chosen.map_or_else(|| self.path("target"), |folder| self.root.join(folder))
    }

    /// The binary of the development profile.
    pub(crate) fn binary(&self) -> PathBuf {
        self.target().join("debug/rookery")
    }

    /// Builds the binary of the development profile, with the whole workspace, so that features are resolved as in the tests and
    /// nothing is built twice.
    ///
    /// # Errors
    /// When it does not build.
    pub(crate) fn build(&self) -> Result<()> {
        self.cargo().args(["build", "--workspace", "--bins"]).run()
    }

    /// The same with TLS, beside it.
    pub(crate) fn binary_with_tls(&self) -> PathBuf {
        self.target().join("debug/rookery-tls")
    }

    /// Builds that one; to be done before [`Self::build`], whose place it takes for a moment.
    ///
    /// # Errors
    /// When it does not build.
    pub(crate) fn build_with_tls(&self) -> Result<()> {
        let features = ["--features", "rookery-server/tls"];
        self.cargo().args(["build", "--workspace", "--bins"]).args(features).run()?;
        std::fs::copy(self.binary(), self.binary_with_tls()).context("keep the binary with TLS")?;
        Ok(())
    }

    /// A program to be started in the top folder.
    pub(crate) fn command(&self, program: &str) -> Command {
        Command::new(program).current_dir(&self.root)
    }

    /// `cargo`, the one that called this program.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        self.command(&cargo)
    }

    /// The files that git tracks or would track, relative to the top folder, sorted.
    ///
    /// # Errors
    /// When git cannot be run here.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = self.command("git").args(list).output()?;
        let mut files: Vec<String> = output
            .split('\0')
            .filter(|name| !name.is_empty() && self.path(name).is_file())
            .map(str::to_owned)
            .collect();
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }
}
