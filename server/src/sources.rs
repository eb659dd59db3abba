//! What is collected when nobody says so, and when the flags do.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rookery_collector::CollectorConfig;
use rookery_collector::config::{FilesConfig, PodsConfig};

/// Where the kubelet keeps the logs of pods.
const POD_LOGS: &str = "/var/log/pods";

/// The plain logs of a Linux machine: those that end in `.log`, and those of syslog daemons, whose names have no ending.
const LOGS: [&str; 3] = [
    "/var/log/**/*.log",
    "/var/log/{syslog,messages,secure,maillog,cron}",
    "/var/log/*/{syslog,messages}",
];

/// Not logs, or collected otherwise: containers' logs have a layout of their own, and the rest is binary.
const NOT_LOGS: [&str; 4] = [
    "/var/log/pods/**",
    "/var/log/containers/**",
    "/var/log/journal/**",
    "/var/log/{lastlog,faillog,wtmp,btmp}",
];

/// Collects the logs of this machine, and its pods if it has any.
pub(crate) fn of_this_machine(config: &mut CollectorConfig) {
    let text = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
    config.files = vec![FilesConfig {
        include: text(&LOGS),
        exclude: text(&NOT_LOGS),
        ..FilesConfig::default()
    }];
    if Path::new(POD_LOGS).is_dir() {
        config.pods = Some(PodsConfig::default());
    }
}

/// Collects what the flags say, with the decoding of the configuration, and nothing else.
pub(crate) fn only(
    config: &mut CollectorConfig,
    globs: &[String],
    pods: Option<&Path>,
) -> Result<()> {
    let include = globs.iter().map(|glob| absolute(Path::new(glob))).collect::<Result<Vec<_>>>()?;
    let first = config.files.drain(..).next().unwrap_or_default();
    if !include.is_empty() {
        config.files.push(FilesConfig { include, ..first });
    }
    let configured = config.pods.take();
    if let Some(pods) = pods {
        let directory = PathBuf::from(absolute(pods)?);
        config.pods = Some(PodsConfig { directory, ..configured.unwrap_or_default() });
    }
    Ok(())
}

/// A path or glob of the command line, from the present folder.
fn absolute(path: &Path) -> Result<String> {
    let path =
        std::path::absolute(path).with_context(|| format!("{} is not a path", path.display()))?;
    path.into_os_string().into_string().ok().context("the path is not UTF-8")
}

/// A line for each source, for the start message.
pub(crate) fn describe(config: &CollectorConfig) -> Vec<String> {
    let files = config.files.iter().map(|files| files.include.join(" "));
    let pods = config.pods.iter().map(|pods| format!("{} (pods)", pods.directory.display()));
    files.chain(pods).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_in_place_of_the_configured_sources() {
        let mut config = CollectorConfig::default();
        of_this_machine(&mut config);
        only(&mut config, &["x/*.log".into()], None).unwrap();
        assert!(
            config.files[0].include[0].starts_with('/')
                && config.files[0].include[0].ends_with("/x/*.log")
        );
        assert!(config.pods.is_none());
        config.check().unwrap();
    }

    #[test]
    fn the_defaults_are_right() {
        let mut config = CollectorConfig::default();
        of_this_machine(&mut config);
        config.check().unwrap();
        assert!(!describe(&config).is_empty());
    }
}
