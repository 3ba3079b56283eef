{{/* The ConfigMap of a part's settings file: exactly what `config` says, and nothing that the chart itself sets. */}}
{{- define "tessera.configMap" -}}
{{- template "tessera.part" . -}}
apiVersion: v1
kind: ConfigMap
{{ include "tessera.metadata" . }}
data:
  config.yaml: |
    {{- include "tessera.configFile" . | nindent 4 }}
{{- end -}}

{{- define "tessera.configFile" -}}
{{- $settings := include "tessera.settings" . | fromJson -}}
{{- if $settings }}{{ toYaml $settings }}{{ else }}# Every setting is at its default.{{ end -}}
{{- end -}}

{{/*
Another content of the file is another pod: settings are read once. The pod's label of the checksum rolls the workload out
whenever the file changes, and only then.
*/}}
{{- define "tessera.configChecksum" -}}
{{- include "tessera.configFile" . | sha256sum -}}
{{- end -}}

{{/*
What the chart sets whatever the file says, as a list of environment variables. A part may have more in `env` (a list).
*/}}
{{- define "tessera.env" -}}
{{- template "tessera.part" . -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
- name: TESSERA_CONFIG
  value: /etc/tessera/config.yaml
- name: TESSERA_MODEL_DIR
  value: /models
- name: TESSERA_GRPC_HOST
  value: {{ default "0.0.0.0" .values.listenHost | quote }}
- name: TESSERA_GRPC_PORT
  value: "7000"
- name: TESSERA_METRICS_HOST
  value: {{ default "0.0.0.0" .values.listenHost | quote }}
- name: TESSERA_METRICS_PORT
  value: "9090"
- name: TESSERA_DRAIN_GRACE_MS
  value: {{ include "tessera.drainMs" . | quote }}
{{ include "tessera.natsEnv" . }}
{{- if $tls.existingSecret }}
- name: TESSERA_GRPC_CERT_FILE
  value: /etc/tessera/tls/tls.crt
- name: TESSERA_GRPC_KEY_FILE
  value: /etc/tessera/tls/tls.key
{{- if $tls.mutual }}
- name: TESSERA_GRPC_CLIENT_CA_FILE
  value: /etc/tessera/tls/ca.crt
{{- end }}
{{- end }}
{{- if include "tessera.hasGpu" . }}
- name: TESSERA_DEVICE
  value: cuda
{{- end }}
{{- if ne .service "gateway" }}
# Weights on huge pages, and one heap for all threads: GNU's allocator reads this when a process begins.
- name: GLIBC_TUNABLES
  value: glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1
{{- end }}
- name: HOME
  value: /tmp
{{- with .env }}
{{ toYaml . }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where NATS is, and who the process is there. */}}
{{- define "tessera.natsEnv" -}}
{{- template "tessera.part" . -}}
{{- $nats := include "tessera.nats" . | fromJson -}}
{{- $keys := $nats.secretKeys | default dict -}}
{{- $natsTls := $nats.tls | default dict -}}
- name: TESSERA_NATS_URL
  value: {{ $nats.url | quote }}
{{- with $nats.user }}
- name: TESSERA_NATS_USER
  value: {{ . | quote }}
{{- end }}
{{- if $keys.password }}
- name: TESSERA_NATS_PASSWORD_FILE
  value: /etc/tessera/nats/password
{{- end }}
{{- if $keys.token }}
- name: TESSERA_NATS_TOKEN_FILE
  value: /etc/tessera/nats/token
{{- end }}
{{- if $keys.nkey }}
- name: TESSERA_NATS_NKEY_FILE
  value: /etc/tessera/nats/seed.nk
{{- end }}
{{- if $keys.credentials }}
- name: TESSERA_NATS_CREDENTIALS_FILE
  value: /etc/tessera/nats/user.creds
{{- end }}
{{- if $natsTls.require }}
- name: TESSERA_NATS_TLS
  value: require
{{- end }}
{{- if $natsTls.existingSecret }}
- name: TESSERA_NATS_CA_FILE
  value: /etc/tessera/nats-tls/ca.crt
{{- if $natsTls.mutual }}
- name: TESSERA_NATS_CERT_FILE
  value: /etc/tessera/nats-tls/tls.crt
- name: TESSERA_NATS_KEY_FILE
  value: /etc/tessera/nats-tls/tls.key
{{- end }}
{{- end }}
{{- with $natsTls.serverName }}
- name: TESSERA_NATS_SERVER_NAME
  value: {{ . | quote }}
{{- end }}
{{- end -}}
