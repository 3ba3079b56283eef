{{/*
What NOTES.txt of every stage says: what runs, how to reach it, how to watch it.
  reach  a line or more of the stage's own (a text)
*/}}
{{- define "tessera.notes" -}}
{{- template "tessera.part" . -}}
{{- $name := include "tessera.fullname" . -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- $type := include "tessera.scaling" . -}}
{{- $space := .root.Release.Namespace -}}
{{- $watched := printf "%s/%s" (.kind | default "Deployment" | lower) $name -}}
{{- $asked := $watched -}}
{{- /* kubectl knows nothing of a LeaderWorkerSet; its leaders are a StatefulSet of its name. */ -}}
{{- if eq .kind "LeaderWorkerSet" -}}
{{- $watched = printf "statefulset/%s" $name -}}
{{- $asked = printf "pod/%s-0" $name -}}
{{- end -}}
Tessera's {{ .service }} {{ .root.Chart.AppVersion }} runs as {{ .kind | default "Deployment" }} {{ $name }} in the namespace {{ $space }}
{{- with $model.revision }}, with the model's revision {{ . }}{{ end }}.
{{- if eq $type "none" }}
Replicas: {{ int .values.replicas }}.
{{- else }}
Replicas: {{ include "tessera.minReplicas" . }} to {{ int .values.autoscaling.maxReplicas }}, counted by {{ $type }}.
{{- end }}

Reach it:
{{- with .reach }}
{{ . | indent 2 }}
{{- end }}
  gRPC in the cluster: {{ $name }}.{{ $space }}.svc:7000{{ if (include "tessera.tls" . | fromJson).existingSecret }}, by TLS{{ end }}
{{- if and .values.networkPolicy.enabled (not .values.networkPolicy.clients) (not .values.networkPolicy.anyClient) (has "clients" (get (include "tessera.callers" . | fromYaml) .component)) }}
  The NetworkPolicy lets nobody call it: jobs come over NATS. Name those who may in networkPolicy.clients.
{{- end }}

Watch it:
  kubectl --namespace {{ $space }} rollout status {{ $watched }}
  kubectl --namespace {{ $space }} logs --selector app.kubernetes.io/instance={{ .root.Release.Name }},app.kubernetes.io/component={{ .component }} --follow
  kubectl --namespace {{ $space }} port-forward {{ $asked }} 9090, then http://127.0.0.1:9090/readyz and /metrics
{{- if eq $type "keda" }}
  kubectl --namespace {{ $space }} get scaledobject/{{ $name }} hpa/keda-hpa-{{ $name }}
{{- else if eq $type "hpa" }}
  kubectl --namespace {{ $space }} get hpa/{{ $name }}
{{- end }}
{{- end -}}
