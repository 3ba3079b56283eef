#!/usr/bin/env bash
# KEDA's operator and its external metrics adapter, beside the control plane and not in it; up.sh runs this.
set -euo pipefail
. "$(dirname "$0")/env.sh"
. "$HERE/pki.sh"
certs=$RUN/control/keda-certs
serving keda "$certs"
kubectl create namespace keda >/dev/null
kubectl apply --server-side -f "$CACHE/share/keda-crds" >/dev/null
# `kubectl wait` on a kind that was made a moment ago fails: the server is asked until it has them.
wait_for 120 "KEDA's kinds" kubectl get scaledobjects,scaledjobs,triggerauthentications,clustertriggerauthentications,cloudeventsources,clustercloudeventsources -A
kubectl apply -f "$HERE/keda-apiservice.yaml" >/dev/null
export POD_NAMESPACE=keda WATCH_NAMESPACE= KEDA_CLUSTER_OBJECT_NAMESPACE=keda
start keda-operator keda-operator --kubeconfig="$KUBECONFIG" --zap-log-level=info --zap-encoder=console --cert-dir="$certs" \
  --metrics-bind-address=127.0.0.1:8090 --health-probe-bind-address=127.0.0.1:8091 --metrics-service-bind-address=127.0.0.1:9666
start keda-adapter keda-adapter --kubeconfig="$KUBECONFIG" --lister-kubeconfig="$KUBECONFIG" --authentication-kubeconfig="$KUBECONFIG" --authorization-kubeconfig="$KUBECONFIG" \
  --bind-address=127.0.0.1 --secure-port=6444 --port=8092 --metrics-service-address=127.0.0.1:9666 \
  --client-ca-file="$certs/ca.crt" --tls-cert-file="$certs/tls.crt" --tls-private-key-file="$certs/tls.key" --cert-dir="$certs"
wait_for 180 'external metrics (APIService)' kubectl get --raw /apis/external.metrics.k8s.io/v1beta1
