import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

interface Coverage {
  result: { url: string; functions: { functionName: string; ranges: { count: number }[] }[] }[];
}

/** Time for threads to write their coverage, milliseconds. */
const writeMs = 1500;

/**
 * Finds the functions that one streamed completion runs, from V8's coverage of all threads of a real service.
 * @returns the names of the functions that ran, by source file
 */
export async function requestPath(root: string, model: string): Promise<Map<string, string[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'altup-coverage-'));
  const hook = join(import.meta.dirname, 'coverage-hook.mjs');
  const service = spawn(process.execPath, [`--import=${hook}`, join(root, 'src/cli.ts'), 'serve'], {
    cwd: root,
    env: { ...process.env, NODE_V8_COVERAGE: folder, ALTUP_PORT: '0', ALTUP_MODELS: `models/${model}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(service, 'close');
  try {
    const url = await readyAt(service.stdout);
    // The first completion triggers lazy loading.
    await complete(url, model);
    await takeCoverage(service.pid!);
    const before = new Set(await readdir(folder));
    await complete(url, model);
    await takeCoverage(service.pid!);
    const files = (await readdir(folder)).filter((file) => !before.has(file));
    const ran = new Map<string, string[]>();
    for (const file of files) {
      const { result } = JSON.parse(await readFile(join(folder, file), 'utf8')) as Coverage;
      for (const { url: source, functions } of result) {
        if (!source.startsWith('file:')) continue;
        const path = relative(root, fileURLToPath(source));
        if (!path.startsWith('src/')) continue;
        const names = functions
          .filter(({ ranges }) => ranges[0]!.count > 0)
          .map(({ functionName }) => functionName);
        if (names.length > 0) ran.set(path, [...(ran.get(path) ?? []), ...names]);
      }
    }
    return ran;
  } finally {
    service.kill('SIGKILL');
    await closed;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function readyAt(output: NodeJS.ReadableStream): Promise<string> {
  let url = '';
  for await (const line of createInterface(output)) {
    const { msg, url: listening } = JSON.parse(line) as { msg: string; url?: string };
    if (listening) url = listening;
    if (msg === 'ready') {
      output.resume();
      return url;
    }
  }
  throw new Error('the service ended before it was ready');
}

async function complete(url: string, model: string): Promise<void> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, prompt: 'It is a truth', max_tokens: 8, stream: true }),
  });
  const text = await response.text();
  if (!text.includes('[DONE]')) throw new Error(`no stream: ${text}`);
}

async function takeCoverage(pid: number): Promise<void> {
  process.kill(pid, 'SIGWINCH');
  await setTimeout(writeMs);
}
