#!/usr/bin/env bash
# Builds the images of deploy/images/Dockerfile with docker buildx, podman or buildah, whichever is there, and says how large
# each is. docs/images.md has examples.
set -euo pipefail
cd "$(dirname "$0")/../.."

all=(gateway encoder connector llm generator tools)
usage() {
  cat >&2 <<TEXT
Usage: deploy/images/build.sh [options] [-- more arguments for the builder]

  --target NAME          ${all[*]}; may be given several times, all by default
  --tag TAG              default: the version in package.json, with -cuda for --device cuda
  --registry PREFIX      before each name, such as registry.example/team/
  --device cpu|cuda      cuda: encoder, connector, llm and generator for GPUs, on CUDA 12 with cuDNN 9
  --node-image IMAGE     instead of the pinned base, such as docker.io/library/node:20-bookworm-slim
  --runtime-image IMAGE  what services run on, where that is another one; with --copy-node if it has no Node
  --copy-node            brings Node into a runtime image that has none
  --ca FILE              CA certificates that npm is to trust while it installs
  --npmrc FILE           npm's settings while it installs, such as a registry of your own
  --archive DIR          also writes each image as a docker-archive, DIR/tessera-NAME.tar, for clusters without a registry
  --push                 pushes each image
  --builder NAME         docker, podman or buildah; the first that is there by default
TEXT
  exit 2
}
fail() {
  echo "build.sh: $*" >&2
  exit 2
}

targets=() arguments=() more=()
tag='' registry='' device=cpu archive='' push='' builder='' runtime=''
cuda_image=docker.io/nvidia/cuda:12.8.1-cudnn-runtime-ubuntu22.04@sha256:59e0e4376a0f16d10b03d3a14344b80a866a1674cb4948cb318291387ac05010
while [ $# -gt 0 ]; do
  option=$1
  shift
  case "$option" in
    --push) push=1 && continue ;;
    --copy-node) arguments+=(--build-arg COPY_NODE=1) && continue ;;
    --) more=("$@") && break ;;
    -h | --help) usage ;;
    --target | --tag | --registry | --device | --node-image | --runtime-image | --ca | --npmrc | --archive | --builder) ;;
    *) fail "there is no option $option; --help lists them" ;;
  esac
  [ $# -gt 0 ] && [ -n "$1" ] || fail "$option needs a value"
  value=$1
  shift
  case "$option" in
    --target) [[ " ${all[*]} " == *" $value "* ]] || fail "there is no target $value; there are ${all[*]}" && targets+=("$value") ;;
    --tag) tag=$value ;;
    --registry) registry=${value%/}/ ;;
    --device) [[ $value =~ ^(cpu|cuda)$ ]] || fail "--device is cpu or cuda, not $value" && device=$value ;;
    --node-image) arguments+=(--build-arg "NODE_IMAGE=$value") ;;
    --runtime-image) runtime=$value ;;
    --ca | --npmrc) [ -r "$value" ] || fail "$value cannot be read" && arguments+=(--secret "id=${option#--},src=$value") ;;
    --archive) archive=$value && mkdir -p "$archive" ;;
    --builder) builder=$value ;;
  esac
done
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")

if [ -z "$builder" ]; then
  for each in docker podman buildah; do
    if command -v "$each" >/dev/null && { [ "$each" != docker ] || docker buildx version >/dev/null 2>&1; }; then
      builder=$each && break
    fi
  done
fi
[ -n "$builder" ] || fail "none of docker with buildx, podman and buildah is here; install one, such as by 'apt-get install buildah'"
command -v "$builder" >/dev/null || fail "$builder is not installed"

# The same sources give the same image: its times are those of the last commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
if [ "$device" = cuda ]; then
  computing=' encoder connector llm generator '
  for each in "${targets[@]}"; do
    [[ $computing == *" $each "* ]] || fail "the $each computes nothing; with --device cuda say --target encoder, connector, llm or generator"
  done
  [ -n "$runtime" ] || { runtime=$cuda_image && arguments+=(--build-arg COPY_NODE=1); }
  arguments+=(--build-arg DEVICE=cuda)
  tag=${tag:-$version-cuda}
fi
[ -z "$runtime" ] || arguments+=(--build-arg "RUNTIME_IMAGE=$runtime")
tag=${tag:-$version}
arguments+=(
  --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"
  --build-arg "VERSION=$version"
  --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
  --build-arg "SOURCE=$(git config --get remote.origin.url 2>/dev/null | grep -E '^(https?|ssh)://' | sed 's|//[^/@]*@|//|' || echo unknown)"
)

for target in "${targets[@]}"; do
  image=${registry}tessera-$target:$tag
  common=(-f deploy/images/Dockerfile --target "$target" -t "$image" "${arguments[@]}" "${more[@]}" .)
  echo "building $image with $builder" >&2
  # The form of Docker, not of OCI: only that has health checks.
  case "$builder" in
    docker) docker buildx build --load "${common[@]}" ;;
    podman) podman build --format docker --timestamp "$SOURCE_DATE_EPOCH" "${common[@]}" ;;
    buildah) buildah bud --layers --format docker --timestamp "$SOURCE_DATE_EPOCH" "${common[@]}" ;;
    *) fail "--builder is docker, podman or buildah, not $builder" ;;
  esac >&2
  if [ -n "$archive" ]; then
    file=$archive/tessera-$target.tar
    rm -f "$file.new"
    case "$builder" in
      docker) docker save -o "$file.new" "$image" ;;
      podman) podman save --quiet --format docker-archive -o "$file.new" "$image" >&2 ;;
      buildah) buildah push --quiet "$image" "docker-archive:$file.new:$image" >&2 ;;
    esac
    mv "$file.new" "$file"
  fi
  [ -z "$push" ] || "$builder" push "$image" >&2
  case "$builder" in
    docker | podman) size=$("$builder" image inspect --format '{{.Size}}' "$image" | awk '{ printf "%.0f MB", $1 / 1e6 }') ;;
    buildah) size=$(buildah images --format '{{.Size}}' "$image") ;;
  esac
  printf '%-40s %s%s\n' "$image" "$size" "${archive:+, in $archive/tessera-$target.tar}"
done
