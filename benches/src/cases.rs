//! The cases, and what several of them need.

pub(crate) mod limit;

pub(crate) mod batches;
pub(crate) mod freshness;
pub(crate) mod loaded;
pub(crate) mod peer;
pub(crate) mod queries;
pub(crate) mod steady;
