import { describe, expect, it } from 'vitest';
import { Scheduler, type SchedulerOptions } from '../../src/engine/scheduler/scheduler.ts';
import { embeddingRequest, generationRequest, type RequestOverrides } from '../support/generation-request.ts';

const decoderOnly: SchedulerOptions = {
  slots: 4,
  spareSlots: 0,
  capacity: 100,
  encoderCapacity: 0,
  stepTokens: 16,
  prefillChunk: 8,
  hasEqualRows: false,
};
const encoderDecoder: SchedulerOptions = { ...decoderOnly, encoderCapacity: 50 };

/** A request whose prompt begins like no other. */
const request = (id: string, promptLength: number, more: RequestOverrides = {}) =>
  generationRequest({
    id,
    promptTokens: Array.from({ length: promptLength }, (_, i) => id.charCodeAt(0) + i),
    ...more,
  });

function schedulerWith(options: Partial<SchedulerOptions>, ...requests: ReturnType<typeof request>[]) {
  const scheduler = new Scheduler({ ...decoderOnly, ...options });
  for (const each of requests) scheduler.add(each);
  return scheduler;
}

const chunkOf = (id: string, slot: number, start: number, end: number, isLast: boolean) => ({
  id,
  slot,
  start,
  end,
  isLast,
});

