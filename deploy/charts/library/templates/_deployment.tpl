{{/*
Replicas are left out where an autoscaler counts them: each `helm upgrade`, and each sync of a GitOps controller, would set
them back.
*/}}
{{- define "tessera.deployment" -}}
{{- template "tessera.part" . -}}
{{- $_ := set . "byRevision" true -}}
{{- $strategy := .values.updateStrategy | default dict -}}
apiVersion: apps/v1
kind: Deployment
{{ include "tessera.metadata" . }}
spec:
  {{- if eq (include "tessera.scaling" .) "none" }}
  replicas: {{ int .values.replicas }}
  {{- end }}
  revisionHistoryLimit: {{ int (.values.revisionHistoryLimit | default 5) }}
  # A pod that still loads its model makes progress: only beyond its startup time has a rollout failed.
  progressDeadlineSeconds: {{ add (include "tessera.startupSeconds" . | int) (int .values.rolloutMarginSeconds) }}
  {{- with $strategy }}
  strategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "tessera.selectorLabels" . | nindent 6 }}
  template:
    {{- include "tessera.podTemplate" . | nindent 4 }}
{{- end -}}
