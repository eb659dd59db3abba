//! Kafka over TLS, with SASL SCRAM and with certificates of clients, by the real binary: what is right passes lines, what is wrong is named, with what
//! to do, and waited for.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rookery_tests::kit::authority::{Authority, Signed};
use rookery_tests::kit::clickhouse::ClickHouse;
use rookery_tests::kit::kafka::{Kafka, Listener, Secure, Setup};
use rookery_tests::kit::parts::{self, unique};
use rookery_tests::kit::process::{RoleLaunch, Rookery, binary_with_tls};
use rookery_tests::kit::wait;
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a process may take to stop that Kafka will not have: less than one question to a broker.
const STOP_LIMIT: Duration = Duration::from_secs(4);

const RIGHT: &str = "the right password";

/// A broker that encrypts, and who signed what.
struct Brokers {
    kafka: Kafka,
    authority: Authority,
    /// An authority that signed nothing here but the next.
    stranger: Authority,
    /// A certificate that the brokers do not know the authority of.
    unknown: Signed,
    /// One that they know it of.
    known: Signed,
    _folder: TempDir,
}

/// The one that all tests here share.
fn brokers() -> Result<&'static Brokers> {
    static SHARED: OnceLock<Brokers> = OnceLock::new();
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    if SHARED.get().is_none() {
        let folder = parts::folder("authority")?;
        let authority = Authority::new(&folder.path().join("ours"))?;
        let stranger = Authority::new(&folder.path().join("theirs"))?;
        let secure = Secure::by(&authority)?.user("SCRAM-SHA-256", "ada", RIGHT).user(
            "SCRAM-SHA-512",
            "grace",
            RIGHT,
        );
        let (known, unknown) = (authority.sign("node", None)?, stranger.sign("node", None)?);
        let kafka = Setup::brokers(1).secure(secure).launch()?;
        let brokers = Brokers { kafka, authority, stranger, unknown, known, _folder: folder };
        drop(SHARED.set(brokers));
    }
    SHARED.get().context("it was just set")
}

impl Brokers {
    fn at(&self, listener: Listener) -> Result<String> {
        self.kafka.secure(listener, "localhost")
    }

    /// The plain listener, under the name that is in the certificate.
    fn plain(&self) -> String {
        self.kafka.bootstrap().replace("127.0.0.1", "localhost")
    }

    /// The keys of TLS with our authority.
    fn tls(&self) -> String {
        format!("tls: {{enabled: true, ca_file: {}}}", self.authority.certificate.display())
    }

    fn with_certificate(&self, of: &Signed) -> String {
        format!(
            "tls: {{enabled: true, ca_file: {}, certificate_file: {}, key_file: {}}}",
            self.authority.certificate.display(),
            of.certificate.display(),
            of.key.display()
        )
    }
}

/// A folder with processes that belong together.
struct Processes {
    folder: TempDir,
    topic: String,
}

impl Processes {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, topic: unique("tls") })
    }

    /// Starts a role. `keys` are further ones of `kafka`, one a line.
    fn start(
        &self,
        name: &str,
        role: &'static str,
        brokers: &str,
        keys: &str,
        rest: &str,
        password: &str,
    ) -> Result<(Rookery, PathBuf)> {
        let path = |ending: &str| self.folder.path().join(format!("{name}.{ending}"));
        let topic = &self.topic;
        let text = format!(
            "listen: 127.0.0.1:0\nkafka:\n  brokers: ['{brokers}']\n  topic: {topic}\n  group: {topic}\n  partitions: 1\n  replication_factor: 1\n  \
             session_timeout: 6s\n  revoke_wait: 3s\n  {keys}\n{rest}"
        );
        fs::write(path("yaml"), text)?;
        let environment = vec![("ROOKERY_KAFKA_SASL_PASSWORD".to_owned(), password.to_owned())];
        let environment = if password.is_empty() { Vec::new() } else { environment };
        let (config, journal) = (path("yaml"), path("log"));
        let launch = RoleLaunch { role, config, journal: journal.clone(), environment };
        Ok((launch.spawn_from(&binary_with_tls()?)?, journal))
    }

    /// A collector that reads the files in the folder of its name.
    fn collector(
        &self,
        name: &str,
        brokers: &str,
        keys: &str,
        password: &str,
    ) -> Result<(Rookery, PathBuf)> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder)?;
        let folder = folder.display();
        let rest = format!(
            "data_dir: {folder}\ncollector: {{state_dir: {folder}/state, files: [{{include: ['{folder}/*.log']}}]}}\n"
        );
        self.start(name, "collector", brokers, keys, &rest, password)
    }
}

fn sasl(mechanism: &str, name: &str) -> String {
    format!("sasl: {{mechanism: {mechanism}, username: {name}}}")
}

