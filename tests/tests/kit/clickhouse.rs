//! The engine behind its front, and what is done to it.

use anyhow::Result;
use rookery_tests::kit::clickhouse::ClickHouse;

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
    engine.stop()?;
    assert!(engine.pause().is_err());
    Ok(())
}
