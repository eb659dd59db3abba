//! As much of Kafka's protocol as the kit needs: whether a broker answers, who leads a partition, topics made, grown and removed, records
//! written as other producers write them, and how far a partition goes.
//!
//! It is written here and not taken from `backends/kafka`, so that a test of that does not judge itself. Format:
//! <https://kafka.apache.org/protocol>. A request is a length, a header (API key, version, correlation id, client id) and a body;
//! numbers are big-endian, strings and arrays have their length before them. The versions are the newest ones of that simple form.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long an answer may take; a paused broker gives none.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// How long the controller may take to change a topic.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);

/// The largest answer that is read.
const ANSWER_BYTES: usize = 16 << 20;

/// A key of the protocol, and the version that is spoken.
type Api = (i16, i16);

const PRODUCE: Api = (0, 3);
const LIST_OFFSETS: Api = (2, 1);
const METADATA: Api = (3, 1);
const OFFSET_FETCH: Api = (9, 1);
const CREATE_TOPICS: Api = (19, 2);
const DELETE_TOPICS: Api = (20, 1);
const DELETE_RECORDS: Api = (21, 0);
const CREATE_PARTITIONS: Api = (37, 0);

/// How many brokers this one knows, once a controller leads them; else 0.
///
/// # Errors
/// When it does not answer.
pub(super) fn brokers(address: SocketAddr) -> Result<usize> {
    let answer = ask(address, METADATA, Body::default().number(0))?;
    let mut rest = Answer(&answer);
    let brokers = rest.brokers()?.len();
    let controller = rest.number()?;
    Ok(if controller < 0 { 0 } else { brokers })
}

/// A broker, as it is told to clients.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Its node id.
    pub(super) id: i32,
    /// `host:port`
    pub(super) address: String,
}

/// The leader of each partition of a topic, by number of the partition.
///
/// # Errors
/// When the broker does not answer, or does not know the topic.
pub(super) fn leaders(address: SocketAddr, topic: &str) -> Result<Vec<Option<Node>>> {
    let answer = ask(address, METADATA, Body::default().number(1).text(topic))?;
    let mut rest = Answer(&answer);
    let brokers = rest.brokers()?;
    let _controller = rest.number()?;
    let _topics = rest.number()?;
    rest.check("describe", topic)?;
    let _name = rest.text()?;
    let _is_internal = rest.take(1)?;
    let partitions = rest.count()?;
    let mut leaders = vec![None; partitions];
    for _ in 0..partitions {
        let _error = rest.take(2)?;
        let partition = rest.count()?;
        let id = rest.number()?;
        let leader = leaders.get_mut(partition).context("partitions are numbered from 0")?;
        *leader = brokers.iter().find(|broker| broker.id == id).cloned();
        for _ in 0..2 {
            let replicas = rest.count()?;
            rest.take(4 * replicas)?;
        }
    }
    Ok(leaders)
}

/// Makes a topic.
///
/// # Errors
/// When the broker refuses.
pub(super) fn create(
    address: SocketAddr,
    topic: &str,
    partitions: i32,
    replicas: i16,
    config: &[(&str, &str)],
) -> Result<()> {
    let mut body = Body::default().number(1).text(topic).number(partitions);
    body.0.extend(replicas.to_be_bytes());
    body = body.number(0).number(config.len().try_into()?);
    for (name, value) in config {
        body = body.text(name).text(value);
    }
    change(address, CREATE_TOPICS, body.limit().flag(false), "create", topic)
}

/// Removes a topic.
///
/// # Errors
/// When the broker refuses.
pub(super) fn delete(address: SocketAddr, topic: &str) -> Result<()> {
    change(address, DELETE_TOPICS, Body::default().number(1).text(topic).limit(), "delete", topic)
}

/// Gives a topic more partitions: so many in all.
///
/// # Errors
/// When the broker refuses.
pub(super) fn grow(address: SocketAddr, topic: &str, partitions: i32) -> Result<()> {
    // The broker chooses who holds them: no array, which is -1.
    let body = Body::default().number(1).text(topic).number(partitions).number(-1);
    change(address, CREATE_PARTITIONS, body.limit().flag(false), "grow", topic)
}

/// Writes one batch of records, which all replicas that are in sync have when this returns: the offset of the first.
///
/// # Errors
/// When the broker does not lead the partition, or refuses.
pub(super) fn produce(
    leader: SocketAddr,
    topic: &str,
    partition: i32,
    batch: &[u8],
) -> Result<i64> {
    const NO_TRANSACTION: i16 = -1;
    const ALL_REPLICAS: i16 = -1;
    let mut body = Body::default();
    body.0.extend(NO_TRANSACTION.to_be_bytes());
    body.0.extend(ALL_REPLICAS.to_be_bytes());
    let mut body = body.limit().number(1).text(topic).number(1).number(partition);
    body = body.number(batch.len().try_into()?);
    body.0.extend(batch);
    let answer = ask_within(leader, PRODUCE, body, CHANGE_LIMIT)?;
    let mut rest = Answer(&answer);
    rest.one_partition()?;
    rest.check("take records for", topic)?;
    rest.long()
}

