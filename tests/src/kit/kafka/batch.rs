//! A record batch as any producer writes one (version 2, not compressed), so that tests can put into a topic what Rookery itself never
//! would: <https://kafka.apache.org/documentation/#recordbatch>.

/// A record: what a test wants another producer to have sent.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Its key, which may be missing.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// A record of nothing but a value.
    pub fn of(value: impl Into<Vec<u8>>) -> Self {
        Self { value: value.into(), ..Self::default() }
    }
}

/// A batch of these records, all of this time (milliseconds since 1970).
pub(super) fn encode(records: &[Record], time_ms: i64) -> Vec<u8> {
    const VERSION: u8 = 2;
    let count = i32::try_from(records.len()).expect("a test sends few records");
    let mut body = Vec::new();
    body.extend(0_i16.to_be_bytes()); // No compression, no transaction.
    body.extend((count - 1).to_be_bytes());
    body.extend(time_ms.to_be_bytes());
    body.extend(time_ms.to_be_bytes());
    body.extend((-1_i64).to_be_bytes()); // Not idempotent: no producer id, no epoch, no sequence.
    body.extend((-1_i16).to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(count.to_be_bytes());
    for (index, record) in records.iter().enumerate() {
        let record = encode_record(record, index);
        varint(&mut body, record.len() as i64);
        body.extend(record);
    }
    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes()); // The broker gives the offsets.
    let rest = 4 + 1 + 4 + body.len();
    batch.extend(u32::try_from(rest).expect("a test sends small batches").to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(VERSION);
    batch.extend(crc32c(&body).to_be_bytes());
    batch.extend(body);
    batch
}

fn encode_record(record: &Record, index: usize) -> Vec<u8> {
    let mut out = vec![0]; // Attributes: none are defined.
    varint(&mut out, 0); // At the time of the batch.
    varint(&mut out, index as i64);
    match &record.key {
        Some(key) => bytes(&mut out, key),
        None => varint(&mut out, -1),
    }
    bytes(&mut out, &record.value);
    varint(&mut out, record.headers.len() as i64);
    for (name, value) in &record.headers {
        bytes(&mut out, name.as_bytes());
        bytes(&mut out, value);
    }
    out
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as i64);
    out.extend(bytes);
}

/// A number of few bytes when it is near 0 (zigzag, then seven bits a byte).
fn varint(out: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// CRC-32C (Castagnoli), bit by bit: a test sends little.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_near_zero_are_short() {
        let of = |number| {
            let mut out = Vec::new();
            varint(&mut out, number);
            out
        };
        assert_eq!(of(0), [0]);
        assert_eq!(of(-1), [1]);
        assert_eq!(of(150), [0xac, 0x02]);
    }
}
