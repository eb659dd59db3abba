//! A line that says which it is: its text follows from who wrote it, its number and its length, so that nothing has to be kept of
//! it but the length, and an altered line is found.

use std::fmt::Write as _;

/// The text of a line: `writer=p03 seq=17 pad=…`.
pub fn text(writer: &str, sequence: u64, pad: u32) -> String {
    let mut text = String::with_capacity(pad as usize + 40);
    write!(text, "writer={writer} seq={sequence} pad=").expect("a String takes everything");
    for index in 0..u64::from(pad) {
        text.push(char::from(b'a' + ((sequence * 7 + index * index) % 26) as u8));
    }
    text
}

/// The number in a text that [`text`] made, wherever in a line it stands.
pub fn sequence(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" seq=")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_knows_its_number() {
        let line = text("p03", 17, 5);
        assert_eq!(line.len(), "writer=p03 seq=17 pad=".len() + 5);
        assert_eq!(sequence(&format!("2026-11-21T01:02:03Z INFO {line}")), Some(17));
        assert_ne!(text("p03", 17, 5), text("p03", 18, 5));
    }
}
