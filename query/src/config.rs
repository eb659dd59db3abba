//! Configuration of queries: what one may use, how many run at once, and how live tails are bounded.

use rookery_core::units::{Bytes, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `query` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// How long a query may take, from its start to its last row. A request may ask for less.
    pub timeout: Span,
    /// How much memory a query may hold at one time, for groups, sorted rows and joined answers.
    pub memory_limit: Bytes,
    /// How many rows an answer may have. They are streamed, so this protects the reader more than the server.
    pub rows_limit: u64,
    /// How many queries run at once. Others wait.
    pub concurrency: usize,
    /// How long a query waits for its turn before it is refused.
    pub queue_wait: Span,
    /// How many threads one query uses; 0 for one for each core.
    pub threads: usize,
    /// How many live tails are open at once.
    pub tail_sessions: usize,
    /// How often a live tail looks for new rows.
    pub tail_interval: Span,
    /// How many rows of a burst a live tail sends at one time; it says when it leaves some out.
    pub tail_rows_limit: u64,
}

impl QueryConfig {
    /// Long enough for a full scan of some hundred GB, short enough that a forgotten page does not load a server for long.
    pub const TIMEOUT: Span = Span::seconds(30);
    /// A million groups of a hundred bytes, with room for what counts them.
    pub const MEMORY_LIMIT: Bytes = Bytes::mib(256);
    /// A download of a busy day; a page shows a thousand.
    pub const ROWS_LIMIT: u64 = 10_000_000;
    /// A dashboard's panels at once; each has [`Self::threads`] threads, so more only make all slower.
    pub const CONCURRENCY: usize = 8;
    /// A page's queries, one behind the other, get through.
    pub const QUEUE_WAIT: Span = Span::seconds(10);
    /// A tail is a person who looks.
    pub const TAIL_SESSIONS: usize = 32;
    /// Below what a person notices as a delay.
    pub const TAIL_INTERVAL: Span = Span::millis(250);
    /// More than a person reads in an interval by far.
    pub const TAIL_ROWS_LIMIT: u64 = 10_000;

    /// How many threads one query uses.
    pub fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            timeout: Self::TIMEOUT,
            memory_limit: Self::MEMORY_LIMIT,
            rows_limit: Self::ROWS_LIMIT,
            concurrency: Self::CONCURRENCY,
            queue_wait: Self::QUEUE_WAIT,
            threads: 0,
            tail_sessions: Self::TAIL_SESSIONS,
            tail_interval: Self::TAIL_INTERVAL,
            tail_rows_limit: Self::TAIL_ROWS_LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_errors_and_defaults_fill_in() {
        let config: QueryConfig = serde_json::from_str(r#"{"timeout":"5s","threads":3}"#).unwrap();
        assert_eq!(config.timeout, Span::seconds(5));
        assert_eq!((config.threads(), config.concurrency), (3, QueryConfig::CONCURRENCY));
        assert!(serde_json::from_str::<QueryConfig>(r#"{"time_out":"5s"}"#).is_err());
    }
}
