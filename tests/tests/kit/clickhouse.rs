//! The engine behind its front: what a server does that Rookery relies on, and what is done to it. All but the kills pass on a
//! real server too (`ROOKERY_TEST_CLICKHOUSE_URL`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use rookery_tests::kit::clickhouse::ClickHouse;
use rookery_tests::kit::parts;
use rookery_tests::kit::wait;

/// How long a query may go on after it was told to stop.
const LIMIT: Duration = Duration::from_secs(30);

/// A query that ends in hours.
const ENDLESS: &str = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1";

/// A database of its own with a table `t (a UInt64, b String)`, in which a block with a token is stored once.
fn table(engine: &ClickHouse, word: &str) -> Result<String> {
    let database = engine.database(word)?;
    let create = "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a
                  SETTINGS non_replicated_deduplication_window = 100";
    engine.query(create, &[("database", &database)])?;
    Ok(database)
}

/// So many rows for it, as an Arrow stream.
fn rows(engine: &ClickHouse, count: u32) -> Result<Bytes> {
    let select = format!("SELECT number AS a, toString(number) AS b FROM numbers({count})");
    engine.fetch(&format!("{select} FORMAT ArrowStream"), &[])
}

/// The error of something that must fail.
fn refused<T>(result: Result<T>) -> String {
    format!("{:#}", result.err().expect("it is refused"))
}

#[test]
fn the_front_knows_statements_and_bodies() -> Result<()> {
    let python = parts::installed(format!("chdb-{}/bin/python", parts::version("CHDB")))?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kit/clickhouse");
    let ran = Command::new(python).args(["-B", "-m", "unittest"]).current_dir(folder).output()?;
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("Ran "), "{said}");
    Ok(())
}

#[test]
fn an_arrow_stream_comes_out_in_pieces_and_goes_in_again() -> Result<()> {
    let engine = ClickHouse::shared()?;
    let database = table(engine, "arrow")?;
    let inside = [("database", database.as_str())];
    engine.insert("INSERT INTO t (a, b) FORMAT ArrowStream", &inside, rows(engine, 200_000)?)?;
    assert_eq!(
        engine.query("SELECT count(), sum(a), max(b) FROM t", &inside)?,
        "200000\t19999900000\t99999\n"
    );
    // One without rows still says its columns.
    let empty = engine.fetch("SELECT a FROM t WHERE 0 FORMAT ArrowStream", &inside)?;
    assert!(empty.len() > 100 && empty.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
    Ok(())
}

#[test]
fn every_format_comes_out_whole() -> Result<()> {
    let engine = ClickHouse::shared()?;
    let lines = |format: &str| -> Result<usize> {
        let select = format!("SELECT number AS n FROM numbers(150000) FORMAT {format}");
        Ok(engine.query(&select, &[])?.lines().count())
    };
    assert_eq!(lines("TabSeparated")?, 150_000);
    assert_eq!(lines("JSONEachRow")?, 150_000);
    assert_eq!(lines("CSVWithNames")?, 150_001);
    let json = engine.query("SELECT 1 AS n", &[("default_format", "JSONCompact")])?;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json)?["rows"], 1);
    let binary = "SELECT number AS n FROM numbers(150000) FORMAT RowBinaryWithNamesAndTypes";
    // One column; its name and its type with their lengths; eight bytes a row.
    assert_eq!(engine.fetch(binary, &[])?.len(), 1 + 2 + 7 + 8 * 150_000);
    Ok(())
}

#[test]
fn a_token_stores_a_block_once() -> Result<()> {
    let engine = ClickHouse::shared()?;
    let database = table(engine, "token")?;
    let inside = [("database", database.as_str()), ("insert_deduplication_token", "one")];
    for _ in 0..2 {
        engine.insert("INSERT INTO t (a, b) FORMAT ArrowStream", &inside, rows(engine, 10)?)?;
    }
    let fenced = fenced(1000);
    let inside = [("database", database.as_str()), ("insert_deduplication_token", "two")];
    for _ in 0..2 {
        engine.insert(&fenced, &inside, rows(engine, 100)?)?;
    }
    assert_eq!(engine.query("SELECT count() FROM t", &inside[..1])?, "110\n");
    Ok(())
}

/// An INSERT of what is sent, unless the table has more rows than this.
fn fenced(limit: u32) -> String {
    format!(
        "INSERT INTO t (a, b) SELECT a, b FROM input('a UInt64, b String')
         WHERE throwIf((SELECT count() FROM t) > {limit}, 'fence') = 0 FORMAT ArrowStream"
    )
}

#[test]
fn an_insert_can_be_fenced_by_what_the_table_holds() -> Result<()> {
    let engine = ClickHouse::shared()?;
    let database = table(engine, "fence")?;
    let inside = [("database", database.as_str())];
    engine.insert(&fenced(50), &inside, rows(engine, 51)?)?;
    let why = refused(engine.insert(&fenced(50), &inside, rows(engine, 1)?));
    assert!(why.contains("Code: 395") && why.contains("fence"), "{why}");
    assert_eq!(engine.query("SELECT count() FROM t", &inside)?, "51\n");
    Ok(())
}

