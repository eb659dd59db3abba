//! Whose data a caller may see. No path to a store exists without one.

use std::sync::Arc;

use crate::Tenant;
use crate::filter::Filter;

/// The tenant of a caller, and the part of its data that the caller may see.
///
/// A store joins `restriction` to the filter of every scan before it reads; a handler never filters results.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Whose data.
    pub tenant: Tenant,
    /// Which part of it; `None` for all.
    pub restriction: Option<Arc<Filter>>,
}

impl Scope {
    /// All data of one tenant.
    pub fn tenant(tenant: Tenant) -> Self {
        Self { tenant, restriction: None }
    }

    /// `filter`, joined with what the caller may see.
    pub fn apply(&self, filter: &Arc<Filter>) -> Arc<Filter> {
        match &self.restriction {
            None => filter.clone(),
            Some(restriction) => {
                Arc::new(Filter::And(vec![restriction.as_ref().clone(), filter.as_ref().clone()]))
            }
        }
    }
}
