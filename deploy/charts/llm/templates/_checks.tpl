{{/* What neither the schema nor the library's checks can say. */}}
{{- define "tessera-llm.check" -}}
{{- $values := .Values -}}
{{- $experts := $values.experts -}}
{{- $pieces := int $values.layers.pieces -}}
{{- $inGroups := eq (include "tessera-llm.inGroups" .) "true" -}}
{{- if and $experts.groups (gt $pieces 1) -}}
{{- include "tessera-llm.fail" "experts.groups and layers.pieces are both set; a bundle has its experts apart or its layers, not both: leave one out" -}}
{{- end -}}
{{- if and $experts.placement.configMap $experts.placement.content -}}
{{- include "tessera-llm.fail" "experts.placement has both configMap and content; set the one that holds the placement" -}}
{{- end -}}
{{- if and $experts.groups (not (include "tessera-llm.placementName" .)) -}}
{{- include "tessera-llm.fail" "experts.groups has groups, and no placement says what they hold; write one with `tessera place plan --configmap NAME` and set experts.placement.configMap, or experts.placement.content with --set-file" -}}
{{- end -}}
{{- $names := list -}}
{{- range $experts.groups }}{{ $names = append $names .name }}{{ end -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- include "tessera-llm.fail" (printf "experts.groups has a name twice: %s" (join ", " $names)) -}}
{{- end -}}
{{- include "tessera-llm.checkNodes" . -}}
{{- include "tessera-llm.checkPlacement" . -}}
{{- include "tessera-llm.checkScaling" . -}}
{{- if gt (len $values.layers.perPiece) (max (sub $pieces 1) 0 | int) -}}
{{- include "tessera-llm.fail" (printf "layers.perPiece has %d entries; of %d pieces shards hold %d, from piece 1 on" (len $values.layers.perPiece) $pieces (max (sub $pieces 1) 0)) -}}
{{- end -}}
{{- if and $inGroups $values.layers.perPiece -}}
{{- include "tessera-llm.fail" "layers.perPiece is set, and the shards of a LeaderWorkerSet are all alike; use layers.workload: StatefulSet" -}}
{{- end -}}
{{- if gt $pieces 1 }}{{ include "tessera-llm.checkShares" . }}{{ end -}}
{{- end -}}

{{- define "tessera-llm.fail" -}}
{{- fail (printf "\n\nllm: %s\n" .) -}}
{{- end -}}

