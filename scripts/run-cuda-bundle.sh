#!/usr/bin/env bash
# Joins the parts in this script's folder, unpacks them and checks the GPU: run.sh FOLDER [--results FILE] [--minutes 6] [--quick].
# Keeps what FOLDER already has. Needs Linux on x64, NVIDIA's driver, and CUDA 13's libraries, from the system or from Python's
# packages (nvidia-cublas, nvidia-cuda-runtime, nvidia-cuda-nvrtc, nvidia-cudnn-cu13, nvidia-curand).
set -euo pipefail
parts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?usage: run.sh FOLDER [ARGUMENTS]}"
folder=$(cd "$1" && pwd)
shift
if [ ! -e "$folder/complete" ]; then
  (cd "$parts" && sha256sum --check --quiet sums)
  cat "$parts"/part.* | tar -xzf - -C "$folder"
  touch "$folder/complete"
fi
libraries=$(python3 -c '
import glob, sysconfig
print(":".join(glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/**/lib", recursive=True)))' 2>/dev/null || true)
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}:$libraries"
exec "$folder/node" "$folder/app/test/cuda/main.ts" "$@"
