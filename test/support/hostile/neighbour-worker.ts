import { once } from 'node:events';
import { Agent, type ClientRequest, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { StreamAnswer } from '../../../src/loadtest/load/stream-answer.ts';
import { goodModels } from './attack.ts';
import { type NeighbourOptions, type Observations, observations } from './neighbour.ts';

/** Entry point of the neighbour's thread. It has its own thread so that attackers in this process do not delay it. */
const { url, key } = workerData as NeighbourOptions;
const agent = new Agent({ keepAlive: true });
const streams = 2;
const liveEveryMs = 25;
const smallEveryMs = 100;
/** An answer that takes longer counts as lost. */
const lostAfterMs = 15_000;
/** How late a timer of this thread may be. If it is later, the machine held up the thread. */
const tickMs = 5;

let observed: Observations = observations();

/** A clock that stops while the machine gives this thread no time, because that is not the service's fault. */
let heldMs = 0;
let tickedAt = performance.now();
setInterval(() => {
  const lateMs = performance.now() - tickedAt - tickMs;
  if (lateMs > tickMs) heldMs += lateMs;
  tickedAt = performance.now();
}, tickMs);
const now = () => performance.now() - heldMs;

function send(method: 'GET' | 'POST', path: string, body: object | null): ClientRequest {
  const sending = request(url + path, {
    method,
    agent,
    signal: AbortSignal.timeout(lostAfterMs),
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(key !== null && { authorization: `Bearer ${key}` }),
    },
  });
  sending.end(body ? JSON.stringify(body) : undefined);
  return sending;
}

async function answerOf(method: 'GET' | 'POST', path: string, body: object | null): Promise<unknown> {
  const [response] = await once(send(method, path, body), 'response');
  const answer = await json(response);
  if (response.statusCode !== 200)
    throw new Error(`${path} ${response.statusCode} ${JSON.stringify(answer)}`);
  return answer;
}

let unique = 0;

/** One stream of a few hundred milliseconds. */
async function stream(): Promise<void> {
  unique += 1;
  const prompt = `Chapter ${unique}. Elizabeth was not long in the drawing-room before`;
  const fields = { max_tokens: 60, ignore_eos: true, stream: true, seed: unique };
  const sentAt = now();
  const body = { model: goodModels.encoderDecoder, prompt, ...fields };
  const [response] = await once(send('POST', '/v1/completions', body), 'response');
  if (response.statusCode !== 200)
    throw new Error(`stream ${response.statusCode} ${JSON.stringify(await json(response))}`);
  const answer = new StreamAnswer();
  for await (const bytes of response) answer.feed(bytes, now());
  if (!answer.isDone || answer.errorCode !== null) throw new Error(`stream ended by ${answer.errorCode}`);
  observed.gapsMs.push(...answer.gapsMs);
  observed.firstTokenMs.push(answer.firstContentAt! - sentAt);
}

/** Small requests of each kind of which attackers send large ones. */
const small: readonly (() => Promise<void>)[] = [
  async () => {
    const choice = [`left ${unique}`, `right ${unique}`];
    const structured_outputs = { choice };
    const body = { model: goodModels.encoderDecoder, prompt: 'Emma', max_tokens: 40, structured_outputs };
    const { choices } = (await answerOf('POST', '/v1/completions', body)) as { choices: { text: string }[] };
    if (!choice.includes(choices[0]!.text)) throw new Error(`no choice: ${choices[0]!.text}`);
  },
  async () => {
    const prompt = `${unique} and the long walk. `.repeat(150);
    await answerOf('POST', '/tokenize', { model: goodModels.encoderDecoder, prompt });
  },
  async () => {
    const messages = [{ role: 'user', content: `Who is Emma? ${unique}` }];
    await answerOf('POST', '/v1/chat/completions', { model: goodModels.decoder, messages, max_tokens: 4 });
  },
  async () => {
    await answerOf('GET', '/v1/models', null);
  },
];

async function smallRequest(): Promise<void> {
  unique += 1;
  const sentAt = now();
  await small[unique % small.length]!();
  observed.smallMs.push(now() - sentAt);
  await setTimeout(smallEveryMs);
}

async function live(): Promise<void> {
  const sentAt = now();
  await answerOf('GET', '/health/live', null);
  observed.liveMs.push(now() - sentAt);
  await setTimeout(liveEveryMs);
}

async function forever(what: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await what();
    } catch (error) {
      observed.failures.push(String(error));
      await setTimeout(100);
    }
  }
}

parentPort!.on('message', () => {
  parentPort!.postMessage(observed);
  observed = observations();
});
forever(live);
forever(smallRequest);
for (let i = 0; i < streams; i += 1) forever(stream);
