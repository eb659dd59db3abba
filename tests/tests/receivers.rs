//! The ways in, with the clients that people have: Elastic's library, OpenTelemetry's SDK, Loki's two forms, `logger`. After each, search
//! finds every record once, with its time, message and fields.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rookery_core::time;
use rookery_tests::kit::http::Client;
use rookery_tests::kit::process::{Launch, Rookery, binary};
use rookery_tests::kit::wait;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// What a program printed; it must have succeeded.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The Python in which the clients of `tests/clients/requirements.txt` are installed, below the target folder; once for a version of them.
fn python() -> Result<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let installed = PYTHON.get_or_init(|| install().map_err(|error| format!("{error:#}")));
    installed.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn install() -> Result<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("it has a parent")?;
    let home = home.join("test-clients");
    let wanted = clients().join("requirements.txt");
    let stamp = home.join("requirements.txt");
    if fs::read(&stamp).ok() != Some(fs::read(&wanted)?) {
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
            .context("Debian's packages python3 and python3-venv are needed")?;
        output(Command::new(home.join("bin/pip")).args(["install", "--quiet", "-r"]).arg(&wanted))?;
        fs::copy(&wanted, &stamp)?;
    }
    Ok(home.join("bin/python"))
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn client(name: &str, arguments: &[&str]) -> Result<String> {
    output(Command::new(python()?).arg(clients().join(name)).args(arguments))
}

/// A server that takes pushes, and its address without the slash at its end.
struct Server {
    rookery: Rookery,
    client: Client,
    url: String,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(environment: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut launch = Launch::below(folder.path())?;
        launch.logs = vec![folder.path().join("none-*.log").to_string_lossy().into_owned()];
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        launch.environment = environment.iter().map(own).collect();
        let mut rookery = launch.start()?;
        let url = rookery.url()?.trim_end_matches('/').to_owned();
        let client = rookery.client()?;
        Ok(Self { rookery, client, url, folder })
    }

    /// Where a listener said that it listens.
    fn listener(&self, name: &str) -> Result<String> {
        let line = format!("  listen {name} ");
        wait::until(name, LIMIT, || {
            let journal = fs::read_to_string(self.folder.path().join("rookery.log"))?;
            Ok(journal.lines().find_map(|l| l.strip_prefix(&line).map(str::to_owned)))
        })
    }

    fn count(&self, query: &str) -> Result<usize> {
        Ok(self.client.search(query, &[])?.len())
    }

    fn one(&self, query: &str) -> Result<Value> {
        let mut found = self.client.search(query, &[])?;
        if found.len() != 1 {
            bail!("{query} finds {} records: {found:?}", found.len());
        }
        Ok(found.remove(0))
    }

    /// Stops it; what it took must balance.
    fn stop(self) -> Result<()> {
        let ledger = self.client.json("/api/ledger", &[])?;
        assert_eq!(ledger["totals"]["duplicates"]["records"], 0, "{ledger}");
        assert_eq!(ledger["totals"]["lost"]["records"], 0, "{ledger}");
        self.rookery.stop()
    }
}

#[test]
fn elastics_own_library_says_hello_and_sends_documents() -> Result<()> {
    let server = Server::start(&[])?;
    let when = time::rfc3339((time::now() / time::SECOND - 60) * time::SECOND + 123_456_000);
    let told: Value = serde_json::from_str(&client("elastic.py", &[&server.url, &when])?)?;
    assert_eq!((&told["ping"], &told["health"]), (&true.into(), &"green".into()), "{told}");
    assert_eq!((&told["stored"], &told["errors"]), (&50.into(), &serde_json::json!([])), "{told}");
    assert_eq!(told["half"], serde_json::json!([1, [400, 400]]), "each item is told");
    assert_eq!(server.count("namespace:shop level:error")?, 50);
    let record = server.one("n:=7")?;
    assert_eq!((&record["_msg"], &record["_time"]), (&"elastic 7".into(), &when.as_str().into()));
    assert_eq!((&record["pod"], &record["_index"]), (&"cart-1".into(), &"logs-cart".into()));
    assert_eq!((server.count("\"elastic right\"")?, server.count("\"elastic wrong\"")?), (1, 0));
    let page = server.client.get("/search", &[])?;
    assert!(page.starts_with(b"<!"), "the page is still there for people");
    server.stop()
}

#[test]
fn opentelemetrys_sdk_exports_over_http_and_grpc() -> Result<()> {
    let server = Server::start(&[("ROOKERY_RECEIVER_OTLP_GRPC_LISTEN", "127.0.0.1:0")])?;
    let grpc = format!("http://{}", server.listener("otlp grpc")?);
    let traces = client("otlp.py", &[&server.url, &grpc])?;
    for (way, trace) in ["http", "grpc", "grpc-main"].into_iter().zip(traces.lines()) {
        let of_way = format!("{{service.name=\"checkout-{way}\"}}");
        assert_eq!(server.count(&format!("{of_way} line"))?, 600, "{way}");
        let record = server.one(&format!("{of_way} declined"))?;
        assert_eq!(record["_msg"], format!("declined {way}").as_str());
        assert_eq!((&record["level"], &record["trace_id"]), (&"error".into(), &trace.into()));
        assert_eq!((&record["card.brand"], &record["amount"]), (&"visa".into(), &"12.5".into()));
        assert_eq!((&record["namespace"], &record["source"]), (&"shop".into(), &"otlp".into()));
        let at = time::parse_time(record["_time"].as_str().context("a time")?, 0)?.start;
        assert!((time::now() - at).abs() < 5 * time::MINUTE, "{record}");
    }
    server.stop()
}

