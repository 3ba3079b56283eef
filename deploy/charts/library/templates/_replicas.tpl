{{/*
`replicas:` of a workload, or nothing. Where an autoscaler counts them they are left out: each upgrade would set them back. But what
is left out that helm set before, the API server takes for one, at once: a release that turns an autoscaler on would end all
others. So the number that is there is said again, for as long as nobody else owns it.
*/}}
{{- define "tessera.replicas" -}}
{{- template "tessera.part" . -}}
{{- if eq (include "tessera.scaling" .) "none" -}}
replicas: {{ int .values.replicas }}
{{- else -}}
{{- $live := lookup (.apiVersion | default "apps/v1") (.kind | default "Deployment") .root.Release.Namespace (include "tessera.fullname" .) -}}
{{- include "tessera.keptReplicas" (dict "part" . "live" $live) -}}
{{- end -}}
{{- end -}}

{{/*
As the workload is in the cluster (`live`; empty where there is none, or helm cannot look). By server-side apply only what helm owns
goes with being left out, and a number beside another's meets a conflict: so it is said while helm owns it alone. By client-side
apply whatever is left out goes, and nothing conflicts. Zero is nobody's, and an HPA leaves it alone.
*/}}
{{- define "tessera.keptReplicas" -}}
{{- $spec := .live.spec | default dict -}}
{{- if hasKey $spec "replicas" -}}
{{- $serverSide := false -}}
{{- $helms := false -}}
{{- $scalers := false -}}
{{- range (.live.metadata | default dict).managedFields -}}
{{- $owns := hasKey (get (.fieldsV1 | default dict) "f:spec" | default dict) "f:replicas" -}}
{{- if eq (toString .operation) "Apply" }}{{ $serverSide = true }}{{ $helms = or $helms $owns }}{{ end -}}
{{- if eq (toString .subresource) "scale" }}{{ $scalers = or $scalers $owns }}{{ end -}}
{{- end -}}
{{- if and (eq (int $spec.replicas) 0) (eq (include "tessera.scaling" .part) "hpa") -}}
replicas: {{ include "tessera.minReplicas" .part }}
{{- else if or (not $serverSide) (and $helms (not $scalers)) -}}
replicas: {{ int $spec.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}
