//! (a) and (b): each hop by itself. A collector fills a topic; then an ingester empties it.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::meter::{Meter, tell_threads};
use super::parts::{Parts, Way};
use crate::cases::limit::Limit;
use crate::cases::loaded::until_idle;
use crate::dataset::Dataset;
use crate::results::{Results, say};

/// How long a hop may take.
pub(super) const HOP_LIMIT: Duration = Duration::from_secs(600);

/// What others reach on this data and hop, with two cores of the kind that the goal was set on; not measured in this run.
const PEERS: &str = "Fluent Bit 51, OpenTelemetry Collector 23";

/// (a) Files → Kafka. Gives the way, whose topic is full.
pub(crate) fn fill(
    parts: &Parts,
    dataset: &Dataset,
    limit: Limit,
    results: &mut Results,
) -> Result<Way> {
    say("files → Kafka");
    let way = parts.way("hops")?;
    let broker = Meter::default().since_now("broker", parts.broker()?)?;
    let start = Instant::now();
    let mut collector = way.collector(&dataset.folder)?;
    let meter = Meter::default().whole("collector", collector.id());
    collector.until("rookery_kafka_sent_records", dataset.lines, HOP_LIMIT)?;
    let (spent, wall) = (meter.read()?, start.elapsed().as_secs_f64());
    let cpu = spent.of("collector");
    let lines = dataset.lines as f64 / cpu;
    results.add(
        "path a",
        "files → Kafka, a core of the collector",
        format!(
            "{:.0} thousand lines/s, {:.0} MB/s ({spent}, {wall:.1} s of time; besides, {})",
            lines / 1e3,
            dataset.bytes as f64 / cpu / 1e6,
            broker.read()?
        ),
        format!(
            "{:.2} of the limit; {:.2} of the goal, 600 thousand lines/s; of others, in thousands: {PEERS}",
            lines / limit.lines_a_second,
            lines / 600e3
        ),
    );
    let sent = collector.counter("rookery_kafka_sent_bytes")? as f64;
    results.add(
        "path a",
        "bytes in Kafka by bytes of log",
        format!("{:.3}", sent / dataset.bytes as f64),
        format!("zstd-1 leaves {:.3}", limit.ratio),
    );
    let encoding = collector.counter("rookery_kafka_encode_micros")? as f64 / 1e6;
    say(&format!("      encoding and compressing: {encoding:.2} s of time"));
    tell_threads("collector", collector.id())?;
    collector.process.stop()?;
    Ok(way)
}

/// (b) Kafka → ClickHouse, started when the topic is full.
pub(crate) fn drain(
    parts: &Parts,
    way: &Way,
    dataset: &Dataset,
    limit: Limit,
    results: &mut Results,
) -> Result<()> {
    say("Kafka → ClickHouse");
    let beside = Meter::default()
        .since_now("broker", parts.broker()?)?
        .since_now("engine", parts.clickhouse.id()?)?;
    let start = Instant::now();
    let mut ingester = way.ingester()?;
    let meter = Meter::default().whole("ingester", ingester.id());
    ingester.until("rookery_ingester_records", dataset.lines, HOP_LIMIT)?;
    let (spent, wall) = (meter.read()?, start.elapsed().as_secs_f64());
    let rows = dataset.lines as f64 / spent.of("ingester");
    results.add(
        "path b",
        "Kafka → ClickHouse, a core of the ingester",
        format!(
            "{:.0} thousand rows/s ({spent}, {wall:.1} s of time; besides, {})",
            rows / 1e3,
            beside.read()?
        ),
        format!(
            "{:.2} of the limit; {:.2} of the goal, 1,000 thousand rows/s",
            rows / limit.lines_a_second,
            rows / 1e6
        ),
    );
    let [decoding, appending, inserting, sent] = [
        "rookery_kafka_decode_micros",
        "rookery_ingester_append_micros",
        "rookery_clickhouse_insert_micros",
        "rookery_clickhouse_insert_bytes",
    ]
    .map(|name| ingester.counter(name).map(|value| value as f64 / 1e6));
    say(&format!(
        "      decoding {:.2} s of time, appends {:.2} s, of them inserts {:.2} s; {:.3} bytes sent by byte of log in {} inserts",
        decoding?,
        appending?,
        inserting?,
        sent? * 1e6 / dataset.bytes as f64,
        ingester.counter("rookery_clickhouse_inserts")?
    ));
    tell_threads("ingester", ingester.id())?;
    ingester.process.stop()?;
    until_idle(parts.clickhouse.id()?)?;
    let engine = beside.read()?.of("engine");
    results.add(
        "path b",
        "the engine beside it, merges included",
        format!("{:.1} MB/s a core ({engine:.1} s)", dataset.bytes as f64 / engine / 1e6),
        "inserts alone, of Arrow into a plain schema: 43 MB/s, 18 with a text index".to_owned(),
    );
    parts.forget(way)
}
