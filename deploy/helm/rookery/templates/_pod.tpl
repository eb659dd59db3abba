{{/*
The parts of a pod that all components share. Each takes (list root component values), where values are those of the component.
*/}}

{{- define "rookery.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
annotations:
  # Another configuration is another pod.
  checksum/config: {{ include "rookery.config" (list $root (index . 1)) | sha256sum }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
labels:
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  # Not the chart's version: a chart that changes nothing for a pod does not replace it.
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  app.kubernetes.io/part-of: rookery
  {{- include "rookery.selector" (list $root (index . 1)) | nindent 2 }}
{{- end -}}

{{/* Whether the component reads the kubelet's log files, which belong to root. */}}
{{- define "rookery.readsHost" -}}
{{- $root := index . 0 -}}
{{- if or (eq (index . 1) "collector") (and (eq (index . 1) "standalone") $root.Values.standalone.podLogs) -}}yes{{- end -}}
{{- end -}}

{{- define "rookery.podSpec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- if ne $component "migrate" }}
{{- /* The Job runs before the release's own account is there. */}}
serviceAccountName: {{ include "rookery.serviceAccount" $root }}
{{- end }}
# Nothing asks the Kubernetes API: what is known of a pod is in the path of its log. So there is no token, and there are no roles.
automountServiceAccountToken: false
# The variables that services would put here begin with ROOKERY_ too, and would be taken for configuration.
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- if include "rookery.readsHost" . }}
  # The owner of the kubelet's log files; see the container for what it may not do.
  runAsNonRoot: false
  runAsUser: 0
  runAsGroup: 0
  {{- else }}
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
  {{- with $values.seLinuxOptions }}
  seLinuxOptions:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "rookery.spread" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
topologySpreadConstraints:
  {{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "rookery.selector" (list $root (index $ 1)) | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "rookery.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    {{- with (index . 2).capabilities }}
    add: {{ toJson . }}
    {{- end }}
{{- end -}}

{{- define "rookery.probes" -}}
# Healthy while it waits for Kafka or ClickHouse; ready when it could do its work.
startupProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
livenessProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* What comes by environment: names of pods and nodes, and the user of Kafka. */}}
{{- define "rookery.env" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- $sasl := $root.Values.kafka.sasl -}}
{{- if has $component (list "collector" "standalone") }}
- name: ROOKERY_COLLECTOR_NODE
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
{{- end }}
{{- if eq $component "ingester" }}
# A name that stays: a pod that comes back within the session's time keeps its partitions.
- name: ROOKERY_KAFKA_GROUP_INSTANCE_ID
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- end }}
{{- if and $sasl.enabled (has $component (list "collector" "ingester" "receiver")) }}
{{- $secret := default $sasl.existingSecret $values.kafkaSecret | required "kafka.sasl.enabled needs kafka.sasl.existingSecret: the name of a Secret with the user's name and password" }}
- name: ROOKERY_KAFKA_SASL_MECHANISM
  value: {{ $sasl.mechanism | quote }}
- name: ROOKERY_KAFKA_SASL_USERNAME
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ $sasl.usernameKey }} } }
- name: ROOKERY_KAFKA_SASL_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ $sasl.passwordKey }} } }
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rookery.mounts" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
- { name: config, mountPath: /etc/rookery/rookery.yaml, subPath: rookery.yaml, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- if eq $component "receiver" }}
- { name: data, mountPath: /var/lib/rookery }
{{- end }}
{{- if and $root.Values.kafka.tls.existingSecret (has $component (list "collector" "ingester" "receiver")) }}
- { name: kafka-tls, mountPath: /etc/rookery/kafka-tls, readOnly: true }
{{- end }}
{{- if and $root.Values.clickhouse.existingSecret (has $component (list "ingester" "query" "migrate")) }}
- { name: clickhouse, mountPath: /etc/rookery/clickhouse, readOnly: true }
{{- end }}
{{- if and $root.Values.clickhouse.caSecret (has $component (list "ingester" "query" "migrate")) }}
- { name: clickhouse-ca, mountPath: /etc/rookery/clickhouse-ca, readOnly: true }
{{- end }}
{{- end -}}

{{/* A mode of 288 is 0440: the group may read, which is the pod's. */}}
{{- define "rookery.volumes" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
- name: config
  configMap: { name: {{ include "rookery.fullname" $root }}-{{ $component }} }
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- if eq $component "receiver" }}
# Its last generation and its place in the topic, over restarts of the container. Another pod begins with the time, which is later.
- name: data
  emptyDir: { sizeLimit: 16Mi }
{{- end }}
{{- if and $root.Values.kafka.tls.existingSecret (has $component (list "collector" "ingester" "receiver")) }}
- name: kafka-tls
  secret: { secretName: {{ $root.Values.kafka.tls.existingSecret }}, defaultMode: 288 }
{{- end }}
{{- if and $root.Values.clickhouse.existingSecret (has $component (list "ingester" "query" "migrate")) }}
- name: clickhouse
  secret:
    secretName: {{ $root.Values.clickhouse.existingSecret }}
    defaultMode: 288
    items: [{ key: {{ $root.Values.clickhouse.passwordKey }}, path: password }]
{{- end }}
{{- if and $root.Values.clickhouse.caSecret (has $component (list "ingester" "query" "migrate")) }}
- name: clickhouse-ca
  secret: { secretName: {{ $root.Values.clickhouse.caSecret }}, defaultMode: 288, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end -}}

{{/* The container: (list root component values image mounts ports), the last two as YAML text. */}}
{{- define "rookery.container" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
- name: rookery
  image: {{ include "rookery.image" (list $root (index . 3)) | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  args: [{{ $component }}, --config, /etc/rookery/rookery.yaml]
  {{- with include "rookery.env" (list $root $component $values) | trim }}
  env:
    {{- . | nindent 4 }}
  {{- end }}
  ports:
    - { name: http, containerPort: {{ $root.Values.listen.port }}, protocol: TCP }
    {{- with index . 5 }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- include "rookery.probes" . | nindent 2 }}
  resources:
    {{- toYaml $values.resources | nindent 4 }}
  {{- include "rookery.containerSecurity" . | nindent 2 }}
  volumeMounts:
    {{- include "rookery.mounts" (list $root $component) | nindent 4 }}
    {{- with index . 4 }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}
