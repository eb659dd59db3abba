//! What Elasticsearch's clients ask before they send: who is there, which licence, which templates and policies there are.
//!
//! There are no indices here, so nothing that a client sets up is kept: a template or a policy that it puts is taken and answered for, and
//! one that it asks for is said to be there, so that it does not put it. Clients and what they call: Filebeat `GET /`, `/_license`,
//! `/_ilm/policy/*`, `/_index_template/*`, `/_data_stream/*`, `/_ingest/pipeline/*`; Logstash `/`, `/_license`, `/_xpack`,
//! `/_index_template/*`, `/_template/*`, `/_nodes/http`; Vector `/`, `/_cluster/health`; the libraries `/`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{failure, with_product};
use crate::door::Door;

/// A version whose bulk API is the one here, and which clients of 7 and 8 take.
const VERSION: &str = "8.17.0";

/// The paths that are answered, below `/` and below `/insert/elasticsearch`.
pub(crate) const PATHS: [&str; 18] = [
    "/_license",
    "/_xpack",
    "/_cluster/health",
    "/_cluster/health/{*rest}",
    "/_nodes",
    "/_nodes/{*rest}",
    "/_template",
    "/_template/{*rest}",
    "/_index_template",
    "/_index_template/{*rest}",
    "/_component_template/{*rest}",
    "/_ilm/policy",
    "/_ilm/policy/{*rest}",
    "/_data_stream/{*rest}",
    "/_ingest/pipeline/{*rest}",
    "/_alias/{*rest}",
    "/_cat/{*rest}",
    "/_security/_authenticate",
];

/// `GET /`. A caller that shows a token must show a right one; who shows none learns no more than the version.
pub(crate) fn version(door: &Door, headers: &HeaderMap) -> Response {
    if headers.contains_key(header::AUTHORIZATION)
        && let Err(error) = door.knock(headers)
    {
        return failure(&error);
    }
    let body = json!({
        "name": "rookery",
        "cluster_name": "rookery",
        "cluster_uuid": "rookery-takes-bulk-only",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "docker",
            "build_hash": "0000000000000000000000000000000000000000",
            "build_date": "2024-12-11T12:08:05.663969764Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    });
    with_product(Json(body).into_response())
}

/// The version, as a route.
pub(crate) async fn root(State(door): State<Door>, headers: HeaderMap) -> Response {
    version(&door, &headers)
}

/// All other paths of [`PATHS`].
pub(crate) async fn answer(
    State(door): State<Door>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Err(error) = door.knock(&headers) {
        return failure(&error);
    }
    let path = uri.path().strip_prefix("/insert/elasticsearch").unwrap_or(uri.path());
    with_product(Json(body(&method, path)).into_response())
}

fn body(method: &Method, path: &str) -> Value {
    if *method != Method::GET && *method != Method::HEAD {
        return json!({ "acknowledged": true });
    }
    let mut parts = path.trim_matches('/').split('/');
    let (first, last) = (parts.next().unwrap_or(""), parts.next_back().unwrap_or(""));
    match first {
        "_license" => json!({
            "license": { "status": "active", "uid": "rookery", "type": "basic", "mode": "basic" },
        }),
        "_xpack" => json!({
            "license": { "status": "active", "uid": "rookery", "type": "basic", "mode": "basic" },
            "features": { "ilm": { "available": true, "enabled": true } },
        }),
        "_cluster" => json!({
            "cluster_name": "rookery", "status": "green", "timed_out": false,
            "number_of_nodes": 1, "number_of_data_nodes": 1,
            "active_primary_shards": 0, "active_shards": 0, "relocating_shards": 0,
            "initializing_shards": 0, "unassigned_shards": 0, "number_of_pending_tasks": 0,
        }),
        // Nodes are not told by address: a client that sniffs goes on with the address that it has.
        "_nodes" => json!({ "cluster_name": "rookery", "nodes": {} }),
        "_index_template" => json!({ "index_templates": [{ "name": last, "index_template": {} }] }),
        "_component_template" => json!({ "component_templates": [{ "name": last }] }),
        "_data_stream" => json!({ "data_streams": [{ "name": last, "status": "GREEN" }] }),
        "_template" | "_ilm" | "_ingest" | "_alias" => json!({ last: {} }),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bench;
    use crate::{Hash, ReceiverConfig, Start, TokenConfig};
    use axum::body::Body;
    use axum::http::Request;

    #[tokio::test]
    async fn what_clients_ask_at_their_start_is_answered_under_both_roots() {
        let bench = Bench::new();
        let paths = [
            "/_license",
            "/_xpack",
            "/_cluster/health",
            "/_nodes/http",
            "/_ilm/policy/filebeat",
            "/_index_template/filebeat-8.17.0",
            "/_template/logstash",
            "/_data_stream/filebeat-8.17.0",
            "/_ingest/pipeline/x",
        ];
        let all = ["GET", "HEAD", "PUT"].map(|method| paths.map(|path| (method, path)));
        for (method, path) in all.into_iter().flatten() {
            for root in ["", "/insert/elasticsearch"] {
                let request = Request::builder().method(method).uri(format!("{root}{path}"));
                let answer = bench.ask(request.body(Body::empty()).unwrap()).await;
                assert_eq!(answer.status, 200, "{method} {root}{path}");
                assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch");
            }
        }
        let version =
            bench.ask(Request::get("/insert/elasticsearch/").body(Body::empty()).unwrap()).await;
        assert_eq!(version.json()["version"]["number"], VERSION);
        let license = bench.ask(Request::get("/_license").body(Body::empty()).unwrap()).await;
        assert_eq!(license.json()["license"]["type"], "basic");
    }

    #[tokio::test]
    async fn a_wrong_token_is_told_at_the_start() {
        let token = TokenConfig {
            name: "a".into(),
            hash: Hash::of("right"),
            tenant: Default::default(),
            protocols: Vec::new(),
        };
        let config = ReceiverConfig { tokens: vec![token], ..ReceiverConfig::default() };
        let bench = Bench::with(config, Start::default());
        let root = |value: &str| {
            let request = Request::get("/insert/elasticsearch/").header("authorization", value);
            bench.ask(request.body(Body::empty()).unwrap())
        };
        assert_eq!(root("Bearer wrong").await.status, 401);
        assert_eq!(root("Bearer right").await.status, 200);
        assert_eq!(
            bench.ask(Request::get("/_license").body(Body::empty()).unwrap()).await.status,
            401
        );
    }
}
