#!/usr/bin/env bash
# A control plane with kwok's fake nodes (nodes.yaml), CoreDNS, KEDA, LeaderWorkerSet and Prometheus, in namespaces of its own: nothing
# outside sees its ports, processes or mounts. Then node.sh adds real nodes, enter.sh runs commands there, down.sh ends all.
set -euo pipefail
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || { echo "run this as root: it makes namespaces for networks, mounts and processes" >&2; exit 1; }
[ ! -e "$RUN/control.pid" ] || { echo "a cluster is up in $RUN: end it with deploy/cluster/down.sh" >&2; exit 1; }
"$HERE/build.sh"
mkdir -p "$RUN/pki" "$RUN/logs" "$RUN/control"
namespaces control
printf 'nameserver %s\nsearch svc.cluster.local cluster.local\noptions ndots:5\n' "$CONTROL" >"$RUN/control/resolv.conf"
# The nodes hang on a bridge, each with its pods behind it; node.sh says the addresses.
inside control bash -ec "mount --bind '$RUN/control/resolv.conf' /etc/resolv.conf
  ip link add nodes type bridge; ip addr add $CONTROL/24 dev nodes; ip link set nodes up
  # The kernel gives a bridge without members no carrier, and the API server then finds no address.
  ip link add spare type veth peer name spare-peer; ip link set spare master nodes; ip link set spare up; ip link set spare-peer up
  for i in {0..7}; do ip route add 10.244.\$i.0/24 via 10.99.0.\$((10 + i)); done; ip route add default dev nodes
  echo 1 >/proc/sys/net/ipv4/ip_forward"
inside control bash "$HERE/control.sh"
inside control bash "$HERE/keda.sh"
inside control bash "$HERE/lws.sh"
inside control bash "$HERE/prometheus.sh"
say "up: $HERE/enter.sh kubectl get nodes"
