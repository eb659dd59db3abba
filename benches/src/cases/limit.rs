//! What no log shipper can beat: reading the bytes, finding the newlines, and compressing them once with zstd-1.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, ensure};

use crate::dataset::Dataset;
use crate::machine;
use crate::results::Results;

/// As large as the collector's own reads can usefully be.
const READ_BYTES: usize = 1 << 20;

/// The limit on this machine, on these bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Lines a second and core.
    pub(crate) lines_a_second: f64,
    /// Bytes a second and core.
    pub(crate) bytes_a_second: f64,
    /// Bytes after zstd-1, by bytes before.
    pub(crate) ratio: f64,
}

/// Measures it on one thread.
pub(crate) fn run(dataset: &Dataset, results: &mut Results) -> Result<Limit> {
    let own = std::process::id();
    let files = dataset.files()?;
    let mut buffer = vec![0; READ_BYTES];
    let mut output = vec![0; zstd::zstd_safe::compress_bound(READ_BYTES)];
    let mut compressor = zstd::bulk::Compressor::new(1)?;
    let (mut lines, mut bytes, mut compressed) = (0, 0, 0);
    let before = machine::cpu_seconds(own)?;
    for path in files {
        let mut file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
            compressed += compressor.compress_to_buffer(&buffer[..read], &mut output)? as u64;
            bytes += read as u64;
        }
    }
    // One tick of the clock at the least, so that tiny data gives a figure and not infinity.
    let cpu = (machine::cpu_seconds(own)? - before).max(0.01);
    ensure!(lines == dataset.lines, "{lines} lines read of {}", dataset.lines);
    let limit = Limit {
        lines_a_second: lines as f64 / cpu,
        bytes_a_second: bytes as f64 / cpu,
        ratio: compressed as f64 / bytes as f64,
    };
    let value = format!(
        "{:.0} MB/s, {:.0} thousand lines/s",
        limit.bytes_a_second / 1e6,
        limit.lines_a_second / 1e3
    );
    results.add(
        "-",
        "limit: read, newline search, zstd-1, a core",
        value,
        format!("zstd-1 leaves {:.3}", limit.ratio),
    );
    Ok(limit)
}
