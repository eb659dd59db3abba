//! The real binary: built once, started with flags as a user would, killed without warning.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::http::Client;
use super::wait;

/// How long a start may take: a store that has to read its log again, in the development profile, on a busy machine.
pub const START_LIMIT: Duration = Duration::from_secs(60);

/// Names the binary under test, and the one with TLS.
const VARIABLE: &str = "ROOKERY_BIN";
const TLS_VARIABLE: &str = "ROOKERY_TLS_BIN";

/// Names a binary for the collectors alone: a build of that role.
pub const COLLECTOR_VARIABLE: &str = "ROOKERY_COLLECTOR_BIN";

/// How long a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// The binary under test: `ROOKERY_BIN`, else the one of the development profile, which is built first.
///
/// # Errors
/// When it does not build.
pub fn binary() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    named_or_built(VARIABLE, &BUILT, || build(&["--package", "rookery-server"]))
}

/// The same with TLS, which is not in the other: `ROOKERY_TLS_BIN`, else one that is built first, and kept beside the other.
///
/// # Errors
/// When it does not build: it needs the headers of OpenSSL.
pub fn binary_with_tls() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    named_or_built(TLS_VARIABLE, &BUILT, || {
        let plain = build(&["--workspace", "--bins", "--features", "rookery-server/tls"])?;
        let path = plain.with_file_name("rookery-tls");
        let beside = plain.with_file_name(super::parts::unique("rookery-tls"));
        // Who runs the one of before goes on with it.
        std::fs::copy(&plain, &beside).and_then(|_| std::fs::rename(&beside, &path))?;
        Ok(path)
    })
}

/// The binary that a variable names, else the one that was built before, or is built now.
fn named_or_built(
    variable: &str,
    built: &Mutex<Option<PathBuf>>,
    build: impl FnOnce() -> Result<PathBuf>,
) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let mut built = built.lock().expect("no panic while it is held");
    if built.is_none() {
        *built = Some(build()?);
    }
    Ok(built.clone().expect("it was built above"))
}

/// Builds the binary; gives where it is.
fn build(arguments: &[&str]) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet"]).args(arguments).current_dir(root);
    if !cargo.status().context("start cargo")?.success() {
        bail!("the binary does not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    Ok(root.join(target.unwrap_or_else(|| "target".into())).join("debug/rookery"))
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The binary.
    pub binary: PathBuf,
    /// Where it keeps its data.
    pub data: PathBuf,
    /// `--pod-logs`
    pub pods: Option<PathBuf>,
    /// `--logs`, each a glob.
    pub logs: Vec<String>,
    /// Where what it prints is kept, start after start.
    pub journal: PathBuf,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    /// Standalone with its data in `folder/data`, and what it prints in `folder/rookery.log`.
    ///
    /// # Errors
    /// When the binary does not build.
    pub fn below(folder: &Path) -> Result<Self> {
        Ok(Self {
            binary: binary()?,
            data: folder.join("data"),
            pods: None,
            logs: Vec::new(),
            journal: folder.join("rookery.log"),
            environment: Vec::new(),
        })
    }

    /// Starts the process and returns at once.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self) -> Result<Rookery> {
        let mut command = command(&self.binary);
        command.args(["standalone", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&self.data);
        if let Some(pods) = &self.pods {
            command.arg("--pod-logs").arg(pods);
        }
        for glob in &self.logs {
            command.args(["--logs", glob]);
        }
        spawn(command, &self.environment, &self.journal)
    }

    /// Starts the process and waits until it serves.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not serve in time.
    pub fn start(&self) -> Result<Rookery> {
        let mut rookery = self.spawn()?;
        rookery.url()?;
        Ok(rookery)
    }
}

/// One role of a fleet.
#[derive(Debug, Clone)]
pub struct RoleLaunch {
    /// The sub-command.
    pub role: &'static str,
    /// Its configuration file.
    pub config: PathBuf,
    /// Where what it prints is kept, start after start.
    pub journal: PathBuf,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

impl RoleLaunch {
    /// Starts the process and returns at once.
    ///
    /// # Errors
    /// When the binary does not build, or cannot be started.
    pub fn spawn(&self) -> Result<Rookery> {
        let own =
            if self.role == "collector" { std::env::var_os(COLLECTOR_VARIABLE) } else { None };
        self.spawn_from(&own.map_or_else(binary, |path| Ok(path.into()))?)
    }

    /// Starts the process from this binary, and returns at once.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_from(&self, binary: &Path) -> Result<Rookery> {
        let mut command = command(binary);
        command.args([self.role, "--config"]).arg(&self.config);
        spawn(command, &self.environment, &self.journal)
    }
}

/// A command of a binary, without the variables of a test run: it takes what begins like them for its own configuration.
pub fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for name in [VARIABLE, TLS_VARIABLE, COLLECTOR_VARIABLE] {
        command.env_remove(name);
    }
    command
}

