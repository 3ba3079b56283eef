{{- define "tessera.deployment" -}}
{{- template "tessera.part" . -}}
{{- $_ := set . "byRevision" true -}}
apiVersion: apps/v1
kind: Deployment
{{ include "tessera.metadata" . }}
spec:
  {{- with include "tessera.replicas" . }}
  {{ . }}
  {{- end }}
  revisionHistoryLimit: {{ int (.values.revisionHistoryLimit | default 5) }}
  # A pod that still loads its model makes progress: only beyond its startup time has a rollout failed.
  progressDeadlineSeconds: {{ add (include "tessera.startupSeconds" . | int) (int .values.rolloutMarginSeconds) }}
  strategy:
    {{- include "tessera.strategy" . | nindent 4 }}
  selector:
    matchLabels:
      {{- include "tessera.selectorLabels" . | nindent 6 }}
  template:
    {{- include "tessera.podTemplate" . | nindent 4 }}
{{- end -}}

{{/*
How a rollout goes: what is set, and of maxSurge and maxUnavailable what is left out. A part with GPUs ends an old pod first: where
all GPUs are taken, a new one would wait for one for ever. Others start the new one first.
*/}}
{{- define "tessera.strategy" -}}
{{- $strategy := deepCopy (.values.updateStrategy | default dict) -}}
{{- $own := dict -}}
{{- range $key, $value := $strategy.rollingUpdate | default dict }}{{ if not (kindIs "invalid" $value) }}{{ $_ := set $own $key $value }}{{ end }}{{ end -}}
{{- $endsFirst := eq (include "tessera.hasGpu" .) "true" -}}
{{- if hasKey $own "maxSurge" }}{{ $endsFirst = has (toString $own.maxSurge) (list "0" "0%") }}{{ end -}}
{{- if hasKey $own "maxUnavailable" }}{{ $endsFirst = not (has (toString $own.maxUnavailable) (list "0" "0%")) }}{{ end -}}
{{- $rest := $endsFirst | ternary (dict "maxSurge" 0 "maxUnavailable" 1) (dict "maxSurge" 1 "maxUnavailable" 0) -}}
{{- range $key, $value := $rest }}{{ if not (hasKey $own $key) }}{{ $_ := set $own $key $value }}{{ end }}{{ end -}}
{{- $type := $strategy.type | default "RollingUpdate" -}}
{{- $strategy = set (omit $strategy "rollingUpdate") "type" $type -}}
{{- if eq $type "RollingUpdate" }}{{ $_ := set $strategy "rollingUpdate" $own }}{{ end -}}
{{- toYaml $strategy -}}
{{- end -}}
