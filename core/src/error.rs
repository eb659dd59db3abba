//! One list of error kinds for the whole program.
//!
//! A kind says what the caller can do; the message says what was being done, to what, and what to do
//! next. Kinds map to HTTP in one place, so that no handler invents a status.

use std::fmt;

/// The result of anything that can fail in Rookery.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is: what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The input is wrong; the same input will fail again.
    Invalid,
    /// What was asked for does not exist.
    NotFound,
    /// The state does not allow it now (two writers, a newer schema).
    Conflict,
    /// Who is asking is not known.
    Unauthenticated,
    /// Who is asking may not.
    Forbidden,
    /// A named size limit was passed.
    TooLarge,
    /// A named rate or concurrency limit was passed; later it may work.
    Throttled,
    /// Something outside is away; later it may work.
    Unavailable,
    /// A named time limit was passed.
    Timeout,
    /// What was read is not what was written.
    Corrupt,
    /// The caller went away; nobody waits for the answer.
    Cancelled,
    /// A defect in Rookery.
    Internal,
}

impl Kind {
    /// Whether the same call may succeed later without being changed.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Timeout)
    }

    /// The HTTP status of this kind.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Throttled => 429,
            Self::Cancelled => 499,
            Self::Corrupt | Self::Internal => 500,
            Self::Unavailable | Self::Timeout => 503,
        }
    }

    /// The name used in responses and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too_large",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Corrupt => "corrupt",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

/// A failure: its kind, a sentence for a person, and what caused it.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        impl Error {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self {
                Self::new(Kind::$kind, message)
            })*
        }
    };
}

constructors! {
    /// The input is wrong.
    invalid => Invalid;
    /// It does not exist.
    not_found => NotFound;
    /// The state does not allow it now.
    conflict => Conflict;
    /// A size limit was passed: say which, and how to change it.
    too_large => TooLarge;
    /// A rate or concurrency limit was passed: say which, and how to change it.
    throttled => Throttled;
    /// Something outside is away.
    unavailable => Unavailable;
    /// A time limit was passed: say which, and how to change it.
    timeout => Timeout;
    /// What was read is not what was written.
    corrupt => Corrupt;
    /// The caller went away.
    cancelled => Cancelled;
    /// A defect in Rookery.
    internal => Internal;
}

impl Error {
    /// An error of this kind; the message says what was being done, to what, and what to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An I/O failure while doing `what` (for example "write the manifest /x/y").
    pub fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = match source.kind() {
            ErrorKind::NotFound => Kind::NotFound,
            ErrorKind::PermissionDenied => Kind::Forbidden,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Kind::Unavailable,
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Kind::Corrupt,
            _ => Kind::Internal,
        };
        Self::new(kind, format!("cannot {what}")).because(source)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence, without causes.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause: Option<&dyn std::error::Error> = self.source.as_deref().map(|e| e as _);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

// `source` is folded into `Display`, so that a one-line log holds the whole story; giving it here too
// would print it twice.
impl std::error::Error for Error {}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::internal("a column operation failed").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_its_causes_once() {
        let disk = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::io("write the manifest", disk);
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().starts_with("cannot write the manifest: "));
    }
}
