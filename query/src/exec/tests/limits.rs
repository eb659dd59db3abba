use std::sync::Arc;
use std::time::Duration;

use rookery_core::units::{Bytes, Span};
use rookery_core::{Error, Kind};

use super::super::testing::{RowStore, block_on, engine, request, store_of};
use crate::config::QueryConfig;

fn endless(data: &str) -> Arc<RowStore> {
    let mut store = store_of(data);
    store.endless = true;
    Arc::new(store)
}

fn failure(store: Arc<RowStore>, config: QueryConfig, query: &str) -> Error {
    let engine = engine(store, config);
    block_on(async { engine.run(request(query)).await?.collect().await }).unwrap_err()
}

#[test]
fn each_limit_says_which_it_is_and_how_to_change_it() {
    let many: String = (0..14_000).map(|i| format!("{{\"a\":\"value number {i}\"}}\n")).collect();
    let small = QueryConfig { memory_limit: Bytes(256 << 10), ..QueryConfig::default() };
    let queries = [
        "* | stats by (a) count() n",
        "* | sort by (a)",
        "* | uniq by (a)",
        "* | stats count_uniq(a) n",
        "* | stats values(a) v",
        "* | stats by (a) quantile(0.5, a) v",
        "* | stats json_values(a) v",
        "a:in(* | fields a)",
        "* | join by (a) (*)",
    ];
    for query in queries {
        let error = failure(Arc::new(store_of(&many)), small.clone(), query);
        assert_eq!(error.kind(), Kind::TooLarge, "{query}: {error}");
        assert!(error.message().contains("query.memory_limit"), "{query}: {error}");
    }
    let few_rows = QueryConfig { rows_limit: 100, ..QueryConfig::default() };
    let error = failure(Arc::new(store_of(&many)), few_rows, "*");
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.message().contains("query.rows_limit"), "{error}");

    let short = QueryConfig { timeout: Span::millis(50), ..QueryConfig::default() };
    let error = failure(endless("{\"a\":\"1\"}"), short, "* | stats count() n");
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(
        error.message().contains("query.timeout") && error.message().contains("50ms"),
        "{error}"
    );
}

#[test]
fn a_reader_that_does_not_read_is_timed_out_too() {
    let short = QueryConfig { timeout: Span::millis(50), ..QueryConfig::default() };
    let engine = engine(endless("{\"a\":\"1\"}"), short);
    block_on(async {
        let mut asked = request("*");
        asked.timeout = Some(Duration::from_millis(20));
        let mut stream = engine.run(asked).await.unwrap();
        // The channel fills; its sender waits for room until the time is over.
        engine.turns.acquire_many(QueryConfig::CONCURRENCY as u32).await.unwrap().forget();
        let error = loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("an answer that was cut off looks whole"),
            }
        };
        assert_eq!(error.kind(), Kind::Timeout);
        assert!(error.message().contains("20ms"), "{error}");
        assert!(stream.next().await.is_none());
    });
}

#[test]
fn a_query_waits_for_its_turn_and_is_refused_when_none_comes() {
    let config =
        QueryConfig { concurrency: 1, queue_wait: Span::millis(20), ..QueryConfig::default() };
    let engine = engine(endless("{\"a\":\"1\"}"), config);
    block_on(async {
        let first = engine.run(request("*")).await.unwrap();
        let error = engine.run(request("*")).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Throttled);
        assert!(error.message().contains("query.concurrency"), "{error}");
        // A stream that is dropped ends its query, and the next has its turn.
        drop(first);
        engine.turns.acquire().await.unwrap().forget();
    });
}

#[test]
fn a_cancelled_query_ends() {
    let engine = engine(endless("{\"a\":\"1\"}"), QueryConfig::default());
    block_on(async {
        let asked = request("* | stats count() n");
        let cancel = asked.cancel.clone();
        let mut stream = engine.run(asked).await.unwrap();
        cancel.cancel();
        assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), Kind::Cancelled);
        engine.turns.acquire_many(QueryConfig::CONCURRENCY as u32).await.unwrap().forget();
    });
}

#[test]
fn memory_is_given_back() {
    let many: String = (0..5000).map(|i| format!("{{\"a\":\"value number {i}\"}}\n")).collect();
    let engine = engine(Arc::new(store_of(&many)), QueryConfig::default());
    block_on(async {
        let query = "a:in(* | fields a) | join by (a) (* | limit 10) | stats by (a) count() n | sort by (n) | uniq by (n)";
        let mut stream = engine.run(request(query)).await.unwrap();
        while let Some(rows) = stream.next().await {
            rows.unwrap();
        }
        let limit = QueryConfig::MEMORY_LIMIT.0;
        stream.usage().reserve(limit).expect("all of the memory is free again");
    });
}
