//! Who may push: tokens, of which only hashes are kept.
//!
//! A token is 256 random bits, so that its SHA-256 cannot be turned back and needs no salt. It comes as `Authorization: Bearer TOKEN`,
//! as the password of `Basic` (any user), or as the key of Elasticsearch's `ApiKey`. The token says whose tenant the records are; what
//! headers say of a tenant is never trusted then, and a request that names another one is refused.
//!
//! Without tokens, pushes are taken from everybody where that was asked for (`allow_anonymous`) or the address is loopback. `AccountID` and
//! `ProjectID` name the tenant then, as for queries; `X-Scope-OrgID` of Loki's clients is ignored.

use std::fmt::Write as _;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rookery_core::{Error, Kind, Result, Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::stats::Protocol;

/// How a token starts, so that a person and a scanner for secrets know one.
const PREFIX: &str = "rookery_";

/// Somebody who may push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Whom it was given to; for people, and for the log.
    pub name: String,
    /// The SHA-256 of the token, 64 hex digits, as `rookery token new` prints it.
    pub hash: Hash,
    /// Whose the records are.
    #[serde(default)]
    #[schemars(with = "String")]
    pub tenant: Tenant,
    /// Which protocols it is for; all, when the list is empty.
    #[serde(default)]
    pub protocols: Vec<Protocol>,
}

/// The SHA-256 of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of that token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Compares all bytes, so that the time says nothing of where they differ.
    fn is(self, other: Self) -> bool {
        let differ = self.0.iter().zip(other.0).fold(0, |differ, (a, b)| differ | (a ^ b));
        std::hint::black_box(differ) == 0
    }
}

impl TryFrom<String> for Hash {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        let is_hex = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
        if !is_hex {
            // The text may be a token that was put in the wrong place, so it is not repeated.
            return Err(Error::invalid(
                "the hash of a token is 64 hex digits: copy the line that `rookery token new` prints for the configuration",
            ));
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |c: u8| char::from(c).to_digit(16).unwrap_or(0) as u8;
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        Ok(Self(bytes))
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hex(&hash.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A token of random bits; its text is shown once and kept nowhere.
pub fn new_token(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", hex(&random))
}

/// Who is let in.
pub(crate) struct Access {
    tokens: Vec<TokenConfig>,
    allow_anonymous: bool,
}

impl Access {
    pub(crate) fn new(tokens: Vec<TokenConfig>, allow_anonymous: bool) -> Self {
        Self { tokens, allow_anonymous }
    }

    /// Whether somebody without a token is let in, at an address that only this machine reaches or at another.
    pub(crate) fn is_open(&self, loopback: bool) -> bool {
        self.allow_anonymous || (self.tokens.is_empty() && loopback)
    }

    /// Whose the records of a request are.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        protocol: Protocol,
        loopback: bool,
    ) -> Result<Tenant> {
        let Some(token) = presented(headers) else {
            if self.is_open(loopback) {
                return named_tenant(headers).map(Option::unwrap_or_default);
            }
            return Err(unknown(if self.tokens.is_empty() {
                "pushes to an address that others reach need a token: make one with `rookery token new NAME` and put its hash into \
                 receiver.tokens, or set receiver.allow_anonymous"
            } else {
                "a push needs a token: send it as `Authorization: Bearer TOKEN`, or as the password"
            }));
        };
        let hash = Hash::of(&token);
        // All are compared, so that the time does not say how far the list was read.
        let known =
            self.tokens.iter().filter(|known| known.hash.is(hash)).fold(None, |_, k| Some(k));
        let Some(known) = known else {
            // Agents send a password of their own where nobody asked for one.
            if self.is_open(loopback) {
                return named_tenant(headers).map(Option::unwrap_or_default);
            }
            return Err(unknown("the token is not known: it was taken back, or mistyped"));
        };
        if !known.protocols.is_empty() && !known.protocols.contains(&protocol) {
            return Err(Error::new(
                Kind::Forbidden,
                format!("the token {:?} is not for {}", known.name, protocol.name()),
            ));
        }
        match named_tenant(headers)? {
            Some(tenant) if tenant != known.tenant && tenant != Tenant::default() => {
                Err(Error::new(
                    Kind::Forbidden,
                    format!("the token {:?} is not for the tenant {tenant}", known.name),
                ))
            }
            _ => Ok(known.tenant.clone()),
        }
    }
}

fn unknown(message: &str) -> Error {
    Error::new(Kind::Unauthenticated, message)
}

/// The token of a request, if it has one.
fn presented(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.to_owned()),
        "basic" | "apikey" => {
            // An API key may also come as the token itself.
            let Some(pair) = STANDARD.decode(rest).ok().and_then(|raw| String::from_utf8(raw).ok())
            else {
                return Some(rest.to_owned());
            };
            pair.split_once(':').map(|(_, secret)| secret.to_owned()).or(Some(rest.to_owned()))
        }
        _ => None,
    }
}

