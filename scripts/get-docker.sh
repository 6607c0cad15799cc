#!/usr/bin/env bash
# Provides a Docker engine: installs Debian's docker.io and starts its daemon if none runs; also installs docker-compose
# if Docker's client has no compose of its own. Writes the pid of a daemon started here into the file named by the first
# argument, so that the caller can end it. If this script fails, the container tests are skipped.
set -uo pipefail
pid_file=${1:?usage: get-docker.sh PID_FILE}
log=${pid_file%.pid}.log

# A fresh container has no package lists, so on failure update them and try again.
apt() { apt-get "$@" >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1 && apt-get "$@" >/dev/null 2>&1; }; }
answers() { docker info >/dev/null 2>&1; }
# A zombie still has a pid, and another program may have got the pid since.
is_alive() { [ -r "/proc/$1/stat" ] && [ "$(cut -d' ' -f3 "/proc/$1/stat")" != Z ] && grep -q "$2" "/proc/$1/comm"; }

if [ "$(id -u)" = 0 ] && ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
  DEBIAN_FRONTEND=noninteractive apt install -y --no-install-recommends docker-compose || echo 'docker-compose: cannot be installed here'
fi
answers && echo "docker: $(docker info --format '{{.ServerVersion}}') answers" && exit 0
[ "$(id -u)" = 0 ] || { echo 'docker: no daemon answers, and only root can start one' && exit 0; }
if ! command -v dockerd >/dev/null; then
  DEBIAN_FRONTEND=noninteractive apt install -y --no-install-recommends docker.io ||
    { echo 'docker: cannot be installed here' && exit 0; }
fi
# A killed daemon leaves its pid files behind, and the next one refuses to start while they exist.
for left in /var/run/docker.pid:dockerd /var/run/docker/containerd/containerd.pid:containerd; do
  file=${left%:*}
  [ -e "$file" ] && ! is_alive "$(cat "$file")" "${left#*:}" && rm -f "$file"
done
setsid --fork sh -c 'echo $$ >"$1" && exec dockerd >"$2" 2>&1' dockerd "$pid_file" "$log" </dev/null
for _ in $(seq 60); do
  answers && echo "docker: started dockerd $(docker info --format '{{.ServerVersion}}')" && exit 0
  sleep 0.5
done
echo 'docker: the daemon does not start here:'
tail -n 5 "$log"
rm -f "$pid_file"
exit 0
