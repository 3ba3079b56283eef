# shellcheck shell=bash
# What the other scripts share. Two clusters at once need two folders for their state, and nothing else.
K8S_VERSION=v1.34.4
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${TESSERA_CLUSTER_CACHE:-$HOME/.cache/tessera-cluster} # the programs, kept between runs
RUN=$(realpath -m "${TESSERA_CLUSTER_RUN:-$CACHE/run}")      # state, logs and images of this cluster; ends with it
CONTROL=10.99.0.1                                            # the control plane, in a network of its own
export PATH=$CACHE/bin:/usr/local/sbin:/usr/sbin:/sbin:$PATH KUBECONFIG=$RUN/kubeconfig

say() { printf '\033[2m[cluster] %s\033[0m\n' "$*" >&2; }

# start NAME COMMAND...: in the background, its log under $RUN/logs.
start() {
  local name=$1
  shift
  "$@" >"$RUN/logs/$name.log" 2>&1 </dev/null &
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local seconds=$1 what=$2 i
  shift 2
  for ((i = 0; i < seconds * 5; i++)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  echo "$what: not there after $seconds s; the logs are in $RUN/logs" >&2
  return 1
}

# namespaces NAME: network, mount and process namespaces with nothing in them yet. All that runs in them ends when the
# process whose id is in $RUN/NAME.pid does, and all mounts go with it. What must not be shared lies on a tmpfs.
namespaces() {
  local tmpfs=/run:/var/lib/cni init='sleep infinity & wait' # bash ends what others leave to it
  # Its output is closed: else whoever reads this script's waits for the cluster's end.
  unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
    bash -ec "mount --make-rshared /; mkdir -p /var/lib/cni; for dir in ${tmpfs//:/ }; do mount -t tmpfs tmpfs \$dir; done
      ip link set lo up; touch '$RUN/$1.ready'; $init" </dev/null >"$RUN/logs/$1.namespaces.log" 2>&1 &
  echo $! >"$RUN/$1.pid"
  wait_for 30 "namespaces of $1" test -e "$RUN/$1.ready"
}

# init_of NAME: the id, as seen from outside, of the first process of those namespaces. Status 1, and nothing, when it has ended:
# the id of who began it may be another's by then, so that its command is looked at, too.
init_of() {
  local parent child=
  parent=$(<"$RUN/$1.pid")
  grep -qsaF "$RUN/$1.ready" "/proc/$parent/cmdline" || return 1
  { read -r child _ <"/proc/$parent/task/$parent/children"; } 2>/dev/null
  [ -n "$child" ] && echo "$child"
}

# inside NAME COMMAND...: runs it in those namespaces.
inside() {
  local init
  [ -e "$RUN/$1.pid" ] || { echo "there is no $1 in $RUN: begin a cluster with deploy/cluster/up.sh" >&2; return 1; }
  init=$(init_of "$1") || { echo "$1 of $RUN has ended: its logs are in $RUN/logs; deploy/cluster/down.sh ends what is left" >&2; return 1; }
  shift
  nsenter -t "$init" -n -m -p --wd="$PWD" "$@"
}

# The cgroup that all nodes of this cluster lie under: no two clusters meet there.
CGROUP=tessera-$(sha256sum <<<"$RUN" | cut -c1-8)

# hierarchies: folders of the kernel's cgroup hierarchies, one under version 2, one a controller under version 1.
hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }
