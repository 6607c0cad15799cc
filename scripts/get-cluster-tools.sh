#!/usr/bin/env bash
# Provides what a cluster in tests consists of, and prints the folder of what it built: etcd, containerd, runc, the CNI
# plugins and Prometheus come from Debian; Kubernetes, prometheus-adapter and the endpoint picker are built from their
# Go modules into the user's cache (five minutes on two quiet cores, once). Needs root to install packages, and go.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
sources=$here/test/cluster
# program:package
programs=(
  etcd:etcd-server containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins iptables:iptables
  conntrack:conntrack ip:iproute2 openssl:openssl prometheus:prometheus
)
missing=()
for each in "${programs[@]}"; do command -v "${each%:*}" >/dev/null || missing+=("${each#*:}"); done
if [ ${#missing[@]} -gt 0 ]; then
  install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2; }
  install || { apt-get update >&2 && install; }
fi

# What is built has this name: a change of the sources or of this script builds anew.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/altup-serve/cluster-$(cat "$0" "$sources"/*/go.* "$sources"/kubernetes/{,*/}*.go | sha256sum | cut -c1-12)
[ -d "$cache" ] && echo "$cache" && exit 0
command -v go >/dev/null || { echo 'go is not installed' >&2 && exit 1; }
mkdir -p "$(dirname "$cache")"
partial=$(mktemp -d "$cache.XXXX")
trap 'rm -rf "$partial"' EXIT

version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$sources/kubernetes/go.mod")
minor=${version#v1.}
stamp=k8s.io/component-base/version.git
flags="-s -w -X ${stamp}Version=$version -X ${stamp}Major=1 -X ${stamp}Minor=${minor%.*}"
cd "$sources/kubernetes"
echo "building Kubernetes $version" >&2
go build -buildvcs=false -trimpath -tags providerless -ldflags "$flags" -o "$partial/kubernetes" . >&2
for part in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
  ln -s kubernetes "$partial/$part"
done
echo 'building prometheus-adapter' >&2
(cd ../prometheus-adapter && go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$partial/prometheus-adapter" \
  sigs.k8s.io/prometheus-adapter/cmd/adapter >&2)
echo 'building the endpoint picker' >&2
(cd ../endpoint-picker && go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$partial/endpoint-picker" \
  sigs.k8s.io/gateway-api-inference-extension/cmd/epp >&2)

# The image of the pause process, in the format of docker save.
mkdir "$partial/pause"
CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$partial/pause/pause" ./pause >&2
cd "$partial/pause"
tar -cf layer.tar pause
arch=$(go env GOARCH)
cat >config.json <<END
{"architecture":"$arch","os":"linux","config":{"Entrypoint":["/pause"],"User":"65535"},
 "rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum layer.tar | cut -d' ' -f1)"]}}
END
echo '[{"Config":"config.json","RepoTags":["cluster.test/pause:1"],"Layers":["layer.tar"]}]' >manifest.json
tar -cf ../pause.tar manifest.json config.json layer.tar
cd .. && rm -r pause
trap - EXIT
mv "$partial" "$cache"
echo "$cache"
