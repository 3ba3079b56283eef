#!/usr/bin/env bash
# image.sh NAME ROOT ARCHIVE ENTRYPOINT...: a folder as an image of one layer, without a container engine: for programs that
# the tests need beside the project's own images.
set -euo pipefail
name=$1 root=$2 archive=$3
shift 3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$tmp/layer.tar" .
layer=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
entrypoint=$(printf ',"%s"' "$@")
printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":[%s],"Env":["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{}]}' \
  "${entrypoint:1}" "$layer" >"$tmp/config.json"
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$tmp/manifest.json"
tar -C "$tmp" -cf "$archive" manifest.json config.json layer.tar
