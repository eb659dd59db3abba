//! Labels and attributes as columns: the names that agents give to clusters, nodes, namespaces, pods.

use rookery_core::logs::Resource;

/// Names of what has a column. Of several that a record has, the earliest here counts. Sources: OpenTelemetry's semantic conventions for
/// resources (`k8s.*`), ECS as Elastic's agents fill it (`kubernetes.*`, `orchestrator.*`), Fluent Bit's kubernetes filter
/// (`kubernetes.namespace_name` …), and the labels that promtail and Alloy set for Loki.
const NAMES: [(&str, Column); 45] = [
    ("cluster", Column::Cluster),
    ("k8s.cluster.name", Column::Cluster),
    ("orchestrator.cluster.name", Column::Cluster),
    ("cluster_name", Column::Cluster),
    ("node", Column::Node),
    ("k8s.node.name", Column::Node),
    ("kubernetes.node.name", Column::Node),
    ("kubernetes.host", Column::Node),
    ("node_name", Column::Node),
    ("host.name", Column::Node),
    ("host", Column::Node),
    ("project", Column::Project),
    ("namespace", Column::Namespace),
    ("k8s.namespace.name", Column::Namespace),
    ("kubernetes.namespace", Column::Namespace),
    ("kubernetes.namespace_name", Column::Namespace),
    ("kubernetes.pod_namespace", Column::Namespace),
    ("workload", Column::Workload),
    ("k8s.deployment.name", Column::Workload),
    ("k8s.statefulset.name", Column::Workload),
    ("k8s.daemonset.name", Column::Workload),
    ("k8s.cronjob.name", Column::Workload),
    ("k8s.job.name", Column::Workload),
    ("kubernetes.deployment.name", Column::Workload),
    ("kubernetes.statefulset.name", Column::Workload),
    ("kubernetes.daemonset.name", Column::Workload),
    ("pod", Column::Pod),
    ("k8s.pod.name", Column::Pod),
    ("kubernetes.pod.name", Column::Pod),
    ("kubernetes.pod_name", Column::Pod),
    ("pod_name", Column::Pod),
    ("pod_ip", Column::PodIp),
    ("k8s.pod.ip", Column::PodIp),
    ("kubernetes.pod_ip", Column::PodIp),
    ("container", Column::Container),
    ("k8s.container.name", Column::Container),
    ("kubernetes.container.name", Column::Container),
    ("kubernetes.container_name", Column::Container),
    ("container_name", Column::Container),
    ("image", Column::Image),
    ("container.image.name", Column::Image),
    ("_path", Column::Path),
    ("log.file.path", Column::Path),
    ("filename", Column::Path),
    ("kubernetes.container_image", Column::Image),
];

/// A column of [`Resource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Cluster,
    Node,
    Project,
    Namespace,
    Workload,
    Pod,
    PodIp,
    Container,
    Image,
    Path,
}

/// Labels with the names of a resource's own columns fill those too.
pub(crate) fn resource(source: &str, labels: Vec<(String, String)>) -> Resource {
    let value = |column: Column| {
        let names = NAMES.iter().filter(|(_, of)| *of == column);
        let found = names.filter_map(|(name, _)| labels.iter().find(|(label, _)| label == name));
        found.map(|(_, value)| value.clone()).next().unwrap_or_default()
    };
    Resource {
        source: source.into(),
        cluster: value(Column::Cluster),
        node: value(Column::Node),
        project: value(Column::Project),
        namespace: value(Column::Namespace),
        workload: value(Column::Workload),
        pod: value(Column::Pod),
        pod_ip: value(Column::PodIp),
        container: value(Column::Container),
        image: value(Column::Image),
        path: value(Column::Path),
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_every_agent_fill_the_same_columns() {
        let of = |pairs: &[(&str, &str)]| {
            let labels = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let resource = resource("push", labels);
            (resource.namespace, resource.pod, resource.node)
        };
        let expected = ("n".into(), "p".into(), "h".into());
        let agents = [
            [("namespace", "n"), ("pod", "p"), ("node_name", "h")],
            [("k8s.namespace.name", "n"), ("k8s.pod.name", "p"), ("k8s.node.name", "h")],
            [
                ("kubernetes.namespace", "n"),
                ("kubernetes.pod.name", "p"),
                ("kubernetes.node.name", "h"),
            ],
            [
                ("kubernetes.namespace_name", "n"),
                ("kubernetes.pod_name", "p"),
                ("kubernetes.host", "h"),
            ],
        ];
        for agent in agents {
            assert_eq!(of(&agent), expected, "{agent:?}");
        }
        assert_eq!(of(&[("k8s.pod.name", "second"), ("pod", "first")]).1, "first");
    }
}
