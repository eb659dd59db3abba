//! Topics at the start of a process: waited for, created where they are missing, looked at where they are there.
//!
//! A broker that is away, or that refuses this client, is waited for, with a message that names it and says why, so that parts may start in any order. A right that is missing is an
//! error that says what to grant. What is unsafe about a topic is a warning that says what to change: it is somebody's choice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rookery_core::{Error, Kind, Result};
use tokio_util::sync::CancellationToken;

use crate::client;
use crate::complaints::{Complaints, advice};
use crate::config::KafkaConfig;

/// How long one question to the brokers may take.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// The same while no broker was ever reached: how soon that is said; and how long one try takes, and so a stop, for a question cannot be taken back.
const REACH_LIMIT: Duration = Duration::from_secs(2);
const REACH_SLICE: Duration = Duration::from_millis(200);

/// The pauses between questions while no broker answers.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_LIMIT: Duration = Duration::from_secs(10);

/// What a dead letter has beside the message in it.
pub(crate) const DEAD_LETTER_BYTES: u64 = 16 * 1024;

/// How long a topic that was just made takes until every broker knows it, about.
const SPREAD: Duration = Duration::from_millis(100);

/// A topic, as the brokers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    /// How many partitions.
    pub(crate) partitions: u32,
    /// How many copies the partition with the fewest has.
    pub(crate) replicas: u32,
    /// The largest message, when the brokers say it.
    pub(crate) message_limit: Option<u64>,
    /// How many copies must have a message before it counts as written, when the brokers say it.
    pub(crate) min_in_sync: Option<u32>,
}

