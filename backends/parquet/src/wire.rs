//! The few primitives of the store's own binary formats: LEB128 numbers, zigzag signed numbers, and byte strings
//! with their length in front. A reader never trusts a length: it is checked against what is left before anything is allocated.

use rookery_core::{Error, Result};

/// Appends an unsigned number, seven bits a byte, low bits first.
pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number: the sign goes into the lowest bit.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends bytes after their count.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a text after its length in bytes.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Reads what the `put_*` functions wrote, from the front.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

fn short() -> Error {
    Error::corrupt("a record of the store ends too early")
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(short)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::corrupt("a number in a record of the store has more than 64 bits"))
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        let value = self.u64()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        u32::try_from(self.u64()?).map_err(|_| Error::corrupt("a number is out of its range"))
    }

    /// A count of things that take at least one byte each; it can therefore not be larger than what is left.
    pub(crate) fn count(&mut self) -> Result<usize> {
        let count = self.u64()?;
        if count > self.rest.len() as u64 {
            return Err(short());
        }
        Ok(count as usize)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count()?;
        self.take(len)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?)
            .map_err(|e| Error::corrupt("a text in a record of the store is not UTF-8").because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back_and_a_cut_is_an_error() {
        let mut out = Vec::new();
        let numbers = [0, 1, -1, 63, -64, 64, i64::MIN, i64::MAX];
        numbers.iter().for_each(|&n| put_i64(&mut out, n));
        put_u64(&mut out, u64::MAX);
        put_str(&mut out, "größe");
        let mut reader = Reader::new(&out);
        for n in numbers {
            assert_eq!(reader.i64().unwrap(), n);
        }
        assert_eq!(reader.u64().unwrap(), u64::MAX);
        assert_eq!(reader.str().unwrap(), "größe");
        assert!(reader.u8().is_err());
        assert!(Reader::new(&[0xff; 11]).u64().is_err());
        assert!(Reader::new(&[5, b'a']).str().is_err());
    }
}
