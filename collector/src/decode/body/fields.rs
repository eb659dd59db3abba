//! Where parsed names and values go: into the batch, but for what has a column of its own.

use rookery_core::logs::builder::LogBatchBuilder;

use super::FIELD_NAME_LIMIT_BYTES;
use crate::decode::severity;
use crate::decode::time::{Clock, form};

/// What a body tells, its fields apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// OpenTelemetry severity number, 0 when the body names none.
    pub severity: u8,
    /// When the body says it was printed, in nanoseconds since the epoch; only where a time was asked for.
    pub time: Option<i64>,
    /// Whether that time has digits below a second.
    pub subsecond: bool,
    /// How many fields were left in the body only.
    pub dropped: u32,
    /// Whether the body consists of names and values: a time that is not under a name for one is not the record's.
    pub(crate) keyed: bool,
    /// Whether the severity would have been a field: a line without one is not searched for words.
    pub(super) structured: bool,
    trace_id: Option<[u8; 32]>,
    span_id: Option<[u8; 16]>,
}

impl Facts {
    /// The trace's id, 32 hex digits in lower case.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_ref().and_then(|id| std::str::from_utf8(id).ok())
    }

    /// The span's id, 16 hex digits in lower case.
    pub fn span_id(&self) -> Option<&str> {
        self.span_id.as_ref().and_then(|id| std::str::from_utf8(id).ok())
    }
}

/// The fields of one record under construction.
pub(super) struct Fields<'a> {
    out: &'a mut LogBatchBuilder,
    clock: Option<&'a mut Clock>,
    limit: u32,
    left: u32,
    facts: Facts,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        out: &'a mut LogBatchBuilder,
        limit: u32,
        clock: Option<&'a mut Clock>,
    ) -> Self {
        Self { out, clock, limit, left: limit, facts: Facts::default() }
    }

    /// Tries one form; what it emitted is taken back when it does not fit.
    #[inline]
    pub(super) fn attempt(&mut self, wanted: bool, form: impl FnOnce(&mut Self) -> bool) -> bool {
        let fits = wanted && form(self);
        if !fits {
            if self.left != self.limit {
                self.out.cancel_record();
                self.left = self.limit;
            }
            self.facts = Facts::default();
        }
        fits
    }

    /// A field by its name, as far as the program chose it: it may be the level, the time or a trace's id.
    #[inline]
    pub(super) fn put(&mut self, name: &str, value: &str) {
        if may_be_special(name.as_bytes()) && self.take(name, value) {
            return;
        }
        self.plain(name, value);
    }

    /// A field whose name we chose.
    #[inline]
    pub(super) fn plain(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        if self.left == 0 || name.is_empty() || name.len() > FIELD_NAME_LIMIT_BYTES {
            self.facts.dropped += 1;
            return;
        }
        self.left -= 1;
        self.out.field(name, value);
    }

    /// Sets the severity.
    pub(super) fn severity(&mut self, severity: u8) {
        self.facts.severity = severity;
    }

    /// Whether a severity is known.
    pub(super) fn has_severity(&self) -> bool {
        self.facts.severity != 0
    }

    /// Says that the text consists of names and values.
    pub(super) fn keyed(&mut self) {
        self.facts.structured = true;
        self.facts.keyed = true;
    }

    /// Says that something with a time stands ahead of the names and values.
    pub(super) fn headed(&mut self) {
        self.facts.keyed = false;
    }

    /// Says that text of this form names its severity by a field, or has none.
    pub(super) fn structured(&mut self) {
        self.facts.structured = true;
    }

    pub(super) fn finish(self) -> Facts {
        self.facts
    }

    /// Takes what has a column; false when it has none and is a field.
    fn take(&mut self, name: &str, value: &str) -> bool {
        match special(name.as_bytes()) {
            Special::None => false,
            Special::Level => self.level(severity::of_value(value.as_bytes())),
            Special::Word => self.level(severity::of_word(value.as_bytes())),
            Special::Letter => self.level(match *value.as_bytes() {
                [letter @ (b'D' | b'I' | b'W' | b'E' | b'F')] => severity::of_letter(letter),
                _ => 0,
            }),
            Special::OpenTelemetry => {
                self.level(value.parse().ok().filter(|n| *n <= 24).unwrap_or(0))
            }
            Special::Python => self.level(match value {
                "10" => 5,
                "20" => 9,
                "30" => 13,
                "40" => 17,
                "50" => 21,
                _ => 0,
            }),
            Special::Trace => {
                self.facts.trace_id.is_none() && {
                    self.facts.trace_id = hex(value);
                    self.facts.trace_id.is_some()
                }
            }
            Special::Span => {
                self.facts.span_id.is_none() && {
                    self.facts.span_id = hex(value);
                    self.facts.span_id.is_some()
                }
            }
            Special::Time { sure } => self.time(value) && sure,
        }
    }

    fn level(&mut self, severity: u8) -> bool {
        if severity == 0 || self.facts.severity != 0 {
            return false;
        }
        self.facts.severity = severity;
        true
    }

    fn time(&mut self, value: &str) -> bool {
        let Some(clock) = self.clock.as_deref_mut().filter(|_| self.facts.time.is_none()) else {
            return false;
        };
        let text = value.as_bytes();
        let stamp = form::read_any(text).filter(|s| s.len == text.len());
        let number = || form::number(text).map(|time| (time, text.len() > 10));
        let found = match stamp {
            Some(stamp) => clock.instant(&stamp).map(|time| (time, stamp.subsecond)),
            None => number(),
        };
        let Some((time, subsecond)) = found else { return false };
        (self.facts.time, self.facts.subsecond) = (Some(time), subsecond);
        true
    }
}

