//! What the real parts have in common: which versions, where they are installed, and processes that end with the test.
//!
//! `cargo xtask services install` puts them below [`cache`], in folders that are named after the versions in
//! `tests/kit/versions.env`. Nothing here downloads anything: a part that is missing is an error that says what to run.
//!
//! A part must not outlive the tests, also when they are killed by SIGKILL. So it is started by `setpriv --pdeathsig KILL`
//! (util-linux, on every Debian), which asks the kernel for a SIGKILL when the thread that started it ends; and it is
//! started on a thread that lives as long as the process.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::random::Random;
use super::wait;

/// The pinned versions, as `NAME=value` lines.
const VERSIONS: &str = include_str!("../../kit/versions.env");

/// How long a part may take to stop when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The pinned version of a part: `version("KAFKA")`.
///
/// # Panics
/// When `tests/kit/versions.env` does not name it.
pub fn version(name: &str) -> &'static str {
    let lines = VERSIONS.lines().filter_map(|line| line.split_once('='));
    let mut values = lines.filter(|(key, _)| *key == name).map(|(_, value)| value);
    values.next().expect("every part has a line in tests/kit/versions.env")
}

/// Where the parts are installed: `$ROOKERY_CACHE`, else `rookery` in the user's cache folder.
///
/// # Errors
/// When there is no home folder.
pub fn cache() -> Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let chosen = folder("ROOKERY_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("rookery")))
        .or_else(|| Some(folder("HOME")?.join(".cache/rookery")));
    chosen.context("there is no $HOME: set ROOKERY_CACHE to a folder for downloads")
}

/// A file of an installed part.
///
/// # Errors
/// When it is not installed; the error says how to.
pub fn installed(below: impl AsRef<Path>) -> Result<PathBuf> {
    let path = cache()?.join(below);
    if !path.exists() {
        bail!("{} is missing: run `cargo xtask services install` once", path.display());
    }
    Ok(path)
}

/// A port that nobody uses now, and that the kernel gives to nobody who only wants any port: a server that is killed finds it
/// free when it comes back. Another test may take it before it is used: rare, and then the start fails.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    // Below the ports of outgoing connections (`ip_local_port_range` begins at 32768), above those with a meaning.
    const PORTS: std::ops::Range<u64> = 20_000..32_000;
    static CHANCE: OnceLock<Mutex<Random>> = OnceLock::new();
    let seed = || Mutex::new(Random::new(u64::from(std::process::id())));
    let mut chance = CHANCE.get_or_init(seed).lock().expect("no panic while it is held");
    for _ in 0..1000 {
        let port = u16::try_from(chance.between(PORTS)).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("of a thousand ports between {} and {} none is free", PORTS.start, PORTS.end)
}

/// A name that no other test uses, also in a server that several test runs share: `test-4711-1-logs`.
pub fn unique(word: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number}-{word}", std::process::id())
}

/// A folder for the data of a part. It is removed with the value; what a killed run left behind is removed by the next one.
///
/// # Errors
/// When it cannot be made.
pub fn folder(word: &str) -> Result<tempfile::TempDir> {
    static SWEPT: OnceLock<()> = OnceLock::new();
    let home = std::env::temp_dir().join("rookery-parts");
    fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
    SWEPT.get_or_init(|| sweep(&home));
    let prefix = format!("{}-{word}-", std::process::id());
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(&home);
    folder.with_context(|| format!("make a folder in {}", home.display()))
}

/// Removes the folders of processes that are gone.
fn sweep(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.split('-').next()?.parse().ok());
        let is_gone = id.and_then(Pid::from_raw).is_some_and(|id| test_kill_process(id).is_err());
        if is_gone {
            // Somebody else's, or swept by another test at the same moment: not ours to complain about.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A process of a part. It is killed when this is dropped, and when the test run ends in any way.
#[derive(Debug)]
pub struct Part {
    child: Child,
    name: String,
    journal: PathBuf,
}

impl Part {
    /// Starts `program` with these arguments; what it prints is added to the file `journal`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, program: &Path, arguments: &[String], journal: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(journal)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = spawn(command).with_context(|| format!("start {}", program.display()))?;
        Ok(Self { child, name: name.to_owned(), journal: journal.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it prints to.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Waits until `look` finds something, and fails at once when the process ends.
    ///
    /// # Errors
    /// When it ended, or `limit` has passed; the error holds the end of what it printed.
    pub fn until<T>(
        &mut self,
        limit: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let name = self.name.clone();
        let found = wait::until(&name, limit, || {
            if let Some(status) = self.ended()? {
                bail!("{name} ended with {status}");
            }
            look()
        });
        found.with_context(|| format!("{name} printed:\n{}", self.printed()))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the operating system cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGKILL: it has no chance to do anything. Also ends one that is paused.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let what = format!("{} to stop", self.name);
        wait::until(&what, STOP_LIMIT, || self.ended())?;
        Ok(())
    }

    /// SIGSTOP: it does nothing from now on, and its connections stay open.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on as if no time had passed.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("a process has an id")?, signal)
            .with_context(|| format!("send {signal:?} to {}", self.name))
    }

    /// The end of what it printed.
    fn printed(&self) -> String {
        let text = fs::read(&self.journal).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command to be started, and where the answer goes.
type Order = (Command, SyncSender<io::Result<Child>>);

/// Starts a command on the thread that lives as long as this process: the kernel kills the child when that thread ends.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<SyncSender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, taken) = sync_channel::<Order>(1);
        let starting = move || {
            for (mut command, answer) in taken {
                // Who asked is waiting.
                let _ = answer.send(command.spawn());
            }
        };
        let named = thread::Builder::new().name("spawner".into());
        named.spawn(starting).expect("a process may start a thread");
        orders
    });
    let (answer, child) = sync_channel(1);
    spawner.send((command, answer)).ok().context("the spawner lives as long as the process")?;
    child.recv()?.context("run setpriv (of util-linux)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_version() {
        for name in ["KAFKA_SCALA", "KAFKA", "LOG4J", "CHDB", "CHDB_CORE"] {
            assert!(version(name).starts_with(|c: char| c.is_ascii_digit()), "{name}");
        }
    }

    #[test]
    fn names_differ() {
        assert_ne!(unique("a"), unique("a"));
    }

    #[test]
    fn folders_of_processes_that_are_gone_are_swept_and_others_stay() {
        let home = tempfile::tempdir().unwrap();
        // Process ids end at 4,194,304 (2^22).
        let [gone, mine] =
            ["4194999-kafka-x".to_owned(), format!("{}-kafka-x", std::process::id())];
        fs::create_dir(home.path().join(&gone)).unwrap();
        fs::create_dir(home.path().join(&mine)).unwrap();
        sweep(home.path());
        assert!(!home.path().join(gone).exists());
        assert!(home.path().join(mine).exists());
    }
}
