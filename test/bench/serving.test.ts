import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type Load, measure } from '../../bench/peers/serving.ts';

interface Body {
  prompt: number[];
  max_tokens: number;
  stream?: boolean;
}

/** A server of completions whose streams have `tokens` tokens at most. */
async function fakePeer(tokens: number) {
  const bodies: Body[] = [];
  let open = 0;
  const server = createServer(async (request, response: ServerResponse) => {
    let text = '';
    for await (const piece of request.setEncoding('utf8')) text += piece;
    const body = JSON.parse(text) as Body;
    bodies.push(body);
    if (!body.stream) return void response.end('{}');
    open += 1;
    response.on('close', () => {
      open -= 1;
    });
    const event = `data: ${JSON.stringify({ choices: [{ index: 0, text: 'a', finish_reason: null }] })}\n\n`;
    for (let n = 0; n < Math.min(tokens, body.max_tokens) && !response.destroyed; n += 1) {
      response.write(event);
      await setTimeout(1);
    }
    response.end('data: [DONE]\n\n');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const stop = async () => {
    server.close().closeAllConnections();
    await once(server, 'close');
  };
  return {
    bodies,
    openStreams: () => open,
    start: async () => ({ url: `http://127.0.0.1:${port}`, pid: process.pid, model: 'fake', stop }),
  };
}

const load: Load = { slots: 2, context: 2048, prompts: [512], streams: [2], behind: [0, 1024] };

it('sends every server the same prompts, and measures each combination', async () => {
  const [first, second] = [
    await fakePeer(Number.POSITIVE_INFINITY),
    await fakePeer(Number.POSITIVE_INFINITY),
  ];
  const figures = await measure(first.start, load, 262_144, 1);
  await measure(second.start, load, 262_144, 1);

  expect(Object.keys(figures)).toEqual([
    '2 slots of 2048: load, s',
    '2 slots of 2048: memory after load, MiB',
    'prompt of 512, tokens/s',
    'streams: 2, behind 0, tokens/s',
    'streams: 2, behind 1024, tokens/s',
    '2 slots of 2048: memory at the end, MiB',
  ]);
  for (const value of Object.values(figures)) expect(value).toBeGreaterThan(0);
  // A warm-up, 2,048 tokens of prompts, then the streams.
  expect(first.bodies.map(({ prompt }) => prompt.length)).toEqual([
    32, 512, 512, 512, 512, 32, 32, 1024, 1024,
  ]);
  // Two streams may arrive in either order.
  const prompts = ({ bodies }: typeof first) => bodies.map(({ prompt }) => prompt.join()).sort();
  expect(new Set(prompts(first)).size).toBe(9);
  expect(prompts(second)).toEqual(prompts(first));
  expect(first.openStreams()).toBe(0);
});

it('refuses a stream that ends too early', async () => {
  const { start } = await fakePeer(20);
  await expect(measure(start, load, 262_144, 1)).rejects.toThrow('a stream ended before all had decoded');
});
