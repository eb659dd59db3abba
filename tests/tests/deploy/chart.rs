//! The Helm chart, rendered by Helm with each of its example values, and looked at object by object.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};
use rookery_tests::kit::process::{self, binary_with_tls};
use serde_json::{Value, json};

use super::tools::{at, check, documents, helm, list, printed, repository, succeeded};

/// The oldest Kubernetes that the chart is for, and the newest whose schemas are at hand.
const KUBERNETES: [&str; 2] = ["1.27.0", "1.37.0"];

/// Where a pod lies in what makes pods.
const POD: &str = "/spec/template/spec";

fn chart() -> PathBuf {
    repository("deploy/helm/rookery")
}

/// The example values: name and file.
fn examples() -> Result<Vec<(String, PathBuf)>> {
    let mut examples = Vec::new();
    for entry in fs::read_dir(chart().join("ci"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.strip_suffix("-values.yaml").context("files are NAME-values.yaml")?;
        examples.push((name.to_owned(), path));
    }
    examples.sort();
    Ok(examples)
}

fn template(arguments: &[&str]) -> Result<Output> {
    let chart = chart();
    let chart = chart.to_str().context("the path is text")?;
    let mut all = vec!["template", "logs", chart, "--namespace", "logging"];
    all.extend(["--kube-version", KUBERNETES[1]]);
    all.extend_from_slice(arguments);
    helm(&all)
}

/// The objects that some values make.
fn rendered(arguments: &[&str]) -> Result<Vec<Value>> {
    documents(&succeeded(&template(arguments)?)?)
}

/// The objects of an example, and its name.
type Example = (String, Vec<Value>);

/// The objects of every example; rendered once for all tests.
fn all() -> Result<&'static [Example]> {
    static ALL: OnceLock<Result<Vec<Example>, String>> = OnceLock::new();
    let all = ALL.get_or_init(|| render_all().map_err(|error| format!("{error:#}")));
    all.as_deref().map_err(|error| anyhow!("{error}"))
}

fn render_all() -> Result<Vec<Example>> {
    let mut all = Vec::new();
    for (name, file) in examples()? {
        let objects = rendered(&["--values", file.to_str().context("the path is text")?]);
        all.push((name.clone(), objects.with_context(|| format!("render {name}"))?));
    }
    Ok(all)
}

/// The objects of one example.
fn example(name: &str) -> Result<&'static [Value]> {
    let found = all()?.iter().find(|(known, _)| known == name);
    Ok(&found.with_context(|| format!("there is an example {name}"))?.1)
}

/// What an object is, for a message.
fn called(object: &Value) -> String {
    format!("{} {}", at(object, "/kind"), at(object, "/metadata/name"))
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// The object with that kind and the end of its name.
fn one<'a>(objects: &'a [Value], kind: &str, end: &str) -> &'a Value {
    let mut found = objects
        .iter()
        .filter(|object| object["kind"] == kind && at(object, "/metadata/name").ends_with(end));
    let object = found.next().unwrap_or_else(|| panic!("there is no {kind} {end}"));
    assert!(found.next().is_none(), "there are several {kind} {end}");
    object
}

/// Everything that makes pods.
fn workloads(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|object| object.pointer(POD).is_some())
}

/// Whether a selector's labels are among the labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().into_iter().flatten();
    wanted.into_iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[test]
fn helm_lints_the_chart_without_a_word_with_every_example() -> Result<()> {
    let chart = chart();
    for (name, file) in examples()? {
        let file = file.to_str().context("the path is text")?;
        let chart = chart.to_str().context("the path is text")?;
        let arguments =
            ["lint", "--strict", "--quiet", "--kube-version", KUBERNETES[1], "--values"];
        let arguments: Vec<&str> = arguments.into_iter().chain([file, chart]).collect();
        let output = helm(&arguments)?;
        assert!(output.status.success(), "{name}: {}", printed(&output));
    }
    Ok(())
}

