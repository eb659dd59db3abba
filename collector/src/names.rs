//! What a file's name says: which chain it belongs to, and where in it.
//!
//! Two families. The kubelet's: `<restart>.log` is written to, `<restart>.log.<time>` and `<restart>.log.<time>.gz` are rotated, `.tmp` is
//! a compression under way (kubelet, `pkg/kubelet/logs/container_log_manager.go`). And what logrotate and logging libraries do beside
//! `app.log`: `app.log.1`, `app.log.2.gz`, `app.log-20261121`, `app.log.2026-11-21`, `app-20261121.log`, `app.1.log`, `app.log.old`.
//!
//! A name is a hint for the order only; what a file is, is decided by its content.

use std::cmp::Reverse;

/// Where a file stands in its chain, older first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Hint {
    /// Kept by us when its own name was taken away; the number grows.
    pub(crate) unspooled: Spooled,
    /// How often the container was started before.
    pub(crate) restart: u64,
    /// Whether it is the name that is written to.
    pub(crate) live: bool,
    /// Rotated by date: its digits.
    pub(crate) dated: String,
    /// Rotated by number: the highest is the oldest.
    pub(crate) numbered: Reverse<u64>,
    /// Whether the name was taken away since it was seen.
    pub(crate) is_taken: bool,
}

/// Whether a file was found in the spool, and in which order it came there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Spooled {
    /// In the spool, under this number.
    Yes(u64),
    /// In its own folder.
    #[default]
    No,
}

/// Greater than any digits.
const AFTER_ALL_DATES: &str = "~";

impl Hint {
    /// The hint of a file that lost its name: if that was the one that is written to, it is the newest of the rotated ones.
    pub(crate) fn left(self) -> Self {
        let left = Self { is_taken: true, ..self };
        match left.live {
            true => Self { live: false, dated: AFTER_ALL_DATES.into(), ..left },
            false => left,
        }
    }

    /// The hint of a file in the spool, under this number.
    pub(crate) fn spooled(number: u64) -> Self {
        Self { unspooled: Spooled::Yes(number), ..Self::default() }
    }

    /// Whether the name was taken away, or says nothing: then only its first record can tell its place among the others.
    pub(crate) fn is_left(&self) -> bool {
        self.is_taken || self.unspooled != Spooled::No
    }

    /// The hint of the name that is written to.
    pub(crate) fn live(restart: u64) -> Self {
        Self { restart, live: true, ..Self::default() }
    }
}

/// A rotated file's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotated {
    /// The name that is, or was, written to.
    pub(crate) base: String,
    /// Its place.
    pub(crate) hint: Hint,
    /// Whether only the existence of `base` can tell that it is one: `app-20261121.log` may also be a log of its own.
    pub(crate) ambiguous: bool,
}

/// Names that the tailer never reads, whatever the globs say: half-written and foreign compressions.
pub(crate) fn is_ignored(name: &str) -> bool {
    [".tmp", ".swp", ".zst", ".xz", ".bz2", ".lz4", ".zip", ".part"]
        .iter()
        .any(|e| name.ends_with(e))
}

/// Takes a rotated file's name apart; `None` when it does not look like one.
pub(crate) fn rotated(name: &str) -> Option<Rotated> {
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    // `node-7` is a name; `app.log-20261121` is not.
    let is_place = |found: &Rotated| {
        !found.hint.dated.is_empty() || plain[found.base.len()..].starts_with('.')
    };
    if let Some(found) = suffixed(plain).filter(is_place) {
        return Some(found);
    }
    if let Some(found) = inserted(plain) {
        return Some(found);
    }
    let base = plain.strip_suffix(".old").or_else(|| plain.strip_suffix(".bak"));
    let base = base.or((plain.len() < name.len()).then_some(plain))?;
    // `app.log.old`, and `app.log.gz`: the one before.
    let hint = Hint { numbered: Reverse(1), ..Hint::default() };
    Some(Rotated { base: base.into(), hint, ambiguous: false })
}

/// `app.log.1`, `app.log-20261121`, `app.log.2026-11-21.3`.
fn suffixed(name: &str) -> Option<Rotated> {
    let start =
        name.rfind(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '_' | 'T' | ':'))? + 1;
    let (base, tail) = name.split_at(start);
    // The separator after the base's last letter; a base that ends in digits of its own keeps them.
    if base.is_empty() || !tail.starts_with(['.', '-', '_']) {
        return None;
    }
    let hint = place(&tail[1..])?;
    Some(Rotated { base: base.into(), hint, ambiguous: false })
}

/// `app-20261121.log`, `app.1.log`, `app-2026-11-21-3.log`.
fn inserted(name: &str) -> Option<Rotated> {
    let (stem, extension) = name.rsplit_once('.')?;
    if extension.is_empty() || extension.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let found = suffixed(stem)?;
    Some(Rotated { base: format!("{}.{extension}", found.base), ambiguous: true, ..found })
}

