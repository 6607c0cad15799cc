#!/usr/bin/env bash
# pin-images.sh [--missing] [FOLDER]: adds to each image in the Dockerfile and docker-compose.yml the digest that its tag points
# to now, name:tag@sha256:…. With --missing it leaves existing digests alone. Dependabot updates digests, but adds none.
# Needs a Docker client and the registries.
set -euo pipefail
digest='@sha256:[0-9a-f]{64}'
known="($digest)?"
if [ "${1:-}" = --missing ]; then
  known=
  shift
fi
cd "${1:-$(dirname "$0")/..}"
files=(Dockerfile docker-compose.yml)

name='[a-z0-9./_-]+:[A-Za-z0-9._-]+'
images=$(sed -nE -e "s/^FROM ($name)$known( .*)?$/\1/p" -e "s/^ +image: .*:-($name)$known\}$/\1/p" "${files[@]}")
# Our own image is built, not pulled.
for image in $(grep -v '^altup-serve:' <<<"$images" | sort -u); do
  docker pull --quiet "$image" >/dev/null
  found=$(docker image inspect --format '{{join .RepoDigests "\n"}}' "$image" | grep -oE "$digest\$" | head -n 1) ||
    { echo "$image: Docker knows no digest of it; an image that was made here has none" >&2 && exit 1; }
  sed -i -E -e "s#([ -]$image)$digest#\1#" -e "s#([ -]$image)( |\}|\$)#\1$found\2#" "${files[@]}"
  echo "$image$found"
done
