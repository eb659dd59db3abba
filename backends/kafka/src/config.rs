//! What a person may say about Kafka: plain data, units in the types, every default with its reason.
//!
//! Nothing here touches the network; [`KafkaConfig::check`] says what cannot be right before anything starts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use rookery_core::units::{Bytes, Span};
use rookery_core::{Error, Result, Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign;

/// The brokers, and how logs travel through them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Where to ask for the brokers: `host:port`, two or three of them.
    pub brokers: Vec<String>,
    /// The topic of the logs. What cannot be decoded goes to the topic of this name with `.dead` behind it.
    pub topic: String,
    /// The consumer group of the ingesters.
    pub group: String,
    /// A name that this ingester keeps over restarts, for example the pod's name in a StatefulSet: a restart within `session_timeout` then moves
    /// no partition.
    pub group_instance_id: Option<String>,
    /// How a client names itself to the brokers.
    pub client_id: String,
    /// Further settings of librdkafka, by its own names. What delivery rests on cannot be set here.
    pub client: BTreeMap<String, String>,
    /// Encryption.
    pub tls: TlsConfig,
    /// The client's name and password.
    pub sasl: Option<SaslConfig>,
    /// The largest message, at most the topic's `max.message.bytes`. A batch that is larger is cut.
    pub message_limit: Bytes,
    /// How many bytes of messages a collector may have sent without an answer. It waits then.
    pub in_flight_limit: Bytes,
    /// How many partitions the topic gets when it is created: at least as many as there will be ingesters.
    pub partitions: u32,
    /// How many copies the topic gets when it is created.
    pub replication_factor: u16,
    /// How long the topic keeps messages, when it is created: longer than the longest time without ingesters.
    pub retention: Span,
    /// Bytes of batches that an ingester may have taken from Kafka and not yet put into a block. It pauses its partitions then.
    pub buffer_limit: Bytes,
    /// How long a partition that goes to another ingester is kept for what is being written.
    pub revoke_wait: Span,
    /// How long the group waits for an ingester that says nothing.
    pub session_timeout: Span,
    /// How often a collector looks whether the topic has more partitions, and whether it may move to another.
    pub partitions_interval: Span,
    /// Topics that others write.
    pub foreign: Vec<ForeignTopic>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topic: "rookery.logs".into(),
            group: "rookery".into(),
            group_instance_id: None,
            client_id: "rookery".into(),
            client: BTreeMap::new(),
            tls: TlsConfig::default(),
            sasl: None,
            // What brokers and clients take when nobody changed them.
            message_limit: Bytes(1_000_000),
            // A second of a collector that reads 100 MB/s.
            in_flight_limit: Bytes::mib(16),
            partitions: 12,
            replication_factor: 3,
            retention: Span::seconds(3 * 86_400),
            buffer_limit: Bytes::mib(64),
            // An append takes well under a second when the store is healthy.
            revoke_wait: Span::seconds(10),
            // As long as nobody reads on what a killed ingester had. More than `revoke_wait`, and five heartbeats.
            session_timeout: Span::seconds(15),
            partitions_interval: Span::seconds(60),
            foreign: Vec::new(),
        }
    }
}

/// Encryption of the connections.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Whether to use it. The brokers' certificates must then name the hosts of `brokers`, and those that brokers advertise.
    pub enabled: bool,
    /// The authority that signed the brokers' certificates, as PEM; the system's authorities when it is not given.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, as PEM, with those between it and an authority that the brokers trust: where they want one.
    pub certificate_file: Option<PathBuf>,
    /// Its key, as PEM. The password of one that is encrypted is `ssl.key.password` of `client`.
    pub key_file: Option<PathBuf>,
}

/// The client's name and password.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaslConfig {
    /// How they are shown to the broker.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// The name.
    #[serde(default)]
    pub username: String,
    /// The password. It is never printed. It need not stand in the file: its variable does as well.
    #[serde(default)]
    pub password: String,
}

impl SaslConfig {
    /// The key without which nobody can be shown to the broker.
    fn missing(&self) -> Option<&'static str> {
        let keys = [("username", &self.username), ("password", &self.password)];
        keys.into_iter().find(|(_, text)| text.is_empty()).map(|(key, _)| key)
    }
}

