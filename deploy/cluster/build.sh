#!/usr/bin/env bash
# Builds everything into $CACHE/bin (kubectl, helm, kube, keda-operator, keda-adapter, lws) unless it is there already for
# these versions. That folder, share/ and stamp are all that a run needs: keep them between runs of CI (437 MB); Go's own
# caches only where the versions change often.
set -euo pipefail
. "$(dirname "$0")/env.sh"
export PATH=$PATH:/usr/local/go/bin
want=$(cat "$HERE"/{build,image}.sh "$HERE/../../scripts/kubernetes-tools.mjs" "$HERE/pause/main.go" "$HERE"/kube/{go.mod,go.sum,main.go,dns.go,sources.sh} | sha256sum)
if [ "$(cat "$CACHE/stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi
command -v go >/dev/null || { echo "Go is not installed: the cluster's programs are built from Go modules. Take 1.25 or newer from https://go.dev/dl" >&2; exit 1; }
say "building Kubernetes $K8S_VERSION, KEDA, LeaderWorkerSet and CoreDNS (about ten minutes, once)"
mkdir -p "$CACHE/bin" "$CACHE/share" "$CACHE/images"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
while read -r tool; do install -m 755 "$tool" "$CACHE/bin"; done < <(node "$HERE/../../scripts/kubernetes-tools.mjs")
cd "$HERE/kube"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -p=2 -buildvcs=false"
version() { awk -v module="$1" '$1 == module { print $2; exit }' go.mod; }
bash sources.sh "$(version sigs.k8s.io/kwok)" "$(version github.com/kedacore/keda/v2)" "$(version github.com/coredns/coredns)"
x=k8s.io/component-base/version
# Without these the server calls itself v0.0.0, and a chart's kubeVersion refuses it.
ld="-s -w -X $x.gitVersion=$K8S_VERSION -X $x.gitMajor=1 -X $x.gitMinor=$(cut -d. -f2 <<<"$K8S_VERSION")"
ld="$ld -X $x.gitCommit=module-proxy -X $x.gitTreeState=clean -X $x.buildDate=2026-01-01T00:00:00Z"
go build -trimpath -ldflags "$ld" -o "$CACHE/bin/kube" .
go build -trimpath -ldflags "-s -w" -o "$CACHE/bin/keda-operator" github.com/kedacore/keda/v2/cmd/operator
go build -trimpath -ldflags "-s -w" -o "$CACHE/bin/keda-adapter" github.com/kedacore/keda/v2/cmd/adapter
go build -trimpath -ldflags "-s -w" -o "$CACHE/bin/lws" sigs.k8s.io/lws/cmd
(cd "$HERE/pause" && go build -trimpath -ldflags "-s -w" -o "$tmp/pause/pause" .)
"$HERE/image.sh" localhost/pause:1 "$tmp/pause" "$CACHE/images/pause.tar" /pause
lws=$(go list -m -f '{{.Dir}}' sigs.k8s.io/lws)
rm -rf "$CACHE/share"
mkdir -p "$CACHE/share"
cp -r src/keda/config/crd/bases "$CACHE/share/keda-crds"
install -m 644 "$lws"/config/crd/bases/*.yaml "$CACHE/share/lws-crd.yaml"
install -m 644 "$lws/config/webhook/manifests.yaml" "$CACHE/share/lws-webhooks.yaml"
# Kinds of which only the definitions are wanted, so that the API server knows their fields.
crds=$CACHE/share/crds
mkdir -p "$crds"
cd "$tmp"
go mod init crds 2>/dev/null
module() { go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }
operator=$(module github.com/prometheus-operator/prometheus-operator@v0.85.0)/example/prometheus-operator-crd
install -m 644 "$operator"/monitoring.coreos.com_{podmonitors,servicemonitors,prometheusrules}.yaml "$crds"
install -m 644 "$(module sigs.k8s.io/gateway-api@v1.4.0)"/config/crd/standard/*.yaml "$crds"
inference=$(module sigs.k8s.io/gateway-api-inference-extension@v1.4.0)/config/crd/bases
install -m 644 "$inference"/inference.networking.k8s.io_inferencepools.yaml "$crds"
flux=config/crd/bases
install -m 644 "$(module github.com/fluxcd/helm-controller@v1.4.0)"/$flux/helm.toolkit.fluxcd.io_helmreleases.yaml "$crds"
install -m 644 "$(module github.com/fluxcd/source-controller@v1.7.0)"/$flux/source.toolkit.fluxcd.io_ocirepositories.yaml "$crds"
install -m 644 "$(module github.com/argoproj/argo-cd/v3@v3.1.0)/manifests/crds/application-crd.yaml" "$crds/argoproj.io_applications.yaml"
echo "$want" >"$CACHE/stamp"
