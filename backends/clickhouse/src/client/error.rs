//! From what a server says to a kind of error.

use clickhouse::error::Error as Said;
use rookery_core::{Error, Kind};

/// The text that a fence throws, see `crate::fence`.
pub(crate) const FENCED: &str = "rookery: a later claim owns the partition";

/// An error of the client as one of ours. The codes are those of ClickHouse's `src/Common/ErrorCodes.cpp`, which also
/// `system.errors` lists.
pub(crate) fn classify(url: &str, said: Said) -> Error {
    match said {
        Said::BadResponse(text) => answered(url, &text),
        Said::TimedOut => Error::timeout(format!(
            "ClickHouse at {url} took longer than was allowed; what was asked may still take place"
        )),
        Said::Network(cause) => Error::unavailable(format!(
            "ClickHouse at {url} cannot be reached: is it running, and is clickhouse.url right?"
        ))
        .because(cause),
        other => {
            Error::internal(format!("the request to ClickHouse at {url} failed")).because(other)
        }
    }
}

fn answered(url: &str, text: &str) -> Error {
    let code = code(text);
    let kind = if text.contains(FENCED) { Kind::Conflict } else { kind(code) };
    let advice = match code {
        516 => ": look at clickhouse.user and clickhouse.password_file",
        497 => ": grant the user what the message names",
        _ => "",
    };
    Error::new(kind, format!("ClickHouse at {url} refused{advice}: {}", text.trim()))
}

/// The number in `Code: 47. DB::Exception: …`; 0 when there is none.
fn code(text: &str) -> u32 {
    let digits = text.split_once("Code: ").map_or("", |(_, rest)| rest);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

fn kind(code: u32) -> Kind {
    match code {
        // TIMEOUT_EXCEEDED, SOCKET_TIMEOUT
        159 | 209 => Kind::Timeout,
        // QUERY_WAS_CANCELLED, QUERY_WAS_CANCELLED_BY_CLIENT
        394 | 734 => Kind::Cancelled,
        // MEMORY_LIMIT_EXCEEDED, TOO_MANY_ROWS, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES, SET_SIZE_LIMIT_EXCEEDED
        241 | 158 | 307 | 396 | 191 => Kind::TooLarge,
        // TOO_MANY_SIMULTANEOUS_QUERIES, TOO_MANY_PARTS, QUOTA_EXCEEDED
        202 | 252 | 201 => Kind::Throttled,
        // AUTHENTICATION_FAILED, REQUIRED_PASSWORD, WRONG_PASSWORD, UNKNOWN_USER
        516 | 194 | 193 | 192 => Kind::Unauthenticated,
        // ACCESS_DENIED, READONLY
        497 | 164 => Kind::Forbidden,
        // UNKNOWN_TABLE, UNKNOWN_DATABASE
        60 | 81 => Kind::NotFound,
        // QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, NETWORK_ERROR, CANNOT_READ_FROM_SOCKET, NOT_ENOUGH_SPACE, TABLE_IS_READ_ONLY,
        // NO_ZOOKEEPER, KEEPER_EXCEPTION, ALL_CONNECTION_TRIES_FAILED, UNKNOWN_STATUS_OF_INSERT, TOO_FEW_LIVE_REPLICAS, ABORTED,
        // CANNOT_READ_ALL_DATA (of a request that was cut off), SERVER_OVERLOADED
        216 | 210 | 95 | 243 | 242 | 225 | 999 | 279 | 319 | 285 | 236 | 33 | 745 => {
            Kind::Unavailable
        }
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_codes_become_kinds() {
        let kind = |text: &str| classify("http://x", Said::BadResponse(text.into())).kind();
        assert_eq!(kind("Code: 60. DB::Exception: Unknown table"), Kind::NotFound);
        assert_eq!(kind("Code: 252. DB::Exception: Too many parts"), Kind::Throttled);
        assert_eq!(kind("Code: 1. DB::Exception: what"), Kind::Internal);
        assert_eq!(kind("502 Bad Gateway"), Kind::Internal);
        assert_eq!(kind(&format!("Code: 395. DB::Exception: {FENCED}")), Kind::Conflict);
    }
}
