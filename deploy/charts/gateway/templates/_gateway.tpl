{{/* What the gateway has beyond every stage, put into its part: how it calls engines, and what it scales on. */}}
{{- define "tessera-gateway.part" -}}
{{- template "tessera.part" . -}}
{{- $shared := (.root.Values.global | default dict).tls | default dict -}}
{{- $tls := merge (deepCopy (.values.engines.tls | default dict)) (deepCopy $shared) -}}
{{- if .values.engines.tls.existingSecret -}}
{{- /* Another Secret, and the same engines: those ask for certificates where all services do. */ -}}
{{- $tls = merge (dict "mutual" (or .values.engines.tls.mutual $shared.mutual)) .values.engines.tls -}}
{{- end -}}
{{- if $tls.existingSecret -}}
{{- $env := list (dict "name" "TESSERA_ENGINES_CA_FILE" "value" "/etc/tessera/engines/ca.crt") -}}
{{- $items := list (dict "key" (default "ca.crt" $tls.caKey) "path" "ca.crt") -}}
{{- if $tls.mutual -}}
{{- $env = append $env (dict "name" "TESSERA_ENGINES_CERT_FILE" "value" "/etc/tessera/engines/tls.crt") -}}
{{- $env = append $env (dict "name" "TESSERA_ENGINES_KEY_FILE" "value" "/etc/tessera/engines/tls.key") -}}
{{- $items = append $items (dict "key" (default "tls.crt" $tls.certKey) "path" "tls.crt") -}}
{{- $items = append $items (dict "key" (default "tls.key" $tls.keyKey) "path" "tls.key") -}}
{{- end -}}
{{- with $tls.serverName }}{{ $env = append $env (dict "name" "TESSERA_ENGINES_SERVER_NAME" "value" .) }}{{ end -}}
{{- $_ := set . "env" $env -}}
{{- $_ := set . "secrets" (dict "engines.tls.existingSecret" $tls.existingSecret) -}}
{{- $secret := dict "secretName" $tls.existingSecret "defaultMode" 0440 "items" $items -}}
{{- $_ := set . "volumes" (list (dict "name" "engines" "secret" $secret)) -}}
{{- $_ := set . "mounts" (list (dict "name" "engines" "mountPath" "/etc/tessera/engines" "readOnly" true)) -}}
{{- else if $tls.mutual -}}
{{- include "tessera.fail" (dict "part" . "text" "engines.tls.mutual is set, and engines.tls.existingSecret names no Secret with the certificate, its key and the CA") -}}
{{- end -}}
{{- if eq (include "tessera.scaling" .) "keda" }}{{ $_ := set . "triggers" (include "tessera-gateway.triggers" . | fromYamlArray) }}{{ end -}}
{{- if eq (include "tessera.scaling" .) "hpa" }}{{ $_ := set . "metrics" (include "tessera-gateway.metrics" . | fromYamlArray) }}{{ end -}}
{{- end -}}

{{- define "tessera-gateway.triggers" -}}
{{- $keda := .values.autoscaling.keda -}}
{{- $prometheus := $keda.prometheus | default dict -}}
{{- $pods := printf "namespace=%q,pod=~%q" .root.Release.Namespace (printf "%s-[a-z0-9]+-[a-z0-9]+" (include "tessera.fullname" .)) -}}
{{- $own := printf "sum(tessera_gateway_requests_taken{%s})" $pods -}}
{{- if $keda.streams }}
{{- if not $prometheus.serverAddress -}}
{{- include "tessera.fail" (dict "part" . "text" "autoscaling.keda.prometheus.serverAddress is missing: KEDA reads the open streams from Prometheus; set it, or autoscaling.keda.streams to null") -}}
{{- end }}
- type: prometheus
  name: open-streams
  metadata:
    serverAddress: {{ $prometheus.serverAddress | quote }}
    query: {{ default $own $prometheus.query | quote }}
    # No answer is no zero: then the fallback holds.
    ignoreNullValues: "false"
    threshold: {{ int $keda.streams | quote }}
    {{- with $prometheus.authModes }}
    authModes: {{ . | quote }}
    {{- end }}
  {{- with $prometheus.authenticationRef }}
  authenticationRef:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with $keda.cpuPercent }}
- type: cpu
  name: cpu
  metricType: Utilization
  metadata:
    value: {{ int . | quote }}
{{- end }}
{{- end -}}

{{- define "tessera-gateway.metrics" -}}
{{- with .values.autoscaling.hpa.streams }}
- type: Pods
  pods:
    metric:
      name: tessera_gateway_requests_taken
    target:
      type: AverageValue
      averageValue: {{ int . | quote }}
{{- end }}
{{- end -}}
