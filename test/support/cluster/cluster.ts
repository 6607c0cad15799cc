import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startApiServer } from './api-server.ts';
import { isReady, Kubectl, until } from './kubectl.ts';
import { writeNodeConfiguration } from './node-configuration.ts';

export interface ClusterOptions {
  /** What scripts/get-cluster-tools.sh built. */
  tools: string;
  /** Takes the cluster's state and logs; images/*.tar in it are imported on every node. */
  folder: string;
  nodes: number;
  /** A control group that exists, in which pods run. */
  cgroup: string;
}

/** This end of the network that nodes are in. */
export const hostAddress = '172.31.240.1';
const nodeAddress = (number: number) => `172.31.240.${10 + number}`;
const serviceRange = '10.96.0.0/16';

/**
 * Kubernetes on this machine. It must run in network, mount and process namespaces of its own (scripts/test-cluster.ts): their
 * end is what ends its processes and removes its addresses, rules and mounts.
 */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly kubectl: Kubectl;

  private constructor(options: ClusterOptions) {
    this.#options = options;
    this.kubectl = new Kubectl(options.tools, join(options.folder, 'kubeconfig'));
  }

  /** Resolves when all nodes are ready. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    await cluster.#makeNetwork();
    await cluster.#startControlPlane();
    const numbers = Array.from({ length: options.nodes }, (_, i) => i + 1);
    await Promise.all(numbers.map((number) => cluster.#startNode(number)));
    const areReady = async () =>
      (await cluster.kubectl.list('nodes')).filter(isReady).length === options.nodes;
    await until(`the nodes are ready; logs are in ${options.folder}`, areReady, 180_000);
    return cluster;
  }

  /** Starts a program of the cluster, which writes its output to a log in the cluster's folder. */
  start(name: string, program: string, ...args: string[]): void {
    const log = openSync(join(this.#options.folder, `${name}.log`), 'a');
    // In a session of its own, Ctrl-C reaches only the tests, which then end in order.
    const child = spawn(program, args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...process.env, PATH: `${this.#options.tools}:${process.env.PATH}:/usr/sbin:/sbin` },
    });
    closeSync(log);
    child.on('error', (error) => console.error(`${name}: ${error.message}`));
    child.on('exit', (code, signal) =>
      console.error(`${name} ended with ${code ?? signal}; see ${name}.log`),
    );
    child.unref();
  }

  async #makeNetwork(): Promise<void> {
    await run('ip', ['link', 'add', 'cluster', 'type', 'bridge']);
    await run('ip', ['addr', 'add', `${hostAddress}/24`, 'dev', 'cluster']);
    await run('ip', ['link', 'set', 'cluster', 'up']);
    await writeFile('/proc/sys/net/ipv4/ip_forward', '1');
    for (let number = 1; number <= this.#options.nodes; number += 1) {
      const node = `node-${number}`;
      await run('ip', ['netns', 'add', node]);
      await run('ip', ['link', 'add', node, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', node]);
      await run('ip', ['link', 'set', node, 'master', 'cluster', 'up']);
      await run('ip', ['-n', node, 'addr', 'add', `${nodeAddress(number)}/24`, 'dev', 'eth0']);
      await run('ip', ['-n', node, 'link', 'set', 'eth0', 'up']);
      await run('ip', ['-n', node, 'route', 'add', 'default', 'via', hostAddress]);
      await run('ip', ['netns', 'exec', node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
      // Pods of other nodes are reached through this end.
      await run('ip', ['route', 'add', `10.244.${number}.0/24`, 'via', nodeAddress(number)]);
    }
    // The first node's rules translate the addresses of Services for clients here.
    await run('ip', ['route', 'add', serviceRange, 'via', nodeAddress(1)]);
  }

  async #startControlPlane(): Promise<void> {
    const { folder, tools } = this.#options;
    const file = (name: string) => join(folder, name);
    // In memory: other programs' writes would delay it.
    await startApiServer({
      folder,
      tools,
      address: hostAddress,
      port: 6443,
      data: '/run/etcd',
      etcdPorts: [2379, 2380],
      start: (name, program, ...args) => this.start(name, program, ...args),
      flags: [
        `--service-cluster-ip-range=${serviceRange},fd00:96::/112`,
        // Off by default in 1.33; the chart's models.source: image needs it.
        '--feature-gates=ImageVolume=true',
        '--enable-aggregator-routing=true',
        '--kubelet-preferred-address-types=InternalIP',
      ],
    });
    this.start(
      'kube-controller-manager',
      'kube-controller-manager',
      `--kubeconfig=${file('kubeconfig')}`,
      `--service-account-private-key-file=${file('service-accounts.key')}`,
      '--leader-elect=false',
      '--secure-port=0',
      // How often an autoscaler reads its metrics; Kubernetes' default is 15 s.
      '--horizontal-pod-autoscaler-sync-period=3s',
    );
    this.start(
      'kube-scheduler',
      'kube-scheduler',
      `--kubeconfig=${file('kubeconfig')}`,
      '--leader-elect=false',
      '--secure-port=0',
    );
  }

  async #startNode(number: number): Promise<void> {
    const node = `node-${number}`;
    const folder = join(this.#options.folder, node);
    await writeNodeConfiguration({
      number,
      folder,
      kubeconfig: join(this.#options.folder, 'kubeconfig'),
      cgroup: `${this.#options.cgroup}/${node}`,
    });
    const script = join(import.meta.dirname, 'node.sh');
    const namespaces = ['--mount', '--pid', '--uts', '--ipc', '--fork', '--mount-proc', '--kill-child'];
    // Not by "ip netns exec", which hides the control groups.
    const arguments_ = [
      `--net=/run/netns/${node}`,
      'unshare',
      ...namespaces,
      'bash',
      script,
      String(number),
      folder,
    ];
    this.start(node, 'nsenter', ...arguments_);
  }
}

const run = promisify(execFile);