{{/* Each engine has its share of the shards of every piece, also while an update has more engines than there are to be. */}}
{{- define "tessera-llm.checkShares" -}}
{{- $engine := dict "root" . "service" "llm" "component" "engine" -}}
{{- template "tessera.part" $engine -}}
{{- $layers := .Values.layers -}}
{{- $share := int64 (include "tessera.setting" (dict "part" $engine "name" "layers.enginesPerShard")) -}}
{{- $engines := eq (include "tessera.scaling" $engine) "none" | ternary .Values.replicas .Values.autoscaling.maxReplicas | int64 -}}
{{- if eq (include "tessera-llm.inGroups" .) "true" -}}
{{- $surge := int64 $layers.leaderWorkerSet.maxSurge -}}
{{- if and (gt $surge 0) (lt $share 2) -}}
{{- include "tessera-llm.fail" (printf "config.layers.enginesPerShard is %d and layers.leaderWorkerSet.maxSurge %d: an update's new engine finds no share of a shard; set enginesPerShard to 2, or maxSurge to 0" $share $surge) -}}
{{- end -}}
{{- else -}}
{{- range $at, $_ := until (sub (int $layers.pieces) 1 | int) -}}
{{- $replicas := int64 $layers.replicas -}}
{{- if lt $at (len $layers.perPiece) }}{{ $replicas = int64 (default $layers.replicas (index $layers.perPiece $at).replicas) }}{{ end -}}
{{- if lt (mul $replicas $share) $engines -}}
{{- include "tessera-llm.fail" (printf "%d engines share %d shards of piece %d, and config.layers.enginesPerShard lets %d share each: set it to %d, or layers.replicas to %d" $engines $replicas (add1 $at) $share (ceil (divf (float64 $engines) (float64 $replicas)) | int64) (ceil (divf (float64 $engines) (float64 $share)) | int64)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Shards that keep apart need a node each: of those that experts.nodes says, and of those that the cluster has. */}}
{{- define "tessera-llm.checkNodes" -}}
{{- $experts := .Values.experts -}}
{{- $root := . -}}
{{- $shards := 0 -}}
{{- $wanted := 0 -}}
{{- $nodes := list -}}
{{- if and $experts.groups $experts.checkCluster }}{{ $nodes = (lookup "v1" "Node" "" "").items | default list }}{{ end -}}
{{- range $group := $experts.groups -}}
{{- $values := include "tessera-llm.shardValues" (dict "root" $root "role" "experts" "own" $group) | fromJson -}}
{{- $replicas := int $values.replicas -}}
{{- if ne $values.autoscaling.type "none" }}{{ $replicas = int (default 1 $values.autoscaling.minReplicas) }}{{ end -}}
{{- if lt $replicas 1 -}}
{{- include "tessera-llm.fail" (printf "experts.groups has %s with no replica; every group of the placement needs one, or its experts are held by nobody" $group.name) -}}
{{- end -}}
{{- $apart := eq $values.antiAffinity "none" | ternary 1 $replicas -}}
{{- $shards = add $shards $replicas -}}
{{- $wanted = eq $values.antiAffinity "all" | ternary (add $wanted $apart) (max $wanted $apart) -}}
{{- if $nodes -}}
{{- $fit := 0 -}}
{{- range $node := $nodes -}}
{{- $there := true -}}
{{- range $key, $value := $values.nodeSelector -}}
{{- if ne (toString (get ($node.metadata.labels | default dict) $key)) (toString $value) }}{{ $there = false }}{{ end -}}
{{- end -}}
{{- if $there }}{{ $fit = add1 $fit }}{{ end -}}
{{- end -}}
{{- if lt (int $fit) (int $apart) -}}
{{- include "tessera-llm.fail" (printf "experts.groups has %s with %d shards, each on a node of its own, and the cluster has %d nodes with the labels of its nodeSelector; add nodes, lower its replicas, or set experts.checkCluster to false where nodes are made when they are asked for" $group.name $replicas (int $fit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $there := int $experts.nodes | default (len $nodes) -}}
{{- if and $there (gt (int $wanted) $there) -}}
{{- $whose := empty $experts.nodes | ternary "the cluster has" "experts.nodes says that there are" -}}
{{- include "tessera-llm.fail" (printf "experts.groups has %d shards in %d groups, which want %d nodes (experts.antiAffinity), and %s %d; plan for fewer groups, lower their replicas, or let shards share nodes" (int $shards) (len $experts.groups) (int $wanted) $whose $there) -}}
{{- end -}}
{{- end -}}

{{- define "tessera-llm.checkPlacement" -}}
{{- $experts := .Values.experts -}}
{{- $text := include "tessera-llm.placementText" . -}}
{{- $where := empty $experts.placement.configMap | ternary "experts.placement.content" (printf "the ConfigMap %s" $experts.placement.configMap) -}}
{{- if and $experts.placement.configMap $experts.checkCluster (not $text) (lookup "v1" "ServiceAccount" .Release.Namespace "default") -}}
{{- include "tessera-llm.fail" (printf "experts.placement.configMap names %s, and the namespace %s has none with a key placement.json; kubectl apply --server-side what `tessera place plan --configmap %s` writes first, or set experts.checkCluster to false where something makes it later" $experts.placement.configMap .Release.Namespace $experts.placement.configMap) -}}
{{- end -}}
{{- if $text -}}
{{- $placement := fromJson $text -}}
{{- if or $placement.Error (not (kindIs "map" $placement.groups)) -}}
{{- include "tessera-llm.fail" (printf "%s is no placement; `tessera place plan` writes one" $where) -}}
{{- end -}}
{{- if gt (len $text) 1048576 -}}
{{- include "tessera-llm.fail" (printf "%s takes %d bytes, and a ConfigMap holds 1048576; plan fewer copies, or fewer groups" $where (len $text)) -}}
{{- end -}}
{{- $revision := (include "tessera.model" (dict "root" . "service" "llm") | fromJson).revision -}}
{{- if and $revision (ne (toString $placement.revision) (toString $revision)) -}}
{{- include "tessera-llm.fail" (printf "%s is for revision %v of the model, and model.revision is %s; plan one from the bundle that is served" $where $placement.revision $revision) -}}
{{- end -}}
{{- include "tessera-llm.checkEpoch" (dict "root" . "placement" $placement) -}}
{{- $names := list -}}
{{- range $experts.groups }}{{ $names = append $names .name }}{{ end -}}
{{- range $group, $_ := $placement.groups -}}
{{- if not (has $group $names) -}}
{{- include "tessera-llm.fail" (printf "%s places experts with the group %s, which experts.groups does not have: nobody would hold them; add it, or plan for the groups that there are" $where $group) -}}
{{- end -}}
{{- end -}}
{{- range $names -}}
{{- if not (hasKey $placement.groups .) -}}
{{- include "tessera-llm.fail" (printf "experts.groups has %s, to which %s gives no experts; remove it, or plan for it" . $where) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What runs takes up no earlier placement, and what starts anew would: the two must not differ. Where helm installs by itself. */}}
{{- define "tessera-llm.checkEpoch" -}}
{{- $experts := .root.Values.experts -}}
{{- if and $experts.checkCluster $experts.placement.content -}}
{{- $found := lookup "v1" "ConfigMap" .root.Release.Namespace (include "tessera-llm.placementName" .root) -}}
{{- $there := get (($found | default dict).data | default dict) "placement.json" | default "{}" | fromJson -}}
{{- include "tessera-llm.checkLater" (dict "there" $there "placement" .placement) -}}
{{- end -}}
{{- end -}}

{{- define "tessera-llm.checkLater" -}}
{{- if and .there.epoch (ne (toJson .there) (toJson .placement)) (le (int64 .placement.epoch) (int64 .there.epoch)) -}}
{{- include "tessera-llm.fail" (printf "experts.placement.content has epoch %d, and the cluster has another placement of epoch %d: what runs would keep that, and what starts anew take this; a way back is a higher epoch, too: `tessera place apply EARLIER --bundle BUNDLE --to placement.json`, where placement.json is what the cluster has" (int64 .placement.epoch) (int64 .there.epoch)) -}}
{{- end -}}
{{- end -}}

{{/* Scalers that read Prometheus must know where it is, and a group's what its shards can do. */}}
{{- define "tessera-llm.checkScaling" -}}
{{- $root := . -}}
{{- $keda := .Values.autoscaling.keda -}}
{{- if and (eq .Values.autoscaling.type "keda") (or $keda.waiting $keda.kvUsage) (not $keda.prometheus.serverAddress) -}}
{{- include "tessera-llm.fail" "autoscaling.keda.prometheus.serverAddress is missing: KEDA reads waiting requests and the KV cache's usage from Prometheus; set it, or autoscaling.keda.waiting and autoscaling.keda.kvUsage to null" -}}
{{- end -}}
{{- range $group := .Values.experts.groups -}}
{{- $scaling := (include "tessera-llm.shardValues" (dict "root" $root "role" "experts" "own" $group) | fromJson).autoscaling -}}
{{- $by := get $scaling $scaling.type | default dict -}}
{{- if and (ne $scaling.type "none") (not (or $by.rowsPerSecond $by.triggers $by.metrics $by.cpuPercent)) -}}
{{- include "tessera-llm.fail" (printf "the group %s of experts.groups is scaled by %s, and autoscaling.%s.rowsPerSecond does not say how many rows a second one of its shards is to compute" $group.name $scaling.type $scaling.type) -}}
{{- end -}}
{{- if and (eq $scaling.type "keda") $by.rowsPerSecond (not $by.prometheus.serverAddress) -}}
{{- include "tessera-llm.fail" (printf "the group %s of experts.groups is scaled by keda, and autoscaling.keda.prometheus.serverAddress does not say where Prometheus is" $group.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
