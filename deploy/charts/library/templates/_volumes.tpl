{{/* Volumes of a part's pod: its file, /tmp, its model, its secrets. A part may have more in `volumes` and `mounts` (lists). */}}
{{- define "tessera.volumes" -}}
{{- template "tessera.part" . -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
- name: config
  configMap:
    name: {{ include "tessera.fullname" . }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .values.tmpSizeLimit | default "1Gi" }}
{{- include "tessera.modelVolume" . }}
{{- include "tessera.natsVolumes" . }}
{{- if $tls.existingSecret }}
{{ include "tessera.certificateVolume" (dict "name" "tls" "tls" $tls "ca" $tls.mutual) }}
{{- end }}
{{- with .volumes }}
{{ toYaml . }}
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A Secret with a certificate, in the layout of kubernetes.io/tls with the CA beside it, as cert-manager writes it. */}}
{{- define "tessera.certificateVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .tls.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ default "tls.crt" .tls.certKey }}
        path: tls.crt
      - key: {{ default "tls.key" .tls.keyKey }}
        path: tls.key
      {{- if .ca }}
      - key: {{ default "ca.crt" .tls.caKey }}
        path: ca.crt
      {{- end }}
{{- end -}}

{{/* The files under /etc/tessera/nats, with the key of each in the Secret, as JSON. */}}
{{- define "tessera.natsFiles" -}}
{{- $keys := .secretKeys | default dict -}}
{{- $files := dict -}}
{{- with $keys.password }}{{ $_ := set $files "password" . }}{{ end -}}
{{- with $keys.token }}{{ $_ := set $files "token" . }}{{ end -}}
{{- with $keys.nkey }}{{ $_ := set $files "seed.nk" . }}{{ end -}}
{{- with $keys.credentials }}{{ $_ := set $files "user.creds" . }}{{ end -}}
{{- toJson $files -}}
{{- end -}}

{{- define "tessera.volumeMounts" -}}
{{- template "tessera.part" . -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
- name: config
  mountPath: /etc/tessera/config.yaml
  subPath: config.yaml
  readOnly: true
- name: tmp
  mountPath: /tmp
{{ include "tessera.modelMount" . }}
{{- include "tessera.natsMounts" . }}
{{- if $tls.existingSecret }}
- name: tls
  mountPath: /etc/tessera/tls
  readOnly: true
{{- end }}
{{- with .mounts }}
{{ toYaml . }}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The Secrets that say who the process is on NATS, and who NATS is. Each line begins anew, for a list that goes on. */}}
{{- define "tessera.natsVolumes" -}}
{{- $nats := include "tessera.nats" . | fromJson -}}
{{- $natsTls := $nats.tls | default dict -}}
{{- if $nats.existingSecret }}
- name: nats
  secret:
    secretName: {{ $nats.existingSecret }}
    defaultMode: 0440
    items:
      {{- range $file, $key := include "tessera.natsFiles" $nats | fromJson }}
      - key: {{ $key | quote }}
        path: {{ $file }}
      {{- end }}
{{- end }}
{{- if $natsTls.existingSecret }}
- name: nats-tls
  secret:
    secretName: {{ $natsTls.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ default "ca.crt" $natsTls.caKey }}
        path: ca.crt
      {{- if $natsTls.mutual }}
      - key: {{ default "tls.crt" $natsTls.certKey }}
        path: tls.crt
      - key: {{ default "tls.key" $natsTls.keyKey }}
        path: tls.key
      {{- end }}
{{- end }}
{{- end -}}

{{- define "tessera.natsMounts" -}}
{{- $nats := include "tessera.nats" . | fromJson -}}
{{- $natsTls := $nats.tls | default dict -}}
{{- if $nats.existingSecret }}
- name: nats
  mountPath: /etc/tessera/nats
  readOnly: true
{{- end }}
{{- if $natsTls.existingSecret }}
- name: nats-tls
  mountPath: /etc/tessera/nats-tls
  readOnly: true
{{- end }}
{{- end -}}
