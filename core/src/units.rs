//! Quantities in configuration files that carry their unit: `64MiB`, `5m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, time};

/// A number of bytes, written `512KiB`, `64MiB`, `10GB` or as a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct Bytes(pub u64);

/// A duration, written `250ms`, `5m`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct Span(pub Duration);

/// What YAML may hold where a quantity is wanted.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

impl Bytes {
    /// This many mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// As a size in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Span {
    /// This many milliseconds.
    pub const fn millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    /// This many seconds.
    pub const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }
}

const SIZES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl FromStr for Bytes {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = || {
            Error::invalid(format!(
                "{text:?} is not a size: write bytes or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB"
            ))
        };
        let (number, unit) = SIZES
            .iter()
            .find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, *unit)))
            .unwrap_or((text.strip_suffix('B').unwrap_or(text), 1));
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let bytes = number * unit as f64;
        if !(0.0..=u64::MAX as f64).contains(&bytes) {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, unit) in SIZES[..4].iter().rev() {
            if self.0 >= *unit && self.0.is_multiple_of(*unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl FromStr for Span {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let nanos = time::parse_duration(text)?;
        let nanos = u64::try_from(nanos)
            .map_err(|_| Error::invalid(format!("the duration {text:?} must not be negative")))?;
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units = [
            ("d", time::DAY),
            ("h", time::HOUR),
            ("m", time::MINUTE),
            ("s", time::SECOND),
            ("ms", 1_000_000),
        ];
        for (name, unit) in units {
            if nanos > 0 && nanos.is_multiple_of(unit as u128) {
                return write!(f, "{}{name}", nanos / unit as u128);
            }
        }
        write!(f, "{nanos}ns")
    }
}

macro_rules! text_form {
    ($name:ident, $pattern:literal, $what:literal) => {
        impl TryFrom<Scalar> for $name {
            type Error = Error;
            fn try_from(scalar: Scalar) -> Result<Self> {
                match scalar {
                    Scalar::Number(number) => number.to_string().parse(),
                    Scalar::Text(text) => text.parse(),
                }
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "integer"], "format": $what, "pattern": $pattern })
            }
        }
    };
}

text_form!(Bytes, r"^[0-9.]+ *([KMGT]iB|[kKMGT]?B)?$", "size");
text_form!(Span, r"^([0-9.]+(ns|us|ms|s|m|h|d|w|y)?)+$", "duration");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_print_as_they_are_written() {
        for text in ["64MiB", "1GiB", "1000", "3KiB"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        for text in ["5m", "250ms", "30d", "90s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("1.5kB".parse::<Bytes>().unwrap(), Bytes(1500));
        assert!("64 parsecs".parse::<Bytes>().is_err());
        assert!("-1".parse::<Bytes>().is_err());
        assert!("-5m".parse::<Span>().is_err());
    }
}
