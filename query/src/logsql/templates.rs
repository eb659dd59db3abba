//! The small languages inside quoted texts: the pattern of `extract`, the template of `format`, the pattern of `pattern_match`.

use super::ast::{ExtractPattern, ExtractStep, Form, Template, TemplatePart};
use super::scan::{Parsed, Parser};

/// The forms of a template's field, with their names.
pub(super) const FORMS: [(&str, Form); 15] = [
    ("q", Form::Quoted),
    ("uc", Form::Upper),
    ("lc", Form::Lower),
    ("urlencode", Form::UrlEncode),
    ("urldecode", Form::UrlDecode),
    ("hexencode", Form::HexEncode),
    ("hexdecode", Form::HexDecode),
    ("base64encode", Form::Base64Encode),
    ("base64decode", Form::Base64Decode),
    ("hexnumencode", Form::HexNumberEncode),
    ("hexnumdecode", Form::HexNumberDecode),
    ("time", Form::Time),
    ("duration", Form::Duration),
    ("duration_seconds", Form::DurationSeconds),
    ("ipv4", Form::Ipv4),
];

/// `text<placeholder>text`: the texts before each placeholder with it, and the text after the last.
struct Pieces<'a> {
    placeholders: Vec<(String, &'a str)>,
    tail: String,
}

fn pieces(text: &str) -> Option<Pieces<'_>> {
    let mut placeholders = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let (name, tail) = after.split_once('>')?;
        placeholders.push((unescape(before), name));
        rest = tail;
    }
    Some(Pieces { placeholders, tail: unescape(rest) })
}

/// Decodes the entities of HTML by which a text holds `<`.
fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
    ];
    let plain = entities.iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c));
    plain.replace("&amp;", "&")
}

impl Parser<'_> {
    /// The pattern of `extract`.
    pub(super) fn extract_pattern(&mut self) -> Parsed<ExtractPattern> {
        self.skip_space();
        let at = self.position;
        let text = self.argument("a pattern, as in \"ip=<ip> \",")?;
        let open = "`<name>` with its `>` (write &lt; for a plain <)";
        let pieces = pieces(&text).ok_or_else(|| self.wrong(at, open))?;
        let mut steps = Vec::with_capacity(pieces.placeholders.len());
        for (index, (before, name)) in pieces.placeholders.into_iter().enumerate() {
            if index > 0 && before.is_empty() {
                return Err(self.wrong(at, &format!("a pattern with some text before `<{name}>`, to know where the field before it ends,")));
            }
            let (plain, name) = match name.strip_prefix("plain:") {
                Some(name) => (true, name),
                None => (false, name),
            };
            let field = (!name.is_empty() && name != "_").then(|| name.into());
            steps.push(ExtractStep { before, field, plain });
        }
        if steps.iter().all(|step| step.field.is_none()) {
            return Err(self.wrong(at, "a pattern with at least one `<name>`"));
        }
        let tail = pieces.tail;
        Ok(ExtractPattern { text: text.into(), steps, tail })
    }

    /// The template of `format`.
    pub(super) fn template(&mut self) -> Parsed<Template> {
        self.skip_space();
        let at = self.position;
        let text = self.argument("a template, as in \"<host>:<port>\",")?;
        let open = "`<name>` with its `>` (write &lt; for a plain <)";
        let pieces = pieces(&text).ok_or_else(|| self.wrong(at, open))?;
        let mut parts = Vec::with_capacity(2 * pieces.placeholders.len() + 1);
        let literal = |text: String| (!text.is_empty()).then_some(TemplatePart::Text(text));
        for (before, name) in pieces.placeholders {
            parts.extend(literal(before));
            if name == "_" || name.is_empty() {
                continue;
            }
            let known = name.split_once(':').and_then(|(form, field)| {
                FORMS.iter().find(|(name, _)| *name == form).map(|(_, form)| (*form, field))
            });
            let (form, field) = known.unwrap_or((Form::Plain, name));
            parts.push(TemplatePart::Field { field: field.into(), form });
        }
        parts.extend(literal(pieces.tail));
        Ok(Template { text: text.into(), parts })
    }
}

/// A regular expression for a text in which `<N>` stands for a number, `<UUID>`, `<IP4>`, `<TIME>`, `<DATE>`, `<DATETIME>` for
/// what they say, and `<W>` for a word or a quoted text.
pub(super) fn pattern_regexp(text: &str, full: bool) -> String {
    const DATE: &str = r"\d+[-/]\d+[-/]\d+";
    const TIME: &str = r"\d+:\d+:\d+(?:[.,]\d+)?";
    const NUMBER: &str = r"[0-9a-fA-F]+";
    let mut out = String::from(if full { "^(?s:" } else { "(?s:" });
    let mut rest = text;
    while !rest.is_empty() {
        let next = rest.char_indices().skip(1).find(|(_, c)| *c == '<');
        let end = next.map_or(rest.len(), |(at, _)| at);
        let close = rest.find('>').filter(|_| rest.starts_with('<'));
        let piece = &rest[..close.map_or(end, |at| at + 1)];
        match piece {
            "<N>" => out.push_str(NUMBER),
            "<UUID>" => out.push_str(&format!("{NUMBER}-{NUMBER}-{NUMBER}-{NUMBER}-{NUMBER}")),
            "<IP4>" => out.push_str(r"\d+\.\d+\.\d+\.\d+"),
            "<TIME>" => out.push_str(TIME),
            "<DATE>" => out.push_str(DATE),
            "<DATETIME>" => out.push_str(&format!(r"{DATE}[T ]{TIME}(?:Z|[+-]\d+:\d+)?")),
            "<W>" => out.push_str(r#"(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\w+)"#),
            literal => out.push_str(&regex::escape(literal)),
        }
        rest = &rest[piece.len()..];
    }
    out.push_str(if full { ")$" } else { ")" });
    out
}