fn place(tail: &str) -> Option<Hint> {
    let digits = tail.bytes().filter(u8::is_ascii_digit).count();
    let only_digits = digits == tail.len();
    if digits == 0 {
        return None;
    }
    if only_digits && digits <= 5 {
        let number = tail.parse().ok()?;
        return Some(Hint { numbered: Reverse(number), ..Hint::default() });
    }
    (digits >= 8).then(|| Hint { dated: order_of_date(tail), ..Hint::default() })
}

/// A date's digits, with a counter behind it widened so that 10 comes after 9.
fn order_of_date(tail: &str) -> String {
    let mut order = String::with_capacity(tail.len() + 8);
    let mut taken = 0;
    for group in tail.split(|c: char| !c.is_ascii_digit()).filter(|g| !g.is_empty()) {
        if taken < 8 || group.len() >= 6 {
            order.push_str(group);
        } else {
            order.push_str(&format!("{group:0>10}"));
        }
        taken += group.len();
    }
    order
}

/// What the kubelet's layout says about a container's folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PodPath {
    /// The pod's namespace.
    pub(crate) namespace: String,
    /// The pod's name.
    pub(crate) pod: String,
    /// The pod's UID.
    pub(crate) uid: String,
    /// The container's name.
    pub(crate) container: String,
}

impl PodPath {
    /// From the last two names of a container's folder: `<namespace>_<pod>_<uid>` and `<container>`.
    pub(crate) fn new(pod_folder: &str, container: &str) -> Option<Self> {
        let mut parts = pod_folder.split('_');
        let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
        let empty = [namespace, pod, uid, container].iter().any(|part| part.is_empty());
        if empty || parts.next().is_some() {
            return None;
        }
        Some(Self {
            namespace: namespace.into(),
            pod: pod.into(),
            uid: uid.into(),
            container: container.into(),
        })
    }

    /// `namespace/pod/container`, which the globs of the configuration are about.
    pub(crate) fn filter_name(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.pod, self.container)
    }
}

/// The place of a file in a container's folder; `None` for what is not a log.
pub(crate) fn pod_file(name: &str) -> Option<Hint> {
    if is_ignored(name) {
        return None;
    }
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let (restart, tail) = plain.split_once(".log")?;
    let restart = restart.parse().ok()?;
    if tail.is_empty() {
        // `0.log.gz` is nothing that a kubelet writes.
        return (plain.len() == name.len()).then(|| Hint::live(restart));
    }
    let place = place(tail.strip_prefix('.')?)?;
    Some(Hint { restart, ..place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_lead_to_their_base_and_order() {
        let table = [
            ("app.log.1", "app.log", false),
            ("app.log.2.gz", "app.log", false),
            ("app.log-20261121", "app.log", false),
            ("app.log-20261121.gz", "app.log", false),
            ("app.log.2026-11-21", "app.log", false),
            ("app.log.2026-11-21.3", "app.log", false),
            ("app-20261121.log", "app.log", true),
            ("app.1.log", "app.log", true),
            ("syslog.1", "syslog", false),
            ("app.log.old", "app.log", false),
            ("app.log.gz", "app.log", false),
        ];
        for (name, base, ambiguous) in table {
            let found = rotated(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((found.base.as_str(), found.ambiguous), (base, ambiguous), "{name}");
            assert!(!found.hint.live, "{name}");
        }
        for name in ["app.log", "syslog", "node-7", "app.log.c"] {
            assert_eq!(rotated(name).filter(|r| !r.ambiguous), None, "{name}");
        }
        let order = ["app.log.10.gz", "app.log.2", "app.log.1"];
        let hints: Vec<_> = order.iter().map(|n| rotated(n).unwrap().hint).collect();
        assert!(hints.is_sorted());
        let order = ["a.log-20261120.gz", "a.log-20261121.2", "a.log-20261121.10"];
        let hints: Vec<_> = order.iter().map(|n| rotated(n).unwrap().hint).collect();
        assert!(hints.is_sorted(), "{hints:?}");
    }

    #[test]
    fn a_kubelets_files_are_in_the_order_of_restart_and_rotation() {
        let order = [
            "0.log.20261121-010203.gz",
            "0.log.20261121-020203",
            "0.log",
            "1.log.20261121-030203",
            "1.log",
        ];
        let hints: Vec<_> = order.iter().map(|n| pod_file(n).unwrap()).collect();
        assert!(hints.is_sorted());
        for name in ["0.log.20261121-010203.gz.tmp", "x.log", "0.log.gz", "0.txt"] {
            assert_eq!(pod_file(name), None, "{name}");
        }
        let pod = PodPath::new("prod_web-1_0b7e", "nginx").unwrap();
        assert_eq!(pod.filter_name(), "prod/web-1/nginx");
        assert_eq!(PodPath::new("prod_web-1", "nginx"), None);
    }
}
