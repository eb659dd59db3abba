{{/* The receiver's ports beside the main one, as entries of a container, or of a Service with `targetPort`. */}}
{{- define "rookery.receiverPorts" -}}
{{- $receiver := .Values.receiver -}}
{{- $ports := list -}}
{{- if $receiver.otlpGrpc.enabled -}}
{{- $ports = append $ports (dict "name" "otlp-grpc" "containerPort" (int $receiver.otlpGrpc.port) "protocol" "TCP") -}}
{{- end -}}
{{- if $receiver.syslog.enabled -}}
{{- $ports = append $ports (dict "name" "syslog-tcp" "containerPort" (int $receiver.syslog.port) "protocol" "TCP") -}}
{{- $ports = append $ports (dict "name" "syslog-udp" "containerPort" (int $receiver.syslog.port) "protocol" "UDP") -}}
{{- end -}}
{{- if $ports -}}{{- toYaml $ports -}}{{- end -}}
{{- end -}}
