//! What every role is as a process: its log, its runtime, the lock on its folder, its HTTP server, its end.

use std::fs::File;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long a stop may take before what is left is left to the next start, which does it again.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(20);

/// How long open connections may go on when the process stops.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A runtime for everything that a role does.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the threads of the process")
}

/// Changes how much the program says of itself while it runs.
pub(crate) struct LogControl(Box<dyn Fn(EnvFilter) -> Result<()> + Send>);

impl LogControl {
    /// From now on, what passes this filter is said.
    pub(crate) fn set(&self, text: &str) -> Result<()> {
        (self.0)(filter(text)?)
    }
}

fn filter(text: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(text).with_context(|| {
        format!("`log: {text}` is not a level or a filter: write error, warn, info, debug or trace")
    })
}

/// Starts to write what the program says of itself to its standard error.
pub(crate) fn start_log(text: &str) -> Result<LogControl> {
    use std::io::IsTerminal as _;
    let terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(text)?)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_filter_reloading();
    let handle = log.reload_handle();
    // A second call (a test in one process) keeps the first subscriber.
    let _ = log.try_init();
    Ok(LogControl(Box::new(move |filter| handle.reload(filter).context("change the log"))))
}

/// Where data is kept when nobody says it.
pub(crate) fn default_data_dir() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/rookery".into());
    }
    let home = std::env::var_os("HOME")
        .context("there is no home folder: say where to keep the data with --data-dir")?;
    let share = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    Ok(share.unwrap_or_else(|| Path::new(&home).join(".local/share")).join("rookery"))
}

/// Holds a folder for this process alone.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => bail!(
            "another Rookery runs on {}: stop it, or choose another folder with --data-dir",
            folder.display()
        ),
    }
}

/// Listens on an address; gives the one that it is, where the port was left to the system.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: is another Rookery running? Choose another address with --listen"
        )
    })?;
    let address = listener.local_addr().context("the listener has no address")?;
    Ok((listener, address))
}

/// Serves until `closing`, and then until the connections that are open end by themselves or the limit has passed.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: axum::Router,
    closing: CancellationToken,
) -> Result<()> {
    let drain = closing.clone();
    let serving = axum::serve(listener, routes)
        .with_graceful_shutdown(async move { drain.cancelled().await });
    let late = async {
        closing.cancelled().await;
        tokio::time::sleep(CLOSE_LIMIT).await;
    };
    tokio::select! {
        served = serving => served.context("the HTTP server failed"),
        () = late => Ok(()),
    }
}

/// Waits until somebody asks the process to end, or for the first of these tasks to end, which none should: then that is the error.
pub(crate) async fn until_stopped(
    stop: &CancellationToken,
    tasks: &mut [(&str, &mut JoinHandle<Result<()>>)],
) -> Result<()> {
    let first = async {
        let waits = tasks.iter_mut().map(|(name, task)| {
            let name = *name;
            Box::pin(async move { (name, task.await) })
        });
        futures_util::future::select_all(waits).await.0
    };
    let (name, ended) = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        ended = first => ended,
    };
    ended
        .with_context(|| format!("{name} ended in a panic"))?
        .with_context(|| format!("{name} failed"))?;
    bail!("{name} ended, though nobody asked it to");
}

/// Ends a role in its order, within [`STOP_LIMIT`].
pub(crate) async fn finish(steps: impl Future<Output = Result<()>>) -> Result<bool> {
    eprintln!("stopping: finishing what was begun");
    match tokio::time::timeout(STOP_LIMIT, steps).await {
        Ok(outcome) => outcome.map(|()| true),
        Err(_) => {
            tracing::warn!(
                "not all was finished within {STOP_LIMIT:?}; the next start does the rest again"
            );
            Ok(false)
        }
    }
}

/// A token that SIGTERM and Ctrl-C cancel. Made before anything is announced: what is told to stop while it starts stops in order too.
///
/// # Errors
/// When the operating system does not let us hear of them.
pub(crate) fn stop_at_signals() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
