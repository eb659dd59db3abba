//! From the configuration to librdkafka's settings, and from its errors to ours.

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rookery_core::{Error, Kind, Result};

use crate::config::{KafkaConfig, SaslConfig, TlsConfig};

/// A time to poll for. The binding waits in whole milliseconds, and spins for what is left of the last one: with a little more than
/// whole ones, nothing is left when it wakes.
pub(crate) const fn whole_millis(millis: u64) -> Duration {
    Duration::from_micros(millis * 1000 + 100)
}

/// What every client shares.
pub(crate) fn common(config: &KafkaConfig) -> Result<ClientConfig> {
    config.check()?;
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", config.bootstrap())
        .set("client.id", &config.client_id)
        // What happens in between is logged by its caller; this is what librdkafka alone knows.
        .set_log_level(RDKafkaLogLevel::Warning)
        .set("log.connection.close", "false")
        // A broker that comes back is found within a second, and one that is away is not hammered.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.nagle.disable", "true")
        // A topic that brokers make on their own, because somebody asked for it, has one partition and one copy.
        .set("allow.auto.create.topics", "false");
    for (name, value) in &config.client {
        client.set(name, value);
    }
    secure(&mut client, &config.tls, config.sasl.as_ref());
    Ok(client)
}

fn secure(client: &mut ClientConfig, tls: &TlsConfig, sasl: Option<&SaslConfig>) {
    let protocol = match (tls.enabled, sasl.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    let text = |path: &Path| path.display().to_string();
    if let Some(file) = &tls.ca_file {
        client.set("ssl.ca.location", text(file));
    }
    if let (Some(certificate), Some(key)) = (&tls.certificate_file, &tls.key_file) {
        client.set("ssl.certificate.location", text(certificate));
        client.set("ssl.key.location", text(key));
    }
    if let Some(sasl) = sasl {
        client.set("sasl.mechanisms", sasl.mechanism.name());
        client.set("sasl.username", &sasl.username);
        client.set("sasl.password", &sasl.password);
    }
}

/// The keys of ours behind settings of librdkafka that a file or a person may have wrong.
const KEYS: &[(&str, &str)] = &[
    ("ssl.ca.location", "kafka.tls.ca_file"),
    ("ssl.certificate.location", "kafka.tls.certificate_file"),
    ("ssl.key.location", "kafka.tls.key_file"),
];

/// An error of ours for one of Kafka while doing `what`.
pub(crate) fn error(what: impl std::fmt::Display, error: KafkaError) -> Error {
    if let KafkaError::ClientCreation(text) = &error
        && let Some((_, key)) = KEYS.iter().find(|(setting, _)| text.contains(setting))
    {
        let text = format!("cannot {what}: {key} is not a file that can be used");
        return Error::invalid(text).because(error);
    }
    let kind = error.rdkafka_error_code().map_or(Kind::Unavailable, kind);
    Error::new(kind, format!("cannot {what}")).because(error)
}

/// What the caller can do about an error code.
pub(crate) fn kind(code: RDKafkaErrorCode) -> Kind {
    use RDKafkaErrorCode as C;
    match code {
        C::InvalidConfig | C::InvalidArgument | C::InvalidPartitions | C::InvalidTopic => {
            Kind::Invalid
        }
        C::MessageSizeTooLarge => Kind::TooLarge,
        C::Authentication | C::SaslAuthenticationFailed => Kind::Unauthenticated,
        C::TopicAuthorizationFailed
        | C::GroupAuthorizationFailed
        | C::ClusterAuthorizationFailed => Kind::Forbidden,
        _ => Kind::Unavailable,
    }
}
