//! From a request to the statements that answer it.
//!
//! A request is answered by one step or by two, one after the other:
//! - only a count is wanted: the server counts the records that surely pass, and only those between the bounds come;
//! - only fields with few values are wanted, in any order: the server groups, and a group comes once, with its count. With too many
//!   groups it refuses, and the records come instead;
//! - else the records come.
//!
//! What is decided above the server brings the fields that it reads, beside those that are wanted.

use std::sync::Arc;

use rookery_core::filter::eval::Predicate;
use rookery_core::filter::{FieldName, Filter};
use rookery_core::logs::fields;
use rookery_core::logs::names::{Meaning, built_in, meaning};
use rookery_core::store::{Columns, ScanOrder, ScanRequest};
use rookery_core::{Result, Scope, TimeRange};

use super::bounds::{Bounds, Sql};
use super::decode::Output;
use super::field::{self, Source};
use super::filter::{Condition, Pushdown, time_range};
use super::params::Params;
use super::words::WordIndex;
use crate::client::Statement;

/// The most groups that are counted in place of records.
const GROUPS_LIMIT: u64 = 20_000;

/// The most fields that are grouped by.
const GROUP_FIELDS_LIMIT: usize = 4;

/// What a request is, before its span is cut into slices.
#[derive(Debug)]
pub(crate) struct Query {
    /// The span.
    pub(crate) time: TimeRange,
    /// How much of its filter the server decides.
    pub(crate) pushed: Pushdown,
    /// One after the other.
    pub(crate) steps: Vec<Step>,
}

/// A statement but for its span, and what is made of its answer.
#[derive(Debug)]
pub(crate) struct Step {
    kind: Kind,
    params: Params,
    /// What is selected, in order.
    select: Vec<String>,
    /// What the columns of the answer are.
    outputs: Vec<Output>,
    condition: Sql,
    /// What is decided above the server.
    pub(crate) rest: Option<Predicate>,
    /// The fields that are wanted; others were brought for `rest`, or for the bound.
    pub(crate) columns: Columns,
    /// What is done when the server refuses it, because it would hold too much.
    pub(crate) instead: Option<Arc<Step>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Records,
    Groups,
    Count,
}

/// What one row of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A record.
    Records,
    /// Records that have the same texts.
    Groups,
}

impl Query {
    /// The steps of a request.
    ///
    /// # Errors
    /// `internal` when a subquery of the filter was not replaced by its values.
    pub(crate) fn new(scope: &Scope, request: &ScanRequest, index: WordIndex) -> Result<Self> {
        let filter = scope.apply(&request.filter);
        let time = request.time.intersect(filter.time_range());
        let mut params = Params::default();
        let tenant = params.text(scope.tenant.as_str());
        let tenant = Sql::new(format_args!("tenant = {tenant}"));
        let condition = Condition::new(&filter, index, &mut params);
        let pushed = condition.pushed();
        let Condition { bounds, rest } = condition;
        let base = Base { params, tenant, bounds, rest, request };
        // What cannot be evaluated is refused before a server is asked.
        Predicate::new(&filter)?;
        if time.is_empty() || base.bounds.upper == Sql::False {
            return Ok(Self { time, pushed, steps: Vec::new() });
        }
        let steps = match base.aggregated()? {
            None => vec![base.records(base.bounds.upper.clone(), &base.rest)?],
            Some(first) if base.rest == Filter::All => vec![first],
            Some(first) => {
                let between = vec![base.bounds.upper.clone(), base.bounds.lower.clone().not()];
                vec![first, base.records(Sql::all(between), &base.rest)?]
            }
        };
        Ok(Self { time, pushed, steps })
    }
}

/// What the steps of a request have in common.
struct Base<'a> {
    params: Params,
    tenant: Sql,
    bounds: Bounds,
    rest: Filter,
    request: &'a ScanRequest,
}

