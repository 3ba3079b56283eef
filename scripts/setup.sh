#!/usr/bin/env bash
# Sets up everything that `npm run demo` and `npm test` need: dependencies, nats-server, the build.
# Each step leaves a stamp, so a second run does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[2m[setup] %s\033[0m\n' "$*" >&2; }
stamps=node_modules/.tessera

# As `engines` in package.json says: 20 from 20.9, 22 from 22.12, 24.
node=$(node -p 'const [a, b] = process.versions.node.split(".").map(Number); a < 20 || (a === 20 && b < 9) ? "old" : { 20: 9, 22: 12, 24: 0 }[a] <= b ? "good" : "untested"')
if [ "$node" = old ]; then
  echo "Tessera needs Node 20 (20.9 or newer), 22 (22.12 or newer) or 24; this is $(node --version). Install one of them from https://nodejs.org or with your package manager." >&2
  exit 1
elif [ "$node" = untested ]; then
  say "Node $(node --version) is none of those that Tessera is tested with: 20 (from 20.9), 22 (from 22.12) and 24. Going on all the same."
fi

lock=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ "$(cat "$stamps/lock" 2>/dev/null || true)" != "$lock" ]; then
  say "installing npm packages (npm ci; a minute or so)"
  # The CPU library ships inside the package; the install script would fetch CUDA files that nothing here uses.
  ONNXRUNTIME_NODE_INSTALL="${ONNXRUNTIME_NODE_INSTALL:-skip}" npm ci --loglevel=error >&2
  mkdir -p "$stamps"
  echo "$lock" >"$stamps/lock"
fi

if ! PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v nats-server >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    say "installing nats-server from the distribution's packages"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends nats-server; } >&2
  else
    echo "nats-server is not installed. Install it and run this again: 'sudo apt-get install nats-server' on Debian and Ubuntu, 'brew install nats-server' on macOS, or https://github.com/nats-io/nats-server/releases elsewhere; it must be on PATH." >&2
    exit 1
  fi
fi

newer=$(find proto packages services bench examples buf.yaml buf.gen.yaml tsconfig.base.json tsconfig.json package.json \
  \( -name node_modules -o -name dist -o -name generated \) -prune -o -type f \
  \( -name '*.ts' -o -name '*.proto' -o -name 'buf*.yaml' -o -name 'tsconfig*.json' -o -name package.json \) \
  -newer "$stamps/build" -print -quit 2>/dev/null || echo first)
if [ ! -e "$stamps/build" ] || [ -n "$newer" ]; then
  say "building"
  started=$(mktemp)
  npm run --silent build >&2
  # npm links a command only when its file is there, and on a fresh clone it is there only now.
  [ -e node_modules/.bin/tessera ] || npm rebuild --ignore-scripts --loglevel=error @tessera/cli >/dev/null
  mkdir -p "$stamps"
  # The stamp carries the time the build began: an edit made during the build is built next time.
  touch -r "$started" "$stamps/build"
  rm -f "$started"
fi
