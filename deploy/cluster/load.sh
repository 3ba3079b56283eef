#!/usr/bin/env bash
# load.sh NODE ARCHIVE...: gives a node images, of archives as `buildah push IMAGE docker-archive:FILE` writes them.
set -euo pipefail
. "$(dirname "$0")/env.sh"
name=$1
shift
for archive; do inside "$name" ctr -a "$RUN/nodes/$name/containerd.sock" -n k8s.io images import "$archive" >/dev/null; done
