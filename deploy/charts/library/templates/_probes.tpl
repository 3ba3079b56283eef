{{/*
startup and readiness ask what a caller would: gRPC's health service, whose empty name says whether the service takes work.
With TLS, which the kubelet's gRPC probe does not speak, they ask /readyz instead. liveness asks only whether the process
answers at all: a service that waits for NATS is not ready, and none the better for a restart.
*/}}
{{- define "tessera.probes" -}}
{{- template "tessera.part" . -}}
{{- $probes := .values.probes | default dict -}}
{{- $startup := $probes.startup | default dict -}}
{{- $readiness := $probes.readiness | default dict -}}
{{- $liveness := $probes.liveness | default dict -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
startupProbe:
  {{- include "tessera.readyAction" $tls | nindent 2 }}
  periodSeconds: {{ int ($startup.periodSeconds | default 5) }}
  timeoutSeconds: {{ int ($startup.timeoutSeconds | default 3) }}
  failureThreshold: {{ include "tessera.startupFailureThreshold" . }}
readinessProbe:
  {{- include "tessera.readyAction" $tls | nindent 2 }}
  periodSeconds: {{ int ($readiness.periodSeconds | default 5) }}
  timeoutSeconds: {{ int ($readiness.timeoutSeconds | default 3) }}
  failureThreshold: {{ int ($readiness.failureThreshold | default 2) }}
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: {{ int ($liveness.periodSeconds | default 10) }}
  timeoutSeconds: {{ int ($liveness.timeoutSeconds | default 5) }}
  failureThreshold: {{ int ($liveness.failureThreshold | default 6) }}
{{- end -}}

{{- define "tessera.readyAction" -}}
{{- if .existingSecret -}}
httpGet:
  path: /readyz
  port: metrics
{{- else -}}
grpc:
  port: 7000
{{- end -}}
{{- end -}}
