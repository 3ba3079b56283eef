#!/usr/bin/env bash
# LeaderWorkerSet's controller with its webhooks, by URL, beside the control plane and not in it; up.sh runs this.
set -euo pipefail
. "$(dirname "$0")/env.sh"
. "$HERE/pki.sh"
certs=$RUN/control/lws-certs
serving lws "$certs"
kubectl apply --server-side -f "$CACHE/share/lws-crd.yaml" >/dev/null
cat >"$RUN/control/lws.yaml" <<END
apiVersion: config.lws.x-k8s.io/v1alpha1
kind: Configuration
leaderElection: {leaderElect: false}
internalCertManagement: {enable: false}
webhook: {host: 127.0.0.1, port: 9443, certDir: $certs}
metrics: {bindAddress: "0"}
health: {healthProbeBindAddress: 127.0.0.1:9444}
END
start lws lws --config="$RUN/control/lws.yaml" --kubeconfig="$KUBECONFIG"
wait_for 120 "LeaderWorkerSet's webhook" curl -sk --max-time 1 https://127.0.0.1:9443/
# Only pods of its own are shown to the webhooks: a cluster whose pods all wait for one controller stops with it.
AUTHORITY=$(base64 -w0 "$PKI/ca.crt") perl -0pe 's|    service:\n      name: .*\n      namespace: .*\n      path: (.*)\n|    url: https://127.0.0.1:9443$1\n    caBundle: $ENV{AUTHORITY}\n|g;
  s|(  name: [mv]pod.kb.io\n)|  objectSelector: {matchExpressions: [{key: leaderworkerset.sigs.k8s.io/name, operator: Exists}]}\n$1|g' "$CACHE/share/lws-webhooks.yaml" | kubectl apply -f - >/dev/null
