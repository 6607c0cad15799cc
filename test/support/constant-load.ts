import { setTimeout } from 'node:timers/promises';
import { readStream } from './stream-completion.ts';

interface ConstantLoadOptions {
  /** Where requests go. */
  url: string;
  /** Used in turn. */
  models: readonly string[];
  requestsPerSecond: number;
  /** Tokens of each completion. */
  tokens: number;
}

/** Requests streams at a constant rate, even if earlier ones fail or hang. Only a whole completion is a success. */
export class ConstantLoad {
  readonly #options: ConstantLoadOptions;
  readonly #underWay = new Set<Promise<void>>();
  readonly failures: string[] = [];
  completed = 0;
  #isOver = false;
  readonly #arrivals: Promise<void>;

  private constructor(options: ConstantLoadOptions) {
    this.#options = options;
    this.#arrivals = this.#arrive();
  }

  static start(options: ConstantLoadOptions): ConstantLoad {
    return new ConstantLoad(options);
  }

  /** Sends no more requests, and resolves when all are answered. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#arrivals;
    await Promise.all(this.#underWay);
  }

  async #arrive(): Promise<void> {
    const { models, requestsPerSecond } = this.#options;
    const beginning = performance.now();
    for (let i = 0; !this.#isOver; i += 1) {
      await setTimeout(Math.max(0, beginning + (1000 * i) / requestsPerSecond - performance.now()));
      const request = this.#ask(models[i % models.length]!, i).finally(() => this.#underWay.delete(request));
      this.#underWay.add(request);
    }
  }

  async #ask(model: string, i: number): Promise<void> {
    const { url, tokens } = this.#options;
    const prompt = `Chapter ${i}. Elizabeth was not long in the drawing-room before`;
    const body = { model, prompt, max_tokens: tokens, ignore_eos: true, seed: i, stream: true };
    try {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...body, stream_options: { include_usage: true } }),
      });
      if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
      const { isDone, error, usage } = await readStream(response);
      if (error || !isDone || usage?.completion_tokens !== tokens) {
        throw new Error(`a stream ended with ${JSON.stringify({ isDone, error, usage })}`);
      }
      this.completed += 1;
    } catch (error) {
      this.failures.push(String(error));
    }
  }
}
