//! The bodies of requests: read within limits of size, memory and time, and decompressed.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use rookery_core::units::Bytes as Size;
use rookery_core::{Error, Result};

/// How much memory is asked for at a time while a body is decompressed.
const PIECE_BYTES: usize = 64 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Deflate,
    Zstd,
    /// Snappy's block format, in which Loki's clients send protobuf.
    Snappy,
}

impl Packing {
    /// By the name in `Content-Encoding`.
    ///
    /// # Errors
    /// When there is no such one here.
    pub(crate) fn named(name: &str) -> Result<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::None),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            "snappy" => Ok(Self::Snappy),
            other => Err(Error::invalid(format!(
                "the encoding {other:?} is not known: use gzip, zstd, deflate, snappy or none"
            ))),
        }
    }
}

/// Memory for all requests together.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    held: AtomicU64,
}

/// What one request has of it; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    pub(crate) fn new(limit: Size) -> Arc<Self> {
        Arc::new(Self { limit: limit.0, held: AtomicU64::new(0) })
    }

    /// Nothing yet.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        Held { memory: self.clone(), bytes: 0 }
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Takes some more.
    ///
    /// # Errors
    /// `throttled` when all is taken.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        let held = self.memory.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes += bytes;
        if held <= self.memory.limit {
            return Ok(());
        }
        let limit = Size(self.memory.limit);
        Err(Error::throttled(format!(
            "requests take {limit} together already: send this one again, or raise receiver.memory_limit"
        )))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What may come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) size: Size,
    pub(crate) arrival: Duration,
}

/// The bytes as they are sent.
///
/// # Errors
/// `too_large`, `timeout`, `throttled`, or `invalid` when the client broke off.
pub(crate) async fn read(mut body: Body, limits: BodyLimits, held: &mut Held) -> Result<Vec<u8>> {
    let reading = async {
        let mut out = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Error::invalid("the request broke off").because(e))?;
            let Ok(data) = frame.into_data() else { continue };
            if out.len() + data.len() > limits.size.as_usize() {
                return Err(too_large(limits.size));
            }
            held.grow(data.len())?;
            out.extend_from_slice(&data);
        }
        Ok(out)
    };
    let late = |_| {
        Err(Error::timeout(format!(
            "the request did not arrive within {:?} (receiver.arrival_limit)",
            limits.arrival
        )))
    };
    tokio::time::timeout(limits.arrival, reading).await.unwrap_or_else(late)
}

fn too_large(limit: Size) -> Error {
    Error::too_large(format!(
        "the request is over {limit}: send smaller ones, or raise receiver.request_limit"
    ))
}

/// The decompressed bytes.
///
/// # Errors
/// `invalid` when they are not of that packing, `too_large`, `throttled`.
pub(crate) fn unpack(
    raw: Vec<u8>,
    packing: Packing,
    limit: Size,
    held: &mut Held,
) -> Result<Vec<u8>> {
    let wrong = |e: std::io::Error| {
        Error::invalid(format!("the request is not valid {packing:?}")).because(e)
    };
    let mut reader: Box<dyn Read + '_> = match packing {
        Packing::None => return Ok(raw),
        Packing::Snappy => return unpack_snappy(&raw, limit, held),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(&raw[..])),
        Packing::Deflate => Box::new(flate2::read::ZlibDecoder::new(&raw[..])),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::new(&raw[..]).map_err(wrong)?),
    };
    let mut out = Vec::new();
    loop {
        held.grow(PIECE_BYTES)?;
        let read = (&mut reader).take(PIECE_BYTES as u64).read_to_end(&mut out).map_err(wrong)?;
        if out.len() as u64 > limit.0 {
            return Err(too_large(limit));
        }
        if read == 0 {
            return Ok(out);
        }
    }
}

/// Snappy says its length first, so that it is refused before any memory is taken for it.
fn unpack_snappy(raw: &[u8], limit: Size, held: &mut Held) -> Result<Vec<u8>> {
    let wrong = |e: snap::Error| Error::invalid("the request is not valid Snappy").because(e);
    let length = snap::raw::decompress_len(raw).map_err(wrong)?;
    if length as u64 > limit.0 {
        return Err(too_large(limit));
    }
    held.grow(length)?;
    snap::raw::Decoder::new().decompress_vec(raw).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_core::Kind;

    fn unpacked(raw: &[u8], packing: Packing, limit: u64) -> Result<Vec<u8>> {
        unpack(raw.to_vec(), packing, Size(limit), &mut Memory::new(Size::mib(4)).hold())
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = vec![0u8; 1 << 20];
        let zstd = zstd::encode_all(&zeros[..], 3).unwrap();
        let snappy = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        for (raw, packing) in [(&zstd, Packing::Zstd), (&snappy, Packing::Snappy)] {
            assert_eq!(unpacked(raw, packing, 1 << 19).unwrap_err().kind(), Kind::TooLarge);
            assert_eq!(unpacked(raw, packing, 1 << 20).unwrap(), zeros);
        }
        assert_eq!(unpacked(&zstd, Packing::Gzip, 1 << 20).unwrap_err().kind(), Kind::Invalid);
        assert_eq!(unpacked(b"\xff\xff", Packing::Snappy, 9).unwrap_err().kind(), Kind::Invalid);
        assert!(Packing::named("br").is_err());
        assert_eq!(Packing::named(" GZIP").unwrap(), Packing::Gzip);
    }

    #[tokio::test]
    async fn memory_of_all_requests_is_bounded_and_given_back() {
        let memory = Memory::new(Size(100));
        let limits = BodyLimits { size: Size(1000), arrival: Duration::from_secs(9) };
        let mut first = memory.hold();
        let body = || Body::from(vec![0; 60]);
        assert_eq!(read(body(), limits, &mut first).await.unwrap().len(), 60);
        let second = read(body(), limits, &mut memory.hold()).await.unwrap_err();
        assert_eq!(second.kind(), Kind::Throttled);
        drop(first);
        assert_eq!(memory.held_bytes(), 0);
        let large = BodyLimits { size: Size(59), ..limits };
        let refused = read(body(), large, &mut memory.hold()).await.unwrap_err();
        assert!(refused.message().contains("receiver.request_limit"), "{refused}");
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let limits = BodyLimits { size: Size(9), arrival: Duration::from_millis(1) };
        let endless = futures_util::stream::pending::<Result<Vec<u8>>>();
        let body = Body::from_stream(endless);
        let error = read(body, limits, &mut Memory::new(Size(9)).hold()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout);
    }
}
