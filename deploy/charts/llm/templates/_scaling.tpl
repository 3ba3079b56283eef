{{/* What selects the series of a part's pods: StatefulSets number theirs. */}}
{{- define "tessera-llm.series" -}}
{namespace="{{ .root.Release.Namespace }}",pod=~"{{ include "tessera.fullname" . }}-[0-9]+"}
{{- end -}}

{{- define "tessera-llm.prometheusTrigger" -}}
{{- $prometheus := .part.values.autoscaling.keda.prometheus -}}
type: prometheus
name: {{ .name }}
metricType: AverageValue
metadata:
  serverAddress: {{ $prometheus.serverAddress | quote }}
  query: {{ .query | quote }}
  threshold: {{ .threshold | quote }}
  # No series is no news: a Prometheus that has just begun must not scale anything in.
  ignoreNullValues: "false"
  {{- with $prometheus.authModes }}
  authModes: {{ . | quote }}
  {{- end }}
{{- with $prometheus.authenticationRef }}
authenticationRef:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tessera-llm.podsMetric" -}}
type: Pods
pods:
  metric:
    name: {{ .name }}
  target:
    type: AverageValue
    averageValue: {{ .value | quote }}
{{- end -}}

{{/* Requests that wait, and what running ones can come to need of the KV cache: each a replica. */}}
{{- define "tessera-llm.engineScaling" -}}
{{- $scaling := .values.autoscaling -}}
{{- $type := include "tessera.scaling" . -}}
{{- $series := include "tessera-llm.series" . -}}
{{- if eq $type "keda" -}}
{{- $triggers := list -}}
{{- with $scaling.keda.waiting -}}
{{- $triggers = append $triggers (include "tessera-llm.prometheusTrigger" (dict "part" $ "name" "waiting" "query" (printf "sum(tessera_requests_waiting%s)" $series) "threshold" (toString .)) | fromYaml) -}}
{{- end -}}
{{- with $scaling.keda.kvUsage -}}
{{- $triggers = append $triggers (include "tessera-llm.prometheusTrigger" (dict "part" $ "name" "kv-usage" "query" (printf "sum(tessera_kv_cache_usage_ratio%s)" $series) "threshold" (toString .)) | fromYaml) -}}
{{- end -}}
{{- $_ := set . "triggers" $triggers -}}
{{- else if eq $type "hpa" -}}
{{- $metrics := list -}}
{{- with $scaling.hpa.waiting -}}
{{- $metrics = append $metrics (include "tessera-llm.podsMetric" (dict "name" "tessera_requests_waiting" "value" (toString .)) | fromYaml) -}}
{{- end -}}
{{- with $scaling.hpa.kvUsage -}}
{{- $metrics = append $metrics (include "tessera-llm.podsMetric" (dict "name" "tessera_kv_cache_usage_ratio" "value" (printf "%dm" (int (mulf (float64 .) 1000)))) | fromYaml) -}}
{{- end -}}
{{- $_ := set . "metrics" $metrics -}}
{{- end -}}
{{- end -}}

{{/* Rows a second, against what one shard is to compute of them. */}}
{{- define "tessera-llm.expertScaling" -}}
{{- $scaling := .values.autoscaling -}}
{{- $type := include "tessera.scaling" . -}}
{{- if eq $type "keda" -}}
{{- with $scaling.keda.rowsPerSecond -}}
{{- $query := printf "sum(rate(tessera_expert_shard_rows_total%s[%s]))" (include "tessera-llm.series" $) $scaling.keda.window -}}
{{- $_ := set $ "triggers" (list (include "tessera-llm.prometheusTrigger" (dict "part" $ "name" "rows" "query" $query "threshold" (int64 . | toString)) | fromYaml)) -}}
{{- end -}}
{{- else if eq $type "hpa" -}}
{{- with $scaling.hpa.rowsPerSecond -}}
{{- $_ := set $ "metrics" (list (include "tessera-llm.podsMetric" (dict "name" "tessera_expert_shard_rows_per_second" "value" (int64 . | toString)) | fromYaml)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
