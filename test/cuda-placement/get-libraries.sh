#!/usr/bin/env bash
# Prints a folder with ONNX Runtime, its CUDA provider, NVRTC and the stand-in for CUDA. Fetches 300 MB from PyPI the
# first time, and builds the stand-in when its sources have changed. Needs `npm ci`, pip and a C++ compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

mkdir -p ../../training/.cache
cache=$(cd ../../training/.cache && pwd)/cuda-stand-in
fetched="$cache/packages-$(sha256sum packages.txt | cut -c1-12)"
if [ ! -d "$fetched" ]; then
  echo 'cuda-placement: fetching packages.txt' >&2
  rm -rf "$cache"
  mkdir -p "$cache"
  download=$(mktemp -d "$cache/download.XXXXXX")
  "${PYTHON:-python3}" -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-cache-dir --no-compile --no-deps \
    --require-hashes --only-binary :all: --implementation cp --python-version 3.11 --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux_2_12_x86_64 --target "$download/all" --requirement packages.txt >&2
  mkdir "$download/kept"
  mv "$download"/all/onnxruntime/capi/libonnxruntime_providers_{cuda,shared}.so "$download"/all/nvidia/cu13/include \
    "$download"/all/nvidia/cu13/lib/libnvrtc{.so.13,-builtins.so.13.0} "$download/kept"
  rm -rf "$download/all"
  mv "$download/kept" "$fetched"
  rmdir "$download"
fi

sources=$(cat stand-in/* ../../package-lock.json | sha256sum | cut -c1-12)
libraries="$cache/libraries-$sources"
if [ ! -d "$libraries" ]; then
  rm -rf "$cache"/{libraries,building}*
  building=$(mktemp -d "$cache/building.XXXXXX")
  stand-in/build.sh "$fetched/include" "$building"
  # ONNX Runtime looks for its providers in its own folder, and node_modules should not get any.
  cp ../../node_modules/onnxruntime-node/bin/napi-v*/linux/x64/libonnxruntime.so.1 "$building"
  ln "$fetched"/*.so* "$building"
  mv "$building" "$libraries"
fi
echo "$libraries"
