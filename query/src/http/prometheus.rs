//! `stats` queries in the form of the Prometheus HTTP API, for charts and alert rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rookery_core::logs::fields;
use rookery_core::rows::Rows;
use rookery_core::{Error, Result, time};
use serde_json::{Map, Value, json};

use super::Service;
use super::error::Failure;
use super::parameters::Parameters;
use super::values::time_key;
use crate::logsql::ast::{Pipe, Query, Stats};

/// The widest step that is chosen when none is given, in nanoseconds: that of the reference.
const DEFAULT_STEP: i64 = time::DAY;

/// One vector: the values of a `stats` query at one time.
pub(super) async fn stats_query(State(service): State<Arc<Service>>, parameters: Parameters) -> Result<Response, Failure> {
    let query = parameters.query()?;
    let names = result_names(&query)?;
    let at = match parameters.get("time") {
        Some(text) => time::parse_time(text, parameters.now())?.start,
        None => parameters.now(),
    };
    let mut result = Vec::new();
    for rows in service.collect(&parameters, query, parameters.window()?).await? {
        for row in 0..rows.len {
            for (metric, value) in samples(&rows, row, &names, &[]) {
                result.push(json!({ "metric": metric, "value": [seconds(at), value] }));
            }
        }
    }
    Ok(answer("vector", &result))
}

/// A matrix: the values of a `stats` query in steps of time.
pub(super) async fn stats_query_range(State(service): State<Arc<Service>>, parameters: Parameters) -> Result<Response, Failure> {
    let mut query = parameters.query()?;
    let names = result_names(&query)?;
    let step = parameters.duration("step")?.filter(|&step| step > 0).unwrap_or(DEFAULT_STEP);
    let offset = parameters.duration("offset")?.unwrap_or(0);
    let stats = last_stats(&mut query)?;
    stats.by.retain(|key| key.field.as_ref() != fields::TIME);
    stats.by.insert(0, time_key(step, offset));

    let mut series: BTreeMap<String, (Map<String, Value>, BTreeMap<i64, String>)> = BTreeMap::new();
    let mut scratch = String::new();
    for rows in service.collect(&parameters, query, parameters.window()?).await? {
        let Some(times) = rows.column(fields::TIME) else { continue };
        for row in 0..rows.len {
            let at = time::parse_time(times.text(row, &mut scratch), 0)?.start;
            for (metric, value) in samples(&rows, row, &names, &[fields::TIME]) {
                let key = Value::Object(metric.clone()).to_string();
                series.entry(key).or_insert_with(|| (metric, BTreeMap::new())).1.insert(at, value);
            }
        }
    }
    let result: Vec<Value> = series
        .into_values()
        .map(|(metric, points)| {
            let values: Vec<Value> = points.into_iter().map(|(at, value)| json!([seconds(at), value])).collect();
            json!({ "metric": metric, "values": values })
        })
        .collect();
    Ok(answer("matrix", &result))
}

fn answer(kind: &str, result: &[Value]) -> Response {
    Json(json!({ "status": "success", "data": { "resultType": kind, "result": result } })).into_response()
}

/// Seconds since the epoch, with milliseconds only where there are some, as Prometheus prints them.
fn seconds(at: i64) -> Value {
    if at % time::SECOND == 0 { json!(at / time::SECOND) } else { json!(at as f64 / 1e9) }
}

/// The last `stats` pipe; what follows it may sort and cut, not more.
fn last_stats(query: &mut Query) -> Result<&mut Stats> {
    let wrong = || {
        Error::invalid("the query must end in a `stats` pipe, as in `error | stats by (namespace) count() errors`")
    };
    let last = query.pipes.iter().rposition(|pipe| matches!(pipe, Pipe::Stats(_))).ok_or_else(wrong)?;
    let fits = |pipe: &Pipe| {
        matches!(pipe, Pipe::Sort(_) | Pipe::Limit(_) | Pipe::Offset(_) | Pipe::Filter(_) | Pipe::Math(_))
    };
    if !query.pipes[last + 1..].iter().all(fits) {
        return Err(wrong());
    }
    match &mut query.pipes[last] {
        Pipe::Stats(stats) => Ok(stats),
        _ => Err(wrong()),
    }
}

/// The names of the values: everything that is not a label.
fn result_names(query: &Query) -> Result<Vec<Arc<str>>> {
    let mut copy = query.clone();
    let mut names: Vec<Arc<str>> = last_stats(&mut copy)?.functions.iter().map(|call| call.result.clone()).collect();
    for pipe in &query.pipes {
        if let Pipe::Math(entries) = pipe {
            names.extend(entries.iter().map(|entry| entry.result.clone()));
        }
    }
    Ok(names)
}

/// The samples of one row: one for each value, labelled by the other fields.
fn samples(rows: &Rows, row: usize, names: &[Arc<str>], skip: &[&str]) -> Vec<(Map<String, Value>, String)> {
    let mut scratch = String::new();
    let mut labels = Map::new();
    let mut values = Vec::new();
    for (name, column) in &rows.columns {
        let text = column.text(row, &mut scratch).to_owned();
        if names.contains(name) {
            values.push((name.clone(), text));
        } else if !skip.contains(&name.as_ref()) && !text.is_empty() {
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
