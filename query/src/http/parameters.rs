//! What a request asks: parameters of the address and of a form, the tenant, the times.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, Uri, header};
use rookery_core::filter::{FieldName, Filter, TagMatcher, TagOp, Test, Values};
use rookery_core::time::{self, MINUTE};
use rookery_core::{Error, Result, Scope, Tenant, TimeRange};
use serde_json::Value;

use super::error::Failure;
use crate::logsql::{self, QUERY_LIMIT_BYTES, Query};

/// The largest form that is read, in bytes: a query of the longest length, percent-encoded, and some room.
const FORM_LIMIT_BYTES: usize = 3 * QUERY_LIMIT_BYTES + (64 << 10);

/// The parameters of a request, in the order given, those of the address first.
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    tenant: Tenant,
    received: i64,
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut parameters = Self::of_address(request.uri(), tenant(request.headers())?)?;
        let form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if request.method() == Method::POST && form {
            let body = axum::body::to_bytes(request.into_body(), FORM_LIMIT_BYTES).await;
            let body = body.map_err(|_| {
                Error::too_large(format!(
                    "the form is over {} KiB: shorten the query",
                    FORM_LIMIT_BYTES >> 10
                ))
            })?;
            decode_form(&body, &mut parameters.pairs)?;
        }
        Ok(parameters)
    }
}

/// Decodes `name=value&name=value`, percent-encoded.
fn decode_form(text: &[u8], pairs: &mut Vec<(String, String)>) -> Result<()> {
    for pair in text.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let value = pair.get(at + 1..).unwrap_or(b"");
        pairs.push((decode_percent(&pair[..at])?, decode_percent(value)?));
    }
    Ok(())
}

fn decode_percent(text: &[u8]) -> Result<String> {
    let wrong = || {
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        Error::invalid(format!("the parameter {shown:?} is not percent-encoded UTF-8"))
    };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = after
                    .get(..2)
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .ok_or_else(wrong)?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let byte =
                    u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or_else(wrong)?;
                out.push(byte);
                rest = &after[2..];
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| wrong())
}

/// The tenant that `AccountID` and `ProjectID` name; without both, the default one.
pub(super) fn tenant(headers: &HeaderMap) -> Result<Tenant> {
    let number = |name: &str| match headers.get(name) {
        None => Ok(None),
        Some(value) => {
            value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).map(Some).ok_or_else(
                || Error::invalid(format!("the header {name} must be a whole number below 2^32")),
            )
        }
    };
    match (number("AccountID")?, number("ProjectID")?) {
        // The tenant 0:0 of such clients is the one of those who name none.
        (None | Some(0), None | Some(0)) => Ok(Tenant::default()),
        (account, project) => {
            Tenant::new(&format!("{}:{}", account.unwrap_or(0), project.unwrap_or(0)))
        }
    }
}

impl Parameters {
    /// Those of an address alone, for a request whose body is something else.
    pub(super) fn of_address(uri: &Uri, tenant: Tenant) -> Result<Self> {
        Self::of_query(uri.query().unwrap_or(""), tenant)
    }

    /// Those of `name=value&name=value`.
    pub(super) fn of_query(text: &str, tenant: Tenant) -> Result<Self> {
        let mut pairs = Vec::new();
        decode_form(text.as_bytes(), &mut pairs)?;
        Ok(Self { pairs, tenant, received: time::now() })
    }

