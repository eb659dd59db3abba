//! The logs signal: its columns, their names in queries, severity.
//!
//! | column | Arrow type | what |
//! |---|---|---|
//! | `time` | timestamp(ns, UTC) | when the line was printed |
//! | `observed` | timestamp(ns, UTC) | when the collector read it |
//! | `stream` | fixed binary(16) | [`crate::StreamId`] |
//! | `generation`, `offset` | u64 | [`crate::Position`] of the record's first byte |
//! | `severity` | u8 | OpenTelemetry severity number, 0 = unknown |
//! | `body` | utf8 | the whole message |
//! | `source` … `path`, `stream_tags` | dictionary(u32, utf8) | [`RESOURCE_COLUMNS`]: what is the same for a whole stream |
//! | `labels` | map(dictionary(u16, utf8), utf8) | labels of the resource: Kubernetes labels, `pod_uid`, `restart`, tags of pushed streams |
//! | `fields` | map(dictionary(u16, utf8), utf8) | what was parsed out of the body, nested names joined with `.` |
//! | `trace_id`, `span_id` | utf8, nullable | hex, lower case |
//!
//! The tenant is not a column of a batch: a batch belongs to one tenant.

pub mod builder;
pub mod ipc;
pub mod names;

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// Names of the built-in fields in queries. Every other name is a field of the record itself.
///
/// Where a record's own field has the name of a built-in one, the record's is asked as `fields.<name>`; only `level`
/// is merged: the record's own text if it has one, else the name of the severity.
pub mod fields {
    /// When the line was printed.
    pub const TIME: &str = "_time";
    /// The body.
    pub const MESSAGE: &str = "_msg";
    /// The stream's tags: `{container="c",namespace="n",pod="p"}`.
    pub const STREAM: &str = "_stream";
    /// The stream's id, 32 hex digits.
    pub const STREAM_ID: &str = "_stream_id";
    /// When the collector read it.
    pub const OBSERVED: &str = "_observed";
    /// The generation of the record's position.
    pub const GENERATION: &str = "_generation";
    /// The offset of the record's position.
    pub const OFFSET: &str = "_offset";
    /// The level: `trace`, `debug`, `info`, `warn`, `error`, `fatal`.
    pub const LEVEL: &str = "level";
    /// The trace's id.
    pub const TRACE_ID: &str = "trace_id";
    /// The span's id.
    pub const SPAN_ID: &str = "span_id";
    /// Before the name of a resource's label.
    pub const LABELS_PREFIX: &str = "labels.";
    /// Before the name of a record's own field that has the name of a built-in one.
    pub const OWN_PREFIX: &str = "fields.";
}

/// The dictionary columns that are the same for a whole stream.
pub const RESOURCE_COLUMNS: [&str; 12] = [
    "source",
    "cluster",
    "node",
    "project",
    "namespace",
    "workload",
    "pod",
    "pod_ip",
    "container",
    "image",
    "path",
    "stream_tags",
];

/// The names of [`RESOURCE_COLUMNS`] in queries, in the same order.
///
/// The file's path has an underscore as `_msg` has: `path` is what programs and access logs call the path of a request, and it is that
/// which people ask for.
pub const RESOURCE_FIELDS: [&str; 12] = [
    "source",
    "cluster",
    "node",
    "project",
    "namespace",
    "workload",
    "pod",
    "pod_ip",
    "container",
    "image",
    "_path",
    fields::STREAM,
];

/// What a stream's records share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Resource {
    /// `container`, `file`, `journal`, `kernel`, `audit`, `event`, `syslog`, `otlp`, `push`.
    pub source: String,
    /// The cluster's configured name.
    pub cluster: String,
    /// The node's name.
    pub node: String,
    /// The project of the namespace.
    pub project: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The owner of the pod.
    pub workload: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's address.
    pub pod_ip: String,
    /// The container's name.
    pub container: String,
    /// The container's image.
    pub image: String,
    /// The file's path: the chain's own, not that of a rotated file.
    pub path: String,
    /// Other labels, sorted by name.
    pub labels: Vec<(String, String)>,
}