impl fmt::Debug for SaslConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslConfig")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .field("password", &"(not shown)")
            .finish()
    }
}

/// How name and password are shown to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// As a challenge that does not show the password.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// The same with a shorter hash.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// As they are: only with TLS, or inside of a closed network.
    #[serde(rename = "PLAIN")]
    Plain,
}

impl SaslMechanism {
    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

/// A topic that others write.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignTopic {
    /// Its name.
    pub topic: String,
    /// What a message of it is.
    pub format: ForeignFormat,
    /// Whose data it is.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// For JSON lines: the fields that name a stream; the partition is one otherwise.
    #[serde(default)]
    pub stream_fields: Vec<String>,
    /// For JSON lines: the fields that may hold the time, the first that is there counts.
    #[serde(default)]
    pub time_fields: Vec<String>,
    /// For JSON lines: the fields that may hold the message.
    #[serde(default)]
    pub message_fields: Vec<String>,
}

fn default_tenant() -> String {
    Tenant::DEFAULT.into()
}

/// What a message of a foreign topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForeignFormat {
    /// An OTLP `ExportLogsServiceRequest`, in protobuf.
    Otlp,
    /// JSON objects, one a line.
    JsonLines,
    /// Text, one record a line.
    Plain,
}

/// What delivery rests on: who could set it could lose or reorder records.
const OURS: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "compression.codec",
    "compression.type",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "partition.assignment.strategy",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.required.acks",
    "retries",
    "sasl.password",
    "sasl.username",
    "session.timeout.ms",
    "transactional.id",
];

/// What a message needs beside its batch: key, headers, and the frame that the broker counts.
pub(crate) const MESSAGE_OVERHEAD: u64 = 512;

