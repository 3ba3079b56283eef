#!/usr/bin/env bash
# node-down.sh NAME: the node dies, as a machine without power does: no pod of it is told. Its Node object stays.
set -uo pipefail
. "$(dirname "$0")/env.sh"
[ -e "$RUN/$1.pid" ] || { echo "there is no node $1 in $RUN" >&2; exit 1; }
# The kernel ends the first process of the namespaces with the one that is killed here, and with it all others. Where it has ended, so
# have they.
if init=$(init_of "$1"); then
  kill -KILL "$(<"$RUN/$1.pid")"
  for ((i = 0; i < 100; i++)); do [ -e "/proc/$init" ] || break; sleep 0.1; done
fi
rm -f "$RUN/$1.pid" "$RUN/$1.ready"
hierarchies | while read -r folder; do find "$folder/$CGROUP/$1" -depth -type d -exec rmdir {} + 2>/dev/null; done
rm -rf "$RUN/nodes/$1"
