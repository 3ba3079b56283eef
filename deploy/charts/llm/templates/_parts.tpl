{{/*
The workloads of a release, as the parts that the library's templates take (tessera.part): the engines; the shards of each
group of experts; the shards of each piece of the layers, or, in a LeaderWorkerSet, those of all pieces beside their engine.
Give it a dict with `root`; it puts a list into `parts`.
*/}}
{{- define "tessera-llm.parts" -}}
{{- $root := .root -}}
{{- $inGroups := eq (include "tessera-llm.inGroups" $root) "true" -}}
{{- $engine := dict "root" $root "service" "llm" "component" "engine" "values" (deepCopy $root.Values) "kind" ($inGroups | ternary "LeaderWorkerSet" "StatefulSet") -}}
{{- if $inGroups }}{{ $_ := set $engine "apiVersion" "leaderworkerset.x-k8s.io/v1" }}{{ end -}}
{{- template "tessera.part" $engine -}}
{{- include "tessera-llm.engine" $engine -}}
{{- $parts := list $engine -}}
{{- range $group := $root.Values.experts.groups -}}
{{- $part := dict "root" $root "service" "llm" "component" "experts" "suffix" (include "tessera-llm.groupSuffix" $group.name) "kind" "StatefulSet" "group" $group.name -}}
{{- $_ := set $part "values" (include "tessera-llm.shardValues" (dict "root" $root "role" "experts" "own" $group) | fromJson) -}}
{{- include "tessera-llm.experts" $part -}}
{{- $parts = append $parts $part -}}
{{- end -}}
{{- range $piece := include "tessera-llm.pieces" $root | fromJsonArray -}}
{{- $own := index (concat $root.Values.layers.perPiece (list dict)) (min (sub (int $piece) 1) (len $root.Values.layers.perPiece) | int) -}}
{{- $part := dict "root" $root "service" "llm" "component" "layers" "suffix" (printf "layers-%d" (int $piece)) "kind" "StatefulSet" "piece" (int $piece) -}}
{{- if $inGroups }}{{ $_ := set $part "suffix" "layers" }}{{ $_ := set $part "kind" "worker" }}{{ end -}}
{{- $_ := set $part "values" (include "tessera-llm.shardValues" (dict "root" $root "role" "layers" "own" $own) | fromJson) -}}
{{- include "tessera-llm.layers" $part -}}
{{- $parts = append $parts $part -}}
{{- end -}}
{{- /* An engine is ready once all shards are: until then nothing is wrong with it. */ -}}
{{- $longest := 0 -}}
{{- range rest $parts }}{{ $longest = max $longest (int (include "tessera.startupSeconds" .)) }}{{ end -}}
{{- if $longest -}}
{{- $startup := $engine.values.probes.startup -}}
{{- $_ := set $startup "extraSeconds" (add (int $startup.extraSeconds) $longest (int $root.Values.shardsWaitSeconds)) -}}
{{- end -}}
{{- $_ := set . "parts" $parts -}}
{{- end -}}

{{/* The pieces that shards hold, 1 to the last; of a LeaderWorkerSet one part stands for all. As JSON. */}}
{{- define "tessera-llm.pieces" -}}
{{- $pieces := int .Values.layers.pieces -}}
{{- $held := list -}}
{{- range $piece, $_ := until $pieces }}{{ if gt $piece 0 }}{{ $held = append $held $piece }}{{ end }}{{ end -}}
{{- if and $held (eq (include "tessera-llm.inGroups" .) "true") }}{{ $held = list 1 }}{{ end -}}
{{- toJson $held -}}
{{- end -}}

{{- define "tessera-llm.inGroups" -}}
{{- if and (gt (int .Values.layers.pieces) 1) (eq .Values.layers.workload "LeaderWorkerSet") }}true{{ end -}}
{{- end -}}

{{/* Names of objects end with it: a longer name of a group is cut, and told from its like by its digest. */}}
{{- define "tessera-llm.groupSuffix" -}}
{{- if gt (len .) 30 -}}
experts-{{ trunc 23 . | trimSuffix "-" }}-{{ sha256sum . | trunc 6 }}
{{- else -}}
experts-{{ . }}
{{- end -}}
{{- end -}}

