//! The binary, HTTP, and chance with a seed; Kafka, the ClickHouse engine, and a network that can be cut.

pub mod http;
pub mod process;
pub mod random;
pub mod wait;

pub mod authority;
pub mod parts;

pub mod clickhouse;
pub mod kafka;
pub mod proxy;

pub mod fleet;
