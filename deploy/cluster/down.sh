#!/usr/bin/env bash
# Ends what up.sh and node.sh began, and removes all that is left of it: processes, mounts, cgroups, networks, files. The
# logs go to $CACHE/logs.
set -uo pipefail
. "$(dirname "$0")/env.sh"
for file in "$RUN"/*.pid; do
  [ -e "$file" ] || continue
  name=$(basename "$file" .pid)
  "$HERE/node-down.sh" "$name"
done
hierarchies | while read -r folder; do [ ! -d "$folder/$CGROUP" ] || rmdir "$folder/$CGROUP"; done
if [ -d "$RUN/logs" ]; then
  rm -rf "$CACHE/logs"
  mv "$RUN/logs" "$CACHE/logs"
fi
rm -rf "$RUN"
