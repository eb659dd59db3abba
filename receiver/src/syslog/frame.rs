//! Where messages end in a TCP stream (RFC 6587): with their length before them, or at a line's end; told apart message by message.
//!
//! `123 <34>…` has a length: digits, a space, and the `<` of a priority. All else ends at a line's end. A message over the limit is
//! cut there, and what is left of it is skipped without being kept.

/// The most digits of a length.
const DIGITS_LIMIT: usize = 9;

/// The bytes of a connection that are not messages yet.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
    /// Where the next message starts in `buffer`.
    at: usize,
    skip: Skip,
}

/// What is to be skipped of a message that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Skip {
    #[default]
    Nothing,
    Bytes(usize),
    Line,
}

/// A message, and whether its end is missing.
pub(crate) type Framed<'a> = (&'a [u8], bool);

impl Framer {
    /// Takes what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or the start of one that is over `limit`. With `end`, nothing more will come, and what is left is a message.
    pub(crate) fn next(&mut self, limit: usize, end: bool) -> Option<Framed<'_>> {
        self.pass_skipped();
        let rest = &self.buffer[self.at..];
        if rest.is_empty() {
            return None;
        }
        let (start, length) = match counted(rest) {
            Counted::Yes { start, length } => (start, length),
            Counted::Unclear if !end => return None,
            _ => return self.next_line(limit, end),
        };
        let (from, have) = (self.at + start, rest.len() - start);
        if length > limit && have >= limit {
            self.at = from + limit;
            self.skip = Skip::Bytes(length - limit);
            return Some((&self.buffer[from..from + limit], true));
        }
        if have < length && !end {
            return None;
        }
        let taken = length.min(have);
        self.at = from + taken;
        Some((&self.buffer[from..from + taken], taken < length))
    }

    fn next_line(&mut self, limit: usize, end: bool) -> Option<Framed<'_>> {
        let rest = &self.buffer[self.at..];
        let from = self.at;
        match memchr::memchr(b'\n', rest) {
            Some(length) if length <= limit => {
                self.at = from + length + 1;
                Some((&self.buffer[from..from + length], false))
            }
            None if rest.len() <= limit => {
                if !end {
                    return None;
                }
                self.at = self.buffer.len();
                Some((&self.buffer[from..], false))
            }
            _ => {
                self.at = from + limit;
                self.skip = Skip::Line;
                Some((&self.buffer[from..from + limit], true))
            }
        }
    }

    fn pass_skipped(&mut self) {
        let rest = &self.buffer[self.at..];
        match self.skip {
            Skip::Nothing => {}
            Skip::Bytes(count) => {
                let passed = count.min(rest.len());
                self.at += passed;
                self.skip =
                    if passed == count { Skip::Nothing } else { Skip::Bytes(count - passed) };
            }
            Skip::Line => match memchr::memchr(b'\n', rest) {
                Some(length) => {
                    self.at += length + 1;
                    self.skip = Skip::Nothing;
                }
                None => self.at = self.buffer.len(),
            },
        }
    }
}

enum Counted {
    Yes {
        start: usize,
        length: usize,
    },
    No,
    /// More bytes are needed to tell.
    Unclear,
}

fn counted(bytes: &[u8]) -> Counted {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > DIGITS_LIMIT || bytes[0] == b'0' {
        return Counted::No;
    }
    match bytes[digits..] {
        [] | [b' '] => Counted::Unclear,
        [b' ', b'<', ..] => {
            let length = bytes[..digits].iter().fold(0, |n, d| n * 10 + usize::from(d - b'0'));
            Counted::Yes { start: digits + 1, length }
        }
        _ => Counted::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a stream that comes in pieces of `size` bytes.
    fn framed(stream: &[u8], size: usize, limit: usize) -> Vec<(String, bool)> {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        let mut take = |framer: &mut Framer, end| {
            while let Some((message, cut)) = framer.next(limit, end) {
                out.push((String::from_utf8(message.to_vec()).unwrap(), cut));
            }
        };
        for piece in stream.chunks(size) {
            framer.push(piece);
            take(&mut framer, false);
        }
        take(&mut framer, true);
        out
    }

    #[test]
    fn messages_are_the_same_in_whatever_pieces_they_come() {
        let stream = b"5 <1>ab<1>line\n8 <1>a\nb c2026 is a year\n12 monkeys\n<1>last";
        let expected = ["<1>ab", "<1>line", "<1>a\nb c", "2026 is a year", "12 monkeys", "<1>last"];
        for size in 1..=stream.len() {
            let got = framed(stream, size, 100);
            let texts: Vec<&str> = got.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(texts, expected, "{size}");
            assert!(got.iter().all(|(_, cut)| !cut));
        }
    }

    #[test]
    fn what_is_over_the_limit_is_cut_and_its_end_skipped() {
        let stream = b"<1>aaaaaaaaaaaaaaaaaaaaaaaa\n<1>b\n20 <1>cccccccccccccccccc<1>d\n999999999 <1>eeeeeeeeeeeeeee";
        for size in 1..=stream.len() {
            let got = framed(stream, size, 10);
            let texts: Vec<(&str, bool)> =
                got.iter().map(|(text, cut)| (text.as_str(), *cut)).collect();
            let expected = [
                ("<1>aaaaaaa", true),
                ("<1>b", false),
                ("<1>ccccccc", true),
                ("c<1>d", false),
                ("<1>eeeeeee", true),
            ];
            assert_eq!(texts, expected, "{size}");
        }
    }
}
