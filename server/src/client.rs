//! A small HTTP client for the command line: one GET, the answer line by line.

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;

/// An answer that is read line by line.
pub(crate) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    start: usize,
}

/// The longest line that is taken, in bytes: over any record that the server stores.
const LINE_LIMIT_BYTES: usize = 64 << 20;

/// Sends `GET <base><path>?<parameters>`.
///
/// # Errors
/// When the server cannot be reached (saying how to start it), or with the server's own message.
pub(crate) async fn get(base: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Lines> {
    let authority = base
        .trim_end_matches('/')
        .strip_prefix("http://")
        .with_context(|| format!("the address {base:?} must start with http://"))?;
    let address =
        if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let stream = tokio::net::TcpStream::connect(&address).await.with_context(|| {
        format!("cannot reach Rookery at {base}: start it with `rookery`, or give its address with --url")
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encode(value)))
        .collect();
    let request = hyper::Request::get(format!("{path}?{}", query.join("&")))
        .header("host", authority)
        .body(Empty::<Bytes>::new())
        .context("cannot make the request")?;
    let response = sender.send_request(request).await.context("the server went away")?;
    let status = response.status();
    let mut lines = Lines { body: response.into_body(), buffer: Vec::new(), start: 0 };
    if !status.is_success() {
        let mut text = String::new();
        while let Some(line) = lines.next().await? {
            text.push_str(&String::from_utf8_lossy(line));
        }
        bail!("{}", explain(&text, status.as_u16(), parameters));
    }
    Ok(lines)
}

/// The server's error for a person; an error in the query is shown at its place.
fn explain(text: &str, status: u16, parameters: &[(&str, &str)]) -> String {
    let Ok(error) = serde_json::from_str::<serde_json::Value>(text) else {
        return format!("the server answered {status}: {text}");
    };
    let message = error["error"].as_str().unwrap_or(text);
    let query = parameters.iter().find(|(name, _)| *name == "query").map(|(_, value)| *value);
    let place = error["position"].as_u64().and_then(|at| usize::try_from(at).ok());
    let (Some(query), Some(place)) = (query, place) else { return message.to_owned() };
    let before = query.get(..place).map_or(query.len(), |head| head.chars().count());
    format!("{message}\n  {query}\n  {:before$}^", "")
}

fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

impl Lines {
    /// The next line without its end; `None` at the end of the answer.
    ///
    /// # Errors
    /// When the connection breaks in the middle, or a line is over the limit.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>> {
        let mut searched = self.start;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|&byte| byte == b'\n') {
                let (start, end) = (self.start, searched + at);
                self.start = end + 1;
                return Ok(Some(&self.buffer[start..end]));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            searched = self.buffer.len();
            match self.body.frame().await.transpose().context("the connection broke")? {
                Some(frame) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                    if self.buffer.len() > LINE_LIMIT_BYTES {
                        bail!("a line of the answer is over {} MiB", LINE_LIMIT_BYTES >> 20);
                    }
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    self.start = self.buffer.len();
                    return Ok(Some(&self.buffer));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_the_query_points_at_its_place() {
        let text = r#"{"error":"expected a value","position":6}"#;
        let shown = explain(text, 400, &[("query", "level:")]);
        assert_eq!(shown, "expected a value\n  level:\n        ^");
        assert_eq!(explain("oops", 500, &[]), "the server answered 500: oops");
    }
}
