//! Reading: from a filter to SQL, and from Arrow columns to rows.

use rookery_core::store::{Partition, ScanRequest};
use rookery_core::{Error, Result, Scope};

use crate::client::Client;

/// Starts a scan, see [`rookery_core::store::Store::scan`].
pub(crate) fn scan(client: &Client, scope: &Scope, request: ScanRequest) -> Result<Vec<Partition>> {
    let _ = (client, scope, request);
    Err(Error::internal("reading from ClickHouse is not there yet"))
}
