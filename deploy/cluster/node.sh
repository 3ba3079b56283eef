#!/usr/bin/env bash
# node.sh NAME INDEX [LABEL=VALUE...]: one real node in namespaces of its own: containerd, kubelet, kube-proxy. INDEX, 0 to
# 7, makes its address 10.99.0.1<INDEX> and its pods' network 10.244.<INDEX>.0/24. load.sh gives it images.
set -euo pipefail
. "$(dirname "$0")/env.sh"
. "$HERE/pki.sh"
name=$1 index=$2
shift 2
address=10.99.0.1$index node=$RUN/nodes/$name
mkdir -p "$node/cni"
namespaces "$name"
nsenter -t "$(init_of control)" -n ip link add "node$index" type veth peer name eth0 netns "$(init_of "$name")"
nsenter -t "$(init_of control)" -n ip link set "node$index" master nodes up
inside "$name" bash -ec "mount --bind '$RUN/control/resolv.conf' /etc/resolv.conf
  ip addr add $address/24 dev eth0; ip link set eth0 up; ip route add default via $CONTROL
  for i in {0..7}; do [ \$i = $index ] || ip route add 10.244.\$i.0/24 via 10.99.0.\$((10 + i)); done
  echo 1 >/proc/sys/net/ipv4/ip_forward"
# All pods of all nodes would get no more of a busy machine than one process of it outside: they get that of sixteen.
hierarchies | while read -r folder; do
  mkdir -p "$folder/$CGROUP/$name"
  [ ! -e "$folder/$CGROUP/cpu.shares" ] || echo 16384 >"$folder/$CGROUP/cpu.shares"
  [ ! -e "$folder/$CGROUP/cpu.weight" ] || echo 1600 >"$folder/$CGROUP/cpu.weight"
done

cd "$node"
# Pods are routed, not bridged: what goes from a pod to a Service and to another pod of its node comes back by the node,
# which puts the Service's address into the answer.
cat >cni/10-ptp.conflist <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "dataDir": "$node/ipam", "ranges": [[{"subnet": "10.244.$index.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
cat >containerd.toml <<END
version = 2
root = "$node/containerd"
state = "/run/containerd-state"
oom_score = 0
[grpc]
  address = "$node/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$node/cni"
END
start "$name-containerd" inside "$name" containerd --config "$node/containerd.toml"
wait_for 120 "containerd of $name" inside "$name" timeout 5 ctr -a "$node/containerd.sock" version
inside "$name" ctr -a "$node/containerd.sock" -n k8s.io images import "$CACHE/images/pause.tar" >/dev/null

certificate ca "kubelet-$name" "/O=system:nodes/CN=system:node:$name" "IP:$address"
kubeconfig "kubelet-$name" "kubelet-$name"
cat >kubelet.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/$name
containerRuntimeEndpoint: unix://$node/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-$name.crt
tlsPrivateKeyFile: $PKI/kubelet-$name.key
address: $address
healthzBindAddress: 127.0.0.1
oomScoreAdj: 0
failSwapOn: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
clusterDNS: [$CONTROL]
clusterDomain: cluster.local
resolvConf: $RUN/control/resolv.conf
podLogsDir: $node/podlogs
volumePluginDir: $node/plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
syncFrequency: 5s
shutdownGracePeriod: 0s
END
start "$name-kubelet" inside "$name" kube kubelet --config="$node/kubelet.yaml" --kubeconfig="$RUN/control/kubelet-$name.kubeconfig" \
  --root-dir="$node/kubelet" --cert-dir="$node/kubelet-pki" --hostname-override="$name" --node-ip="$address" \
  --node-labels="$(IFS=,; echo "type=real${*:+,$*}")"
start "$name-proxy" inside "$name" kube kube-proxy --kubeconfig="$KUBECONFIG" --proxy-mode=nftables --cluster-cidr=10.244.0.0/16 \
  --hostname-override="$name" --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s
wait_for 180 "node $name" inside control kubectl wait --for=condition=Ready "node/$name" --timeout=1s
say "node $name is ready"
