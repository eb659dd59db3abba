//! Syslog: as sent (RFC 3164, RFC 5424, both after `<PRI>`) and as daemons write it into files (without it, the time
//! as `Nov 21 01:02:03` or RFC 3339).
//!
//! Fields: `host`, `app`, `pid`, `msgid`, `facility`, and structured data as `<id>.<name>`. The severity is that of the
//! priority; without one, the message is asked. A message that is JSON or logfmt is parsed too.

use super::BodyScratch;
use super::fields::Fields;
use super::{json, logfmt};
use crate::decode::config::ParseConfig;
use crate::decode::severity;
use crate::decode::time::form::{self, Form};

/// The facilities of RFC 5424, table 1, by the keywords that syslog daemons use.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// A message after `<PRI>`. False when it is none.
pub(super) fn sent(
    text: &str,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> bool {
    let Some((priority, rest)) = text[1..].split_once('>') else { return false };
    let Some(priority) = priority.parse::<u8>().ok().filter(|p| *p < 192 && priority.len() <= 3)
    else {
        return false;
    };
    fields.severity(severity::of_syslog(priority & 7));
    fields.plain("facility", FACILITIES[usize::from(priority >> 3)]);
    if let Some(rest) = rest.strip_prefix("1 ") {
        return structured(rest, parse, scratch, fields);
    }
    let rest = rest.trim_ascii_start();
    let Some(stamp) = form::read_any(rest.as_bytes()) else {
        // The time may be left out (RFC 3164, 4.3.3), and often is.
        return tagged(rest, parse, scratch, fields) || !rest.is_empty();
    };
    let rest = rest[stamp.len..].trim_ascii_start();
    host_and_tag(rest, parse, scratch, fields, false) || !rest.is_empty()
}

/// A line as a daemon writes it, with the time as `Nov 21 01:02:03`. False when it is none.
pub(super) fn with_month(
    text: &str,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> bool {
    if form::guess(text.as_bytes()) != Some(Form::Named) {
        return false;
    }
    let Some(stamp) = form::read(Form::Named, text.as_bytes()) else { return false };
    let Some(rest) = text[stamp.len..].strip_prefix(' ') else { return false };
    host_and_tag(rest, parse, scratch, fields, false)
}

/// A line as a daemon writes it, with the time in RFC 3339. Many programs start their lines with such a time, so that
/// only a tag with the number of a process, or the kernel's, shows that it is syslog.
pub(super) fn with_iso_time(
    text: &str,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> bool {
    if form::guess(text.as_bytes()) != Some(Form::Iso) || text.as_bytes().get(10) != Some(&b'T') {
        return false;
    }
    let Some(stamp) = form::read(Form::Iso, text.as_bytes()) else { return false };
    let Some(rest) = text[stamp.len..].strip_prefix(' ') else { return false };
    host_and_tag(rest, parse, scratch, fields, true)
}

/// `host app[pid]: message`.
fn host_and_tag(
    text: &str,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
    strict: bool,
) -> bool {
    let Some((host, rest)) = text.split_once(' ') else { return false };
    let host_like = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    if host.is_empty() || host.ends_with(':') || !host.bytes().all(host_like) {
        return false;
    }
    let Some(tag) = tag(rest).filter(|t| !strict || t.pid.is_some() || t.app == "kernel") else {
        return false;
    };
    fields.plain("host", host);
    emit(&tag, parse, scratch, fields)
}

fn tagged(
    text: &str,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> bool {
    tag(text).is_some_and(|tag| emit(&tag, parse, scratch, fields))
}

struct Tag<'a> {
    app: &'a str,
    pid: Option<&'a str>,
    message: &'a str,
}

/// `app[pid]: message`, `app: message`, `app(module)[pid]: message`.
fn tag(text: &str) -> Option<Tag<'_>> {
    const LIMIT_BYTES: usize = 64;
    let bytes = text.as_bytes();
    let end = bytes.iter().take(LIMIT_BYTES).position(|b| matches!(b, b'[' | b':' | b' '))?;
    let app = &text[..end];
    if app.is_empty() || bytes[end] == b' ' {
        return None;
    }
    if bytes[end] == b':' {
        let message = &text[end + 1..];
        // `a::b` is a name of a program, not a tag and its message.
        return (message.is_empty() || message.starts_with(' ')).then(|| Tag {
            app,
            pid: None,
            message: message.trim_ascii_start(),
        });
    }
    let (pid, rest) = text[end + 1..].split_once(']')?;
    if pid.is_empty() || pid.len() > LIMIT_BYTES {
        return None;
    }
    let message = rest.strip_prefix(':')?.trim_ascii_start();
    Some(Tag { app, pid: Some(pid), message })
}

fn emit(
    tag: &Tag<'_>,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> bool {
    fields.plain("app", tag.app);
    fields.plain("pid", tag.pid.unwrap_or(""));
    message(tag.message, parse, scratch, fields)
}

/// The message's own fields, and its severity where the priority gave none. False when it looked like JSON and is none.
fn message(
    text: &str,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> bool {
    let text = text.strip_prefix("@cee:").unwrap_or(text).trim_ascii_start();
    fields.structured();
    if parse.json && text.starts_with('{') && text.ends_with('}') {
        let fits = json::parse(text, scratch, fields);
        // The time is in the head.
        fields.headed();
        return fits;
    }
    let pairs = parse.logfmt && logfmt::parse_any(text, scratch, fields);
    if !pairs && !fields.has_severity() {
        fields.severity(severity::of_text(text.as_bytes()));
    }
    true
}

/// RFC 5424 behind the version: time, host, app, pid, message id, structured data, message.
fn structured(
    text: &str,
    parse: &ParseConfig,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> bool {
    let mut rest = text;
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        if word == "-" { "" } else { word }
    };
    let _time = word();
    for name in ["host", "app", "pid", "msgid"] {
        fields.plain(name, word());
    }
    if rest.is_empty() {
        return false;
    }
    let behind = if let Some(behind) = rest.strip_prefix('-') {
        behind
    } else {
        let mut data = rest;
        while data.starts_with('[') {
            let Some(behind) = element(data, scratch, fields) else { return false };
            data = behind;
        }
        data
    };
    let text = behind.trim_ascii_start();
    message(text.strip_prefix('\u{feff}').unwrap_or(text), parse, scratch, fields)
}

/// One `[id name="value" …]`; returns what is behind it.
fn element<'a>(
    text: &'a str,
    scratch: &mut BodyScratch,
    fields: &mut Fields<'_>,
) -> Option<&'a str> {
    let end = text.find([' ', ']'])?;
    scratch.path.clear();
    scratch.path.push_str(&text[1..end]);
    scratch.path.push('.');
    let length = scratch.path.len();
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix(']') {
            return Some(behind);
        }
        let (name, value) = rest.split_once("=\"")?;
        scratch.value.clear();
        let mut chars = value.char_indices();
        // `"`, `\` and `]` are escaped by a backslash (RFC 5424, 6.3.3).
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    c @ ('"' | '\\' | ']') => scratch.value.push(c),
                    c => scratch.value.extend(['\\', c]),
                },
                (_, c) => scratch.value.push(c),
            }
        };
        rest = &value[end + 1..];
        scratch.path.push_str(name);
        fields.plain(&scratch.path, &scratch.value);
        scratch.path.truncate(length);
    }
}
