//! Syslog lines: RFC 3164 (`<PRI>MMM DD hh:mm:ss HOST APP[PID]: MESSAGE`) and RFC 5424
//! (`<PRI>1 TIMESTAMP HOST APP PID MSGID [STRUCTURED-DATA] MESSAGE`), as fields.
//!
//! The fields are those of LogsQL's reference: `level`, `priority`, `facility`, `facility_keyword`, `severity`, `format`,
//! `timestamp`, `hostname`, `app_name`, `proc_id`, `msg_id`, `message`, and `<SD-ID>.<name>` of structured data.

use crate::time;

/// Keywords of facilities 0 to 23, RFC 5424 section 6.2.1 and syslog(3).
const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// Names of severities 0 to 7, as LogsQL prints them in `level`.
const LEVELS: [&str; 8] =
    ["emerg", "alert", "critical", "error", "warning", "notice", "info", "debug"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Hands out the fields of a line. A time without a year is taken as the latest that is not after `now` (by more than a day),
/// in a local time `offset` nanoseconds ahead of UTC.
pub fn read(text: &str, offset: i64, now: i64, field: &mut dyn FnMut(&str, &str)) {
    let Some((priority, rest)) = priority(text) else { return };
    let mut found: Vec<(&str, String)> = Vec::new();
    if let Some(priority) = priority {
        let (facility, severity) = (priority / 8, priority % 8);
        found.push(("level", LEVELS[severity as usize].into()));
        found.push(("priority", priority.to_string()));
        if let Some(keyword) = FACILITIES.get(facility as usize) {
            found.push(("facility_keyword", (*keyword).into()));
        }
        found.push(("facility", facility.to_string()));
        found.push(("severity", severity.to_string()));
    }
    for (name, value) in &found {
        field(name, value);
    }
    match rest.strip_prefix("1 ") {
        Some(rest) => rfc5424(rest, field),
        None => rfc3164(rest, offset, now, field),
    }
}

/// The number in `<…>`, if there is one, and what follows; `None` when the brackets hold something else.
fn priority(text: &str) -> Option<(Option<u32>, &str)> {
    let Some(rest) = text.strip_prefix('<') else { return Some((None, text)) };
    let (number, rest) = rest.split_once('>')?;
    let number: u32 = number.parse().ok().filter(|n| *n < 1000)?;
    Some((Some(number), rest))
}

fn rfc5424(text: &str, field: &mut dyn FnMut(&str, &str)) {
    field("format", "rfc5424");
    let mut rest = text;
    for name in ["timestamp", "hostname", "app_name", "proc_id", "msg_id"] {
        let (value, after) = rest.split_once(' ').unwrap_or((rest, ""));
        field(name, value);
        rest = after;
    }
    let rest = match rest.strip_prefix('-') {
        Some(after) => after,
        None => structured_data(rest, field),
    };
    let message = rest.strip_prefix(' ').unwrap_or(rest);
    if !message.is_empty() {
        field("message", message);
    }
}

/// `[id name="value" …]…`; the answer is what follows.
fn structured_data<'a>(text: &'a str, field: &mut dyn FnMut(&str, &str)) -> &'a str {
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']']).unwrap_or(element.len());
        let id = &element[..end];
        let mut inner = &element[end..];
        loop {
            inner = inner.trim_start_matches(' ');
            if let Some(after) = inner.strip_prefix(']') {
                rest = after;
                break;
            }
            let Some((name, value)) = inner.split_once("=\"") else { return inner };
            let Some((text, used)) = parameter(value) else { return inner };
            field(&format!("{id}.{name}"), &text);
            inner = &value[used..];
        }
    }
    rest
}

/// The text up to the closing quote; `\"`, `\\` and `\]` are escaped in it.
fn parameter(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, at + 1)),
            '\\' => match chars.next()? {
                (_, c @ ('"' | '\\' | ']')) => out.push(c),
                (_, c) => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    None
}

