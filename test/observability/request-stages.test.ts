import { describe, expect, it } from 'vitest';
import type { EngineRequest, GenerationEvent } from '../../src/engine/protocol/generation.ts';
import { SequenceLife } from '../../src/engine/protocol/sequence-life.ts';
import { type AnsweredRequest, RequestLife } from '../../src/observability/request-life.ts';
import { durationsOf, stagesOf } from '../../src/observability/request-stages.ts';
import { embeddingRequest, generationRequest } from '../support/generation-request.ts';
import { seededRandom } from '../support/seeded-random.ts';

const id = 'id';
const started = (at: number): GenerationEvent => ({ type: 'started', id, at });
const prefilled = (at: number): GenerationEvent => ({ type: 'prefilled', id, at });
const finished = (at: number): GenerationEvent => {
  return { type: 'finished', id, at, reason: 'stop', stopReason: null, text: '' };
};
const failed = (at: number): GenerationEvent => {
  return { type: 'failed', id, at, code: 'deadline_exceeded', message: '', stage: 'queued' };
};

function sequence(events: GenerationEvent[], request: EngineRequest = generationRequest()): SequenceLife {
  const life = new SequenceLife(request);
  for (const event of events) life.add(event);
  return life;
}

/** A request that arrived at 100, was read at 110 and ended at 1000. */
function requestOf(fields: Partial<RequestLife> = {}): AnsweredRequest {
  const arrival = { id: 'r', method: 'POST', route: '/v1/completions', address: '', traceparent: undefined };
  const life = new RequestLife({ ...arrival, arrivedAt: 100 });
  life.beginGeneration({ operation: 'chat', parameters: {} }, true, 110);
  return Object.assign(life, fields).answered(200, 1000);
}
const durations = (fields: Partial<RequestLife>) => durationsOf(stagesOf(requestOf(fields)));

describe('the stages of a request', () => {
  it('are where its time went, with its body and its answer under way', () => {
    const sequences = [sequence([started(150), prefilled(300), finished(900)])];
    expect(stagesOf(requestOf({ queuedAt: 130, sequences }))).toEqual([
      { name: 'network', from: 100, to: 110 },
      { name: 'tokenizing', from: 110, to: 130 },
      { name: 'queue', from: 130, to: 150 },
      { name: 'prefill', from: 150, to: 300 },
      { name: 'decode', from: 300, to: 900 },
      { name: 'network', from: 900, to: 1000 },
    ]);
    expect(durations({ queuedAt: 130, sequences })).toMatchObject({ network: 110, decode: 600 });
  });

  it('have the wait for a model, also for one that came too late', () => {
    expect(durations({ loadedAt: 600, queuedAt: 620 })).toEqual({
      network: 10,
      loading: 490,
      tokenizing: 20,
      queue: 380,
    });
    expect(durations({ loadedAt: null })).toEqual({ network: 10, loading: 890 });
  });

  it('end where the request went wrong', () => {
    expect(durations({})).toEqual({ network: 10, tokenizing: 890 });
    const queued = { queuedAt: 130, sequences: [sequence([failed(800)])] };
    expect(durations(queued)).toEqual({ network: 210, tokenizing: 20, queue: 670 });
    const prefilling = { queuedAt: 130, sequences: [sequence([started(200), failed(800)])] };
    expect(durations(prefilling)).toEqual({ network: 210, tokenizing: 20, queue: 70, prefill: 600 });
  });

  it('go on until a client leaves', () => {
    const sequences = [sequence([started(200), prefilled(300)])];
    expect(durations({ queuedAt: 130, sequences })).toMatchObject({ network: 10, decode: 700 });
  });

  it('are those of the sequence for which the answer waited', () => {
    const sequences = [
      sequence([started(140), prefilled(150), finished(400)]),
      sequence([started(400), prefilled(420), finished(900)]),
      sequence([started(140), prefilled(160), finished(300)]),
    ];
    expect(durations({ queuedAt: 130, sequences })).toMatchObject({ queue: 270, prefill: 20, decode: 480 });
    expect(durations({ queuedAt: 130, sequences: [...sequences, sequence([])] })).toMatchObject({
      queue: 870,
    });
  });

  it('of embeddings have no decode', () => {
    const embedded: GenerationEvent = { type: 'embedded', id, at: 700, embedding: Float32Array.of(1) };
    const sequences = [sequence([started(200), embedded], embeddingRequest())];
    expect(durations({ queuedAt: 130, sequences })).toEqual({
      network: 310,
      tokenizing: 20,
      queue: 70,
      prefill: 500,
    });
  });

  it('are none where nothing is generated', () => {
    expect(stagesOf(requestOf({ generation: null }))).toEqual([]);
  });

  it('add up to the duration, whatever the times are', () => {
    const random = seededRandom(22);
    const time = () => 50 + random.below(1100);
    const maybe = () => (random.below(4) === 0 ? null : time());
    const randomSequence = () =>
      sequence([started(time()), prefilled(time()), finished(time())].filter(() => random.below(4) > 0));
    for (let i = 0; i < 500; i += 1) {
      const sequences = Array.from({ length: random.below(4) }, randomSequence);
      const life = requestOf({ readAt: time(), loadedAt: maybe(), queuedAt: maybe(), sequences });
      const stages = stagesOf(life);
      expect(stages.map(({ from }) => from)).toEqual([100, ...stages.slice(0, -1).map(({ to }) => to)]);
      expect(stages.at(-1)!.to).toBe(1000);
      for (const { from, to } of stages) expect(to).toBeGreaterThan(from);
    }
  });
});
