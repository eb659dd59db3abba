//! A query as data: what [`super::parse`] makes and the engine runs.
//!
//! The shape keeps no spelling: aliases (`head`, `drop`, `where`, `eval`) and short forms (`first`, `last`, a bare `count()`) are
//! already one form here, names that were left out are filled in, times are absolute. What remains is what a pipe does.
//! Where a pipe has a choice of its own (an order, a default, a limit), the field's documentation is its meaning.

use std::sync::Arc;

use rookery_core::filter::{FieldName, Filter, Pattern};

/// A whole query, or a query inside another.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// How to run it.
    pub options: Options,
    /// Which records.
    pub filter: Filter,
    /// What happens to them, in this order.
    pub pipes: Vec<Pipe>,
    /// The subqueries that [`rookery_core::filter::Values::Subquery`] numbers, of `filter` and of the filters inside
    /// `pipes`; the queries of `union` and `join` have their own list.
    pub subqueries: Vec<Subquery>,
}

/// `options(name=value, …)` before a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// At most this many threads; `None` for as many as there are.
    pub concurrency: Option<usize>,
    /// Whether the time span given outside of the text (`start`, `end` of the request) does not apply.
    pub ignore_global_time_filter: bool,
}

/// `in(<query>)`: the values are those of one field of the query's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// The field of the answer; empty values do not count.
    pub field: FieldName,
    /// The query.
    pub query: Query,
}

/// One field, or all fields whose names start alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldPattern {
    /// `name`.
    Name(FieldName),
    /// `prefix*`; the empty prefix is every field.
    Prefix(Arc<str>),
}

impl FieldPattern {
    /// Whether a field fits.
    pub fn matches(&self, field: &str) -> bool {
        match self {
            Self::Name(name) => name.as_ref() == field,
            Self::Prefix(prefix) => field.starts_with(prefix.as_ref()),
        }
    }
}

