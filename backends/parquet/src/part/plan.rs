//! Which of the records' own fields become columns of a part, and of which type.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use hashbrown::{HashMap, HashSet};

use super::stamp;

/// The most columns that own fields take in a part. Names beyond share one map column. A stream rarely has more than thirty; the limit
/// bounds what a hostile or careless producer costs every other stream.
pub(crate) const COLUMNS_LIMIT: usize = 256;

/// The most names outside of columns whose counts a part remembers.
pub(crate) const REST_NAMES_LIMIT: usize = 4096;

/// How many distinct values are remembered to guess whether a dictionary pays.
const SAMPLE: usize = 1024;

/// How the values of a field are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// 64-bit numbers that print back identically.
    Int = 0,
    /// Texts, few of them distinct.
    Dictionary = 1,
    /// Texts.
    Text = 2,
    /// Times that print back identically, see [`super::stamp`].
    Time = 4,
}

/// One own field as a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldColumn {
    /// The field's name, without a prefix.
    pub(crate) name: Arc<str>,
    pub(crate) kind: FieldKind,
    /// Whether its numbers mostly lie near the one before, as those of a counter or a clock do.
    pub(crate) has_steps: bool,
    /// How many records have it.
    pub(crate) values: u64,
}

impl FieldColumn {
    /// The name in the Parquet schema.
    pub(crate) fn column_name(&self) -> String {
        format!("fields.{}", self.name)
    }

    /// The column of the Parquet schema as it is written.
    pub(crate) fn field(&self) -> Field {
        let kind = match self.kind {
            FieldKind::Int => DataType::Int64,
            FieldKind::Time => stamp::data_type(),
            FieldKind::Dictionary | FieldKind::Text => DataType::Utf8,
        };
        Field::new(self.column_name(), kind, true)
    }
}

/// What is counted of each name before a part is written.
#[derive(Debug)]
pub(crate) struct FieldCount {
    pub(crate) values: u64,
    all_int: bool,
    all_time: bool,
    print: Vec<u8>,
    last: i64,
    /// The digits, in bits, of all numbers, and of the distances between neighbours.
    bits: u64,
    step_bits: u64,
    sampled: usize,
    distinct: HashSet<u64>,
}

impl Default for FieldCount {
    fn default() -> Self {
        Self {
            values: 0,
            all_int: true,
            all_time: true,
            print: Vec::new(),
            last: 0,
            bits: 0,
            step_bits: 0,
            sampled: 0,
            distinct: HashSet::new(),
        }
    }
}

impl FieldCount {
    /// Counts one value.
    pub(crate) fn add(&mut self, value: &str) {
        self.values += 1;
        if self.all_int {
            match canonical_int(value) {
                None => self.all_int = false,
                Some(number) => {
                    let bits = |n: u64| u64::from(u64::BITS - n.leading_zeros());
                    self.bits += bits(number.unsigned_abs());
                    self.step_bits += bits(number.wrapping_sub(self.last).unsigned_abs());
                    self.last = number;
                }
            }
        }
        self.all_time = self.all_time && stamp::read(value, &mut self.print).is_some();
        if !self.all_int && self.sampled < SAMPLE {
            self.sampled += 1;
            self.distinct.insert(xxhash_rust::xxh3::xxh3_64(value.as_bytes()));
        }
    }

    /// Whether distances take less than half of the digits.
    fn has_steps(&self) -> bool {
        self.all_int
            && self.bits > 8 * self.values
            && 2 * (self.step_bits + self.values) < self.bits
    }

    fn kind(&self) -> FieldKind {
        // A dictionary that is larger than half of its uses only delays the fall-back to plain values.
        let few = self.sampled < 64 || self.distinct.len() * 2 < self.sampled;
        match (self.all_int, few) {
            _ if self.all_time => FieldKind::Time,
            (true, _) => FieldKind::Int,
            (false, true) => FieldKind::Dictionary,
            (false, false) => FieldKind::Text,
        }
    }
}

/// The number whose decimal form is exactly this text.
pub(crate) fn canonical_int(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let canonical = match digits {
        [] => false,
        [b'0', rest @ ..] => rest.is_empty() && digits.len() == bytes.len(),
        [first, ..] => first.is_ascii_digit() && digits.len() <= 19,
    };
    if canonical { text.parse().ok() } else { None }
}

/// The column of a field.
pub(crate) fn column(columns: &[FieldColumn], name: &str) -> Option<usize> {
    columns.binary_search_by(|column| column.name.as_ref().cmp(name)).ok()
}

/// The columns for what was counted: the most frequent names, in the order of names; and the names that get none.
pub(crate) fn choose(
    counts: HashMap<Arc<str>, FieldCount>,
) -> (Vec<FieldColumn>, Vec<(Arc<str>, u64)>) {
    let columns = counts.into_iter().map(|(name, count)| {
        let kind = count.kind();
        FieldColumn { name, kind, has_steps: count.has_steps(), values: count.values }
    });
    most_frequent(columns.collect())
}

/// As [`choose`], for columns of parts that are merged.
pub(crate) fn most_frequent(
    mut columns: Vec<FieldColumn>,
) -> (Vec<FieldColumn>, Vec<(Arc<str>, u64)>) {
    columns.sort_unstable_by(|a, b| b.values.cmp(&a.values).then_with(|| a.name.cmp(&b.name)));
    let mut rest: Vec<_> = columns
        .split_off(COLUMNS_LIMIT.min(columns.len()))
        .into_iter()
        .map(|column| (column.name, column.values))
        .collect();
    rest.truncate(REST_NAMES_LIMIT);
    columns.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    (columns, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_print_back_are_numbers() {
        for good in ["0", "7", "-7", "200", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(canonical_int(good).map(|n| n.to_string()).as_deref(), Some(good));
        }
        for bad in ["", "-", "-0", "00", "01", "+1", "1.0", " 1", "1e3", "9223372036854775808", "٣"]
        {
            assert_eq!(canonical_int(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_most_frequent_names_become_columns() {
        let mut counts: HashMap<Arc<str>, FieldCount> = HashMap::new();
        for name in 0..COLUMNS_LIMIT + 3 {
            let count = counts.entry(format!("f{name:04}").into()).or_default();
            (0..=name).for_each(|i| count.add(&format!("v{i}")));
        }
        let (columns, rest) = choose(counts);
        assert_eq!((columns.len(), rest.len()), (COLUMNS_LIMIT, 3));
        assert_eq!(columns[0].name.as_ref(), "f0003");
        assert_eq!(columns[COLUMNS_LIMIT - 1].kind, FieldKind::Text);
        assert_eq!(columns[0].kind, FieldKind::Dictionary);
    }
}
