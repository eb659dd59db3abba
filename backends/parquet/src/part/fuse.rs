//! A set of words as a binary fuse filter: about nine bits a word, one wrong "maybe" in 256, never a wrong "no".
//!
//! Binary fuse filters: Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022 (three-wise
//! form, 8-bit fingerprints). A probe reads three bytes, so a filter need not be brought into memory to be asked:
//! [`Shape`] says where the three bytes lie.
//!
//! Bytes: seed (8), segment length as a power of two (1), count of segments (4), all little endian; then the fingerprints.

use rookery_core::{Error, Result};

/// Bytes before the fingerprints.
pub(crate) const HEADER_BYTES: usize = 13;

/// How often construction is tried with another seed. One try fails with a chance of well under 1 %.
const TRIES: u64 = 64;

/// Where the fingerprints of a hash lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    seed: u64,
    segment_bits: u8,
    segments: u32,
}

/// Spreads a hash with a seed (the finalizer of MurmurHash3, 64 bits).
fn mix(hash: u64, seed: u64) -> u64 {
    let mut h = hash.wrapping_add(seed);
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

fn fingerprint(mixed: u64) -> u8 {
    (mixed ^ (mixed >> 32)) as u8
}

impl Shape {
    /// A shape for `count` distinct hashes.
    fn of(count: usize, seed: u64) -> Self {
        // The constants are those of the paper, section 4: a segment grows as count^0.3, the array is 1.125 times the count
        // for large sets and more for small ones.
        let count_f = (count.max(2)) as f64;
        let segment_bits = ((count_f.ln() / 3.33f64.ln() + 2.25).floor() as u8).min(18);
        let factor = (0.875 + 0.25 * 1e6f64.ln() / count_f.ln()).max(1.125);
        let capacity = if count <= 1 { 0.0 } else { (count_f * factor).round() };
        let segment = f64::from(1u32 << segment_bits);
        let segments = ((capacity / segment).ceil() - 2.0).max(1.0) as u32;
        Self { seed, segment_bits, segments }
    }

    /// Reads the header of a filter.
    ///
    /// # Errors
    /// `corrupt` when it is not one.
    pub(crate) fn read(header: &[u8]) -> Result<Self> {
        let corrupt = || Error::corrupt("a word filter has no header");
        let bytes: &[u8; HEADER_BYTES] = header.first_chunk().ok_or_else(corrupt)?;
        let (seed, rest) = bytes.split_first_chunk::<8>().ok_or_else(corrupt)?;
        let shape = Self {
            seed: u64::from_le_bytes(*seed),
            segment_bits: rest[0],
            segments: u32::from_le_bytes([rest[1], rest[2], rest[3], rest[4]]),
        };
        if shape.segment_bits > 18 || shape.segments == 0 || shape.segments > 1 << 24 {
            return Err(Error::corrupt("a word filter has an impossible shape"));
        }
        Ok(shape)
    }

    /// How many fingerprints there are.
    pub(crate) fn len(&self) -> usize {
        (self.segments as usize + 2) << self.segment_bits
    }

    /// The three places of a hash, in three neighbouring segments.
    pub(crate) fn places(&self, hash: u64) -> [usize; 3] {
        self.places_of(mix(hash, self.seed))
    }

    fn places_of(&self, mixed: u64) -> [usize; 3] {
        let span = u64::from(self.segments) << self.segment_bits;
        let first = ((u128::from(mixed) * u128::from(span)) >> 64) as usize;
        let (segment, mask) = (1usize << self.segment_bits, (1usize << self.segment_bits) - 1);
        let second = (first + segment) ^ ((mixed >> 18) as usize & mask);
        let third = (first + 2 * segment) ^ (mixed as usize & mask);
        [first, second, third]
    }

    /// Whether the hash may be in the set, from the bytes at its three places.
    pub(crate) fn matches(&self, hash: u64, bytes: [u8; 3]) -> bool {
        bytes[0] ^ bytes[1] ^ bytes[2] == fingerprint(mix(hash, self.seed))
    }
}

/// The filter of these hashes, which must be distinct; an empty list gives a filter that holds next to nothing.
///
/// Returns `None` when no seed worked, which does not happen with distinct hashes; a reader takes a missing filter for "maybe".
pub(crate) fn build(hashes: &[u64], scratch: &mut Scratch) -> Option<Vec<u8>> {
    (0..TRIES).find_map(|attempt| {
        let seed = mix(attempt, hashes.len() as u64);
        attempt_build(hashes, Shape::of(hashes.len(), seed), scratch)
    })
}

/// Memory that is used again from one filter to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// By place: how many hashes still have it (times four), and the xor of which of their three places it is.
    counts: Vec<u8>,
    /// By place: the xor of the mixed hashes that still have it.
    sums: Vec<u64>,
    /// Places with one hash left.
    alone: Vec<u32>,
    /// Hashes in the order in which they were taken off, each with the index of the place that was its own.
    order: Vec<(u64, u8)>,
    /// Mixed hashes, by rising first place.
    sorted: Vec<u64>,
    starts: Vec<u32>,
}

