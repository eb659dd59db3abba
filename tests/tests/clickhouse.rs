//! Exactly once into ClickHouse: what a claim keeps out, what an append of unknown outcome leaves, what accounts say. On the real engine.

#[path = "clickhouse/setup.rs"]
mod setup;

#[path = "clickhouse/claims.rs"]
mod claims;
#[path = "clickhouse/ingesting.rs"]
mod ingesting;
#[path = "clickhouse/outcomes.rs"]
mod outcomes;
#[path = "clickhouse/schema.rs"]
mod schema;
