import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface GenerationTimes {
  /** From the start of the prompts to their first tokens. */
  firstMs: number;
  /** Mean time of a decode step, which gives every row a token. */
  stepMs: number;
}

export interface GenerationJob {
  batch: number;
  prompt: readonly number[];
  tokens: number;
}

/** Runs `transformers` in a separate process (training/peer.py), which takes one job after the other. */
export class TransformersProcess {
  readonly #process;
  readonly #lines;

  /** @param checkpoint loaded in float32 */
  constructor(checkpoint: string, threads: number) {
    const command = join(import.meta.dirname, '../../training/run');
    this.#process = spawn(command, ['training.peer', checkpoint, '--threads', String(threads)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]();
  }

  async generate(job: GenerationJob): Promise<GenerationTimes> {
    this.#process.stdin.write(`${JSON.stringify(job)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('training.peer ended; see its output above');
    return JSON.parse(value);
  }

  async close(): Promise<void> {
    const exit = once(this.#process, 'exit');
    this.#process.stdin.end();
    await exit;
  }
}
