//! The ClickHouse engine behind ClickHouse's HTTP interface: `tests/kit/clickhouse/front.py`, which says what it is and is not.
//!
//! With `ROOKERY_TEST_CLICKHOUSE_URL` (`http://host:port`, and `ROOKERY_TEST_CLICKHOUSE_USER` and `…_PASSWORD` where it asks for
//! them) the tests use that server instead. It is not theirs: to kill, pause or restart it is refused.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use std::{fs, str};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tempfile::TempDir;

use super::http::Client;
use super::parts::{self, Part};

/// Names a server to be used instead of the engine.
pub const URL_VARIABLE: &str = "ROOKERY_TEST_CLICKHOUSE_URL";

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a statement may take.
const QUERY_LIMIT: Duration = Duration::from_secs(120);

/// A server, with the data of all its starts.
#[derive(Debug)]
pub struct ClickHouse {
    url: String,
    login: Option<(String, String)>,
    own: Option<Own>,
}

/// An engine of our own.
#[derive(Debug)]
struct Own {
    home: PathBuf,
    port: u16,
    part: Mutex<Option<Part>>,
    _temporary: Option<TempDir>,
}

impl ClickHouse {
    /// Starts an engine with an empty folder; or takes the server that the environment names.
    ///
    /// # Errors
    /// When it is not installed, or does not start in time.
    pub fn start() -> Result<Self> {
        if let Some(url) = std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()) {
            let login = std::env::var("ROOKERY_TEST_CLICKHOUSE_USER").ok().map(|user| {
                (user, std::env::var("ROOKERY_TEST_CLICKHOUSE_PASSWORD").unwrap_or_default())
            });
            return Ok(Self { url: url.trim_end_matches('/').to_owned(), login, own: None });
        }
        let temporary = parts::folder("clickhouse")?;
        let home = temporary.path().to_owned();
        Self::launch(home, parts::free_port()?, Some(temporary))
    }

    /// Starts an engine on a folder that is kept, at this port; whatever the environment says.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn at(home: &Path, port: u16) -> Result<Self> {
        Self::launch(home.to_owned(), port, None)
    }

    fn launch(home: PathBuf, port: u16, temporary: Option<TempDir>) -> Result<Self> {
        let part = Mutex::new(Some(launch(&home, port)?));
        let own = Own { home, port, part, _temporary: temporary };
        Ok(Self { url: format!("http://127.0.0.1:{port}"), login: None, own: Some(own) })
    }

    /// The one that the tests of this process share; each test makes a database of its own in it ([`Self::database`]).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Mutex<Option<&'static ClickHouse>>> = OnceLock::new();
        let mut shared = lock(SHARED.get_or_init(Mutex::default));
        if let Some(started) = *shared {
            return Ok(started);
        }
        // It lives as long as the process, and its part dies with the process.
        let started: &'static Self = Box::leak(Box::new(Self::start()?));
        *shared = Some(started);
        Ok(started)
    }

    /// Where it serves: `http://127.0.0.1:18123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address, for a [`Proxy`](super::proxy::Proxy) in front of it.
    ///
    /// # Errors
    /// When its name is not known.
    pub fn address(&self) -> Result<SocketAddr> {
        let authority = self.url.trim_start_matches("http://");
        let mut found =
            authority.to_socket_addrs().with_context(|| format!("find {}", self.url))?;
        found.next().with_context(|| format!("{} has no address", self.url))
    }

    /// User and password, where the server asks for them.
    pub fn login(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// A new database of this name with something that makes it unique; the name.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self, word: &str) -> Result<String> {
        let name = parts::unique(word).replace('-', "_");
        self.query(&format!("CREATE DATABASE {name}"), &[])?;
        Ok(name)
    }

    /// The text of the answer to a statement, `TabSeparated` unless it says otherwise. Parameters are those of the URL:
    /// `database`, `param_x`, settings.
    ///
    /// # Errors
    /// When the server cannot be reached, or answers with an exception, whose text the error holds.
    pub fn query(&self, statement: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let answer = self.fetch(statement, parameters)?;
        Ok(str::from_utf8(&answer).context("the answer is not text")?.to_owned())
    }

    /// As [`Self::query`], of any format.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn fetch(&self, statement: &str, parameters: &[(&str, &str)]) -> Result<Bytes> {
        self.post(parameters, Bytes::copy_from_slice(statement.as_bytes()))
    }

    /// Sends data to an `INSERT … FORMAT …`.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn insert(&self, statement: &str, parameters: &[(&str, &str)], data: Bytes) -> Result<()> {
        self.post(&[&[("query", statement)], parameters].concat(), data).map(drop)
    }

    fn post(&self, parameters: &[(&str, &str)], body: Bytes) -> Result<Bytes> {
        let mut all: Vec<(&str, &str)> = parameters.to_vec();
        if let Some((user, password)) = self.login() {
            all.extend([("user", user), ("password", password)]);
        }
        Client::new(&self.url, QUERY_LIMIT)?.post("/", &all, body)
    }

    /// Its process id.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn id(&self) -> Result<u32> {
        Ok(self.running("name the process of")?.as_ref().context("the engine does not run")?.id())
    }

    /// SIGKILL. What was acknowledged is there after [`Self::restart`].
    ///
    /// # Errors
    /// When it is not our own, or does not run.
    pub fn kill(&self) -> Result<()> {
        self.take("kill")?.kill()
    }

    /// Asks it to stop, and waits.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn stop(&self) -> Result<()> {
        self.take("stop")?.stop()
    }

    /// SIGSTOP: connections stay open, and nothing answers.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn pause(&self) -> Result<()> {
        self.running("pause")?.as_ref().context("the engine does not run")?.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn resume(&self) -> Result<()> {
        self.running("resume")?.as_ref().context("the engine does not run")?.resume()
    }

    /// Starts it again at the same address with the same data; kills it first if it runs.
    ///
    /// # Errors
    /// When it is not our own, or does not start in time.
    pub fn restart(&self) -> Result<()> {
        let mut part = self.running("restart")?;
        if let Some(part) = part.take() {
            part.kill()?;
        }
        let own = self.own.as_ref().expect("only our own gets here");
        *part = Some(launch(&own.home, own.port)?);
        Ok(())
    }

    /// The folder of its data.
    ///
    /// # Errors
    /// When it is not our own.
    pub fn folder(&self) -> Result<PathBuf> {
        self.own.as_ref().map(|own| own.home.join("data")).with_context(|| refused("open"))
    }

    fn running(&self, what: &str) -> Result<MutexGuard<'_, Option<Part>>> {
        match &self.own {
            Some(own) => Ok(lock(&own.part)),
            None => bail!(refused(what)),
        }
    }

    fn take(&self, what: &str) -> Result<Part> {
        self.running(what)?.take().context("the engine does not run")
    }
}

fn refused(what: &str) -> String {
    format!(
        "{URL_VARIABLE} names a server that is not the test's own, so it does not {what} it: unset it for this test"
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}

/// Starts the front on a folder, and waits until it answers.
fn launch(folder: &Path, port: u16) -> Result<Part> {
    let python = parts::installed(format!("chdb-{}/bin/python", parts::version("CHDB")))?;
    let front = Path::new(env!("CARGO_MANIFEST_DIR")).join("kit/clickhouse/front.py");
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let arguments = [
        // The checkout stays clean.
        "-B".into(),
        front.display().to_string(),
        "--data".into(),
        folder.join("data").display().to_string(),
        "--listen".into(),
        format!("127.0.0.1:{port}"),
    ];
    let journal = folder.join("clickhouse.log");
    let mut part = Part::start("the ClickHouse engine", &python, &arguments, &journal)?;
    let client = Client::new(&format!("http://127.0.0.1:{port}"), QUERY_LIMIT)?;
    part.until(START_LIMIT, || Ok(client.get("/ping", &[]).ok()))?;
    Ok(part)
}
