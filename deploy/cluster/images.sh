#!/usr/bin/env bash
# The images that the nodes are given, as archives in $RUN/images: the project's own, and NATS. TESSERA_IMAGE_OPTIONS are
# options of deploy/images/build.sh, such as where the base image is.
set -euo pipefail
. "$(dirname "$0")/env.sh"
mkdir -p "$RUN/images"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# add PROGRAM: copies it and the libraries that it is linked with.
add() {
  local file
  install -D "$1" "$root$1"
  ldd "$1" | grep -o '/[^ ]*' | while read -r file; do install -D "$(readlink -f "$file")" "$root$file"; done
}

nats=$(command -v nats-server)
add "$nats"
"$HERE/image.sh" localhost/nats:1 "$root" "$RUN/images/nats.tar" "$nats"

read -ra options <<<"${TESSERA_IMAGE_OPTIONS:-}"
"$HERE/../images/build.sh" --archive "$RUN/images" "${options[@]}"
