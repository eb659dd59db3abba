//! What a person can say about how a file is decoded. Every key has a default that is right for most files.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::Regex;
use rookery_core::units::{Bytes, Span};
pub use rookery_core::zone::Zone;
use rookery_core::{Error, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How the bytes of a file become records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeConfig {
    /// What wraps each line. `auto` tells it from the first lines of each file.
    pub format: Format,
    /// How the time of a line is found.
    pub time: TimeConfig,
    /// How lines are joined into one record.
    pub multiline: MultilineConfig,
    /// Which forms of text are parsed into fields.
    pub parse: ParseConfig,
    /// The longest body of a record; what is longer is cut, marked with the field `truncated`, and counted.
    pub record_limit: Bytes,
    /// The most fields that one record gets; further ones stay in the body only, and are counted.
    pub fields_limit: u32,
}

impl Default for DecodeConfig {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            time: TimeConfig::default(),
            multiline: MultilineConfig::default(),
            parse: ParseConfig::default(),
            record_limit: Bytes::mib(1),
            fields_limit: 256,
        }
    }
}

/// What wraps each line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Told from the first lines of each file.
    #[default]
    Auto,
    /// The format of the Kubernetes container runtime interface: time, stream, `F` or `P`, message.
    Cri,
    /// Docker's `json-file`: one JSON object a line with `log`, `stream` and `time`.
    Docker,
    /// Nothing: a line is what the program printed.
    Plain,
}

/// How the time of a line is found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeConfig {
    /// Formats that are tried first at the start of a line, in the notation of `strftime`, for example
    /// `%d.%m.%Y %H:%M:%S%.f`. What is known already (RFC 3339, syslog, access logs, log4j, klog, Unix time and others)
    /// needs none.
    pub formats: Vec<TimeFormat>,
    /// The zone of times that name none: a name such as `Europe/Berlin`, an offset such as `+02:00`, or `UTC`. By
    /// default the zone of this machine.
    pub zone: Zone,
    /// Where the time of a record comes from.
    pub source: TimeSource,
}

/// Where the time of a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeSource {
    /// The container runtime's time where the file has it, else the time that the line says.
    #[default]
    Auto,
    /// The time that the line says, also in a container's log; where it says none, as with `auto`.
    Printed,
    /// When the collector read it. Positions stay those of the printed time.
    Observed,
}

/// How lines are joined into one record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultilineConfig {
    /// Joins what belongs together by itself: indented lines, and stack traces of Java, Go, Python, Rust, Node and
    /// .NET.
    pub auto: bool,
    /// A regular expression that the first line of each record matches; every other line continues the record before
    /// it. Where it is set, `auto` does nothing.
    pub start_pattern: Option<Pattern>,
    /// The most lines that are joined; the next one starts a record of its own.
    pub max_lines: u32,
    /// The most bytes that are joined; the next line starts a record of its own.
    pub max_bytes: Bytes,
    /// How long the last record waits for a line that continues it.
    pub timeout: Span,
}

impl Default for MultilineConfig {
    fn default() -> Self {
        Self {
            auto: true,
            start_pattern: None,
            // A Java trace with its causes has some hundred lines; deeper ones are recursion without an end.
            max_lines: 1_000,
            max_bytes: Bytes(256 << 10),
            // A trace is written at once; a second until a line can be found leaves this much to wait for its end.
            timeout: Span::millis(300),
        }
    }
}

/// Which forms of text are parsed into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ParseConfig {
    /// JSON objects.
    pub json: bool,
    /// `key=value` pairs.
    pub logfmt: bool,
    /// Kubernetes' own: `I1121 01:02:03.000000       1 file.go:12] text`.
    pub klog: bool,
    /// Syslog, as sent (RFC 3164, RFC 5424) and as written into files.
    pub syslog: bool,
    /// Access logs: common, combined, and nginx's additions.
    pub access: bool,
}

impl Default for ParseConfig {
    fn default() -> Self {
        Self { json: true, logfmt: true, klog: true, syslog: true, access: true }
    }
}

/// A regular expression, compiled when the configuration is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a regular expression.
    ///
    /// # Errors
    /// `invalid` when it is not one, or when it compiles to more than a mebibyte.
    pub fn new(text: &str) -> Result<Self> {
        regex::bytes::RegexBuilder::new(text)
            .size_limit(1 << 20)
            .build()
            .map(Self)
            .map_err(|e| Error::invalid(format!("{text:?} is not a regular expression: {e}")))
    }

    /// Whether a part of the line matches.
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A format of times in the notation of `strftime`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeFormat(String);

impl TimeFormat {
    /// The format of that text.
    ///
    /// # Errors
    /// `invalid` when it has no field of a time.
    pub fn new(text: &str) -> Result<Self> {
        if text.contains('%') {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(format!(
            "{text:?} is not a time format: write one such as %Y-%m-%d %H:%M:%S%.f"
        )))
    }

    /// The format.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_form {
    ($name:ident, $print:expr, $example:literal) => {
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let print: fn(&Self) -> &str = $print;
                f.write_str(print(self))
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
                json_schema!({ "type": "string", "examples": [$example] })
            }
        }
    };
}

text_form!(Pattern, |p| p.0.as_str(), r"^\d{4}-\d\d-\d\d ");
text_form!(TimeFormat, |f| &f.0, "%Y-%m-%d %H:%M:%S%.f");
