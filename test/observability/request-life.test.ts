import { describe, expect, it } from 'vitest';
import type { GenerationEvent } from '../../src/engine/protocol/generation.ts';
import { SequenceLife } from '../../src/engine/protocol/sequence-life.ts';
import { RequestLife } from '../../src/observability/request-life.ts';
import { embeddingRequest, generationRequest } from '../support/generation-request.ts';

const started = (at: number): GenerationEvent => ({ type: 'started', id: 'id', at });
const reused = (tokens: number): GenerationEvent => ({ type: 'reused', id: 'id', tokens });
const tokens = (at: number, count = 1): GenerationEvent => {
  return { type: 'tokens', id: 'id', at, tokens: new Array(count).fill(8), text: '', logprobs: null };
};
const finished = (at = 99, reason: 'stop' | 'length' = 'stop'): GenerationEvent => {
  return { type: 'finished', id: 'id', at, reason, stopReason: null, text: '' };
};

/** A request whose sequences had the given events; two sequences for each prompt. */
function requestOf(...sequences: GenerationEvent[][]): RequestLife {
  const arrival = { method: 'POST', route: '/v1/completions', address: '', traceparent: undefined };
  const life = new RequestLife({ ...arrival, id: 'r', arrivedAt: 0 });
  life.choicesPerPrompt = 2;
  life.sequences = sequences.map((events) => {
    const sequence = new SequenceLife(generationRequest());
    for (const event of events) sequence.add(event);
    return sequence;
  });
  return life;
}

describe('the life of a request', () => {
  it('knows no figures before its sequences are admitted, and no times before they are reached', () => {
    const none = {
      startedAt: null,
      firstTokenAt: null,
      lastTokenAt: null,
      cachedTokens: 0,
      finishReasons: [],
    };
    expect(requestOf()).toMatchObject({ ...none, generatedTokens: null });
    expect(requestOf([], [])).toMatchObject({ ...none, generatedTokens: 0 });
  });

  it('takes its times and counts from all its sequences', () => {
    const life = requestOf([started(7), tokens(9), tokens(14)], [started(5), tokens(10, 2), finished()], []);
    expect(life).toMatchObject({ startedAt: 5, firstTokenAt: 9, lastTokenAt: 14, generatedTokens: 4 });
    expect(life.finishReasons).toEqual(['stop']);
  });

  it('lists finish reasons in the order in which its sequences finished', () => {
    expect(requestOf([finished(8)], [finished(6, 'length')]).finishReasons).toEqual(['length', 'stop']);
  });

  it('counts a prompt’s cached tokens once, with the finished choice that had to compute most of it', () => {
    const first = [reused(16), tokens(1)];
    const second = [reused(30), finished()];
    expect(requestOf(first, second).cachedTokens).toBe(30);
    const done = requestOf(
      [...first, finished()],
      second,
      [reused(20), finished()],
      [reused(40), finished()],
    );
    expect(done.cachedTokens).toBe(36);
  });

  it('knows that embeddings generate no token', () => {
    const life = requestOf();
    life.sequences = [7, 9, 8].map((at) => {
      const sequence = new SequenceLife(embeddingRequest());
      for (const event of [
        started(5),
        { type: 'embedded', id: 'id', at, embedding: Float32Array.of(1) },
      ] as const)
        sequence.add(event);
      return sequence;
    });
    expect(life).toMatchObject({ startedAt: 5, firstTokenAt: null, generatedTokens: null });
  });
});
