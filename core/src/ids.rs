//! Names of things: tenants, streams, and positions in them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{Error, Result};

/// The hard boundary of data, limits and bills: 1 to 64 characters of `a-z 0-9 - _ :`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(Arc<str>);

/// The longest name of a tenant, in bytes; it becomes a folder's name.
pub const TENANT_LIMIT_BYTES: usize = 64;

impl Tenant {
    /// The tenant of a caller that names none.
    pub const DEFAULT: &'static str = "default";

    /// A tenant by its name.
    ///
    /// # Errors
    /// `invalid` when the name is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self> {
        let ok = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b':');
        if name.is_empty() || name.len() > TENANT_LIMIT_BYTES || !name.bytes().all(ok) {
            return Err(Error::invalid(format!(
                "the tenant {name:?} is not a name: use 1 to {TENANT_LIMIT_BYTES} of a-z 0-9 - _ :"
            )));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Tenant {
    type Error = Error;
    fn try_from(name: String) -> Result<Self> {
        Self::new(&name)
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0.as_ref().into()
    }
}

/// One ordered source of records: the 128-bit hash of its identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct StreamId(pub [u8; 16]);

impl StreamId {
    /// The stream whose identity is these parts, in this order (for example the pod's UID and the
    /// container's name). Parts are framed, so `["a", "bc"]` is not `["ab", "c"]`.
    pub fn of(tenant: &Tenant, parts: &[&str]) -> Self {
        let mut hash = Xxh3::new();
        for part in std::iter::once(&tenant.as_str()).chain(parts) {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.digest128().to_be_bytes())
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for StreamId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("{text:?} is not a stream: expected 32 hex digits"));
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| wrong())
    }
}

impl Serialize for StreamId {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A place in a stream: which physical file of its chain, and the byte offset in the decompressed file.
///
/// Ordered as the stream was written. As a record's identity it is the offset of the record's first
/// byte; as a mark it is the first byte that is not yet covered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Position {
    /// The file: the time of its first record in nanoseconds since the epoch, made to grow along the chain.
    pub generation: u64,
    /// Bytes from the start of the decompressed file.
    pub offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_framed_and_print_back() {
        let tenant = Tenant::default();
        let a = StreamId::of(&tenant, &["a", "bc"]);
        assert_ne!(a, StreamId::of(&tenant, &["ab", "c"]));
        assert_eq!(a.to_string().parse::<StreamId>().unwrap(), a);
        assert!("+f".parse::<StreamId>().is_err());
    }

    #[test]
    fn a_tenant_is_a_safe_folder_name() {
        for bad in ["", "../x", "A", "a/b", ".", &"x".repeat(65)] {
            assert!(Tenant::new(bad).is_err(), "{bad}");
        }
        assert!(Tenant::new("12:0").is_ok());
    }
}
