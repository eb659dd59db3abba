//! HTTP: statements, inserts, and answers as streams of record batches.
//!
//! Everything that comes from outside travels as a bound parameter, `{name:Type}` in the text and [`Statement::param`] beside it. Text of
//! statements is made of constants.
//!
//! An answer is decoded while it arrives; a caller that drops it closes the connection, and the server ends the query
//! (`cancel_http_readonly_queries_on_client_close`). Arrow's own buffers are compressed (lz4), HTTP is not.

mod error;
mod http;
mod param;

use std::collections::VecDeque;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use clickhouse::query::BytesCursor;
use rookery_core::{Error, Result};

use crate::config::ClickHouseConfig;
pub(crate) use error::FENCED;
use error::classify;
pub use param::Param;

/// A statement with its parameters and settings.
#[derive(Clone, Debug)]
pub struct Statement {
    sql: String,
    params: Vec<(String, String)>,
    settings: Vec<(String, String)>,
}

impl Statement {
    /// A statement; `{name:Type}` in it is filled by [`Self::param`].
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), params: Vec::new(), settings: Vec::new() }
    }

    /// Binds a parameter: a number, a text, or a list of these.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Param) -> Self {
        let mut text = String::new();
        value.write(&mut text);
        self.params.push((format!("param_{name}"), text));
        self
    }

    /// Sets a setting of the server for this statement.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts are written as they are")]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// Names the statement in the server: a second one of the same name is refused while the first runs, and `KILL QUERY` finds it.
    #[must_use]
    pub fn query_id(self, id: &str) -> Self {
        self.setting("query_id", id)
    }

    /// The text.
    pub fn sql(&self) -> &str {
        &self.sql
    }
}

/// A connection pool to one server.
#[derive(Clone, Debug)]
pub struct Client {
    http: clickhouse::Client,
    url: String,
    statement_timeout: Duration,
}

impl Client {
    /// A client of this server and database; nothing is sent yet.
    ///
    /// # Errors
    /// `invalid` when the configuration cannot work; when the password's file cannot be read.
    pub fn new(config: &ClickHouseConfig) -> Result<Self> {
        config.validate()?;
        let http = http::client(config)?
            .with_url(&config.url)
            .with_database(&config.database)
            .with_user(&config.user)
            .with_password(config.password()?.expose())
            .with_product_info("rookery", env!("CARGO_PKG_VERSION"));
        Ok(Self { http, url: config.url.clone(), statement_timeout: config.statement_timeout.0 })
    }

    /// The same client with no database: for the statement that makes it.
    pub(crate) fn without_database(&self) -> Self {
        Self { http: self.http.clone().with_database("default"), ..self.clone() }
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement whose answer does not matter, within `statement_timeout`.
    ///
    /// # Errors
    /// What the server says, by its code; `timeout` when it says nothing in time: then the statement may take place.
    pub async fn execute(&self, statement: &Statement) -> Result<()> {
        self.in_time(self.prepare(statement).execute()).await
    }

    /// Inserts record batches: the text is `INSERT INTO … [SELECT … FROM input(…)] FORMAT ArrowStream`.
    ///
    /// # Errors
    /// What the server says, by its code. With `unavailable` and `timeout` the insert may take place.
    pub async fn insert(
        &self,
        statement: &Statement,
        stream: Vec<Bytes>,
        timeout: Duration,
    ) -> Result<()> {
        let mut http = self.http.clone();
        for (name, value) in statement.params.iter().chain(&statement.settings) {
            http.set_setting(name, value);
        }
        let mut insert = http
            .insert_formatted_with(statement.sql.as_str())
            .with_timeouts(Some(timeout), Some(timeout));
        for piece in stream {
            insert.send(piece).await.map_err(|e| self.error(e))?;
        }
        insert.end().await.map_err(|e| self.error(e))
    }

    /// Starts to read the answer of a query. Nothing is sent before the first call of [`Batches::next`].
    pub fn query(&self, statement: &Statement) -> Result<Batches> {
        let query = self
            .prepare(statement)
            .with_setting("cancel_http_readonly_queries_on_client_close", "1")
            .with_setting("output_format_arrow_string_as_string", "1")
            .with_setting("output_format_arrow_compression_method", "lz4_frame");
        let cursor = query.fetch_bytes("ArrowStream").map_err(|e| self.error(e))?;
        Ok(Batches {
            cursor,
            decoder: StreamDecoder::new(),
            ready: VecDeque::new(),
            url: self.url.clone(),
            done: false,
        })
    }

    /// The whole answer of a query that is known to be small, within `statement_timeout`.
    ///
    /// # Errors
    /// What the server says, by its code; `timeout`.
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<RecordBatch>> {
        let mut batches = self.query(statement)?;
        let all = async {
            let mut rows = Vec::new();
            while let Some(batch) = batches.next().await? {
                rows.push(batch);
            }
            Ok(rows)
        };
        match tokio::time::timeout(self.statement_timeout, all).await {
            Ok(rows) => rows,
            Err(_) => Err(self.too_slow()),
        }
    }

    fn prepare(&self, statement: &Statement) -> clickhouse::query::Query {
        let mut query = self.http.query_raw(&statement.sql);
        for (name, value) in statement.params.iter().chain(&statement.settings) {
            query = query.with_setting(name, value);
        }
        query
    }

    async fn in_time(
        &self,
        answer: impl Future<Output = clickhouse::error::Result<()>>,
    ) -> Result<()> {
        match tokio::time::timeout(self.statement_timeout, answer).await {
            Ok(answer) => answer.map_err(|e| self.error(e)),
            Err(_) => Err(self.too_slow()),
        }
    }

    fn too_slow(&self) -> Error {
        Error::timeout(format!(
            "ClickHouse at {} did not answer within {:?}: look at its load, or raise clickhouse.statement_timeout",
            self.url, self.statement_timeout
        ))
    }

    fn error(&self, error: clickhouse::error::Error) -> Error {
        classify(&self.url, error)
    }
}

/// An answer while it arrives. Dropping it ends the query in the server.
pub struct Batches {
    cursor: BytesCursor,
    decoder: StreamDecoder,
    ready: VecDeque<RecordBatch>,
    url: String,
    done: bool,
}

impl Batches {
    /// The next batch; `None` after the last. It decodes on the calling thread.
    ///
    /// # Errors
    /// What the server says, also in the middle of an answer; `corrupt` when what arrives is not Arrow, or ends before its end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.done {
                return Ok(None);
            }
            let piece = self.cursor.next().await.map_err(|e| classify(&self.url, e))?;
            let Some(piece) = piece else {
                self.done = true;
                self.decoder.finish().map_err(|e| self.corrupt(e))?;
                continue;
            };
            let mut buffer = Buffer::from(piece);
            while !buffer.is_empty() {
                if let Some(batch) =
                    self.decoder.decode(&mut buffer).map_err(|e| self.corrupt(e))?
                {
                    self.ready.push_back(batch);
                }
            }
        }
    }

    /// The columns, once the first batch has come; an answer without rows may have none.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    /// How many bytes have come so far.
    pub fn received_bytes(&self) -> u64 {
        self.cursor.received_bytes()
    }

    fn corrupt(&self, error: arrow_schema::ArrowError) -> Error {
        Error::corrupt(format!("the answer of ClickHouse at {} is not an Arrow stream", self.url))
            .because(error)
    }
}
