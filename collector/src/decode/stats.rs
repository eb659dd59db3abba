//! What decoding did, counted.

/// Counters of one or more decoders. They only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeStats {
    /// Records appended to a batch.
    pub records: u64,
    /// Lines read, blank ones included.
    pub lines: u64,
    /// Lines without a character; they are no record.
    pub blank: u64,
    /// Lines of a container's log that are not in the format of the file; kept as they are.
    pub unframed: u64,
    /// Records in which invalid UTF-8 was replaced by U+FFFD.
    pub invalid_utf8: u64,
    /// Records over the limit, or given up before their end; their field `truncated` is `true`.
    pub truncated: u64,
    /// Records of more than one line.
    pub joined: u64,
    /// Records that say no time and got that of the record before them.
    pub time_inherited: u64,
    /// Records that got the time of collection, because no record of the stream had said one yet.
    pub time_fallback: u64,
    /// Fields that were left in the body only, by the limit of fields or of a name's length.
    pub fields_dropped: u64,
}

impl DecodeStats {
    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.lines += other.lines;
        self.blank += other.blank;
        self.unframed += other.unframed;
        self.invalid_utf8 += other.invalid_utf8;
        self.truncated += other.truncated;
        self.joined += other.joined;
        self.time_inherited += other.time_inherited;
        self.time_fallback += other.time_fallback;
        self.fields_dropped += other.fields_dropped;
    }
}
