import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const clients = join(import.meta.dirname, '../clients');

/** llama.cpp's own server (test/clients/llama_cpp_server.py) on a tiny random model, in its own process. */
export class LlamaCppServer {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#child = child;
    this.#folder = folder;
  }

  /** Resolves when the server listens. */
  static async start(): Promise<LlamaCppServer> {
    const folder = await mkdtemp(join(tmpdir(), 'altup-llama-cpp-'));
    const script = join(clients, 'llama_cpp_server.py');
    const child = spawn(join(clients, 'run'), ['requirements.txt', 'python', script, folder], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    for await (const line of createInterface(child.stdout)) {
      if (line.startsWith('http://')) return new LlamaCppServer(line, child, folder);
    }
    throw new Error(`llama.cpp's server ended before it listened:\n${log}`);
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.stdin!.end();
    await exit;
    await rm(this.#folder, { recursive: true });
  }
}