impl KafkaConfig {
    /// The topic of what could not be decoded.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}.dead", self.topic)
    }

    /// The brokers as one text.
    pub fn bootstrap(&self) -> String {
        self.brokers.join(",")
    }

    /// Says what cannot be right, and what is missing to connect.
    ///
    /// # Errors
    /// `invalid`, with the key and what to write instead.
    pub fn check(&self) -> Result<()> {
        if self.brokers.is_empty() {
            return Err(Error::invalid("kafka.brokers is empty: name at least one as host:port"));
        }
        if let Some(sasl) = &self.sasl
            && let Some(key) = sasl.missing()
        {
            let variable = format!("ROOKERY_KAFKA_SASL_{}", key.to_uppercase());
            return Err(Error::invalid(format!(
                "kafka.sasl.{key} is missing: write it, or give it in the variable {variable}"
            )));
        }
        self.check_what_is_said()
    }

    /// Says what cannot be right, whatever else may come from elsewhere: a file may leave the brokers and the password to variables.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_what_is_said(&self) -> Result<()> {
        let wrong = |text: String| Err(Error::invalid(text));
        if let Some(broker) = self.brokers.iter().find(|b| !b.contains(':') || b.contains(',')) {
            return wrong(format!("kafka.brokers: {broker:?} is not host:port"));
        }
        if let Some(key) = self.client.keys().find(|key| OURS.contains(&key.as_str())) {
            return wrong(format!(
                "kafka.client.{key} cannot be set: delivery exactly once rests on it; a key of kafka itself may be what you want"
            ));
        }
        if self.message_limit.0 < 16 * 1024 {
            return wrong("kafka.message_limit must be at least 16KiB".into());
        }
        if self.revoke_wait.0 >= self.session_timeout.0 {
            return wrong(format!(
                "kafka.revoke_wait ({}) must be less than kafka.session_timeout ({}): the group would take the partition by force",
                self.revoke_wait, self.session_timeout
            ));
        }
        if self.partitions == 0 || self.replication_factor == 0 {
            return wrong("kafka.partitions and kafka.replication_factor start at 1".into());
        }
        self.check_security()?;
        self.check_foreign()
    }

    fn check_security(&self) -> Result<()> {
        let scram = self.sasl.as_ref().is_some_and(|s| s.mechanism != SaslMechanism::Plain);
        if !cfg!(feature = "tls") && (self.tls.enabled || scram) {
            let what = if self.tls.enabled { "kafka.tls" } else { "kafka.sasl with SCRAM" };
            return Err(Error::invalid(format!(
                "{what} needs a build with TLS: this one is without; use the container image, or build with `--features tls`"
            )));
        }
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            return Err(Error::invalid(
                "kafka.tls.certificate_file and kafka.tls.key_file belong together: give both or neither",
            ));
        }
        Ok(())
    }

    fn check_foreign(&self) -> Result<()> {
        let mut numbers = BTreeMap::new();
        for own in &self.foreign {
            Tenant::new(&own.tenant)?;
            if own.topic == self.topic || own.topic == self.dead_letter_topic() {
                return Err(Error::invalid(format!(
                    "kafka.foreign: {:?} is Rookery's own topic",
                    own.topic
                )));
            }
            if let Some(other) = numbers.insert(foreign::topic_number(&own.topic), &own.topic) {
                return Err(Error::invalid(format!(
                    "kafka.foreign: {other:?} and {:?} cannot be read by one group: give one of them to another group",
                    own.topic
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> KafkaConfig {
        KafkaConfig { brokers: vec!["kafka-1:9092".into()], ..KafkaConfig::default() }
    }

    #[test]
    fn a_password_is_not_printed() {
        let sasl = SaslConfig {
            mechanism: SaslMechanism::Plain,
            username: "ada".into(),
            password: "s3cret".into(),
        };
        let printed = format!("{:?}", KafkaConfig { sasl: Some(sasl), ..config() });
        assert!(printed.contains("ada") && !printed.contains("s3cret"), "{printed}");
    }

    #[test]
    fn what_delivery_rests_on_cannot_be_set() {
        config().check().unwrap();
        let mut wrong = config();
        wrong.client.insert("acks".into(), "1".into());
        assert!(wrong.check().unwrap_err().to_string().contains("kafka.client.acks"));
        let mut free = config();
        free.client.insert("socket.keepalive.enable".into(), "true".into());
        free.check().unwrap();
    }

    #[test]
    fn what_cannot_be_right_is_said_before_the_start() {
        for (broken, word) in [
            (KafkaConfig { brokers: vec!["kafka".into()], ..config() }, "host:port"),
            (KafkaConfig { brokers: Vec::new(), ..config() }, "brokers"),
            (KafkaConfig { message_limit: Bytes(5), ..config() }, "message_limit"),
            (KafkaConfig { revoke_wait: Span::seconds(60), ..config() }, "revoke_wait"),
            (KafkaConfig { partitions: 0, ..config() }, "partitions"),
        ] {
            assert!(broken.check().unwrap_err().to_string().contains(word), "{word}");
        }
    }

    #[test]
    fn a_name_without_a_password_is_said_before_the_start() {
        let sasl = |username: &str, password: &str| {
            let (username, password) = (username.into(), password.into());
            Some(SaslConfig { mechanism: SaslMechanism::Plain, username, password })
        };
        for (missing, key) in [(sasl("ada", ""), "PASSWORD"), (sasl("", "s3cret"), "USERNAME")] {
            let config = KafkaConfig { sasl: missing, ..config() };
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(&format!("ROOKERY_KAFKA_SASL_{key}")), "{error}");
            config.check_what_is_said().unwrap();
        }
        KafkaConfig { sasl: sasl("ada", "s3cret"), ..config() }.check().unwrap();
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_says_so() {
        let tls = TlsConfig { enabled: true, ..TlsConfig::default() };
        let error = KafkaConfig { tls, ..config() }.check().unwrap_err();
        assert!(error.to_string().contains("--features tls"), "{error}");
        let sasl = |mechanism| {
            Some(SaslConfig { mechanism, username: "ada".into(), password: "s3cret".into() })
        };
        assert!(
            KafkaConfig { sasl: sasl(SaslMechanism::ScramSha256), ..config() }.check().is_err()
        );
        KafkaConfig { sasl: sasl(SaslMechanism::Plain), ..config() }.check().unwrap();
    }
}