describe('Scheduler, decoder-only', () => {
  it('takes a prompt in chunks, then decodes a token a step', () => {
    const scheduler = schedulerWith({}, request('a', 20));
    expect(scheduler.next(0)).toEqual({
      expired: [],
      started: ['a'],
      moves: [],
      reuses: [],
      embeds: [],
      encodes: [],
      chunks: [chunkOf('a', 0, 0, 8, false)],
      prefillTokens: 8,
      rows: [],
    });
    expect(scheduler.next(0).chunks).toEqual([chunkOf('a', 0, 8, 16, false)]);
    expect(scheduler.next(0).chunks).toEqual([chunkOf('a', 0, 16, 20, true)]);
    expect(scheduler.next(0)).toMatchObject({ chunks: [], rows: [{ id: 'a', past: 20 }] });
    expect(scheduler.next(0).rows).toEqual([{ id: 'a', past: 21 }]);
  });

  it('gives every decoding request its token first and prompts the rest of the budget', () => {
    const scheduler = schedulerWith({ stepTokens: 10 }, request('a', 5), request('b', 5), request('c', 30));
    expect(scheduler.next(0).chunks.map(({ id, end }) => [id, end])).toEqual([
      ['a', 5],
      ['b', 5],
    ]);
    const plan = scheduler.next(0);
    expect(plan.rows.map(({ id }) => id)).toEqual(['a', 'b']);
    expect(plan.chunks).toEqual([chunkOf('c', 2, 0, 8, false)]);
  });

  it('computes no more than one chunk while others decode', () => {
    const scheduler = schedulerWith({}, request('a', 2));
    scheduler.next(0);
    scheduler.add(request('b', 30));
    scheduler.add(request('c', 30));
    expect(scheduler.next(0)).toMatchObject({ rows: [{ id: 'a' }], prefillTokens: 8 });
    scheduler.release('a');
    expect(scheduler.next(0)).toMatchObject({ rows: [], prefillTokens: 16 });
  });

  it('computes no more than one chunk while another model decodes', () => {
    const scheduler = schedulerWith({}, request('a', 30), request('b', 30));
    expect(scheduler.next(0, true)).toMatchObject({ rows: [], prefillTokens: 8 });
    expect(scheduler.next(0, false)).toMatchObject({ rows: [], prefillTokens: 16 });
  });

  it('is decoding from the end of a prompt to the end of its request', () => {
    const scheduler = schedulerWith({}, request('a', 10));
    expect(scheduler.decodingRows).toBe(0);
    scheduler.next(0);
    expect(scheduler.decodingRows).toBe(0);
    scheduler.next(0);
    expect(scheduler.decodingRows).toBe(1);
    scheduler.release('a');
    expect(scheduler.decodingRows).toBe(0);
  });

  it('counts a token that is scored as eight, and cuts its prompt the same in any step', () => {
    const chunks = { stepTokens: 128, prefillChunk: 64 };
    const scored = { promptLogprobs: 5, isReproducible: true };
    const alone = schedulerWith(chunks, request('a', 20, scored), request('b', 20, scored), request('c', 90));
    const lengthsOf = (scheduler: Scheduler) =>
      scheduler.next(0).chunks.map(({ id, start, end }) => [id, end - start]);
    expect(lengthsOf(alone)).toEqual([
      ['a', 8],
      ['b', 8],
    ]);
    expect(lengthsOf(alone)).toEqual([
      ['a', 8],
      ['b', 8],
    ]);
    expect(lengthsOf(alone)).toEqual([
      ['a', 4],
      ['b', 4],
      ['c', 64],
    ]);
    const beside = schedulerWith(chunks, request('x', 3));
    beside.next(0);
    beside.add(request('a', 20, scored));
    expect([1, 2, 3].map(() => lengthsOf(beside))).toEqual([[['a', 8]], [['a', 8]], [['a', 4]]]);
  });

  it.each([
    ['requests of one client', () => 'other'],
    ['requests of new clients', (step: number) => `other ${step}`],
  ])('lets a prompt that needs whole chunks go on beside short %s without pause', (_, clientAt) => {
    const scheduler = schedulerWith({ slots: 8, capacity: 400 }, request('z', 3, { maxTokens: 300 }));
    scheduler.next(0);
    scheduler.add(request('a', 80, { isReproducible: true, client: 'patient' }));
    let done = false;
    let steps = 0;
    for (; !done && steps < 40; steps += 1) {
      const id = `${String.fromCharCode(1000 + steps)} short`;
      scheduler.add(request(id, 4, { client: clientAt(steps) }));
      const { chunks } = scheduler.next(0);
      done = chunks.some((chunk) => chunk.id === 'a' && chunk.isLast);
      // Short requests end in the step that computes their prompt.
      for (const chunk of chunks) if (chunk.id !== 'a' && chunk.isLast) scheduler.release(chunk.id);
    }
    expect(done).toBe(true);
    expect(steps).toBeLessThanOrEqual(21);
  });

  it('never stops prompts altogether, however small the budget', () => {
    const scheduler = schedulerWith({ stepTokens: 1 }, request('a', 1), request('b', 6));
    scheduler.next(0);
    expect(scheduler.next(0)).toMatchObject({
      rows: [{ id: 'a', past: 1 }],
      chunks: [chunkOf('b', 1, 0, 3, false)],
    });
  });

  it.each([
    [9, [7, 2]],
    [17, [8, 7, 2]],
    [18, [8, 8, 2]],
  ])('computes no token of a prompt of %i by itself', (length, expected) => {
    const scheduler = schedulerWith({}, request('a', length));
    expect(expected.flatMap(() => scheduler.next(0).chunks.map(({ start, end }) => end - start))).toEqual(
      expected,
    );
    expect(scheduler.next(0).rows).toHaveLength(1);
  });

  it('cuts a reproducible prompt at multiples of the chunk alone, whatever is left of a step', () => {
    const same = { isReproducible: true };
    const scheduler = schedulerWith({ stepTokens: 9 }, request('a', 3), request('b', 20, same));
    const steps = Array.from({ length: 5 }, () => scheduler.next(0).chunks.map(({ id, end }) => [id, end]));
    expect(steps).toEqual([[['a', 3]], [['b', 8]], [['b', 16]], [['b', 20]], []]);
    // With two decoding rows there is room for only 7 tokens, so the chunk of 8 is the step's only one.
    scheduler.add(request('c', 17, same));
    expect(scheduler.next(0)).toMatchObject({ rows: [{}, {}], chunks: [chunkOf('c', 2, 0, 8, false)] });
    scheduler.add(request('d', 3));
    expect(scheduler.next(0).chunks.map(({ id, end }) => [id, end])).toEqual([['c', 16]]);
    expect(scheduler.next(0).chunks.map(({ id, end }) => [id, end])).toEqual([
      ['c', 17],
      ['d', 3],
    ]);
  });

  it('cuts a reproducible prompt like any other if rows are equal', () => {
    const options = { stepTokens: 9, hasEqualRows: true };
    const scheduler = schedulerWith(options, request('a', 3), request('b', 20, { isReproducible: true }));
    const ends = Array.from({ length: 3 }, () => scheduler.next(0).chunks.map(({ id, end }) => [id, end]));
    expect(ends).toEqual([
      [
        ['a', 3],
        ['b', 6],
      ],
      [['b', 14]],
      [['b', 20]],
    ]);
  });

  it('computes no more of prompts than the time for a step allows, beyond the first chunk', () => {
    const scheduler = schedulerWith({}, request('a', 2));
    scheduler.next(0);
    for (const id of ['b', 'x']) scheduler.add(request(id, 14));
    const rows: number[] = [];
    const timeFor = (tokens: number, perChunk: number) => (count: number) => {
      rows.push(count);
      return { tokens, perChunk };
    };
    const lengths = (tokens: number, perChunk: number) =>
      scheduler
        .next(0, false, timeFor(tokens, perChunk))
        .chunks.map(({ id, start, end }) => [id, end - start]);
    expect(lengths(5, 5)).toEqual([['b', 5]]);
    expect(lengths(6, 2)).toEqual([['b', 6]]);
    // A second chunk counts two tokens more.
    expect(lengths(8, 2)).toEqual([
      ['b', 3],
      ['x', 3],
    ]);
    // The count limits it all the same.
    expect(lengths(1000, 0)).toEqual([['x', 8]]);
    expect(rows).toEqual([1, 1, 1, 2]);
  });

  it('cuts a reproducible prompt at multiples of the chunk, whatever time it takes', () => {
    const prompts = [request('a', 20, { isReproducible: true }), request('x', 20)];
    const scheduler = schedulerWith({}, ...prompts);
    const lengths = () =>
      scheduler
        .next(0, true, () => ({ tokens: 4, perChunk: 4 }))
        .chunks.map(({ id, start, end }) => [id, end - start]);
    expect([1, 2, 3, 4].map(lengths)).toEqual([[['a', 8]], [['a', 8]], [['a', 4]], [['x', 4]]]);
  });

  it('counts the prompt tokens that are still to be computed', () => {
    const scheduler = schedulerWith({ slots: 2 }, request('a', 20));
    expect(scheduler.promptBacklog).toBe(20);
    scheduler.next(0);
    expect(scheduler.promptBacklog).toBe(12);
    scheduler.next(0);
    scheduler.next(0);
    expect(scheduler.promptBacklog).toBe(0);
    // Another prompt that begins with the same 18 tokens, of which the slot holds all.
    const { promptTokens } = request('a', 18);
    scheduler.add(request('b', 0, { promptTokens: [...promptTokens, 1, 2, 3] }));
    expect(scheduler.promptBacklog).toBe(3);
    scheduler.next(0);
    expect(scheduler.promptBacklog).toBe(0);
    for (const id of ['c', 'd']) scheduler.add(request(id, 30, { queueDeadline: 10 }));
    expect(scheduler.promptBacklog).toBe(60);
    scheduler.release('c');
    expect(scheduler.promptBacklog).toBe(30);
    scheduler.next(11);
    expect(scheduler.promptBacklog).toBe(0);
  });

  it('does not count what a prompt can reuse of one that came with it', () => {
    const { promptTokens } = request('a', 60);
    const more = ['b', 'c', 'd'].map((id, i) => request(id, 0, { promptTokens: [...promptTokens, i, i] }));
    const scheduler = schedulerWith({ slots: 1 }, request('a', 60), ...more);
    expect(scheduler.promptBacklog).toBe(60 + 3 * 62);
    for (let step = 0; step < 4; step += 1) scheduler.next(0);
    expect(scheduler.promptBacklog).toBe(60 - 4 * 8 + 3 * 2);
  });

  it('lets a short prompt pass a long one and join the batch in front of it', () => {
    const scheduler = schedulerWith({}, request('long', 60), request('short', 3));
    expect(scheduler.next(0).chunks.map(({ id }) => id)).toEqual(['long', 'short']);
    expect(scheduler.next(0)).toMatchObject({
      moves: [
        { id: 'long', from: 0, to: 2, length: 8 },
        { id: 'short', from: 1, to: 0, length: 3 },
      ],
      rows: [{ id: 'short', past: 3 }],
      chunks: [chunkOf('long', 2, 8, 16, false)],
    });
  });

  it('parks a finished prompt while no slot is free to swap through, and goes on when one is', () => {
    const scheduler = schedulerWith({ slots: 2 }, request('long', 20), request('short', 3));
    scheduler.next(0);
    expect(scheduler.next(0)).toMatchObject({ moves: [], rows: [], chunks: [{ id: 'long' }] });
    expect(scheduler.next(0)).toMatchObject({ rows: [], chunks: [{ id: 'long', isLast: true }] });
    expect(scheduler.next(0).rows.map(({ id }) => id)).toEqual(['long', 'short']);
  });

  it('fills the gap a finished request leaves with the last of the batch', () => {
    const scheduler = schedulerWith({}, request('a', 2), request('b', 3), request('c', 4));
    scheduler.next(0);
    scheduler.next(0);
    expect(scheduler.release('a')).toBe('decode');
    expect(scheduler.next(0)).toMatchObject({
      moves: [{ id: 'c', from: 2, to: 0, length: 5 }],
      rows: [
        { id: 'c', past: 5 },
        { id: 'b', past: 4 },
      ],
    });
  });

  it('starts who has the lower priority value, then who came first, as slots come free', () => {
    const scheduler = schedulerWith(
      { slots: 1 },
      request('late', 1, { arrivedAt: 3 }),
      request('urgent', 1, { arrivedAt: 9, priority: -1 }),
      request('early', 1, { arrivedAt: 2 }),
      request('twin', 1, { arrivedAt: 3 }),
    );
    const started: string[] = [];
    for (let step = 0; step < 4; step++) {
      started.push(...scheduler.next(0).started);
      expect(scheduler.running).toBe(1);
      scheduler.release(started.at(-1)!);
    }
    expect(started).toEqual(['urgent', 'early', 'late', 'twin']);
    expect(scheduler.hasWork).toBe(false);
  });

  it('says where a request was when it is taken out', () => {
    const scheduler = schedulerWith({ slots: 2 }, request('a', 3), request('b', 30), request('c', 1));
    scheduler.next(0);
    expect(['c', 'b', 'a', 'a'].map((id) => scheduler.release(id))).toEqual([
      'queued',
      'prefill',
      'decode',
      null,
    ]);
    expect(scheduler.hasWork).toBe(false);
  });

  it('gives up what is past a deadline, and its slot in the same step', () => {
    const scheduler = schedulerWith(
      { slots: 1 },
      request('a', 3, { deadline: 50 }),
      request('b', 3, { arrivedAt: 1, queueDeadline: 10 }),
      request('c', 3, { arrivedAt: 2, queueDeadline: 60 }),
    );
    expect(scheduler.next(10)).toMatchObject({ expired: [], started: ['a'] });
    expect(scheduler.next(11).expired).toEqual([{ id: 'b', stage: 'queued' }]);
    expect(scheduler.next(51)).toMatchObject({
      expired: [{ id: 'a', stage: 'decode' }],
      started: ['c'],
      chunks: [{ id: 'c', slot: 0 }],
    });
    expect(scheduler.next(1000).expired).toEqual([]);
  });

  it('counts the deadline of the whole request in the queue too', () => {
    const scheduler = schedulerWith({ slots: 1 }, request('a', 3), request('b', 3, { deadline: 5 }));
    scheduler.next(0);
    expect(scheduler.next(6).expired).toEqual([{ id: 'b', stage: 'queued' }]);
  });

  it('measures how much of the cache is in use', () => {
    const scheduler = schedulerWith({ slots: 2, capacity: 10 }, request('a', 4), request('b', 5));
    expect(scheduler.cacheUsage).toBe(0);
    scheduler.next(0);
    expect(scheduler.cacheUsage).toBeCloseTo(9 / 20);
    scheduler.release('a');
    expect(scheduler.cacheUsage).toBeCloseTo(5 / 20);
  });

  it('does not take a prompt that cannot fit', () => {
    expect(() => schedulerWith({}, request('a', 101))).toThrow(RangeError);
    expect(() => schedulerWith({}, request('a', 0))).toThrow(RangeError);
    expect(() => schedulerWith(encoderDecoder, request('a', 51))).toThrow(RangeError);
  });
});

