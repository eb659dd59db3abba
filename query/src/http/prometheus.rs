//! `stats` queries in the form of the Prometheus HTTP API, for charts and alert rules.
//!
//! A row is one sample for each of its numbers (the results of `stats` and of `math` after it), labelled by its other fields. Over
//! a range, the last `stats` is grouped by time too, and what is sorted and cut after it is so within each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rookery_core::filter::FieldName;
use rookery_core::logs::fields;
use rookery_core::rows::Rows;
use rookery_core::{Error, Result, time};
use serde_json::{Map, Value, json};

use super::Service;
use super::error::Failure;
use super::parameters::Parameters;
use super::values::time_key;
use crate::logsql::ast::{FieldPattern, Pipe, Query, Stats};

/// One vector: the values of a `stats` query at one time.
pub(super) async fn stats_query(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    vector(&service, &parameters).await.map_err(Failure::for_prometheus)
}

/// A matrix: the values of a `stats` query in steps of time.
pub(super) async fn stats_query_range(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    matrix(&service, &parameters).await.map_err(Failure::for_prometheus)
}

async fn vector(service: &Service, parameters: &Parameters) -> Result<Response, Failure> {
    let query = parameters.query()?;
    let names = value_names(&query)?;
    let at = parameters.now()?;
    let mut result = Vec::new();
    for rows in service.collect(parameters, query).await? {
        for row in 0..rows.len {
            for (metric, value) in samples(&rows, row, &names, None) {
                result.push(json!({ "metric": metric, "value": [seconds(at), value] }));
            }
        }
    }
    Ok(answer("vector", &result))
}

/// Labels, and values by time.
type Series = (Map<String, Value>, BTreeMap<i64, String>);

async fn matrix(service: &Service, parameters: &Parameters) -> Result<Response, Failure> {
    let mut query = parameters.query()?;
    let names = value_names(&query)?;
    group_by_time(&mut query, parameters.step()?, parameters.duration("offset")?.unwrap_or(0))?;

    let mut series: BTreeMap<String, Series> = BTreeMap::new();
    let mut scratch = String::new();
    for rows in service.collect(parameters, query).await? {
        let Some(times) = rows.column(fields::TIME) else { continue };
        for row in 0..rows.len {
            let at = time::parse_time(times.text(row, &mut scratch), 0)?.start;
            for (metric, value) in samples(&rows, row, &names, Some(fields::TIME)) {
                let key = Value::Object(metric.clone()).to_string();
                series.entry(key).or_insert_with(|| (metric, BTreeMap::new())).1.insert(at, value);
            }
        }
    }
    let result: Vec<Value> = series
        .into_values()
        .map(|(metric, points)| {
            let values: Vec<Value> =
                points.into_iter().map(|(at, value)| json!([seconds(at), value])).collect();
            json!({ "metric": metric, "values": values })
        })
        .collect();
    Ok(answer("matrix", &result))
}

fn answer(kind: &str, result: &[Value]) -> Response {
    Json(json!({ "status": "success", "data": { "resultType": kind, "result": result } }))
        .into_response()
}

/// Seconds since the epoch, with a fraction only where there is one, as Prometheus prints them.
fn seconds(at: i64) -> Value {
    let millis = at.div_euclid(1_000_000);
    if millis % 1000 == 0 { json!(millis / 1000) } else { json!(millis as f64 / 1e3) }
}

/// Where the last `stats` pipe is; what follows it may not hide which value is of which group.
fn last_stats(query: &Query) -> Result<usize> {
    let wrong = |why: &str| {
        Error::invalid(format!(
            "{why}: the query must end in `stats`, as in `error | stats by (namespace) count() errors`, \
             and after it there may be filter, sort, limit, math, fields and delete"
        ))
    };
    let last = query.pipes.iter().rposition(|pipe| matches!(pipe, Pipe::Stats(_)));
    let last = last.ok_or_else(|| wrong("there is no `stats` pipe"))?;
    let fits = |pipe: &Pipe| {
        matches!(
            pipe,
            Pipe::Sort(_)
                | Pipe::Limit(_)
                | Pipe::Offset(_)
                | Pipe::Filter(_)
                | Pipe::Math(_)
                | Pipe::Fields(_)
                | Pipe::Delete(_)
        )
    };
    if query.pipes[last + 1..].iter().all(fits) {
        Ok(last)
    } else {
        Err(wrong("another pipe follows `stats`"))
    }
}

