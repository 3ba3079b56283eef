{{/*
The part's Service. With `headless` (of the dict) it is the headless one, named with -headless, which answers with the address
of each pod: for callers that spread their calls themselves, and for pods that are called by their own names; `unready` has it
name pods that are not ready yet, too.
*/}}
{{- define "tessera.service" -}}
{{- template "tessera.part" . -}}
{{- $service := .values.service | default dict -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "tessera.fullname" . }}{{ if .headless }}-headless{{ end }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tessera.labels" . | nindent 4 }}
  {{- $own := empty .headless | ternary ($service.annotations | default dict) dict }}
  {{- with merge (deepCopy $own) (deepCopy (.values.commonAnnotations | default dict)) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if .headless }}
  type: ClusterIP
  clusterIP: None
  {{- if .unready }}
  publishNotReadyAddresses: true
  {{- end }}
  {{- else }}
  type: {{ $service.type | default "ClusterIP" }}
  {{- with $service.trafficDistribution }}
  trafficDistribution: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  selector:
    {{- include "tessera.selectorLabels" . | nindent 4 }}
  ports:
    - name: grpc
      port: 7000
      targetPort: grpc
      {{- with $service.appProtocol | default (empty $tls.existingSecret | ternary "kubernetes.io/h2c" "") }}
      appProtocol: {{ . }}
      {{- end }}
      {{- if and $service.nodePort (not .headless) }}
      nodePort: {{ int $service.nodePort }}
      {{- end }}
{{- end -}}
