//! Time zones in configuration files: what times mean that name none.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A zone of times that name none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    text: String,
    zone: TimeZone,
}

impl Zone {
    /// The zone of that name, or with that offset from UTC.
    ///
    /// # Errors
    /// `invalid` when there is no such zone.
    pub fn new(text: &str) -> Result<Self> {
        let zone = match text {
            "" | "local" => TimeZone::system(),
            "UTC" | "Z" | "utc" => TimeZone::UTC,
            _ if text.starts_with(['+', '-']) => fixed_offset(text).ok_or_else(|| no_zone(text))?,
            _ => TimeZone::get(text).map_err(|_| no_zone(text))?,
        };
        Ok(Self { text: text.into(), zone })
    }

    /// What local time is ahead of UTC at `time`, in nanoseconds.
    pub fn offset_at(&self, time: i64) -> i64 {
        let at = Timestamp::from_nanosecond(time.into()).unwrap_or(Timestamp::UNIX_EPOCH);
        i64::from(self.zone.to_offset(at).seconds()) * crate::time::SECOND
    }

    /// The zone.
    pub fn get(&self) -> &TimeZone {
        &self.zone
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self { text: "local".into(), zone: TimeZone::system() }
    }
}

fn no_zone(text: &str) -> Error {
    Error::invalid(format!(
        "there is no time zone {text:?}: write a name such as Europe/Berlin, an offset such as +02:00, or UTC"
    ))
}

fn fixed_offset(text: &str) -> Option<TimeZone> {
    let digits: String = text[1..].chars().filter(|&c| c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let minutes = if digits.len() == 2 { number * 60 } else { number / 100 * 60 + number % 100 };
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Some(TimeZone::fixed(jiff::tz::Offset::from_seconds(sign * minutes * 60).ok()?))
}

impl TryFrom<String> for Zone {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.text
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonSchema for Zone {
    fn schema_name() -> Cow<'static, str> {
        "Zone".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["Europe/Berlin"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_knows_what_it_is_ahead_at_a_time() {
        let summer = crate::time::parse_time("2026-07-01T00:00:00Z", 0).unwrap().start;
        let berlin = Zone::new("Europe/Berlin").unwrap();
        assert_eq!(berlin.offset_at(summer), 2 * crate::time::HOUR);
        assert_eq!(berlin.offset_at(0), crate::time::HOUR);
        assert_eq!(Zone::new("-05:30").unwrap().offset_at(0), -330 * crate::time::MINUTE);
        assert!(Zone::new("Europe/Nowhere").is_err());
    }
}
