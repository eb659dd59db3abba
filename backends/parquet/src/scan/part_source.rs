//! Some granules of a part as the fields of their records.
//!
//! What follows from the resource is made from the runs of the index; the rest is read from the Parquet file, when it is asked
//! for. A column that the filter had read whole is not read again.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int64Array, MapArray, StringArray,
    UInt32Array, UInt64Array, builder::StringBuilder,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use hashbrown::HashMap;
use rookery_core::filter::eval::FieldSource;
use rookery_core::filter::{FieldName, Filter, Test};
use rookery_core::logs::fields;
use rookery_core::logs::names::{Meaning, built_in, label_name, meaning, merge_level, own_name};
use rookery_core::rows::{Column, dictionary_values};
use rookery_core::{Error, Result};

use super::PartView;
use super::judge::OwnField;
use super::rows::UnitSource;
use crate::part::body;
use crate::part::body::rebuild::{self, FIELDS, Used};
use crate::part::body::search::{BodyTest, Verdict};
use crate::part::body::template::{Format, Slot};
use crate::part::granule::REST;
use crate::part::index::{Granule, Run};
use crate::part::plan::FieldKind;
use crate::part::read::{OpenPart, Pick};
use crate::part::stamp;

/// When more than one row in this many is wanted, a column is decoded whole and then filtered: to skip rows one by one costs more.
const DENSE: usize = 64;

/// Before the number of a test of bodies that is asked for as a field. A query that names such a field itself gets no such tests.
const TEST_FIELD: &str = "\u{2}body";

/// See the module's documentation.
pub(crate) struct PartSource {
    view: Arc<PartView>,
    granules: Range<usize>,
    rows: usize,
    /// Columns that were read whole, by their Parquet names.
    read: HashMap<String, ArrayRef>,
    /// The templates of the bodies, once they were asked for.
    templates: Option<Used>,
    /// The tests of bodies that are asked for as fields.
    tests: Vec<Arc<BodyTest>>,
    bytes: u64,
}

/// The rows to which columns are to be made, and where their arrays come from.
struct Picked<'a> {
    mask: Option<&'a BooleanBuffer>,
    rows: usize,
    arrays: &'a HashMap<String, ArrayRef>,
}

impl Picked<'_> {
    fn array(&self, name: &str) -> Result<&ArrayRef> {
        let missing = || Error::internal(format!("the column {name} was not read"));
        self.arrays.get(name).ok_or_else(missing)
    }
}

impl PartSource {
    pub(crate) fn new(view: Arc<PartView>, granules: Range<usize>) -> Self {
        let rows = view.part.rows_of(&granules);
        let rows = (rows.end - rows.start) as usize;
        Self {
            view,
            granules,
            rows,
            read: HashMap::new(),
            templates: None,
            tests: Vec::new(),
            bytes: 0,
        }
    }

    fn part(&self) -> &OpenPart {
        &self.view.part
    }

    fn is_here(&self, own: OwnField) -> bool {
        self.part().index.granules[self.granules.clone()].iter().any(|g| own.is_in(g))
    }

    fn own(&self, name: &str) -> OwnField {
        match OwnField::find(&self.part().index, name) {
            own if self.is_here(own) => own,
            _ => OwnField::Nowhere,
        }
    }

    /// The Parquet columns that bodies are made of in these granules. The templates are read for it: they say which.
    fn body_needs(&mut self) -> Result<Vec<String>> {
        if self.part().bodies()?.version == 1 {
            return Ok(vec![body::COLUMN.into()]);
        }
        let used = self.templates()?;
        let part = self.part();
        let mut names = used.columns(|name| part.has_column(name).unwrap_or(false));
        names.push(body::TEMPLATE.to_owned());
        Ok(names)
    }

    /// The templates of the bodies.
    fn templates(&mut self) -> Result<Used> {
        if let Some(used) = &self.templates {
            return Ok(used.clone());
        }
        self.fetch_missing(&[body::TEMPLATE.to_owned()])?;
        let part = self.part();
        let used = part.rebuilder.used(&self.read[body::TEMPLATE]);
        let used = used.map_err(|e| part.damaged(e))?;
        self.templates = Some(used.clone());
        Ok(used)
    }

    /// The filter with the tests of bodies in it as fields of [`TEST_FIELD`].
    fn with_tests(&mut self, filter: &Filter) -> Result<Filter> {
        let list = |filters: &[Filter], source: &mut Self| -> Result<Vec<Filter>> {
            filters.iter().map(|filter| source.with_tests(filter)).collect()
        };
        Ok(match filter {
            Filter::And(filters) => Filter::And(list(filters, self)?),
            Filter::Or(filters) => Filter::Or(list(filters, self)?),
            Filter::Not(inner) => Filter::Not(Box::new(self.with_tests(inner)?)),
            Filter::Field { field, test } if meaning(field) == Meaning::Message => {
                match self.view.test(test)? {
                    None => filter.clone(),
                    Some(test) => {
                        self.tests.push(test);
                        let field = format!("{TEST_FIELD}{}", self.tests.len() - 1);
                        Filter::Field { field: field.into(), test: Test::Any }
                    }
                }
            }
            _ => filter.clone(),
        })
    }

    /// Which bodies pass a test: decided by their templates and the values of some slots, as far as that is enough.
    fn body_test(&mut self, test: &BodyTest) -> Result<Column> {
        let used = self.templates()?;
        let mut plan = TestPlan::new(test, &used)?;
        for (number, slot) in plan.slots.clone().into_iter().enumerate() {
            if !self.may_pass(test, &slot) {
                continue;
            }
            let column = self.slot(&slot)?;
            plan.apply(number, &test.pieces_that_pass(column)?, &used);
        }
        let unsure = BooleanBuffer::from(plan.unsure);
        let mut passed = plan.passed;
        if unsure.count_set_bits() > 0 {
            let bodies = self.pick(&[fields::MESSAGE.into()], Some(&unsure))?.remove(0);
            let found = test.bodies_that_pass(bodies)?;
            for (place, row) in unsure.set_indices().enumerate() {
                passed[row] |= found.value(place);
            }
        }
        let none = ScalarBuffer::from(vec![0i64; passed.len()]);
        Ok(Column::Int(Int64Array::new(none, Some(NullBuffer::from(passed)))))
    }

    /// Whether the value of a slot can pass as a piece, as far as the index tells.
    fn may_pass(&self, test: &BodyTest, slot: &Slot) -> bool {
        let index = &self.part().index;
        let Some(column) = slot.column.strip_prefix(FIELDS).and_then(|name| index.column(name))
        else {
            return true;
        };
        if index.columns[column].kind == FieldKind::Int {
            return test.numbers;
        }
        let fields = |granule: &Granule| {
            let found = granule.fields.iter().find(|field| usize::from(field.column) == column);
            found.map(|field| field.min as u64)
        };
        let mut bytes = index.granules[self.granules.clone()].iter().filter_map(fields);
        bytes.any(|bytes| bytes == 0 || test.may_pass_with(bytes))
    }

    /// The values of a slot.
    fn slot(&mut self, slot: &Slot) -> Result<Column> {
        let rest = slot.column.strip_prefix(FIELDS);
        let rest = rest.filter(|_| !self.part().has_column(&slot.column).unwrap_or(false));
        let mut names =
            vec![if rest.is_some() { REST.to_owned() } else { slot.column.to_string() }];
        if slot.format.needs_time() {
            names.push("time".to_owned());
        }
        self.fetch_missing(&names)?;
        let array = &self.read[&names[0]];
        let numbers = array.as_primitive_opt::<Int64Type>();
        match (rest, numbers) {
            (Some(name), _) => rest_field(array, name),
            (None, Some(numbers)) if slot.format != Format::Plain => {
                let part = self.part();
                let texts = rebuild::printed(numbers, slot.format, &self.read);
                Ok(Column::Text(texts.map_err(|e| part.damaged(e))?))
            }
            _ => column_of(array),
        }
    }

