//! What is in the data: counts over time, names of fields, their values, streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rookery_core::Result;
use rookery_core::filter::FieldName;
use rookery_core::logs::{self, fields};
use serde_json::{Map, Value, json};

use super::Service;
use super::error::Failure;
use super::json::texts;
use super::parameters::Parameters;
use crate::logsql::ast::{Bucket, Facets, Pipe, Query, Stats, StatsCall, StatsFunction, StatsKey};

/// The name under which counts are asked for. It cannot be a field's name in the data that matters: results overwrite.
const HITS: &str = "hits";

/// A count of records grouped by `by`.
pub(super) fn count_by(by: Vec<StatsKey>) -> Pipe {
    let count = StatsCall {
        function: StatsFunction::Count(Vec::new()),
        condition: None,
        result: HITS.into(),
    };
    Pipe::Stats(Stats { by, functions: vec![count] })
}

/// `_time` in steps.
pub(super) fn time_key(step: i64, offset: i64) -> StatsKey {
    StatsKey { field: fields::TIME.into(), bucket: Some(Bucket::Time { step, offset }) }
}

/// Counts over time: one series for each set of values of the fields asked for.
pub(super) async fn hits(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let mut query = parameters.filter_only()?;
    let step = parameters.step()?;
    let offset = parameters.duration("offset")?.unwrap_or(0);
    let mut names: Vec<FieldName> = parameters.all("field").map(Into::into).collect();
    names.sort();
    names.dedup();
    let limit = parameters.limit("fields_limit")?;
    let mut by = vec![time_key(step, offset)];
    by.extend(names.iter().map(|field| StatsKey { field: field.clone(), bucket: None }));
    query.pipes.push(count_by(by));

    let mut series: BTreeMap<Vec<String>, BTreeMap<String, u64>> = BTreeMap::new();
    for rows in service.collect(&parameters, query).await? {
        let times: Vec<String> = texts(&rows, fields::TIME).collect();
        let counts: Vec<String> = texts(&rows, HITS).collect();
        let groups: Vec<Vec<String>> =
            names.iter().map(|name| texts(&rows, name).collect()).collect();
        for row in 0..rows.len {
            let key = groups.iter().map(|column| column[row].clone()).collect();
            let count = counts[row].parse().unwrap_or(0);
            *series.entry(key).or_default().entry(times[row].clone()).or_default() += count;
        }
    }
    let mut series: Vec<_> = series
        .into_iter()
        .map(|(key, points)| (points.values().sum::<u64>(), key, points))
        .collect();
    series.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut rest: BTreeMap<String, u64> = BTreeMap::new();
    if let Some(limit) = limit {
        for (_, _, points) in
            series.drain(usize::try_from(limit).unwrap_or(usize::MAX).min(series.len())..)
        {
            for (at, count) in points {
                *rest.entry(at).or_default() += count;
            }
        }
    }
    let mut answer: Vec<Value> = series
        .into_iter()
        .map(|(total, key, points)| {
            let fields: Map<String, Value> = names
                .iter()
                .map(ToString::to_string)
                .zip(key.into_iter().map(Value::from))
                .collect();
            one_series(&fields, total, &points)
        })
        .collect();
    if !rest.is_empty() {
        answer.push(one_series(&Map::new(), rest.values().sum(), &rest));
    }
    Ok(Json(json!({ "hits": answer })).into_response())
}

fn one_series(fields: &Map<String, Value>, total: u64, points: &BTreeMap<String, u64>) -> Value {
    let (timestamps, values): (Vec<&String>, Vec<&u64>) = points.iter().unzip();
    json!({ "fields": fields, "timestamps": timestamps, "values": values, "total": total })
}