impl Base<'_> {
    /// A step in which the server counts the records that surely pass, where that is of use.
    fn aggregated(&self) -> Result<Option<Step>> {
        let Columns::Only(names) = &self.request.columns else { return Ok(None) };
        let condition = &self.bounds.lower;
        if *condition == Sql::False || self.request.order != ScanOrder::Any {
            return Ok(None);
        }
        let mut params = self.params.clone();
        let mut select = fields_of(names, &mut params);
        select.push(("count()".into(), Output::Count));
        if names.is_empty() {
            return Ok(Some(self.step(Kind::Count, select, condition.clone(), params)));
        }
        if !has_few_values(names) {
            return Ok(None);
        }
        let mut step = self.step(Kind::Groups, select, condition.clone(), params);
        step.instead = Some(Arc::new(self.records(condition.clone(), &Filter::All)?));
        Ok(Some(step))
    }

    fn records(&self, condition: Sql, rest: &Filter) -> Result<Step> {
        let mut params = self.params.clone();
        let select = self.selected(&mut params, rest);
        let mut step = self.step(Kind::Records, select, condition, params);
        if *rest != Filter::All {
            step.rest = Some(Predicate::new(rest)?);
        }
        Ok(step)
    }

    fn step(
        &self,
        kind: Kind,
        select: Vec<(String, Output)>,
        condition: Sql,
        params: Params,
    ) -> Step {
        let (select, outputs) = select.into_iter().unzip();
        Step {
            kind,
            params,
            select,
            outputs,
            condition: Sql::all(vec![self.tenant.clone(), condition]),
            rest: None,
            columns: self.request.columns.clone(),
            instead: None,
        }
    }

    /// What is selected: the wanted fields, those that are decided above, and the time if the bound is asked.
    fn selected(&self, params: &mut Params, rest: &Filter) -> Vec<(String, Output)> {
        let mut also: Vec<FieldName> = Vec::new();
        rest.visit_fields(&mut |name| also.push(name.into()));
        if self.request.order != ScanOrder::Any {
            also.push(fields::TIME.into());
        }
        let mut names: Vec<FieldName> = match &self.request.columns {
            Columns::Only(names) => names.clone(),
            wanted => {
                let built_in = built_in().iter().map(|(name, _)| name.clone());
                let names = built_in.filter(|name| wanted.wants(name) || also.contains(name));
                return everything(names);
            }
        };
        names.extend(also);
        let mut known = Vec::with_capacity(names.len());
        names.retain(|name| {
            let new = !known.contains(name);
            known.push(name.clone());
            new
        });
        fields_of(&names, params)
    }
}

/// Built-in fields and both maps.
fn everything(names: impl Iterator<Item = FieldName>) -> Vec<(String, Output)> {
    let names: Vec<FieldName> = names.collect();
    let mut select = fields_of(&names, &mut Params::default());
    select.push(("labels".into(), Output::Labels));
    select.push(("fields".into(), Output::Fields));
    select
}

fn fields_of(names: &[FieldName], params: &mut Params) -> Vec<(String, Output)> {
    let field = |name: &FieldName| (selected(params, meaning(name)), Output::Field(name.clone()));
    names.iter().map(field).collect()
}

/// A field as it is brought: what rows print is brought as it is stored.
fn selected(params: &mut Params, meaning: Meaning<'_>) -> String {
    match (meaning, field::source(params, meaning)) {
        (Meaning::StreamId, _) => "stream".into(),
        (_, Source::Text(text) | Source::Whole(text) | Source::Time(text)) => text,
    }
}

/// Whether records have few different texts in these fields together, as far as that can be told from their names.
fn has_few_values(names: &[FieldName]) -> bool {
    let mut own = 0;
    let few = names.iter().all(|name| match meaning(name) {
        Meaning::Resource(_) | Meaning::Level | Meaning::StreamId => true,
        Meaning::Own(_) | Meaning::Label(_) => {
            own += 1;
            own == 1
        }
        _ => false,
    });
    few && names.len() <= GROUP_FIELDS_LIMIT
}

impl Step {
    /// The statement for a part of the span.
    pub(crate) fn statement(&self, span: TimeRange) -> Statement {
        let mut params = self.params.clone();
        let condition = Sql::all(vec![self.condition.clone(), time_range(&mut params, span)]);
        let names = self.select.iter().enumerate();
        let select: Vec<String> = names.map(|(at, sql)| format!("{sql} AS c{at}")).collect();
        let mut sql = format!("SELECT {} FROM logs WHERE {}", select.join(", "), condition.text());
        if self.kind == Kind::Groups {
            let keys: Vec<String> = (0..self.select.len() - 1).map(|at| format!("c{at}")).collect();
            sql.push_str(" GROUP BY ");
            sql.push_str(&keys.join(", "));
        }
        let mut statement = params.bind(Statement::new(sql));
        if self.kind == Kind::Groups {
            statement = statement
                .setting("max_rows_to_group_by", GROUPS_LIMIT)
                .setting("group_by_overflow_mode", "throw")
                // Threads count their own groups, and too many are noticed when they are put together, piece by piece. A piece that was
                // handed on could not be taken back.
                .setting("wait_end_of_query", 1);
        }
        statement
    }

    /// What the columns of the answer are.
    pub(crate) fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// What a row of the answer is.
    pub(crate) fn answer(&self) -> Answer {
        match self.kind {
            Kind::Records => Answer::Records,
            Kind::Groups | Kind::Count => Answer::Groups,
        }
    }
}