/// What the name of a field may mean.
enum Special {
    None,
    /// A word, a letter or a number.
    Level,
    /// A level if it is a word; its numbers mean other things.
    Word,
    /// A level if it is a letter, as in MongoDB's log.
    Letter,
    /// A number of OpenTelemetry.
    OpenTelemetry,
    /// A number of Python's `logging`.
    Python,
    Trace,
    Span,
    /// `sure` where nobody uses the name for anything but the time of the record.
    Time {
        sure: bool,
    },
}

/// A quick no for most names: the first byte and the length.
#[inline]
fn may_be_special(name: &[u8]) -> bool {
    const FIRST: [bool; 256] = {
        let mut table = [false; 256];
        let bytes = b"lLsStT@dDeEPpOo_c";
        let mut index = 0;
        while index < bytes.len() {
            table[bytes[index] as usize] = true;
            index += 1;
        }
        table
    };
    name.len() <= 24 && name.first().is_some_and(|b| FIRST[usize::from(*b)])
}

fn special(name: &[u8]) -> Special {
    match name {
        b"level" | b"lvl" | b"severity" | b"log.level" | b"levelname" | b"loglevel"
        | b"log_level" | b"logLevel" | b"LogLevel" | b"Level" | b"LEVEL" | b"Severity" | b"@l"
        | b"@level" | b"severity_text" | b"severityText" | b"SeverityText" | b"PRIORITY"
        | b"log.severity" => Special::Level,
        b"priority" => Special::Word,
        b"s" => Special::Letter,
        b"severity_number" | b"severityNumber" | b"SeverityNumber" => Special::OpenTelemetry,
        b"levelno" => Special::Python,
        b"trace_id" | b"traceId" | b"traceID" | b"traceid" | b"TraceId" | b"TraceID"
        | b"trace.id" | b"otelTraceID" | b"trace-id" => Special::Trace,
        b"span_id" | b"spanId" | b"spanID" | b"spanid" | b"SpanId" | b"SpanID" | b"span.id"
        | b"otelSpanID" | b"span-id" => Special::Span,
        b"time" | b"timestamp" | b"ts" | b"@timestamp" | b"Timestamp" | b"@t" | b"eventTime"
        | b"timeMillis" | b"t.$date" | b"asctime" | b"datetime" | b"log.time" | b"time_local"
        | b"time_iso8601" | b"_time" | b"TIMESTAMP" => Special::Time { sure: true },
        b"__REALTIME_TIMESTAMP"
        | b"stageTimestamp"
        | b"date"
        | b"Time"
        | b"t"
        | b"event_time"
        | b"DateTime"
        | b"dateTime"
        | b"event.created"
        | b"StartUTC" => Special::Time { sure: false },
        _ => Special::None,
    }
}

/// An id of that many hex digits, in lower case; none when it is all zeros.
fn hex<const N: usize>(value: &str) -> Option<[u8; N]> {
    let mut id: [u8; N] = value.as_bytes().try_into().ok()?;
    id.make_ascii_lowercase();
    let valid = id.iter().all(u8::is_ascii_hexdigit) && id.iter().any(|b| *b != b'0');
    valid.then_some(id)
}