fn rfc3164(text: &str, offset: i64, now: i64, field: &mut dyn FnMut(&str, &str)) {
    field("format", "rfc3164");
    let rest;
    if let Some((nanos, after)) = short_time(text, offset, now) {
        field("timestamp", &time::rfc3339(nanos));
        rest = after;
    } else if let Some((word, after)) = text.split_once(' ')
        && let Some(nanos) = crate::filter::eval::number::parse_rfc3339(word)
    {
        field("timestamp", &time::rfc3339(nanos));
        rest = after;
    } else {
        field("message", text);
        return;
    }
    let rest = rest.trim_start_matches(' ');
    let (host, after) = rest.split_once(' ').unwrap_or((rest, ""));
    field("hostname", host);
    if let Some(end) = after.find([':', ' ', '['])
        && end > 0
        && after.as_bytes()[end] != b' '
    {
        field("app_name", &after[..end]);
        let mut message = &after[end..];
        if let Some((process, after)) = message.strip_prefix('[').and_then(|m| m.split_once(']')) {
            field("proc_id", process);
            message = after;
        }
        let message = message.strip_prefix(':').unwrap_or(message);
        field("message", message.strip_prefix(' ').unwrap_or(message));
    } else if !after.is_empty() {
        field("message", after);
    }
}

/// `MMM DD hh:mm:ss`, in nanoseconds since the epoch, and what follows.
fn short_time(text: &str, offset: i64, now: i64) -> Option<(i64, &str)> {
    let (stamp, rest) = text.split_at_checked(15)?;
    let name = stamp.get(..3)?;
    let month = 1 + MONTHS.iter().position(|month| *month == name)? as u32;
    let day: u32 = stamp.get(4..6)?.trim_start().parse().ok().filter(|d| (1..=31).contains(d))?;
    let mut clock = stamp.get(7..)?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (year, _, _) = time::civil_from_days(now.div_euclid(time::DAY));
    let at = |year| {
        let days = time::days_from_civil(year, month, day);
        days * time::DAY + (hour * 3600 + minute * 60 + second) * time::SECOND - offset
    };
    let this_year = at(year);
    let nanos = if this_year > now.saturating_add(time::DAY) { at(year - 1) } else { this_year };
    Some((nanos, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        let now = time::parse_time("2026-02-10T00:00:00Z", 0).unwrap().start;
        let mut out = Vec::new();
        read(text, 0, now, &mut |name, value| out.push((name.into(), value.into())));
        out
    }

    fn check(text: &str, want: &[(&str, &str)]) {
        let want: Vec<_> = want.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        assert_eq!(fields(text), want, "{text}");
    }

    #[test]
    fn both_formats_are_read() {
        check(
            r#"<165>1 2023-06-03T17:42:32.123456789Z host app 12345 ID47 [ex@1 iut="3" s="a\"b\]"][o x="y"] the message"#,
            &[
                ("level", "notice"),
                ("priority", "165"),
                ("facility_keyword", "local4"),
                ("facility", "20"),
                ("severity", "5"),
                ("format", "rfc5424"),
                ("timestamp", "2023-06-03T17:42:32.123456789Z"),
                ("hostname", "host"),
                ("app_name", "app"),
                ("proc_id", "12345"),
                ("msg_id", "ID47"),
                ("ex@1.iut", "3"),
                ("ex@1.s", "a\"b]"),
                ("o.x", "y"),
                ("message", "the message"),
            ],
        );
        check(
            "Dec  3 12:08:33 abcd systemd[345]: Starting it",
            &[
                ("format", "rfc3164"),
                ("timestamp", "2025-12-03T12:08:33Z"),
                ("hostname", "abcd"),
                ("app_name", "systemd"),
                ("proc_id", "345"),
                ("message", "Starting it"),
            ],
        );
        check("no syslog", &[("format", "rfc3164"), ("message", "no syslog")]);
        let odd = "1\u{fffd} - h a - - aaa";
        check(odd, &[("format", "rfc3164"), ("message", odd)]);
        check("<abc>x", &[]);
    }
}
