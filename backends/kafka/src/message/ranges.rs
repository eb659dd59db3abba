//! The header `ranges`, compact: what a batch answers for, stream by stream.
//!
//! ```text
//! count
//! count times:  flags  [stream: 16 bytes]  [generation]  [start]  length  records  [reason: length, bytes]  [after: generation, offset]
//! ```
//!
//! Numbers are LEB128. What is as the range before says is left out, by the bits of `flags`: 1 the same stream, 2 the same generation, 4 it starts where that one ends,
//! 8 shed, 16 lost (a reason follows), 32 `after` is where that one ends, 64 `after` is nothing.

use std::borrow::Cow;

use rookery_core::batch::{Fate, Range};
use rookery_core::{Error, Position, Result, StreamId};

const SAME_STREAM: u8 = 1;
const SAME_GENERATION: u8 = 2;
const STARTS_AT_END: u8 = 4;
const SHED: u8 = 8;
const LOST: u8 = 16;
const AFTER_END: u8 = 32;
const AFTER_NOTHING: u8 = 64;

/// The shortest range, in bytes: what bounds the count that a header may claim.
const SHORTEST: usize = 3;

/// The longest name of a reason.
const REASON_LIMIT: usize = 256;

/// As the header's value.
pub fn encode(ranges: &[Range]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + 24 * ranges.len());
    put(&mut out, ranges.len() as u64);
    let mut before: Option<&Range> = None;
    for range in ranges {
        let flags = flags(range, before);
        out.push(flags);
        if flags & SAME_STREAM == 0 {
            out.extend_from_slice(&range.stream.0);
        }
        if flags & SAME_GENERATION == 0 {
            put(&mut out, range.generation);
        }
        if flags & STARTS_AT_END == 0 {
            put(&mut out, range.start);
        }
        put(&mut out, range.end.wrapping_sub(range.start));
        put(&mut out, range.records);
        if let Fate::Shed(reason) | Fate::Lost(reason) = &range.fate {
            put(&mut out, reason.len() as u64);
            out.extend_from_slice(reason.as_bytes());
        }
        if flags & (AFTER_END | AFTER_NOTHING) == 0 {
            put(&mut out, range.after.generation);
            put(&mut out, range.after.offset);
        }
        before = Some(range);
    }
    out
}

fn flags(range: &Range, before: Option<&Range>) -> u8 {
    let before = before.filter(|before| before.stream == range.stream);
    let mut flags = match &range.fate {
        Fate::Kept => 0,
        Fate::Shed(_) => SHED,
        Fate::Lost(_) => LOST,
    };
    if let Some(before) = before {
        flags |= SAME_STREAM;
        if before.generation == range.generation {
            flags |= SAME_GENERATION;
        }
        if before.end == range.start {
            flags |= STARTS_AT_END;
        }
        if before.end_position() == range.after {
            return flags | AFTER_END;
        }
    }
    if range.after == Position::default() { flags | AFTER_NOTHING } else { flags }
}

/// From the header's value.
///
/// # Errors
/// `corrupt` when it is not such a value.
pub fn decode(header: &[u8]) -> Result<Vec<Range>> {
    let mut rest = header;
    let count = take(&mut rest)? as usize;
    if count > rest.len() / SHORTEST + 1 {
        return Err(wrong());
    }
    let mut ranges: Vec<Range> = Vec::with_capacity(count);
    for _ in 0..count {
        let range = decode_one(&mut rest, ranges.last())?;
        ranges.push(range);
    }
    if rest.is_empty() { Ok(ranges) } else { Err(wrong()) }
}

fn decode_one(rest: &mut &[u8], before: Option<&Range>) -> Result<Range> {
    let flags = bytes(rest, 1)?[0];
    let has = |flag| flags & flag != 0;
    let before_or = |flag, before: Option<&Range>| match (flags & flag != 0, before) {
        (true, None) => Err(wrong()),
        (true, Some(before)) => Ok(Some(before.clone())),
        (false, _) => Ok(None),
    };
    let stream = match before_or(SAME_STREAM, before)? {
        Some(before) => before.stream,
        None => StreamId(bytes(rest, 16)?.try_into().map_err(|_| wrong())?),
    };
    let generation = match before_or(SAME_GENERATION, before)? {
        Some(before) => before.generation,
        None => take(rest)?,
    };
    let start = match before_or(STARTS_AT_END, before)? {
        Some(before) => before.end,
        None => take(rest)?,
    };
    let end = start.checked_add(take(rest)?).ok_or_else(wrong)?;
    let records = take(rest)?;
    let fate = match (has(SHED), has(LOST)) {
        (false, false) => Fate::Kept,
        (true, false) => Fate::Shed(reason(rest)?),
        (false, true) => Fate::Lost(reason(rest)?),
        (true, true) => return Err(wrong()),
    };
    let after = match before_or(AFTER_END, before)? {
        Some(before) => before.end_position(),
        None if has(AFTER_NOTHING) => Position::default(),
        None => Position { generation: take(rest)?, offset: take(rest)? },
    };
    Ok(Range { stream, generation, start, end, records, after, fate })
}

fn reason(rest: &mut &[u8]) -> Result<Cow<'static, str>> {
    let length = take(rest)? as usize;
    if length > REASON_LIMIT {
        return Err(wrong());
    }
    let text = std::str::from_utf8(bytes(rest, length)?).map_err(|_| wrong())?;
    Ok(text.to_owned().into())
}

fn bytes<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count).ok_or_else(wrong)?;
    *rest = after;
    Ok(taken)
}

fn wrong() -> Error {
    Error::corrupt("the message's header \"ranges\" cannot be read")
}

/// Appends a number.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Result<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes(rest, 1)?[0];
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return Err(wrong());
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(wrong())
}
