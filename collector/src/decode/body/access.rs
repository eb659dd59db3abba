//! Access logs of web servers: common (NCSA), combined (Apache httpd), and what nginx and its ingress add behind.
//!
//! `addr ident user [time] "method path protocol" status bytes "referer" "agent"`, then optionally a quoted
//! `X-Forwarded-For`, a request time, or ingress-nginx's list. Fields have nginx's names where it has one.

use super::fields::Fields;

/// Emits the fields of a line of an access log. False when it is none; what was emitted must be taken back.
pub(super) fn parse(text: &str, fields: &mut Fields<'_>) -> bool {
    fields.structured();
    line(text, fields).is_some()
}

fn line(text: &str, fields: &mut Fields<'_>) -> Option<()> {
    let bytes = text.as_bytes();
    // The bracket of the time tells most other lines apart at once.
    let bracket = memchr::memchr(b'[', &bytes[..bytes.len().min(128)])?;
    let digits = bytes.get(bracket + 1..bracket + 4)?;
    if !digits[0].is_ascii_digit() || !(digits[1] == b'/' || digits[2] == b'/') {
        return None;
    }
    let mut head = text[..bracket].split_ascii_whitespace();
    let (mut address, mut ident) = (head.next()?, head.next()?);
    let mut user = head.next()?;
    // A name of the virtual host may be first.
    if let Some(further) = head.next() {
        fields.plain("server_name", address);
        (address, ident, user) = (ident, user, further);
    }
    let (_, rest) = text[bracket..].split_once("] \"")?;
    fields.plain("remote_addr", address);
    fields.plain("ident", dash(ident));
    fields.plain("remote_user", dash(user));
    let (request, rest) = until_quote(rest)?;
    emit_request(request, fields);
    let (status, rest) = word(rest.strip_prefix(' ')?);
    if status.len() != 3 || !status.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (bytes_sent, rest) = word(rest);
    if bytes_sent != "-" && !bytes_sent.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    fields.plain("status", status);
    fields.plain("bytes", dash(bytes_sent));
    combined(rest, fields);
    Some(())
}

/// `GET /path HTTP/1.1`; what is no such request (bytes of a scan) is the path as a whole.
fn emit_request(request: &str, fields: &mut Fields<'_>) {
    match (request.split_once(' '), request.rsplit_once(' ')) {
        (Some((method, _)), Some((front, protocol)))
            if protocol.starts_with("HTTP/") && front.len() > method.len() =>
        {
            fields.plain("method", method);
            fields.plain("path", &front[method.len() + 1..]);
            fields.plain("protocol", protocol);
        }
        _ => fields.plain("path", dash(request)),
    }
}

/// What the combined format adds, as far as it is there.
fn combined(rest: &str, fields: &mut Fields<'_>) -> Option<()> {
    let (referer, rest) = until_quote(rest.strip_prefix('"')?)?;
    fields.plain("referer", dash(referer));
    let (agent, rest) = until_quote(rest.strip_prefix(" \"")?)?;
    fields.plain("user_agent", dash(agent));
    let mut rest = rest.trim_ascii();
    if let Some(quoted) = rest.strip_prefix('"') {
        let (forwarded, behind) = until_quote(quoted)?;
        fields.plain("x_forwarded_for", dash(forwarded));
        rest = behind.trim_ascii_start();
    }
    let (first, behind) = word(rest);
    if is_decimal(first) && first.contains('.') {
        fields.plain("request_time", first);
        return Some(());
    }
    ingress(first, behind, fields)
}

/// ingress-nginx: length, time, `[upstream]`, `[alternative]`, address, length, time, status, request id.
fn ingress(length: &str, rest: &str, fields: &mut Fields<'_>) -> Option<()> {
    let (time, rest) = word(rest);
    let (upstream, rest) = word(rest);
    let upstream = upstream.strip_prefix('[')?.strip_suffix(']')?;
    if !is_decimal(length) || !is_decimal(time) {
        return None;
    }
    fields.plain("request_length", length);
    fields.plain("request_time", time);
    fields.plain("proxy_upstream_name", dash(upstream));
    let (_alternative, mut rest) = word(rest);
    let names = [
        "upstream_addr",
        "upstream_response_length",
        "upstream_response_time",
        "upstream_status",
        "req_id",
    ];
    for name in names {
        let (value, behind) = word(rest);
        fields.plain(name, dash(value));
        rest = behind;
    }
    Some(())
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn dash(text: &str) -> &str {
    if text == "-" { "" } else { text }
}

/// The next word, and what is behind the space after it.
fn word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// The text until a quote that no backslash escapes, and what is behind it.
fn until_quote(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += super::json::quote_or_escape(bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        at += 2;
    }
}
