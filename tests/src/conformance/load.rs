//! The records of a section as blocks, by the same builder that the collector and the push use.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rookery_core::batch::{Block, Entry, Fate, Origin, Range};
use rookery_core::filter::eval::number::parse_rfc3339;
use rookery_core::logs::builder::{Head, LogBatchBuilder};
use rookery_core::logs::{RESOURCE_FIELDS, Resource};
use rookery_core::time::SECOND;
use rookery_core::{Position, StreamId, Tenant};
use serde_json::{Map, Value};

use super::Section;

/// The fewest records of a block, so that a small section makes several.
const BLOCK_RECORDS: usize = 3;
/// About the most blocks that a section makes.
const BLOCKS: usize = 40;
/// The time of a first record without one: 2026-11-21T10:00:00Z.
const FIRST_TIME: i64 = 1_795_255_200 * SECOND;
/// How many bytes a record is said to take in its stream.
const RECORD_BYTES: u64 = 100;

/// Whose data the suite's is.
pub fn tenant() -> Tenant {
    Tenant::default()
}

/// The records of a section as a store takes them, in the order in which it must take them.
///
/// # Errors
/// When a time is not one.
pub fn blocks(section: &Section) -> Result<Vec<Block>> {
    let mut loader = Loader { section, offsets: BTreeMap::new(), time: FIRST_TIME - SECOND };
    let size = BLOCK_RECORDS.max(section.records.len().div_ceil(BLOCKS));
    section.records.chunks(size).map(|records| loader.block(records)).collect()
}

struct Loader<'a> {
    section: &'a Section,
    /// Where each stream ends so far.
    offsets: BTreeMap<StreamId, u64>,
    /// The time of the last record.
    time: i64,
}

impl Loader<'_> {
    fn block(&mut self, records: &[Map<String, Value>]) -> Result<Block> {
        let mut builder = LogBatchBuilder::default();
        let mut entries: BTreeMap<StreamId, Entry> = BTreeMap::new();
        for record in records {
            self.add(record, &mut builder, &mut entries)
                .with_context(|| format!("the record {}", Value::Object(record.clone())))?;
        }
        let records = vec![builder.finish()?];
        Ok(Block {
            tenant: tenant(),
            origin: Origin::default(),
            records,
            entries: entries.into_values().collect(),
        })
    }

    fn add(
        &mut self,
        record: &Map<String, Value>,
        builder: &mut LogBatchBuilder,
        entries: &mut BTreeMap<StreamId, Entry>,
    ) -> Result<()> {
        let mut fields = Vec::new();
        flatten("", record, &mut fields);
        let resource = self.resource(&fields);
        let tags = resource.stream_tags();
        let stream = StreamId::of(&tenant(), &["conformance", &tags]);
        let start = self.offsets.get(&stream).copied().unwrap_or(0);
        self.offsets.insert(stream, start + RECORD_BYTES);
        let range = Range {
            stream,
            generation: 1,
            start,
            end: start,
            records: 0,
            fate: Fate::Kept,
            after: Position::default(),
        };
        let tags: Arc<str> = tags.into();
        let fresh = || Entry { range, duplicates: 0, duplicate_bytes: 0, tags };
        let entry = entries.entry(stream).or_insert_with(fresh);
        entry.range.end += RECORD_BYTES;
        entry.range.records += 1;

        let value = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        self.time = match value("_time") {
            Some(text) => parse_rfc3339(text).with_context(|| format!("the time {text:?}"))?,
            None => self.time + SECOND,
        };
        builder.push_body(value("_msg").unwrap_or(""));
        for (name, value) in &fields {
            let own =
                !matches!(name.as_str(), "_time" | "_msg" | "_severity" | "trace_id" | "span_id");
            if own && !value.is_empty() && !self.is_of_resource(name) {
                builder.field(name, value);
            }
        }
        let resource = builder.resource(&Arc::new(resource));
        builder.finish_record(Head {
            resource,
            stream,
            position: Position { generation: 1, offset: start },
            time: self.time,
            observed: self.time,
            severity: value("_severity").unwrap_or("0").parse()?,
            trace_id: value("trace_id"),
            span_id: value("span_id"),
        });
        Ok(())
    }

    /// Whether a field is a column of the resource, not of the record.
    fn is_of_resource(&self, name: &str) -> bool {
        RESOURCE_FIELDS.contains(&name)
            && (self.section.source != "push" || self.section.streams.iter().any(|tag| tag == name))
    }

    fn resource(&self, fields: &[(String, String)]) -> Resource {
        let column = |name: &str| {
            let found = fields.iter().find(|(n, _)| n == name && self.is_of_resource(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let mut labels: Vec<_> = fields
            .iter()
            .filter(|(name, value)| self.section.streams.contains(name) && !value.is_empty())
            .cloned()
            .collect();
        labels.sort_unstable();
        Resource {
            source: self.section.source.clone(),
            cluster: column("cluster"),
            node: column("node"),
            project: column("project"),
            namespace: column("namespace"),
            workload: column("workload"),
            pod: column("pod"),
            pod_ip: column("pod_ip"),
            container: column("container"),
            image: column("image"),
            path: column("_path"),
            labels,
        }
    }
}

/// The values of an object by their names, nested ones joined with dots, as text.
fn flatten(prefix: &str, object: &Map<String, Value>, out: &mut Vec<(String, String)>) {
    for (key, value) in object {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, out),
            Value::Null => {}
            Value::String(text) => out.push((name, text.clone())),
            other => out.push((name, other.to_string())),
        }
    }
}
