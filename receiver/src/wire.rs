//! The wire format of protocol buffers, read in place: fields of a message as numbers and slices of the input.
//!
//! The format is that of protobuf.dev/programming-guides/encoding: a key (field number and type) and a value, again and again. Groups are
//! not supported; nobody sends them. A decoder of a message goes over its fields, takes those that it knows and leaves the others.

use std::borrow::Cow;

use rookery_core::{Error, Result};

/// A value by its type on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The bytes of a message, a text or bytes; empty when it is a number, which no right sender makes of it.
    pub(crate) fn bytes(self) -> &'a [u8] {
        if let Self::Bytes(bytes) = self { bytes } else { &[] }
    }

    /// A text. What is not UTF-8 in it (a log line may be anything) is replaced.
    pub(crate) fn text(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// A number of any type.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Varint(number) | Self::Fixed64(number) => number,
            Self::Fixed32(number) => number.into(),
            Self::Bytes(_) => 0,
        }
    }
}

/// The fields of a message, in the order in which they were written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// Goes over the fields of a message.
pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or_else(|| Error::invalid("the request is not the expected protocol buffer")))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number > 0)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((number, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// The values of one field of a message that was gone over before.
pub(crate) fn every(message: &[u8], number: u32) -> impl Iterator<Item = Value<'_>> {
    fields(message).flatten().filter(move |(found, _)| *found == number).map(|(_, value)| value)
}

/// The last value of one field of a message, which is the one that counts.
pub(crate) fn last(message: &[u8], number: u32) -> Option<Value<'_>> {
    every(message, number).last()
}

/// Messages under construction.
pub(crate) mod write {
    fn varint(out: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }

    pub(crate) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
        varint(out, u64::from(field) << 3);
        varint(out, value);
    }

    pub(crate) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
        varint(out, u64::from(field) << 3 | 1);
        out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
        varint(out, u64::from(field) << 3 | 2);
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }

    /// A message in a message.
    pub(crate) fn message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = Vec::new();
        fill(&mut inner);
        bytes(out, field, &inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        write::number(&mut out, 1, u64::MAX);
        write::fixed64(&mut out, 2, 7);
        write::bytes(&mut out, 300, b"a\xff");
        write::message(&mut out, 4, |inner| inner.extend_from_slice(&[0x0d, 9, 0, 0, 0]));
        let read: Vec<_> = fields(&out).map(Result::unwrap).collect();
        assert_eq!(read[0], (1, Value::Varint(u64::MAX)));
        assert_eq!(read[1], (2, Value::Fixed64(7)));
        assert_eq!((read[2].0, read[2].1.text().as_ref()), (300, "a\u{fffd}"));
        assert_eq!(last(read[3].1.bytes(), 1).unwrap().number(), 9);
    }

    #[test]
    fn what_is_cut_off_or_of_another_form_is_an_error_once() {
        let mut whole = Vec::new();
        write::bytes(&mut whole, 1, b"abc");
        write::fixed64(&mut whole, 2, 7);
        for length in 1..whole.len() {
            let errors = fields(&whole[..length]).filter(Result::is_err).count();
            assert_eq!(errors, usize::from(length != 5), "{length}");
        }
        for wrong in [
            &b"\x0b"[..],
            b"\x00\x01",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"{\"a\":1}",
        ] {
            assert!(fields(wrong).any(|field| field.is_err()), "{wrong:?}");
        }
    }
}
