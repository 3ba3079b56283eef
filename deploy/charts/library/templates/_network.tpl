{{/*
Who calls whom by gRPC, as docs/architecture.md has it; everything else goes over NATS. "clients" are the callers that
networkPolicy.clients names.
*/}}
{{- define "tessera.callers" -}}
gateway: [clients]
encoder: [clients]
connector: [clients]
generator: [clients]
engine: [gateway]
experts: [engine]
layers: [engine]
{{- end -}}

{{/* The pods of one role, whatever release they are of. */}}
{{- define "tessera.rolePeer" -}}
podSelector:
  matchLabels:
    app.kubernetes.io/part-of: tessera
    app.kubernetes.io/component: {{ .role }}
{{- with .namespaceSelector }}
namespaceSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The edges of the architecture and no others: in, gRPC from the roles that call this one and scrapes of metrics; out, DNS, NATS
and the roles that this one calls.
*/}}
{{- define "tessera.networkPolicy" -}}
{{- template "tessera.part" . -}}
{{- $policy := .values.networkPolicy | default dict -}}
{{- if $policy.enabled -}}
{{- $component := .component -}}
{{- $callers := include "tessera.callers" . | fromYaml -}}
{{- $from := get $callers $component -}}
{{- $to := list -}}
{{- range $role, $by := $callers }}{{ if has $component $by }}{{ $to = append $to $role }}{{ end }}{{ end -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "tessera.metadata" . }}
spec:
  podSelector:
    matchLabels:
      {{- include "tessera.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if has "clients" $from }}
    {{- if or $policy.clients $policy.anyClient }}
    - ports:
        - port: grpc
          protocol: TCP
      {{- with $policy.clients }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- else }}
    - ports:
        - port: grpc
          protocol: TCP
      from:
        {{- range $from }}
        - {{- include "tessera.rolePeer" (dict "role" . "namespaceSelector" $policy.namespaceSelector) | nindent 10 }}
        {{- end }}
    {{- end }}
    {{- with $policy.scrapers }}
    - ports:
        - port: metrics
          protocol: TCP
      from:
        {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- with $policy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    {{- include "tessera.egress" . | nindent 4 }}
    {{- with $to }}
    - ports:
        - port: 7000
          protocol: TCP
      to:
        {{- range . }}
        - {{- include "tessera.rolePeer" (dict "role" . "namespaceSelector" $policy.namespaceSelector) | nindent 10 }}
        {{- end }}
    {{- end }}
    {{- with $policy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* Out to DNS and NATS, which everything of Tessera needs, and to the hub where the part's model comes from there. A policy sees the ports of the pods behind a Service, not its own. */}}
{{- define "tessera.egress" -}}
{{- $policy := .values.networkPolicy | default dict -}}
- ports:
    {{- range $port := $policy.dnsPorts }}
    {{- range list "UDP" "TCP" }}
    - port: {{ int $port }}
      protocol: {{ . }}
    {{- end }}
    {{- end }}
  {{- with $policy.dns }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
- ports:
    {{- range include "tessera.natsPorts" . | fromJsonArray }}
    - port: {{ int . }}
      protocol: TCP
    {{- end }}
  {{- with $policy.nats }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- /* The Job of the streams loads no model. */}}
{{- with (eq .component "streams" | ternary dict (include "tessera.model" . | fromJson).source).pull }}
- ports:
    {{- range include "tessera.hubPorts" . | fromJsonArray }}
    - port: {{ int . }}
      protocol: TCP
    {{- end }}
  {{- with $policy.hub }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The port of the hub, and 443, where the hosts are that it keeps files on; as JSON. */}}
{{- define "tessera.hubPorts" -}}
{{- $endpoint := .endpoint | default "https://huggingface.co" -}}
{{- $port := regexFind ":[0-9]+(/|$)" (trimPrefix "https:" (trimPrefix "http:" $endpoint)) | trimPrefix ":" | trimSuffix "/" -}}
{{- $own := default (hasPrefix "http:" $endpoint | ternary "80" "443") $port -}}
{{- list (int $own) 443 | uniq | toJson -}}
{{- end -}}

{{/* The ports in nats.url, each once, as JSON: 4222 where it names none. */}}
{{- define "tessera.natsPorts" -}}
{{- $ports := list -}}
{{- range splitList "," (include "tessera.nats" . | fromJson).url -}}
{{- $port := regexFind ":[0-9]+/?$" (trim .) | trimPrefix ":" | trimSuffix "/" -}}
{{- $ports = append $ports (int (default "4222" $port)) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