describe('Scheduler, encoder-decoder', () => {
  it('encodes a prompt whole, then decodes from position 0', () => {
    const scheduler = schedulerWith(encoderDecoder, request('a', 12));
    expect(scheduler.next(0)).toMatchObject({
      started: ['a'],
      encodes: [{ id: 'a', slot: 0 }],
      chunks: [],
      rows: [],
    });
    expect(scheduler.next(0)).toMatchObject({ encodes: [], rows: [{ id: 'a', past: 0 }] });
    expect(scheduler.next(0).rows).toEqual([{ id: 'a', past: 1 }]);
  });

  it('counts prompts against the budget in their order, and runs one over budget alone', () => {
    const prompts = [request('a', 10), request('b', 40), request('c', 2)];
    const scheduler = schedulerWith(encoderDecoder, ...prompts);
    expect(scheduler.next(0).started).toEqual(['a']);
    expect(scheduler.next(0).started).toEqual(['b']);
    expect(scheduler.next(0).started).toEqual(['c']);
  });

  it('counts the prompts of the encoder and what the decoder is given', () => {
    const scheduler = schedulerWith(encoderDecoder, request('a', 12, { completionPrefix: [1, 2, 3] }));
    expect(scheduler.promptBacklog).toBe(15);
    scheduler.next(0);
    expect(scheduler.promptBacklog).toBe(3);
    scheduler.next(0);
    expect(scheduler.promptBacklog).toBe(0);
  });

  it('encodes whole prompts one at a time if the time is for fewer tokens', () => {
    const scheduler = schedulerWith(encoderDecoder, request('a', 6), request('b', 6));
    const timeFor = () => ({ tokens: 4, perChunk: 4 });
    expect(scheduler.next(0, false, timeFor).started).toEqual(['a']);
    expect(scheduler.next(0, false, timeFor)).toMatchObject({ rows: [{ id: 'a' }], started: ['b'] });
  });

  it('encodes as many as fit the budget at once', () => {
    const scheduler = schedulerWith(encoderDecoder, request('a', 6), request('b', 6), request('c', 6));
    expect(scheduler.next(0).started).toEqual(['a', 'b']);
    expect(scheduler.next(0).started).toEqual(['c']);
  });
});

