//! (f) Twelve classes of queries over all of the data, over HTTP, warm: the median of several runs.
//!
//! With a peer, it gets the same records, is asked the same, and must find as many rows: a fast wrong answer is an error.

use std::time::Instant;

use anyhow::{Result, ensure};
use rookery_core::time;
use rookery_tests::kit::http::Client;
use serde_json::Value;

use super::loaded::Loaded;
use super::peer;
use crate::dataset::{Dataset, NEEDLE, PHRASE};
use crate::machine;
use crate::results::{Results, quantile, say};

/// A class: its name, the path, the query, and further parameters.
struct Class {
    name: &'static str,
    path: &'static str,
    query: String,
    parameters: &'static [(&'static str, &'static str)],
}

const QUERY: &str = "/select/logsql/query";
const HITS: &str = "/select/logsql/hits";
const FACETS: &str = "/select/logsql/facets";

fn classes(pod: &str) -> [Class; 12] {
    let class = |name, path, query: &str, parameters| Class {
        name,
        path,
        query: query.to_owned(),
        parameters,
    };
    [
        class("needle (3 rows)", QUERY, NEEDLE, &[]),
        class("phrase, count", QUERY, &format!("\"{PHRASE}\" | stats count() n"), &[]),
        class(
            "regular expression with a literal, count",
            QUERY,
            "~\"connection refused by the [a-z]+, giving\" | stats count() n",
            &[],
        ),
        class(
            "regular expression without, count",
            QUERY,
            "~\"[0-9]{4}[a-f][0-9]{3}[a-f]\" | stats count() n",
            &[],
        ),
        class("count by 5 min: all", HITS, "*", &[("step", "5m")]),
        class("count by 5 min: level:error", HITS, "level:error", &[("step", "5m")]),
        class("top 10 of a JSON field", QUERY, "* | top 10 by (user)", &[]),
        class("last 100: all", QUERY, "*", &[("limit", "100")]),
        class("last 100: of a common word", QUERY, "request", &[("limit", "100")]),
        class("last 100: of one pod", QUERY, &format!("{{pod=\"{pod}\"}}"), &[("limit", "100")]),
        class("facets of level:error", FACETS, "level:error", &[]),
        class(
            "p99 of a JSON field by namespace",
            QUERY,
            "duration_ms:* | stats by (namespace) quantile(0.99, duration_ms) p",
            &[],
        ),
    ]
}

/// One class at one server.
struct Answer {
    median_ms: f64,
    /// Rows of a query, records counted by a histogram, values of facets.
    found: u64,
}

/// Runs the classes, also at the peer when there is one.
pub(crate) fn run(
    mut loaded: Loaded,
    dataset: &Dataset,
    peer: Option<&str>,
    quick: bool,
    results: &mut Results,
) -> Result<()> {
    let peer = peer.map(|url| peer::load(url, &loaded.client, dataset)).transpose()?;
    let other = peer.as_ref().map(|client| ("peer", client));
    let asking = Asking { case: "f", dataset, quick, before: &|| Ok(()) };
    asking.compare(&loaded.client, other, results)?;
    let resident = machine::resident_bytes(loaded.rookery.id())? as f64 / f64::from(1 << 20);
    results.add("f", "resident memory after", format!("{resident:.0} MiB"), String::new());
    ensure!(loaded.rookery.ended()?.is_none(), "the process did not survive the queries");
    Ok(())
}

/// How the classes are asked.
pub(crate) struct Asking<'a> {
    /// The case in the results.
    pub(crate) case: &'static str,
    /// What the servers hold.
    pub(crate) dataset: &'a Dataset,
    /// Three runs in place of seven.
    pub(crate) quick: bool,
    /// What happens before each run, and is not part of its time.
    pub(crate) before: &'a dyn Fn() -> Result<()>,
}

impl Asking<'_> {
    /// Asks one server, and another of this name beside it.
    pub(crate) fn compare(
        &self,
        own: &Client,
        other: Option<(&str, &Client)>,
        results: &mut Results,
    ) -> Result<()> {
        for class in classes(&self.dataset.pods[3]) {
            let answer = self.ask(own, &class)?;
            let mut against = String::new();
            if let Some((name, other)) = other {
                let other = self.ask(other, &class)?;
                if other.found != answer.found {
                    say(&format!(
                        "      the answers differ: {} found here, {} there",
                        answer.found, other.found
                    ));
                }
                let (ms, factor) = (other.median_ms, other.median_ms / answer.median_ms);
                against = format!("{name} {ms:.1} ms, {factor:.2} times as long");
            }
            let value = format!("{:.1} ms ({} found)", answer.median_ms, answer.found);
            results.add(self.case, class.name, value, against);
        }
        Ok(())
    }

    fn ask(&self, client: &Client, class: &Class) -> Result<Answer> {
        let range = [self.dataset.start, self.dataset.end].map(time::rfc3339);
        let mut parameters =
            vec![("query", class.query.as_str()), ("start", &range[0]), ("end", &range[1])];
        parameters.extend_from_slice(class.parameters);
        let mut times = Vec::new();
        // The first run warms up.
        let first = client.get(class.path, &parameters)?;
        for _ in 0..if self.quick { 3 } else { 7 } {
            (self.before)()?;
            let start = Instant::now();
            client.get(class.path, &parameters)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(Answer { median_ms: quantile(&times, 0.5), found: found(class.path, &first)? })
    }
}

/// What two servers must agree on, whatever the order and the form of their answers.
fn found(path: &str, answer: &[u8]) -> Result<u64> {
    let each = |list: &Value, count: fn(&Value) -> u64| {
        list.as_array().into_iter().flatten().map(count).sum::<u64>()
    };
    Ok(match path {
        HITS => {
            let answer: Value = serde_json::from_slice(answer)?;
            each(&answer["hits"], |hits| hits["total"].as_u64().unwrap_or(0))
        }
        FACETS => {
            let answer: Value = serde_json::from_slice(answer)?;
            each(&answer["facets"], |facet| {
                facet["values"].as_array().map_or(0, |v| v.len() as u64)
            })
        }
        _ => memchr::memchr_iter(b'\n', answer).count() as u64,
    })
}