/// The names of the values: everything that is not a label.
fn value_names(query: &Query) -> Result<Vec<FieldName>> {
    let last = last_stats(query)?;
    let mut names = Vec::new();
    for pipe in &query.pipes[last..] {
        match pipe {
            Pipe::Stats(stats) => {
                names.extend(stats.functions.iter().map(|call| call.result.clone()));
            }
            Pipe::Math(entries) => names.extend(entries.iter().map(|entry| entry.result.clone())),
            _ => {}
        }
    }
    Ok(names)
}

/// Groups the last `stats` by time too, and lets what follows work within each step.
fn group_by_time(query: &mut Query, step: i64, offset: i64) -> Result<()> {
    let last = last_stats(query)?;
    for (index, pipe) in query.pipes.iter_mut().enumerate().skip(last) {
        match pipe {
            Pipe::Stats(Stats { by, .. }) if index == last => {
                by.retain(|key| key.field.as_ref() != fields::TIME);
                by.insert(0, time_key(step, offset));
            }
            Pipe::Sort(sort)
                if !sort.partition_by.iter().any(|field| field.as_ref() == fields::TIME) =>
            {
                sort.partition_by.push(fields::TIME.into());
            }
            Pipe::Fields(patterns)
                if !patterns.iter().any(|pattern| pattern.matches(fields::TIME)) =>
            {
                patterns.push(FieldPattern::Name(fields::TIME.into()));
            }
            Pipe::Delete(patterns)
                if patterns.iter().any(|pattern| pattern.matches(fields::TIME)) =>
            {
                return Err(Error::invalid("over a range of time, `_time` cannot be deleted"));
            }
            Pipe::Limit(_) | Pipe::Offset(_) => {
                return Err(Error::invalid(
                    "over a range of time, a limit is one for each step: write it into the sort, as in `sort by (errors desc) limit 5`",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The samples of one row: one for each value, labelled by the other fields but `skip`.
fn samples(
    rows: &Rows,
    row: usize,
    names: &[FieldName],
    skip: Option<&str>,
) -> Vec<(Map<String, Value>, String)> {
    let mut scratch = String::new();
    let mut labels = Map::new();
    let mut values = Vec::new();
    for (name, column) in &rows.columns {
        let text = column.text(row, &mut scratch);
        if names.contains(name) {
            values.push((name.clone(), text.to_owned()));
        } else if skip != Some(name.as_ref()) && !text.is_empty() {
            labels.insert(name.to_string(), text.into());
        }
    }
    values
        .into_iter()
        .map(|(name, value)| {
            let mut metric = labels.clone();
            metric.insert("__name__".into(), name.to_string().into());
            (metric, value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logsql;

    fn grouped(text: &str) -> Result<String> {
        let mut query = logsql::parse(text, 0)?;
        group_by_time(&mut query, time::MINUTE, 0)?;
        Ok(query.to_string())
    }

    #[test]
    fn a_range_groups_by_time_and_sorts_within_each_step() {
        let text = "a | stats by (_time:1h, b) count() n | sort by (n desc) limit 5 | fields b, n";
        let expected = "a | stats by (_time:1m, b) count(*) as n | sort by (n desc) partition by (_time) limit 5 | fields b, n, _time";
        assert_eq!(grouped(text).unwrap(), expected);
        for wrong in [
            "a",
            "a | stats count() n | limit 5",
            "a | stats count() n | uniq by (n)",
            "a | stats count() n | delete _t*",
        ] {
            assert!(grouped(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds(5 * time::SECOND).to_string(), "5");
        assert_eq!(seconds(5 * time::SECOND + 250_000_001).to_string(), "5.25");
        assert_eq!(seconds(-1).to_string(), "-0.001");
    }
}