describe('Scheduler, embedding requests', () => {
  const embedding = (id: string, length: number, more = {}) =>
    embeddingRequest({ id, promptTokens: new Array(length).fill(7), ...more });

  it('need no slot and leave nothing behind', () => {
    const scheduler = schedulerWith({ ...encoderDecoder, slots: 1 }, request('a', 4), request('b', 4));
    scheduler.next(0);
    scheduler.add(embedding('e', 5));
    expect(scheduler.promptBacklog).toBe(9);
    expect(scheduler.next(0)).toMatchObject({
      started: ['e'],
      embeds: ['e'],
      encodes: [],
      rows: [{ id: 'a', past: 0 }],
      prefillTokens: 5,
    });
    expect([scheduler.waiting, scheduler.running, scheduler.promptBacklog]).toEqual([1, 1, 4]);
    expect(scheduler.release('e')).toBeNull();
    expect(scheduler.next(0)).toMatchObject({ embeds: [], rows: [{ id: 'a', past: 1 }] });
  });

  it('share the budget of a step with prompts, and one over budget runs alone', () => {
    const scheduler = schedulerWith(encoderDecoder);
    const requests = [embedding('e', 6), request('a', 6), embedding('f', 6), embedding('g', 40)];
    for (const each of requests) scheduler.add(each);
    expect(scheduler.next(0)).toMatchObject({ embeds: ['e'], encodes: [{ id: 'a' }], prefillTokens: 12 });
    // While `a` decodes, prompts get a chunk of 8.
    expect(scheduler.next(0)).toMatchObject({ embeds: ['f'], prefillTokens: 6 });
    expect(scheduler.next(0)).toMatchObject({ embeds: ['g'], prefillTokens: 40 });
  });

  it('of one client do not hold up another’s prompt', () => {
    const scheduler = schedulerWith(encoderDecoder);
    for (let i = 0; i < 20; i += 1) scheduler.add(embedding(`e${i}`, 8, { client: 'many' }));
    scheduler.next(0);
    scheduler.add(request('a', 8, { client: 'one' }));
    expect(scheduler.next(0)).toMatchObject({ encodes: [{ id: 'a' }] });
  });

  it('leave the queue when they are aborted or late', () => {
    const scheduler = schedulerWith(encoderDecoder);
    scheduler.add(embedding('e', 5));
    scheduler.add(embedding('f', 5, { queueDeadline: 10 }));
    expect(scheduler.release('e')).toBe('queued');
    expect(scheduler.next(11)).toMatchObject({ expired: [{ id: 'f', stage: 'queued' }], embeds: [] });
    expect(scheduler.hasWork).toBe(false);
  });

  it('must fit the encoder, and need one', () => {
    expect(() => schedulerWith(encoderDecoder).add(embedding('e', 51))).toThrow(RangeError);
    expect(() => schedulerWith({}).add(embedding('e', 5))).toThrow(RangeError);
  });
});
