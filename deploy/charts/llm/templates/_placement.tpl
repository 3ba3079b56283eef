{{/* The ConfigMap of the placement: one that is there, or the chart's own where the values hold the placement. */}}
{{- define "tessera-llm.placementName" -}}
{{- $placement := .Values.experts.placement -}}
{{- if $placement.configMap -}}
{{- $placement.configMap -}}
{{- else if $placement.content -}}
{{- include "tessera.fullname" (dict "root" . "service" "llm") }}-placement
{{- end -}}
{{- end -}}

{{- define "tessera-llm.placementVariable" -}}
name: TESSERA_EXPERTS_PLACEMENT_FILE
value: /etc/tessera/placement/placement.json
{{- end -}}

{{- define "tessera-llm.placementVolume" -}}
name: placement
configMap:
  name: {{ include "tessera-llm.placementName" . }}
  items:
    - key: placement.json
      path: placement.json
{{- end -}}

{{/* The whole folder: the kubelet brings a changed ConfigMap into it, and never into a file that is mounted by subPath. */}}
{{- define "tessera-llm.placementMount" -}}
name: placement
mountPath: /etc/tessera/placement
readOnly: true
{{- end -}}

{{/* The placement's text, where the chart can know it: of the values, or, at an install by helm itself, of the cluster. */}}
{{- define "tessera-llm.placementText" -}}
{{- $experts := .Values.experts -}}
{{- if $experts.placement.configMap -}}
{{- if $experts.checkCluster -}}
{{- $found := lookup "v1" "ConfigMap" .Release.Namespace $experts.placement.configMap -}}
{{- with $found }}{{ get (.data | default dict) "placement.json" }}{{ end -}}
{{- end -}}
{{- else -}}
{{- $experts.placement.content -}}
{{- end -}}
{{- end -}}
