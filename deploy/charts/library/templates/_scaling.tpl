{{/* none | hpa | keda: one switch, so that no workload ever has two autoscalers. */}}
{{- define "tessera.scaling" -}}
{{- (.values.autoscaling | default dict).type | default "none" -}}
{{- end -}}

{{/* The least of the replicas: what is set, else 0 where the part says that KEDA can wake it (`wakes`), else 1. */}}
{{- define "tessera.minReplicas" -}}
{{- template "tessera.part" . -}}
{{- $scaling := .values.autoscaling | default dict -}}
{{- if eq (include "tessera.scaling" .) "none" -}}
{{- int .values.replicas -}}
{{- else if not (kindIs "invalid" $scaling.minReplicas) -}}
{{- int $scaling.minReplicas -}}
{{- else if and .queue (eq $scaling.type "keda") -}}
0
{{- else -}}
1
{{- end -}}
{{- end -}}

{{/*
The part's autoscaler, whichever it is, and what belongs to it.
  queue    encode | connect | generate: KEDA reads the lag of this queue, and the HPA its depth from Prometheus
  triggers more triggers of KEDA (a list), metrics more of the HPA: what a part without a queue scales on
  kind     of the workload; Deployment where it is left out
*/}}
{{- define "tessera.autoscaler" -}}
{{- template "tessera.part" . -}}
{{- $type := include "tessera.scaling" . -}}
{{- if eq $type "hpa" -}}
{{ include "tessera.horizontalPodAutoscaler" . }}
{{- else if eq $type "keda" -}}
{{ include "tessera.scaledObject" . }}
{{- with include "tessera.triggerAuthentication" . }}
---
{{ . }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "tessera.scaleTarget" -}}
apiVersion: {{ .apiVersion | default "apps/v1" }}
kind: {{ .kind | default "Deployment" }}
name: {{ include "tessera.fullname" . }}
{{- end -}}

{{/* As of every object, with the annotations that are the autoscaler's own. */}}
{{- define "tessera.scalerMetadata" -}}
{{- $annotations := merge (deepCopy (.values.autoscaling.annotations | default dict)) (.scalerAnnotations | default dict) (deepCopy (.values.commonAnnotations | default dict)) -}}
{{- include "tessera.metadata" (merge (dict "values" (merge (dict "commonAnnotations" $annotations) .values)) .) -}}
{{- end -}}

{{- define "tessera.horizontalPodAutoscaler" -}}
{{- $scaling := .values.autoscaling -}}
{{- $hpa := $scaling.hpa | default dict -}}
{{- $metrics := concat (.metrics | default list) ($hpa.metrics | default list) -}}
{{- if $hpa.cpuPercent -}}
{{- $metrics = append $metrics (include "tessera.cpuMetric" $hpa | fromYaml) -}}
{{- end -}}
{{- if and .queue $hpa.queueDepth -}}
{{- $metrics = append $metrics (include "tessera.queueDepthMetric" . | fromYaml) -}}
{{- end -}}
{{- if not $metrics -}}
{{- include "tessera.fail" (dict "part" . "text" "autoscaling.type is hpa, and nothing says what it scales on; set autoscaling.hpa.cpuPercent or autoscaling.hpa.metrics") -}}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
{{- /* helm makes the ScaledObject before it removes this, and KEDA's webhook would refuse two at one workload. */}}
{{ include "tessera.scalerMetadata" (set . "scalerAnnotations" (dict "validations.keda.sh/hpa-ownership" "false")) }}
spec:
  scaleTargetRef:
    {{- include "tessera.scaleTarget" . | nindent 4 }}
  minReplicas: {{ include "tessera.minReplicas" . }}
  maxReplicas: {{ int $scaling.maxReplicas }}
  metrics:
    {{- toYaml $metrics | nindent 4 }}
  {{- with $scaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "tessera.cpuMetric" -}}
type: Resource
resource:
  name: cpu
  target:
    type: Utilization
    averageUtilization: {{ int .cpuPercent }}
{{- end -}}

{{/* tessera_queue_depth of the gateways, as an adapter of Prometheus' metrics serves it. */}}
{{- define "tessera.queueDepthMetric" -}}
type: External
external:
  metric:
    name: tessera_queue_depth
    selector:
      matchLabels:
        kind: {{ .queue }}
  target:
    type: AverageValue
    averageValue: {{ int .values.autoscaling.hpa.queueDepth | quote }}
{{- end -}}

