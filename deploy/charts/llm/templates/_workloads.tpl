{{/* Pods with names of their own: by these they announce themselves. */}}
{{- define "tessera-llm.statefulSet" -}}
{{- template "tessera.part" . -}}
apiVersion: apps/v1
kind: StatefulSet
{{ include "tessera.metadata" . }}
spec:
  {{- with include "tessera.replicas" . }}
  {{ . }}
  {{- end }}
  serviceName: {{ include "tessera.fullname" . }}-headless
  # None waits for another: engines and shards find each other in whatever order they come.
  podManagementPolicy: Parallel
  revisionHistoryLimit: {{ int (.values.revisionHistoryLimit | default 5) }}
  {{- with .values.updateStrategy }}
  updateStrategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "tessera.selectorLabels" . | nindent 6 }}
  template:
    {{- include "tessera.podTemplate" . | nindent 4 }}
{{- end -}}

{{/* An engine with the shards of all other pieces: pod 0 of a group has piece 0, and so on. */}}
{{- define "tessera-llm.leaderWorkerSet" -}}
{{- $root := .engine.root -}}
{{- $layers := $root.Values.layers -}}
{{- $set := $layers.leaderWorkerSet -}}
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata:
  name: {{ include "tessera.fullname" .engine }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "tessera.labels" .engine | nindent 4 }}
  {{- $annotations := deepCopy ($root.Values.commonAnnotations | default dict) }}
  {{- with $set.exclusiveTopology }}{{ $_ := set $annotations "leaderworkerset.sigs.k8s.io/exclusive-topology" . }}{{ end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with include "tessera.replicas" .engine }}
  {{ . }}
  {{- end }}
  startupPolicy: LeaderCreated
  rolloutStrategy:
    type: RollingUpdate
    rollingUpdateConfiguration:
      maxSurge: {{ int $set.maxSurge }}
      maxUnavailable: {{ int $set.maxUnavailable }}
  networkConfig:
    subdomainPolicy: Shared
  leaderWorkerTemplate:
    size: {{ int $layers.pieces }}
    # A shard that is lost is replaced alone: its engine takes another one of the piece meanwhile, or waits for it.
    restartPolicy: None
    leaderTemplate:
      {{- include "tessera.podTemplate" .engine | nindent 6 }}
    workerTemplate:
      {{- include "tessera.podTemplate" .shards | nindent 6 }}
{{- end -}}
