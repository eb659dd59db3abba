use super::*;

const ALL: Features = Features { text_index: true, map_buckets: true, wide_by_level: true };

fn dialect(change: impl FnOnce(&mut ClickHouseConfig)) -> Dialect {
    let mut config = ClickHouseConfig::default();
    change(&mut config);
    config.validate().unwrap();
    Dialect::new(&config, ALL).unwrap()
}

fn statements(dialect: &Dialect) -> Vec<String> {
    let made = vec![dialect.database(), dialect.migrations()];
    let first = [dialect.claims(), dialect.ledger(), dialect.events(), dialect.logs()].concat();
    [made, first, dialect.level(), dialect.fields_packed()].concat()
}

#[test]
fn every_statement_can_be_run_again() {
    for engine in [Engine::MergeTree, Engine::Replicated] {
        let cluster = (engine == Engine::Replicated).then(|| "main".to_owned());
        for statement in statements(&dialect(|c| (c.engine, c.cluster) = (engine, cluster.clone())))
        {
            let again = statement.contains("IF NOT EXISTS") || statement.contains("MODIFY COLUMN");
            assert!(again, "{statement}");
        }
    }
}

#[test]
fn a_cluster_has_replicated_tables_distributed_ones_over_them_and_claims_in_keeper() {
    let dialect = dialect(|c| (c.engine, c.cluster) = (Engine::Replicated, Some("main".into())));
    let all = statements(&dialect);
    assert!(all.iter().all(|statement| statement.contains("ON CLUSTER main")));
    let of = |what: &str| all.iter().find(|s| s.contains(what)).unwrap().as_str();
    assert!(of("EXISTS rookery.logs_local ").contains(
        "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
    ));
    assert!(of("EXISTS rookery.ledger_local ").contains("ReplicatedAggregatingMergeTree("));
    assert!(
        of("EXISTS rookery.logs ")
            .contains("Distributed(main, rookery, logs_local, queue_partition)")
    );
    assert!(of("rookery.claims").contains("KeeperMap('/rookery/rookery/claims')"));
    assert!(!of("EXISTS rookery.logs_local ").contains("fsync"));
    // A query through the distributed table knows a column only when that table has it.
    of("ALTER TABLE rookery.logs_local ON CLUSTER main ADD COLUMN");
    of("ALTER TABLE rookery.logs ON CLUSTER main ADD COLUMN");
}

#[test]
fn one_server_has_plain_tables_whose_inserts_are_on_the_disk() {
    let all = statements(&dialect(|_| {}));
    assert!(
        all.iter()
            .all(|s| !s.contains("CLUSTER") && !s.contains("Replicated") && !s.contains("_local"))
    );
    for table in ["logs", "ledger", "ledger_events", "claims"] {
        let statement = all.iter().find(|s| s.contains(&format!("rookery.{table} "))).unwrap();
        assert!(statement.contains("fsync_after_insert = 1"), "{statement}");
    }
}

#[test]
fn the_index_of_words_is_what_was_asked_for() {
    let logs = |index| dialect(|c| c.text_index = index).logs().concat();
    assert!(logs(TextIndex::On).contains("body_words body TYPE text("));
    assert!(logs(TextIndex::Auto).contains("tokenbf_v1"));
    assert!(!logs(TextIndex::Off).contains("body_words"));
    let config = ClickHouseConfig { text_index: TextIndex::On, ..Default::default() };
    let older = Features { text_index: false, map_buckets: false, wide_by_level: false };
    assert_eq!(Dialect::new(&config, older).unwrap_err().kind(), rookery_core::Kind::Invalid);
    let plain = Dialect::new(&ClickHouseConfig::default(), older).unwrap().logs().concat();
    assert!(!plain.contains("buckets") && !plain.contains("min_level"));
}
