//! A batch of the memory table as the fields of its records.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, StringArray};
use arrow_buffer::BooleanBuffer;
use rookery_core::Result;
use rookery_core::filter::FieldName;
use rookery_core::filter::eval::FieldSource;
use rookery_core::logs::fields;
use rookery_core::logs::names::{Meaning, built_in, label_name, meaning, merge_level, own_name};
use rookery_core::rows::{Column, dictionary_values};

use super::rows::UnitSource;
use crate::memory::{MemoryBatch, Pairs};

/// See the module's documentation.
pub(crate) struct MemorySource {
    batch: Arc<MemoryBatch>,
}

impl MemorySource {
    pub(crate) fn new(batch: Arc<MemoryBatch>) -> Self {
        Self { batch }
    }

    fn pair(&self, pairs: &Pairs, name: &str) -> Column {
        let rows = self.batch.rows;
        let Some(key) = pairs.key(name) else { return Column::constant("", rows) };
        let mut texts = StringBuilder::with_capacity(rows, 0);
        (0..rows).for_each(|row| texts.append_option(pairs.value(row, key)));
        Column::Text(texts.finish())
    }

    fn level(&self) -> Column {
        let severity = &self.batch.severity;
        match self.pair(&self.batch.fields, fields::LEVEL) {
            Column::Text(own) => merge_level(&Column::Text(own), severity),
            _ => Column::Severity(severity.clone()),
        }
    }
}

fn optional(texts: &StringArray) -> Column {
    if texts.null_count() == texts.len() {
        Column::constant("", texts.len())
    } else {
        Column::Text(texts.clone())
    }
}

impl FieldSource for MemorySource {
    fn rows(&self) -> usize {
        self.batch.rows
    }

    fn column(&mut self, field: &str) -> Result<Column> {
        let batch = &self.batch;
        Ok(match meaning(field) {
            Meaning::Time => Column::Time(batch.time.clone()),
            Meaning::Message => Column::Text(batch.body.clone()),
            Meaning::StreamId => Column::Hex(batch.stream.clone()),
            Meaning::Observed => Column::Time(batch.observed.clone()),
            Meaning::Generation => Column::UInt(batch.generation.clone()),
            Meaning::Offset => Column::UInt(batch.offset.clone()),
            Meaning::Level => self.level(),
            Meaning::TraceId => optional(&batch.trace_id),
            Meaning::SpanId => optional(&batch.span_id),
            Meaning::Resource(column) => {
                let column = &batch.resource[column];
                match dictionary_values(column) {
                    one if one.len() == 1 => Column::constant(one.value(0), batch.rows),
                    _ => Column::Dict(column.clone()),
                }
            }
            Meaning::Label(name) => self.pair(&batch.labels, name),
            Meaning::Own(name) => self.pair(&batch.fields, name),
        })
    }
}

impl UnitSource for MemorySource {
    fn times(&self) -> (i64, i64) {
        (self.batch.min_time, self.batch.max_time)
    }

    fn names(&mut self) -> Result<Vec<FieldName>> {
        let mut names: Vec<FieldName> = built_in().iter().map(|(name, _)| name.clone()).collect();
        let labels = &self.batch.labels.names;
        names.extend((0..labels.len()).map(|i| label_name(labels.value(i))));
        let own = &self.batch.fields.names;
        names.extend((0..own.len()).filter_map(|i| own_name(&own.value(i).into())));
        Ok(names)
    }

    fn pick(&mut self, names: &[FieldName], mask: Option<&BooleanBuffer>) -> Result<Vec<Column>> {
        let column = |name: &FieldName| {
            let column = self.column(name)?;
            mask.map_or(Ok(column.clone()), |mask| column.filter(mask))
        };
        names.iter().map(column).collect()
    }

    fn bytes_read(&self) -> u64 {
        self.batch.bytes as u64
    }
}
