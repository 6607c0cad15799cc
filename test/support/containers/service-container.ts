import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { GenericContainer, type StartedNetwork, type StartedTestContainer, Wait } from 'testcontainers';
import { testLabel } from './describe-docker.ts';
import { docker } from './docker.ts';
import { serviceImage } from './images.ts';

const port = 8080;
/** Path of test/support/mortal-engine.ts in a container. */
const mortalEngine = '/test/mortal-engine.ts';

type BindMounts = Parameters<GenericContainer['withBindMounts']>[0];

interface ServiceContainerOptions {
  /** Settings to add to those of the image. */
  settings?: Record<string, string>;
  /** A folder of models on this machine, instead of the shipped ones. */
  models?: string;
  network?: { of: StartedNetwork; alias: string };
  /** SIGWINCH kills the engine: test/support/mortal-engine.ts is mounted and preloaded. */
  mortal?: boolean;
}

/** Docker's counterpart of the chart's security context. */
class HardenedContainer extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.withDroppedCapabilities('ALL').withSecurityOpt('no-new-privileges');
  }
}

/** The service in a container of the image under test, with the minimum rights it should need. */
export class ServiceContainer {
  readonly #container: StartedTestContainer;

  private constructor(container: StartedTestContainer) {
    this.#container = container;
  }

  /** Resolves when the service is ready to answer. */
  static async start(options: ServiceContainerOptions = {}): Promise<ServiceContainer> {
    const { settings = {}, models, network, mortal = false } = options;
    const mounts: BindMounts = [];
    if (models) mounts.push({ source: models, target: '/models', mode: 'ro' });
    if (mortal)
      mounts.push({
        source: join(import.meta.dirname, '../mortal-engine.ts'),
        target: mortalEngine,
        mode: 'ro',
      });
    const container = new HardenedContainer(serviceImage)
      .withPullPolicy({ shouldPull: () => false })
      .withLabels({ [testLabel]: 'service' })
      .withEnvironment({ ...settings, ...(mortal ? { NODE_OPTIONS: `--import ${mortalEngine}` } : {}) })
      .withBindMounts(mounts)
      .withExposedPorts(port)
      .withWaitStrategy(Wait.forHttp('/health/ready', port).forStatusCode(200))
      .withStartupTimeout(60_000);
    if (network) container.withNetwork(network.of).withNetworkAliases(network.alias);
    return new ServiceContainer(await container.start());
  }

  get id(): string {
    return this.#container.getId();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#container.getMappedPort(port)}`;
  }

  /** The container's own address on Docker's network. Connections to `url` go through a proxy of Docker instead. */
  async address(): Promise<string> {
    const { NetworkSettings } = await this.inspect();
    const [network] = Object.values(NetworkSettings.Networks);
    return `http://${network!.IPAddress}:${port}`;
  }

  async post(path: string, body: unknown): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  /** Docker's description of the container. */
  async inspect(): Promise<ContainerState> {
    return JSON.parse(await docker('inspect', '--format', '{{json .}}', this.id));
  }

  /** Log records so far. */
  async log(): Promise<Record<string, unknown>[]> {
    const lines = (await docker('logs', this.id)).split('\n');
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  }

  /** Resolves with the first log record with this message. */
  async logged(message: string): Promise<Record<string, unknown>> {
    for (;;) {
      const record = (await this.log()).find(({ msg }) => msg === message);
      if (record) return record;
      await setTimeout(50);
    }
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    await docker('kill', '--signal', name, this.id);
  }

  /** Resolves when the container has ended. @returns its exit code */
  async exited(): Promise<number> {
    return Number(await docker('wait', this.id));
  }

  /** Evaluates an expression with Node, the container's only program, in a new process. @returns its value as text */
  async evaluate(expression: string): Promise<string> {
    return docker('exec', this.id, 'node', '-p', expression);
  }

  /** Stops the container gracefully. @returns its exit code */
  async stop(): Promise<number> {
    await this.signal('SIGTERM');
    return this.exited();
  }
}

interface ContainerState {
  State: { StartedAt: string; FinishedAt: string; Health?: { Status: string } };
  NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
  HostConfig: { ReadonlyRootfs: boolean; CapDrop: string[] };
}
