//! As much of Kafka's protocol as the kit needs to see whether a broker answers: one `Metadata` request.
//!
//! Format: <https://kafka.apache.org/protocol>. A request is a length, the header (API key, version, correlation id, client
//! id) and the body; all numbers are big-endian.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long an answer may take; a paused broker gives none.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// The largest answer that is read.
const ANSWER_BYTES: usize = 1 << 20;

const METADATA: i16 = 3;

/// How many brokers this one knows, once a controller leads them; else 0.
///
/// # Errors
/// When it does not answer.
pub(super) fn brokers(address: SocketAddr) -> Result<usize> {
    // Version 1 with no topics: brokers, and the controller's id.
    let answer = ask(address, METADATA, 1, &0_i32.to_be_bytes())?;
    let mut rest = Answer(&answer);
    let count = rest.number()?;
    for _ in 0..count {
        let _id = rest.number()?;
        rest.text()?;
        let _port = rest.number()?;
        rest.text()?;
    }
    let controller = rest.number()?;
    Ok(if controller < 0 { 0 } else { usize::try_from(count)? })
}

/// Sends a request on a connection of its own; the body of the answer.
fn ask(address: SocketAddr, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
    const CORRELATION: i32 = 7;
    const NO_CLIENT_ID: i16 = -1;
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    request.extend(NO_CLIENT_ID.to_be_bytes());
    request.extend(body);
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
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

    /// A string that may be null.
    fn text(&mut self) -> Result<String> {
        let length = i16::from_be_bytes(self.take(2)?.try_into()?);
        let bytes = self.take(usize::try_from(length).unwrap_or(0))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
