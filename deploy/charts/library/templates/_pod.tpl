{{/*
A pod template for any workload. A part may have more: `env`, `ports`, `volumes`, `mounts` (lists), `init` (a list of init
containers), `annotations` (a map), `args` (of the service's process).
*/}}
{{- define "tessera.podTemplate" -}}
{{- template "tessera.part" . -}}
{{- include "tessera.check" . -}}
metadata:
  labels:
    {{- include "tessera.podLabels" . | nindent 4 }}
    {{- with .values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "tessera.configChecksum" . }}
    {{- with .annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "tessera.podSpec" . | nindent 2 }}
{{- end -}}

{{- define "tessera.podSpec" -}}
{{- $values := .values -}}
{{- $gpu := $values.gpu | default dict -}}
{{- $cuda := eq (include "tessera.hasGpu" .) "true" -}}
serviceAccountName: {{ include "tessera.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $values.imagePullSecrets | default (((.root.Values.global | default dict).image | default dict).pullSecrets) }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ include "tessera.terminationSeconds" . }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- $init := include "tessera.modelInit" . | trim }}
{{- if or $init .init $values.extraInitContainers }}
initContainers:
  {{- with $init }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .init }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $values.extraInitContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
containers:
  - name: {{ .service }}
    image: {{ include "tessera.image" (dict "part" . "image" $values.image "repository" (printf "tessera-%s" .service) "cuda" $cuda) }}
    imagePullPolicy: {{ include "tessera.pullPolicy" (dict "part" . "image" $values.image) }}
    # What it said last stands in the pod's status, where kubectl describe tells why it ended.
    terminationMessagePolicy: FallbackToLogsOnError
    {{- with .args }}
    args:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    env:
      {{- include "tessera.env" . | nindent 6 }}
    {{- with $values.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - name: grpc
        containerPort: 7000
      - name: metrics
        containerPort: 9090
      {{- with .ports }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- include "tessera.probes" . | nindent 4 }}
    {{- if $values.preStopSeconds }}
    # Kubernetes takes a pod out of its Services and ends it at the same time: until everybody has heard, it serves on.
    lifecycle:
      preStop:
        sleep:
          seconds: {{ int $values.preStopSeconds }}
    {{- end }}
    resources:
      {{- include "tessera.resources" . | nindent 6 }}
    securityContext:
      {{- toYaml $values.securityContext | nindent 6 }}
    volumeMounts:
      {{- include "tessera.volumeMounts" . | nindent 6 }}
  {{- with $values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "tessera.volumes" . | nindent 2 }}
{{- if eq (default "none" $gpu.type) "claim" }}
resourceClaims:
  - name: gpu
    resourceClaimTemplateName: {{ default (include "tessera.fullname" .) ($gpu.claim).existingTemplate }}
{{- end }}
{{- $nodes := merge (deepCopy ($values.nodeSelector | default dict)) (deepCopy ($cuda | ternary ($gpu.nodeSelector | default dict) dict)) }}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat ($values.tolerations | default list) ($cuda | ternary ($gpu.tolerations | default list) list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "tessera.topologySpread" . }}
topologySpreadConstraints:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* `resources`, with the part's GPUs, and what its model takes of the node's disk. */}}
{{- define "tessera.resources" -}}
{{- $resources := deepCopy (.values.resources | default dict) -}}
{{- $gpu := .values.gpu | default dict -}}
{{- if eq (default "none" $gpu.type) "device" -}}
{{- $_ := set $resources "limits" (merge (dict (default "nvidia.com/gpu" $gpu.resource) (int (default 1 $gpu.count))) ($resources.limits | default dict)) -}}
{{- else if eq (default "none" $gpu.type) "claim" -}}
{{- $_ := set $resources "claims" (concat ($resources.claims | default list) (list (dict "name" "gpu"))) -}}
{{- end -}}
{{- with include "tessera.modelDisk" . -}}
{{- $_ := set $resources "requests" (merge ($resources.requests | default dict) (dict "ephemeral-storage" .)) -}}
{{- end -}}
{{- if $resources }}{{ toYaml $resources }}{{ else }}{}{{ end -}}
{{- end -}}

{{/*
Constraints as they are given; one without a selector counts the part's own pods. Of a Deployment (`byRevision`) it counts those
of one template apart, so that a rollout's old pods do not push the new ones together.
*/}}
{{- define "tessera.topologySpread" -}}
{{- $part := . -}}
{{- $constraints := list -}}
{{- range .values.topologySpreadConstraints -}}
{{- $constraint := deepCopy . -}}
{{- if not (hasKey $constraint "labelSelector") -}}
{{- $_ := set $constraint "labelSelector" (dict "matchLabels" (include "tessera.selectorLabels" $part | fromYaml)) -}}
{{- if and $part.byRevision (not (hasKey $constraint "matchLabelKeys")) -}}
{{- $_ := set $constraint "matchLabelKeys" (list "pod-template-hash") -}}
{{- end -}}
{{- end -}}
{{- $constraints = append $constraints $constraint -}}
{{- end -}}
{{- if $constraints }}{{ toYaml $constraints }}{{ end -}}
{{- end -}}
