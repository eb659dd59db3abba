//! What a query is made of when it runs: stages and breakers.
//!
//! A [`Stage`] turns a batch into a batch and knows nothing of other batches (but for counters that all threads share), so any
//! number of threads run it at once. A [`Breaker`] needs all of its input before it can say anything: each thread fills
//! a [`Partial`] of its own, the partials are merged, and what comes out goes on, from one thread, into the next chain. A
//! [`Chain`] is some stages and at most one breaker at their end.

use std::any::Any;
use std::sync::Arc;

use rookery_core::filter::FieldName;
use rookery_core::rows::Rows;
use rookery_core::store::Budget;
use rookery_core::{Error, Result};

use super::run::Plan;

/// The most rows of a batch that a breaker gives out.
pub(crate) const BATCH_ROWS: usize = 8192;

/// Turns a batch into a batch.
pub(crate) trait Stage: Send + Sync {
    /// The batch after the stage.
    ///
    /// # Errors
    /// When a limit is passed.
    fn apply(&self, rows: Rows) -> Result<Rows>;

    /// Whether no further batch can make a difference.
    fn done(&self) -> bool {
        false
    }
}

/// Needs all of its input.
pub(crate) trait Breaker: Send + Sync {
    /// What one thread gathers into.
    fn start(&self) -> Box<dyn Partial>;

    /// After how many rows it pays to ask [`Partial::useless`], and to start again without these fields.
    fn probe_rows(&self) -> Option<usize> {
        None
    }
}

/// What a breaker knows of the batches that one thread has seen.
pub(crate) trait Partial: Send {
    /// Takes a batch, which is not empty; false when no further batch can make a difference.
    ///
    /// # Errors
    /// When a limit is passed.
    fn push(&mut self, rows: Rows) -> Result<bool>;

    /// Takes over what another thread gathered for the same breaker.
    ///
    /// # Errors
    /// When a limit is passed.
    fn merge(&mut self, other: Box<dyn Partial>) -> Result<()>;

    /// Fields of the batches so far that can make no difference any more.
    fn useless(&self) -> Vec<FieldName> {
        Vec::new()
    }

    /// Gives out the answer.
    ///
    /// # Errors
    /// Those of `emit`.
    fn finish(self: Box<Self>, emit: &mut Emit<'_>) -> Result<()>;

    /// For [`Self::merge`].
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// Takes a batch; false when no more is wanted.
pub(crate) type Emit<'a> = dyn FnMut(Rows) -> Result<bool> + 'a;

/// The partial of the same breaker.
///
/// # Panics
/// When it is one of another breaker.
pub(crate) fn same<T: 'static>(other: Box<dyn Partial>) -> Box<T> {
    other.into_any().downcast().expect("partials of one breaker are of one type")
}

/// Stages, and what ends them.
#[derive(Default)]
pub(crate) struct Chain {
    /// One after another.
    pub stages: Vec<Arc<dyn Stage>>,
    /// Answers of other queries that come after the input; each enters before the stage of this index.
    pub unions: Vec<(usize, Plan)>,
    /// What gathers the output; without it the output is the query's answer.
    pub breaker: Option<Arc<dyn Breaker>>,
}

impl Chain {
    /// The batch after the stages from `from` on.
    pub(crate) fn apply(&self, from: usize, mut rows: Rows) -> Result<Rows> {
        for stage in &self.stages[from..] {
            if rows.len == 0 {
                break;
            }
            rows = stage.apply(rows)?;
        }
        Ok(rows)
    }

    /// Whether no further input of the stage at `from` can make a difference.
    pub(crate) fn done(&self, from: usize) -> bool {
        self.stages[from..].iter().any(|stage| stage.done())
    }
}

/// Memory taken from a query's budget, given back when dropped.
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    held: u64,
}

/// Memory is asked for in steps of this size, in bytes, so that a counter is not touched for every batch.
const RESERVE_STEP_BYTES: u64 = 64 << 10;

impl Reservation {
    /// Nothing yet.
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: budget.clone(), held: 0 }
    }

    /// Says that `bytes` are held now.
    ///
    /// # Errors
    /// `too_large` when the query's budget does not have them.
    pub(crate) fn set(&mut self, bytes: u64) -> Result<()> {
        let wanted = bytes.next_multiple_of(RESERVE_STEP_BYTES);
        if wanted > self.held {
            self.budget.reserve(wanted - self.held)?;
        } else {
            self.budget.release(self.held - wanted);
        }
        self.held = wanted;
        Ok(())
    }

    /// Says that `bytes` more are held now.
    ///
    /// # Errors
    /// `too_large` when the query's budget does not have them.
    pub(crate) fn add(&mut self, bytes: u64) -> Result<()> {
        self.budget.reserve(bytes)?;
        self.held += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.held);
    }
}

/// The error of a query whose caller went away.
pub(crate) fn cancelled() -> Error {
    Error::cancelled("the query was cancelled")
}