#[test]
fn parameters_settings_and_errors_are_those_of_a_server() -> Result<()> {
    let engine = ClickHouse::shared()?;
    let odd = [("param_x", "a\\tb'c"), ("param_y", "['x','y\\'z']"), ("param_n", "7")];
    let answer = engine.query("SELECT {x:String}, {y:Array(String)}[2], {n:UInt8}", &odd)?;
    assert_eq!(answer, "a\\tb\\'c\ty\\'z\t7\n");
    let table = [
        ("SELECT nothing", "", "", "404", "Code: 47."),
        ("SELECT 1 FROM nowhere", "", "", "404", "Code: 60."),
        ("SELEC 1", "", "", "400", "Code: 62."),
        ("nothing", "", "", "400", "Code: 62."),
        ("SELECT 1", "no_such_setting", "1", "404", "Code: 115."),
        ("SELECT 1", "database", "nowhere", "404", "Code: 81."),
        (ENDLESS, "max_execution_time", "0.2", "", "Code: 159."),
        (
            "SELECT groupArray(number) FROM numbers(10000000)",
            "max_memory_usage",
            "1000000",
            "500",
            "Code: 241.",
        ),
    ];
    for (statement, name, value, status, code) in table {
        let parameters: &[_] = if name.is_empty() { &[] } else { &[(name, value)] };
        let why = refused(engine.query(statement, parameters));
        assert!(why.contains(status) && why.contains(code), "{statement}: {why}");
    }
    // Nothing of a request is left for the next.
    assert_eq!(engine.query("SELECT getSetting('max_execution_time')", &[])?, "0\n");
    Ok(())
}

/// How many queries run under this id.
fn running(engine: &ClickHouse, id: &str) -> Result<String> {
    let select = "SELECT count() FROM system.processes WHERE query_id = {id:String}";
    engine.query(select, &[("param_id", id)])
}

fn until_running(engine: &ClickHouse, id: &str, wanted: &str) -> Result<()> {
    wait::until("the query", LIMIT, || Ok((running(engine, id)? == wanted).then_some(())))
}

#[test]
fn a_query_is_stopped_by_its_id() -> Result<()> {
    let engine = ClickHouse::shared()?;
    let id = parts::unique("killed");
    thread::scope(|scope| {
        let query = scope.spawn(|| engine.query(ENDLESS, &[("query_id", &id)]));
        until_running(engine, &id, "1\n")?;
        assert!(refused(engine.query("SELECT 1", &[("query_id", &id)])).contains("Code: 216."));
        engine.query("KILL QUERY WHERE query_id = {id:String} SYNC", &[("param_id", &id)])?;
        assert!(refused(query.join().unwrap()).contains("Code: 394."));
        Ok(())
    })
}

/// Sends a request by hand and gives the connection.
fn send(engine: &ClickHouse, parameters: &str, body: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(engine.address()?)?;
    let length = body.len();
    write!(
        stream,
        "POST /?{parameters} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    Ok(stream)
}

#[test]
fn a_client_that_goes_away_stops_its_query() -> Result<()> {
    let engine = ClickHouse::shared()?;
    // While it waits for the first row, if the client asked for that.
    let id = parts::unique("waiting");
    let setting = "cancel_http_readonly_queries_on_client_close=1";
    let client = send(engine, &format!("query_id={id}&{setting}"), ENDLESS)?;
    until_running(engine, &id, "1\n")?;
    drop(client);
    until_running(engine, &id, "0\n")?;
    // While rows are streamed, always.
    let id = parts::unique("streaming");
    let mut client =
        send(engine, &format!("query_id={id}"), "SELECT number FROM numbers(100000000000)")?;
    client.read_exact(&mut [0; 100_000])?;
    drop(client);
    until_running(engine, &id, "0\n")?;
    assert_eq!(engine.query("SELECT 1", &[])?, "1\n");
    Ok(())
}

#[test]
fn an_insert_that_did_not_arrive_whole_is_not_stored() -> Result<()> {
    let engine = ClickHouse::shared()?;
    let database = table(engine, "torn")?;
    let inside = [("database", database.as_str())];
    let data = rows(engine, 1000)?;
    let torn = engine.insert(
        "INSERT INTO t (a, b) FORMAT ArrowStream",
        &inside,
        data.slice(..data.len() / 2),
    );
    assert!(refused(torn).contains("DB::Exception"));
    // The connection ends in the middle of a body that would have gone on.
    let query = "query=INSERT+INTO+t+(a,b)+FORMAT+TabSeparated";
    let mut stream = TcpStream::connect(engine.address()?)?;
    write!(
        stream,
        "POST /?{query}&database={database} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1\ta\n"
    )?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(engine.query("SELECT count() FROM t", &inside)?, "0\n");
    Ok(())
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_a_pause_loses_nothing() -> Result<()> {
    let engine = ClickHouse::start()?;
    let database = table(&engine, "kill")?;
    let inside = [("database", database.as_str())];
    engine.query("INSERT INTO t VALUES (1, 'x'), (2, 'y')", &inside)?;
    engine.kill()?;
    assert!(engine.query("SELECT 1", &[]).is_err());
    engine.restart()?;
    assert_eq!(engine.query("SELECT sum(a) FROM t", &inside)?, "3\n");
    engine.pause()?;
    let mut stream = send(&engine, &format!("database={database}"), "SELECT 1")?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    assert!(stream.read(&mut [0]).is_err(), "a paused engine does not answer");
    engine.resume()?;
    stream.set_read_timeout(Some(LIMIT))?;
    assert!(stream.read(&mut [0])? > 0);
    engine.stop()?;
    assert!(engine.pause().is_err());
    Ok(())
}
