{{/*
Every template of this library takes a part: what one workload is made from.
  root       the chart's own scope (.)
  service    encoder | connector | llm | generator | gateway: whose settings and whose image
  component  the role in the architecture, which the network's edges are drawn between; the service where it is left out
  suffix     of the names, where a release has several workloads of one service; none where it is left out
  values     the part's values; the chart's where they are left out
`tessera.part` fills in what is left out. Call it once, and hand the result on:
  {{- $part := include "tessera.part" (dict "root" . "service" "encoder") }}  would lose the types, so templates call
  {{- template "tessera.part" $part }} upon a dict, which it changes in place.
*/}}
{{- define "tessera.part" -}}
{{- if not (hasKey . "component") }}{{ $_ := set . "component" .service }}{{ end -}}
{{- if not (hasKey . "values") }}{{ $_ := set . "values" .root.Values }}{{ end -}}
{{- if not (hasKey . "suffix") }}{{ $_ := set . "suffix" "" }}{{ end -}}
{{- end -}}

{{/* What the release's names end with: the service, and the suffix where there is one. */}}
{{- define "tessera.stage" -}}
{{- .service }}{{ with .suffix }}-{{ . }}{{ end -}}
{{- end -}}

{{/*
The name of all objects of a part: RELEASE-STAGE, or RELEASE alone where it has the service's name in it already, but in the
umbrella, whose other stages could come by the same name. At most 52 characters, since a StatefulSet's pods carry it in a label
with eleven more; a longer release is cut, and told from its like by six digits of its digest.
*/}}
{{- define "tessera.fullname" -}}
{{- template "tessera.part" . -}}
{{- $values := .values -}}
{{- $stage := default (include "tessera.stage" .) $values.nameOverride -}}
{{- if and $values.nameOverride .suffix }}{{ $stage = printf "%s-%s" $values.nameOverride .suffix }}{{ end -}}
{{- $release := .root.Release.Name -}}
{{- $name := printf "%s-%s" $release $stage -}}
{{- if $values.fullnameOverride -}}
{{- $name = $values.fullnameOverride -}}
{{- with .suffix }}{{ $name = printf "%s-%s" $name . }}{{ end -}}
{{- else if and (eq .root.Chart.Name (printf "tessera-%s" .service)) .root.Chart.IsRoot (contains .service $release) -}}
{{- $name = $release -}}
{{- with .suffix }}{{ $name = printf "%s-%s" $release . }}{{ end -}}
{{- end -}}
{{- if gt (len $name) 52 -}}
{{- $room := int (sub 44 (len $stage)) -}}
{{- printf "%s-%s-%s" ($name | trunc $room | trimSuffix "-") ($name | sha256sum | trunc 6) $stage | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* What selects a part's pods, for as long as the release lives. */}}
{{- define "tessera.selectorLabels" -}}
{{- template "tessera.part" . -}}
app.kubernetes.io/name: tessera-{{ .service }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- with .suffix }}
tessera/part: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Those of its pods, without the chart's version: a release of the chart alone is no reason to start them anew. */}}
{{- define "tessera.podLabels" -}}
{{- include "tessera.selectorLabels" . }}
app.kubernetes.io/part-of: tessera
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- with .values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tessera.labels" -}}
{{- include "tessera.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The head of an object of the part: metadata with its name and labels. */}}
{{- define "tessera.metadata" -}}
metadata:
  name: {{ include "tessera.fullname" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tessera.labels" . | nindent 4 }}
  {{- with .values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "tessera.serviceAccountName" -}}
{{- template "tessera.part" . -}}
{{- $account := .values.serviceAccount | default dict -}}
{{- if $account.create -}}
{{- default (include "tessera.fullname" .) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}
