#!/usr/bin/env bash
# Installs Debian's chromium, in which tests open the service's pages, and with it SwiftShader, a software Vulkan device
# on which tests run WebGPU. Without root, it fetches only SwiftShader, into the user's cache. Needs apt-get and dpkg.
# If this script fails, those tests are skipped.
set -uo pipefail
swiftshader=libvk_swiftshader.so
cache=${XDG_CACHE_HOME:-$HOME/.cache}/altup-serve/swiftshader

# A fresh container has no package lists, so on failure update them and try again.
apt() { apt-get "$@" >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1 && apt-get "$@" >/dev/null 2>&1; }; }

if command -v chromium >/dev/null; then
  echo 'chromium: there already'
elif [ "$(id -u)" = 0 ] && DEBIAN_FRONTEND=noninteractive apt install -y --no-install-recommends chromium fonts-dejavu-core; then
  echo "chromium: $(command -v chromium)"
else
  echo 'chromium: cannot be installed here'
fi

[ -e "/usr/lib/chromium/$swiftshader" ] && echo 'SwiftShader: with chromium' && exit 0
[ -e "$cache/usr/lib/chromium/$swiftshader" ] && echo 'SwiftShader: there already' && exit 0
mkdir -p "$cache" && cd "$cache" && apt download chromium-common &&
  dpkg --fsys-tarfile chromium-common_*.deb | tar -x --wildcards './usr/lib/chromium/*vk_swiftshader*' './usr/lib/chromium/libvulkan.so.1'
rm -f chromium-common_*.deb
[ -e "usr/lib/chromium/$swiftshader" ] && echo "SwiftShader: in $cache" ||
  echo 'SwiftShader: cannot be had from this system'
exit 0
