import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { parseAllDocuments } from 'yaml';
import { startApiServer } from '../../../test/support/cluster/api-server.ts';
import { Kubectl, until } from '../../../test/support/cluster/kubectl.ts';
import { provide } from '../../../test/support/cluster/provide.ts';

const projectRoot = join(import.meta.dirname, '../../..');
const release = 'altup-serve';
/** The pool that the chart makes sends requests to this port of each pod. */
export const podPort = 8080;

interface Header {
  key: string;
  raw_value: Buffer;
}
interface Answer {
  request_headers?: { response: { header_mutation: { set_headers: { header: Header }[] } } };
  immediate_response?: { status: { code: number }; body: Buffer };
}

/** Where a request goes. */
export interface Choice {
  url: string;
  /** To be called when its answer has ended. */
  end(): void;
}

/**
 * The endpoint picker of the Gateway API Inference Extension with its default configuration, and what it needs of
 * Kubernetes: an API server with the chart's InferencePool, and a pod for each address. Takes root to install etcd, and go.
 */
export class EndpointPicker {
  readonly #folder = mkdtempSync(join(tmpdir(), 'altup-routing-'));
  readonly #stops: (() => void)[] = [];
  #client!: InstanceType<ServiceClientConstructor>;

  private constructor() {}

  /** @param addresses of instances that are ready, each on `podPort` */
  static async start(addresses: readonly string[]): Promise<EndpointPicker> {
    const picker = new EndpointPicker();
    try {
      await picker.#start(addresses);
      return picker;
    } catch (error) {
      picker.stop();
      throw error;
    }
  }

