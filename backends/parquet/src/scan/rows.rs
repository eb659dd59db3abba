//! Reads a unit: filters its records and brings the wanted fields of those that passed.

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use rookery_core::filter::eval::{FieldSource, evaluate};
use rookery_core::filter::{FieldName, Filter};
use rookery_core::logs::fields;
use rookery_core::rows::{Column, Rows};
use rookery_core::store::{Columns, ScanOrder};
use rookery_core::{Error, Result};

use super::memory_source::MemorySource;
use super::part_source::PartSource;
use super::{Job, Unit};

/// The records of a unit as fields.
pub(crate) trait UnitSource: FieldSource {
    /// The earliest and the latest time.
    fn times(&self) -> (i64, i64);

    /// The names of all fields that some record may have.
    fn names(&mut self) -> Result<Vec<FieldName>>;

    /// Fields of the records whose bit is set, or of all.
    fn pick(&mut self, names: &[FieldName], mask: Option<&BooleanBuffer>) -> Result<Vec<Column>>;

    /// The filter as this source answers it fastest.
    fn prepare(&mut self, filter: &Filter) -> Result<Filter> {
        Ok(filter.clone())
    }

    /// How many bytes were decoded so far.
    fn bytes_read(&self) -> u64;
}

impl Job {
    /// The records of a unit that pass, with the wanted fields.
    pub(crate) fn read(&self, unit: Unit) -> Result<Rows> {
        match unit {
            Unit::Count(rows) => {
                let len = usize::try_from(rows).map_err(|_| Error::internal("too many rows"))?;
                Ok(Rows { len, columns: Vec::new() })
            }
            Unit::Memory(batch) => self.read_source(&self.filter, &mut MemorySource::new(batch)),
            Unit::Granules { view, granules, all } => {
                let filter = match all {
                    true => Filter::All,
                    false => view.judge.left(&self.filter, &view.part, &granules)?,
                };
                self.read_source(&filter, &mut PartSource::new(view, granules))
            }
        }
    }

    fn read_source(&self, filter: &Filter, source: &mut dyn UnitSource) -> Result<Rows> {
        let rows = self.pass(filter, source);
        let bytes = source.bytes_read();
        let budget = &self.request.budget;
        budget.count_read(source.rows() as u64, bytes);
        budget.reserve(bytes)?;
        budget.release(bytes);
        rows
    }

    fn pass(&self, filter: &Filter, source: &mut dyn UnitSource) -> Result<Rows> {
        let near = self.near(source)?;
        let mask = match (filter, near) {
            (_, Some(near)) if near.count_set_bits() == 0 => return Ok(Rows::default()),
            (Filter::All, near) => near,
            (filter, None) => Some(evaluate(&source.prepare(filter)?, source)?),
            (filter, Some(near)) if 2 * near.count_set_bits() < near.len() => {
                Some(pass_near(filter, source, &near)?)
            }
            (filter, Some(near)) => Some(&evaluate(&source.prepare(filter)?, source)? & &near),
        };
        let len = mask.as_ref().map_or(source.rows(), BooleanBuffer::count_set_bits);
        if len == 0 {
            return Ok(Rows::default());
        }
        let mask = mask.filter(|_| len < source.rows());
        let names = match &self.request.columns {
            Columns::Only(names) => names.clone(),
            wanted => source.names()?.into_iter().filter(|name| wanted.wants(name)).collect(),
        };
        let columns = source.pick(&names, mask.as_ref())?;
        let mut found = Vec::with_capacity(names.len());
        for (name, column) in names.into_iter().zip(columns) {
            let twice = || found.iter().any(|(known, _): &(FieldName, Column)| *known == name);
            if !is_empty(&column) && !twice() {
                found.push((name, column));
            }
        }
        Ok(Rows { len, columns: found })
    }

    /// The records that can still matter to a caller that keeps the newest or the oldest; `None` for all. It is asked first, because
    /// times are cheap to read, and a granule holds hours of which often only the last minutes matter.
    fn near(&self, source: &mut dyn UnitSource) -> Result<Option<BooleanBuffer>> {
        let bound = &self.request.bound;
        let (first, last) = source.times();
        let inside = bound.overlaps(first, first) && bound.overlaps(last, last);
        if self.request.order == ScanOrder::Any || inside {
            return Ok(None);
        }
        let Column::Time(times) = source.column(fields::TIME)? else {
            return Err(Error::internal("the time of records is not a time"));
        };
        let times = times.values();
        Ok(Some(BooleanBuffer::collect_bool(times.len(), |row| {
            bound.overlaps(times[row], times[row])
        })))
    }
}

/// Which of the `near` records pass: only their fields are read.
fn pass_near(
    filter: &Filter,
    source: &mut dyn UnitSource,
    near: &BooleanBuffer,
) -> Result<BooleanBuffer> {
    let mut names: Vec<FieldName> = Vec::new();
    filter.visit_fields(&mut |name| {
        if !names.iter().any(|known| known.as_ref() == name) {
            names.push(name.into());
        }
    });
    let columns = source.pick(&names, Some(near))?;
    let mut rows =
        Rows { len: near.count_set_bits(), columns: names.into_iter().zip(columns).collect() };
    let passed = evaluate(filter, &mut rows)?;
    let mut mask = BooleanBufferBuilder::new(near.len());
    mask.append_n(near.len(), false);
    for (place, row) in near.set_indices().enumerate() {
        mask.set_bit(row, passed.value(place));
    }
    Ok(mask.finish())
}

/// Whether a column has no text but the empty one, as far as that is known without looking at each.
fn is_empty(column: &Column) -> bool {
    match column {
        Column::Const { value, .. } => value.is_empty(),
        Column::Text(a) => a.null_count() == a.len(),
        Column::Dict(a) => a.null_count() == a.len(),
        Column::Int(a) => a.null_count() == a.len(),
        Column::Severity(a) => a.values().iter().all(|&s| s == 0),
        Column::UInt(_) | Column::Time(_) | Column::Hex(_) => false,
    }
}
