#!/usr/bin/env bash
# Fetches SwiftShader, a Vulkan device in software on which tests run WebGPU, from Debian's chromium-common into the
# user's cache. Needs apt-get and dpkg, no root. What fails here only leaves those tests out.
set -uo pipefail
folder=${XDG_CACHE_HOME:-$HOME/.cache}/altup-serve/swiftshader
[ -e "$folder/usr/lib/chromium/libvk_swiftshader.so" ] && echo 'SwiftShader: there already' && exit 0
mkdir -p "$folder" && cd "$folder" || exit 0
download() { apt-get download chromium-common 2>/dev/null >/dev/null; }
# Without package lists, as in a fresh container, there is nothing to download yet.
download || { apt-get update >/dev/null 2>&1 && download; }
dpkg --fsys-tarfile chromium-common_*.deb | tar -x --wildcards './usr/lib/chromium/*vk_swiftshader*' './usr/lib/chromium/libvulkan.so.1'
rm -f chromium-common_*.deb
[ -e usr/lib/chromium/libvk_swiftshader.so ] && echo "SwiftShader: in $folder" ||
  echo 'SwiftShader: cannot be had from this system'
exit 0