fn spawn(
    mut command: Command,
    environment: &[(String, String)],
    journal: &Path,
) -> Result<Rookery> {
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let program = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
    let errors = child.stderr.take().expect("standard error was piped");
    let file = File::options().create(true).append(true).open(journal)?;
    let (found, page) = sync_channel(1);
    let reader = thread::Builder::new().name("journal".into());
    reader.spawn(move || keep(BufReader::new(errors), file, |url| drop(found.try_send(url))))?;
    Ok(Rookery { child, page, announced: None, url: None, journal: journal.to_owned() })
}

/// Copies what the process prints, and finds the address of its page in it.
fn keep(mut errors: impl BufRead, mut journal: File, mut found: impl FnMut(String)) {
    let mut line = String::new();
    while errors.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        if let Some(url) = page(&line) {
            found(url.to_owned());
        }
        // A journal that cannot be written must not hold up the process that prints.
        let _ = journal.write_all(line.as_bytes());
        line.clear();
    }
}

/// The address in `  page   http://127.0.0.1:8480/`; a role without a page says `health http://127.0.0.1:8480/readyz`.
fn page(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = line.strip_prefix("page").or_else(|| line.strip_prefix("health"))?;
    let url = rest.trim_start_matches(':').trim().trim_end_matches("readyz");
    url.starts_with("http://").then_some(url)
}

/// A process that was started; it is killed when this is dropped.
#[derive(Debug)]
pub struct Rookery {
    child: Child,
    page: Receiver<String>,
    announced: Option<String>,
    url: Option<String>,
    journal: PathBuf,
}

impl Rookery {
    /// The address of its page; waits until it serves.
    ///
    /// # Errors
    /// When it ended, or does not serve in time.
    pub fn url(&mut self) -> Result<&str> {
        if self.url.is_none() {
            let announced = self.announced.take();
            let url = announced.or_else(|| self.page.recv_timeout(START_LIMIT).ok());
            let journal = self.journal.display();
            let url = url.with_context(|| format!("it did not start to serve; see {journal}"))?;
            let client = Client::new(&url, REQUEST_LIMIT)?;
            wait::until("the page", START_LIMIT, || Ok(client.get("/healthz", &[]).ok()))?;
            self.url = Some(url);
        }
        Ok(self.url.as_deref().expect("it was just set"))
    }

    /// Whether it has said where it serves; does not wait.
    pub fn serves(&mut self) -> bool {
        if self.announced.is_none() {
            self.announced = self.page.try_recv().ok();
        }
        self.url.is_some() || self.announced.is_some()
    }

    /// A client of it; waits until it serves.
    ///
    /// # Errors
    /// As [`Self::url`].
    pub fn client(&mut self) -> Result<Client> {
        Client::new(self.url()?, REQUEST_LIMIT)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the operating system cannot say.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGSTOP: it stays where it is, and its connections open.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGHUP: it reads its configuration again.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(id.context("a process has an id")?, signal)?)
    }

    /// `kill -9`: it has no chance to do anything.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop in time, or says that it failed.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status =
            wait::until("the process to stop", START_LIMIT, || Ok(self.child.try_wait()?))?;
        if !status.success() {
            bail!("it ended with {status}; see {}", self.journal.display());
        }
        Ok(())
    }
}

impl Drop for Rookery {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_found_in_what_a_start_prints() {
        assert_eq!(page("  page   http://127.0.0.1:8480/\n"), Some("http://127.0.0.1:8480/"));
        assert_eq!(page("page: http://127.0.0.1:8480/"), Some("http://127.0.0.1:8480/"));
        assert_eq!(page("  health http://127.0.0.1:8480/readyz"), Some("http://127.0.0.1:8480/"));
        assert_eq!(page("  logs   /var/log/*.log"), None);
    }
}