#[test]
fn every_object_is_one_that_kubernetes_takes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for (name, objects) in all()? {
        // The Prometheus operator's are no part of Kubernetes, and have no schema here.
        let own =
            |object: &&Value| !at(object, "/apiVersion").starts_with("monitoring.coreos.com/");
        let mut text = String::new();
        for object in objects.iter().filter(own) {
            text.push_str(&format!("---\n{}", serde_yaml_ng::to_string(object)?));
        }
        files.push(folder.path().join(format!("{name}.yaml")));
        fs::write(&files[files.len() - 1], text)?;
    }
    for version in KUBERNETES {
        let output = validate(version, &files)?;
        assert!(output.status.success(), "on {version}: {}", printed(&output));
    }
    let wrong = folder.path().join("wrong.yaml");
    fs::write(&wrong, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {portz: []}\n")?;
    let output = validate(KUBERNETES[1], &[wrong])?;
    assert!(!output.status.success(), "the validator finds nothing");
    Ok(())
}

/// What Kubernetes' schemas say of files; an unknown key is wrong too.
fn validate(version: &str, files: &[PathBuf]) -> Result<Output> {
    let mut command = check("python")?;
    command.args(["-m", "kubernetes_validate", "--strict", "--quiet", "-k", version]);
    command.args(files).output().context("run kubernetes_validate")
}

#[test]
fn values_that_are_wrong_are_refused_with_their_place() -> Result<()> {
    let cases: &[(&[&str], &str)] = &[
        (&["query.replica=3"], "at '/query': additional properties 'replica' not allowed"),
        (&["mode=cluster"], "at '/mode'"),
        (&["kafka.brokers={kafka}"], "at '/kafka/brokers/0'"),
        (&["kafka.sasl.password=secret"], "additional properties 'password' not allowed"),
        (&["kafka.config.sasl.password=secret"], "at '/kafka/config/sasl'"),
        (&["ingester.config.clickhouse.password=secret"], "'/ingester/config/clickhouse/password'"),
        (&["clickhouse.url=http://user:secret@clickhouse:8123"], "at '/clickhouse/url'"),
        (&["clickhouse.engine=replicated"], "at '/clickhouse/cluster'"),
        (&["collector.hostLogs={var/log/}"], "at '/collector/hostLogs/0'"),
        (&["collector.capabilities={SYS_ADMIN}"], "at '/collector/capabilities/0'"),
        (&["collector.spoolLimit=1Gi"], "at '/collector/spoolLimit'"),
        (&["query.terminationGracePeriodSeconds=1"], "'/query/terminationGracePeriodSeconds'"),
        (&["receiver.syslog.enabled=true"], "at '/receiver/syslog/allowFrom'"),
        (&["ingress.enabled=true"], "at '/ingress/hosts'"),
        (&["kafka.sasl.enabled=true"], "kafka.sasl.enabled needs kafka.sasl.existingSecret"),
        (&["monitoring.serviceMonitor.enabled=true"], "needs networkPolicy.metricsFrom"),
    ];
    for (values, says) in cases {
        let arguments: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        let output = template(&arguments)?;
        assert!(!output.status.success(), "{values:?} is taken");
        let text = printed(&output);
        assert!(text.contains(says), "{values:?}: {text}");
    }
    Ok(())
}

#[test]
fn every_value_of_the_chart_is_in_its_schema_with_the_defaults_right() -> Result<()> {
    let read = |name: &str| fs::read_to_string(chart().join(name));
    let schema: Value = serde_json::from_str(&read("values.schema.json")?)?;
    let values = documents(&read("values.yaml")?)?.pop().context("values are one document")?;
    let mut open = Vec::new();
    closed(&schema, &schema, &values, "", &mut open);
    // Only what goes to Kubernetes or to Rookery as it is takes any key.
    for place in open {
        let free = ["config", "affinity", "annotations", "Annotations", "Labels", "labels"];
        let end = place.rsplit('.').next().unwrap_or_default();
        let is_free = free.iter().any(|word| end.ends_with(word))
            || ["nodeSelector", "seLinuxOptions", "requests", "limits"].contains(&end);
        assert!(is_free, "{place} takes any key");
    }
    Ok(())
}

