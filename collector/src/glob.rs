//! Globs over paths: `*` and `?` inside a name, `**` over any number of folders, `[a-z]`, `[!a-z]`, `{a,b}`.
//!
//! A glob is split at `/` into patterns of names, braces being multiplied out first. So a walk over folders can follow it name by name
//! and reads only the folders in which something may match.

use rookery_core::{Error, Result};

/// The most alternatives that braces may multiply to.
const ALTERNATIVES_LIMIT: usize = 256;

/// A glob, parsed.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    alternatives: Vec<Vec<Part>>,
}

/// The pattern of one name of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Any number of folders, none included.
    AnyDepth,
    /// Exactly this name.
    Literal(String),
    /// A name by wildcards.
    Pattern(String),
}

impl Part {
    fn new(text: &str) -> Self {
        match text {
            "**" => Self::AnyDepth,
            _ if text.contains(['*', '?', '[']) => Self::Pattern(text.into()),
            _ => Self::Literal(text.into()),
        }
    }

    /// Whether the name matches; `**` matches every name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::AnyDepth => true,
            Self::Literal(text) => text == name,
            Self::Pattern(pattern) => name_matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
}

impl Glob {
    /// Parses a glob.
    ///
    /// # Errors
    /// `invalid` when a brace or a bracket is not closed, or braces multiply to too many alternatives.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let mut texts = Vec::new();
        expand(text, &mut texts)?;
        let parts = |text: &String| {
            text.split('/').filter(|part| !part.is_empty()).map(Part::new).collect::<Vec<_>>()
        };
        let alternatives: Vec<Vec<Part>> = texts.iter().map(parts).collect();
        let unclosed =
            |p: &Part| matches!(p, Part::Pattern(p) if p.contains('[') && !p.contains(']'));
        if alternatives.iter().flatten().any(unclosed) {
            return Err(Error::invalid(format!("the glob {text:?} has a [ without its ]")));
        }
        Ok(Self { alternatives })
    }

    /// The names to follow from the root, one list for each alternative.
    pub(crate) fn alternatives(&self) -> &[Vec<Part>] {
        &self.alternatives
    }

    /// Whether the whole path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        self.alternatives.iter().any(|parts| path_matches(parts, &names))
    }
}

fn expand(text: &str, out: &mut Vec<String>) -> Result<()> {
    let Some(open) = text.find('{') else {
        if out.len() == ALTERNATIVES_LIMIT {
            return Err(Error::invalid(format!(
                "the braces of a glob multiply to more than {ALTERNATIVES_LIMIT} alternatives: write several globs"
            )));
        }
        out.push(text.into());
        return Ok(());
    };
    let close = text[open..]
        .find('}')
        .map(|at| open + at)
        .ok_or_else(|| Error::invalid(format!("the glob {text:?} has a {{ without its }}")))?;
    for choice in text[open + 1..close].split(',') {
        expand(&format!("{}{choice}{}", &text[..open], &text[close + 1..]), out)?;
    }
    Ok(())
}

fn path_matches(parts: &[Part], names: &[&str]) -> bool {
    match parts.split_first() {
        None => names.is_empty(),
        Some((Part::AnyDepth, rest)) => {
            (0..=names.len()).any(|skip| path_matches(rest, &names[skip..]))
        }
        Some((part, rest)) => names
            .split_first()
            .is_some_and(|(name, names)| part.matches(name) && path_matches(rest, names)),
    }
}

/// Wildcards within one name: the classic two-pointer match, which goes back only to the last star.
fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if let Some(used) = pattern.get(p..).and_then(|rest| one_matches(rest, name[n])) {
            p += used;
            n += 1;
            continue;
        }
        let Some((at, from)) = star else { return false };
        star = Some((at, from + 1));
        (p, n) = (at + 1, from + 1);
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// How much of the pattern one byte uses up, if it matches.
fn one_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let close = pattern.iter().skip(2).position(|b| *b == b']')? + 2;
            let set = &pattern[1..close];
            let (negated, set) = match set.first() {
                Some(b'!' | b'^') => (true, &set[1..]),
                _ => (false, set),
            };
            let mut found = false;
            let mut i = 0;
            while i < set.len() {
                if i + 2 < set.len() && set[i + 1] == b'-' {
                    found |= (set[i]..=set[i + 2]).contains(&byte);
                    i += 3;
                } else {
                    found |= set[i] == byte;
                    i += 1;
                }
            }
            (found != negated).then_some(close + 1)
        }
        literal => (literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_people_expect() {
        let table = [
            ("/var/log/*.log", "/var/log/a.log", true),
            ("/var/log/*.log", "/var/log/x/a.log", false),
            ("/var/log/**/*.log", "/var/log/a.log", true),
            ("/var/log/**/*.log", "/var/log/x/y/a.log", true),
            ("/var/log/**", "/var/log/x/y/a.txt", true),
            ("/var/log/{syslog,messages}", "/var/log/messages", true),
            ("/var/log/{syslog,messages}", "/var/log/auth", false),
            ("/a/b?[0-9]*", "/a/bx7yz", true),
            ("/a/b?[!0-9]*", "/a/bx7yz", false),
            ("prod/*/*", "prod/web-1/nginx", true),
            ("*/*/istio-*", "prod/web-1/istio-proxy", true),
            ("/a/*b*c", "/a/xbxbxc", true),
            ("/a/*b*c", "/a/xbxbx", false),
        ];
        for (glob, path, expected) in table {
            assert_eq!(Glob::new(glob).unwrap().matches(path), expected, "{glob} {path}");
        }
        assert!(Glob::new("/a/{b").is_err());
        assert!(Glob::new("/a/[b").is_err());
    }
}