{{/*
KEDA names the HPA that it makes itself, keda-hpa-NAME: one with the name of the chart's own would be taken for that by helm,
when autoscaling.type changes, and go with the ScaledObject.
*/}}
{{- define "tessera.scaledObject" -}}
{{- $scaling := .values.autoscaling -}}
{{- $keda := $scaling.keda | default dict -}}
{{- $triggers := list -}}
{{- if .queue -}}
{{- $triggers = append $triggers (include "tessera.lagTrigger" . | fromYaml) -}}
{{- end -}}
{{- $triggers = concat $triggers (.triggers | default list) ($keda.triggers | default list) -}}
{{- $answers := list -}}
{{- range $triggers }}{{ if not (has .type (list "cpu" "memory")) }}{{ $answers = append $answers .type }}{{ end }}{{ end -}}
{{- if not $triggers -}}
{{- include "tessera.fail" (dict "part" . "text" "autoscaling.type is keda, and nothing says what it scales on; set autoscaling.keda.triggers") -}}
{{- end -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
{{ include "tessera.scalerMetadata" . }}
spec:
  scaleTargetRef:
    {{- include "tessera.scaleTarget" . | nindent 4 }}
  pollingInterval: {{ int $keda.pollingInterval }}
  cooldownPeriod: {{ int $keda.cooldownPeriod }}
  minReplicaCount: {{ include "tessera.minReplicas" . }}
  maxReplicaCount: {{ int $scaling.maxReplicas }}
  {{- with $keda.fallback }}
  {{- if and .replicas $answers }}
  fallback:
    failureThreshold: {{ int .failureThreshold }}
    replicas: {{ int .replicas }}
    behavior: {{ .behavior | default "currentReplicasIfHigher" }}
  {{- end }}
  {{- end }}
  {{- with $scaling.behavior }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- toYaml . | nindent 8 }}
  {{- end }}
  triggers:
    {{- toYaml $triggers | nindent 4 }}
{{- end -}}

{{/*
The lag of the queue of the served revision: jobs that wait and jobs in work, so that scaling in leaves what is computed alone.
*/}}
{{- define "tessera.lagTrigger" -}}
{{- $keda := .values.autoscaling.keda -}}
{{- $monitoring := include "tessera.natsMonitoring" . | fromJson -}}
{{- $queue := get (include "tessera.queues" (dict "prefix" (include "tessera.setting" (dict "part" . "name" "nats.prefix")) "revision" (include "tessera.model" . | fromJson).revision) | fromJson) .queue -}}
type: nats-jetstream
name: {{ .queue }}-lag
metadata:
  stream: {{ $queue.stream }}
  consumer: {{ $queue.consumer }}
  lagThreshold: {{ int (default (mul 2 (include "tessera.setting" (dict "part" . "name" "jobs.slots") | int)) $keda.lagThreshold) | quote }}
  activationLagThreshold: {{ int ($keda.activationLagThreshold | default 0) | quote }}
  useHttps: {{ $monitoring.https | default false | quote }}
  {{- if not $monitoring.existingSecret }}
  natsServerMonitoringEndpoint: {{ $monitoring.endpoint | quote }}
  account: {{ default "$G" $monitoring.account | quote }}
  {{- end }}
{{- if $monitoring.existingSecret }}
authenticationRef:
  name: {{ include "tessera.fullname" . }}
{{- end }}
{{- end -}}

{{/* Where the address of NATS's monitoring, and the account, are a Secret's. */}}
{{- define "tessera.triggerAuthentication" -}}
{{- $monitoring := include "tessera.natsMonitoring" . | fromJson -}}
{{- if and .queue $monitoring.existingSecret -}}
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
{{ include "tessera.metadata" . }}
spec:
  secretTargetRef:
    - parameter: natsServerMonitoringEndpoint
      name: {{ $monitoring.existingSecret }}
      key: {{ default "endpoint" $monitoring.endpointKey }}
    - parameter: account
      name: {{ $monitoring.existingSecret }}
      key: {{ default "account" $monitoring.accountKey }}
{{- end -}}
{{- end -}}
