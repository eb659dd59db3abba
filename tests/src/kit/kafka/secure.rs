//! Listeners that encrypt, and want to know who is there.
//!
//! They say that they are at `localhost`, which is also what the brokers' certificate is for: who asks for `127.0.0.1` finds the same listener,
//! under a name that is not in the certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::class_path;
use super::setup::CLUSTER_ID;
use crate::kit::authority::Authority;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// TLS.
    Tls,
    /// TLS, for who has a certificate that the authority of the brokers signed.
    Mutual,
    /// TLS, and SASL SCRAM in it.
    Scram,
}

impl Listener {
    pub(super) const ALL: [Self; 3] = [Self::Tls, Self::Mutual, Self::Scram];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Mutual => "MUTUAL",
            Self::Scram => "SCRAM",
        }
    }

    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Tls | Self::Mutual => "SSL",
            Self::Scram => "SASL_SSL",
        }
    }
}

/// What the brokers show and trust, and who may come.
#[derive(Debug, Clone)]
pub struct Secure {
    /// Key and certificate in one file, as brokers want them.
    keystore: PathBuf,
    authority: PathBuf,
    users: Vec<User>,
}

/// Somebody who may come by [`Listener::Scram`].
#[derive(Debug, Clone)]
struct User {
    mechanism: &'static str,
    name: String,
    password: String,
}

impl Secure {
    /// With a certificate of this authority for `localhost`, and no users.
    ///
    /// # Errors
    /// When there can be no certificate.
    pub fn by(authority: &Authority) -> Result<Self> {
        let broker = authority.sign("broker", Some("DNS:localhost"))?;
        let keystore = broker.certificate.with_extension("pem");
        let both = [fs::read(&broker.key)?, fs::read(&broker.certificate)?].concat();
        fs::write(&keystore, both)?;
        Ok(Self { keystore, authority: authority.certificate.clone(), users: Vec::new() })
    }

    /// With a user of one mechanism, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    #[must_use]
    pub fn user(mut self, mechanism: &'static str, name: &str, password: &str) -> Self {
        self.users.push(User { mechanism, name: name.into(), password: password.into() });
        self
    }

    /// The properties of a broker.
    pub(super) fn properties(&self) -> Vec<String> {
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let mut lines = vec![
            "ssl.keystore.type=PEM".to_owned(),
            format!("ssl.keystore.location={}", self.keystore.display()),
            "ssl.truststore.type=PEM".to_owned(),
            format!("ssl.truststore.location={}", self.authority.display()),
            "listener.name.mutual.ssl.client.auth=required".to_owned(),
            "listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512".to_owned(),
        ];
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            lines.push(format!("listener.name.scram.{mechanism}.sasl.jaas.config={scram}"));
        }
        lines
    }

    /// Formats the log folder of a broker, with its users in it: they are part of the cluster's metadata.
    pub(super) fn format(&self, properties: &Path) -> Result<()> {
        let mut java = Command::new("java");
        java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &class_path()?]);
        java.args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"]);
        java.arg(properties);
        for User { mechanism, name, password } in &self.users {
            java.arg("--add-scram").arg(format!("{mechanism}=[name={name},password={password}]"));
        }
        let output = java.output().context("run java")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success(), "the broker's folder cannot be formatted: {said}");
        Ok(())
    }
}
