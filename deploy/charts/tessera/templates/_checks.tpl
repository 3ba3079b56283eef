{{/* What concerns several stages, or NATS: each with a sentence, before anything is made. */}}
{{- define "tessera-umbrella.check" -}}
{{- include "tessera-umbrella.checkNats" . -}}
{{- include "tessera-umbrella.checkStages" . -}}
{{- include "tessera-umbrella.checkMemory" . -}}
{{- end -}}

{{- define "tessera-umbrella.fail" -}}
{{- fail (printf "\n\ntessera: %s\n" .) -}}
{{- end -}}

{{- define "tessera-umbrella.part" -}}
{{- $_ := set . "service" "streams" -}}
{{- $_ := set . "values" (merge (dict "autoscaling" dict) .root.Values.streams) -}}
{{- template "tessera.part" . -}}
{{- end -}}

{{- define "tessera-umbrella.checkNats" -}}
{{- $root := . -}}
{{- $global := .Values.global.nats -}}
{{- $ours := contains ".Release.Name" ($global.url | default "") -}}
{{- /* NATS's chart leaves its name out where the release has it, and global.nats.url would name a Service that is not there. */ -}}
{{- $named := printf "%s-nats" .Release.Name -}}
{{- if and .Values.nats.enabled (contains "nats" .Release.Name) (ne (toString .Values.nats.fullnameOverride) $named) -}}
{{- include "tessera-umbrella.fail" (printf "the release is called %s, and NATS's chart would call its Service so too, where global.nats.url has %s: set nats.fullnameOverride to %s" .Release.Name $named $named) -}}
{{- end -}}
{{- if and .Values.nats.enabled (not (hasKey .Subcharts "nats")) -}}
{{- include "tessera-umbrella.fail" "nats.enabled is true, and the chart of NATS is not in this copy of the chart; make one that has it with `npm run charts -- --with-nats`, or install NATS by itself and set global.nats.url" -}}
{{- end -}}
{{- if and (not .Values.nats.enabled) $ours -}}
{{- include "tessera-umbrella.fail" "there is no NATS: set global.nats.url to one that is there, such as nats://nats.messaging.svc:4222, or nats.enabled to true for one of the release's own" -}}
{{- end -}}
{{- if and .Values.nats.enabled (not $ours) -}}
{{- include "tessera-umbrella.fail" (printf "nats.enabled is true, and global.nats.url says %s: leave out the address, or nats.enabled" $global.url) -}}
{{- end -}}
{{- $monitoring := $global.monitoring | default dict -}}
{{- if and (not .Values.nats.enabled) (contains ".Release.Name" ($monitoring.endpoint | default "")) (not $monitoring.existingSecret) -}}
{{- range list "encoder" "connector" "generator" -}}
{{- $stage := get $root.Values . -}}
{{- $own := (($stage.autoscaling | default dict).keda | default dict).natsMonitoring | default dict -}}
{{- if and $stage.enabled (eq (($stage.autoscaling | default dict).type | default "none") "keda") (not (or $own.endpoint $own.existingSecret)) -}}
{{- include "tessera-umbrella.fail" (printf "%s.autoscaling.type is keda, and global.nats.monitoring.endpoint does not say where the monitoring of %s is; set it to HOST:8222" . $global.url) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Who starts last decides about the streams: stages that say different things would take turns. */}}
{{- define "tessera-umbrella.checkStages" -}}
{{- $root := . -}}
{{- $streams := include "tessera.streamBytes" . | fromJson -}}
{{- $same := concat $streams.eachRevision $streams.shared (list "nats.prefix" "nats.partBytes" "nats.shards" "nats.replicas" "nats.maxJobs" "nats.uploadMs" "grpc.maxDeadlineMs") -}}
{{- range $stage := list "encoder" "connector" "llm" "generator" "gateway" -}}
{{- $values := get $root.Values $stage -}}
{{- if $values.enabled -}}
{{- range $name := $same -}}
{{- $node := $values.config | default dict -}}
{{- range splitList "." $name }}{{ $node = get (kindIs "map" $node | ternary $node dict) . }}{{ end -}}
{{- if not (or (kindIs "invalid" $node) (eq (toString $node) "")) -}}
{{- include "tessera-umbrella.fail" (printf "%s.config.%s is set, and all services must say the same of it, since all of them make the streams: set global.config.%s" $stage $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What all streams may hold together, in bytes. */}}
{{- define "tessera-umbrella.streamBytes" -}}
{{- $part := dict "root" . -}}
{{- template "tessera-umbrella.part" $part -}}
{{- $streams := include "tessera.streamBytes" . | fromJson -}}
{{- $bytes := int64 $streams.always -}}
{{- range $streams.shared }}{{ $bytes = add $bytes (int64 (include "tessera.setting" (dict "part" $part "name" .))) }}{{ end -}}
{{- $each := int64 0 -}}
{{- range $streams.eachRevision }}{{ $each = add $each (int64 (include "tessera.setting" (dict "part" $part "name" .))) }}{{ end -}}
{{- add $bytes (mul $each (int64 .Values.streams.revisions)) -}}
{{- end -}}

{{/* Bytes of a quantity: 2Gi, 500M, a number, or << 1MB >> as the chart of NATS writes it; 0 for what is none. */}}
{{- define "tessera-umbrella.bytes" -}}
{{- $text := kindIs "string" . | ternary . (printf "%.0f" (float64 .)) | trimPrefix "<<" | trimSuffix ">>" | trim -}}
{{- /* To NATS 1MB is 1024 KB. */ -}}
{{- $text = regexReplaceAll "([KMGT])B$" $text "${1}iB" -}}
{{- $units := dict "" 1 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[KMGT]i?B?$" $text | trimSuffix "B" -}}
{{- $amount := regexFind "^[0-9]+(\\.[0-9]+)?" $text -}}
{{- if $amount }}{{ mulf (float64 $amount) (get $units $unit | float64) | int64 }}{{ else }}0{{ end -}}
{{- end -}}

{{- define "tessera-umbrella.checkMemory" -}}
{{- $part := dict "root" . -}}
{{- template "tessera-umbrella.part" $part -}}
{{- $copies := int64 (include "tessera.setting" (dict "part" $part "name" "nats.replicas")) -}}
{{- $needed := mul (int64 (include "tessera-umbrella.streamBytes" .)) $copies -}}
{{- $own := .Values.nats.config -}}
{{- $servers := int64 1 -}}
{{- $said := .Values.global.nats.maxMemory -}}
{{- $name := "global.nats.maxMemory" -}}
{{- if .Values.nats.enabled -}}
{{- $store := $own.jetstream.memoryStore -}}
{{- $name = "nats.config.jetstream.memoryStore.maxSize" -}}
{{- $said = $store.maxSize -}}
{{- if not (and $own.jetstream.enabled $store.enabled) -}}
{{- include "tessera-umbrella.fail" "nats.config.jetstream.enabled or its memoryStore.enabled is false; all streams are in JetStream's memory" -}}
{{- end -}}
{{- if $own.cluster.enabled }}{{ $servers = int64 $own.cluster.replicas }}{{ end -}}
{{- if gt $copies $servers -}}
{{- include "tessera-umbrella.fail" (printf "global.config.nats.replicas is %d, and NATS has %d servers; set nats.config.cluster, or fewer copies" $copies $servers) -}}
{{- end -}}
{{- $payload := int64 (include "tessera-umbrella.bytes" (default 1048576 ($own.merge | default dict).max_payload)) -}}
{{- $message := add (int64 (include "tessera.setting" (dict "part" $part "name" "nats.partBytes"))) 32768 -}}
{{- if lt $payload $message -}}
{{- include "tessera-umbrella.fail" (printf "nats.config.merge.max_payload is %d bytes, and the largest message %d (nats.partBytes and 32 KiB); raise it, or lower global.config.nats.partBytes" $payload $message) -}}
{{- end -}}
{{- end -}}
{{- if $said -}}
{{- $has := mul (int64 (include "tessera-umbrella.bytes" $said)) $servers -}}
{{- if lt $has $needed -}}
{{- include "tessera-umbrella.fail" (printf "NATS is too small for the streams: %s lets it hold %d bytes%s, and the streams may hold %d (%d revisions at a time%s); raise it to %dMi at least, or lower global.config.nats.*Bytes (docs/sizing.md)" $name $has (gt $servers 1 | ternary (printf " on %d servers" $servers) "") $needed (int64 .Values.streams.revisions) (gt $copies 1 | ternary (printf ", each on %d servers" $copies) "") (ceil (divf (float64 $needed) (mulf (float64 $servers) 1048576.0)) | int64)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
