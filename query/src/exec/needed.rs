//! Which fields of a record a query reads: worked out from its end to its start, so that a store brings no other.

use std::collections::BTreeSet;

use rookery_core::filter::{FieldName, Filter};
use rookery_core::logs::fields;
use rookery_core::store::Columns;

use super::position::{HIDDEN_GENERATION, HIDDEN_OFFSET, HIDDEN_STREAM, HIDDEN_TIME};
use crate::logsql::ast::{
    Expression, FieldPattern, Overwrite, Pipe, StatsCall, StatsFunction, TemplatePart,
};

/// Built-in fields that are only there when a query names them: they say where a record came from, not what it says.
pub(crate) const ON_REQUEST: [&str; 3] = [fields::GENERATION, fields::OFFSET, fields::OBSERVED];

/// The fields that are read at some place of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Needed {
    /// All but those of `except`; `named` are those that were asked for by name.
    All {
        /// Overwritten or dropped before anybody reads them.
        except: BTreeSet<FieldName>,
        /// Read by name.
        named: BTreeSet<FieldName>,
    },
    /// These.
    Only(BTreeSet<FieldName>),
}

impl Needed {
    /// All fields.
    pub(crate) fn all() -> Self {
        Self::All { except: BTreeSet::new(), named: BTreeSet::new() }
    }

