//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

/// Logs from rotating files to a search in the browser: nothing lost, nothing doubled.
///
/// Without a sub-command it runs `standalone`: it collects the logs of this machine and serves the page.
#[cfg(feature = "full")]
#[derive(Debug, Parser)]
#[command(name = "rookery", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    standalone: StandaloneArgs,
}

#[cfg(feature = "full")]
impl Cli {
    /// What is to be done.
    pub(crate) fn command(self) -> Command {
        self.command.unwrap_or(Command::Full(FullCommand::Standalone(self.standalone)))
    }
}

/// The logs of this machine into Kafka: nothing lost, nothing doubled.
///
/// This build has the collector's role alone. Sections of a configuration that are for other roles are not looked at.
#[cfg(not(feature = "full"))]
#[derive(Debug, Parser)]
#[command(name = "rookery", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[cfg(not(feature = "full"))]
impl Cli {
    /// What is to be done.
    pub(crate) fn command(self) -> Command {
        self.command
    }
}

/// What every build can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "full")]
    #[command(flatten)]
    Full(FullCommand),
    /// Collect the logs of this machine into Kafka.
    #[command(display_order = 1)]
    Collector(RoleArgs),
    /// Read a configuration file and say what is wrong with it.
    #[command(display_order = 98)]
    CheckConfig(CheckConfigArgs),
    /// Print the reference of all configuration keys, as Markdown.
    #[command(display_order = 99)]
    ConfigReference,
}

/// What the build with every role can do besides.
#[derive(Debug, Subcommand)]
pub(crate) enum FullCommand {
    /// Collect, store and search on this machine, in one process.
    Standalone(StandaloneArgs),
    /// Move logs from Kafka into ClickHouse, exactly once.
    Ingester(RoleArgs),
    /// Serve search and the page over ClickHouse.
    Query(RoleArgs),
    /// Receive logs from other programs into Kafka.
    Receiver(RoleArgs),
    /// Make or bring up to date the tables in ClickHouse. An ingester does it too, when it starts.
    Migrate(MigrateArgs),
    /// Look at what could not be decoded, and send it again.
    DeadLetter(DeadLetterArgs),
    /// Search the logs: coloured for people, JSON lines in a pipe.
    Search(SearchArgs),
    /// Follow the logs as they are written.
    Tail(TailArgs),
    /// Say what was read, stored, shed and lost, stream by stream. Exits with 1 when the sums do not balance.
    Ledger(LedgerArgs),
    /// Make the tokens with which others push.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Write a lively set of pods' logs into a new folder, and run on them.
    Demo(DemoArgs),
}

#[derive(Debug, Default, Clone, Args)]
pub(crate) struct StandaloneArgs {
    /// The configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The address of the page and of every API.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Files to tail, as a glob; may be given several times. In place of the configured ones.
    #[arg(long, value_name = "GLOB")]
    pub(crate) logs: Vec<String>,
    /// The kubelet's folder of pod logs. In place of the configured one.
    #[arg(long, value_name = "DIR")]
    pub(crate) pod_logs: Option<PathBuf>,
}

#[derive(Debug, Default, Clone, Args)]
pub(crate) struct RoleArgs {
    /// The configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address of health, metrics, and what else the role serves.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the statements that would be run, and run none.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLetterArgs {
    #[command(subcommand)]
    pub(crate) action: DeadLetterAction,
    /// The configuration file (YAML).
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterAction {
    /// Print what is there, oldest first: where it came from, why it could not be decoded, how large it is.
    List {
        /// The most that are printed.
        #[arg(long, short = 'n', default_value_t = 100)]
        limit: usize,
    },
    /// Send what is there to the topic that it came from, and take it off the list.
    Replay {
        /// Send it to this topic instead.
        #[arg(long, value_name = "TOPIC")]
        to: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The address of a running Rookery.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8480")]
    pub(crate) url: String,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// What to look for, in LogsQL: error "connection refused" -path:/health
    #[arg(default_value = "*")]
    pub(crate) query: String,
    /// From when: a duration ago (1h) or a time (2026-11-21T10:00:00Z).
    #[arg(long, default_value = "1h", allow_hyphen_values = true)]
    pub(crate) since: String,
    /// Until when.
    #[arg(long, default_value = "now", allow_hyphen_values = true)]
    pub(crate) until: String,
    /// The newest so many records; 0 for all.
    #[arg(long, short = 'n', default_value_t = 1000)]
    pub(crate) limit: usize,
    /// JSON lines, also on a terminal.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// What to follow, in LogsQL.
    #[arg(default_value = "*")]
    pub(crate) query: String,
    /// Start with what was written this long ago.
    #[arg(long, default_value = "10s")]
    pub(crate) since: String,
    /// JSON lines, also on a terminal.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// The answer of the API as it is.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct CheckConfigArgs {
    /// The configuration file.
    file: Option<PathBuf>,
    /// The same, as the roles take it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl CheckConfigArgs {
    /// The configuration file, however it was given.
    pub(crate) fn file(&self) -> &Path {
        self.file.as_deref().or(self.config.as_deref()).expect("one of them is required")
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print it with the line that goes into the configuration. It is kept nowhere.
    New(TokenNewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenNewArgs {
    /// Whom it is for.
    pub(crate) name: String,
    /// Whose the records are that are pushed with it.
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where logs and data are kept; a new temporary folder, removed at the end, when not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Lines a second.
    #[arg(long, default_value_t = 200)]
    pub(crate) rate: u32,
    /// The address of the page and of every API.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
}
