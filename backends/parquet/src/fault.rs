//! Places at which a test may stop the process, to see what the next start makes of it.
//!
//! `ROOKERY_FAULT=<name>:<n>` aborts the process when the named place is reached for the n-th time. Only builds with debug
//! assertions look; a release build has nothing of it.

/// A place at which a test may stop the process.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = std::env::var("ROOKERY_FAULT").ok()?;
        let (name, count) = text.rsplit_once(':')?;
        Some((name.into(), count.parse().ok()?))
    });
    static SEEN: AtomicU64 = AtomicU64::new(0);
    if let Some((wanted, count)) = WANTED.as_ref()
        && wanted == name
        && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        std::process::abort();
    }
}

/// A place at which a test may stop the process.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
