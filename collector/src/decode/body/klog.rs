//! klog, the format of Kubernetes' own programs: `I1121 01:02:03.000000    1234 file.go:12] text`, where the text may
//! be `"message" key="value"`. The layout is in the documentation of `k8s.io/klog`.

use super::BodyScratch;
use super::fields::Fields;
use super::logfmt;
use crate::decode::severity;
use crate::decode::time::form::{self, Form};

/// Emits `thread`, `file`, `line` and the pairs behind a quoted message. False when it is no klog.
pub(super) fn parse(text: &str, scratch: &mut BodyScratch, fields: &mut Fields<'_>) -> bool {
    if form::guess(text.as_bytes()) != Some(Form::Klog) {
        return false;
    }
    let Some(stamp) = form::read(Form::Klog, text.as_bytes()) else { return false };
    let rest = text[stamp.len..].trim_ascii_start();
    let Some((thread, rest)) = rest.split_once(' ') else { return false };
    let Some((place, message)) = rest.trim_ascii_start().split_once(']') else { return false };
    let Some((file, line)) = place.rsplit_once(':') else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(thread) || !digits(line) || file.contains(' ') {
        return false;
    }
    fields.severity(severity::of_letter(text.as_bytes()[0]));
    fields.plain("thread", thread);
    fields.plain("file", file);
    fields.plain("line", line);
    if let Some(structured) = message.strip_prefix(" \"")
        && let Some((_, behind)) = structured.split_once("\" ")
    {
        logfmt::pairs(behind, scratch, fields);
    }
    true
}
