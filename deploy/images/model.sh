#!/usr/bin/env bash
# Makes images of a compiled model, one for each stage's part, for pods that mount them as volumes. docs/images.md has examples.
set -euo pipefail
# Whoever the pods run as must be able to read it.
umask 022
here=$(cd "$(dirname "$0")" && pwd)

usage() {
  cat >&2 <<TEXT
Usage: deploy/images/model.sh --bundle DIR [options]

  --stage NAME       encoder, connector, llm, generator or gateway; may be given several times; all that the model has by default
  --piece N          with --stage llm: the piece of a model that is cut by layers
  --name NAME        of the images, NAME-STAGE; the model's by default
  --tag TAG          the model's revision by default
  --registry PREFIX  before each name, such as registry.example/models/
  --archive DIR      also writes each image as a docker-archive, DIR/NAME-STAGE.tar
  --push             pushes each image
  --builder NAME     docker, podman or buildah; the first that is there by default
TEXT
  exit 2
}
fail() {
  echo "model.sh: $*" >&2
  exit 2
}

stages=()
bundle='' piece='' name='' tag='' registry='' archive='' push='' builder=''
while [ $# -gt 0 ]; do
  option=$1
  shift
  case "$option" in
    --push) push=1 && continue ;;
    -h | --help) usage ;;
    --bundle | --stage | --piece | --name | --tag | --registry | --archive | --builder) ;;
    *) fail "there is no option $option; --help lists them" ;;
  esac
  [ $# -gt 0 ] && [ -n "$1" ] || fail "$option needs a value"
  case "$option" in
    --stage) stages+=("$1") ;;
    --registry) registry=${1%/}/ ;;
    *) printf -v "${option#--}" %s "$1" ;;
  esac
  shift
done
[ -n "$bundle" ] || usage
[ -r "$bundle/bundle.json" ] || fail "$bundle has no bundle.json; compile the model first"
[ -z "$piece" ] || [ "${stages[*]}" = llm ] || fail "--piece is one of the llm; say --stage llm"

# What the manifest says: name, revision, and the stages that the model has.
read -r model revision has < <(node -e '
  const m = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
  console.log(m.name, m.revision, ["encoder", "connector", "llm", "generator"].filter((s) => m[s]).join(" "), "gateway");
' "$bundle/bundle.json")
[ ${#stages[@]} -gt 0 ] || read -ra stages <<<"$has"
name=${name:-$(echo "$model" | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9\n' - | sed 's/--*/-/g; s/^-//; s/-$//')}
tag=${tag:-$revision}
if [ -z "$builder" ]; then
  for builder in docker podman buildah ''; do [ -z "$builder" ] || ! command -v "$builder" >/dev/null || break; done
fi
[ -n "$builder" ] || fail "none of docker, podman and buildah is here; install one, such as by 'apt-get install buildah'"
tessera=(node "$here/../../packages/cli/dist/main.js")
[ -e "${tessera[1]}" ] || fail 'the tessera command is not built; run npm run setup first'

# Beside the bundle: a model is too large for many a /tmp.
work=$(mktemp -d "$(dirname "$(realpath "$bundle")")/.model-image.XXXXXX")
trap 'rm -rf "$work"' EXIT
for stage in "${stages[@]}"; do
  part=$stage${piece:+-$piece}
  image=$registry$name-$part:$tag
  rm -rf "${work:?}/part"
  "${tessera[@]}" bundle extract "$bundle" --stage "$stage" ${piece:+--piece "$piece"} --out "$work/part"
  arguments=(-f "$here/model.Dockerfile" -t "$image" --build-arg "NAME=$model" --build-arg "STAGE=$part" --build-arg "REVISION=$revision" "$work/part")
  # No times: the same part is the same image.
  case "$builder" in
    docker) SOURCE_DATE_EPOCH=0 docker buildx build --load "${arguments[@]}" ;;
    podman) podman build --timestamp 0 "${arguments[@]}" ;;
    buildah) buildah bud --timestamp 0 "${arguments[@]}" ;;
    *) fail "--builder is docker, podman or buildah, not $builder" ;;
  esac >&2
  if [ -n "$archive" ]; then
    mkdir -p "$archive"
    file=$archive/$name-$part.tar
    rm -f "$file"
    case "$builder" in
      docker) docker save -o "$file" "$image" ;;
      podman) podman save --quiet --format docker-archive -o "$file" "$image" >&2 ;;
      buildah) buildah push --quiet "$image" "docker-archive:$file:$image" >&2 ;;
    esac
  fi
  [ -z "$push" ] || "$builder" push "$image" >&2
  printf '%-50s %s bytes%s\n' "$image" "$(du -sb "$work/part" | cut -f1)" "${archive:+, in $archive/$name-$part.tar}"
done