/// The most frequent values of every field.
pub(super) async fn facets(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let mut query = parameters.filter_only()?;
    let mut facets = Facets::default();
    facets.limit = parameters.limit("limit")?.unwrap_or(facets.limit);
    facets.max_values_per_field =
        parameters.limit("max_values_per_field")?.unwrap_or(facets.max_values_per_field);
    facets.max_value_len = parameters.limit("max_value_len")?.unwrap_or(facets.max_value_len);
    facets.keep_const_fields = parameters.flag("keep_const_fields");
    query.pipes.push(Pipe::Facets(facets));

    let mut answer: Vec<(String, Vec<Value>)> = Vec::new();
    for rows in service.collect(&parameters, query).await? {
        let names = texts(&rows, "field_name");
        let values = texts(&rows, "field_value").zip(texts(&rows, HITS));
        for (name, (value, hits)) in names.zip(values) {
            let value = json!({ "field_value": value, "hits": hits.parse::<u64>().unwrap_or(0) });
            match answer.iter_mut().find(|(found, _)| *found == name) {
                Some((_, values)) => values.push(value),
                None => answer.push((name, vec![value])),
            }
        }
    }
    let answer: Vec<Value> = answer
        .into_iter()
        .map(|(name, values)| json!({ "field_name": name, "values": values }))
        .collect();
    Ok(Json(json!({ "facets": answer })).into_response())
}

/// The names of the fields that the records have.
pub(super) async fn field_names(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let mut query = parameters.filter_only()?;
    query.pipes.push(Pipe::FieldNames);
    answer_values(&service, &parameters, query, "name").await
}

/// The values of one field.
pub(super) async fn field_values(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let field = parameters.field("field")?;
    values_of(&service, &parameters, &field).await
}

/// The tags of the streams.
pub(super) async fn streams(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    values_of(&service, &parameters, fields::STREAM).await
}

/// The ids of the streams.
pub(super) async fn stream_ids(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    values_of(&service, &parameters, fields::STREAM_ID).await
}

async fn values_of(
    service: &Service,
    parameters: &Parameters,
    field: &str,
) -> Result<Response, Failure> {
    let mut query = parameters.filter_only()?;
    let limit = parameters.limit("limit")?;
    query.pipes.push(Pipe::FieldValues { field: field.into(), limit });
    answer_values(service, parameters, query, field).await
}

/// The names of the tags of the streams.
pub(super) async fn stream_field_names(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let counts = tags(&service, &parameters, |name, _| Some(name)).await?;
    Ok(print_values(counts))
}

/// The values of one tag of the streams.
pub(super) async fn stream_field_values(
    State(service): State<Arc<Service>>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let field = parameters.field("field")?;
    let mut counts =
        tags(&service, &parameters, |name, value| (name == field.as_ref()).then_some(value))
            .await?;
    if let Some(limit) = parameters.limit("limit")? {
        counts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Ok(print_values(counts))
}

/// How many records there are for each text that `pick` makes of the tags of their streams, most first.
async fn tags(
    service: &Service,
    parameters: &Parameters,
    pick: impl Fn(String, String) -> Option<String>,
) -> Result<Vec<(String, u64)>, Failure> {
    let mut query = parameters.filter_only()?;
    query.pipes.push(count_by(vec![StatsKey { field: fields::STREAM.into(), bucket: None }]));
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for rows in service.collect(parameters, query).await? {
        for (stream, hits) in texts(&rows, fields::STREAM).zip(texts(&rows, HITS)) {
            let hits: u64 = hits.parse().unwrap_or(0);
            for (name, value) in logs::parse_tags(&stream) {
                if let Some(text) = pick(name, value) {
                    *counts.entry(text).or_default() += hits;
                }
            }
        }
    }
    Ok(most_first(counts.into_iter().collect()))
}

async fn answer_values(
    service: &Service,
    parameters: &Parameters,
    query: Query,
    column: &str,
) -> Result<Response, Failure> {
    let mut values = Vec::new();
    for rows in service.collect(parameters, query).await? {
        let hits = texts(&rows, HITS).map(|hits| hits.parse().unwrap_or(0));
        values.extend(texts(&rows, column).zip(hits));
    }
    Ok(print_values(most_first(values)))
}

fn most_first(mut values: Vec<(String, u64)>) -> Vec<(String, u64)> {
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values
}

fn print_values(values: Vec<(String, u64)>) -> Response {
    let values: Vec<Value> =
        values.into_iter().map(|(value, hits)| json!({ "value": value, "hits": hits })).collect();
    Json(json!({ "values": values })).into_response()
}
