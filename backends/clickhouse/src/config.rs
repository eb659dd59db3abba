//! What can be set on the ClickHouse store, with the reason beside each default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use rookery_core::units::{Bytes, Span};
use rookery_core::{Error, Result, Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of the ClickHouse store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseConfig {
    /// The server's HTTP interface: `http://host:8123`, or `https://host:8443`.
    pub url: String,
    /// With https, a file with the certificate of the authority that signed the server's, in PEM; the system's authorities when it is not
    /// given.
    pub ca_file: Option<PathBuf>,
    /// The database that holds the tables; it is made where it is missing.
    pub database: String,
    /// Who asks.
    pub user: String,
    /// The user's password. It is printed nowhere.
    pub password: Secret,
    /// A file whose first line is the password; it goes before `password`.
    pub password_file: Option<PathBuf>,
    /// Which tables are made: for one server, or for a cluster with Keeper.
    pub engine: Engine,
    /// The name of the cluster in the server's configuration, with `engine: replicated`.
    pub cluster: Option<String>,
    /// Which index helps word search in the body.
    pub text_index: TextIndex,
    /// How long records are kept.
    pub retention: Retention,
    /// The longest that one insert may run in the server. A new owner of a partition waits for inserts of the former no longer than
    /// this.
    pub insert_timeout: Span,
    /// How long to wait for an answer of any other statement that is not a scan.
    pub statement_timeout: Span,
    /// How long a start waits for a server that is not there yet.
    pub startup_timeout: Span,
    /// The longest that one statement of a search may run in the server. What a whole search may take is `query.timeout`.
    pub scan_timeout: Span,
    /// The most memory that one statement of a search may take in the server.
    pub scan_memory: Bytes,
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: "http://localhost:8123".into(),
            ca_file: None,
            database: "rookery".into(),
            user: "default".into(),
            password: Secret::default(),
            password_file: None,
            engine: Engine::default(),
            cluster: None,
            text_index: TextIndex::default(),
            retention: Retention::default(),
            // A block of 100,000 records takes about a second; a server that merges with all its cores takes some of these.
            insert_timeout: Span::seconds(30),
            statement_timeout: Span::seconds(60),
            // Longer than a server with many parts takes to load them.
            startup_timeout: Span::seconds(300),
            // A search that runs for longer than this is narrowed by whoever waits for it.
            scan_timeout: Span::seconds(300),
            // Records stream; only groups and what the server's threads read at one time are held.
            scan_memory: Bytes::mib(4096),
        }
    }
}

/// Which tables are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Tables of one server.
    #[default]
    MergeTree,
    /// Replicated tables, and distributed ones over them, on every host of the cluster.
    Replicated,
}

/// Which index helps word search in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextIndex {
    /// Bloom filters of words: 4 % more disk, and seven times less work for a rare word. See
    /// `docs/decisions/0007-clickhouse-schema.md`.
    #[default]
    Auto,
    /// An inverted index: rare words at once and counts of words without reading, for 71 % more disk and twice the work of an insert. A
    /// server without it is an error.
    On,
    /// None.
    Off,
}

/// How long records are kept, by the day on which they were printed. The first rule that fits counts: tenant and project, tenant, default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Where nothing else is said.
    pub default: Span,
    /// By tenant.
    pub tenants: BTreeMap<String, Span>,
    /// By project, in every tenant; it goes before the tenant's.
    pub projects: BTreeMap<String, Span>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            default: Span::seconds(30 * 24 * 3600),
            tenants: BTreeMap::new(),
            projects: BTreeMap::new(),
        }
    }
}

/// A text that is printed nowhere.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(from = "String")]
pub struct Secret(String);

impl Secret {
    /// The text itself; for the header that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"…\"" })
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "…" })
    }
}

impl ClickHouseConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `invalid`, naming the key and what works.
    pub fn validate(&self) -> Result<()> {
        let name = |key: &str, value: &str| {
            let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if value.is_empty() || value.len() > 64 || !value.bytes().all(ok) {
                return Err(Error::invalid(format!(
                    "clickhouse.{key} is {value:?}: use 1 to 64 letters, digits and _"
                )));
            }
            Ok(())
        };
        name("database", &self.database)?;
        match (self.engine, &self.cluster) {
            (Engine::Replicated, Some(cluster)) => name("cluster", cluster)?,
            (Engine::Replicated, None) => {
                return Err(Error::invalid(
                    "clickhouse.engine is replicated: name the cluster in clickhouse.cluster",
                ));
            }
            (Engine::MergeTree, Some(_)) => {
                return Err(Error::invalid(
                    "clickhouse.cluster is set, but clickhouse.engine is merge_tree: choose engine: replicated",
                ));
            }
            (Engine::MergeTree, None) => {}
        }
        for tenant in self.retention.tenants.keys() {
            Tenant::new(tenant)?;
        }
        if self.url.starts_with("https://") {
            if !cfg!(feature = "tls") {
                return Err(Error::invalid(
                    "clickhouse.url with https needs a build with TLS: this one is without; use the container image, or build with `--features tls`",
                ));
            }
        } else if self.ca_file.is_some() {
            return Err(Error::invalid(
                "clickhouse.ca_file is set, but clickhouse.url is not https: nothing would be encrypted",
            ));
        } else if !self.url.starts_with("http://") {
            return Err(Error::invalid(
                "clickhouse.url must start with http:// or https://, for example http://localhost:8123",
            ));
        }
        if self.url.contains('@') {
            return Err(Error::invalid(
                "clickhouse.url must not hold a user: use clickhouse.user and clickhouse.password_file",
            ));
        }
        Ok(())
    }

    /// The password, from the file if one is named.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn password(&self) -> Result<Secret> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::io(format!("read clickhouse.password_file {}", path.display()), e)
        })?;
        Ok(Secret(text.lines().next().unwrap_or_default().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let config = ClickHouseConfig { password: Secret("hunter2".into()), ..Default::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn names_and_engines_that_do_not_fit_are_refused() {
        let wrong = |change: fn(&mut ClickHouseConfig)| {
            let mut config = ClickHouseConfig::default();
            config.validate().unwrap();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(wrong(|c| c.database = "a;b".into()).contains("clickhouse.database"));
        assert!(wrong(|c| c.engine = Engine::Replicated).contains("clickhouse.cluster"));
        assert!(wrong(|c| c.url = "http://me:secret@host".into()).contains("clickhouse.user"));
        assert!(wrong(|c| c.url = "host:9000".into()).contains("http://"));
        assert!(wrong(|c| c.ca_file = Some("/ca.crt".into())).contains("clickhouse.ca_file"));
    }
}