/// Walks values beside their schema; notes where the schema takes any key, and panics where it does not know one of ours.
fn closed(root: &Value, schema: &Value, values: &Value, place: &str, open: &mut Vec<String>) {
    let name = at(schema, "/$ref").trim_start_matches('#');
    let schema = if name.is_empty() { schema } else { root.pointer(name).expect("it is defined") };
    let Some(values) = values.as_object() else { return };
    if schema["additionalProperties"] != false {
        open.push(place.to_owned());
        return;
    }
    for (key, value) in values {
        let below = &schema["properties"][key];
        assert!(!below.is_null(), "{place}.{key} is not in the schema");
        closed(root, below, value, &format!("{place}.{key}"), open);
    }
}

#[test]
fn no_container_may_write_its_root_or_gain_what_it_does_not_have() -> Result<()> {
    for (name, objects) in all()? {
        assert!(workloads(objects).count() > 0, "{name} has workloads");
        for object in workloads(objects) {
            let what = format!("{name}: {}", called(object));
            let pod = object.pointer(POD).context("it makes pods")?;
            for place in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
                assert!(pod[place].is_null(), "{what} has {place}");
            }
            assert_eq!(pod["automountServiceAccountToken"], false, "{what}");
            // A Service named rookery-query would set ROOKERY_QUERY_PORT.
            assert_eq!(pod["enableServiceLinks"], false, "{what}");
            assert_eq!(at(pod, "/securityContext/seccompProfile/type"), "RuntimeDefault", "{what}");
            let reads_host = list(pod, "/volumes").iter().any(|v| !v["hostPath"].is_null());
            assert_eq!(pod["securityContext"]["runAsNonRoot"], !reads_host, "{what}");
            for container in list(pod, "/containers") {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"], true, "{what}");
                assert_eq!(security["allowPrivilegeEscalation"], false, "{what}");
                assert_eq!(security["privileged"], false, "{what}");
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{what}");
                let added = list(security, "/capabilities/add");
                let expected: &[&str] = if name == "everything" && what.contains("collector") {
                    &["DAC_READ_SEARCH"]
                } else {
                    &[]
                };
                assert_eq!(added, expected, "{what}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{what}");
                assert!(!container["resources"]["requests"].is_null(), "{what}");
            }
        }
    }
    Ok(())
}

#[test]
fn what_a_role_keeps_lies_on_a_volume_that_it_may_write() -> Result<()> {
    let mut seen = BTreeSet::new();
    for (name, objects) in all()? {
        for object in workloads(objects).filter(|object| object["kind"] != "Job") {
            let container = &list(object, "/spec/template/spec/containers")[0];
            let role = at(container, "/args/0");
            let place = match role {
                "collector" => "/collector/state_dir",
                "receiver" | "standalone" => "/data_dir",
                _ => continue,
            };
            let config = documents(&configuration(objects, object)?)?.remove(0);
            let kept = at(&config, place);
            assert!(kept.starts_with('/'), "{name}: {role} names no folder in {place}");
            let mounts = list(container, "/volumeMounts").iter();
            let mount = mounts.filter(|mount| Path::new(kept).starts_with(at(mount, "/mountPath")));
            let mount = mount.max_by_key(|mount| at(mount, "/mountPath").len());
            let mount =
                mount.with_context(|| format!("{name}: {role} has no volume for {kept}"))?;
            assert!(mount["readOnly"] != true, "{name}: {role} may not write {kept}");
            seen.insert(role);
        }
    }
    assert_eq!(seen, BTreeSet::from(["collector", "receiver", "standalone"]));
    Ok(())
}

#[test]
fn whatever_serves_is_probed_where_the_binary_answers() -> Result<()> {
    for (name, objects) in all()? {
        for object in workloads(objects).filter(|object| object["kind"] != "Job") {
            for container in list(object, "/spec/template/spec/containers") {
                let what = format!("{name}: {}", called(object));
                assert_eq!(at(container, "/startupProbe/httpGet/path"), "/healthz", "{what}");
                assert_eq!(at(container, "/livenessProbe/httpGet/path"), "/healthz", "{what}");
                assert_eq!(at(container, "/readinessProbe/httpGet/path"), "/readyz", "{what}");
                let port = list(container, "/ports").iter().find(|port| port["name"] == "http");
                let port = &port.context("there is a port http")?["containerPort"];
                let config = configuration(objects, object)?;
                let listen = documents(&config)?.remove(0)["listen"].clone();
                assert!(listen.as_str().unwrap_or_default().ends_with(&format!(":{port}")));
            }
        }
    }
    Ok(())
}

