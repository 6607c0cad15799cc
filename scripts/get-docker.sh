#!/usr/bin/env bash
# Makes a Docker engine answer: installs Debian's docker.io and starts its daemon where none runs; with it comes
# docker-compose, where Docker's client has no compose of its own. The pid of a daemon
# started here goes into the file named by the first argument, so that who asked for it can end it. What fails here only
# leaves the container tests out.
set -uo pipefail
pid_file=${1:?usage: get-docker.sh PID_FILE}
log=${pid_file%.pid}.log

# Without package lists, as in a fresh container, there is nothing to install yet.
apt() { apt-get "$@" >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1 && apt-get "$@" >/dev/null 2>&1; }; }
answers() { docker info >/dev/null 2>&1; }
# A zombie still has a pid, and a pid may have gone to another program since.
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
# A daemon that was killed leaves its pids behind, and the next one refuses to start beside them.
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