/// One step of what happens to the records.
#[derive(Debug, Clone, PartialEq)]
pub enum Pipe {
    /// `fields a, b*`: keep these only.
    Fields(Vec<FieldPattern>),
    /// `delete a, b*`: keep all but these.
    Delete(Vec<FieldPattern>),
    /// `copy a as b, c* as d*`: one after another. Both sides are names, or both are prefixes (which are exchanged).
    Copy(Vec<(FieldPattern, FieldPattern)>),
    /// `rename a as b, c* as d*`: one after another, sides as in `copy`.
    Rename(Vec<(FieldPattern, FieldPattern)>),
    /// `sort by (…)`, `first N by (…)`, `last N by (…)`.
    Sort(Sort),
    /// `limit N`.
    Limit(u64),
    /// `offset N`: skip as many.
    Offset(u64),
    /// `uniq by (…)`.
    Uniq(Uniq),
    /// `top N by (…)`.
    Top(Top),
    /// `stats by (…) f(…) as n, …`.
    Stats(Stats),
    /// `filter f`.
    Filter(Filter),
    /// `extract "a=<b> "`.
    Extract(Extract),
    /// `extract_regexp "(?P<b>…)"`.
    ExtractRegexp(ExtractRegexp),
    /// `unpack_json`: nested names joined with `.`, arrays as JSON text.
    UnpackJson(Unpack),
    /// `unpack_logfmt`.
    UnpackLogfmt(Unpack),
    /// `unpack_syslog`: both syslog formats.
    UnpackSyslog {
        /// From where to where; `fields` is empty.
        unpack: Unpack,
        /// Added to UTC to read a time without a zone, in nanoseconds.
        offset: i64,
    },
    /// `unpack_words from a as b`: the words as a JSON array.
    UnpackWords {
        /// Read.
        field: FieldName,
        /// Written.
        result: FieldName,
        /// Whether each word is kept once, where it is first seen.
        drop_duplicates: bool,
    },
    /// `unroll by (a, b)`: one record for each item of the JSON arrays, side by side; a field whose array is
    /// shorter, or that is none, is empty in the others. At least one record is left.
    Unroll {
        /// Which fields.
        by: Vec<FieldName>,
        /// Only for these records; others stay as they are.
        condition: Option<Filter>,
    },
    /// `format "<a>:<b>" as c`.
    Format(Format),
    /// `replace ("old", "new") at a`: all that are found, from the left.
    Replace(Replace),
    /// `replace_regexp ("old", "$1") at a`.
    ReplaceRegexp(ReplaceRegexp),
    /// `collapse_nums at a`: decimal and hexadecimal numbers become `<N>`.
    CollapseNums {
        /// Which field.
        field: FieldName,
        /// Whether runs of `<N>` become `<UUID>`, `<IP4>`, `<TIME>`, `<DATE>`, `<DATETIME>`.
        prettify: bool,
        /// Only for these records.
        condition: Option<Filter>,
    },
    /// `decolorize a`: without ANSI colour codes.
    Decolorize(FieldName),
    /// `math a / b as c, …`: one after another; a later one may read an earlier result.
    Math(Vec<MathEntry>),
    /// `len(a) as b`: the length in bytes.
    Len {
        /// Read.
        field: FieldName,
        /// Written.
        result: FieldName,
    },
    /// `hash(a) as b`: a number that equal texts share.
    Hash {
        /// Read.
        field: FieldName,
        /// Written.
        result: FieldName,
    },
    /// `json_array_len(a) as b`: how many items; 0 for what is no array.
    JsonArrayLen {
        /// Read.
        field: FieldName,
        /// Written.
        result: FieldName,
    },
    /// `pack_json fields (a, b*) as c`: a JSON object of texts.
    PackJson {
        /// Which fields; empty for all.
        fields: Vec<FieldPattern>,
        /// Written.
        result: FieldName,
    },
    /// `pack_logfmt fields (a, b*) as c`.
    PackLogfmt {
        /// Which fields; empty for all.
        fields: Vec<FieldPattern>,
        /// Written.
        result: FieldName,
    },
    /// `drop_empty_fields`: a record all of whose fields are empty goes.
    DropEmptyFields,
    /// `facets`.
    Facets(Facets),
    /// `field_names`: records of `name` and `hits`, how many records have a value.
    FieldNames,
    /// `field_values a limit N`: records of `a` and `hits`.
    FieldValues {
        /// Which field.
        field: FieldName,
        /// At most this many values; when there are more, any of them with `hits` 0.
        limit: Option<u64>,
    },
    /// `stream_context before B after A`: must come first.
    StreamContext(StreamContext),
    /// `sample N`: about one record in N, at random.
    Sample(u64),
    /// `union (<query>)`: this answer, then that.
    Union(Box<Query>),
    /// `join by (…) (<query>)`.
    Join(Join),
}

/// Sorting. Values are compared as numbers where both are, else by natural order of texts (`a2` before `a10`).
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// By what, the first first. Empty: by all fields of the record, in the order of their names.
    pub by: Vec<SortKey>,
    /// Counted on its own for each set of values of these fields: `offset`, `limit` and `rank`. Empty: one count for all.
    pub partition_by: Vec<FieldName>,
    /// How many to skip.
    pub offset: u64,
    /// At most this many.
    pub limit: Option<u64>,
    /// Write the place (from 1, in the whole order before `offset`) to this field.
    pub rank: Option<FieldName>,
}

/// One field to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// Which field.
    pub field: FieldName,
    /// Whether the largest comes first. A `desc` for the whole pipe is already merged in here.
    pub descending: bool,
}

/// Distinct sets of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Uniq {
    /// Of which fields; at least one. A set all of whose values are empty counts too.
    pub by: Vec<FieldName>,
    /// Write how often each was seen to this field.
    pub hits: Option<FieldName>,
    /// At most this many; when there are more, any of them with hits 0.
    pub limit: Option<u64>,
}

/// The most frequent sets of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    /// How many; ties go to the smaller texts.
    pub limit: u64,
    /// Of which fields; at least one.
    pub by: Vec<FieldName>,
    /// Where the count is written.
    pub hits: FieldName,
    /// Write the place, from 1, to this field.
    pub rank: Option<FieldName>,
}

