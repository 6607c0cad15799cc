import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The address range of all pods; node N has 10.244.N.0/24. */
const podRange = '10.244.0.0/16';

interface NodeConfiguration {
  number: number;
  folder: string;
  kubeconfig: string;
  cgroup: string;
}

/** Writes what test/support/cluster/node.sh reads. */
export async function writeNodeConfiguration(options: NodeConfiguration): Promise<void> {
  const { number, folder, kubeconfig, cgroup } = options;
  await mkdir(join(folder, 'cni'), { recursive: true });
  const write = (file: string, content: unknown) =>
    writeFile(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  await write('containerd.toml', containerd(folder));
  await write('cni/pods.conflist', network(number));
  await write('kubelet.json', kubelet(cgroup));
  await write('kube-proxy.json', kubeProxy(number, kubeconfig));
}

// A process here may not lower its OOM score, which containers would otherwise begin with.
const containerd = (folder: string) => `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "cluster.test/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;

const network = (number: number) => ({
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'pods',
      isGateway: true,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: `10.244.${number}.0/24` }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  ],
});

const kubelet = (cgroup: string) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  cgroupDriver: 'cgroupfs',
  cgroupRoot: cgroup,
  failCgroupV1: false,
  failSwapOn: false,
  enforceNodeAllocatable: [],
  localStorageCapacityIsolation: false,
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
  // How soon pods see a changed Secret; Kubernetes' default is a minute.
  syncFrequency: '10s',
  registerWithTaints: [],
});

const kubeProxy = (number: number, kubeconfig: string) => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  mode: 'iptables',
  hostnameOverride: `node-${number}`,
  clientConnection: { kubeconfig },
  clusterCIDR: podRange,
  // The tables of connections have the size that this machine gave them.
  conntrack: { maxPerCore: 0, min: 0, tcpCloseWaitTimeout: '0s', tcpEstablishedTimeout: '0s' },
});
