//! For a process that does nothing but collect: what keeps it small.
//!
//! Measured with `examples/steady.rs` (10,000 lines a second of 100 containers, mimalloc): most of the resident memory of such a process are large pages
//! of which a small part was ever used. Without them it is a third. A process that also stores and searches wants them.

use rookery_core::{Error, Result};

/// Asks the kernel for no large pages, whatever the allocator asks for. To be called first: what was given before stays.
pub fn keep_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "large pages stay allowed; it costs memory and nothing else");
    }
}

/// A runtime for it. The collector reads, decodes and writes checkpoints on threads of its own; what is left for the runtime is to ship batches, and one
/// thread does that.
///
/// # Errors
/// When the system gives no event queue.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the runtime", error))
}
