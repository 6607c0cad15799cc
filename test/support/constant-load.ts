import { setTimeout } from 'node:timers/promises';
import { readStream } from './stream-completion.ts';

interface LoadOptions {
  /** Where requests go. */
  url: string;
  /** Used in turn. */
  models: readonly string[];
  /** Tokens of each completion. */
  tokens: number;
  /** Sent with a request in addition. */
  headers?: (i: number) => Record<string, string>;
}

/** Requests streams and counts what comes of them. Only a whole completion is a success. */
abstract class Load {
  readonly #options: LoadOptions;
  readonly failures: string[] = [];
  sent = 0;
  completed = 0;
  /** Failures of streams that had begun. */
  lost = 0;
  protected isOver = false;

  protected constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Resolves when the next request is answered, whatever the answer. */
  protected async ask(): Promise<void> {
    const { url, models, tokens, headers = () => ({}) } = this.#options;
    const i = this.sent;
    this.sent += 1;
    const prompt = `Chapter ${i}. Elizabeth was not long in the drawing-room before`;
    const model = models[i % models.length]!;
    const body = { model, prompt, max_tokens: tokens, ignore_eos: true, seed: i, stream: true };
    let hasBegun = false;
    try {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers(i) },
        body: JSON.stringify({ ...body, stream_options: { include_usage: true } }),
      });
      if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
      hasBegun = true;
      const { isDone, error, usage } = await readStream(response);
      if (error || !isDone || usage?.completion_tokens !== tokens) {
        throw new Error(`a stream ended with ${JSON.stringify({ isDone, error, usage })}`);
      }
      this.completed += 1;
    } catch (error) {
      if (hasBegun) this.lost += 1;
      const cause = error instanceof Error && error.cause ? ` (${error.cause})` : '';
      this.failures.push(`${new Date().toISOString()} ${error}${cause}`);
    }
  }
}

/** Load at a constant rate, even if earlier requests fail or hang. */
export class ConstantLoad extends Load {
  readonly #underWay = new Set<Promise<void>>();
  readonly #arrivals: Promise<void>;

  private constructor(options: LoadOptions & { requestsPerSecond: number }) {
    super(options);
    this.#arrivals = this.#arrive(options.requestsPerSecond);
  }

  static start(options: LoadOptions & { requestsPerSecond: number }): ConstantLoad {
    return new ConstantLoad(options);
  }

  /** Sends no more requests, and resolves when all are answered. */
  async end(): Promise<void> {
    this.isOver = true;
    await this.#arrivals;
    await Promise.all(this.#underWay);
  }

  async #arrive(requestsPerSecond: number): Promise<void> {
    const beginning = performance.now();
    for (let i = 0; !this.isOver; i += 1) {
      await setTimeout(Math.max(0, beginning + (1000 * i) / requestsPerSecond - performance.now()));
      const request = this.ask().finally(() => this.#underWay.delete(request));
      this.#underWay.add(request);
    }
  }
}

/** Load of a number of clients, each of which asks again as soon as it has its answer. */
export class ClientsLoad extends Load {
  readonly #clients: Promise<void>[] = [];
  #wanted = 0;

  static start(options: LoadOptions & { clients: number }): ClientsLoad {
    const load = new ClientsLoad(options);
    load.setClients(options.clients);
    return load;
  }

  /** Excess clients leave when they have their answer. */
  setClients(clients: number): void {
    const before = this.#wanted;
    this.#wanted = clients;
    for (let client = before; client < clients; client += 1) this.#clients.push(this.#askOn(client));
  }

  /** Resolves when all clients have their last answer. */
  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.#clients);
  }

  async #askOn(client: number): Promise<void> {
    while (!this.isOver && client < this.#wanted) await this.ask();
  }
}