/// Waits for the brokers, makes the topic of the logs and that of the dead letters if they are missing, and warns of what is unsafe.
///
/// # Errors
/// `cancelled`; `forbidden` when a topic is missing and may not be created; `invalid` when the topic takes smaller messages than are sent.
pub(crate) async fn prepare(config: &KafkaConfig, cancel: &CancellationToken) -> Result<Topic> {
    let admin = Arc::new(administrator(config)?);
    let mut complaints = Complaints::default();
    let mut pause = PAUSE;
    let stopped = || Error::cancelled("the process stops before Kafka was there");
    loop {
        let looked = tokio::select! {
            () = cancel.cancelled() => return Err(stopped()),
            looked = look_at_both(&admin, config) => looked,
        };
        let wait = match looked {
            Ok(Some(topic)) => {
                check(config, &topic)?;
                return Ok(topic);
            }
            Ok(None) => SPREAD,
            Err(error) if !error.kind().is_retryable() => return Err(error),
            Err(error) => {
                complaints.hear(admin.inner());
                complain(config, &error, complaints.last(), pause);
                let wait = pause;
                pause = (pause * 2).min(PAUSE_LIMIT);
                wait
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return Err(stopped()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn administrator(config: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>> {
    client::common(config)?
        // A listener of another protocol does nothing but close the connection, and librdkafka says so at this level.
        .set("log.connection.close", "true")
        .set_log_level(RDKafkaLogLevel::Info)
        .create()
        .map_err(|e| client::error("start a client of Kafka", e))
}

/// Says why the topics could not be looked at, and what to do about it.
fn complain(config: &KafkaConfig, error: &Error, said: Option<&str>, retry_in: Duration) {
    let brokers = config.bootstrap();
    match said.and_then(|said| Some((said, advice(config, said)?))) {
        Some((said, advice)) => {
            tracing::warn!(brokers, said, ?retry_in, "cannot talk to Kafka: {advice}");
        }
        None => tracing::warn!(brokers, %error, said, ?retry_in, "waiting for Kafka"),
    }
}

async fn look_at_both(
    admin: &Arc<AdminClient<DefaultClientContext>>,
    config: &KafkaConfig,
) -> Result<Option<Topic>> {
    let topic = look_or_create(admin, config, &config.topic).await?;
    let dead = look_or_create(admin, config, &config.dead_letter_topic()).await?;
    Ok(topic.filter(|_| dead.is_some()))
}

/// The topic; `None` when it was just made, and the brokers may hear of it a moment later.
async fn look_or_create(
    admin: &Arc<AdminClient<DefaultClientContext>>,
    config: &KafkaConfig,
    name: &str,
) -> Result<Option<Topic>> {
    match found(admin, name).await? {
        Some((partitions, replicas)) => {
            let (message_limit, min_in_sync) = settings(admin, name).await;
            Ok(Some(Topic { partitions, replicas, message_limit, min_in_sync }))
        }
        None => {
            create(admin, config, name).await?;
            Ok(None)
        }
    }
}

/// Asks for a topic: how many partitions it has, and how many copies.
async fn found(
    admin: &Arc<AdminClient<DefaultClientContext>>,
    name: &str,
) -> Result<Option<(u32, u32)>> {
    let until = Instant::now() + REACH_LIMIT;
    loop {
        let is_known = admin.inner().fetch_cluster_id(Duration::ZERO).is_some();
        let limit = if is_known { ASK_LIMIT } else { REACH_SLICE };
        let (asked, asked_name) = (admin.clone(), name.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            let metadata = asked.inner().fetch_metadata(Some(&asked_name), limit);
            metadata.map(|metadata| partitions(&metadata, &asked_name))
        });
        match found.await.map_err(|e| Error::internal("a question to Kafka broke").because(e))? {
            Ok(found) => return found,
            Err(_) if !is_known && Instant::now() < until => {}
            Err(error) => return Err(client::error(format!("ask for the topic {name:?}"), error)),
        }
    }
}

/// How many partitions the topic has, and how many copies; `None` when there is no such topic.
fn partitions(metadata: &Metadata, name: &str) -> Result<Option<(u32, u32)>> {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    let Some(topic) = topic else { return Ok(None) };
    if let Some(code) = topic.error().map(RDKafkaErrorCode::from) {
        use RDKafkaErrorCode as C;
        return match code {
            C::UnknownTopicOrPartition | C::UnknownTopic => Ok(None),
            C::TopicAuthorizationFailed => Err(Error::new(
                Kind::Forbidden,
                format!(
                    "this client may not see the topic {name:?}: grant it DESCRIBE, and READ or WRITE"
                ),
            )),
            code => Err(Error::unavailable(format!("the topic {name:?} is not ready"))
                .because(code.to_string())),
        };
    }
    let replicas = topic.partitions().iter().map(|p| p.replicas().len()).min().unwrap_or(0);
    Ok((!topic.partitions().is_empty())
        .then_some((topic.partitions().len() as u32, replicas as u32)))
}

async fn create(
    admin: &AdminClient<DefaultClientContext>,
    config: &KafkaConfig,
    name: &str,
) -> Result<()> {
    let retention = config.retention.0.as_millis().to_string();
    // At least the brokers' default; a dead letter carries a message and says what is wrong with it.
    let limit = (config.message_limit.0 + DEAD_LETTER_BYTES).max(1_048_588).to_string();
    let is_dead = name != config.topic;
    let partitions = if is_dead { 1 } else { config.partitions };
    let topic = NewTopic::new(
        name,
        i32::try_from(partitions).unwrap_or(i32::MAX),
        TopicReplication::Fixed(i32::from(config.replication_factor)),
    )
    .set("retention.ms", &retention)
    .set("max.message.bytes", &limit)
    .set("compression.type", "producer")
    .set("cleanup.policy", "delete");
    let topic =
        if config.replication_factor >= 3 { topic.set("min.insync.replicas", "2") } else { topic };
    let made = admin
        .create_topics([&topic], &AdminOptions::new().request_timeout(Some(ASK_LIMIT)))
        .await
        .map_err(|e| client::error(format!("create the topic {name:?}"), e))?;
    match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | None => Ok(()),
        Some(Ok(_)) => {
            tracing::info!(
                topic = name,
                partitions,
                copies = config.replication_factor,
                "made a topic"
            );
            Ok(())
        }
        Some(Err((_, code))) => Err(refused(config, name, code)),
    }
}

fn refused(config: &KafkaConfig, name: &str, code: RDKafkaErrorCode) -> Error {
    use RDKafkaErrorCode as C;
    let cause = KafkaError::AdminOp(code);
    match code {
        C::TopicAuthorizationFailed | C::ClusterAuthorizationFailed => Error::new(
            Kind::Forbidden,
            format!("the topic {name:?} is missing and this client may not create it: create it by hand, or grant CREATE on it"),
        )
        .because(cause),
        C::InvalidReplicationFactor => Error::unavailable(format!(
            "the topic {name:?} is to have {} copies and there are fewer brokers: start more, or set kafka.replication_factor",
            config.replication_factor
        ))
        .because(cause),
        C::PolicyViolation | C::InvalidConfig | C::InvalidPartitions => Error::invalid(format!(
            "the brokers do not take the topic {name:?} as it is configured: create it by hand, or change kafka.partitions, kafka.retention or \
             kafka.message_limit"
        ))
        .because(cause),
        _ => Error::unavailable(format!("cannot create the topic {name:?}")).because(cause),
    }
}

/// The settings of a topic that matter here. Who may not see them gets no warnings.
async fn settings(
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
) -> (Option<u64>, Option<u32>) {
    let options = AdminOptions::new().request_timeout(Some(ASK_LIMIT));
    let answer = admin.describe_configs([&ResourceSpecifier::Topic(name)], &options).await;
    let Some(Ok(resource)) = answer.ok().and_then(|a| a.into_iter().next()) else {
        return (None, None);
    };
    let value = |name| resource.get(name).and_then(|entry| entry.value.clone());
    let limit = value("max.message.bytes").and_then(|value| value.parse().ok());
    (limit, value("min.insync.replicas").and_then(|value| value.parse().ok()))
}

/// Says what is unsafe about the topic.
fn check(config: &KafkaConfig, topic: &Topic) -> Result<()> {
    if let Some(limit) = topic.message_limit
        && limit < config.message_limit.0
    {
        return Err(Error::invalid(format!(
            "the topic {:?} takes messages of {limit} bytes and kafka.message_limit is {}: lower it, or raise the topic's max.message.bytes",
            config.topic, config.message_limit
        )));
    }
    for warning in warnings(topic) {
        tracing::warn!(topic = config.topic, "{warning}");
    }
    Ok(())
}

/// What is unsafe, and what to do.
fn warnings(topic: &Topic) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if topic.replicas < 2 {
        warnings.push(
            "the topic has one copy: a broker whose disk is lost takes what was not stored yet with it; give it 3 (kafka-reassign-partitions)",
        );
    }
    if topic.replicas >= 2 && topic.min_in_sync.is_some_and(|least| least < 2) {
        warnings.push(
            "the topic has min.insync.replicas=1: what one broker alone has written counts as safe; set it to 2 (kafka-configs --alter)",
        );
    }
    if topic.partitions < 2 {
        warnings.push(
            "the topic has one partition: only one ingester can work; add some (kafka-topics --alter --partitions)",
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsafe_about_a_topic_is_said() {
        let topic = |replicas, least, partitions| Topic {
            partitions,
            replicas,
            message_limit: None,
            min_in_sync: least,
        };
        assert_eq!(warnings(&topic(3, Some(2), 12)).len(), 0);
        assert_eq!(warnings(&topic(3, None, 12)).len(), 0);
        assert!(warnings(&topic(1, Some(1), 12))[0].contains("one copy"));
        assert!(warnings(&topic(3, Some(1), 12))[0].contains("min.insync.replicas"));
        assert!(warnings(&topic(3, Some(2), 1))[0].contains("one partition"));
    }

    #[test]
    fn a_topic_with_a_smaller_limit_is_refused() {
        let topic =
            Topic { partitions: 2, replicas: 3, message_limit: Some(500_000), min_in_sync: None };
        let error = check(&KafkaConfig::default(), &topic).unwrap_err();
        assert!(error.to_string().contains("max.message.bytes"), "{error}");
    }
}