    /// Only these fields.
    pub(crate) fn only<'a>(names: impl IntoIterator<Item = &'a FieldName>) -> Self {
        Self::Only(names.into_iter().cloned().collect())
    }

    fn read(&mut self, field: &str) {
        match self {
            Self::All { except, named } => {
                except.remove(field);
                named.insert(field.into());
            }
            Self::Only(names) => {
                names.insert(field.into());
            }
        }
    }

    fn overwritten(&mut self, field: &str) {
        match self {
            Self::All { except, named } => {
                except.insert(field.into());
                named.remove(field);
            }
            Self::Only(names) => {
                names.remove(field);
            }
        }
    }

    fn wants(&self, field: &str) -> bool {
        match self {
            Self::All { except, .. } => !except.contains(field),
            Self::Only(names) => names.contains(field),
        }
    }

    fn read_filter(&mut self, filter: Option<&Filter>) {
        if let Some(filter) = filter {
            filter.visit_fields(&mut |field| self.read(field));
        }
    }

    /// All of `patterns`; everything when one of them is a prefix.
    fn read_patterns(&mut self, patterns: &[FieldPattern]) {
        if patterns.is_empty() {
            return self.read_all();
        }
        for pattern in patterns {
            match pattern {
                FieldPattern::Name(name) => self.read(name),
                FieldPattern::Prefix(_) => self.read_all(),
            }
        }
    }

    fn read_all(&mut self) {
        let named = match self {
            Self::All { named, .. } | Self::Only(named) => std::mem::take(named),
        };
        *self = Self::All { except: BTreeSet::new(), named };
    }

    /// A field is written out of others.
    fn written(&mut self, field: &str, always: bool) {
        if always {
            self.overwritten(field);
        }
    }

    /// What is read before a pipe, when this is read after it.
    pub(crate) fn before(mut self, pipe: &Pipe) -> Self {
        match pipe {
            Pipe::Fields(patterns) => return self.before_fields(patterns),
            Pipe::Delete(patterns) => {
                for pattern in patterns {
                    if let FieldPattern::Name(name) = pattern {
                        self.overwritten(name);
                    }
                }
            }
            Pipe::Copy(pairs) | Pipe::Rename(pairs) => self.before_transfers(pairs),
            Pipe::Sort(sort) => {
                if let Some(rank) = &sort.rank {
                    self.overwritten(rank);
                }
                if sort.by.is_empty() {
                    self.read_all();
                }
                sort.by.iter().for_each(|key| self.read(&key.field));
                sort.partition_by.iter().for_each(|field| self.read(field));
            }
            Pipe::Limit(_) | Pipe::Offset(_) | Pipe::Sample(_) | Pipe::Union(_) => {}
            Pipe::Uniq(uniq) if uniq.by.is_empty() => return Self::all(),
            Pipe::Uniq(uniq) => return Self::only(&uniq.by),
            Pipe::Top(top) if top.by.is_empty() => return Self::all(),
            Pipe::Top(top) => return Self::only(&top.by),
            Pipe::Stats(stats) => {
                let mut needed = Self::only(stats.by.iter().map(|key| &key.field));
                stats.functions.iter().for_each(|call| needed.read_call(call));
                return needed;
            }
            Pipe::Facets(_) | Pipe::FieldNames | Pipe::DropEmptyFields => return Self::all(),
            Pipe::FieldValues { field, .. } => return Self::only([field]),
            Pipe::StreamContext(_) => {
                self.read(fields::TIME);
                self.read(fields::STREAM);
                self.read(fields::STREAM_ID);
            }
            Pipe::Join(join) => join.by.iter().for_each(|field| self.read(field)),
            other => self.before_stage(other),
        }
        self
    }

    fn before_fields(self, patterns: &[FieldPattern]) -> Self {
        let named = |p: &FieldPattern| match p {
            FieldPattern::Name(name) => Some(name.clone()),
            FieldPattern::Prefix(_) => None,
        };
        match patterns.iter().map(named).collect::<Option<Vec<_>>>() {
            Some(names) => Self::Only(names.into_iter().filter(|name| self.wants(name)).collect()),
            None => match self {
                Self::Only(names) => {
                    let fits = |name: &FieldName| patterns.iter().any(|p| p.matches(name));
                    Self::Only(names.into_iter().filter(fits).collect())
                }
                Self::All { except, mut named } => {
                    let names = patterns.iter().filter_map(|p| match p {
                        FieldPattern::Name(name) => Some(name.clone()),
                        FieldPattern::Prefix(_) => None,
                    });
                    named.extend(names);
                    Self::All { except, named }
                }
            },
        }
    }

    fn before_transfers(&mut self, pairs: &[(FieldPattern, FieldPattern)]) {
        for (from, to) in pairs.iter().rev() {
            match (from, to) {
                (FieldPattern::Name(from), FieldPattern::Name(to)) => {
                    if self.wants(to) {
                        self.overwritten(to);
                        self.read(from);
                    }
                }
                _ => self.read_all(),
            }
        }
    }

    /// Pipes that read a field or two and write others.
    fn before_stage(&mut self, pipe: &Pipe) {
        let always = |overwrite: Overwrite, condition: Option<&Filter>| {
            overwrite == Overwrite::default() && condition.is_none()
        };
        match pipe {
            Pipe::Filter(filter) => self.read_filter(Some(filter)),
            Pipe::Extract(pipe) => {
                let always = always(pipe.overwrite, pipe.condition.as_ref());
                let written = pipe.pattern.steps.iter().filter_map(|step| step.field.as_ref());
                written.for_each(|field| self.written(field, always));
                self.read(&pipe.field);
                self.read_filter(pipe.condition.as_ref());
            }
            Pipe::ExtractRegexp(pipe) => {
                let always = always(pipe.overwrite, pipe.condition.as_ref());
                let written = pipe.pattern.regex().capture_names().flatten();
                written.for_each(|field| self.written(field, always));
                self.read(&pipe.field);
                self.read_filter(pipe.condition.as_ref());
            }
            Pipe::UnpackJson(unpack)
            | Pipe::UnpackLogfmt(unpack)
            | Pipe::UnpackSyslog { unpack, .. } => {
                self.read(&unpack.field);
                self.read_filter(unpack.condition.as_ref());
            }
            Pipe::UnpackWords { field, result, .. }
            | Pipe::Len { field, result }
            | Pipe::Hash { field, result }
            | Pipe::JsonArrayLen { field, result } => {
                self.overwritten(result);
                self.read(field);
            }
            Pipe::Unroll { by, condition } => {
                by.iter().for_each(|field| self.read(field));
                self.read_filter(condition.as_ref());
            }
            Pipe::Format(pipe) => {
                self.written(&pipe.result, always(pipe.overwrite, pipe.condition.as_ref()));
                for part in &pipe.template.parts {
                    if let TemplatePart::Field { field, .. } = part {
                        self.read(field);
                    }
                }
                self.read_filter(pipe.condition.as_ref());
            }
            Pipe::Replace(pipe) => self.before_rewrite(&pipe.field, pipe.condition.as_ref()),
            Pipe::ReplaceRegexp(pipe) => self.before_rewrite(&pipe.field, pipe.condition.as_ref()),
            Pipe::CollapseNums { field, condition, .. } => {
                self.before_rewrite(field, condition.as_ref());
            }
            Pipe::Math(entries) => {
                for entry in entries.iter().rev() {
                    self.overwritten(&entry.result);
                    self.read_expression(&entry.expression);
                }
            }
            Pipe::PackJson { fields, result } | Pipe::PackLogfmt { fields, result } => {
                self.overwritten(result);
                self.read_patterns(fields);
            }
            _ => {}
        }
    }

    /// A field that nobody reads afterwards need not be there to be rewritten.
    fn before_rewrite(&mut self, field: &str, condition: Option<&Filter>) {
        if self.wants(field) {
            self.read_filter(condition);
        }
    }

    fn read_expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Number(_) => {}
            Expression::Field(field) => self.read(field),
            Expression::Negate(inner) => self.read_expression(inner),
            Expression::Binary { left, right, .. } => {
                self.read_expression(left);
                self.read_expression(right);
            }
            Expression::Call { arguments, .. } => {
                arguments.iter().for_each(|argument| self.read_expression(argument));
            }
        }
    }

    fn read_call(&mut self, call: &StatsCall) {
        self.read_filter(call.condition.as_ref());
        match &call.function {
            StatsFunction::Rate => {}
            StatsFunction::Count(fields) => {
                let all = |p: &FieldPattern| matches!(p, FieldPattern::Prefix(p) if p.is_empty());
                if !fields.is_empty() && !fields.iter().any(all) {
                    self.read_patterns(fields);
                }
            }
            StatsFunction::CountEmpty(fields)
            | StatsFunction::CountUniq { fields, .. }
            | StatsFunction::CountUniqHash { fields, .. }
            | StatsFunction::Avg(fields)
            | StatsFunction::Sum(fields)
            | StatsFunction::SumLen(fields)
            | StatsFunction::Min(fields)
            | StatsFunction::Max(fields)
            | StatsFunction::Median(fields)
            | StatsFunction::Quantile { fields, .. }
            | StatsFunction::Stddev(fields)
            | StatsFunction::RateSum(fields)
            | StatsFunction::UniqValues { fields, .. }
            | StatsFunction::Values { fields, .. }
            | StatsFunction::RowAny(fields) => self.read_patterns(fields),
            StatsFunction::Histogram(field) => self.read(field),
            StatsFunction::JsonValues { fields, sort, .. } => {
                sort.iter().for_each(|key| self.read(&key.field));
                self.read_patterns(fields);
            }
            StatsFunction::RowMax { by, fields } | StatsFunction::RowMin { by, fields } => {
                self.read(by);
                self.read_patterns(fields);
            }
        }
    }

    /// What to ask of a store, and what to make of it; with the hidden columns of `hidden`.
    pub(crate) fn scan(&self, hidden: Hidden) -> (Columns, Shape) {
        let hidden = hidden.copies();
        let sources = || hidden.iter().map(|(field, _)| *field);
        let mut drop: Vec<&'static str> = Vec::new();
        let columns = match self {
            Self::Only(names) => {
                let mut names = names.clone();
                for field in sources() {
                    if names.insert(field.into()) {
                        drop.push(field);
                    }
                }
                Columns::Only(names.into_iter().collect())
            }
            Self::All { except, named } => {
                let mut except = except.clone();
                let unasked = ON_REQUEST.iter().filter(|field| !named.contains(**field));
                except.extend(unasked.map(|field| FieldName::from(*field)));
                for field in sources() {
                    if except.remove(field) {
                        drop.push(field);
                    }
                }
                if except.is_empty() {
                    Columns::All
                } else {
                    Columns::Except(except.into_iter().collect())
                }
            }
        };
        (columns, Shape { copies: hidden, drop })
    }
}