fn attempt_build(hashes: &[u64], shape: Shape, scratch: &mut Scratch) -> Option<Vec<u8>> {
    let Scratch { counts, sums, alone, order, sorted, starts } = scratch;
    let len = shape.len();
    counts.clear();
    counts.resize(len, 0);
    sums.clear();
    sums.resize(len, 0);
    sort_by_front(hashes, shape.seed, sorted, starts);
    for &mixed in sorted.iter() {
        for (index, place) in shape.places_of(mixed).into_iter().enumerate() {
            // More than 63 hashes on one place cannot be: the seed is bad.
            counts[place] = counts[place].checked_add(4)? ^ index as u8;
            sums[place] ^= mixed;
        }
    }
    alone.clear();
    alone.extend((0..len as u32).filter(|&place| counts[place as usize] >> 2 == 1));
    order.clear();
    while let Some(place) = alone.pop() {
        if counts[place as usize] >> 2 != 1 {
            continue;
        }
        let mixed = sums[place as usize];
        let own = counts[place as usize] & 3;
        order.push((mixed, own));
        for (index, other) in shape.places_of(mixed).into_iter().enumerate() {
            counts[other] = (counts[other] - 4) ^ index as u8;
            sums[other] ^= mixed;
            if counts[other] >> 2 == 1 {
                alone.push(other as u32);
            }
        }
    }
    if order.len() != hashes.len() {
        return None;
    }
    let mut out = Vec::with_capacity(HEADER_BYTES + len);
    out.extend_from_slice(&shape.seed.to_le_bytes());
    out.push(shape.segment_bits);
    out.extend_from_slice(&shape.segments.to_le_bytes());
    out.resize(HEADER_BYTES + len, 0);
    let prints = &mut out[HEADER_BYTES..];
    for &(mixed, own) in order.iter().rev() {
        let places = shape.places_of(mixed);
        prints[places[own as usize]] = fingerprint(mixed)
            ^ prints[places[(own as usize + 1) % 3]]
            ^ prints[places[(own as usize + 2) % 3]];
    }
    Some(out)
}

/// Mixed hashes ordered by their highest byte, so that construction walks through memory instead of jumping in it.
fn sort_by_front(hashes: &[u64], seed: u64, sorted: &mut Vec<u64>, starts: &mut Vec<u32>) {
    starts.clear();
    starts.resize(257, 0);
    for &hash in hashes {
        starts[(mix(hash, seed) >> 56) as usize + 1] += 1;
    }
    for bucket in 1..257 {
        starts[bucket] += starts[bucket - 1];
    }
    sorted.clear();
    sorted.resize(hashes.len(), 0);
    for &hash in hashes {
        let mixed = mix(hash, seed);
        let at = &mut starts[(mixed >> 56) as usize];
        sorted[*at as usize] = mixed;
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(filter: &[u8], hash: u64) -> bool {
        let shape = Shape::read(filter).unwrap();
        let prints = &filter[HEADER_BYTES..];
        assert_eq!(prints.len(), shape.len());
        shape.matches(hash, shape.places(hash).map(|p| prints[p]))
    }

    #[test]
    fn what_is_in_is_always_found_and_little_else() {
        let mut scratch = Scratch::default();
        for count in [0usize, 1, 2, 3, 10, 100, 5_000, 60_000] {
            let hashes: Vec<u64> = (0..count as u64).map(|i| mix(i, 12345)).collect();
            let filter = build(&hashes, &mut scratch).expect("a seed works");
            assert!(hashes.iter().all(|&h| asks(&filter, h)), "{count}");
            let wrong = (0..100_000u64).filter(|&i| asks(&filter, mix(i, 1 << 40))).count();
            assert!(wrong < 700, "{count}: {wrong} of 100000");
            if count >= 5_000 {
                assert!(filter.len() * 8 < count * 11, "{count}: {} bytes", filter.len());
            }
        }
    }

    #[test]
    fn a_filter_that_is_cut_is_corrupt() {
        assert!(Shape::read(&[1; HEADER_BYTES - 1]).is_err());
        assert!(Shape::read(&[0xff; HEADER_BYTES]).is_err());
    }
}