    /// The first value of a parameter; an empty one counts as not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter, empty ones left out.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| Error::invalid(format!("the parameter `{name}` is missing")))
    }

    /// The name of a field, which must be given.
    pub(super) fn field(&self, name: &str) -> Result<FieldName> {
        Ok(self.required(name)?.into())
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Error::invalid(format!("`{name}={text}` is not a whole number of 0 or more"))
            })
        };
        self.get(name).map(parse).transpose()
    }

    /// A whole number above 0; 0 counts as not given.
    pub(super) fn limit(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.number(name)?.filter(|&limit| limit > 0))
    }

    /// Yes or no; no when it is not given.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true" | "yes"))
    }

    /// A duration, in nanoseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>> {
        let parse = |text: &str| {
            time::parse_duration(text)
                .map_err(|e| Error::invalid(format!("the parameter `{name}`: {e}")))
        };
        self.get(name).map(parse).transpose()
    }

    /// The width of a bucket of time, in nanoseconds.
    pub(super) fn step(&self) -> Result<i64> {
        match self.duration("step")? {
            // What the reference takes when nothing is said.
            None => Ok(time::DAY),
            Some(step) if step > 0 => Ok(step),
            Some(_) => Err(Error::invalid("the parameter `step` must be above 0")),
        }
    }

    fn span(&self, name: &str) -> Result<Option<TimeRange>> {
        let parse = |text: &str| {
            time::parse_time(text, self.received)
                .map_err(|e| Error::invalid(format!("the parameter `{name}`: {e}")))
        };
        self.get(name).map(parse).transpose()
    }

    /// When the request came, in nanoseconds since the epoch.
    pub(super) fn received(&self) -> i64 {
        self.received
    }

    /// What durations in the query count from: `time`, else `end`, else the present.
    pub(super) fn now(&self) -> Result<i64> {
        if let Some(span) = self.span("time")? {
            return Ok(span.start);
        }
        let end = self.window()?.end;
        // A query up to a time in the future counts from the present, as one without an end does.
        Ok(end.min(self.received))
    }

    /// `start` to `end`; all of time on a side that is not given.
    pub(super) fn window(&self) -> Result<TimeRange> {
        let start = self.span("start")?.map_or(i64::MIN, |span| span.start);
        // A short time (a day, an hour) is meant with all of its length, a second as the instant it is.
        let end =
            self.span("end")?.map_or(i64::MAX, |span| match span.end.saturating_sub(span.start) {
                1 | MINUTE.. => span.end,
                _ => span.start.saturating_add(1),
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

    /// How long the query may take; the engine takes the smaller of it and its own limit.
    pub(super) fn timeout(&self) -> Result<Option<Duration>> {
        let nanos = self.duration("timeout")?.and_then(|nanos| u64::try_from(nanos).ok());
        Ok(nanos.filter(|&nanos| nanos > 0).map(Duration::from_nanos))
    }

    /// Whose data the caller sees.
    pub(super) fn scope(&self) -> Scope {
        Scope::tenant(self.tenant.clone())
    }

    /// The query, joined with `extra_filters` and `extra_stream_filters`, also in the queries inside it.
    pub(super) fn query(&self) -> Result<Query, Failure> {
        let now = self.now()?;
        let mut query = logsql::parse(self.required("query")?, now)?;
        for name in ["extra_filters", "extra_stream_filters"] {
            for text in self.all(name) {
                let filter = extra_filter(name, text)
                    .map_err(|e| Failure::from(e).with("parameter", name))?;
                let added = logsql::restrict(&mut query, &filter, now);
                added.map_err(|e| Failure::from(e).with("parameter", name))?;
            }
        }
        Ok(query)
    }

    /// The query without its pipes: what is asked is what lies in the store.
    pub(super) fn filter_only(&self) -> Result<Query, Failure> {
        let mut query = self.query()?;
        query.pipes.clear();
        Ok(query)
    }
}

/// The text of a filter that a parameter adds; in JSON it may be a map from fields (or from tags of streams) to values.
fn extra_filter(parameter: &str, text: &str) -> Result<String> {
    if !text.trim_start().starts_with("{\"") {
        return Ok(text.to_owned());
    }
    let pairs = pairs_of(text)?;
    let filter = if parameter == "extra_filters" { by_fields(pairs) } else { by_tags(pairs) };
    Ok(logsql::print_filter(&filter))
}

/// `{"field": "value", "other": ["a", "b"]}`.
fn pairs_of(text: &str) -> Result<Vec<(String, Vec<String>)>> {
    let wrong = || Error::invalid("a filter in JSON is an object of texts, or of lists of texts");
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return Err(wrong()) };
    let texts = |value: Value| match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => items
            .into_iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        _ => Err(wrong()),
    };
    members.into_iter().map(|(name, value)| Ok((name, texts(value)?))).collect()
}

fn by_fields(pairs: Vec<(String, Vec<String>)>) -> Filter {
    let test = |(name, values): (String, Vec<String>)| {
        Filter::field(&name, Test::In(Values::list(values)))
    };
    Filter::And(pairs.into_iter().map(test).collect())
}

