//! Reads the store's own files from bytes that nobody vouches for: what a fuzz target calls, and a tool that looks at a store.
//!
//! The contents are read behind their checksums, so that a reader is shown to be safe also where a checksum would hide it.

use rookery_core::Result;

use crate::accounts::Accounts;
use crate::manifest::Manifest;
use crate::part::index::PartIndex;

/// Reads a manifest file; how many parts it lists.
///
/// # Errors
/// `corrupt` when it is not one.
pub fn manifest(bytes: &[u8]) -> Result<usize> {
    Manifest::from_bytes(bytes).map(|manifest| manifest.parts.len())
}

/// Reads the JSON of a manifest, without its checksum; how many parts it lists.
///
/// # Errors
/// `corrupt` when it is not one.
pub fn manifest_content(json: &[u8]) -> Result<usize> {
    Manifest::from_json(json).map(|manifest| manifest.parts.len())
}

/// Reads an index file; how many granules it has.
///
/// # Errors
/// `corrupt` when it is not one, `conflict` when it is of a later version.
pub fn index(bytes: &[u8]) -> Result<usize> {
    PartIndex::decode(bytes).map(|index| index.granules.len())
}

/// Reads the content of an index, without compression and checksum, of a file whose word filters end at `filters_end`; how many
/// granules it has.
///
/// # Errors
/// `corrupt` when it is not one.
pub fn index_content(bytes: &[u8], filters_end: u64) -> Result<usize> {
    PartIndex::decode_content(bytes, filters_end).map(|index| index.granules.len())
}

/// Reads a snapshot of accounts; how many there are.
///
/// # Errors
/// `corrupt` when it is not one.
pub fn accounts(bytes: &[u8]) -> Result<usize> {
    Accounts::from_bytes(bytes).map(|accounts| accounts.len())
}

/// Reads the content of a snapshot of accounts, without compression and checksum; how many there are.
///
/// # Errors
/// `corrupt` when it is not one.
pub fn accounts_content(bytes: &[u8]) -> Result<usize> {
    Accounts::decode(bytes).map(|accounts| accounts.len())
}
