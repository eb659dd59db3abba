//! `search`, `tail` and `ledger`: answers of a running server, for people on a terminal and as JSON lines in a pipe.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use crate::cli::{LedgerArgs, SearchArgs, TailArgs};
use crate::client;

/// `rookery search`
pub(crate) fn search(args: &SearchArgs) -> Result<ExitCode> {
    let limit = args.limit.to_string();
    let mut parameters = vec![
        ("query", args.query.as_str()),
        ("start", args.since.as_str()),
        ("end", args.until.as_str()),
    ];
    if args.limit > 0 {
        parameters.push(("limit", &limit));
    }
    block_on(async {
        let mut lines = client::get(&args.server.url, "/select/logsql/query", &parameters).await?;
        let mut out = io::stdout().lock();
        if args.json || !out.is_terminal() {
            while let Some(line) = lines.next().await? {
                if !write_line(&mut out, line)? {
                    break;
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        // The newest records come first; on a terminal the newest belong at the bottom, where the eye is.
        let mut records = Vec::new();
        while let Some(line) = lines.next().await? {
            records.push(paint(line));
        }
        let newest_first = args.limit > 0 && !args.query.contains('|');
        let found = records.len();
        let ordered: Box<dyn Iterator<Item = String>> = if newest_first {
            Box::new(records.into_iter().rev())
        } else {
            Box::new(records.into_iter())
        };
        for record in ordered {
            if !write_line(&mut out, record.as_bytes())? {
                break;
            }
        }
        if found == 0 {
            eprintln!(
                "nothing found since {}: try a longer --since, or `rookery ledger` to see what is collected",
                args.since
            );
        } else if found == args.limit {
            eprintln!("the newest {found}; more with -n");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// `rookery tail`
pub(crate) fn tail(args: &TailArgs) -> Result<ExitCode> {
    let parameters = [("query", args.query.as_str()), ("start_offset", args.since.as_str())];
    block_on(async {
        let mut lines = client::get(&args.server.url, "/select/logsql/tail", &parameters).await?;
        let raw = args.json || !io::stdout().is_terminal();
        while let Some(line) = lines.next().await? {
            if line.is_empty() {
                continue;
            }
            let painted = if raw { line.to_vec() } else { paint(line).into_bytes() };
            let mut out = io::stdout().lock();
            if !write_line(&mut out, &painted)? {
                break;
            }
            out.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// `rookery ledger`
pub(crate) fn ledger(args: &LedgerArgs) -> Result<ExitCode> {
    block_on(async {
        let mut lines = client::get(&args.server.url, "/api/ledger", &[]).await?;
        let mut text = Vec::new();
        while let Some(line) = lines.next().await? {
            text.extend_from_slice(line);
        }
        let answer: Value =
            serde_json::from_slice(&text).context("the answer of /api/ledger is not JSON")?;
        let balanced = answer["balanced"].as_bool().unwrap_or(false);
        let mut out = io::stdout().lock();
        if args.json {
            out.write_all(&text)?;
            out.write_all(b"\n")?;
        } else {
            print_ledger(&mut out, &answer)?;
        }
        Ok(if balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

const SUMS: [&str; 6] = ["read", "in_flight", "stored", "duplicates", "shed", "lost"];

fn print_ledger(out: &mut impl Write, answer: &Value) -> Result<()> {
    writeln!(out, "{:>14} {:>18} {:>14}", "", "bytes", "records")?;
    for name in SUMS {
        let sum = &answer["totals"][name];
        writeln!(out, "{name:>14} {:>18} {:>14}", sum["bytes"], sum["records"])?;
    }
    let streams = answer["streams"].as_array().map_or(&[][..], Vec::as_slice);
    for stream in streams {
        let events = stream["events"].as_array().map_or(&[][..], Vec::as_slice);
        let balanced = stream["balanced"].as_bool().unwrap_or(false);
        if events.is_empty() && balanced {
            continue;
        }
        writeln!(
            out,
            "\n{} {}",
            stream["stream"].as_str().unwrap_or(""),
            stream["tags"].as_str().unwrap_or("")
        )?;
        if let Some(why) = stream["why"].as_str() {
            writeln!(out, "  does not balance: {why}")?;
        }
        for event in events {
            let text = |name: &str| event[name].as_str().unwrap_or("").to_owned();
            writeln!(
                out,
                "  {} {} ({}): {} bytes, {}..{} of generation {}",
                text("at"),
                text("fate"),
                text("reason"),
                event["bytes"],
                event["start"],
                event["end"],
                text("generation"),
            )?;
        }
    }
    let verdict = if answer["balanced"].as_bool() == Some(true) {
        "the sums balance"
    } else {
        "the sums DO NOT balance"
    };
    writeln!(out, "\n{} streams; {verdict}", streams.len())?;
    Ok(())
}

/// Writes a line; false when nobody reads any more, which ends the command quietly.
fn write_line(out: &mut impl Write, line: &[u8]) -> Result<bool> {
    match out.write_all(line).and_then(|()| out.write_all(b"\n")) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write the answer"),
    }
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(future)
}

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// A record for a terminal: time, level, where, message; a row of a table as `name=value`.
fn paint(line: &[u8]) -> String {
    let Ok(record) = serde_json::from_slice::<Map<String, Value>>(line) else {
        return printable(&String::from_utf8_lossy(line));
    };
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("");
    let Some(message) = record.get("_msg").and_then(Value::as_str) else {
        let cells = record.iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{DIM}{name}={RESET}{}", printable(&value))
        });
        return cells.collect::<Vec<_>>().join(" ");
    };
    let level = text("level");
    let color = match level {
        "fatal" => "\x1b[1;31m",
        "error" => "\x1b[31m",
        "warn" => "\x1b[33m",
        "info" => "\x1b[32m",
        _ => DIM,
    };
    let place = match (text("pod"), text("_path")) {
        ("", path) => path.to_owned(),
        (pod, _) => format!("{}/{pod}/{}", text("namespace"), text("container")),
    };
    format!(
        "{DIM}{:<30}{RESET} {color}{level:<5}{RESET} {DIM}{}{RESET} {}",
        text("_time"),
        printable(&place),
        printable(message)
    )
}

/// What comes out of a log may not steer the terminal: control characters but tab and newline are shown, not sent.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_cannot_steer_the_terminal() {
        let painted = paint(br#"{"_time":"t","_msg":"a\u001b[2Jb","level":"error","_path":"/x"}"#);
        assert!(painted.contains("a\\u{1b}[2Jb"), "{painted}");
        assert!(painted.contains("\x1b[31merror"), "{painted}");
    }

    #[test]
    fn a_row_of_a_table_is_shown_by_its_cells() {
        assert_eq!(paint(br#"{"n":"5"}"#), format!("{DIM}n={RESET}5"));
    }
}