  async #start(addresses: readonly string[]): Promise<void> {
    const tools = provide('get-cluster-tools.sh');
    const helm = provide('get-kubernetes-tools.sh');
    const [port, etcd, members, grpc, health, metrics] = await freePorts(6);
    await startApiServer({
      folder: this.#folder,
      tools,
      address: '127.0.0.1',
      port: port!,
      data: join(this.#folder, 'etcd'),
      etcdPorts: [etcd!, members!],
      start: (name, program, ...args) => this.#run(name, program, args),
      flags: [
        '--bind-address=127.0.0.1',
        '--service-cluster-ip-range=10.96.0.0/16',
        // This address is none that pods could use.
        '--endpoint-reconciler-type=none',
        // No controller creates the account that it adds to pods.
        '--disable-admission-plugins=ServiceAccount',
      ],
    });
    const kubeconfig = join(this.#folder, 'kubeconfig');
    const kubectl = new Kubectl(tools, kubeconfig);
    await kubectl.run('apply', '--server-side', ...definitions(helm).flatMap((file) => ['--filename', file]));
    await kubectl.run('wait', '--for=condition=Established', 'crds', '--all', '--timeout=60s');
    const pool = renderPool(join(helm, 'helm'));
    await kubectl.apply([pool, ...addresses.map((_, i) => pod(i, pool.spec.selector.matchLabels))]);
    for (const [i, address] of addresses.entries()) {
      const status = JSON.stringify({ status: readyAt(address) });
      await kubectl.run(
        'patch',
        'pod',
        `${release}-${i}`,
        '--subresource=status',
        '--type=merge',
        '--patch',
        status,
      );
    }

    const flags = ['secure-serving', 'tracing', 'metrics-endpoint-auth', 'enable-pprof'].map(
      (flag) => `--${flag}=false`,
    );
    const ports = [`--grpc-port=${grpc}`, `--grpc-health-port=${health}`, `--metrics-port=${metrics}`];
    const pools = [`--pool-name=${release}`, '--pool-namespace=default'];
    this.#run('endpoint-picker', join(tools, 'endpoint-picker'), [...flags, ...ports, ...pools], {
      KUBECONFIG: kubeconfig,
    });
    this.#client = externalProcessor(`127.0.0.1:${grpc}`);
    this.#stops.push(() => this.#client.close());
    await until(`the endpoint picker answers; its log is in ${this.#folder}`, async () => {
      const body = Buffer.from(JSON.stringify({ model: 'any', prompt: 'any' }));
      (await this.pick('/v1/completions', body)).end();
      return true;
    });
  }

  /** Asks as a gateway does. @throws Error if it refuses */
  pick(path: string, body: Buffer): Promise<Choice> {
    const call = this.#client.Process!();
    const header = (key: string, value: string) => ({ key, raw_value: Buffer.from(value) });
    const headers = [
      header(':path', path),
      header(':method', 'POST'),
      header('content-type', 'application/json'),
    ];
    call.write({ request_headers: { headers: { headers } } });
    call.write({ request_body: { body, end_of_stream: true } });
    return new Promise((resolve, reject) => {
      call.on('error', reject);
      call.on('data', ({ request_headers, immediate_response }: Answer) => {
        if (immediate_response) {
          const { status, body } = immediate_response;
          reject(new Error(`the endpoint picker refused with ${status.code}: ${body}`));
        }
        if (!request_headers) return;
        const set = request_headers.response.header_mutation.set_headers.map(({ header }) => header);
        const endpoint = set.find(({ key }) => key === 'x-gateway-destination-endpoint')!.raw_value;
        const end = () => {
          call.write({ response_headers: { headers: { headers: [header(':status', '200')] } } });
          call.write({ response_body: { body: Buffer.alloc(0), end_of_stream: true } });
          call.end();
        };
        resolve({ url: `http://${endpoint}`, end });
      });
    });
  }

  #run(name: string, program: string, args: readonly string[], env: Record<string, string> = {}): void {
    const log = openSync(join(this.#folder, `${name}.log`), 'a');
    const child = spawn(program, args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } });
    closeSync(log);
    child.on('error', (error) => console.error(`${name}: ${error.message}`));
    this.#stops.push(() => child.kill('SIGKILL'));
  }

  stop(): void {
    for (const stop of this.#stops.reverse()) stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The custom resources that the picker watches: the pool's, and those of its own module. */
function definitions(helm: string): string[] {
  const cwd = join(projectRoot, 'test/cluster/endpoint-picker');
  const list = ['list', '-m', '-f', '{{.Dir}}', 'sigs.k8s.io/gateway-api-inference-extension'];
  const folder = join(execFileSync('go', list, { cwd, encoding: 'utf8' }).trim(), 'config/crd/bases');
  const own = ['inferenceobjectives', 'inferencemodelrewrites'].map((kind) =>
    join(folder, `inference.networking.x-k8s.io_${kind}.yaml`),
  );
  return [join(helm, 'crds/inference.networking.k8s.io_inferencepools.yaml'), ...own];
}

interface Pool {
  spec: { selector: { matchLabels: Record<string, string> } };
}

function renderPool(helm: string): Pool {
  const chart = join(projectRoot, 'deploy/helm/altup-serve');
  const values = ['--set', 'gateway.enabled=true,gateway.endpointPicker.name=picker'];
  const only = ['--show-only', 'templates/inferencepool.yaml', '--namespace', 'default'];
  const text = execFileSync(helm, ['template', release, chart, ...values, ...only], { encoding: 'utf8' });
  return parseAllDocuments(text)[0]!.toJS();
}

/** No node runs it: its status says where it is. */
const pod = (i: number, labels: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `${release}-${i}`, namespace: 'default', labels },
  spec: {
    automountServiceAccountToken: false,
    containers: [{ name: 'altup-serve', image: 'altup-serve', ports: [{ containerPort: podPort }] }],
  },
});

const readyAt = (address: string) => ({
  phase: 'Running',
  podIP: address,
  podIPs: [{ ip: address }],
  conditions: [{ type: 'Ready', status: 'True' }],
});

function externalProcessor(address: string): InstanceType<ServiceClientConstructor> {
  const file = join(import.meta.dirname, 'external-processing.proto');
  const loaded = loadPackageDefinition(loadSync(file, { keepCase: true, oneofs: true }));
  const get = (at: unknown, key: string) => (at as Record<string, unknown>)[key];
  const names = ['envoy', 'service', 'ext_proc', 'v3', 'ExternalProcessor'];
  const Processor = names.reduce<unknown>(get, loaded) as ServiceClientConstructor;
  return new Processor(address, credentials.createInsecure());
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