    /// Reads columns whole that were not read yet.
    fn fetch_missing(&mut self, names: &[String]) -> Result<()> {
        let missing: Vec<String> =
            names.iter().filter(|name| !self.read.contains_key(*name)).cloned().collect();
        if !missing.is_empty() {
            let arrays = self.fetch(&missing, Pick::All)?;
            self.read.extend(missing.into_iter().zip(arrays));
        }
        Ok(())
    }

    /// The Parquet columns that a field is made of.
    fn needs(&mut self, meaning: Meaning<'_>) -> Result<Vec<String>> {
        let own = |name| match self.own(name) {
            OwnField::Nowhere => None,
            OwnField::Rest => Some(REST.to_owned()),
            OwnField::Column(column, _) => {
                Some(self.part().index.columns[usize::from(column)].column_name())
            }
        };
        Ok(match meaning {
            Meaning::Time => vec!["time".into()],
            Meaning::Message => return self.body_needs(),
            Meaning::Observed => vec!["observed".into()],
            Meaning::Offset => vec!["offset".into()],
            Meaning::Level => {
                std::iter::once("severity".into()).chain(own(fields::LEVEL)).collect()
            }
            Meaning::TraceId | Meaning::SpanId if !self.has_trace() => Vec::new(),
            Meaning::TraceId => vec!["trace_id".into()],
            Meaning::SpanId => vec!["span_id".into()],
            Meaning::Own(name) => own(name).into_iter().collect(),
            Meaning::StreamId | Meaning::Generation | Meaning::Resource(_) | Meaning::Label(_) => {
                Vec::new()
            }
        })
    }

    fn has_trace(&self) -> bool {
        self.part().index.granules[self.granules.clone()].iter().any(|g| g.has_trace)
    }

    fn fetch(&mut self, names: &[String], pick: Pick<'_>) -> Result<Vec<ArrayRef>> {
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let arrays = self.part().read(&wanted, &self.granules, pick)?;
        self.bytes += arrays.iter().map(|a| a.get_array_memory_size() as u64).sum::<u64>();
        Ok(arrays)
    }

    fn build(&self, meaning: Meaning<'_>, picked: &Picked<'_>) -> Result<Column> {
        let empty = || Column::constant("", picked.rows);
        let time = |name| -> Result<Column> {
            Ok(Column::Time(picked.array(name)?.as_primitive::<TimestampNanosecondType>().clone()))
        };
        Ok(match meaning {
            Meaning::Time => time("time")?,
            Meaning::Observed => time("observed")?,
            Meaning::Message => {
                let part = self.part();
                let texts = part.rebuilder.rebuild(picked.arrays);
                Column::Text(texts.map_err(|e| part.damaged(e))?)
            }
            Meaning::Offset => {
                Column::UInt(picked.array("offset")?.as_primitive::<UInt64Type>().clone())
            }
            Meaning::Generation => self.generation(picked)?,
            Meaning::StreamId => self.stream_id(picked)?,
            Meaning::Resource(column) => self.by_resource(picked, |r| r.text(column))?,
            Meaning::Label(name) => self.by_resource(picked, |r| r.label(name))?,
            Meaning::Level => {
                let severity = picked.array("severity")?.as_primitive::<UInt8Type>().clone();
                match self.own_column(fields::LEVEL, picked)? {
                    None => Column::Severity(severity),
                    Some(own) => merge_level(&own, &severity),
                }
            }
            Meaning::TraceId | Meaning::SpanId if !self.has_trace() => empty(),
            Meaning::TraceId => column_of(picked.array("trace_id")?)?,
            Meaning::SpanId => column_of(picked.array("span_id")?)?,
            Meaning::Own(name) => self.own_column(name, picked)?.unwrap_or_else(empty),
        })
    }

