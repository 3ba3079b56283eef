#!/usr/bin/env bash
# Compares the public contract with main's: nothing that a client may rely on goes away. On main itself it compares with
# the commit before. A first commit has nothing to compare with.
set -euo pipefail
cd "$(dirname "$0")/.."

# The contract began anew with the events of answer.proto, and was read once more before anybody used it: nobody depends
# on what was before UploadStart.
for candidate in origin/main main HEAD~1; do
  commit=$(git rev-parse --verify --quiet "$candidate^{commit}" || true)
  if [ -n "$commit" ] && [ "$commit" != "$(git rev-parse HEAD)" ] && git grep -q "message UploadStart" "$commit" -- proto/tessera/v1/chat.proto; then
    # From an archive, so that a shallow clone, which buf's own git reader refuses, will do.
    against=$(mktemp -d)
    trap 'rm -rf "$against"' EXIT
    git archive "$commit" buf.yaml proto | tar -x -C "$against"
    echo "buf breaking against $candidate ($(git rev-parse --short "$commit"))"
    npx --no-install buf breaking --against "$against"
    exit 0
  fi
done
echo "buf breaking: no earlier contract to compare with"
