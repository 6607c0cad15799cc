#!/usr/bin/env bash
# Installs vLLM's build for CPUs from PyPI into a virtual environment of its own and prints the folder. It needs Python
# 3.11 and a C++ compiler, with which vLLM compiles its kernels at each first start.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
requirements="$here/vllm-requirements.txt"
folder="$here/../../training/.cache/vllm-0.32.0"

# The copy is written last, so an interrupted installation is repeated.
if ! cmp -s "$requirements" "$folder/requirements.txt"; then
  echo "peers: installing vLLM, which takes 6 GB" >&2
  rm -rf "$folder"
  "${PYTHON:-python3.11}" -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-deps --requirement "$requirements" >&2
  cp "$requirements" "$folder/requirements.txt"
fi
(cd "$folder" && pwd)
