//! The conformance suite: what a query answers, as text files that run on every store.
//!
//! A file of `tests/conformance/` is a list of records and of queries over them. Its lines are:
//!
//! | line | meaning |
//! |---|---|
//! | `# …` | a comment |
//! | `now <RFC 3339>` | the present time of the queries below; until then 2026-11-21T12:00:00Z |
//! | `streams <name> …` | which fields of the data below are the stream's tags, as `_stream_fields` of a push |
//! | `source <name>` | where the data below comes from: `push` until said, or `container`, … |
//! | `scope <filter>` | the caller of the queries below sees only these records; all without a filter |
//! | `window <time> <time>` | the queries below are asked for this span only, the end not included; for all without times |
//! | `newest <number>` | the queries below are asked for so many newest rows; for all without a number |
//! | `data` | the next lines, until an empty one, are records as JSON; they replace those before |
//! | `? <query>` | a case; lines that start with a blank go on with the query |
//! | `ids 1 2 3` | …whose answer is the records with these values of `id`, in any order |
//! | `ids in order 3 1` | …in this order |
//! | `rows` | …whose answer is the JSON objects on the next lines, in any order |
//! | `rows in order` | …in this order |
//! | `error at 5: text` | …which does not parse: the place is byte 5, and the message contains the text |
//!
//! A record's own keys: `_time` (one second after the record before it when missing), `_msg`, `_severity` (a number), every other
//! is a field; nested objects are joined with dots. Names of resource columns (`namespace`, `pod`, …) fill those, where `source` is not
//! `push` or the name is one of the stream's tags.
//!
//! An empty value and a missing one are the same in an answer. What every record carries for Rookery itself ([`HOUSEKEEPING`])
//! is not compared, unless an expected row names it.
//!
//! The answers in the files are reasoned from the language's public reference. With `ROOKERY_UPDATE=1` in the environment the answers that
//! differ are replaced by what the store said, to be read with care before they are committed; it is refused where `CI` is set.

mod format;
mod load;
mod random;
mod reference;
mod run;

pub use format::{Answer, Asked, Case, File, Row, Section};
pub use load::{blocks, tenant};
pub use random::section as random_section;
pub use reference::ReferenceStore;
pub use run::{Failure, answer, check, difference, same, update};

/// Fields of every record that say where it lies, not what it says. So does every name that starts with `labels.`.
pub const HOUSEKEEPING: [&str; 6] =
    ["_stream", "_stream_id", "_observed", "_generation", "_offset", "source"];