/// The offset of the next record of a partition.
///
/// # Errors
/// When the broker does not lead the partition.
pub(super) fn end(leader: SocketAddr, topic: &str, partition: i32) -> Result<i64> {
    const A_CLIENT: i32 = -1;
    const LATEST: i64 = -1;
    let body = Body::default().number(A_CLIENT).number(1).text(topic).number(1);
    let mut body = body.number(partition);
    body.0.extend(LATEST.to_be_bytes());
    let answer = ask(leader, LIST_OFFSETS, body)?;
    let mut rest = Answer(&answer);
    rest.one_partition()?;
    rest.check("tell the end of", topic)?;
    let _time = rest.long()?;
    rest.long()
}

/// Where a group is in a partition.
///
/// # Errors
/// When the broker does not coordinate the group.
pub(super) fn committed(
    coordinator: SocketAddr,
    group: &str,
    topic: &str,
    partition: i32,
) -> Result<Option<i64>> {
    let body = Body::default().text(group).number(1).text(topic).number(1).number(partition);
    let answer = ask(coordinator, OFFSET_FETCH, body)?;
    let mut rest = Answer(&answer);
    rest.one_partition()?;
    let offset = rest.long()?;
    let _metadata = rest.text()?;
    rest.check("tell where a group is in", topic)?;
    Ok((offset >= 0).then_some(offset))
}

/// Moves the start of a partition to an offset: what lies before it is deleted.
///
/// # Errors
/// When the broker does not lead the partition, or refuses.
pub(super) fn delete_records(
    leader: SocketAddr,
    topic: &str,
    partition: i32,
    before: i64,
) -> Result<()> {
    let mut body = Body::default().number(1).text(topic).number(1).number(partition);
    body.0.extend(before.to_be_bytes());
    let answer = ask_within(leader, DELETE_RECORDS, body.limit(), CHANGE_LIMIT)?;
    let mut rest = Answer(&answer);
    let _throttled = rest.number()?;
    rest.one_partition()?;
    let _start = rest.long()?;
    rest.check("delete records of", topic)
}

/// Sends a request about one topic, whose answer is how long it was throttled, and the topic with its error.
fn change(address: SocketAddr, api: Api, body: Body, what: &str, topic: &str) -> Result<()> {
    let answer = ask_within(address, api, body, CHANGE_LIMIT)?;
    let mut rest = Answer(&answer);
    let _throttled = rest.number()?;
    let _topics = rest.number()?;
    let _name = rest.text()?;
    rest.check(what, topic)
}

fn ask(address: SocketAddr, api: Api, body: Body) -> Result<Vec<u8>> {
    ask_within(address, api, body, ANSWER_LIMIT)
}

/// Sends a request on a connection of its own; the body of the answer.
fn ask_within(address: SocketAddr, api: Api, body: Body, limit: Duration) -> Result<Vec<u8>> {
    const CORRELATION: i32 = 7;
    const NO_CLIENT_ID: i16 = -1;
    let mut request = Vec::new();
    request.extend(api.0.to_be_bytes());
    request.extend(api.1.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    request.extend(NO_CLIENT_ID.to_be_bytes());
    request.extend(body.0);
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(limit))?;
    let length = i32::try_from(request.len())?;
    stream.write_all(&[&length.to_be_bytes()[..], &request].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length))?;
    if !(4..=ANSWER_BYTES).contains(&length) {
        bail!("an answer of {length} bytes");
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    if answer[..4] != CORRELATION.to_be_bytes() {
        bail!("an answer to another request");
    }
    Ok(answer.split_off(4))
}

/// The body of a request, as it grows.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn number(mut self, number: i32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(mut self, text: &str) -> Self {
        let length = i16::try_from(text.len()).expect("names and settings are short");
        self.0.extend(length.to_be_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn flag(mut self, flag: bool) -> Self {
        self.0.push(flag.into());
        self
    }

    /// How long the broker may take.
    fn limit(self) -> Self {
        self.number(CHANGE_LIMIT.as_millis().try_into().expect("a constant of some seconds"))
    }
}

/// What is left of an answer.
struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn take(&mut self, bytes: usize) -> Result<&[u8]> {
        let (head, rest) = self.0.split_at_checked(bytes).context("the answer ended early")?;
        self.0 = rest;
        Ok(head)
    }

    fn number(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn count(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.number()?)?)
    }

    /// A string that may be null.
    fn text(&mut self) -> Result<String> {
        let length = i16::from_be_bytes(self.take(2)?.try_into()?);
        let bytes = self.take(usize::try_from(length).unwrap_or(0))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn long(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }

    fn brokers(&mut self) -> Result<Vec<Node>> {
        let count = self.count()?;
        let mut brokers = Vec::new();
        for _ in 0..count {
            let id = self.number()?;
            let host = self.text()?;
            let port = self.number()?;
            let _rack = self.text()?;
            brokers.push(Node { id, address: format!("{host}:{port}") });
        }
        Ok(brokers)
    }

    /// The beginning of an answer about one partition of one topic.
    fn one_partition(&mut self) -> Result<()> {
        let _topics = self.number()?;
        let _name = self.text()?;
        let _partitions = self.number()?;
        let _partition = self.number()?;
        Ok(())
    }

    /// An error code, which must be 0.
    fn check(&mut self, what: &str, topic: &str) -> Result<()> {
        let code = i16::from_be_bytes(self.take(2)?.try_into()?);
        if code != 0 {
            bail!(
                "the broker does not {what} {topic}: error {code} of https://kafka.apache.org/protocol#protocol_error_codes"
            );
        }
        Ok(())
    }
}
