{{/*
The configuration files, one a role. What the values say under `config` goes before what the chart sets. Passwords are not in them: they
come by environment or as files from Secrets.
*/}}

{{- define "rookery.config.kafka" -}}
{{- $kafka := dict "brokers" .Values.kafka.brokers "topic" .Values.kafka.topic "group" .Values.kafka.group -}}
{{- with .Values.kafka.tls -}}
{{- if .enabled -}}
{{- $tls := dict "enabled" true -}}
{{- if .existingSecret -}}{{- $_ := set $tls "ca_file" "/etc/rookery/kafka-tls/ca.crt" -}}{{- end -}}
{{- if .clientCertificate -}}
{{- $_ := set $tls "certificate_file" "/etc/rookery/kafka-tls/tls.crt" -}}
{{- $_ := set $tls "key_file" "/etc/rookery/kafka-tls/tls.key" -}}
{{- end -}}
{{- $_ := set $kafka "tls" $tls -}}
{{- end -}}
{{- end -}}
{{- mustMergeOverwrite $kafka (deepCopy .Values.kafka.config) | toYaml -}}
{{- end -}}

{{- define "rookery.config.clickhouse" -}}
{{- $section := pick .Values.clickhouse "url" "database" "user" "engine" -}}
{{- if .Values.clickhouse.cluster -}}{{- $_ := set $section "cluster" .Values.clickhouse.cluster -}}{{- end -}}
{{- if .Values.clickhouse.caSecret -}}{{- $_ := set $section "ca_file" "/etc/rookery/clickhouse-ca/ca.crt" -}}{{- end -}}
{{- if .Values.clickhouse.existingSecret -}}{{- $_ := set $section "password_file" "/etc/rookery/clickhouse/password" -}}{{- end -}}
{{- mustMergeOverwrite $section (deepCopy .Values.clickhouse.config) | toYaml -}}
{{- end -}}

{{- define "rookery.config.common" -}}
listen: {{ printf "%s:%v" .Values.listen.address .Values.listen.port | quote }}
log: {{ .Values.log | quote }}
{{- end -}}

{{/* (list root component) */}}
{{- define "rookery.config" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := $root.Values -}}
{{- $config := include "rookery.config.common" $root | fromYaml -}}
{{- if has $component (list "collector" "ingester" "receiver") -}}
{{- $_ := set $config "kafka" (include "rookery.config.kafka" $root | fromYaml) -}}
{{- end -}}
{{- if has $component (list "ingester" "query" "migrate") -}}
{{- $_ := set $config "clickhouse" (include "rookery.config.clickhouse" $root | fromYaml) -}}
{{- end -}}
{{- $own := dict -}}
{{- if eq $component "collector" -}}
{{- $own = $values.collector.config -}}
{{- $spool := dict "limit" $values.collector.spoolLimit -}}
{{- if $values.collector.hardLinks -}}{{- $_ := set $spool "directory" "/var/log/rookery/spool" -}}{{- end -}}
{{- $_ := set $config "collector" (dict "cluster" $values.cluster "state_dir" $values.collector.stateDirectory "spool" $spool "pods" (dict "directory" "/var/log/pods")) -}}
{{- else if eq $component "receiver" -}}
{{- $own = $values.receiver.config -}}
{{- $_ := set $config "data_dir" "/var/lib/rookery" -}}
{{- $section := dict -}}
{{- if $values.receiver.otlpGrpc.enabled -}}
{{- $_ := set $section "otlp_grpc_listen" (printf "%s:%v" $values.listen.address $values.receiver.otlpGrpc.port) -}}
{{- end -}}
{{- if $values.receiver.syslog.enabled -}}
{{- $address := printf "%s:%v" $values.listen.address $values.receiver.syslog.port -}}
{{- $_ := set $section "syslog" (dict "tcp" $address "udp" $address "allow_from" $values.receiver.syslog.allowFrom) -}}
{{- end -}}
{{- if $section -}}{{- $_ := set $config "receiver" $section -}}{{- end -}}
{{- else if eq $component "standalone" -}}
{{- $own = $values.standalone.config -}}
{{- $_ := set $config "data_dir" "/var/lib/rookery" -}}
{{- $collector := dict "cluster" $values.cluster -}}
{{- if $values.standalone.podLogs -}}{{- $_ := set $collector "pods" (dict "directory" "/var/log/pods") -}}{{- end -}}
{{- $_ := set $config "collector" $collector -}}
{{- else if eq $component "ingester" -}}
{{- $own = $values.ingester.config -}}
{{- else if eq $component "query" -}}
{{- $own = $values.query.config -}}
{{- else if eq $component "migrate" -}}
{{- $own = dict -}}
{{- end -}}
{{- mustMergeOverwrite $config (deepCopy $own) | toYaml -}}
{{- end -}}

{{/* The ConfigMap of a component: (list root component). */}}
{{- define "rookery.configMap" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "rookery.fullname" $root }}-{{ $component }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "rookery.labels" . | nindent 4 }}
data:
  rookery.yaml: |
    {{- include "rookery.config" . | nindent 4 }}
{{- end -}}
