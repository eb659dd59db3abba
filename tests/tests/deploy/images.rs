//! The image file and the compose file.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::tools::{at, check, list, printed, repository, succeeded};

const CONTAINERFILE: &str = "deploy/Containerfile";

#[test]
fn the_image_file_has_nothing_that_its_linter_complains_about() -> Result<()> {
    let output = check("hadolint")?.arg(repository(CONTAINERFILE)).output()?;
    assert!(output.status.success(), "{}", printed(&output));
    Ok(())
}

#[test]
fn images_are_built_by_the_toolchain_of_the_repository_and_run_as_nobody_special() -> Result<()> {
    let text = fs::read_to_string(repository(CONTAINERFILE))?;
    let toolchain = fs::read_to_string(repository("rust-toolchain.toml"))?;
    let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = "));
    let version = version.context("rust-toolchain.toml names a channel")?.trim_matches('"');
    assert!(text.contains(&format!("/library/rust:{version}-")), "the builder is not {version}");

    for line in text.lines().filter(|line| line.starts_with("FROM ") && line.contains('/')) {
        let image = line.split_whitespace().nth(1).unwrap_or_default();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()), "{line}: name a version");
    }
    let users = text.lines().filter_map(|line| line.strip_prefix("USER "));
    assert_eq!(users.collect::<Vec<_>>(), ["10001:10001"]);
    let stages = text.lines().filter(|line| line.starts_with("FROM runtime AS "));
    assert_eq!(
        stages.collect::<Vec<_>>(),
        ["FROM runtime AS rookery-collector", "FROM runtime AS rookery"],
        "the whole program is the last stage, which is built when none is named"
    );
    Ok(())
}

#[test]
fn both_lists_of_what_an_image_is_not_built_from_are_the_same() -> Result<()> {
    let [podman, docker] = [".containerignore", "deploy/Containerfile.dockerignore"]
        .map(|path| fs::read_to_string(repository(path)));
    let (podman, docker) = (podman?, docker?);
    assert_eq!(podman, docker);
    for needed in ["Cargo.lock", "dashboards/web/dist", "server"] {
        assert!(!podman.lines().any(|line| line == needed), "{needed} is needed to build");
    }
    // With it rustup fetches what the builder's toolchain lacks of its components, in each stage, and none is needed to build.
    assert!(podman.lines().any(|line| line == "rust-toolchain.toml"));
    Ok(())
}

#[test]
fn every_package_of_the_workspace_reaches_the_build_of_an_image() -> Result<()> {
    let ignored = fs::read_to_string(repository(".containerignore"))?;
    let manifest = fs::read_to_string(repository("Cargo.toml"))?;
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let members = members.context("the workspace has members")?.0.split(',');
    let members: Vec<&str> = members.map(|line| line.trim().trim_matches('"')).collect();
    assert!(members.contains(&"backends/kafka"), "{members:?}");
    for member in members.into_iter().filter(|member| !member.is_empty()) {
        let path = repository(member);
        assert!(path.join("Cargo.toml").is_file(), "{member} is a package");
        // Cargo reads the manifests of all packages, also of those that are not built.
        for pattern in ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let pattern = pattern.trim_matches('/');
            let anywhere = pattern.strip_prefix("**/");
            let covers = anywhere.map_or_else(
                || member == pattern || member.starts_with(&format!("{pattern}/")),
                |name| member.split('/').any(|part| part == name),
            );
            assert!(!covers, "{member} is ignored by {pattern}");
        }
    }
    Ok(())
}

#[test]
fn root_without_its_powers_reaches_what_is_mounted_below_the_data_folder() -> Result<()> {
    let text = fs::read_to_string(repository(CONTAINERFILE))?;
    let made = text.lines().find(|line| line.ends_with(" /var/lib/rookery"));
    let made = made.context("the image has the folder")?;
    let mode = made.split_once("--mode=").and_then(|(_, mode)| mode.split_whitespace().next());
    let mode = u32::from_str_radix(mode.context("it has a mode")?, 8)?;
    assert_eq!(mode & 0o007, 0o001, "others pass, and neither read nor write: {made}");
    Ok(())
}

#[test]
fn no_step_of_the_image_file_waits_for_a_lock() -> Result<()> {
    // Buildah 1.28 does not give back the lock of a step with two caches, and the next that wants it waits for ever.
    assert!(!fs::read_to_string(repository(CONTAINERFILE))?.contains("sharing=locked"));
    Ok(())
}

/// The compose file as Compose itself understands it: anchors merged, variables filled in.
fn compose() -> Result<Value> {
    let mut command = check("docker-compose")?;
    command
        .arg("--file")
        .arg(repository("deploy/compose.yaml"))
        .args(["config", "--format", "json"]);
    let text = succeeded(&command.output()?)?;
    serde_json::from_str(&text).context("the answer of docker-compose")
}

#[test]
fn the_compose_file_is_one_that_compose_takes() -> Result<()> {
    let compose = compose()?;
    let services = compose["services"].as_object().context("it has services")?;
    for name in ["kafka", "topics", "clickhouse", "collector", "ingester", "query"] {
        let service = services.get(name).with_context(|| format!("a service {name}"))?;
        assert!(service["mem_limit"].is_string(), "{name} has a limit of memory");
        let ends = name == "topics";
        assert_eq!(service["healthcheck"].is_object(), !ends, "the health of {name} is asked");
    }
    for name in ["collector", "ingester", "query"] {
        let service = &services[name];
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(at(service, "/command/0"), name);
        assert!(service["depends_on"].is_object(), "{name} waits for what it needs");
        for (on, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert_ne!(how["condition"], "service_started", "{name} waits until {on} is healthy");
        }
    }
    // There is no authentication: nothing is published beyond this machine.
    for (name, service) in services {
        for port in list(service, "/ports") {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name} publishes {port}");
        }
    }
    Ok(())
}

#[test]
fn the_compose_files_configurations_are_taken_by_the_binary() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut wrong = Vec::new();
    for (name, config) in compose()?["configs"].as_object().context("it has configs")? {
        let file = folder.path().join(format!("{name}.yaml"));
        fs::write(&file, at(config, "/content"))?;
        wrong.extend(super::chart::refused(&file, &[])?);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
