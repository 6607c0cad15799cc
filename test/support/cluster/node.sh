#!/usr/bin/env bash
# One node: node.sh NUMBER FOLDER. Runs in network, mount and process namespaces of its own (cluster.ts), so that its
# mounts, rules and pods are gone when it is. FOLDER has its configuration, and keeps its state and logs.
set -euo pipefail
number=$1 folder=$2
mount -t tmpfs tmpfs /run
mkdir -p "$folder"/{var-lib,var-log} /run/netns
mount --bind "$folder/var-lib" /var/lib
mount --bind "$folder/var-log" /var/log
ip link set lo up

containerd --config "$folder/containerd.toml" >"$folder/containerd.log" 2>&1 &
until [ -S /run/containerd/containerd.sock ] && ctr version >/dev/null 2>&1; do sleep 0.2; done
for image in "$folder"/../images/*.tar; do ctr --namespace k8s.io images import "$image" >>"$folder/images.log" 2>&1; done

kube-proxy --config "$folder/kube-proxy.json" >"$folder/kube-proxy.log" 2>&1 &
kubelet --config "$folder/kubelet.json" --kubeconfig "$folder/../kubeconfig" --hostname-override "node-$number" \
  --node-ip "$(ip -4 -o addr show eth0 | sed 's/.* inet \([0-9.]*\).*/\1/')" --node-labels "topology.kubernetes.io/zone=zone-$number" \
  >"$folder/kubelet.log" 2>&1 &
# A node without one of its three parts is broken: end all of it.
wait -n
exit 1