impl Resource {
    /// The stream's tags as [`fields::STREAM`] prints them: sorted, values quoted and escaped as in JSON.
    ///
    /// A container is told by cluster, namespace, pod and container; a pushed stream by its labels; everything else by
    /// cluster, node and path.
    pub fn stream_tags(&self) -> String {
        let mut tags: Vec<(&str, &str)> = match self.source.as_str() {
            "container" => vec![
                ("cluster", &self.cluster),
                ("container", &self.container),
                ("namespace", &self.namespace),
                ("pod", &self.pod),
            ],
            "push" | "otlp" | "syslog" => {
                self.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
            }
            _ => vec![("cluster", &self.cluster), ("node", &self.node), ("path", &self.path)],
        };
        tags.retain(|(_, value)| !value.is_empty());
        tags.sort_unstable();
        print_tags(&tags)
    }

    /// The values of [`RESOURCE_COLUMNS`] but the last.
    pub fn columns(&self) -> [&str; 11] {
        [
            &self.source,
            &self.cluster,
            &self.node,
            &self.project,
            &self.namespace,
            &self.workload,
            &self.pod,
            &self.pod_ip,
            &self.container,
            &self.image,
            &self.path,
        ]
    }
}

/// Tags as text: `{a="b",c="d"}`, in the order given.
pub fn print_tags(tags: &[(&str, &str)]) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("{");
    for (index, (name, value)) in tags.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(out, "{comma}{name}=\"");
        for c in value.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('}');
    out
}

/// Tags from the text that [`print_tags`] makes; what is not such a text has no tags.
pub fn parse_tags(text: &str) -> Vec<(String, String)> {
    let mut tags = Vec::new();
    let mut rest = text.strip_prefix('{').unwrap_or("");
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next() {
                None => return tags,
                Some((at, '"')) => break at,
                Some((_, '\\')) => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c)) => value.push(c),
                    None => return tags,
                },
                Some((_, c)) => value.push(c),
            }
        };
        tags.push((name.trim_start_matches(',').into(), value));
        rest = &after[end + 1..];
    }
    tags
}

/// The name of an OpenTelemetry severity number; empty for 0 and for what is not one.
pub fn severity_name(severity: u8) -> &'static str {
    match severity {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => "",
    }
}

fn dict32() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// The type of `labels` and `fields`: a map from names, as a dictionary, to texts.
pub fn map_type() -> DataType {
    let names = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    let entry = Fields::from(vec![
        Field::new("keys", names, false),
        Field::new("values", DataType::Utf8, false),
    ]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry), false)), false)
}

/// The schema of a batch of logs.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = || DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let mut columns = vec![
            Field::new("time", time(), false),
            Field::new("observed", time(), false),
            Field::new("stream", DataType::FixedSizeBinary(16), false),
            Field::new("generation", DataType::UInt64, false),
            Field::new("offset", DataType::UInt64, false),
            Field::new("severity", DataType::UInt8, false),
            Field::new("body", DataType::Utf8, false),
        ];
        columns.extend(RESOURCE_COLUMNS.iter().map(|name| Field::new(*name, dict32(), false)));
        columns.push(Field::new("labels", map_type(), false));
        columns.push(Field::new("fields", map_type(), false));
        columns.push(Field::new("trace_id", DataType::Utf8, true));
        columns.push(Field::new("span_id", DataType::Utf8, true));
        Arc::new(Schema::new(columns))
    });
    SCHEMA.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_print_and_parse_back() {
        let resource = Resource {
            source: "push".into(),
            labels: vec![("a".into(), "x\"y\\z\n,=\"".into()), ("b".into(), "ü".into())],
            ..Resource::default()
        };
        let text = resource.stream_tags();
        assert_eq!(parse_tags(&text), resource.labels);
        assert_eq!(parse_tags("{}"), []);
        assert_eq!(parse_tags("{a=\"b"), []);
    }
}
