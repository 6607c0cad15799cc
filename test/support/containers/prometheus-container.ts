import { join } from 'node:path';
import { GenericContainer, type StartedNetwork, type StartedTestContainer, Wait } from 'testcontainers';
import { testLabel } from './describe-docker.ts';
import { projectRoot } from './docker.ts';
import { prometheusImage } from './images.ts';

const port = 9090;

interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

interface Alert {
  labels: Record<string, string>;
  state: 'pending' | 'firing';
}

interface Target {
  labels: Record<string, string>;
  health: string;
  lastError: string;
}

/** Prometheus with the configuration and the alerts of docker-compose.yml. */
export class PrometheusContainer {
  readonly #container: StartedTestContainer;

  private constructor(container: StartedTestContainer) {
    this.#container = container;
  }

  static async start(network: StartedNetwork): Promise<PrometheusContainer> {
    const mounted = (source: string, file: string) => ({
      source: join(projectRoot, source),
      target: `/etc/prometheus/${file}`,
      mode: 'ro' as const,
    });
    const container = await new GenericContainer(prometheusImage)
      .withPullPolicy({ shouldPull: () => false })
      .withLabels({ [testLabel]: 'prometheus' })
      .withCommand(['--config.file=/etc/prometheus/prometheus.yml', '--storage.tsdb.path=/prometheus'])
      .withBindMounts([
        mounted('deploy/prometheus/prometheus.yml', 'prometheus.yml'),
        mounted('deploy/helm/altup-serve/files/alerts.yml', 'alerts.yml'),
      ])
      .withNetwork(network)
      .withExposedPorts(port)
      .withWaitStrategy(Wait.forHttp('/-/ready', port).forStatusCode(200))
      .start();
    return new PrometheusContainer(container);
  }

  async query(expression: string): Promise<Sample[]> {
    return (await this.#get<{ result: Sample[] }>('query', { query: expression })).result;
  }

  async alerts(): Promise<Alert[]> {
    return (await this.#get<{ alerts: Alert[] }>('alerts')).alerts;
  }

  async targets(): Promise<Target[]> {
    return (await this.#get<{ activeTargets: Target[] }>('targets')).activeTargets;
  }

  async #get<T>(what: string, parameters: Record<string, string> = {}): Promise<T> {
    const url = `http://127.0.0.1:${this.#container.getMappedPort(port)}/api/v1/${what}?${new URLSearchParams(parameters)}`;
    const answer = (await (await fetch(url)).json()) as { status: string; error?: string; data: T };
    if (answer.status !== 'success')
      throw new Error(`${what} ${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  }
}