{{/*
Values of a shard's part: the chart's, without what is said of engines only; over them those of the role, and those of the group
or piece. As JSON.
*/}}
{{- define "tessera-llm.shardValues" -}}
{{- $values := .root.Values -}}
{{- $ofEngines := list "replicas" "autoscaling" "resources" "gpu" "nodeSelector" "tolerations" "affinity" "priorityClassName" "experts" "layers" "extraEnv" "extraEnvFrom" "extraVolumes" "extraVolumeMounts" "extraInitContainers" "extraContainers" -}}
{{- $ofRole := list "groups" "placement" "nodes" "checkCluster" "oneBudget" "tls" "pieces" "perPiece" "workload" "leaderWorkerSet" -}}
{{- $all := dict -}}
{{- range $key, $value := $values }}{{ if not (has $key $ofEngines) }}{{ $_ := set $all $key (deepCopy $value) }}{{ end }}{{ end -}}
{{- $_ := set $all "gpu" (mergeOverwrite (deepCopy $values.gpu) (dict "type" "none" "count" 1)) -}}
{{- $scaling := deepCopy $values.autoscaling -}}
{{- $_ := set $scaling "keda" (mergeOverwrite $scaling.keda (dict "triggers" list)) -}}
{{- $_ := set $all "autoscaling" (mergeOverwrite $scaling (dict "type" "none" "hpa" (dict "cpuPercent" 0 "metrics" list))) -}}
{{- $role := dict -}}
{{- range $key, $value := get $values .role }}{{ if not (has $key $ofRole) }}{{ $_ := set $role $key (deepCopy $value) }}{{ end }}{{ end -}}
{{- range list $role (omit .own "name" | deepCopy) -}}
{{- if (.model | default dict).source }}{{ $_ := set $all "model" (omit $all.model "source") }}{{ end -}}
{{- $all = mergeOverwrite $all . -}}
{{- end -}}
{{- $account := $all.serviceAccount | default dict -}}
{{- if $account.create }}{{ $_ := set $account "name" (include "tessera.serviceAccountName" (dict "root" .root "service" "llm")) }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{/* Under which name others reach a pod of the part: by the headless Service, whose names hold before a pod is ready. */}}
{{- define "tessera-llm.address" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: TESSERA_ENGINE_ADVERTISE
  {{- if eq .values.advertise "podIP" }}
  value: $(POD_IP):7000
  {{- else }}
  value: $(POD_NAME).{{ include "tessera-llm.subdomain" . }}.{{ .root.Release.Namespace }}.svc:7000
  {{- end }}
{{- end -}}

{{/* A LeaderWorkerSet makes a Service of its own name. */}}
{{- define "tessera-llm.subdomain" -}}
{{- if eq (include "tessera-llm.ofGroup" .) "true" -}}
{{- include "tessera.fullname" (dict "root" .root "service" "llm") -}}
{{- else -}}
{{- include "tessera.fullname" . }}-headless
{{- end -}}
{{- end -}}

{{- define "tessera-llm.ofGroup" -}}
{{- if or (eq .kind "LeaderWorkerSet") (eq .kind "worker") }}true{{ end -}}
{{- end -}}

{{- define "tessera-llm.engine" -}}
{{- $experts := .root.Values.experts -}}
{{- $pieces := int .root.Values.layers.pieces -}}
{{- $env := include "tessera-llm.address" . | fromYamlArray -}}
{{- $env = append $env (dict "name" "TESSERA_ROLE" "value" "engine") -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- $callers := list -}}
{{- if $experts.groups }}{{ $callers = append $callers "experts" }}{{ end -}}
{{- if gt $pieces 1 -}}
{{- $callers = append $callers "layers" -}}
{{- $env = append $env (dict "name" "TESSERA_LAYERS_REMOTE" "value" "true") -}}
{{- end -}}
{{- if include "tessera-llm.placementName" .root -}}
{{- $env = append $env (include "tessera-llm.placementVariable" .root | fromYaml) -}}
{{- $volumes = append $volumes (include "tessera-llm.placementVolume" .root | fromYaml) -}}
{{- $mounts = append $mounts (include "tessera-llm.placementMount" .root | fromYaml) -}}
{{- end -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
{{- if and $tls.existingSecret $callers -}}
{{- $volumes = append $volumes (include "tessera.certificateVolume" (dict "name" "shards-tls" "tls" $tls "ca" true) | fromYamlArray | first) -}}
{{- $mounts = append $mounts (dict "name" "shards-tls" "mountPath" "/etc/tessera/shards-tls" "readOnly" true) -}}
{{- range $callers -}}
{{- $prefix := printf "TESSERA_%s" (upper .) -}}
{{- $env = append $env (dict "name" (printf "%s_CA_FILE" $prefix) "value" "/etc/tessera/shards-tls/ca.crt") -}}
{{- if $tls.mutual -}}
{{- $env = append $env (dict "name" (printf "%s_CERT_FILE" $prefix) "value" "/etc/tessera/shards-tls/tls.crt") -}}
{{- $env = append $env (dict "name" (printf "%s_KEY_FILE" $prefix) "value" "/etc/tessera/shards-tls/tls.key") -}}
{{- end -}}
{{- with (get $.root.Values .).tls.serverName -}}
{{- $env = append $env (dict "name" (printf "%s_SERVER_NAME" $prefix) "value" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set . "env" $env -}}
{{- $_ := set . "volumes" $volumes -}}
{{- $_ := set . "mounts" $mounts -}}
{{- if gt $pieces 1 }}{{ $_ := set . "extract" (list "--stage" "llm" "--piece" "0") }}{{ end -}}
{{- include "tessera-llm.engineScaling" . -}}
{{- end -}}

{{- define "tessera-llm.experts" -}}
{{- template "tessera.part" . -}}
{{- $env := include "tessera-llm.address" . | fromYamlArray -}}
{{- $env = append $env (dict "name" "TESSERA_ROLE" "value" "experts") -}}
{{- $env = append $env (dict "name" "TESSERA_EXPERTS_GROUP" "value" .group) -}}
{{- $env = append $env (include "tessera-llm.placementVariable" .root | fromYaml) -}}
{{- $_ := set . "env" $env -}}
{{- $_ := set . "volumes" (list (include "tessera-llm.placementVolume" .root | fromYaml)) -}}
{{- $_ := set . "mounts" (list (include "tessera-llm.placementMount" .root | fromYaml)) -}}
{{- include "tessera-llm.antiAffinity" . -}}
{{- include "tessera-llm.expertScaling" . -}}
{{- end -}}

{{- define "tessera-llm.layers" -}}
{{- template "tessera.part" . -}}
{{- $env := include "tessera-llm.address" . | fromYamlArray -}}
{{- $env = append $env (dict "name" "TESSERA_ROLE" "value" "layers") -}}
{{- if eq .kind "worker" -}}
{{- /* Of a group pod 0 is the engine, which has piece 0 itself. */ -}}
{{- $piece := dict "name" "TESSERA_LAYERS_PIECE" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.labels['leaderworkerset.sigs.k8s.io/worker-index']")) -}}
{{- $env = append $env $piece -}}
{{- $_ := set . "extractEnv" (list $piece) -}}
{{- $_ := set . "extract" (list "--stage" "llm" "--piece" "$(TESSERA_LAYERS_PIECE)") -}}
{{- else -}}
{{- $env = append $env (dict "name" "TESSERA_LAYERS_PIECE" "value" (toString .piece)) -}}
{{- $_ := set . "extract" (list "--stage" "llm" "--piece" (toString .piece)) -}}
{{- end -}}
{{- $_ := set . "env" $env -}}
{{- end -}}

{{/* Which shards may be on one node with this one. */}}
{{- define "tessera-llm.antiAffinity" -}}
{{- $how := .values.antiAffinity -}}
{{- if ne $how "none" -}}
{{- $labels := dict "app.kubernetes.io/instance" .root.Release.Name "app.kubernetes.io/component" "experts" -}}
{{- if eq $how "group" }}{{ $_ := set $labels "tessera/part" .suffix }}{{ end -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $labels) -}}
{{- $affinity := deepCopy (.values.affinity | default dict) -}}
{{- $anti := $affinity.podAntiAffinity | default dict -}}
{{- $_ := set $anti "requiredDuringSchedulingIgnoredDuringExecution" (append ($anti.requiredDuringSchedulingIgnoredDuringExecution | default list) $term) -}}
{{- $_ := set $affinity "podAntiAffinity" $anti -}}
{{- $_ := set .values "affinity" $affinity -}}
{{- end -}}
{{- end -}}