/// Aggregation by groups. Without `by` there is one group, also of no record.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The groups.
    pub by: Vec<StatsKey>,
    /// What is written for each group.
    pub functions: Vec<StatsCall>,
}

/// One field of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsKey {
    /// Which field; the result has the same name.
    pub field: FieldName,
    /// Rounded down to what.
    pub bucket: Option<Bucket>,
}

/// What a value of a group is rounded down to. A value that is not of the kind stays as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bucket {
    /// Times: `floor((t - offset) / step) * step + offset`, in nanoseconds since the epoch.
    Time {
        /// Width, in nanoseconds; above 0.
        step: i64,
        /// Where a bucket starts, in nanoseconds: the days of a place that is two hours ahead of UTC start at `offset -2h`.
        offset: i64,
    },
    /// Times: the start of the calendar's unit, moved as in `Time`.
    Calendar {
        /// Which unit.
        unit: CalendarUnit,
        /// As in `Time`.
        offset: i64,
    },
    /// Numbers (also of bytes and durations, which become bytes and nanoseconds): `floor((v - offset) / step) * step + offset`.
    Number {
        /// Width; above 0.
        step: f64,
        /// Where a bucket starts.
        offset: f64,
    },
    /// IPv4 addresses: `ip:/24`.
    Ipv4 {
        /// How many leading bits stay, 0 to 32.
        prefix_bits: u8,
    },
}

/// Units that are not of one length, or do not start at the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarUnit {
    /// From Monday.
    Week,
    /// From the first.
    Month,
    /// From the first of January.
    Year,
}

/// One function of `stats`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsCall {
    /// Which.
    pub function: StatsFunction,
    /// Only over these records.
    pub condition: Option<Filter>,
    /// Where it is written: the name given, or the function as text.
    pub result: FieldName,
}

/// A function of `stats`. An empty list of fields is every field, but for `count` and `rate`, which have no need of any.
#[derive(Debug, Clone, PartialEq)]
pub enum StatsFunction {
    /// Records; with fields, those where one of them is not empty.
    Count(Vec<FieldPattern>),
    /// Records where all of them are empty.
    CountEmpty(Vec<FieldPattern>),
    /// Distinct sets of values, all-empty ones left out.
    CountUniq {
        /// Of which fields.
        fields: Vec<FieldPattern>,
        /// Count no further.
        limit: Option<u64>,
    },
    /// As `count_uniq`, by hashes only.
    CountUniqHash {
        /// Of which fields.
        fields: Vec<FieldPattern>,
        /// Count no further.
        limit: Option<u64>,
    },
    /// The mean of the numbers; `NaN` of none.
    Avg(Vec<FieldPattern>),
    /// The sum of the numbers; `NaN` of none.
    Sum(Vec<FieldPattern>),
    /// The bytes of all values.
    SumLen(Vec<FieldPattern>),
    /// The smallest value that is not empty, in the order of [`Sort`].
    Min(Vec<FieldPattern>),
    /// The largest value, in the order of [`Sort`].
    Max(Vec<FieldPattern>),
    /// `quantile(0.5, …)`.
    Median(Vec<FieldPattern>),
    /// The value below which a share of them lies, in the order of [`Sort`].
    Quantile {
        /// The share, 0 to 1.
        phi: f64,
        /// Of which fields.
        fields: Vec<FieldPattern>,
    },
    /// The standard deviation (of the whole population) of the numbers.
    Stddev(Vec<FieldPattern>),
    /// Records a second of the time span of the query (or of the bucket, when grouped by time).
    Rate,
    /// The sum a second, as `Rate`.
    RateSum(Vec<FieldPattern>),
    /// Counts by buckets of VictoriaMetrics' histograms, as JSON.
    Histogram(FieldName),
    /// The distinct values that are not empty, sorted, as a JSON array.
    UniqValues {
        /// Of which fields.
        fields: Vec<FieldPattern>,
        /// At most this many.
        limit: Option<u64>,
    },
    /// All values, also empty ones, as a JSON array.
    Values {
        /// Of which fields.
        fields: Vec<FieldPattern>,
        /// At most this many.
        limit: Option<u64>,
    },
    /// Whole records as a JSON array of objects.
    JsonValues {
        /// Which of their fields.
        fields: Vec<FieldPattern>,
        /// In this order; empty for any.
        sort: Vec<SortKey>,
        /// At most this many.
        limit: Option<u64>,
    },
    /// One record, as a JSON object.
    RowAny(Vec<FieldPattern>),
    /// The record with the largest value of a field, as a JSON object.
    RowMax {
        /// Of which field.
        by: FieldName,
        /// Which fields of the record.
        fields: Vec<FieldPattern>,
    },
    /// The record with the smallest value of a field.
    RowMin {
        /// Of which field.
        by: FieldName,
        /// Which fields of the record.
        fields: Vec<FieldPattern>,
    },
}

