//! Migrations, and the start.

use anyhow::Result;
use rookery_clickhouse::{ClickHouseConfig, ClickHouseStore, dry_run, migrate};
use rookery_core::Kind;
use rookery_core::units::Span;

use crate::setup::{Setup, blocking, config};
use rookery_tests::kit::clickhouse::ClickHouse;

#[tokio::test(flavor = "multi_thread")]
async fn migrations_made_by_two_at_once_are_made_once_and_a_dry_run_changes_nothing() -> Result<()>
{
    let setup = Setup::empty("migrate")?;
    let planned = dry_run(&setup.config).await?;
    assert!(planned.iter().any(|sql| sql.contains(".logs")), "{planned:?}");
    assert_eq!(
        setup.ask("SELECT count() FROM system.tables WHERE database = currentDatabase()")?,
        "0"
    );
    let (one, other) = tokio::join!(migrate(&setup.config), migrate(&setup.config));
    assert!(!one?.is_empty() || !other?.is_empty());
    assert_eq!(migrate(&setup.config).await?, Vec::<String>::new());
    assert_eq!(dry_run(&setup.config).await?, Vec::<String>::new());
    assert_eq!(setup.ask("SELECT count() FROM schema_migrations FINAL")?, "2");
    setup.store().await?.ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_from_before_the_level_had_a_column_have_one() -> Result<()> {
    let setup = Setup::empty("level")?;
    for statement in dry_run(&setup.config).await?.iter().filter(|sql| sql.starts_with("CREATE")) {
        blocking(|| setup.server.query(statement, &[]))?;
    }
    setup.ask("INSERT INTO schema_migrations VALUES (1, 'the first', now(), 'rookery 0.1.0')")?;
    let insert = |severity: u8, fields: &str| {
        setup.ask(&format!(
            "INSERT INTO logs (tenant, time, severity, fields, keep_days) VALUES ('default', '2026-11-21 10:00:00', {severity}, {fields}, 60000)"
        ))
    };
    insert(18, "map()")?;
    insert(13, "map('level', 'WARNING')")?;
    insert(0, "map('number', '1')")?;
    let made = migrate(&setup.config).await?;
    assert_eq!(made.len(), 1, "{made:?}");
    insert(24, "map()")?;
    let levels = "SELECT groupArray(level) FROM (SELECT level FROM logs ORDER BY level)";
    assert_eq!(setup.ask(levels)?, "['','WARNING','error','fatal']");
    setup.ask("OPTIMIZE TABLE logs FINAL")?;
    assert_eq!(setup.ask(levels)?, "['','WARNING','error','fatal']");
    setup.store().await?.ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_newer_than_the_program_is_refused() -> Result<()> {
    let setup = Setup::new("newer").await?;
    setup.ask("INSERT INTO schema_migrations VALUES (1000, 'later', now(), 'later')")?;
    let refused = migrate(&setup.config).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.message().contains("newer program"), "{refused}");
    assert_eq!(
        setup.store().await.unwrap_err().downcast::<rookery_core::Error>()?.kind(),
        Kind::Conflict
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_the_schema_and_no_longer_than_it_may() -> Result<()> {
    let setup = Setup::empty("start")?;
    let hasty = ClickHouseConfig { startup_timeout: Span::millis(1), ..setup.config.clone() };
    let refused = ClickHouseStore::connect(hasty).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.message().contains("rookery migrate"), "{refused}");
    let (store, made) = tokio::join!(setup.store(), migrate(&setup.config));
    made?;
    store?.ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_the_server() -> Result<()> {
    let server = blocking(ClickHouse::start)?;
    let config = config(&server, &blocking(|| server.database("late"))?);
    blocking(|| server.stop())?;
    let waiting = tokio::spawn({
        let config = config.clone();
        async move {
            migrate(&config).await?;
            ClickHouseStore::connect(config).await
        }
    });
    blocking(|| server.restart())?;
    let store = waiting.await??;
    store.ready().await?;
    blocking(|| server.kill())?;
    assert_eq!(store.ready().await.unwrap_err().kind(), Kind::Unavailable);
    Ok(())
}
