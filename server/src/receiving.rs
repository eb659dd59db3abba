//! The receiver in the binary: its routes beside the page, its numbers, what a start says of it, and `rookery token`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::routing::get;
use rookery_core::batch::Batch;
use rookery_core::{Error, Tenant};
use rookery_kafka::KafkaConfig;
use rookery_kafka::config::{ForeignFormat, ForeignTopic};
use rookery_kafka::foreign::{Decoder, Foreign};
use rookery_receiver::decode::{self, Message, Shape, Source};
use rookery_receiver::{Hash, Listeners, ReceiverConfig, Receivers, new_token};

use crate::cli::{TokenCommand, TokenNewArgs};
use crate::metrics::{self, Sample};
use crate::web;

/// The routes of pushes. `/` is the page for a browser, and for others what a client of Elasticsearch asks first.
pub(crate) fn routes(receivers: &Receivers, address: SocketAddr) -> Router {
    let loopback = address.ip().is_loopback();
    let greeting = receivers.clone();
    let root = async move |headers: HeaderMap, uri: Uri| match greeting.greet(&headers, loopback) {
        Some(response) => response,
        None => web::serve(uri).await,
    };
    receivers.router(loopback).route("/", get(root))
}

/// What reads the topics of Kafka that others write, by their names.
///
/// # Errors
/// When the configuration names a tenant that cannot be one.
pub(crate) fn decoders(config: &KafkaConfig) -> Result<HashMap<String, Decoder>> {
    let mut decoders: HashMap<String, Decoder> = HashMap::new();
    for topic in config.foreign.clone() {
        let (name, tenant) = (topic.topic.clone(), Tenant::new(&topic.tenant)?);
        let decode = move |foreign: &Foreign<'_>| batch_of(foreign, &tenant, &topic);
        decoders.insert(name, Arc::new(decode));
    }
    Ok(decoders)
}

fn batch_of(
    foreign: &Foreign<'_>,
    tenant: &Tenant,
    topic: &ForeignTopic,
) -> rookery_core::Result<Batch> {
    let partition = foreign.partition.to_string();
    let source = Source {
        tenant: tenant.clone(),
        collector: format!("kafka:{}", foreign.topic).into(),
        identity: ["kafka", foreign.topic, foreign.incarnation, &partition].map(Into::into).into(),
        line_limit: ReceiverConfig::LINE_LIMIT,
    };
    let message = Message {
        generation: foreign.generation(),
        time: foreign.timestamp.unwrap_or_else(rookery_core::time::now),
    };
    let tags =
        [("topic".to_owned(), foreign.topic.to_owned()), ("partition".to_owned(), partition)];
    let decoded = match topic.format {
        ForeignFormat::Otlp => decode::otlp_protobuf(foreign.payload, &source, message)?,
        ForeignFormat::Plain => decode::plain_text(foreign.payload, &tags, &source, message)?,
        ForeignFormat::JsonLines => {
            let shape =
                Shape::of_members(&topic.time_fields, &topic.message_fields, &topic.stream_fields);
            decode::json_lines(foreign.payload, &shape, &source, message)?
        }
    };
    if let Some(why) = decoded.first_refusal {
        // A message goes whole or not at all: one that lost a record on the way would look complete.
        return Err(Error::invalid(format!(
            "{} records of the message cannot be stored, the first because {why}",
            decoded.refused
        )));
    }
    let mut batches = decoded.batches.into_iter();
    match (batches.next(), batches.next()) {
        (Some(batch), None) => Ok(batch),
        (None, _) => Err(Error::invalid("the message holds no record")),
        _ => Err(Error::too_large(
            "the message holds more than one batch takes: let its producer send smaller ones",
        )),
    }
}

/// What the receiver counts.
pub(crate) fn samples(receivers: &Receivers) -> impl Iterator<Item = Sample> {
    let counters = receivers.stats().counters().into_iter();
    let counted = counters.map(|(name, label, help, value)| Sample {
        name: format!("rookery_receiver_{name}"),
        label: Some(label),
        help,
        is_counter: true,
        value,
    });
    let held = "Bytes of requests that are held, raw and decompressed";
    counted.chain([metrics::gauge("receiver_held_bytes", held, receivers.held_bytes())])
}

/// Says what listens, and who may push.
pub(crate) fn announce(receivers: &Receivers, listeners: &Listeners, address: SocketAddr) {
    for (name, address) in listeners.addresses() {
        eprintln!("  listen {name} {address}");
    }
    if address.ip().is_loopback() {
        return;
    }
    if receivers.is_open(false) {
        eprintln!("  note   who reaches {address} may push: receiver.allow_anonymous is set");
    } else if !receivers.has_tokens() {
        eprintln!(
            "  note   pushes are refused: {address} is not loopback, and there is no token; `rookery token new NAME` makes one"
        );
    }
}

/// `rookery token`
pub(crate) fn token(command: &TokenCommand) -> Result<ExitCode> {
    match command {
        TokenCommand::New(args) => new(args),
    }
}

fn new(args: &TokenNewArgs) -> Result<ExitCode> {
    let mut random = [0; 32];
    let source = "/dev/urandom";
    let mut file = File::open(source).with_context(|| format!("cannot open {source}"))?;
    file.read_exact(&mut random).with_context(|| format!("cannot read {source}"))?;
    let token = new_token(random);
    let hash = String::from(Hash::of(&token));
    eprintln!("The token, shown this once; give it to who pushes:");
    println!("{token}");
    eprintln!("Its hash, for the configuration:");
    let name = serde_json::to_string(&args.name)?;
    let tenant = serde_json::to_string(&args.tenant)?;
    println!("receiver:\n  tokens:\n    - {{ name: {name}, tenant: {tenant}, hash: {hash} }}");
    Ok(ExitCode::SUCCESS)
}
