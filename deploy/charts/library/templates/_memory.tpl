{{/*
The memory that a part's settings let it take at once, as JSON from what to bytes: a limit below their sum is a process that is
killed at the first busy moment. 300 MB are the most that a process of the demo model took (docs/performance.md). Weights of a
part with a GPU lie there.
*/}}
{{- define "tessera.memoryNeeds" -}}
{{- template "tessera.part" . -}}
{{- $part := . -}}
{{- $needs := dict "the process" 300000000.0 -}}
{{- $bytes := (include "tessera.model" . | fromJson).sizeBytes -}}
{{- if and $bytes (not (include "tessera.hasGpu" .)) }}{{ $_ := set $needs "model.sizeBytes" (float64 $bytes) }}{{ end -}}
{{- if eq .service "encoder" -}}
{{- $pixels := include "tessera.setting" (dict "part" . "name" "media.maxPixelsInFlight") | float64 -}}
{{- $_ := set $needs "3 x config.media.maxPixelsInFlight" (mulf 3.0 $pixels) -}}
{{- $each := include "tessera.setting" (dict "part" . "name" "media.svgMemoryBytes") | float64 -}}
{{- $processes := include "tessera.setting" (dict "part" . "name" "media.svgProcesses") | float64 -}}
{{- $_ := set $needs "config.media.svgProcesses x svgMemoryBytes" (mulf $processes $each) -}}
{{- end -}}
{{- if eq .service "gateway" -}}
{{- $_ := unset $needs "model.sizeBytes" -}}
{{- $_ := set $needs "config.media.maxHeldBytes" (include "tessera.setting" (dict "part" . "name" "media.maxHeldBytes") | float64) -}}
{{- end -}}
{{- if has .component (list "engine" "layers") -}}
{{- with include "tessera.setting" (dict "part" . "name" "kv.maxBytes") -}}
{{- if not (include "tessera.hasGpu" $part) }}{{ $_ := set $needs "config.kv.maxBytes" (float64 .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $needs -}}
{{- end -}}

{{/* A quantity of Kubernetes in bytes: 4Gi, 512Mi, 2G, 1.5e9, 1000000. */}}
{{- define "tessera.bytesOf" -}}
{{- $text := toString . -}}
{{- $units := dict "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "" 1.0 -}}
{{- $unit := regexFind "(Ki|Mi|Gi|Ti|k|M|G|T)$" $text -}}
{{- mulf (trimSuffix $unit $text | float64) (get $units $unit) -}}
{{- end -}}

{{- define "tessera.checkMemory" -}}
{{- $limit := ((.values.resources | default dict).limits | default dict).memory -}}
{{- if and $limit .values.checkMemory -}}
{{- $sum := 0.0 -}}
{{- $words := list -}}
{{- range $what, $bytes := include "tessera.memoryNeeds" . | fromJson -}}
{{- $sum = addf $sum $bytes -}}
{{- $words = append $words (printf "%s %.0f MB" $what (divf $bytes 1e6)) -}}
{{- end -}}
{{- if lt (include "tessera.bytesOf" $limit | float64) $sum -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "resources.limits.memory is %s, and the settings let the process take %.0f MB: %s; raise the limit, lower what is largest, or set checkMemory to false" (toString $limit) (divf $sum 1e6) (join ", " $words))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
