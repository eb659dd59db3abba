//! The kit itself: each part starts, and each kind of fault does what it says.

use anyhow::Result;
use rookery_tests::kit::clickhouse::ClickHouse;
use rookery_tests::kit::kafka::Kafka;

#[test]
fn what_the_engine_acknowledged_survives_a_kill() -> Result<()> {
    let engine = ClickHouse::start()?;
    let database = engine.database("kill")?;
    let inside = [("database", database.as_str())];
    engine.query("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a", &inside)?;
    engine.query("INSERT INTO t VALUES (1), (2)", &inside)?;
    engine.kill()?;
    assert!(engine.query("SELECT 1", &[]).is_err());
    engine.restart()?;
    assert_eq!(engine.query("SELECT sum(a) FROM t", &inside)?, "3\n");
    Ok(())
}

#[test]
fn a_broker_is_killed_and_comes_back() -> Result<()> {
    let kafka = Kafka::start()?;
    let id = kafka.id(0)?;
    kafka.kill(0)?;
    assert!(kafka.id(0).is_err());
    kafka.restart(0)?;
    assert_ne!(kafka.id(0)?, id);
    Ok(())
}
