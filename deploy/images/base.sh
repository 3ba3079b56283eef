#!/usr/bin/env bash
# Makes what build.sh takes as --node-image where no registry can be reached: Debian bookworm from Debian's own packages, with
# the Node and npm of this machine. It stands in for node:20-bookworm-slim, to build and test with; for anything else
# take the image itself.
# Usage: sudo deploy/images/base.sh [NAME]     default: localhost/node:20-bookworm-slim
# Needs buildah and mmdebstrap, both packages of Debian.
set -euo pipefail
name=${1:-localhost/node:20-bookworm-slim}
for each in buildah mmdebstrap node npm; do
  command -v "$each" >/dev/null || { echo "base.sh: $each is not installed" >&2 && exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "base.sh: run it as root" >&2 && exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=minbase --include=ca-certificates,libstdc++6,libatomic1 bookworm "$work/base.tar" >&2
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null; rm -rf "$work"' EXIT
buildah add --quiet "$container" "$work/base.tar" / >&2
root=$(buildah mount "$container")
cp "$(node -p process.execPath)" "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules"
cp -a "$(npm root --global)/npm" "$root/usr/local/lib/node_modules/npm"
for each in npm npx; do ln -s "../lib/node_modules/npm/bin/$each-cli.js" "$root/usr/local/bin/$each"; done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
buildah umount "$container" >&2
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd '["node"]' "$container"
buildah commit --quiet --format docker "$container" "$name" >&2
echo "$name"
