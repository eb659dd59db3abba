//! What wraps a line: the container runtime's format, Docker's, or nothing.
//!
//! A file's format is told from its first lines; a line that is not in it is kept as it is.

mod cri;
mod docker;

use std::ops::Range;

use super::config::Format;

/// Which of a container's two outputs a line is of. They are written into one file, and joined apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Stdout,
    Stderr,
    /// The file does not say.
    None,
}

impl Output {
    /// How many there are, and the place of each.
    pub(super) const COUNT: usize = 3;

    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// The value of the field `stream`; empty where the file does not say.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::None => "",
        }
    }
}

/// A line without its wrapping.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// When the runtime read it, in nanoseconds since the epoch.
    pub time: Option<i64>,
    /// Which output.
    pub output: Output,
    /// Whether the next line of this output continues it.
    pub partial: bool,
    /// The message: where it is in the line, or that it is in the scratch buffer because it had escapes.
    pub text: Text,
    /// Whether the line was in the format of its file.
    pub framed: bool,
}

/// Where the message of a frame is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// These bytes of the line.
    Line(Range<usize>),
    /// The scratch buffer.
    Scratch,
}

/// How many lines are looked at to tell a format.
const SAMPLE: usize = 8;

/// The format of a file that starts with these lines; [`Format::Auto`] when they are all blank.
pub(super) fn detect(chunk: &[u8]) -> Format {
    let (mut cri, mut docker, mut lines) = (0, 0, 0);
    for line in chunk.split(|&b| b == b'\n').filter(|l| !l.is_empty()).take(SAMPLE) {
        lines += 1;
        cri += usize::from(cri::parse(line).is_some());
        docker += usize::from(docker::looks_like(line));
    }
    if lines == 0 {
        return Format::Auto;
    }
    // A torn first line must not make a container's log a plain file.
    match (2 * cri >= lines, 2 * docker >= lines) {
        (true, _) if cri > 0 => Format::Cri,
        (_, true) if docker > 0 => Format::Docker,
        _ => Format::Plain,
    }
}

/// Takes the wrapping off a line, which has no newline at its end any more.
#[inline]
pub(super) fn unwrap(format: Format, line: &[u8], scratch: &mut String) -> Frame {
    let framed = match format {
        Format::Cri => cri::parse(line),
        Format::Docker => docker::parse(line, scratch),
        Format::Plain | Format::Auto => {
            return Frame {
                time: None,
                output: Output::None,
                partial: false,
                text: Text::Line(0..line.len()),
                framed: true,
            };
        }
    };
    framed.unwrap_or(Frame {
        time: None,
        output: Output::None,
        partial: false,
        text: Text::Line(0..line.len()),
        framed: false,
    })
}

#[cfg(test)]
mod tests;