    fn own_column(&self, name: &str, picked: &Picked<'_>) -> Result<Option<Column>> {
        Ok(match self.own(name) {
            OwnField::Nowhere => None,
            OwnField::Column(column, _) => {
                let name = self.part().index.columns[usize::from(column)].column_name();
                Some(column_of(picked.array(&name)?)?)
            }
            OwnField::Rest => Some(rest_field(picked.array(REST)?, name)?),
        })
    }

    /// The runs of these granules, each with how many of its rows are in them.
    fn runs(&self) -> Vec<(Run, usize)> {
        let part = self.part();
        let rows = part.rows_of(&self.granules);
        let first = part.run_starts.partition_point(|&start| start <= rows.start) - 1;
        let mut runs = Vec::new();
        for (index, run) in part.index.runs.iter().enumerate().skip(first) {
            let (start, end) = (part.run_starts[index], part.run_starts[index + 1]);
            if start >= rows.end {
                break;
            }
            runs.push((*run, (end.min(rows.end) - start.max(rows.start)) as usize));
        }
        runs
    }

    /// One number a run as an array of the picked rows.
    fn spread(
        &self,
        picked: &Picked<'_>,
        values: impl Iterator<Item = u32>,
    ) -> Result<UInt32Array> {
        let mut keys = Vec::with_capacity(self.rows);
        for ((_, rows), value) in self.runs().iter().zip(values) {
            keys.extend(std::iter::repeat_n(value, *rows));
        }
        let keys = UInt32Array::from(keys);
        match picked.mask {
            None => Ok(keys),
            Some(mask) => {
                let mask = BooleanArray::new(mask.clone(), None);
                Ok(arrow_select::filter::filter(&keys, &mask)?.as_primitive().clone())
            }
        }
    }

    fn by_resource<'a>(
        &'a self,
        picked: &Picked<'_>,
        text: impl Fn(&'a crate::part::index::PartResource) -> &'a str,
    ) -> Result<Column> {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut texts: Vec<&str> = Vec::new();
        let mut of_run = Vec::new();
        for (run, _) in self.runs() {
            let text = text(&self.part().index.resources[run.resource as usize]);
            let number = *numbers.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as u32 - 1
            });
            of_run.push(number);
        }
        if let [only] = texts[..] {
            return Ok(Column::constant(only, picked.rows));
        }
        let keys = self.spread(picked, of_run.into_iter())?;
        Column::dictionary(keys, texts.into_iter().map(Some).collect::<StringArray>())
    }

    fn generation(&self, picked: &Picked<'_>) -> Result<Column> {
        let runs = self.runs();
        let places = self.spread(picked, 0..runs.len() as u32)?;
        let values = places.values().iter().map(|&place| runs[place as usize].0.generation);
        Ok(Column::UInt(UInt64Array::from_iter_values(values)))
    }

    fn stream_id(&self, picked: &Picked<'_>) -> Result<Column> {
        let resources = &self.part().index.resources;
        let resource = self.spread(picked, self.runs().iter().map(|(run, _)| run.resource))?;
        let ids = resource.values().iter().map(|&r| resources[r as usize].stream.0);
        Ok(Column::Hex(FixedSizeBinaryArray::try_from_iter(ids)?))
    }

    /// The names of fields without a column that occur.
    fn rest_names(&mut self) -> Result<Vec<Arc<str>>> {
        if !self.part().index.granules[self.granules.clone()].iter().any(|g| g.has_rest) {
            return Ok(Vec::new());
        }
        if !self.read.contains_key(REST) {
            let array = self.fetch(&[REST.into()], Pick::All)?.remove(0);
            self.read.insert(REST.into(), array);
        }
        let map = self.read[REST].as_map();
        let mut names: Vec<&str> = map.keys().as_string::<i32>().iter().flatten().collect();
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(Into::into).collect())
    }
}

impl FieldSource for PartSource {
    fn rows(&self) -> usize {
        self.rows
    }

