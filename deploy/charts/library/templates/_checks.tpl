{{/*
What a schema cannot say, each with a sentence that names the value and what to do. Every pod template calls this, so that
`helm install`, `helm template` and a GitOps controller fail before anything is made.
*/}}
{{- define "tessera.check" -}}
{{- template "tessera.part" . -}}
{{- include "tessera.checkConfig" . -}}
{{- include "tessera.checkNats" . -}}
{{- include "tessera.checkModel" . -}}
{{- include "tessera.checkPull" . -}}
{{- include "tessera.checkScaling" . -}}
{{- include "tessera.checkBudget" . -}}
{{- include "tessera.checkGpu" . -}}
{{- include "tessera.checkMemory" . -}}
{{- include "tessera.checkSecrets" . -}}
{{- end -}}

{{/* Fails with the stage's name before the sentence: tessera.fail (dict "part" . "text" "...") */}}
{{- define "tessera.fail" -}}
{{- fail (printf "\n\n%s: %s\n" (include "tessera.stage" .part) .text) -}}
{{- end -}}

{{- define "tessera.checkConfig" -}}
{{- $part := . -}}
{{- $settings := include "tessera.settings" . | fromJson -}}
{{- range $name, $instead := include "tessera.ownedSettings" . | fromJson -}}
{{- $node := $settings -}}
{{- range splitList "." $name -}}
{{- $node = get (kindIs "map" $node | ternary $node dict) . -}}
{{- end -}}
{{- if not (or (kindIs "invalid" $node) (eq (toString $node) "")) -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "config.%s would be passed over, since the chart sets it; %s" $name $instead)) -}}
{{- end -}}
{{- end -}}
{{- $longest := int64 (include "tessera.setting" (dict "part" . "name" "grpc.maxDeadlineMs")) -}}
{{- $default := int64 (include "tessera.setting" (dict "part" . "name" "grpc.defaultDeadlineMs")) -}}
{{- if gt $default $longest -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "config.grpc.defaultDeadlineMs is %d and config.grpc.maxDeadlineMs %d; the default deadline is at most the longest" $default $longest)) -}}
{{- end -}}
{{- $own := list -}}
{{- range include "tessera.env" (set (omit . "values") "values" (omit .values "extraEnv")) | fromYamlArray }}{{ $own = append $own .name }}{{ end -}}
{{- range .values.extraEnv -}}
{{- if has .name $own -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "extraEnv has %s, which the chart sets; remove it there" .name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tessera.checkNats" -}}
{{- $nats := include "tessera.nats" . | fromJson -}}
{{- if not $nats.url -}}
{{- include "tessera.fail" (dict "part" . "text" "nats.url is missing; set it, or global.nats.url for all stages, to where NATS is, such as nats://nats.messaging.svc:4222") -}}
{{- end -}}
{{- if contains "@" $nats.url -}}
{{- include "tessera.fail" (dict "part" . "text" "nats.url has a user or password in it, which everyone who may read the pod would see; set nats.user, nats.existingSecret and nats.secretKeys.password") -}}
{{- end -}}
{{- range splitList "," $nats.url -}}
{{- if not (regexMatch "^((nats|tls)://)?([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]+)?/?$" (trim .)) -}}
{{- include "tessera.fail" (dict "part" $ "text" (printf "nats.url has %q, which is no address of NATS; write nats://HOST:PORT, and commas between several" (trim .))) -}}
{{- end -}}
{{- end -}}
{{- $files := include "tessera.natsFiles" $nats | fromJson -}}
{{- if and $files (not $nats.existingSecret) -}}
{{- include "tessera.fail" (dict "part" . "text" "nats.secretKeys names keys of a Secret, and nats.existingSecret no Secret; set it to the Secret's name") -}}
{{- end -}}
{{- if and $nats.existingSecret (not $files) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "nats.existingSecret is %s, and nats.secretKeys says of none of its keys what it is; set password, token, nkey or credentials to the key's name" $nats.existingSecret)) -}}
{{- end -}}
{{- if gt (len $files) 1 -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "nats.secretKeys has %d keys; NATS takes one way to say who the service is: password, token, nkey or credentials" (len $files))) -}}
{{- end -}}
{{- if and (get $files "password") (not $nats.user) -}}
{{- include "tessera.fail" (dict "part" . "text" "nats.secretKeys.password is the password of a user, and nats.user is missing") -}}
{{- end -}}
{{- if and $nats.user (not (get $files "password")) -}}
{{- include "tessera.fail" (dict "part" . "text" "nats.user is set, and no password; set nats.existingSecret and nats.secretKeys.password") -}}
{{- end -}}
{{- $natsTls := $nats.tls | default dict -}}
{{- if and $natsTls.mutual (not $natsTls.existingSecret) -}}
{{- include "tessera.fail" (dict "part" . "text" "nats.tls.mutual is set, and nats.tls.existingSecret names no Secret with the certificate and its key") -}}
{{- end -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
{{- if and $tls.mutual (not $tls.existingSecret) -}}
{{- include "tessera.fail" (dict "part" . "text" "tls.mutual is set, and tls.existingSecret names no Secret with the certificate, its key and the CA") -}}
{{- end -}}
{{- end -}}

{{- define "tessera.checkModel" -}}
{{- $part := . -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- with $model.revision -}}
{{- if not (regexMatch "^[0-9a-f]{12}$" (toString .)) -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "model.revision is %q, and a revision is twelve hex digits, as bundle.json has it; put quotes around it" (toString .))) -}}
{{- end -}}
{{- end -}}
{{- $kinds := keys $model.source | sortAlpha -}}
{{- if ne (len $kinds) 1 -}}
{{- $found := empty $kinds | ternary "none of them" (join " and " $kinds) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "model.source needs one of pvc, image, compile and pull, and has %s; set it, or global.model.source for all stages" $found)) -}}
{{- end -}}
{{- $pvc := $model.source.pvc -}}
{{- if and $pvc (not $pvc.claimName) -}}
{{- include "tessera.fail" (dict "part" . "text" "model.source.pvc.claimName is missing: the claim that holds the bundle") -}}
{{- end -}}
{{- $image := $model.source.image -}}
{{- if and $image (not $image.reference) -}}
{{- include "tessera.fail" (dict "part" . "text" "model.source.image.reference is missing: the image that holds the bundle, such as registry.example/models/demo:1") -}}
{{- end -}}
{{- $usesImage := or $image ((($model.source.compile | default dict).checkpoint | default dict).image) -}}
{{- if and $usesImage (semverCompare "<1.33.0-0" .root.Capabilities.KubeVersion.Version) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "model.source mounts an image as a volume, and Kubernetes %s cannot; 1.33 can with the feature gate ImageVolume, 1.35 without; use pvc" .root.Capabilities.KubeVersion.Version)) -}}
{{- end -}}
{{- with $model.source.compile -}}
{{- $checkpoint := .checkpoint | default dict -}}
{{- $given := list -}}
{{- with ($checkpoint.pvc | default dict).claimName }}{{ $given = append $given . }}{{ end -}}
{{- with ($checkpoint.image | default dict).reference }}{{ $given = append $given . }}{{ end -}}
{{- if ne (len $given) 1 -}}
{{- include "tessera.fail" (dict "part" $part "text" "model.source.compile.checkpoint needs a claim (pvc.claimName) or an image (image.reference) that holds the checkpoint, one of the two") -}}
{{- end -}}
{{- if ($model.copy | default dict).enabled -}}
{{- include "tessera.fail" (dict "part" $part "text" "model.copy.enabled is set, and model.source.compile makes the bundle on the node's disk already; remove one of them") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tessera.checkPull" -}}
{{- $part := . -}}
{{- $model := include "tessera.model" . | fromJson -}}
{{- with $model.source.pull -}}
{{- /* As parseModelId of packages/hub, which the container asks. */ -}}
{{- $name := "[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?" -}}
{{- if or (not (regexMatch (printf "^%s(/%s)?$" $name $name) (toString .id))) (contains "--" .id) (contains ".." .id) -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "model.source.pull.id is %q; it is a model's id on the hub, ORG/NAME, with the revision in model.source.pull.revision and a file in model.source.pull.file" (toString (.id | default "")))) -}}
{{- end -}}
{{- if not (regexMatch "^[0-9a-f]{40}$" (toString .revision)) -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "model.source.pull.revision is %q; give the commit, 40 hex digits in quotes, which `tessera pull %s --json` prints: a branch moves, and pods that start later would serve another model" (toString (.revision | default "")) .id)) -}}
{{- end -}}
{{- if and (.token | default dict).key (not .token.existingSecret) -}}
{{- include "tessera.fail" (dict "part" $part "text" "model.source.pull.token.key names a key of a Secret, and model.source.pull.token.existingSecret no Secret") -}}
{{- end -}}
{{- $own := list "HOME" -}}
{{- range include "tessera.pullEnv" (omit . "extraEnv") | fromYamlArray }}{{ $own = append $own .name }}{{ end -}}
{{- range .extraEnv -}}
{{- if has .name $own -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "model.source.pull.extraEnv has %s, which the chart sets; remove it there" .name)) -}}
{{- end -}}
{{- end -}}
{{- if and .endpoint (not (regexMatch "^https?://[^/@]+" .endpoint)) -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "model.source.pull.endpoint is %q; it is a URL, such as https://hub.example" .endpoint)) -}}
{{- end -}}
{{- if ($model.copy | default dict).enabled -}}
{{- include "tessera.fail" (dict "part" $part "text" "model.copy.enabled is set, and model.source.pull makes the bundle on the node's disk already; remove one of them") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tessera.checkScaling" -}}
{{- $scaling := .values.autoscaling | default dict -}}
{{- $type := include "tessera.scaling" . -}}
{{- if not (has $type (list "none" "hpa" "keda")) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "autoscaling.type is %q; it is none, hpa or keda, one of them" $type)) -}}
{{- end -}}
{{- if ne $type "none" -}}
{{- $least := int (include "tessera.minReplicas" .) -}}
{{- if lt (int $scaling.maxReplicas) (max $least 1 | int) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "autoscaling.maxReplicas is %d, less than autoscaling.minReplicas (%d) or than one" (int $scaling.maxReplicas) $least)) -}}
{{- end -}}
{{- if and (eq $least 0) (or (eq $type "hpa") (not .queue)) -}}
{{- $why := eq $type "hpa" | ternary "a HorizontalPodAutoscaler wakes nothing from zero; use keda, or one" "nothing queues for this stage while it has no replica; use one" -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "autoscaling.minReplicas is 0, and %s" $why)) -}}
{{- end -}}
{{- end -}}
{{- $percent := (get $scaling $type | default dict).cpuPercent -}}
{{- if and (ne $type "none") $percent (not ((.values.resources | default dict).requests | default dict).cpu) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "autoscaling.%s.cpuPercent is a share of resources.requests.cpu, which is missing" $type)) -}}
{{- end -}}
{{- if eq $type "keda" -}}
{{- if .queue -}}
{{- if not (include "tessera.model" . | fromJson).revision -}}
{{- include "tessera.fail" (dict "part" . "text" "model.revision is missing: KEDA reads the lag of the revision's queue, and the queue is named by it; bundle.json has it") -}}
{{- end -}}
{{- $monitoring := include "tessera.natsMonitoring" . | fromJson -}}
{{- if not (or $monitoring.endpoint $monitoring.existingSecret) -}}
{{- include "tessera.fail" (dict "part" . "text" "autoscaling.keda.natsMonitoring.endpoint is missing (global.nats.monitoring.endpoint for all stages): HOST:PORT of NATS's monitoring, such as nats-headless.messaging.svc:8222") -}}
{{- end -}}
{{- if contains "/" ($monitoring.endpoint | default "") -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "autoscaling.keda.natsMonitoring.endpoint is %q; KEDA takes HOST:PORT, and https by autoscaling.keda.natsMonitoring.https" $monitoring.endpoint)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tessera.checkBudget" -}}
{{- $budget := .values.podDisruptionBudget | default dict -}}
{{- if $budget.enabled -}}
{{- $least := int (include "tessera.minReplicas" .) -}}
{{- $min := $budget.minAvailable -}}
{{- $max := $budget.maxUnavailable -}}
{{- if not (or (kindIs "invalid" $min) (kindIs "invalid" $max)) -}}
{{- include "tessera.fail" (dict "part" . "text" "podDisruptionBudget has both minAvailable and maxUnavailable, and Kubernetes takes one; set the other to null") -}}
{{- end -}}
{{- if and (kindIs "invalid" $min) (kindIs "invalid" $max) -}}
{{- include "tessera.fail" (dict "part" . "text" "podDisruptionBudget has neither maxUnavailable nor minAvailable; set one, or podDisruptionBudget.enabled to false") -}}
{{- end -}}
{{- range $key, $value := dict "maxUnavailable" $max "minAvailable" $min -}}
{{- if and (kindIs "string" $value) (not (regexMatch "^(100|[0-9]{1,2})%$" $value)) -}}
{{- include "tessera.fail" (dict "part" $ "text" (printf "podDisruptionBudget.%s is %q; it is a number of pods, or a share such as 25%%" $key $value)) -}}
{{- end -}}
{{- end -}}
{{- $forbids := false -}}
{{- if not (kindIs "invalid" $max) -}}
{{- $forbids = has (toString $max) (list "0" "0%") -}}
{{- else if kindIs "string" $min -}}
{{- $kept := ceil (divf (mulf (trimSuffix "%" $min | float64) (max $least 1 | float64)) 100.0) -}}
{{- $forbids = ge $kept (max $least 1 | float64) -}}
{{- else -}}
{{- $forbids = ge (int $min) (max $least 1 | int) -}}
{{- end -}}
{{- if $forbids -}}
{{- $which := kindIs "invalid" $max | ternary (printf "podDisruptionBudget.minAvailable is %v" $min) (printf "podDisruptionBudget.maxUnavailable is %v" $max) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "%s, which forbids every eviction at the fewest replicas (%d), so that no node could ever be drained; use maxUnavailable: 1" $which $least)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tessera.checkGpu" -}}
{{- $gpu := .values.gpu | default dict -}}
{{- $type := $gpu.type | default "none" -}}
{{- if not (has $type (list "none" "device" "claim")) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "gpu.type is %q; it is none, device or claim" $type)) -}}
{{- end -}}
{{- if and (eq $type "claim") (not ($gpu.claim | default dict).existingTemplate) (semverCompare "<1.34.0-0" .root.Capabilities.KubeVersion.Version) -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "gpu.type is claim, and Kubernetes %s has no ResourceClaimTemplate of resource.k8s.io/v1, as 1.34 has; use device, or name a template of yours in gpu.claim.existingTemplate" .root.Capabilities.KubeVersion.Version)) -}}
{{- end -}}
{{- $device := (include "tessera.settings" . | fromJson).device -}}
{{- if and (ne $type "none") (eq (toString $device) "cpu") -}}
{{- include "tessera.fail" (dict "part" . "text" (printf "config.device is cpu, and gpu.type %s gives each pod a GPU; remove one of them" $type)) -}}
{{- end -}}
{{- if and (eq $type "none") (eq (toString $device) "cuda") -}}
{{- include "tessera.fail" (dict "part" . "text" "config.device is cuda, and gpu.type gives no pod a GPU; set gpu.type to device or claim, which sets the device too") -}}
{{- end -}}
{{- end -}}