/// Which hidden columns a chain wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// None.
    None,
    /// The place of each record.
    Place,
    /// The place and the time of each record.
    PlaceAndTime,
}

impl Hidden {
    fn copies(self) -> Vec<(&'static str, &'static str)> {
        let mut copies = vec![
            (fields::STREAM_ID, HIDDEN_STREAM),
            (fields::GENERATION, HIDDEN_GENERATION),
            (fields::OFFSET, HIDDEN_OFFSET),
        ];
        match self {
            Self::None => copies.clear(),
            Self::Place => {}
            Self::PlaceAndTime => copies.push((fields::TIME, HIDDEN_TIME)),
        }
        copies
    }
}

/// What is done to a batch as it comes from a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// Fields that are copied to hidden ones.
    copies: Vec<(&'static str, &'static str)>,
    /// Fields that were only asked for to be copied.
    drop: Vec<&'static str>,
}

impl Shape {
    /// Gives a batch its hidden columns.
    pub(crate) fn apply(&self, mut rows: rookery_core::rows::Rows) -> rookery_core::rows::Rows {
        for (field, hidden) in &self.copies {
            if let Some(column) = rows.column(field).cloned() {
                rows.columns.push((FieldName::from(*hidden), column));
            }
        }
        rows.columns.retain(|(name, _)| !self.drop.contains(&name.as_ref()));
        rows
    }
}
