#!/bin/bash
# Writes go.mod and go.sum for Kubernetes $1 (v1.34.4), kwok $2 (v0.7.0), KEDA $3 (v2.19.0), LeaderWorkerSet $4 (v0.8.0)
# and CoreDNS $5 (v1.11.4); commit the result. Kubernetes' own requirements with the staging modules taken from the module
# proxy instead of ./staging; what the others need besides, held to exactly the versions that Kubernetes has where it has
# one, so that each package is compiled once. CoreDNS is one that asks for nothing newer than Kubernetes does.
set -euo pipefail
cd "$(dirname "$0")"
V=$1 S=v0.${1#v1.} KWOK=$2 KEDA=$3 LWS=$4 COREDNS=$5
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
D=$(cd "$tmp" && go mod init x >/dev/null 2>&1; go mod download -json "k8s.io/kubernetes@$V" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
./sources.sh "$KWOK" "$KEDA" "$COREDNS"
sed -e 's|^module .*|module kube|' \
    -e "s|^\(\tk8s.io/[a-z-]*\) v0.0.0\$|\1 $S|" \
    -e "s|^\(\tk8s.io/[a-z-]* =>\) ./staging/src/\(k8s.io/.*\)|\1 \2 $S|" "$D/go.mod" >go.mod
cat "$D/go.sum" >go.sum
go mod edit -require "k8s.io/kubernetes@$V"
go list -mod=mod -deps k8s.io/kubernetes/cmd/kube-apiserver >/dev/null
versions() { go list -mod=mod -m all | awk '{print $1, $2}' | sort; }
versions >"$tmp/a"
go mod edit -require "sigs.k8s.io/kwok@$KWOK" -require "sigs.k8s.io/lws@$LWS" -require "github.com/kedacore/keda/v2@$KEDA" -require "github.com/coredns/coredns@$COREDNS" -replace github.com/kedacore/keda/v2=./src/keda -replace sigs.k8s.io/kwok=./src/kwok -replace github.com/coredns/coredns=./src/coredns
sed -n '/^replace/,/^)/d; s/^\t\([^ ]*\) \(v[^ ]*\).*/\1 \2/p' src/keda/upstream.mod | sort >"$tmp/k"
join -v1 "$tmp/k" "$tmp/a" | while read -r m v; do go mod edit -require "$m@$v"; done
awk '$2 == "=>" && $1 == "sigs.k8s.io/controller-runtime" {print $1 "=" $3 "@" $4}' src/keda/upstream.mod | while read -r r; do go mod edit -replace "$r"; done
versions >"$tmp/b"
join "$tmp/a" "$tmp/b" | awk '$2 != $3 {print $1 " " $2}' | while read -r m v; do
  grep -q "^\s*$m =>" go.mod || go mod edit -replace "$m=$m@$v"
done
for r in go.opentelemetry.io/otel/sdk/metric@v1.34.0 go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc@v1.34.0 go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp@v1.34.0 go.opentelemetry.io/otel/exporters/prometheus@v0.56.0; do go mod edit -replace "${r%@*}=$r"; done
go mod tidy -e
