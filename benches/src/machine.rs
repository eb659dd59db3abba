//! What the operating system says of a process and of the machine, from `/proc` (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// The unit of `utime` and `stime`: `USER_HZ`, which is 100 on every architecture that Rust's standard library supports on Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// How many seconds of CPU a process has used, in user and in kernel mode.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("read the CPU time")?;
    parse_cpu_seconds(&stat).context("/proc/<pid>/stat has the CPU time")
}

/// The same by the names of its threads, the busiest first; without threads that have ended.
pub(crate) fn cpu_by_thread(process: u32) -> Result<Vec<(String, f64)>> {
    let mut spent: BTreeMap<String, f64> = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{process}/task")).context("list the threads")? {
        // A thread may end while it is looked at.
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
        let name = stat.split_once(" (").and_then(|(_, rest)| rest.rsplit_once(") "));
        let (Some((name, _)), Some(seconds)) = (name, parse_cpu_seconds(&stat)) else { continue };
        // The workers of a pool are one.
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || " -#".contains(c));
        *spent.entry(name.to_owned()).or_default() += seconds;
    }
    let mut spent: Vec<_> = spent.into_iter().collect();
    spent.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(spent)
}

fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name, which may hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let kernel: f64 = fields.next()?.parse().ok()?;
    Some((user + kernel) / TICKS_A_SECOND)
}

/// How many bytes of a process are resident.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{process}/status")).context("read the memory")?;
    kilobytes(&status, "VmRSS:")
        .map(|kilobytes| kilobytes << 10)
        .context("/proc/<pid>/status has VmRSS")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The bytes of all files below a folder, as long as they are (not as the file system rounds them up).
pub(crate) fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        // A file may go away while it is looked at: a merge removes its sources.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        bytes += if metadata.is_dir() { bytes_below(&path)? } else { metadata.len() };
    }
    Ok(bytes)
}

/// The processor, the cores, the memory, the kernel.
pub(crate) fn description() -> String {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory) = (text("/proc/cpuinfo"), text("/proc/meminfo"));
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let gib = kilobytes(&memory, "MemTotal:").unwrap_or(0) as f64 / f64::from(1 << 20);
    let kernel = text("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, {gib:.0} GiB, Linux {}", kernel.trim())
}

/// The version and the commit, with a mark when the tree differs from it.
pub(crate) fn revision() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(crate::root()).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let commit = git(&["describe", "--always", "--dirty", "--exclude=*"]).unwrap_or_default();
    format!("rookery {} ({})", env!("CARGO_PKG_VERSION"), commit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_is_read_behind_a_name_with_brackets() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(parse_cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let own = std::process::id();
        assert!(cpu_seconds(own).unwrap() >= 0.0);
        assert!(resident_bytes(own).unwrap() > 100_000);
    }
}