/// What a result may not overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overwrite {
    /// A field that is not empty stays.
    pub keep_original_fields: bool,
    /// An empty result is not written.
    pub skip_empty_results: bool,
}

/// Fields out of a text by a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    /// Only for these records.
    pub condition: Option<Filter>,
    /// Read.
    pub field: FieldName,
    /// The pattern.
    pub pattern: ExtractPattern,
    /// What stays.
    pub overwrite: Overwrite,
}

/// `text<field>text<_>text`: texts that must be found one after another, and what lies between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractPattern {
    /// As written.
    pub text: Arc<str>,
    /// In order. The first `before` is searched anywhere (when empty, the match starts at the start of the text).
    pub steps: Vec<ExtractStep>,
    /// What must follow the last field; when empty, it takes all the rest.
    pub tail: String,
}

/// A text to find, and the field after it, which reaches to the next text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractStep {
    /// Before the field. Entities (`&lt;`) are decoded.
    pub before: String,
    /// Where to write it; `None` for `<_>`.
    pub field: Option<FieldName>,
    /// `<plain:name>`: a quoted text is not unquoted.
    pub plain: bool,
}

/// Fields out of a text by a regular expression's named groups.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtractRegexp {
    /// Only for these records.
    pub condition: Option<Filter>,
    /// Read.
    pub field: FieldName,
    /// The expression; it has at least one named group.
    pub pattern: Pattern,
    /// What stays.
    pub overwrite: Overwrite,
}

/// Fields out of a text in a known format.
#[derive(Debug, Clone, PartialEq)]
pub struct Unpack {
    /// Only for these records.
    pub condition: Option<Filter>,
    /// Read.
    pub field: FieldName,
    /// Only these of its fields, before the prefix; empty for all.
    pub fields: Vec<FieldPattern>,
    /// Put before each name.
    pub result_prefix: String,
    /// What stays.
    pub overwrite: Overwrite,
}

/// A text out of fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    /// Only for these records.
    pub condition: Option<Filter>,
    /// The template.
    pub template: Template,
    /// Written.
    pub result: FieldName,
    /// What stays.
    pub overwrite: Overwrite,
}

/// `text<field>text<form:field>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// As written.
    pub text: Arc<str>,
    /// In order. Entities (`&lt;`) are decoded.
    pub parts: Vec<TemplatePart>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// As it is.
    Text(String),
    /// The value of a field. A value that does not fit its form is printed as it is.
    Field {
        /// Which.
        field: FieldName,
        /// How.
        form: Form,
    },
}

/// How a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    /// `q`: a JSON string with its quotes.
    Quoted,
    /// `uc`: upper case.
    Upper,
    /// `lc`: lower case.
    Lower,
    /// `urlencode`.
    UrlEncode,
    /// `urldecode`.
    UrlDecode,
    /// `hexencode`: its bytes.
    HexEncode,
    /// `hexdecode`.
    HexDecode,
    /// `base64encode`.
    Base64Encode,
    /// `base64decode`.
    Base64Decode,
    /// `hexnumencode`: a number as 16 hex digits.
    HexNumberEncode,
    /// `hexnumdecode`: hex digits as a number.
    HexNumberDecode,
    /// `time`: Unix time, of any unit, as RFC 3339.
    Time,
    /// `duration`: nanoseconds as `1m2.5s`.
    Duration,
    /// `duration_seconds`: `1m2.5s` as seconds.
    DurationSeconds,
    /// `ipv4`: a number as an address.
    Ipv4,
}

