{{/* How many pods an eviction may take at once: by default one, so that one replica can be moved and of several most stay. */}}
{{- define "tessera.podDisruptionBudget" -}}
{{- template "tessera.part" . -}}
{{- $budget := .values.podDisruptionBudget | default dict -}}
{{- if $budget.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
{{ include "tessera.metadata" . }}
spec:
  {{- if not (kindIs "invalid" $budget.minAvailable) }}
  minAvailable: {{ include "tessera.countOrShare" $budget.minAvailable }}
  {{- else }}
  maxUnavailable: {{ include "tessera.countOrShare" $budget.maxUnavailable }}
  {{- end }}
  # A pod that is not ready serves nobody: it may go whatever the budget says, or a broken one would hold up its node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "tessera.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "tessera.countOrShare" -}}
{{- if kindIs "string" . }}{{ . | quote }}{{ else }}{{ int . }}{{ end -}}
{{- end -}}

{{- define "tessera.serviceAccount" -}}
{{- template "tessera.part" . -}}
{{- $account := .values.serviceAccount | default dict -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "tessera.serviceAccountName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tessera.labels" . | nindent 4 }}
  {{- with merge (deepCopy ($account.annotations | default dict)) (deepCopy (.values.commonAnnotations | default dict)) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
# No service of Tessera calls the API server.
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{/* Prometheus' operator scrapes each pod: a Service would hide which replica says what. */}}
{{- define "tessera.podMonitor" -}}
{{- template "tessera.part" . -}}
{{- $monitor := .values.podMonitor | default dict -}}
{{- if $monitor.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "tessera.fullname" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tessera.labels" . | nindent 4 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "tessera.selectorLabels" . | nindent 6 }}
  podTargetLabels:
    - app.kubernetes.io/component
    - app.kubernetes.io/instance
  podMetricsEndpoints:
    - port: metrics
      path: /metrics
      interval: {{ $monitor.interval | default "15s" }}
      scrapeTimeout: {{ $monitor.scrapeTimeout | default "10s" }}
      {{- with $monitor.relabelings }}
      relabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $monitor.metricRelabelings }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
{{- end -}}

{{/* One GPU, or several, by dynamic resource allocation: what each pod claims. */}}
{{- define "tessera.resourceClaimTemplate" -}}
{{- template "tessera.part" . -}}
{{- $gpu := .values.gpu | default dict -}}
{{- $claim := $gpu.claim | default dict -}}
{{- if and (eq (default "none" $gpu.type) "claim") (not $claim.existingTemplate) -}}
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
{{ include "tessera.metadata" . }}
spec:
  spec:
    devices:
      requests:
        - name: gpu
          exactly:
            deviceClassName: {{ default "gpu.nvidia.com" $claim.deviceClassName }}
            allocationMode: ExactCount
            count: {{ int (default 1 $gpu.count) }}
            {{- with $claim.selectors }}
            selectors:
              {{- range . }}
              - cel:
                  expression: {{ . | quote }}
              {{- end }}
            {{- end }}
{{- end -}}
{{- end -}}
