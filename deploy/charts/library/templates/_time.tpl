{{/*
Times that follow from each other. docs/charts.md has the rules:
  drain    drain.graceMs of the file, else the longest request (grpc.maxDeadlineMs)
  grace    the pod's: preStop + drain + traces.flushMs + 10 s
  startup  nats.waitMs + sizeBytes / loadBytesPerSecond + startup.extraSeconds, in periods of the probe
*/}}
{{- define "tessera.drainMs" -}}
{{- template "tessera.part" . -}}
{{- $own := (include "tessera.settings" . | fromJson).drain | default dict -}}
{{- if $own.graceMs }}{{ int64 $own.graceMs }}{{ else }}{{ include "tessera.setting" (dict "part" . "name" "grpc.maxDeadlineMs") }}{{ end -}}
{{- end -}}

{{- define "tessera.terminationSeconds" -}}
{{- template "tessera.part" . -}}
{{- $flush := include "tessera.setting" (dict "part" . "name" "traces.flushMs") | float64 -}}
{{- $drain := include "tessera.drainMs" . | float64 -}}
{{- $preStop := int (.values.preStopSeconds | default 0) -}}
{{- add $preStop (int (ceil (divf (addf $drain $flush) 1000.0))) 10 -}}
{{- end -}}

{{- define "tessera.startupSeconds" -}}
{{- template "tessera.part" . -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- $wait := include "tessera.setting" (dict "part" . "name" "nats.waitMs") | float64 -}}
{{- $bytes := float64 ($model.sizeBytes | default 0) -}}
{{- $rate := float64 ($model.loadBytesPerSecond | default 100000000) -}}
{{- $extra := int ((.values.probes | default dict).startup | default dict).extraSeconds -}}
{{- add (int (ceil (divf $wait 1000.0))) (int (ceil (divf $bytes $rate))) $extra -}}
{{- end -}}

{{- define "tessera.startupFailureThreshold" -}}
{{- template "tessera.part" . -}}
{{- $startup := (.values.probes | default dict).startup | default dict -}}
{{- if $startup.failureThreshold -}}
{{- int $startup.failureThreshold -}}
{{- else -}}
{{- $seconds := include "tessera.startupSeconds" . | float64 -}}
{{- int (ceil (divf $seconds (float64 ($startup.periodSeconds | default 5)))) -}}
{{- end -}}
{{- end -}}
