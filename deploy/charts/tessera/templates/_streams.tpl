{{/* A pod that makes the streams and consumers of a revision, and ends. Without the revision's number it reads the bundle's. */}}
{{- define "tessera-umbrella.streamsPod" -}}
{{- $part := .part -}}
{{- $model := .model -}}
{{- $values := $part.values -}}
restartPolicy: OnFailure
automountServiceAccountToken: false
enableServiceLinks: false
{{- with (($part.root.Values.global).image | default dict).pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: streams
    image: {{ include "tessera.image" (dict "part" $part "image" $values.image "repository" "tessera-tools" "cuda" false) }}
    imagePullPolicy: {{ include "tessera.pullPolicy" (dict "part" $part "image" $values.image) }}
    terminationMessagePolicy: FallbackToLogsOnError
    args:
      - streams
      - apply
      {{- with $model.revision }}
      - --revision
      - {{ . | quote }}
      {{- end }}
    env:
      - name: TESSERA_CONFIG
        value: /etc/tessera/config.yaml
      {{- if not $model.revision }}
      - name: TESSERA_MODEL_DIR
        value: /models
      {{- end }}
      {{- include "tessera.natsEnv" $part | nindent 6 }}
      - name: HOME
        value: /tmp
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    volumeMounts:
      - name: config
        mountPath: /etc/tessera/config.yaml
        subPath: config.yaml
        readOnly: true
      - name: tmp
        mountPath: /tmp
      {{- if not $model.revision }}
      {{- include "tessera.modelMount" $part | nindent 6 }}
      {{- end }}
      {{- include "tessera.natsMounts" $part | nindent 6 }}
volumes:
  - name: config
    configMap:
      name: {{ include "tessera.fullname" $part }}
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- if not $model.revision }}
  {{- include "tessera.modelVolume" $part | nindent 2 }}
  {{- end }}
  {{- include "tessera.natsVolumes" $part | nindent 2 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
