//! Kafka as the queue between collectors and ingesters.
//!
//! Reading order: [`config`] is what a person may say; [`message`] is what a batch is in Kafka; [`producer`] and [`consumer`] are the two ends, with
//! what they promise; [`foreign`] is for topics that others write; [`dead_letter`] is where goes what nobody can read.

pub mod config;
pub mod message;
pub mod stats;

mod client;
mod complaints;
mod offsets;
mod topic_id;
mod topics;

pub mod producer;

pub mod consumer;
pub mod foreign;

pub mod dead_letter;

pub use config::KafkaConfig;
pub use consumer::KafkaSubscription;
pub use producer::KafkaQueue;
pub use stats::Stats;
