//! A blocking HTTP client for the addresses of a server under test: one connection a request, every request with a limit in time.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, body::Incoming, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    authority: String,
    limit: Duration,
}

impl Client {
    /// Of the server at `http://host:port`, with a limit on each request.
    ///
    /// # Errors
    /// When the address is not of that form.
    pub fn new(url: &str, limit: Duration) -> Result<Self> {
        let rest = url.trim_end_matches('/').strip_prefix("http://");
        let authority = rest.filter(|rest| rest.contains(':') && !rest.contains('/'));
        let authority = authority.with_context(|| format!("{url} is not http://host:port"))?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, authority: authority.to_owned(), limit })
    }

    /// The body of `GET path?parameters`.
    ///
    /// # Errors
    /// When the server cannot be reached, is too slow, or answers with anything but success.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Bytes> {
        self.request(&Method::GET, path, parameters, Bytes::new())
    }

    /// The body of the answer to `POST path?parameters`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&self, path: &str, parameters: &[(&str, &str)], body: Bytes) -> Result<Bytes> {
        self.request(&Method::POST, path, parameters, body)
    }

    /// The JSON of `GET path?parameters`.
    ///
    /// # Errors
    /// As [`Self::get`], or when it is not JSON.
    pub fn json(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let body = self.get(path, parameters)?;
        serde_json::from_slice(&body).with_context(|| format!("the answer of {path} is not JSON"))
    }

    /// The records that a LogsQL query finds.
    ///
    /// # Errors
    /// As [`Self::get`], or when a line is not JSON.
    pub fn search(&self, query: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>> {
        let mut all = vec![("query", query)];
        all.extend_from_slice(parameters);
        let body = self.get("/select/logsql/query", &all)?;
        let lines = body.reader();
        let records = serde_json::Deserializer::from_reader(lines).into_iter();
        records.collect::<Result<_, _>>().with_context(|| format!("the answer to {query}"))
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        parameters: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Bytes> {
        let uri = uri(path, parameters);
        let what = || format!("{method} http://{}{uri}", self.authority);
        let exchange = async {
            let response = self.send(method, &uri, body).await?;
            let status = response.status();
            let body = response.into_body().collect().await.context("read the answer")?.to_bytes();
            if !status.is_success() {
                bail!("{status}: {}", String::from_utf8_lossy(&body));
            }
            Ok(body)
        };
        let limited = async { tokio::time::timeout(self.limit, exchange).await };
        let answered = self.runtime.block_on(limited);
        answered.with_context(|| format!("no answer within {:?}", self.limit))?.with_context(what)
    }

    async fn send(&self, method: &Method, uri: &str, body: Bytes) -> Result<Response<Incoming>> {
        let stream = TcpStream::connect(&self.authority).await.context("connect")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the connection, which ends with the answer.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method.clone())
            .uri(uri)
            .header(header::HOST, &self.authority)
            .body(Full::new(body))?;
        Ok(sender.send_request(request).await?)
    }
}

fn uri(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut uri = path.to_owned();
    for (index, (name, value)) in parameters.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.push_str(name);
        uri.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    uri.push(char::from(byte));
                }
                _ => uri.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let uri = uri("/q", &[("query", "a:=\"ä b\" | limit 1"), ("n", "1")]);
        assert_eq!(uri, "/q?query=a%3A%3D%22%C3%A4%20b%22%20%7C%20limit%201&n=1");
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        assert!(Client::new("localhost", Duration::from_secs(1)).is_err());
        assert!(Client::new("http://localhost:1/", Duration::from_secs(1)).is_ok());
    }
}