#[test]
fn hosts_logs_are_mounted_read_only_unless_hard_links_are_wanted() -> Result<()> {
    for (name, objects) in all()? {
        for object in workloads(objects) {
            let pod = object.pointer(POD).context("it makes pods")?;
            for volume in list(pod, "/volumes").iter().filter(|v| !v["hostPath"].is_null()) {
                let path = at(volume, "/hostPath/path");
                let mounts = list(pod, "/containers/0/volumeMounts");
                let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]);
                let mount = mount.with_context(|| format!("{path} is mounted"))?;
                assert_eq!(
                    at(mount, "/mountPath"),
                    path,
                    "links lead to where they lead on the host"
                );
                let may_write = path == "/var/lib/rookery/collector"
                    || (name == "everything" && path == "/var/log");
                assert_eq!(mount["readOnly"] != true, may_write, "{name}: {path}");
            }
        }
    }
    // Linux links only within one mount: with hard links there is one for all of /var/log, the spool in it and none inside of it.
    let objects = rendered(&["--set", "collector.hardLinks=true"])?;
    let collector = one(&objects, "DaemonSet", "-collector");
    let mounts = list(collector, "/spec/template/spec/containers/0/volumeMounts");
    let below: Vec<&str> = mounts.iter().map(|mount| at(mount, "/mountPath")).collect();
    let logs: Vec<_> = below.iter().filter(|path| path.starts_with("/var/log")).collect();
    assert_eq!(logs, [&"/var/log"]);
    let config = documents(&configuration(&objects, collector)?)?.remove(0);
    assert!(at(&config, "/collector/spool/directory").starts_with("/var/log/"));
    Ok(())
}

#[test]
fn the_collector_runs_on_every_node_from_the_lean_image() -> Result<()> {
    let objects = rendered(&[])?;
    let collector = one(&objects, "DaemonSet", "-collector");
    assert_eq!(
        collector.pointer("/spec/template/spec/tolerations"),
        Some(&json!([{"operator": "Exists"}]))
    );
    assert_eq!(at(collector, "/spec/updateStrategy/rollingUpdate/maxUnavailable"), "10%");
    let container = &list(collector, "/spec/template/spec/containers")[0];
    assert!(at(container, "/image").starts_with("rookery-collector:"));
    let node = list(container, "/env").iter().find(|v| v["name"] == "ROOKERY_COLLECTOR_NODE");
    assert_eq!(
        at(node.context("it knows its node")?, "/valueFrom/fieldRef/fieldPath"),
        "spec.nodeName"
    );

    let digest = format!("sha256:{}", "a".repeat(64));
    let own = rendered(&["--set", &format!("collector.image.digest={digest}")])?;
    let container =
        &list(one(&own, "DaemonSet", "-collector"), "/spec/template/spec/containers")[0];
    assert_eq!(at(container, "/image"), format!("rookery-collector@{digest}"));
    Ok(())
}

