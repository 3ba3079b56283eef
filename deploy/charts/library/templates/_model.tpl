{{/*
Where the model comes from: exactly one of
  pvc      a claim that holds a bundle
  image    an OCI image that holds one, as a volume
  compile  a checkpoint, of a claim or an image, that an init container compiles before the service starts
  pull     a model of the hub, which an init container fetches and compiles
and with model.copy an init container first copies the part's files of a claim or image to the node's disk. In each case
the folder of bundle.json is /models.
*/}}
{{- define "tessera.modelVolume" -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- $source := $model.source }}
{{- with $source.compile }}
- name: model
  emptyDir: {{ toJson (empty .sizeLimit | ternary dict (dict "sizeLimit" .sizeLimit)) }}
{{- include "tessera.sourceVolume" (dict "name" "checkpoint" "source" .checkpoint) }}
{{- else }}
{{- with $source.pull }}
- name: model
  emptyDir: {{ toJson (empty .sizeLimit | ternary dict (dict "sizeLimit" .sizeLimit)) }}
{{- else }}
{{- if ($model.copy | default dict).enabled }}
- name: model
  emptyDir: {{ toJson (empty $model.copy.sizeLimit | ternary dict (dict "sizeLimit" $model.copy.sizeLimit)) }}
{{- include "tessera.sourceVolume" (dict "name" "bundle" "source" $source) }}
{{- else }}
{{- include "tessera.sourceVolume" (dict "name" "model" "source" $source) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A claim or an image as a volume. */}}
{{- define "tessera.sourceVolume" -}}
{{- $source := .source | default dict -}}
{{- $name := .name -}}
{{- with $source.pvc }}
- name: {{ $name }}
  persistentVolumeClaim:
    claimName: {{ .claimName }}
    readOnly: true
{{- end }}
{{- with $source.image }}
- name: {{ $name }}
  image:
    reference: {{ .reference | quote }}
    pullPolicy: {{ .pullPolicy | default "IfNotPresent" }}
{{- end }}
{{- end -}}

{{/* Where such a volume is mounted: name, path and source. */}}
{{- define "tessera.sourceMount" -}}
- name: {{ .name }}
  mountPath: {{ .path }}
  {{- with ((.source.pvc | default dict).subPath | default (.source.image | default dict).subPath) }}
  subPath: {{ . | quote }}
  {{- end }}
  readOnly: true
{{- end -}}

{{- define "tessera.modelMount" -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- if or $model.source.compile $model.source.pull -}}
- name: model
  mountPath: /models
  subPath: bundle
  readOnly: true
{{- else if ($model.copy | default dict).enabled -}}
- name: model
  mountPath: /models
  readOnly: true
{{- else -}}
{{- include "tessera.sourceMount" (dict "name" "model" "path" "/models" "source" $model.source) -}}
{{- end -}}
{{- end -}}

{{/*
The init container that makes the model where it is compiled or copied. Both write beside their place and rename, and find what
they made when a pod's containers are started anew; so nothing looks whole that is not, and nothing is made twice.
*/}}
{{- define "tessera.modelInit" -}}
{{- template "tessera.part" . -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- $copy := $model.copy | default dict -}}
{{- with $model.source.compile }}
- name: compile
  {{- include "tessera.toolsContainer" (dict "part" $ "image" .image "resources" .resources) | nindent 2 }}
  args: [compile, /checkpoint, --out, /work/bundle, --keep, --weights, {{ .weights | default "int8" }}{{ with .cut }}, --cut, {{ . | quote }}{{ end }}{{ with .kvCache }}, --kv-cache, {{ . }}{{ end }}]
  volumeMounts:
    - name: model
      mountPath: /work
    - name: tmp
      mountPath: /tmp
    {{- include "tessera.sourceMount" (dict "name" "checkpoint" "path" "/checkpoint" "source" (.checkpoint | default dict)) | nindent 4 }}
{{- else }}
{{- with $model.source.pull }}
- name: pull
  {{- include "tessera.toolsContainer" (dict "part" $ "image" .image "resources" .resources "env" (include "tessera.pullEnv" . | fromYamlArray)) | nindent 2 }}
  args: [compile, --out, /work/bundle, --keep, --weights, {{ .weights | default (empty .file | ternary "int8" "auto") }}{{ with .cut }}, --cut, {{ . | quote }}{{ end }}{{ with .kvCache }}, --kv-cache, {{ . }}{{ end }}, {{ printf "%s@%s%s" .id .revision (empty .file | ternary "" (printf ":%s" .file)) | quote }}]
  volumeMounts:
    - name: model
      mountPath: /work
    - name: tmp
      mountPath: /tmp
    {{- with .extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- else }}
{{- if $copy.enabled }}
- name: copy
  {{- include "tessera.toolsContainer" (dict "part" $ "image" $copy.image "resources" $copy.resources) | nindent 2 }}
  args:
    - bundle
    - extract
    - /bundle
    - --out
    - /models
    {{- toYaml ($.extract | default (list "--stage" $.service)) | nindent 4 }}
  volumeMounts:
    - name: model
      mountPath: /models
    - name: tmp
      mountPath: /tmp
    {{- include "tessera.sourceMount" (dict "name" "bundle" "path" "/bundle" "source" $model.source) | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the init container that pulls is told of the hub: what comes lies beside the bundle, and a pod that begins anew goes on. */}}
{{- define "tessera.pullEnv" -}}
- name: HF_HOME
  value: /work/hub
{{- with .endpoint }}
- name: HF_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with (.token | default dict).existingSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.token.key | default "token" }}
{{- end }}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
What of the node's disk the model takes where it is copied, compiled or pulled: the volume's limit, else the bytes that are said; nothing
where neither is. A node's scheduler sees only what is asked for, and its kubelet evicts by what is there.
*/}}
{{- define "tessera.modelDisk" -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- $compile := or $model.source.compile $model.source.pull | default dict -}}
{{- $copy := $model.copy | default dict -}}
{{- if or $compile $copy.enabled -}}
{{- $limit := empty $compile | ternary $copy.sizeLimit $compile.sizeLimit -}}
{{- if $limit }}{{ $limit }}{{ else if $model.sizeBytes }}{{ int64 $model.sizeBytes }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "tessera.toolsContainer" -}}
image: {{ include "tessera.image" (dict "part" .part "image" .image "repository" "tessera-tools" "cuda" false) }}
imagePullPolicy: {{ include "tessera.pullPolicy" (dict "part" .part "image" .image) }}
terminationMessagePolicy: FallbackToLogsOnError
env:
  - name: HOME
    value: /tmp
  {{- with .env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .part.extractEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml (.resources | default (dict "requests" (dict "cpu" "500m" "memory" "512Mi") "limits" (dict "memory" "2Gi"))) | nindent 2 }}
securityContext:
  {{- toYaml .part.values.securityContext | nindent 2 }}
{{- end -}}