    fn column(&mut self, field: &str) -> Result<Column> {
        let number = field.strip_prefix(TEST_FIELD).and_then(|number| number.parse().ok());
        if let Some(test) = number.and_then(|number: usize| self.tests.get(number)).cloned() {
            return self.body_test(&test);
        }
        let meaning = meaning(field);
        let needed = self.needs(meaning)?;
        self.fetch_missing(&needed)?;
        self.build(meaning, &Picked { mask: None, rows: self.rows, arrays: &self.read })
    }
}

impl UnitSource for PartSource {
    fn prepare(&mut self, filter: &Filter) -> Result<Filter> {
        let mut is_taken = false;
        filter.visit_fields(&mut |name| is_taken |= name.starts_with(TEST_FIELD));
        if is_taken || self.part().bodies()?.version == 1 {
            return Ok(filter.clone());
        }
        self.with_tests(filter)
    }

    fn times(&self) -> (i64, i64) {
        let granules = &self.part().index.granules[self.granules.clone()];
        let min = granules.iter().map(|g| g.min_time).min().unwrap_or(i64::MAX);
        (min, granules.iter().map(|g| g.max_time).max().unwrap_or(i64::MIN))
    }

    fn names(&mut self) -> Result<Vec<FieldName>> {
        let mut names: Vec<FieldName> = built_in().iter().map(|(name, _)| name.clone()).collect();
        let mut labels: Vec<&str> = Vec::new();
        let part = self.part();
        for (run, _) in self.runs() {
            let resource = &part.index.resources[run.resource as usize];
            labels.extend(resource.labels.iter().map(|(name, _)| name.as_ref()));
        }
        labels.sort_unstable();
        labels.dedup();
        names.extend(labels.into_iter().map(label_name));
        let mut columns: Vec<u16> = Vec::new();
        for granule in &part.index.granules[self.granules.clone()] {
            columns.extend(granule.fields.iter().map(|field| field.column));
        }
        columns.sort_unstable();
        columns.dedup();
        let own = columns.into_iter().map(|c| &part.index.columns[usize::from(c)].name);
        names.extend(own.filter_map(own_name));
        names.extend(self.rest_names()?.iter().filter_map(own_name));
        Ok(names)
    }

    fn pick(&mut self, names: &[FieldName], mask: Option<&BooleanBuffer>) -> Result<Vec<Column>> {
        let meanings: Vec<Meaning<'_>> = names.iter().map(|name| meaning(name)).collect();
        let mut needed: Vec<String> = Vec::new();
        for meaning in &meanings {
            needed.extend(self.needs(*meaning)?);
        }
        needed.sort_unstable();
        needed.dedup();
        let (known, unread): (Vec<_>, Vec<_>) =
            needed.into_iter().partition(|name| self.read.contains_key(name));
        let mut arrays = HashMap::new();
        let dense = mask.is_none_or(|mask| mask.count_set_bits() * DENSE >= self.rows);
        let (known, unread) = if dense && !unread.is_empty() {
            let read = self.fetch(&unread, Pick::All)?;
            let both = known.into_iter().chain(unread.iter().cloned()).collect();
            self.read.extend(unread.into_iter().zip(read));
            (both, Vec::new())
        } else {
            (known, unread)
        };
        if !unread.is_empty() {
            let pick = mask.map_or(Pick::All, Pick::Mask);
            let read = self.fetch(&unread, pick)?;
            arrays.extend(unread.into_iter().zip(read));
        }
        for name in known {
            let array = self.read[&name].clone();
            let array = match mask {
                None => array,
                Some(mask) => {
                    let mask = BooleanArray::new(mask.clone(), None);
                    arrow_select::filter::filter(&array, &mask)?
                }
            };
            arrays.insert(name, array);
        }
        let rows = mask.map_or(self.rows, BooleanBuffer::count_set_bits);
        let picked = Picked { mask, rows, arrays: &arrays };
        meanings.into_iter().map(|meaning| self.build(meaning, &picked)).collect()
    }

    fn bytes_read(&self) -> u64 {
        self.bytes
    }
}