/// The tenant that `AccountID` and `ProjectID` name, as for queries.
fn named_tenant(headers: &HeaderMap) -> Result<Option<Tenant>> {
    let number = |name: &str| match headers.get(name) {
        None => Ok(None),
        Some(value) => {
            value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).map(Some).ok_or_else(
                || Error::invalid(format!("the header {name} must be a whole number below 2^32")),
            )
        }
    };
    match (number("AccountID")?, number("ProjectID")?) {
        (None, None) => Ok(None),
        (None | Some(0), None | Some(0)) => Ok(Some(Tenant::default())),
        (account, project) => {
            let name = format!("{}:{}", account.unwrap_or(0), project.unwrap_or(0));
            Tenant::new(&name).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn token(name: &str, text: &str, tenant: &str, protocols: &[Protocol]) -> TokenConfig {
        TokenConfig {
            name: name.into(),
            hash: Hash::of(text),
            tenant: Tenant::new(tenant).unwrap(),
            protocols: protocols.to_vec(),
        }
    }

    #[test]
    fn without_a_token_only_loopback_is_open_and_an_address_of_others_says_what_to_do() {
        let access = Access::new(Vec::new(), false);
        let none = headers(&[]);
        assert_eq!(access.admit(&none, Protocol::Loki, true).unwrap(), Tenant::default());
        let refused = access.admit(&none, Protocol::Loki, false).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unauthenticated);
        assert!(refused.message().contains("rookery token new"), "{refused}");
        assert!(Access::new(Vec::new(), true).admit(&none, Protocol::Loki, false).is_ok());
        // A configured token closes loopback too.
        let access = Access::new(vec![token("a", "secret", "one", &[])], false);
        assert!(access.admit(&none, Protocol::Loki, true).is_err());
    }

    #[test]
    fn a_token_comes_in_three_ways_and_says_whose_the_records_are() {
        let access =
            Access::new(vec![token("a", "x", "other", &[]), token("b", "s:1", "one", &[])], false);
        let basic = format!("Basic {}", STANDARD.encode("anybody:s:1"));
        let key = format!("ApiKey {}", STANDARD.encode("id:s:1"));
        for value in ["Bearer s:1", "bearer  s:1", &basic, &key] {
            let got = access.admit(&headers(&[("authorization", value)]), Protocol::Otlp, true);
            assert_eq!(got.unwrap().as_str(), "one", "{value}");
        }
        for value in ["Bearer s:2", "Bearer", "Digest s:1", "Basic !!"] {
            let got = access.admit(&headers(&[("authorization", value)]), Protocol::Otlp, true);
            assert_eq!(got.unwrap_err().kind(), Kind::Unauthenticated, "{value}");
        }
    }

    #[test]
    fn a_header_cannot_move_a_push_into_another_tenant() {
        let access = Access::new(vec![token("a", "s", "one", &[Protocol::Loki])], false);
        let with = |name, value| {
            let headers = headers(&[("authorization", "Bearer s"), (name, value)]);
            access.admit(&headers, Protocol::Loki, true)
        };
        assert_eq!(with("x-scope-orgid", "two").unwrap().as_str(), "one");
        assert_eq!(with("accountid", "0").unwrap().as_str(), "one");
        assert_eq!(with("accountid", "7").unwrap_err().kind(), Kind::Forbidden);
        let other = access.admit(&headers(&[("authorization", "Bearer s")]), Protocol::Otlp, true);
        assert_eq!(other.unwrap_err().kind(), Kind::Forbidden);
        let open = Access::new(Vec::new(), false);
        let got = open.admit(&headers(&[("x-scope-orgid", "two")]), Protocol::Loki, true);
        assert_eq!(got.unwrap(), Tenant::default());
        let got = open.admit(&headers(&[("accountid", "7")]), Protocol::Loki, true);
        assert_eq!(got.unwrap().as_str(), "7:0");
    }

    #[test]
    fn a_hash_is_written_as_it_is_printed_and_a_token_in_its_place_is_not_repeated() {
        let token = new_token([7; 32]);
        let text = String::from(Hash::of(&token));
        assert_eq!(Hash::try_from(text).unwrap(), Hash::of(&token));
        let wrong = Hash::try_from(token.clone()).unwrap_err().to_string();
        assert!(!wrong.contains(&token), "{wrong}");
    }
}
