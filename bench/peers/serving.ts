import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { familyOf } from '../../test/support/process-usage.ts';
import { seededRandom } from '../../test/support/seeded-random.ts';
import { readStream } from '../../test/support/stream-completion.ts';

/** What a server is started for. Every slot holds `context` tokens. */
export interface Capacity {
  slots: number;
  context: number;
  threads: number;
}

/** A running server with `/v1/completions`, which takes prompts of token ids. */
export interface Server {
  url: string;
  pid: number;
  model: string;
  stop(): Promise<void>;
}

/** What to measure of one running server. */
export interface Load {
  slots: number;
  context: number;
  /** Lengths of prompts of their own. What one stream decodes behind is a prompt, too. */
  prompts: readonly number[];
  /** Numbers of streams that decode at the same time. */
  streams: readonly number[];
  /** Lengths of the prompts that the streams decode behind; 0 stands for a very short one. */
  behind: readonly number[];
}

/** Measured figures by their names; speeds are better if higher, all others if lower. */
export type Figures = Record<string, number>;

const shortPrompt = 32;
/** Short prompts are repeated until they have this many tokens together. */
const promptTokens = 2048;
/** Tokens of each stream in the time that counts. */
const decoded = 128;

/** @param seed the same seed gives all servers the same prompts, which share no more than their first token */
export async function measure(
  start: () => Promise<Server>,
  load: Load,
  vocabulary: number,
  seed: number,
): Promise<Figures> {
  const random = seededRandom(seed);
  const prompt = (length: number) => [
    2,
    ...Array.from({ length: length - 1 }, () => 400 + random.below(vocabulary - 1000)),
  ];
  const setting = `${load.slots} slots of ${load.context}`;
  const figures: Figures = {};
  const startedAt = performance.now();
  const server = await start();
  try {
    figures[`${setting}: load, s`] = (performance.now() - startedAt) / 1000;
    figures[`${setting}: memory after load, MiB`] = memoryMiB(server.pid);
    await complete(server, prompt(shortPrompt));
    for (const length of load.prompts) {
      const prompts = Array.from({ length: Math.ceil(promptTokens / length) }, () => prompt(length));
      figures[`prompt of ${length}, tokens/s`] = await promptSpeed(server, prompts);
    }
    for (const behind of load.behind)
      for (const streams of load.streams) {
        const prompts = Array.from({ length: streams }, () => prompt(behind || shortPrompt));
        const most = load.context - (behind || shortPrompt);
        const { decodeSpeed, firstTokenMs } = await stream(server, prompts, most);
        if (streams === 1 && behind > 0)
          figures[`prompt of ${behind}, tokens/s`] = (1000 * behind) / firstTokenMs;
        figures[`streams: ${streams}, behind ${behind}, tokens/s`] = decodeSpeed;
      }
    figures[`${setting}: memory at the end, MiB`] = memoryMiB(server.pid);
  } finally {
    await server.stop();
  }
  return figures;
}

/** Resident memory of a process and its helpers; pages that several of them map count once. */
export const memoryMiB = (pid: number): number =>
  familyOf(pid)
    .map((each) => readFileSync(`/proc/${each}/smaps_rollup`, 'utf8'))
    .reduce((sum, text) => sum + Number(/^Pss:\s+(\d+)/m.exec(text)![1]), 0) / 1024;

/** Without `fetch`, which gives up after five minutes: the last of many long prompts waits longer. */
export function post(
  { url, model }: Pick<Server, 'url' | 'model'>,
  body: object,
  signal?: AbortSignal,
): Promise<Response> {
  const payload = JSON.stringify({ model, temperature: 0, ignore_eos: true, ...body });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers, signal: signal! };
    const call = request(`${url}/v1/completions`, options, (message) =>
      resolve(new Response(Readable.toWeb(message) as ReadableStream, { status: message.statusCode! })),
    );
    call.on('error', reject);
    call.end(payload);
  });
}

async function complete(server: Server, prompt: readonly number[]): Promise<void> {
  const response = await post(server, { prompt, max_tokens: 1 });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${server.url}: ${response.status} ${answer}`);
}

/** Tokens per second to the first token, one prompt after the other. */
async function promptSpeed(server: Server, prompts: readonly (readonly number[])[]): Promise<number> {
  const startedAt = performance.now();
  for (const prompt of prompts) await complete(server, prompt);
  return (1000 * prompts.flat().length) / (performance.now() - startedAt);
}

/**
 * Streams that began earlier go on until the last has its first token, so each may take up to `most` tokens; the requests
 * are aborted when enough have come.
 * @returns tokens per second of all streams together, from the time at which the last of them has its first token, and
 *   that time
 */
async function stream(
  server: Server,
  prompts: readonly (readonly number[])[],
  most: number,
): Promise<{ decodeSpeed: number; firstTokenMs: number }> {
  const enough = new AbortController();
  const finished = Promise.withResolvers<{ decodeSpeed: number; firstTokenMs: number }>();
  const sentAt = performance.now();
  let waiting = prompts.length;
  let startedAt = 0;
  let tokens = 0;
  const one = async (prompt: readonly number[]) => {
    let isFirst = true;
    const response = await post(server, { prompt, max_tokens: most, stream: true }, enough.signal);
    if (!response.ok) throw new Error(`${server.url}: ${response.status} ${await response.text()}`);
    await readStream(response, () => {
      if (isFirst) {
        isFirst = false;
        waiting -= 1;
        startedAt = performance.now();
      } else if (waiting === 0) {
        tokens += 1;
        if (tokens === decoded * prompts.length)
          finished.resolve({
            decodeSpeed: (1000 * tokens) / (performance.now() - startedAt),
            firstTokenMs: startedAt - sentAt,
          });
      }
    });
    throw new Error(`a stream ended before all had decoded together for ${decoded} tokens`);
  };
  const streams = prompts.map((prompt) => one(prompt).catch(finished.reject));
  try {
    return await finished.promise;
  } finally {
    enough.abort();
    await Promise.all(streams);
    // The server finishes its current step before it drops the streams.
    await setTimeout(500);
  }
}
