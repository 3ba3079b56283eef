#!/usr/bin/env bash
# etcd, API server, controller manager, scheduler, kube-proxy, CoreDNS and kwok: up.sh runs this in the cluster's namespaces.
set -euo pipefail
. "$(dirname "$0")/env.sh"
. "$HERE/pki.sh"
authority ca
authority front-ca
certificate ca apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1,IP:$CONTROL"
certificate ca admin /O=system:masters/CN=admin
certificate ca kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
certificate ca manager /CN=system:kube-controller-manager
certificate ca scheduler /CN=system:kube-scheduler
certificate front-ca front-proxy /CN=front-proxy
openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
kubeconfig manager manager
kubeconfig scheduler scheduler
kubeconfig control admin

cd "$RUN/control"
start etcd kube etcd --name=k --data-dir="$RUN/control/etcd" --unsafe-no-fsync --log-level=warn \
  --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
  --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=k=http://127.0.0.1:2380
wait_for 120 etcd curl -fs http://127.0.0.1:2379/health
start apiserver kube kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
  --bind-address=$CONTROL --secure-port=6443 --advertise-address=$CONTROL --endpoint-reconciler-type=lease \
  --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true --profiling=false \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
  --requestheader-client-ca-file="$PKI/front-ca.crt" --requestheader-allowed-names=front-proxy \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key" \
  --kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
  --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP
cp control.kubeconfig "$KUBECONFIG"
wait_for 300 'API server' kubectl get --raw /readyz
# The autoscaler's pauses are shorter than a real cluster's (15 s and 5 min), so that a test need not wait for them.
start manager kube kube-controller-manager --kubeconfig=manager.kubeconfig --secure-port=0 --leader-elect=false \
  --use-service-account-credentials --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
  --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
  --horizontal-pod-autoscaler-sync-period=2s --horizontal-pod-autoscaler-downscale-stabilization=5s --horizontal-pod-autoscaler-initial-readiness-delay=1s
start scheduler kube kube-scheduler --kubeconfig=scheduler.kubeconfig --secure-port=0 --leader-elect=false
start proxy kube kube-proxy --kubeconfig="$KUBECONFIG" --proxy-mode=nftables --cluster-cidr=10.244.0.0/16 --hostname-override=control \
  --bind-address=$CONTROL --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s
cat >Corefile <<END
.:53 {
  bind $CONTROL
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local {
    kubeconfig $KUBECONFIG
    ttl 0
  }
}
END
start coredns kube coredns -conf Corefile
start kwok kube kwok --kubeconfig="$KUBECONFIG" --manage-nodes-with-label-selector=type=kwok --node-ip=$CONTROL \
  --cidr=10.245.0.1/16 --server-address=127.0.0.1:10247
wait_for 180 'controller manager (default service account)' kubectl get serviceaccount default
wait_for 60 'cluster DNS' curl -fs http://127.0.0.1:8181/ready
kubectl apply --server-side -f "$CACHE/share/crds" >/dev/null
kubectl apply -f "$HERE/nodes.yaml" >/dev/null
wait_for 120 'fake nodes' kubectl wait --for=condition=Ready node -l type=kwok --timeout=1s
