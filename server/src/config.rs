//! The configuration: one YAML file, overridden by `ROOKERY_<PATH>` variables, overridden by flags.
//!
//! Each part owns its own section; this file only names the sections. An unknown key is an error that names the nearest
//! right one and the place in the file. Sections of roles that a build lacks are not looked at.

mod reference;
mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use rookery_core::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml_ng::Value;

use crate::cli::CheckConfigArgs;

/// All that can be configured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where everything is kept: the store, checkpoints, the spool. Without it, `/var/lib/rookery` for root, else
    /// `~/.local/share/rookery`.
    pub(crate) data_dir: Option<PathBuf>,
    /// The address of the page and of every API. Loopback by default: there is no authentication yet.
    #[schemars(with = "String")]
    pub(crate) listen: SocketAddr,
    /// What the program says of itself: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
    /// `info,rookery_collector=debug`.
    pub(crate) log: String,
    /// The most bytes between the collector and the store that are not stored yet.
    pub(crate) queue_limit: Bytes,
    /// What is collected, and how.
    pub(crate) collector: rookery_collector::CollectorConfig,
    /// How batches become blocks.
    pub(crate) ingester: sections::IngesterConfig,
    /// The embedded store.
    pub(crate) store: sections::ParquetConfig,
    /// The brokers between collectors and ingesters, for the roles of a fleet.
    pub(crate) kafka: rookery_kafka::KafkaConfig,
    /// The store of a fleet.
    pub(crate) clickhouse: sections::ClickHouseConfig,
    /// Queries, and the limits on them.
    pub(crate) query: sections::QueryConfig,
    /// What may be pushed, and by whom.
    pub(crate) receiver: sections::ReceiverConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8480)),
            log: "info".into(),
            queue_limit: Bytes::mib(32),
            collector: Default::default(),
            ingester: Default::default(),
            store: Default::default(),
            kafka: Default::default(),
            clickhouse: Default::default(),
            query: Default::default(),
            receiver: Default::default(),
        }
    }
}

impl Config {
    /// Reads the file, if there is one, and the environment.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the configuration {}", path.display()))?,
        };
        let name = file.map_or_else(|| "the defaults".into(), |path| path.display().to_string());
        let environment = std::env::vars().filter(|(key, _)| key.starts_with(reference::PREFIX));
        Self::parse(&name, &text, environment)
    }

    /// Says what cannot be right for any role. What one role needs, it asks for when it starts.
    fn check(&self) -> Result<()> {
        self.collector.check()?;
        self.kafka.check_what_is_said()?;
        self.store.validate().context("store")?;
        self.clickhouse.validate()?;
        Ok(())
    }

    fn parse(
        name: &str,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self> {
        // First the text alone, because only then an error knows its line.
        if !text.trim().is_empty() {
            let deserializer = serde_yaml_ng::Deserializer::from_str(text);
            serde_path_to_error::deserialize::<_, Self>(deserializer)
                .map_err(|e| explain(name, &e))?;
        }
        let mut value: Value =
            serde_yaml_ng::from_str(text).with_context(|| format!("{name} is not YAML"))?;
        let keys = reference::keys();
        for (variable, text) in environment.filter(|(variable, _)| !is_unread(variable)) {
            let Some(path) = keys.iter().find(|key| reference::variable(key) == variable) else {
                let names: Vec<String> = keys.iter().map(|key| reference::variable(key)).collect();
                let near = nearest(&variable, names.iter().map(String::as_str));
                let hint = near
                    .map(|near| format!("; the nearest that is one is {near}"))
                    .unwrap_or_default();
                eprintln!(
                    "rookery: the variable {variable} names no configuration key and is ignored{hint}"
                );
                continue;
            };
            let parsed = match reference::reading(path) {
                reference::Reading::TextOrNothing if text.is_empty() => Value::Null,
                reference::Reading::Text | reference::Reading::TextOrNothing => Value::String(text),
                reference::Reading::Yaml => {
                    serde_yaml_ng::from_str(&text).unwrap_or(Value::String(text))
                }
            };
            set(&mut value, path, parsed);
        }
        if value.is_null() {
            return Ok(Self::default());
        }
        let name = format!("{name} with the environment");
        serde_path_to_error::deserialize(value).map_err(|e| explain(&name, &e))
    }
}

/// Whether a variable is for a section that this build does not look at.
fn is_unread(variable: &str) -> bool {
    sections::UNREAD.iter().any(|section| variable.starts_with(&reference::variable(section)))
}

fn set(value: &mut Value, path: &str, leaf: Value) {
    let mut at = value;
    for key in path.split('.') {
        if !at.is_mapping() {
            *at = Value::Mapping(Default::default());
        }
        let Value::Mapping(mapping) = at else { return };
        at = mapping.entry(Value::String(key.into())).or_insert(Value::Null);
    }
    *at = leaf;
}

fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The message of a failed reading: the file, the key's path, and for an unknown key the nearest right one.
fn explain(name: &str, error: &serde_path_to_error::Error<serde_yaml_ng::Error>) -> anyhow::Error {
    let message = error.inner().to_string();
    let path = error.path().to_string();
    let at = error
        .inner()
        .location()
        .map(|l| format!(":{}:{}", l.line(), l.column()))
        .unwrap_or_default();
    let Some(rest) = message.split_once("unknown field `").map(|(_, rest)| rest) else {
        return anyhow!("{name}{at}: {path}: {message}");
    };
    let key = rest.split('`').next().unwrap_or("");
    let known: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
    let hint = nearest(key, known.iter().copied())
        .map(|n| format!(" did you mean `{n}`?"))
        .unwrap_or_default();
    anyhow!(
        "{name}{at}: {path}: `{key}` is not a key;{hint} the keys here are: {}",
        known.join(", ")
    )
}

/// `rookery check-config FILE`
pub(crate) fn check(args: &CheckConfigArgs) -> Result<ExitCode> {
    let file = args.file();
    let config = Config::load(Some(file))?;
    config.check().with_context(|| format!("{} is not right", file.display()))?;
    println!("{} is right", file.display());
    Ok(ExitCode::SUCCESS)
}

/// `rookery config-reference`
pub(crate) fn print_reference() -> Result<ExitCode> {
    print!("{}", reference::markdown()?);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse("rookery.yaml", text, std::iter::empty())
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_nearest_right_one() {
        let error = parse("log: info\ncollector:\n  threadz: 5\n").unwrap_err().to_string();
        assert!(error.contains("rookery.yaml:3"), "{error}");
        assert!(error.contains("did you mean `threads`?"), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = [("ROOKERY_COLLECTOR_THREADS".into(), "7".into())].into_iter();
        let config = Config::parse("f", "collector:\n  threads: 5\n", environment).unwrap();
        assert_eq!(config.collector.threads, 7);
    }

    #[test]
    fn a_text_from_the_environment_stays_as_it_is() {
        let set = |variable: &str, text: &str| {
            let environment = [(variable.into(), text.into())].into_iter();
            Config::parse("f", "", environment).unwrap()
        };
        for text in ["1007", "1e3", "true", "a: *b", "[x", "null", "~"] {
            let config = set("ROOKERY_COLLECTOR_NODE", text);
            assert_eq!(config.collector.node.as_deref(), Some(text));
            assert_eq!(set("ROOKERY_COLLECTOR_CLUSTER", text).collector.cluster, text);
        }
        assert_eq!(set("ROOKERY_COLLECTOR_NODE", "").collector.node, None);
        assert_eq!(set("ROOKERY_QUEUE_LIMIT", "64MiB").queue_limit, Bytes::mib(64));
        assert_eq!(set("ROOKERY_COLLECTOR_THREADS", "2").collector.threads, 2);
        let pods = set("ROOKERY_COLLECTOR_PODS", "{directory: /p}").collector.pods;
        assert_eq!(pods.unwrap().directory, Path::new("/p"));
    }

    #[test]
    fn the_name_may_stand_in_the_file_and_the_password_in_the_environment() {
        let file = "kafka:\n  brokers: [k:9092]\n  sasl: {mechanism: PLAIN, username: ada}\n";
        let without = parse(file).unwrap();
        without.check().unwrap();
        let error = without.kafka.check().unwrap_err().to_string();
        assert!(error.contains("ROOKERY_KAFKA_SASL_PASSWORD"), "{error}");

        let environment = [("ROOKERY_KAFKA_SASL_PASSWORD".into(), "007".into())].into_iter();
        let config = Config::parse("f", file, environment).unwrap();
        config.kafka.check().unwrap();
        let sasl = config.kafka.sasl.unwrap();
        assert_eq!((sasl.username.as_str(), sasl.password.as_str()), ("ada", "007"));
    }

    #[cfg(not(feature = "full"))]
    #[test]
    fn sections_of_roles_that_are_not_built_in_are_not_looked_at() {
        let text = "clickhouse: {url: 'http://c:8123'}\nquery: {no_such_key: 5}\ncollector: {cluster: a}\n";
        let environment = [("ROOKERY_CLICKHOUSE_PASSWORD".into(), "secret".into())].into_iter();
        let config = Config::parse("f", text, environment).unwrap();
        assert_eq!(config.collector.cluster, "a");
        assert!(parse("collector: {no_such_key: 5}\n").is_err(), "its own sections are");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_configuration_that_needs_tls_is_refused_by_a_build_without_it() {
        for text in ["kafka: {tls: {enabled: true}}", "kafka: {sasl: {username: ada}}"] {
            let error = format!("{:#}", parse(text).unwrap().check().unwrap_err());
            assert!(error.contains("--features tls"), "{error}");
        }
    }

    #[cfg(all(feature = "full", not(feature = "tls")))]
    #[test]
    fn https_to_clickhouse_is_refused_by_a_build_without_tls() {
        let config = parse("clickhouse: {url: 'https://c:8443'}").unwrap();
        let error = format!("{:#}", config.check().unwrap_err());
        assert!(error.contains("--features tls"), "{error}");
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("# nothing\n").unwrap().queue_limit, Config::default().queue_limit);
    }

    #[test]
    fn a_wrong_value_names_its_key() {
        let error = parse("queue_limit: much\n").unwrap_err().to_string();
        assert!(error.contains("queue_limit") && error.contains("is not a size"), "{error}");
    }
}
