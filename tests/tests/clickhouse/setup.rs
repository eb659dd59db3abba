//! A database, stores on it, blocks whose content is known, and a way to the server on which chosen requests are cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use rookery_clickhouse::{ClickHouseConfig, ClickHouseStore, migrate};
use rookery_core::batch::{Block, Entry, Fate, Origin, Range};
use rookery_core::logs::Resource;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::time::SECOND;
use rookery_core::units::Span;
use rookery_core::{Position, StreamId, Tenant};
use rookery_tests::kit::clickhouse::ClickHouse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many bytes a record takes in its stream.
pub(crate) const RECORD_BYTES: u64 = 10;

/// The time of the first record of every stream: 2026-11-21T10:00:00Z.
pub(crate) const START: i64 = 1_795_255_200 * SECOND;

/// The kit waits on the calling thread.
pub(crate) fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(wait)
}

/// A database of its own on the server that the tests share.
pub(crate) struct Setup {
    pub(crate) server: &'static ClickHouse,
    pub(crate) config: ClickHouseConfig,
}

impl Setup {
    /// A database with the schema in it.
    pub(crate) async fn new(word: &str) -> Result<Self> {
        let setup = Self::empty(word)?;
        migrate(&setup.config).await?;
        Ok(setup)
    }

    /// A database without anything in it.
    pub(crate) fn empty(word: &str) -> Result<Self> {
        let server = blocking(ClickHouse::shared)?;
        Ok(Self { server, config: config(server, &blocking(|| server.database(word))?) })
    }

    pub(crate) async fn store(&self) -> Result<ClickHouseStore> {
        Ok(ClickHouseStore::connect(self.config.clone()).await?)
    }

    /// A store that reaches the server through a line.
    pub(crate) async fn store_through(&self, line: &Line) -> Result<ClickHouseStore> {
        let config = ClickHouseConfig { url: line.url.clone(), ..self.config.clone() };
        Ok(ClickHouseStore::connect(config).await?)
    }

    pub(crate) fn ask(&self, sql: &str) -> Result<String> {
        let parameters = [("database", self.config.database.as_str())];
        let answer = blocking(|| self.server.query(sql, &parameters))?;
        Ok(answer.trim_end().to_owned())
    }

    /// How many records are stored, and how many different ones.
    pub(crate) fn stored(&self) -> Result<(u64, u64)> {
        let sql = "SELECT count(), uniqExact(stream, generation, offset) FROM logs";
        let answer = self.ask(sql)?;
        let (all, distinct) = answer.split_once('\t').context("two numbers")?;
        Ok((all.parse()?, distinct.parse()?))
    }
}

/// The configuration of a database on a server.
pub(crate) fn config(server: &ClickHouse, database: &str) -> ClickHouseConfig {
    let mut config = ClickHouseConfig {
        url: server.url().to_owned(),
        database: database.to_owned(),
        insert_timeout: Span::seconds(10),
        startup_timeout: Span::seconds(60),
        ..ClickHouseConfig::default()
    };
    if let Some((user, password)) = server.login() {
        config.user = user.to_owned();
        config.password = password.to_owned().into();
    }
    config
}

/// Records `first..first + count` of a stream that is named by a number; record n was printed `step` after the one before it.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) stream: u8,
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) step: i64,
}

/// Records that were printed a second after each other.
pub(crate) fn run(stream: u8, first: u64, count: u64) -> Run {
    Run { stream, first, count, step: SECOND }
}

pub(crate) fn stream(number: u8) -> StreamId {
    StreamId([number; 16])
}

pub(crate) fn position(record: u64) -> Position {
    Position { generation: 1, offset: record * RECORD_BYTES }
}

pub(crate) fn origin(partition: u32, epoch: u64, sequence: u32) -> Origin {
    Origin { partition, epoch, sequence }
}

/// A block of these records.
pub(crate) fn block(origin: Origin, runs: &[Run]) -> Block {
    let mut builder = LogBatchBuilder::default();
    for run in runs {
        let tags = Resource {
            source: "container".into(),
            namespace: "shop".into(),
            pod: format!("pod-{}", run.stream),
            container: "app".into(),
            ..Resource::default()
        };
        let resource = builder.resource(&Arc::new(tags));
        for record in run.first..run.first + run.count {
            let time = START + record as i64 * run.step;
            builder.push_body(&format!("record {record} of {}", run.stream));
            builder.field("number", &record.to_string());
            builder.finish_record(Head {
                resource,
                stream: stream(run.stream),
                position: position(record),
                time,
                observed: time,
                severity: 9,
                trace_id: None,
                span_id: None,
            });
        }
    }
    let records = vec![builder.finish().expect("records of one builder fit together")];
    let entries = runs.iter().map(|run| entry(run, Fate::Kept)).collect();
    Block { tenant: Tenant::default(), origin, records, entries }
}

/// The account of some records.
pub(crate) fn entry(run: &Run, fate: Fate) -> Entry {
    let range = Range {
        stream: stream(run.stream),
        generation: 1,
        start: position(run.first).offset,
        end: position(run.first + run.count).offset,
        records: run.count,
        after: Position::default(),
        fate,
    };
    let tags = format!("{{container=\"app\",namespace=\"shop\",pod=\"pod-{}\"}}", run.stream);
    Entry { range, duplicates: 0, duplicate_bytes: 0, tags: tags.into() }
}

/// What happens to a request whose head holds a certain text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It does not reach the server.
    Request,
    /// It takes place, and nobody hears of it.
    Answer,
    /// It reaches the server after [`LATE`].
    Late,
}

/// Longer than a claim takes.
const LATE: Duration = Duration::from_millis(700);

/// A way to the server.
pub(crate) struct Line {
    pub(crate) url: String,
    cuts: Arc<Mutex<BTreeMap<&'static str, Cut>>>,
}

impl Line {
    pub(crate) async fn to(server: &ClickHouse) -> Result<Self> {
        let there = server.url().strip_prefix("http://").context("plain HTTP")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let cuts = Arc::<Mutex<BTreeMap<&'static str, Cut>>>::default();
        let shared = cuts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (there, cuts) = (there.clone(), shared.clone());
                // A connection that breaks is what this is for.
                tokio::spawn(async move { carry(client, &there, &cuts).await.ok() });
            }
        });
        Ok(Self { url, cuts })
    }

    /// From now on this happens to requests whose head holds this text, until [`Self::mend`].
    pub(crate) fn cut(&self, text: &'static str, cut: Cut) {
        self.cuts.lock().expect("no panic while it is held").insert(text, cut);
    }

    pub(crate) fn mend(&self) {
        self.cuts.lock().expect("no panic while it is held").clear();
    }
}

async fn carry(
    mut client: TcpStream,
    there: &str,
    cuts: &Mutex<BTreeMap<&'static str, Cut>>,
) -> Result<()> {
    let mut server = TcpStream::connect(there).await?;
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut cut = None;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let piece = &from_client[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                let text = String::from_utf8_lossy(piece);
                let cuts = cuts.lock().expect("no panic while it is held").clone();
                cut = cut.or(cuts.iter().find(|(what, _)| text.contains(**what)).map(|(_, cut)| *cut));
                if cut == Some(Cut::Request) {
                    return Ok(());
                }
                if cut == Some(Cut::Late) {
                    tokio::time::sleep(LATE).await;
                    cut = None;
                }
                server.write_all(piece).await?;
            }
            read = server.read(&mut from_server) => {
                let piece = &from_server[..read?];
                if piece.is_empty() || cut == Some(Cut::Answer) {
                    return Ok(());
                }
                client.write_all(piece).await?;
            }
        }
    }
}
