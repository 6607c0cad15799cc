import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  askStream,
  askWhole,
  type KnownCompletion,
  learnCompletions,
  type Outcome,
} from './known-completions.ts';
import { ReadyProxy } from './ready-proxy.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { ServiceProcess } from './service-process.ts';

const models = ['austen-t5-dense', 'austen-t5-altup-k2'];
const settings = {
  NODE_OPTIONS: `--import ${join(import.meta.dirname, 'mortal-engine.ts')}`,
  ALTUP_MODELS: models.map((model) => `models/${model}`).join(),
  ALTUP_SLOTS: '4',
  ALTUP_DRAIN_TIMEOUT_MS: '1500',
};
const clients = 6;
/** Error codes of requests that fail through no fault of their own. */
const expectedFailures = new Set(['engine_failure', 'shutting_down', 'not_ready']);

/** An answer that takes longer counts as lost. */
const lostAfterMs = 60_000;

export type Disaster = 'clients leave' | 'half-open sockets' | 'engine killed' | 'rolling restart';

export interface ChaosResult {
  /** 0 if no sequence leaks. */
  sequencesLeft: number;
  /** Number of each kind of outcome, disaster and exit code. */
  counts: ReadonlyMap<string, number>;
}

/**
 * Two instances behind a proxy, and clients that check every answer. A client throws if an answer never comes, belongs
 * to another request, or is an error that a client cannot act on.
 */
export class Chaos {
  readonly #random: SeededRandom;
  readonly #instances: (ServiceProcess | null)[] = [];
  readonly #sockets: Socket[] = [];
  readonly #counts = new Map<string, number>();
  #proxy: ReadyProxy | null = null;
  #known: readonly KnownCompletion[] = [];
  #isOver = false;
  #clients: Promise<unknown> = Promise.resolve();
  /** How many clients still have to hang up, each at its next piece of text. */
  #leaving = 0;

  private constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Causes the disasters one after another, each at a random moment under load. */
  static async run(seed: number, disasters: readonly Disaster[]): Promise<ChaosResult> {
    const chaos = new Chaos(seed);
    try {
      await chaos.#begin(seed);
      for (const disaster of disasters) await chaos.#strike(disaster);
      const sequencesLeft = await chaos.#settle();
      return { sequencesLeft, counts: chaos.#counts };
    } finally {
      await chaos.#end();
    }
  }

  async #begin(seed: number): Promise<void> {
    const services = await Promise.all([ServiceProcess.start(settings), ServiceProcess.start(settings)]);
    this.#instances.push(...services);
    this.#proxy = await ReadyProxy.open(() => this.#instances.map((instance) => instance?.url ?? null));
    this.#known = await learnCompletions((...asked) => services[0].post(...asked), models, 24);
    this.#clients = Promise.all(
      Array.from({ length: clients }, (_, i) => this.#client(seededRandom(seed + i))),
    );
    // `#settle` awaits this promise; until then a rejection must not count as unhandled.
    this.#clients.catch(() => {});
  }

  async #strike(disaster: Disaster): Promise<void> {
    await setTimeout(this.#random.below(600));
    const instance = this.#random.below(2);
    if (disaster === 'clients leave') this.#leaving += 1 + this.#random.below(clients);
    else if (disaster === 'half-open sockets') this.#halfOpen(instance);
    else if (disaster === 'engine killed') this.#instances[instance]!.signal('SIGWINCH');
    else await this.#restart(instance);
    this.#count(disaster);
  }

  /** Lets running requests finish. @returns sequences that still hold a slot or wait for one */
  async #settle(): Promise<number> {
    this.#isOver = true;
    await this.#clients;
    for (const socket of this.#sockets) socket.destroy();
    await setTimeout(500);
    const metrics = await Promise.all(this.#instances.map((instance) => instance!.metrics()));
    const openOf = (each: (typeof metrics)[number]) =>
      each.sum('altup_requests_running{') + each.sum('altup_requests_waiting{');
    return metrics.reduce((sum, each) => sum + openOf(each), 0);
  }

  async #end(): Promise<void> {
    this.#isOver = true;
    this.#proxy?.close();
    const codes = await Promise.all(this.#instances.map((instance) => instance?.stop()));
    for (const code of codes) this.#count(`exit code ${code}`);
  }

  async #client(random: SeededRandom): Promise<void> {
    const post = (path: string, body: unknown, init: RequestInit = {}) =>
      fetch(this.#proxy!.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.any([AbortSignal.timeout(lostAfterMs), ...(init.signal ? [init.signal] : [])]),
      });
    while (!this.#isOver) {
      const wanted = this.#known[random.below(this.#known.length)]!;
      const isWhole = random.next() < 0.3;
      const outcome = isWhole
        ? await askWhole(post, wanted)
        : await askStream(post, wanted, () => this.#isToLeave());
      await this.#take(outcome);
    }
  }

  #isToLeave(): boolean {
    if (this.#leaving === 0) return false;
    this.#leaving -= 1;
    return true;
  }

  async #take(outcome: Outcome): Promise<void> {
    if (outcome.kind === 'failed' && !expectedFailures.has(outcome.code)) {
      throw new Error(`a request failed with ${outcome.code}`);
    }
    this.#count(outcome.kind === 'failed' ? `failed: ${outcome.code}` : outcome.kind);
    // Waits at most a second, less than the service asks for, to keep the load high.
    if (outcome.kind === 'refused') await setTimeout(1000 * Math.min(1, outcome.retryAfterSeconds));
  }

  /** Opens one socket that never sends the rest of its request, and one that never reads its answer. Both stay open. */
  #halfOpen(instance: number): void {
    const { hostname, port } = new URL(this.#instances[instance]!.url);
    const body = JSON.stringify({ model: models[0], prompt: 'Emma', max_tokens: 200, stream: true });
    for (const sent of [body.slice(0, 20), body]) {
      const socket = connect(Number(port), hostname).on('error', () => {});
      socket.pause();
      socket.write(
        `POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${sent}`,
      );
      this.#sockets.push(socket);
    }
  }

  async #restart(instance: number): Promise<void> {
    const code = await this.#instances[instance]!.stop();
    if (code !== 0)
      throw new Error(
        `an instance ended with ${code}:\n${this.#instances[instance]!.output.split('\n')
          .filter((line) => !line.includes('"GET"'))
          .slice(-30)
          .join('\n')}`,
      );
    this.#instances[instance] = null;
    this.#instances[instance] = await ServiceProcess.start(settings);
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }
}
