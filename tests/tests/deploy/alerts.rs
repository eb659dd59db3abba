//! The alert rules: expressions that Prometheus can parse, over names that the binary exports.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use rookery_tests::kit::process::{Launch, RoleLaunch};
use serde_json::Value;

use super::tools::{at, check, documents, list, printed, repository};

fn rules() -> Result<Vec<Value>> {
    let text = fs::read_to_string(repository("deploy/alerts/rookery.yaml"))?;
    let file = documents(&text)?.pop().context("the rules are one document")?;
    Ok(list(&file, "/groups").iter().flat_map(|group| list(group, "/rules")).cloned().collect())
}

/// The names that begin with `rookery_` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("rookery_")).map(str::to_owned).collect()
}

#[test]
fn every_rule_is_promql_and_says_what_to_do() -> Result<()> {
    let rules = rules()?;
    let expressions: Vec<&str> = rules.iter().map(|rule| at(rule, "/expr")).collect();
    assert!(!expressions.is_empty());
    let parse = "import promql_parser, sys\nfor expression in sys.argv[1:]: promql_parser.parse(expression)";
    let output = check("python")?.args(["-c", parse]).args(&expressions).output()?;
    assert!(output.status.success(), "{}", printed(&output));
    let wrong = check("python")?.args(["-c", parse, "sum by (a"]).output()?;
    assert!(!wrong.status.success(), "the parser finds what is wrong");
    for rule in &rules {
        for key in
            ["/alert", "/labels/severity", "/annotations/summary", "/annotations/description"]
        {
            assert!(!at(rule, key).is_empty(), "{rule} has no {key}");
        }
    }
    Ok(())
}

#[test]
fn rules_and_the_guide_name_only_metrics_that_the_binary_exports() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut rookery = Launch::below(folder.path())?.start()?;
    let body = rookery.client()?.get("/metrics", &[])?;
    let mut exported = names(&String::from_utf8(body.to_vec())?);
    rookery.stop()?;
    // A role says its own from its start, whatever it waits for.
    let config = folder.path().join("ingester.yaml");
    let nowhere = "listen: 127.0.0.1:0\nkafka: {brokers: ['127.0.0.1:1']}\nclickhouse: {url: 'http://127.0.0.1:2'}\n";
    fs::write(&config, nowhere)?;
    let journal = config.with_extension("log");
    let launch = RoleLaunch { role: "ingester", config, journal, environment: Vec::new() };
    let mut ingester = launch.spawn()?;
    let body = ingester.client()?.get("/metrics", &[])?;
    exported.extend(names(&String::from_utf8(body.to_vec())?));
    ingester.stop()?;
    for file in ["deploy/alerts/rookery.yaml", "docs/guides/deploying.md"] {
        let named = names(&fs::read_to_string(repository(file))?);
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(named.len() > 5, "{file} names metrics");
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which nothing exports");
    }
    Ok(())
}
