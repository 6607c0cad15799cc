#!/usr/bin/env bash
# Builds the stand-in's libraries: build.sh INCLUDE OUTPUT, with the folder of CUDA's headers. Needs a C++ compiler.
set -euo pipefail
include=$1
mkdir -p "$2"
output=$(cd "$2" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"
compile() {
  "${CXX:-c++}" -std=c++17 -O1 -fPIC -shared -Wall -Wextra -Werror -Wno-cast-function-type -isystem "$include" \
    -Wl,-rpath,'$ORIGIN' "$@"
}

compile ledger.cpp memory.cpp -o "$output/libstand-in.so"

# library NAME SOURCE...: a library of CUDA, whose symbols have its name as their version, as those of NVIDIA's have.
library() {
  local name=$1
  shift
  printf '%s { global: *; };\n' "$name" >"$output/$name.map"
  compile "$@" -Wl,-soname,"$name" -Wl,--version-script="$output/$name.map" -L"$output" -lstand-in -o "$output/$name"
}
library libcudart.so.13 runtime-device.cpp runtime-memory.cpp runtime-kernels.cpp &
library libcuda.so.1 driver.cpp &
library libcublas.so.13 cublas.cpp &
library libcublasLt.so.13 cublas-lt.cpp &
library libcudnn.so.9 cudnn.cpp &
library libcurand.so.10 -x c++ /dev/null &
for job in $(jobs -p); do wait "$job"; done