/// The place of a slot among others, at the end when it is not there yet.
fn place(slots: &mut Vec<Slot>, slot: &Slot) -> usize {
    slots.iter().position(|known| known == slot).unwrap_or_else(|| {
        slots.push(slot.clone());
        slots.len() - 1
    })
}

/// What a test of bodies needs to know of some rows.
struct TestPlan {
    passed: Vec<bool>,
    /// Rows whose bodies must be rebuilt and tested.
    unsure: Vec<bool>,
    /// The slots whose values are asked, each once.
    slots: Vec<Slot>,
    /// For each template, by its key: whether its slots only hint, and which of [`Self::slots`] they are.
    asked: Vec<(bool, Vec<usize>)>,
}

impl TestPlan {
    fn new(test: &BodyTest, used: &Used) -> Result<Self> {
        let mut verdicts = vec![None; used.templates.len()];
        let mut asked = vec![(false, Vec::new()); used.templates.len()];
        let mut slots: Vec<Slot> = Vec::new();
        for (key, template) in used.templates() {
            let verdict = test.verdict(template)?;
            if let Verdict::Slots(wanted) | Verdict::MaybeSlots(wanted) = verdict.as_ref() {
                let numbers =
                    wanted.iter().map(|&slot| place(&mut slots, &template.slots[slot])).collect();
                asked[key] = (matches!(*verdict, Verdict::MaybeSlots(_)), numbers);
            }
            verdicts[key] = Some(verdict);
        }
        let is = |key: &u32, wanted: &Verdict| verdicts[*key as usize].as_deref() == Some(wanted);
        Ok(Self {
            passed: used.keys.iter().map(|key| is(key, &Verdict::All)).collect(),
            unsure: used.keys.iter().map(|key| is(key, &Verdict::Maybe)).collect(),
            slots,
            asked,
        })
    }

    /// Takes the answers of the values of a slot.
    fn apply(&mut self, slot: usize, passing: &BooleanBuffer, used: &Used) {
        for row in passing.set_indices() {
            let (only_hints, asked) = &self.asked[used.keys[row] as usize];
            if asked.contains(&slot) {
                let rows = if *only_hints { &mut self.unsure } else { &mut self.passed };
                rows[row] = true;
            }
        }
    }
}

/// An array of an own field or an id as a column.
fn column_of(array: &ArrayRef) -> Result<Column> {
    if array.null_count() == array.len() {
        return Ok(Column::constant("", array.len()));
    }
    if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
        return Ok(Column::Int(numbers.clone()));
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Ok(Column::Text(texts.clone()));
    }
    if let Some(texts) = stamp::texts(array) {
        return Ok(Column::Text(texts));
    }
    let unknown = || Error::corrupt("a column of a part has an unknown type");
    let dictionary = array.as_dictionary_opt::<UInt32Type>().ok_or_else(unknown)?;
    if dictionary_values(dictionary).len() <= array.len() {
        return Ok(Column::Dict(dictionary.clone()));
    }
    // The dictionary is that of the whole row group: testing each of its entries would cost more than testing the rows.
    let values = dictionary_values(dictionary);
    let texts = dictionary.keys().iter().map(|key| key.map(|key| values.value(key as usize)));
    Ok(Column::Text(texts.collect::<StringArray>()))
}

/// One field out of the map of those without a column.
fn rest_field(array: &ArrayRef, name: &str) -> Result<Column> {
    let unknown = || Error::corrupt("the fields of a part are not a map");
    let map: &MapArray = array.as_map_opt().ok_or_else(unknown)?;
    let keys = map.keys().as_string_opt::<i32>().ok_or_else(unknown)?;
    let values = map.values().as_string_opt::<i32>().ok_or_else(unknown)?;
    let offsets = map.value_offsets();
    let mut texts = StringBuilder::new();
    for row in offsets.windows(2) {
        let entry = (row[0] as usize..row[1] as usize).find(|&e| keys.value(e) == name);
        texts.append_option(entry.map(|e| values.value(e)));
    }
    Ok(Column::Text(texts.finish()))
}
