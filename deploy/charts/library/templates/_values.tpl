{{/*
The values that several stages share (`global.nats`, `global.model`, `global.image`, `global.tls`, `global.config` of the
umbrella), beneath the part's own. What the part leaves empty is taken from there. Each template writes JSON: read it with
fromJson.
*/}}
{{- define "tessera.global" -}}
{{- template "tessera.part" . -}}
{{- $global := .root.Values.global | default dict -}}
{{- toJson (merge (deepCopy (get .values .key | default dict)) (deepCopy (get $global .key | default dict))) -}}
{{- end -}}

{{/* The address may be a template: of a NATS that is named after the release. */}}
{{- define "tessera.nats" -}}
{{- $nats := include "tessera.global" (merge (dict "key" "nats") .) | fromJson -}}
{{- with $nats.url }}{{ $_ := set $nats "url" (tpl . $.root) }}{{ end -}}
{{- toJson $nats -}}
{{- end -}}

{{/* NATS's monitoring, where KEDA reads the lag: that of the part, or else the one for all. */}}
{{- define "tessera.natsMonitoring" -}}
{{- $own := ((.values.autoscaling | default dict).keda | default dict).natsMonitoring | default dict -}}
{{- $shared := (include "tessera.nats" . | fromJson).monitoring | default dict -}}
{{- $monitoring := deepCopy $own -}}
{{- if not (or $own.endpoint $own.existingSecret) }}{{ $monitoring = mergeOverwrite $monitoring (deepCopy $shared) }}{{ end -}}
{{- with $monitoring.endpoint }}{{ $_ := set $monitoring "endpoint" (tpl . $.root) }}{{ end -}}
{{- toJson $monitoring -}}
{{- end -}}

{{- define "tessera.tls" -}}
{{- include "tessera.global" (merge (dict "key" "tls") .) -}}
{{- end -}}

{{/* A source is taken whole: that of the part, or else the one for all. */}}
{{- define "tessera.model" -}}
{{- template "tessera.part" . -}}
{{- $model := include "tessera.global" (merge (dict "key" "model") .) | fromJson -}}
{{- $own := dict -}}
{{- range $kind, $source := (.values.model | default dict).source }}
{{- if $source }}{{ $_ := set $own $kind $source }}{{ end -}}
{{- end -}}
{{- $shared := dict -}}
{{- range $kind, $source := (((.root.Values.global | default dict).model) | default dict).source }}
{{- if $source }}{{ $_ := set $shared $kind $source }}{{ end -}}
{{- end -}}
{{- $_ := set $model "source" (empty $own | ternary $shared $own) -}}
{{- toJson $model -}}
{{- end -}}

{{/* The settings of the part's file: its own over those for all. */}}
{{- define "tessera.settings" -}}
{{- template "tessera.part" . -}}
{{- $global := (.root.Values.global | default dict).config | default dict -}}
{{- toJson (mergeOverwrite (deepCopy $global) (deepCopy (.values.config | default dict))) -}}
{{- end -}}

{{/*
One setting by its name with dots, of the part's file or, where it does not stand there, the code's default.
  include "tessera.setting" (dict "part" $part "name" "nats.waitMs")
*/}}
{{- define "tessera.setting" -}}
{{- $node := include "tessera.settings" .part | fromJson -}}
{{- range splitList "." .name -}}
{{- $node = get (kindIs "map" $node | ternary $node dict) . -}}
{{- end -}}
{{- if or (kindIs "invalid" $node) (eq (toString $node) "") -}}
{{- get (merge (include "tessera.defaults" . | fromJson) (include "tessera.serviceDefaults" .part | fromJson)) .name -}}
{{- else if kindIs "float64" $node -}}
{{- if eq (floor $node) $node }}{{ int64 $node }}{{ else }}{{ $node }}{{ end -}}
{{- else -}}
{{- $node -}}
{{- end -}}
{{- end -}}

{{/*
An image: `registry/repository:tag@digest`.
  include "tessera.image" (dict "part" $part "image" .values.image "repository" "tessera-encoder")
The variant with CUDA has its own tag: -cuda behind the one for all. A tag of the part's own is taken as it is.
*/}}
{{- define "tessera.image" -}}
{{- $global := (.part.root.Values.global | default dict).image | default dict -}}
{{- $image := merge (deepCopy (.image | default dict)) (deepCopy $global) -}}
{{- $repository := default .repository $image.repository -}}
{{- $tag := (.image | default dict).tag -}}
{{- if not $tag -}}
{{- $tag = default .part.root.Chart.AppVersion $global.tag -}}
{{- if .cuda }}{{ $tag = printf "%s-cuda" (trimSuffix "-cuda" $tag) }}{{ end -}}
{{- end -}}
{{- with $image.registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $repository }}:{{ $tag -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "tessera.pullPolicy" -}}
{{- $global := (.part.root.Values.global | default dict).image | default dict -}}
{{- (merge (deepCopy (.image | default dict)) (deepCopy $global)).pullPolicy | default "IfNotPresent" -}}
{{- end -}}

{{/* Whether the part's pods have a GPU. Writes true or nothing. */}}
{{- define "tessera.hasGpu" -}}
{{- template "tessera.part" . -}}
{{- $gpu := .values.gpu | default dict -}}
{{- if has $gpu.type (list "device" "claim") }}true{{ end -}}
{{- end -}}
