{{/*
Where the model comes from: exactly one of
  pvc      a claim that holds a bundle
  image    an OCI image that holds one, as a volume
  compile  a checkpoint, of a claim or an image, that an init container compiles before the service starts
In each case the folder of bundle.json is /models.
*/}}
{{- define "tessera.modelVolume" -}}
{{- $source := (include "tessera.model" . | fromJson).source }}
{{- with $source.pvc }}
- name: model
  persistentVolumeClaim:
    claimName: {{ .claimName }}
    readOnly: true
{{- end }}
{{- with $source.image }}
- name: model
  image:
    reference: {{ .reference | quote }}
    pullPolicy: {{ .pullPolicy | default "IfNotPresent" }}
{{- end }}
{{- with $source.compile }}
- name: model
  emptyDir:
    {{- with .sizeLimit }}
    sizeLimit: {{ . }}
    {{- else }}
    {}
    {{- end }}
{{- with (.checkpoint).pvc }}
- name: checkpoint
  persistentVolumeClaim:
    claimName: {{ .claimName }}
    readOnly: true
{{- end }}
{{- with (.checkpoint).image }}
- name: checkpoint
  image:
    reference: {{ .reference | quote }}
    pullPolicy: {{ .pullPolicy | default "IfNotPresent" }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "tessera.modelMount" -}}
{{- $source := (include "tessera.model" . | fromJson).source -}}
- name: model
  mountPath: /models
  {{- with (($source.pvc | default dict).subPath | default ($source.image | default dict).subPath) }}
  subPath: {{ . | quote }}
  {{- end }}
  {{- with $source.compile }}
  subPath: part
  {{- end }}
  readOnly: true
{{- end -}}

{{/*
The init containers that make the model where it is compiled: one compiles the checkpoint, the next keeps the part's files. A
part says in `extract` (a list) which; the service's name by default. Both write beside their place and rename, so that a
container that was ended leaves nothing that looks whole.
*/}}
{{- define "tessera.modelInit" -}}
{{- template "tessera.part" . -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- with $model.source.compile }}
{{- $image := .image | default dict -}}
- name: compile
  image: {{ include "tessera.image" (dict "part" $ "image" $image "repository" "tessera-tools" "cuda" false) }}
  imagePullPolicy: {{ include "tessera.pullPolicy" (dict "part" $ "image" $image) }}
  args:
    - compile
    - /checkpoint
    - --out
    - /work/whole
    - --weights
    - {{ .weights | default "int8" }}
    {{- with .cut }}
    - --cut
    - {{ . | quote }}
    {{- end }}
  {{- include "tessera.modelInitRest" (dict "part" $ "compile" . "checkpoint" true) | nindent 2 }}
- name: extract
  image: {{ include "tessera.image" (dict "part" $ "image" $image "repository" "tessera-tools" "cuda" false) }}
  imagePullPolicy: {{ include "tessera.pullPolicy" (dict "part" $ "image" $image) }}
  args:
    - bundle
    - extract
    - /work/whole
    {{- toYaml ($.extract | default (list "--stage" $.service)) | nindent 4 }}
    - --out
    - /work/part
  {{- include "tessera.modelInitRest" (dict "part" $ "compile" . "checkpoint" false) | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tessera.modelInitRest" -}}
env:
  - name: HOME
    value: /tmp
{{- with .compile.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .part.values.securityContext | nindent 2 }}
volumeMounts:
  - name: model
    mountPath: /work
  - name: tmp
    mountPath: /tmp
  {{- if .checkpoint }}
  {{- $from := .compile.checkpoint | default dict }}
  - name: checkpoint
    mountPath: /checkpoint
    readOnly: true
    {{- with (($from.pvc | default dict).subPath | default ($from.image | default dict).subPath) }}
    subPath: {{ . | quote }}
    {{- end }}
  {{- end }}
{{- end -}}