#[test]
fn lines_pass_over_tls_with_scram_and_with_a_certificate_of_the_client() -> Result<()> {
    let brokers = brokers()?;
    let processes = Processes::new()?;
    let clickhouse = ClickHouse::shared()?;
    let database = unique("tls").replace('-', "_");
    let mut store = format!("clickhouse: {{url: '{}', database: {database}", clickhouse.url());
    if let Some((user, password)) = clickhouse.login() {
        store += &format!(", user: '{user}', password: '{password}'");
    }
    store += "}\n";
    for name in ["authority", "mutual", "scram-256"] {
        fs::create_dir_all(processes.folder.path().join(name))?;
        let log = processes.folder.path().join(name).join("a.log");
        fs::write(log, format!("a line that {name} read\n"))?;
    }
    let (tls, scram) = (brokers.tls(), brokers.at(Listener::Scram)?);
    let of = |mechanism, name| format!("{tls}\n  {}", sasl(mechanism, name));
    let of_ingester = of("SCRAM-SHA-512", "grace");
    let mut running = vec![
        processes.collector("authority", &brokers.at(Listener::Tls)?, &tls, "")?,
        processes.collector(
            "mutual",
            &brokers.at(Listener::Mutual)?,
            &brokers.with_certificate(&brokers.known),
            "",
        )?,
        processes.collector("scram-256", &scram, &of("SCRAM-SHA-256", "ada"), RIGHT)?,
        processes.start("ingester", "ingester", &scram, &of_ingester, &store, RIGHT)?,
    ];
    let (mut query, _) = processes.start("query", "query", "localhost:1", "", &store, "")?;
    let client = query.client()?;
    wait::until("the lines of all collectors", LIMIT, || {
        let found = client.search("\"a line that\"", &[]).unwrap_or_default();
        ensure!(found.len() <= 3, "{found:?}");
        Ok((found.len() == 3).then_some(()))
    })?;
    for (process, journal) in running.drain(..) {
        process.stop()?;
        let said = fs::read_to_string(&journal)?;
        ensure!(!said.contains(RIGHT), "the password is in {}", journal.display());
    }
    query.stop()
}

/// A process that Kafka will not have, and what it must say: what is wrong, and what to do.
struct Refused {
    name: &'static str,
    brokers: String,
    keys: String,
    password: &'static str,
    says: [&'static str; 2],
}

fn refused(brokers: &Brokers) -> Result<Vec<Refused>> {
    let (tls, scram) = (brokers.tls(), brokers.at(Listener::Scram)?);
    let stranger = brokers.stranger.certificate.display();
    let of = |mechanism, name| format!("{tls}\n  {}", sasl(mechanism, name));
    let case = |name, brokers: &str, keys: &str, says| Refused {
        name,
        brokers: brokers.to_owned(),
        keys: keys.to_owned(),
        password: "",
        says,
    };
    let wrong = "a wrong password";
    Ok(vec![
        Refused {
            password: wrong,
            ..case(
                "password",
                &scram,
                &of("SCRAM-SHA-512", "grace"),
                ["uthentication", "check kafka.sasl"],
            )
        },
        Refused {
            password: RIGHT,
            ..case(
                "mechanism",
                &scram,
                &of("PLAIN", "grace"),
                ["SCRAM-SHA-256", "set kafka.sasl.mechanism"],
            )
        },
        case(
            "authority",
            &brokers.at(Listener::Tls)?,
            &format!("tls: {{enabled: true, ca_file: {stranger}}}"),
            ["certificate verify failed", "kafka.tls.ca_file"],
        ),
        case(
            "host",
            &brokers.kafka.secure(Listener::Tls, "127.0.0.1")?,
            &tls,
            ["certificate verify failed", "name the host"],
        ),
        case(
            "tls-to-plain",
            &brokers.plain(),
            &tls,
            ["SSL handshake failed", "set kafka.tls.enabled to false"],
        ),
        case(
            "plain-to-tls",
            &brokers.at(Listener::Tls)?,
            "",
            ["closes a connection", "set kafka.tls.enabled to true"],
        ),
        case("no-password", &scram, &tls, ["closes a connection", "set kafka.sasl"]),
        case(
            "no-certificate",
            &brokers.at(Listener::Mutual)?,
            &tls,
            ["alert", "kafka.tls.certificate_file"],
        ),
        case(
            "unknown-certificate",
            &brokers.at(Listener::Mutual)?,
            &brokers.with_certificate(&brokers.unknown),
            ["alert", "kafka.tls.certificate_file"],
        ),
    ])
}

#[test]
fn who_is_refused_says_what_is_wrong_and_what_to_do_and_waits_and_stops_at_once() -> Result<()> {
    let brokers = brokers()?;
    let processes = Processes::new()?;
    let cases = refused(brokers)?;
    let mut running = Vec::new();
    for case in &cases {
        let started = processes.collector(case.name, &case.brokers, &case.keys, case.password)?;
        running.push((case, started));
    }
    for (case, (mut process, journal)) in running {
        let said = || fs::read_to_string(&journal);
        let line = wait::until(&format!("{} to say {:?}", case.name, case.says[1]), LIMIT, || {
            let text = said()?;
            Ok(text.lines().find(|line| line.contains(case.says[1])).map(str::to_owned))
        });
        let line = line.with_context(|| format!("it said: {}", said().unwrap_or_default()))?;
        ensure!(line.contains(case.says[0]), "{} does not say what is wrong: {line}", case.name);
        let secret = !case.password.is_empty() && line.contains(case.password);
        ensure!(!secret, "the password is in the log: {line}");
        ensure!(process.ended()?.is_none(), "{} ended", case.name);
        let error = process.client()?.get("/readyz", &[]).err().context("it cannot be ready")?;
        ensure!(format!("{error:#}").contains("503"), "{}: {error:#}", case.name);
        let asked = Instant::now();
        process.stop()?;
        let took = asked.elapsed();
        eprintln!("{}: stopped in {took:?}: {line}", case.name);
        ensure!(took < STOP_LIMIT, "{} took {took:?} to stop", case.name);
    }
    Ok(())
}

#[test]
fn a_file_that_is_no_certificate_is_named_by_its_key_and_ends_the_start() -> Result<()> {
    let processes = Processes::new()?;
    let keys = "tls: {enabled: true, ca_file: /nowhere/ca.crt}";
    let (mut process, journal) = processes.collector("nowhere", "localhost:1", keys, "")?;
    let status = wait::until("the process to end", LIMIT, || process.ended())?;
    let said = fs::read_to_string(&journal)?;
    ensure!(!status.success() && said.contains("kafka.tls.ca_file"), "{status}: {said}");
    Ok(())
}