fn by_tags(pairs: Vec<(String, Vec<String>)>) -> Filter {
    let matcher = |(tag, values): (String, Vec<String>)| TagMatcher { tag, op: TagOp::In(values) };
    Filter::Stream(vec![pairs.into_iter().map(matcher).collect()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Parameters {
        let uri: Uri = format!("/x?{text}").parse().unwrap();
        Parameters {
            received: 1_000 * time::SECOND,
            ..Parameters::of_address(&uri, Tenant::default()).unwrap()
        }
    }

    #[test]
    fn parameters_are_decoded_and_empty_ones_are_not_given() {
        let p = parameters("query=a+%22b%22&limit=&field=x&field=y&flag=1");
        assert_eq!(p.get("query"), Some("a \"b\""));
        assert_eq!(p.number("limit").unwrap(), None);
        assert_eq!(p.all("field").collect::<Vec<_>>(), ["x", "y"]);
        assert!(p.flag("flag") && !p.flag("query"));
        assert!(p.required("nothing").is_err());
        assert!(parameters("limit=-1").number("limit").is_err());
        assert!(parameters("step=0").step().is_err());
        for wrong in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert!(decode_percent(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_day_as_the_end_is_meant_whole_and_a_second_as_an_instant() {
        let day = parameters("start=1970-01-01&end=1970-01-01").window().unwrap();
        assert_eq!((day.start, day.end), (0, time::DAY));
        let second = parameters("end=1970-01-01T00:00:10Z").window().unwrap();
        assert_eq!((second.start, second.end), (i64::MIN, 10 * time::SECOND + 1));
        assert!(parameters("start=2000000000&end=1000000000").window().is_err());
    }

    #[test]
    fn durations_count_from_the_time_the_end_or_the_present() {
        assert_eq!(parameters("").now().unwrap(), 1_000 * time::SECOND);
        assert_eq!(parameters("end=2000-01-01").now().unwrap(), 1_000 * time::SECOND);
        assert_eq!(parameters("end=1970-01-01T00:00:10.5Z").now().unwrap(), 10_500_000_001);
        assert_eq!(
            parameters("time=1970-01-01T00:00:07Z&end=1970-01-02").now().unwrap(),
            7 * time::SECOND
        );
    }

    #[test]
    fn extra_filters_are_joined_in_either_form() {
        let encoded = |text: &str| {
            text.replace('%', "%25").replace('"', "%22").replace(' ', "+").replace('&', "%26")
        };
        let cases = [
            ("extra_filters", "ns:prod or ns:dev", "(ns:prod or ns:dev) (a or b)"),
            (
                "extra_filters",
                r#"{"ns":"prod","x":["1","2"]}"#,
                r#"ns:in("prod") x:in("1", "2") (a or b)"#,
            ),
            ("extra_stream_filters", r#"{"app":["x","y"]}"#, r#"{app in ("x", "y")} (a or b)"#),
            ("extra_stream_filters", r#"{app="x"}"#, r#"{app="x"} (a or b)"#),
        ];
        for (name, filter, expected) in cases {
            let filter = encoded(filter).replace('{', "%7B").replace('}', "%7D");
            let query = parameters(&format!("query=a+or+b&{name}={filter}")).query();
            assert_eq!(query.map_err(|_| ()).unwrap().to_string(), expected, "{filter}");
        }
        assert!(parameters("query=a&extra_filters=b+|").query().is_err());
        assert!(parameters("query=a&extra_filters=%7B%22a%22:1%7D").query().is_err());
    }

    #[test]
    fn a_tenant_is_two_numbers() {
        let mut headers = HeaderMap::new();
        assert_eq!(tenant(&headers).unwrap(), Tenant::default());
        headers.insert("AccountID", "0".parse().unwrap());
        assert_eq!(tenant(&headers).unwrap(), Tenant::default());
        headers.insert("ProjectID", "7".parse().unwrap());
        assert_eq!(tenant(&headers).unwrap().as_str(), "0:7");
        headers.insert("AccountID", "../x".parse().unwrap());
        assert!(tenant(&headers).is_err());
    }
}
