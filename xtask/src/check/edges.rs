//! The edges between packages, as ARCHITECTURE.md draws them, checked against `cargo metadata`.
//!
//! Three rules: a package of Rookery may depend only on the packages that its row names; an engine or a client of an outside
//! system appears only in its leaf; and of the crates whose types cross packages there is one version in the lock file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// Who may depend on whom, by folder; development and build dependencies count too.
const ALLOWED: &[(&str, &[&str])] = &[
    ("rookery-core", &[]),
    ("rookery-parquet", &["core"]),
    ("rookery-clickhouse", &["core"]),
    ("rookery-kafka", &["core"]),
    ("rookery-collector", &["core"]),
    ("rookery-ingester", &["core"]),
    ("rookery-query", &["core"]),
    ("rookery-receiver", &["core"]),
    ("rookery-metering", &["core"]),
    ("rookery-alerts", &["core", "query"]),
    ("rookery-dashboards", &["core", "query"]),
    ("rookery-server", STAGES),
    ("rookery-tests", BELOW_TESTS),
    ("rookery-benches", BELOW_BENCHES),
    ("rookery-fuzz", DECODERS),
    ("xtask", &[]),
];

const STAGES: &[&str] = &[
    "core",
    "parquet",
    "clickhouse",
    "kafka",
    "collector",
    "ingester",
    "query",
    "receiver",
    "metering",
    "alerts",
    "dashboards",
];

const BELOW_TESTS: &[&str] = &[
    "core",
    "parquet",
    "clickhouse",
    "kafka",
    "collector",
    "ingester",
    "query",
    "receiver",
    "metering",
    "alerts",
    "dashboards",
    "server",
];

/// The benches start the binary and speak HTTP to it with the test kit.
const BELOW_BENCHES: &[&str] = &[
    "core",
    "parquet",
    "clickhouse",
    "kafka",
    "collector",
    "ingester",
    "query",
    "receiver",
    "metering",
    "alerts",
    "dashboards",
    "server",
    "tests",
];

/// What reads bytes or texts that nobody vouches for.
const DECODERS: &[&str] = &["core", "parquet", "kafka", "collector", "query", "receiver"];

/// Crates that may be named only by one package.
const LEAVES: &[(&str, &str)] = &[
    ("parquet", "rookery-parquet"),
    ("datafusion", "rookery-parquet"),
    ("rdkafka", "rookery-kafka"),
    ("clickhouse", "rookery-clickhouse"),
    ("libfuzzer-sys", "rookery-fuzz"),
];

/// Crates of which two versions would be two different types, or minutes of build time.
const ONE_VERSION: &[&str] = &[
    "arrow-array",
    "arrow-schema",
    "arrow-ipc",
    "parquet",
    "datafusion",
    "tokio",
    "hyper",
    "axum",
];

/// One dependency between packages: who, on what.
type Edge = (String, String);

/// Compares the packages and the lock file with the rules.
///
/// # Errors
/// When a rule is broken, or `cargo metadata` cannot be read.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let metadata =
        workspace.cargo().args(["metadata", "--format-version", "1", "--locked"]).output();
    let metadata: Value = serde_json::from_str(&metadata?).context("read cargo metadata")?;
    let mut wrong = broken(&edges(&metadata)?);
    wrong.extend(doubled(&metadata)?);
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("; ")) }
}

fn packages(metadata: &Value) -> Result<&Vec<Value>> {
    metadata["packages"].as_array().context("cargo metadata lists packages")
}

/// Every dependency that a package of the workspace names.
fn edges(metadata: &Value) -> Result<Vec<Edge>> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a package has a name");
    let mut edges = Vec::new();
    for package in packages(metadata)?.iter().filter(|package| package["source"].is_null()) {
        let from = text(&package["name"])?;
        edges.push((from.clone(), String::new()));
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            edges.push((from.clone(), text(&dependency["name"])?));
        }
    }
    Ok(edges)
}

fn broken(edges: &[Edge]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, to) in edges {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == from) else {
            if to.is_empty() {
                wrong.push(format!("the package {from} has no row in xtask/src/check/edges.rs"));
            }
            continue;
        };
        if let Some(folder) = to.strip_prefix("rookery-")
            && !allowed.contains(&folder)
        {
            wrong.push(format!("{from} must not depend on {to}"));
        }
        if let Some((_, leaf)) = LEAVES.iter().find(|(name, _)| name == to)
            && leaf != from
        {
            wrong.push(format!("{from} must not depend on {to}: only {leaf} does"));
        }
    }
    wrong
}

fn doubled(metadata: &Value) -> Result<Vec<String>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages(metadata)? {
        if let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str())
            && ONE_VERSION.contains(&name)
        {
            versions.entry(name).or_default().push(version);
        }
    }
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    Ok(several
        .map(|(name, v)| format!("{name} is there {} times: {}", v.len(), v.join(", ")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_of(from: &str, to: &str) -> usize {
        broken(&[(from.to_owned(), to.to_owned())]).len()
    }

    #[test]
    fn an_edge_that_is_not_drawn_is_found() {
        assert_eq!(broken_of("rookery-core", "rookery-query"), 1);
        assert_eq!(broken_of("rookery-collector", "rookery-ingester"), 1);
        assert_eq!(broken_of("rookery-query", "parquet"), 1);
        assert_eq!(broken_of("rookery-newcomer", ""), 1);
        assert_eq!(broken_of("rookery-query", "rookery-core"), 0);
        assert_eq!(broken_of("rookery-parquet", "parquet"), 0);
        assert_eq!(broken_of("rookery-server", "rookery-parquet"), 0);
    }

    #[test]
    fn a_second_version_of_a_shared_crate_is_found() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "tokio", "version": "1.1.0" }, { "name": "tokio", "version": "0.2.0" },
            { "name": "syn", "version": "1.0.0" }, { "name": "syn", "version": "2.0.0" },
        ]});
        assert_eq!(doubled(&metadata).unwrap().len(), 1);
    }
}