/// One text for another.
#[derive(Debug, Clone, PartialEq)]
pub struct Replace {
    /// Only for these records.
    pub condition: Option<Filter>,
    /// In which field.
    pub field: FieldName,
    /// What; not empty.
    pub old: String,
    /// By what.
    pub new: String,
    /// At most this many times.
    pub limit: Option<u64>,
}

/// What matches, for a text.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplaceRegexp {
    /// Only for these records.
    pub condition: Option<Filter>,
    /// In which field.
    pub field: FieldName,
    /// What.
    pub pattern: Pattern,
    /// By what; `$1`, `${1}`, `${name}` stand for groups.
    pub replacement: String,
    /// At most this many times.
    pub limit: Option<u64>,
}

/// One result of `math`.
#[derive(Debug, Clone, PartialEq)]
pub struct MathEntry {
    /// What is computed.
    pub expression: Expression,
    /// Where it is written: the name given, or the expression as text.
    pub result: FieldName,
}

/// A sum. Values are `f64`; what is no number is NaN.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A number; sizes in bytes, durations and times in nanoseconds, IPv4 addresses as `u32`.
    Number(f64),
    /// The value of a field, read in the same way.
    Field(FieldName),
    /// `-x`.
    Negate(Box<Expression>),
    /// `a op b`.
    Binary {
        /// Which.
        operator: Operator,
        /// `a`.
        left: Box<Expression>,
        /// `b`.
        right: Box<Expression>,
    },
    /// `f(a, …)`, with as many arguments as the function takes.
    Call {
        /// Which.
        function: MathFunction,
        /// The arguments.
        arguments: Vec<Expression>,
    },
}

/// An operator of `math`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `^`, the tightest; from the left.
    Power,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `%`.
    Remainder,
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `&`: bits of whole numbers.
    And,
    /// `xor`.
    Xor,
    /// `or`.
    Or,
    /// `default`, the loosest: the right where the left is NaN.
    Default,
}

/// A function of `math`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MathFunction {
    /// One argument.
    Abs,
    /// One argument.
    Ceil,
    /// One argument.
    Exp,
    /// One argument.
    Floor,
    /// One argument: the natural logarithm.
    Ln,
    /// One or more arguments; NaN ones are left out.
    Max,
    /// One or more arguments; NaN ones are left out.
    Min,
    /// No argument: Unix time in nanoseconds.
    Now,
    /// No argument: at random in `[0, 1)`.
    Rand,
    /// One argument, or two: to a multiple of the second.
    Round,
}

/// The most frequent values of every field: records of `field_name`, `field_value`, `hits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facets {
    /// How many values of a field.
    pub limit: u64,
    /// A field with more distinct values is left out.
    pub max_values_per_field: u64,
    /// A field with a longer value, in bytes, is left out.
    pub max_value_len: u64,
    /// Whether a field with one value in all records is kept.
    pub keep_const_fields: bool,
}

impl Default for Facets {
    fn default() -> Self {
        // The defaults of the language's reference.
        Self { limit: 10, max_values_per_field: 1000, max_value_len: 128, keep_const_fields: false }
    }
}

/// The neighbours of each record in its stream. Runs that do not meet are divided by a record whose `_msg` is `---`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamContext {
    /// How many records before.
    pub before: u64,
    /// How many after.
    pub after: u64,
    /// How far from the record to look, in nanoseconds.
    pub time_window: i64,
}

/// Fields from the records of another answer that have the same values.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Which values must be the same.
    pub by: Vec<FieldName>,
    /// The other answer.
    pub query: Box<Query>,
    /// Whether a record without a partner goes.
    pub inner: bool,
    /// Put before the names of the other's fields (those of `by` stay).
    pub prefix: String,
}
