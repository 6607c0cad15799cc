import { expect, it } from 'vitest';
import { eventData } from '../../src/ui/api/event-stream.js';

function streamOf(...chunks: string[]) {
  const state = { isCancelled: false };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
    },
    cancel() {
      state.isCancelled = true;
    },
  });
  return { body, state };
}

it('reads events with any line ends, with or without a space, however they are cut', async () => {
  const { body } = streamOf(
    'data: {"a"',
    ':1}\r\n\r\n: ping\r\ndata:{"b":2}\n\nda',
    'ta: [DONE]\r',
    '\n\r\n',
  );
  const found: string[] = [];
  for await (const data of eventData(body)) {
    found.push(data);
    if (data === '[DONE]') break;
  }
  expect(found).toEqual(['{"a":1}', '{"b":2}', '[DONE]']);
});

it('ends the answer when its reader stops early', async () => {
  const { body, state } = streamOf('data: 1\n\n', 'data: 2\n\n');
  for await (const data of eventData(body)) if (data === '1') break;
  expect(state.isCancelled).toBe(true);
});
