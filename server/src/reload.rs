//! SIGHUP: reads the configuration again, and changes what can be changed while the process runs.
//!
//! Each role says which keys it can change, and how. A configuration that is wrong changes nothing; keys that need a new start are named.

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::process::LogControl;

/// Changes something to what the configuration says now.
type Apply = Box<dyn FnMut(&Config) -> Result<()> + Send>;

/// Something that can be changed while the process runs.
pub(crate) struct Change {
    /// The key, or the section, that it is for.
    pub(crate) key: &'static str,
    /// Changes it to what the configuration says now.
    pub(crate) apply: Apply,
}

/// What is reloaded, from where. It hears of nothing yet: see [`Reload::listening`].
pub(crate) struct Reload {
    /// As the process was started.
    started: Config,
    /// As it was last read.
    present: Config,
    read: Box<dyn Fn() -> Result<Config> + Send>,
    changes: Vec<Change>,
}

/// A reload that hears of SIGHUP, also of one that comes before it runs.
pub(crate) struct Listening {
    reload: Reload,
    hangups: Signal,
}

impl Reload {
    /// For a process that runs with `present`, as `read` gave it. How much it says can always be changed.
    pub(crate) fn new(
        present: Config,
        log: LogControl,
        read: impl Fn() -> Result<Config> + Send + 'static,
    ) -> Self {
        let log = Change { key: "log", apply: Box::new(move |config| log.set(&config.log)) };
        Self { started: present.clone(), present, read: Box::new(read), changes: vec![log] }
    }

    /// Hears of SIGHUP from now on. Before anything is announced: a process that does not listen for it is ended by it.
    ///
    /// # Errors
    /// When the operating system does not let us hear of it.
    pub(crate) fn listening(self) -> Result<Listening> {
        let hangups = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
        Ok(Listening { reload: self, hangups })
    }

    /// With another change that the role can make.
    #[must_use]
    fn with(
        mut self,
        key: &'static str,
        apply: impl FnMut(&Config) -> Result<()> + Send + 'static,
    ) -> Self {
        self.changes.push(Change { key, apply: Box::new(apply) });
        self
    }

    /// Reads and changes; says what was changed, and what was not.
    fn reload(&mut self) -> Result<String> {
        let next = (self.read)()?;
        let of = |key: &String| self.changes.iter().position(|change| is_below(key, change.key));
        let mut changed: Vec<usize> =
            differing(&self.present, &next)?.iter().filter_map(of).collect();
        changed.dedup();
        let mut left = differing(&self.started, &next)?;
        left.retain(|key| of(key).is_none());
        for &index in &changed {
            let change = &mut self.changes[index];
            (change.apply)(&next).with_context(|| format!("change `{}`", change.key))?;
        }
        let names: Vec<&str> = changed.iter().map(|&index| self.changes[index].key).collect();
        let mut text = match names.as_slice() {
            [] => "the configuration was read again; nothing was changed".to_owned(),
            names => format!("the configuration was read again; changed: {}", names.join(", ")),
        };
        if !left.is_empty() {
            text += &format!("; these keys need a new start: {}", left.join(", "));
        }
        self.present = next;
        Ok(text)
    }
}

impl Listening {
    /// With another change that the role can make.
    #[must_use]
    pub(crate) fn with(
        self,
        key: &'static str,
        apply: impl FnMut(&Config) -> Result<()> + Send + 'static,
    ) -> Self {
        Self { reload: self.reload.with(key, apply), ..self }
    }

    /// Reloads at every SIGHUP; ends only with the process.
    pub(crate) async fn run(mut self) {
        while self.hangups.recv().await.is_some() {
            match self.reload.reload() {
                Ok(text) => tracing::info!("{text}"),
                Err(error) => {
                    tracing::error!("the configuration stays as it was: {error:#}");
                }
            }
        }
    }
}

fn is_below(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The keys in which two configurations differ.
fn differing(a: &Config, b: &Config) -> Result<Vec<String>> {
    let value = |config| serde_json::to_value(config).context("print the configuration");
    let mut keys = Vec::new();
    compare("", &value(a)?, &value(b)?, &mut keys);
    Ok(keys)
}

fn compare(path: &str, a: &Value, b: &Value, keys: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let missing = &Value::Null;
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(
                    &path,
                    a.get(name).unwrap_or(missing),
                    b.get(name).unwrap_or(missing),
                    keys,
                );
            }
        }
        (a, b) if a == b => {}
        _ => keys.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_can_be_changed_is_changed_and_the_rest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rookery.yaml");
        std::fs::write(&file, "collector: {threads: 5}\nqueue_limit: 1MiB\n").unwrap();
        let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
        let mut reload = Reload {
            started: Config::default(),
            present: Config::default(),
            read: Box::new({
                let file = file.clone();
                move || Config::load(Some(&file))
            }),
            changes: Vec::new(),
        }
        .with("collector", {
            let seen = seen.clone();
            move |config| {
                seen.lock().unwrap().push(config.collector.threads);
                Ok(())
            }
        });
        let text = reload.reload().unwrap();
        assert!(
            text.contains("changed: collector") && text.contains("start: queue_limit"),
            "{text}"
        );
        assert_eq!(*seen.lock().unwrap(), [5]);

        std::fs::write(&file, "collector: {threadz: 7}\n").unwrap();
        assert!(reload.reload().is_err());
        assert_eq!(*seen.lock().unwrap(), [5], "a wrong configuration changes nothing");
    }
}
