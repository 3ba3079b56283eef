#!/bin/bash
# Copies of three modules' sources, from the module cache, changed where they must be: src/kwok of kwok $1, src/keda of
# KEDA $2, src/coredns of CoreDNS $3. build.sh runs it before each build; nothing of src/ is committed. KEDA loses the scalers and secret stores of
# clouds, databases and brokers that no test here uses, a thousand packages. Kept: nats-jetstream, prometheus, cron, cpu,
# memory, external(-push), kubernetes-workload.
set -euo pipefail
cd "$(dirname "$0")"; rm -rf src; mkdir -p src/keda
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
get() { (cd "$tmp"; [ -e go.mod ] || go mod init x >/dev/null 2>&1; go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); }
cp -r "$(get "sigs.k8s.io/kwok@$1")" src/kwok; chmod -R u+w src/kwok
# a constant that Kubernetes 1.34's libraries no longer have
sed -i '/InitialEventsListBlueprintAnnotationKey\]$/d; /len(base64EncodedInitialEventsListBlueprint) == 0/,+2d' src/kwok/pkg/utils/informer/informer.go
cp -r "$(get "github.com/coredns/coredns@$3")" src/coredns; chmod -R u+w src/coredns
# a field that they no longer have; CoreDNS sets it to what is now always so
sed -i '/RetryOnError: *false,$/d' src/coredns/plugin/kubernetes/object/informer.go

src=$(get "github.com/kedacore/keda/v2@$2"); cd src/keda
for d in apis cmd/operator cmd/adapter controllers pkg version config/crd/bases; do mkdir -p "$d"; cp -r "$src/$d/." "$d"; done
chmod -R u+w .
printf 'module github.com/kedacore/keda/v2\n\ngo 1.24.0\n' >go.mod # its requirements come from genmod.sh
cp "$src/go.mod" upstream.mod
find . -name '*_test.go' -delete
(cd pkg/scalers
 mkdir "$tmp/keep"; mv scaler.go {nats_jetstream,prometheus,cron,cpu_memory,external,external_mock,kubernetes_workload}_scaler.go authentication externalscaler scalersconfig "$tmp/keep"
 rm -rf ./*; mv "$tmp"/keep/* .; printf 'package scalers\n\nconst externalMetricType = "External"\n' >consts.go)
made=$(grep -hoE '^func New[A-Za-z]*Scaler\(' pkg/scalers/*.go | sed 's/func //; s/(//' | paste -sd'|')
perl -0pi -e "s/\tcase \"[^\"]*\":\n\t\treturn scalers\.(?!(?:$made)\()\w+\([^\n]*\n//g" pkg/scaling/scalers_builder.go
perl -0pi -e 's/ else \{\n\t\t\/\/ could be the case of azure.*?\n\t\}\n\n(\treturn &prometheusScaler)/\n\n$1/s; s/\t"[^"]*scalers\/(aws|azure|gcp)"\n//g' pkg/scalers/prometheus_scaler.go
grep -q 'errors\.' pkg/scalers/prometheus_scaler.go || sed -i '/^\t"errors"$/d' pkg/scalers/prometheus_scaler.go
rm pkg/scaling/resolver/{aws_secretmanager,hashicorpvault,azure_keyvault,gcp_secretmanager}_handler.go pkg/eventemitter/azure_event_grid_topic_handler.go
perl -0pi -e 's/\t\t\tif triggerAuthSpec\.HashiCorpVault.*?(\t\t\tif triggerAuthSpec\.BoundServiceAccountToken)/$1/s' pkg/scaling/resolver/scale_resolvers.go
perl -0pi -e 's/\tif spec\.Destination\.AzureEventGridTopic != nil \{\n\t\teventHandler, err :=.*?\n\t\}\n(?=\n|\t[a-z]|\})//s' pkg/eventemitter/eventemitter.go
sed -i 's/authParams, podIdentity, err := resolver/_, _, err := resolver/' pkg/eventemitter/eventemitter.go
