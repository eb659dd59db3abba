{{/*
The objects of ingester, query and receiver: (list root component values kind ports), with kind Deployment or StatefulSet.
*/}}
{{- define "rookery.replicated" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $values := index . 2 -}}
{{- $kind := index . 3 -}}
{{- $component := list $root $name $values -}}
{{ include "rookery.configMap" (list $root $name) }}
---
apiVersion: apps/v1
kind: {{ $kind }}
metadata:
  name: {{ include "rookery.fullname" $root }}-{{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "rookery.labels" (list $root $name) | nindent 4 }}
spec:
  replicas: {{ int $values.replicas }}
  {{- if eq $kind "StatefulSet" }}
  serviceName: {{ include "rookery.fullname" $root }}-pods
  # The pods do not wait for each other; one after the other they are replaced.
  podManagementPolicy: Parallel
  {{- else }}
  strategy:
    type: RollingUpdate
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
  {{- end }}
  selector:
    matchLabels:
      {{- include "rookery.selector" (list $root $name) | nindent 6 }}
  template:
    metadata:
      {{- include "rookery.podMetadata" $component | nindent 6 }}
    spec:
      {{- include "rookery.podSpec" $component | trim | nindent 6 }}
      {{- include "rookery.spread" $component | nindent 6 }}
      containers:
        {{- include "rookery.container" (list $root $name $values dict "" (index . 4)) | nindent 8 }}
      volumes:
        {{- include "rookery.volumes" (list $root $name) | nindent 8 }}
{{- if and $root.Values.podDisruptionBudget.enabled (gt (int $values.replicas) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "rookery.fullname" $root }}-{{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "rookery.labels" (list $root $name) | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "rookery.selector" (list $root $name) | nindent 6 }}
{{- end }}
{{- end -}}