#[test]
fn loki_is_pushed_to_in_both_of_its_forms() -> Result<()> {
    let server = Server::start(&[])?;
    let seconds = time::now() / time::SECOND - 60;
    assert_eq!(client("loki.py", &[&server.url, &seconds.to_string()])?.trim(), "204");
    let record = server.one("{app=\"json\"}")?;
    assert_eq!((&record["_msg"], &record["level"]), (&"loki json".into(), &"error".into()));
    assert_eq!(record["namespace"], "shop");
    assert_eq!(server.count("app:protobuf level:warn")?, 500);
    let record = server.one(&format!("trace_id:={:032x}", 77))?;
    assert_eq!(record["_msg"], "loki protobuf 77");
    assert_eq!(record["_time"], time::rfc3339(seconds * time::SECOND + 77).as_str());
    assert_eq!(record["_path"], "/var/log/a.log");
    server.stop()
}

#[test]
fn logger_sends_syslog_in_every_form_that_it_has() -> Result<()> {
    let server = Server::start(&[
        ("ROOKERY_RECEIVER_SYSLOG_TCP", "127.0.0.1:0"),
        ("ROOKERY_RECEIVER_SYSLOG_UDP", "127.0.0.1:0"),
    ])?;
    let ports: Vec<String> = ["syslog tcp", "syslog udp"]
        .iter()
        .map(|name| Ok(server.listener(name)?.rsplit(':').next().context("a port")?.to_owned()))
        .collect::<Result<_>>()?;
    let forms: [(&str, &[&str]); 6] = [
        ("tcp 5424 counted", &["--tcp", "--port", &ports[0], "--rfc5424", "--octet-count"]),
        ("tcp 5424 lines", &["--tcp", "--port", &ports[0], "--rfc5424"]),
        ("tcp 3164 counted", &["--tcp", "--port", &ports[0], "--rfc3164", "--octet-count"]),
        ("tcp 3164 lines", &["--tcp", "--port", &ports[0], "--rfc3164"]),
        ("udp 5424", &["--udp", "--port", &ports[1], "--rfc5424"]),
        ("udp 3164", &["--udp", "--port", &ports[1], "--rfc3164"]),
    ];
    for (name, arguments) in forms {
        let mut logger = Command::new("logger");
        logger.args([
            "--server",
            "127.0.0.1",
            "--tag",
            "sshd",
            "--id=77",
            "--priority",
            "auth.err",
        ]);
        if name.contains("5424") {
            logger.args(["--sd-id", "who@32473", "--sd-param", "user=\"root\""]);
        }
        output(logger.args(arguments).args(["--", &format!("sent by {name}")]))?;
        let query = format!("\"sent by {name}\"");
        let found = || Ok(server.client.search(&query, &[])?.into_iter().next());
        let record = wait::until(name, LIMIT, found)?;
        assert_eq!(record["_msg"], format!("sent by {name}").as_str(), "{record}");
        assert_eq!((&record["level"], &record["facility"]), (&"error".into(), &"auth".into()));
        assert_eq!((&record["app"], &record["pid"]), (&"sshd".into(), &"77".into()), "{record}");
        assert_eq!(record["source"], "syslog");
        if name.contains("5424") {
            assert_eq!(record["who@32473.user"], "root", "{record}");
        }
        let at = time::parse_time(record["_time"].as_str().context("a time")?, 0)?.start;
        assert!((time::now() - at).abs() < 5 * time::MINUTE, "{record}");
        assert_eq!(server.count(&query)?, 1, "{name}");
    }
    server.stop()
}

#[test]
fn with_a_token_in_the_configuration_nothing_is_taken_without_it() -> Result<()> {
    let made =
        output(Command::new(binary()?).args(["token", "new", "agent", "--tenant", "default"]))?;
    let (token, section) = made.split_once('\n').context("a token, and what is configured")?;
    let tokens = section.split_once("- ").context("the item of a list")?.1.trim();
    let server = Server::start(&[("ROOKERY_RECEIVER_TOKENS", &format!("[{tokens}]"))])?;
    let push = |headers: &[&str]| {
        let mut curl = vec!["-c", PUSH, &server.url];
        curl.extend(headers);
        output(Command::new(python()?).args(curl)).map(|text| text.trim().to_owned())
    };
    const PUSH: &str = "import sys, urllib.request, urllib.error\n\
        request = urllib.request.Request(sys.argv[1] + '/insert/jsonline', b'{\"_msg\":\"with a token\"}')\n\
        if len(sys.argv) > 2: request.add_header('Authorization', sys.argv[2])\n\
        try: print(urllib.request.urlopen(request).status)\n\
        except urllib.error.HTTPError as error: print(error.code)";
    assert_eq!(push(&[])?, "401");
    assert_eq!(push(&["Bearer nonsense"])?, "401");
    assert_eq!(push(&[&format!("Bearer {token}")])?, "200");
    assert_eq!(server.count("\"with a token\"")?, 1);
    server.stop()
}