{{/*
Where the chart is installed by helm itself, a Secret that is named and not there is said now; a pod would only wait for it.
`helm template` cannot look, and finds no fault. The default ServiceAccount, which every namespace has, tells the two apart.
*/}}
{{- define "tessera.checkSecrets" -}}
{{- $part := . -}}
{{- if .values.checkSecrets -}}
{{- if lookup "v1" "ServiceAccount" .root.Release.Namespace "default" -}}
{{- $keys := include "tessera.secretKeys" . | fromJson -}}
{{- range $value, $name := include "tessera.secretNames" . | fromJson -}}
{{- $secret := lookup "v1" "Secret" $part.root.Release.Namespace $name -}}
{{- if not $secret -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "%s names the Secret %s, and the namespace %s has none; make it first, or set checkSecrets to false where something makes it later" $value $name $part.root.Release.Namespace)) -}}
{{- end -}}
{{- range get $keys $value -}}
{{- if not (hasKey ($secret.data | default dict) .) -}}
{{- include "tessera.fail" (dict "part" $part "text" (printf "%s names the Secret %s, which has no key %s; it has %s" $value $name . (keys ($secret.data | default dict) | sortAlpha | join ", " | default "none"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The keys that each of them must have, by the value that names it, as JSON. */}}
{{- define "tessera.secretKeys" -}}
{{- $nats := include "tessera.nats" . | fromJson -}}
{{- $natsTls := $nats.tls | default dict -}}
{{- $tls := include "tessera.tls" . | fromJson -}}
{{- $ca := list (default "ca.crt" $natsTls.caKey) -}}
{{- if $natsTls.mutual }}{{ $ca = append (append $ca (default "tls.crt" $natsTls.certKey)) (default "tls.key" $natsTls.keyKey) }}{{ end -}}
{{- $pair := list (default "tls.crt" $tls.certKey) (default "tls.key" $tls.keyKey) -}}
{{- if $tls.mutual }}{{ $pair = append $pair (default "ca.crt" $tls.caKey) }}{{ end -}}
{{- $token := list (default "token" (((include "tessera.model" . | fromJson).source.pull | default dict).token | default dict).key) -}}
{{- toJson (dict "nats.existingSecret" (include "tessera.natsFiles" $nats | fromJson | values) "nats.tls.existingSecret" $ca "tls.existingSecret" $pair "model.source.pull.token.existingSecret" $token) -}}
{{- end -}}

{{/* The Secrets that the values name, by the value that does, as JSON. A part may have more in `secrets` (a map). */}}
{{- define "tessera.secretNames" -}}
{{- $nats := include "tessera.nats" . | fromJson -}}
{{- $names := deepCopy (.secrets | default dict) -}}
{{- with $nats.existingSecret }}{{ $_ := set $names "nats.existingSecret" . }}{{ end -}}
{{- with ($nats.tls | default dict).existingSecret }}{{ $_ := set $names "nats.tls.existingSecret" . }}{{ end -}}
{{- with (include "tessera.tls" . | fromJson).existingSecret }}{{ $_ := set $names "tls.existingSecret" . }}{{ end -}}
{{- with (((include "tessera.model" . | fromJson).source.pull | default dict).token | default dict).existingSecret -}}
{{- $_ := set $names "model.source.pull.token.existingSecret" . -}}
{{- end -}}
{{- if and .queue (eq (include "tessera.scaling" .) "keda") -}}
{{- with (include "tessera.natsMonitoring" . | fromJson).existingSecret -}}
{{- $_ := set $names "autoscaling.keda.natsMonitoring.existingSecret" . -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
