//! The programs that read `deploy/`, from the cache, and YAML.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use rookery_tests::kit::parts;
use serde::Deserialize as _;
use serde_json::Value;

/// A file of the repository.
pub(super) fn repository(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    root.join(path)
}

fn installed(below: &str) -> Result<PathBuf> {
    let path = parts::cache()?.join(below);
    if !path.exists() {
        bail!(
            "{} is missing: run `cargo xtask test --only \"install what deploy\"` once",
            path.display()
        );
    }
    Ok(path)
}

/// A program of the virtual environment of checks: `python`, `hadolint`, `docker-compose`.
pub(super) fn check(program: &str) -> Result<Command> {
    let names = ["KUBERNETES_VALIDATE", "PROMQL_PARSER", "HADOLINT", "COMPOSE"];
    let numbers = names.map(parts::version).join("-");
    Ok(quiet(&installed(&format!("deploy-checks-{numbers}/bin/{program}"))?))
}

/// Helm, without what the person who runs the tests has configured.
pub(super) fn helm(arguments: &[&str]) -> Result<Output> {
    let home = tempfile::tempdir()?;
    let mut command = quiet(&installed(&format!("helm-{}/helm", parts::version("HELM")))?);
    command.args(arguments);
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home.path());
    }
    command.output().context("run helm")
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Both outputs as text.
pub(super) fn printed(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}

/// Its standard output as text.
///
/// # Errors
/// When it failed; the error holds what it printed.
pub(super) fn succeeded(output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("{}", printed(output));
    }
    Ok(String::from_utf8(output.stdout.clone())?)
}

/// Every document of a YAML text that is not empty.
pub(super) fn documents(text: &str) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document).context("read YAML")?;
        if !value.is_null() {
            documents.push(value);
        }
    }
    Ok(documents)
}

/// The text at a pointer; empty when there is none.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a pointer; empty when there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
