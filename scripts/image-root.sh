#!/bin/sh
# image-root.sh ROOT FILE...: copies the Debian libraries that the files load into ROOT, with their copyright files and the
# package entries that vulnerability scanners read. It copies no program, so an image made from ROOT has no shell.
set -eu
root=$1
shift
mkdir -p "$root/etc" "$root/tmp" "$root/usr/lib" "$root/var/lib/dpkg/status.d"
chmod 1777 "$root/tmp"
# As in Debian, these are links into /usr.
for folder in lib lib64; do
  [ -e "/$folder" ] || continue
  mkdir -p "$root/usr/$folder"
  ln -sfn "usr/$folder" "$root/$folder"
done
cp -L /etc/os-release /etc/debian_version "$root/etc/"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

# ldd prints "name => path (address)", and the loader as "path (address)". Libraries outside /lib come with the files.
for library in $(ldd "$@" 2>/dev/null | sed -n -e 's|.*=> \(/[^ ]*\) (.*|\1|p' -e 's|^\t\(/[^ ]*\) (.*|\1|p' | sort -u); do
  case $library in /lib* | /usr/lib*) ;; *) continue ;; esac
  target=$root/usr/${library#/}
  target=$(echo "$target" | sed 's|/usr/usr/|/usr/|')
  mkdir -p "${target%/*}"
  cp -L "$library" "$target"
  package=$(dpkg-query --search "*/${library##*/}" | sed -n '1s/:.*//p')
  dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
  mkdir -p "$root/usr/share/doc/$package"
  cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done