#[test]
fn an_ingester_keeps_its_name_and_replicas_are_not_all_disrupted_at_once() -> Result<()> {
    let objects = rendered(&["--set", "receiver.enabled=true"])?;
    let ingester = one(&objects, "StatefulSet", "-ingester");
    let env = list(ingester, "/spec/template/spec/containers/0/env");
    let name = env.iter().find(|v| v["name"] == "ROOKERY_KAFKA_GROUP_INSTANCE_ID");
    assert_eq!(
        at(name.context("it has a name")?, "/valueFrom/fieldRef/fieldPath"),
        "metadata.name"
    );
    let query = one(&objects, "Deployment", "-query");
    assert_eq!(query["spec"]["replicas"], 2);
    assert_eq!(query["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    for name in ["-ingester", "-query", "-receiver"] {
        assert_eq!(one(&objects, "PodDisruptionBudget", name)["spec"]["maxUnavailable"], 1);
    }
    // A budget for a single pod would keep its node from ever being drained.
    let single = rendered(&["--set", "query.replicas=1,ingester.replicas=1"])?;
    assert_eq!(of_kind(&single, "PodDisruptionBudget").count(), 0);
    Ok(())
}

#[test]
fn what_is_selected_exists_and_every_pod_is_shut_in() -> Result<()> {
    for (name, objects) in all()? {
        let labels: Vec<&Value> = workloads(objects)
            .map(|object| &object["spec"]["template"]["metadata"]["labels"])
            .collect();
        for object in objects {
            let selector = match at(object, "/kind") {
                "Service" => &object["spec"]["selector"],
                "PodDisruptionBudget" => &object["spec"]["selector"]["matchLabels"],
                "NetworkPolicy" => &object["spec"]["podSelector"]["matchLabels"],
                _ => continue,
            };
            let found = labels.iter().any(|labels| selects(selector, labels));
            assert!(found, "{name}: {} selects no pod", called(object));
        }
        for object in workloads(objects).filter(|object| object["kind"] != "Job") {
            let own = &object["spec"]["template"]["metadata"]["labels"];
            assert!(selects(&object["spec"]["selector"]["matchLabels"], own), "{name}");
        }
        if name == "minimal" {
            continue;
        }
        let deny = one(objects, "NetworkPolicy", "-deny");
        assert_eq!(deny["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(deny["spec"]["ingress"].is_null() && deny["spec"]["egress"].is_null());
        for labels in labels {
            assert!(selects(&deny["spec"]["podSelector"]["matchLabels"], labels), "{name}");
        }
    }
    Ok(())
}

#[test]
fn only_the_ports_of_kafka_and_clickhouse_are_open_to_the_outside() -> Result<()> {
    let objects = example("secured")?;
    let ports = |policy: &Value| -> BTreeSet<u64> {
        let rules = list(policy, "/spec/egress").iter();
        rules
            .flat_map(|rule| list(rule, "/ports"))
            .filter_map(|port| port["port"].as_u64())
            .collect()
    };
    let expected = [("-common", 53), ("-kafka", 9093), ("-clickhouse", 8443)];
    for (name, port) in expected {
        assert_eq!(ports(one(objects, "NetworkPolicy", name)), BTreeSet::from([port]), "{name}");
    }
    let named = of_kind(objects, "NetworkPolicy").map(|policy| ports(policy).len()).sum::<usize>();
    assert_eq!(named, expected.len(), "no other policy opens a port to the outside");
    // An empty list of peers would be everybody.
    let closed = rendered(&["--set-json", "networkPolicy.pageFrom=[]"])?;
    assert!(
        of_kind(&closed, "NetworkPolicy").all(|policy| list(policy, "/spec/ingress").is_empty())
    );
    Ok(())
}

#[test]
fn secrets_are_named_and_never_contained() -> Result<()> {
    for (name, objects) in all()? {
        assert_eq!(of_kind(objects, "Secret").count(), 0, "{name}");
        for config in of_kind(objects, "ConfigMap") {
            let text = at(config, "/data/rookery.yaml");
            assert!(!text.contains("password:"), "{name}: {}", called(config));
        }
    }
    let objects = example("secured")?;
    let secret = |kind: &str, component: &str, variable: &str| {
        let object = one(objects, kind, component);
        let env = list(object, "/spec/template/spec/containers/0/env");
        let found = env.iter().find(|entry| entry["name"] == variable);
        found.map(|entry| at(entry, "/valueFrom/secretKeyRef/name").to_owned())
    };
    let password = "ROOKERY_KAFKA_SASL_PASSWORD";
    assert_eq!(secret("DaemonSet", "-collector", password).as_deref(), Some("kafka-writer"));
    assert_eq!(secret("StatefulSet", "-ingester", password).as_deref(), Some("kafka-reader"));
    assert_eq!(secret("Deployment", "-query", password), None);
    let config = one(objects, "ConfigMap", "-query");
    let authority = "/etc/rookery/clickhouse-ca/ca.crt";
    assert!(at(config, "/data/rookery.yaml").contains(authority));
    let query = one(objects, "Deployment", "-query").to_string();
    assert!(query.contains("clickhouse-ca"), "{query}");
    // A node holds nothing that opens ClickHouse.
    let mounted = one(objects, "DaemonSet", "-collector").to_string();
    assert!(!mounted.contains("clickhouse"), "{mounted}");
    Ok(())
}

#[test]
fn another_configuration_replaces_pods_and_another_chart_does_not() -> Result<()> {
    let pod = |arguments: &[&str]| -> Result<Value> {
        let objects = rendered(arguments)?;
        Ok(one(&objects, "Deployment", "-query")["spec"]["template"].clone())
    };
    let before = pod(&[])?;
    assert_ne!(before, pod(&["--set", "query.config.query.timeout=9s"])?);
    assert_eq!(before, pod(&["--set", "collector.spoolLimit=2GiB,ingester.replicas=3"])?);
    assert!(!before.to_string().contains("helm.sh/chart"));
    Ok(())
}

/// The configuration file of a workload.
fn configuration(objects: &[Value], workload: &Value) -> Result<String> {
    let volumes = list(workload, "/spec/template/spec/volumes");
    let volume = volumes.iter().find(|volume| volume["name"] == "config");
    let name = at(volume.context("it has a configuration")?, "/configMap/name");
    let map = of_kind(objects, "ConfigMap").find(|map| at(map, "/metadata/name") == name);
    Ok(at(map.with_context(|| format!("there is {name}"))?, "/data/rookery.yaml").to_owned())
}

/// What the binary says against a configuration, with these variables; nothing when it takes it.
pub(super) fn refused(file: &Path, variables: &[(String, String)]) -> Result<Option<String>> {
    // As the images have it.
    let mut command = process::command(&binary_with_tls()?);
    command.arg("check-config").arg(file).stdin(Stdio::null());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.output()?;
    let text = printed(&output);
    // A variable that names no key is only warned of.
    let is_right = output.status.success() && !text.contains("names no configuration key");
    Ok((!is_right).then(|| text.trim().to_owned()))
}

/// What the binary says against the configurations of some examples.
fn refusals(wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let mut refusals = Vec::new();
    for (name, objects) in all()?.iter().filter(|(name, _)| wanted(name)) {
        for workload in workloads(objects) {
            let file = folder.path().join(format!("{name}-{}.yaml", called(workload)));
            fs::write(&file, configuration(objects, workload)?)?;
            let env = list(workload, "/spec/template/spec/containers/0/env").iter();
            let ours = env.filter(|entry| at(entry, "/name").starts_with("ROOKERY_"));
            // What comes from pods and Secrets, as it may look: like a number, and like YAML.
            let value = |entry: &Value| match at(entry, "/value") {
                "" if at(entry, "/valueFrom/fieldRef/fieldPath") == "spec.nodeName" => {
                    "1007".into()
                }
                "" => "a: *b".into(),
                text => text.to_owned(),
            };
            let variables: Vec<_> =
                ours.map(|entry| (at(entry, "/name").to_owned(), value(entry))).collect();
            refusals.extend(refused(&file, &variables)?);
        }
    }
    if folder.path().read_dir()?.next().is_none() {
        bail!("no example was looked at");
    }
    Ok(refusals)
}

#[test]
fn the_binary_takes_every_configuration_of_a_fleet() -> Result<()> {
    let refusals = refusals(|name| name != "standalone")?;
    assert!(refusals.is_empty(), "{}", refusals.join("\n"));
    Ok(())
}

#[test]
fn the_binary_takes_the_configuration_of_a_single_pod() -> Result<()> {
    let refusals = refusals(|name| name == "standalone")?;
    assert!(refusals.is_empty(), "{}", refusals.join("\n"));
    Ok(())
}
