//! What a request asks: parameters of the address and of a form, the tenant, the times.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use rookery_core::filter::Filter;
use rookery_core::time::{self, MINUTE};
use rookery_core::{Error, Result, Scope, Tenant, TimeRange};

use super::error::Failure;
use crate::logsql::{self, Query};

/// The largest form that is read, in bytes: a query of the longest length, percent-encoded, and some room.
const FORM_LIMIT_BYTES: usize = 256 << 10;

/// The parameters of a request, in the order given, those of the address first.
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    tenant: Tenant,
    now: i64,
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let tenant = tenant(request.headers())?;
        let mut pairs = pairs(request.uri().query().unwrap_or(""))?;
        let form = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes().starts_with(b"application/x-www-form-urlencoded")
        });
        if request.method() == Method::POST && form {
            let body = axum::body::to_bytes(request.into_body(), FORM_LIMIT_BYTES).await;
            let body = body.map_err(|_| {
                Error::too_large(format!("the form is over {} KiB", FORM_LIMIT_BYTES >> 10))
            })?;
            let text = std::str::from_utf8(&body).map_err(|_| Error::invalid("the form is not UTF-8"))?;
            pairs.extend(self::pairs(text)?);
        }
        Ok(Self { pairs, tenant, now: time::now() })
    }
}

fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    // `Query` reads an address; a form has the same syntax.
    let uri = axum::http::Uri::builder().path_and_query(format!("/?{text}")).build();
    let uri = uri.map_err(|e| Error::invalid("the parameters cannot be read").because(e))?;
    axum::extract::Query::try_from_uri(&uri)
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|e| Error::invalid("the parameters cannot be read").because(e))
}

/// The tenant that `AccountID` and `ProjectID` name; without both, the default one.
pub(super) fn tenant(headers: &HeaderMap) -> Result<Tenant> {
    let number = |name: &str| match headers.get(name) {
        None => Ok(None),
        Some(value) => value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).map(Some).ok_or_else(|| {
            Error::invalid(format!("the header {name} must be a whole number below 2^32"))
        }),
    };
    match (number("AccountID")?, number("ProjectID")?) {
        (None, None) => Ok(Tenant::default()),
        (account, project) => {
            Tenant::new(&format!("{}:{}", account.unwrap_or(0), project.unwrap_or(0)))
        }
    }
}

impl Parameters {
    /// Those of an address alone, for a request whose body is something else.
    pub(super) fn of_address(uri: &axum::http::Uri, tenant: Tenant) -> Result<Self> {
        Ok(Self { pairs: pairs(uri.query().unwrap_or(""))?, tenant, now: time::now() })
    }

    /// The first value of a parameter; an empty one counts as not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter, empty ones left out.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be given.
    pub(super) fn required(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| Error::invalid(format!("the parameter `{name}` is missing")))
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Error::invalid(format!("`{name}={text}` is not a whole number of 0 or more")))
        };
        self.get(name).map(parse).transpose()
    }

    /// A duration, in nanoseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>> {
        let parse = |text: &str| {
            time::parse_duration(text).map_err(|e| Error::invalid(format!("the parameter `{name}`")).because(e))
        };
        self.get(name).map(parse).transpose()
    }

    /// When the request came, in nanoseconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// Whose data the caller sees.
    pub(super) fn scope(&self) -> Scope {
        Scope::tenant(self.tenant.clone())
    }

    /// How long the query may take: the parameter, but not more than the server's limit.
    pub(super) fn timeout(&self, limit: Duration) -> Result<Duration> {
        let Some(nanos) = self.duration("timeout")? else { return Ok(limit) };
        let asked = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
        Ok(if asked.is_zero() { limit } else { asked.min(limit) })
    }

    /// `start` to `end`; all of time on a side that is not given.
    pub(super) fn window(&self) -> Result<TimeRange> {
        let parse = |name: &str| {
            let parse = |text| {
                time::parse_time(text, self.now)
                    .map_err(|e| Error::invalid(format!("the parameter `{name}`")).because(e))
            };
            self.get(name).map(parse).transpose()
        };
        let start = parse("start")?.map_or(i64::MIN, |span| span.start);
        // A short time (a day, an hour) is meant with all of its length, a second or a `now` as the instant it is.
        let end = parse("end")?.map_or(i64::MAX, |span| match span.end.saturating_sub(span.start) {
            1 | MINUTE.. => span.end,
            _ => span.start,
        });
        if start > end {
            return Err(Error::invalid(format!(
                "the time span is empty: `start` is {}, `end` is {}",
                time::rfc3339(start),
                time::rfc3339(end)
            )));
        }
        Ok(TimeRange { start, end })
    }

    /// The query, joined with `extra_filters` and `extra_stream_filters`.
    pub(super) fn query(&self) -> Result<Query, Failure> {
        let mut query = logsql::parse(self.required("query")?, self.now)?;
        let mut parts = Vec::new();
        for name in ["extra_filters", "extra_stream_filters"] {
            for text in self.all(name) {
                let extra = logsql::parse(text, self.now).map_err(|e| Failure::from(e).with("parameter", name))?;
                if !extra.pipes.is_empty() || !extra.subqueries.is_empty() {
                    return Err(Error::invalid(format!("`{name}` takes a filter without pipes and subqueries")).into());
                }
                parts.push(extra.filter);
            }
        }
        if !parts.is_empty() {
            parts.push(std::mem::replace(&mut query.filter, Filter::All));
            query.filter = Filter::And(parts);
        }
        Ok(query)
    }

    /// A parameter as the name of a field.
    pub(super) fn field(&self, name: &str) -> Result<Arc<str>> {
        Ok(self.required(name)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Parameters {
        Parameters { pairs: pairs(text).unwrap(), tenant: Tenant::default(), now: 1_000 * time::SECOND }
    }

    #[test]
    fn parameters_are_decoded_and_empty_ones_are_not_given() {
        let p = parameters("query=a+%22b%22&limit=&field=x&field=y");
        assert_eq!(p.get("query"), Some("a \"b\""));
        assert_eq!(p.number("limit").unwrap(), None);
        assert_eq!(p.all("field").collect::<Vec<_>>(), ["x", "y"]);
        assert!(p.required("nothing").is_err());
        assert!(parameters("limit=-1").number("limit").is_err());
    }

    #[test]
    fn a_day_as_the_end_is_meant_whole_and_a_second_as_an_instant() {
        let day = parameters("start=1970-01-01&end=1970-01-01").window().unwrap();
        assert_eq!((day.start, day.end), (0, time::DAY));
        let second = parameters("end=1970-01-01T00:00:10Z").window().unwrap();
        assert_eq!((second.start, second.end), (i64::MIN, 10 * time::SECOND));
        assert!(parameters("start=20000000000&end=10000000000").window().is_err());
    }

    #[test]
    fn a_tenant_is_two_numbers() {
        let mut headers = HeaderMap::new();
        assert_eq!(tenant(&headers).unwrap(), Tenant::default());
        headers.insert("ProjectID", "7".parse().unwrap());
        assert_eq!(tenant(&headers).unwrap().as_str(), "0:7");
        headers.insert("AccountID", "../x".parse().unwrap());
        assert!(tenant(&headers).is_err());
    }
}
