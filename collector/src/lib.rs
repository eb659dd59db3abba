//! Collects: finds files, reads them, decodes them, ships batches.

pub mod decode;
