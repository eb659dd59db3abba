//! Letters compared without case.
//!
//! A text is folded character by character to lower case, and the final sigma to the other one, so that the folding of a
//! character does not depend on its neighbours. Nearly all text is ASCII, or holds no character whose folding is ASCII
//! while it is not: there, a needle of ASCII is found by lowering the bytes of ASCII alone.

/// Appends `text`, folded.
pub(super) fn fold_into(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else {
            out.extend(c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c }));
        }
    }
}

/// `text`, folded.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// Whether lowering the bytes of ASCII in `text` is enough to find a folded needle of ASCII in it: not when it holds
/// `K` (the Kelvin sign, folded to `k`) or `İ` (folded to `i` and a mark).
pub(super) fn is_plain(text: &[u8]) -> bool {
    text.is_ascii()
        || memchr::memmem::find(text, "\u{212A}".as_bytes()).is_none()
            && memchr::memmem::find(text, "\u{130}".as_bytes()).is_none()
}
